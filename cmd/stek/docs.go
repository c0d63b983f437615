package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/stek-edge/stek/images/builder"
)

// shells are those that completion knows.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print what a shell needs to complete this program's commands",
		Long: `Print a script that makes a shell complete commands, flags and their values. Load it
into the running shell, or put it where the shell looks at its start:
  bash        ~/.local/share/bash-completion/completions/stek
  zsh         _stek in a folder of $fpath
  fish        ~/.config/fish/completions/stek.fish
  powershell  a line in $PROFILE`,
		Example: `  source <(stek completion bash)
  stek completion fish > ~/.config/fish/completions/stek.fish`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usageError{fmt.Errorf("no completion for %q; there is one for %s", args[0], strings.Join(shells, ", "))}
		},
	}
}

func manCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man --dir DIR",
		Short: "Write manual pages, one for each command",
		Long: `Write manual pages, one for each command, into a folder. Their date is that of
SOURCE_DATE_EPOCH or a fixed one, so that the same program writes the same pages.`,
		Example: `  stek man --dir build/man
  man build/man/stek.1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{errors.New("name the folder for the pages: --dir DIR")}
			}
			date, err := sourceDate()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("making the folder for the pages: %w", err)
			}
			return writeManual(cmd.Root(), dir, date)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the folder to write to; made if it is not there")
	return cmd
}

// writeManual writes a page for each command that help shows. What a page shows as it
// stands (tables, examples) begins with spaces in help and is code in Markdown, which
// is what the pages are made from.
func writeManual(root *cobra.Command, dir string, date time.Time) error {
	each(root, func(c *cobra.Command) {
		c.DisableAutoGenTag = true
		c.Long = asMarkdown(c.Long)
	})
	header := &doc.GenManHeader{Section: "1", Date: &date, Source: "stek " + version, Manual: "stek"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("writing the manual to %s: %w", filepath.Clean(dir), err)
	}
	return nil
}

func asMarkdown(long string) string {
	var out strings.Builder
	table := false
	for line := range strings.Lines(long) {
		indented := strings.HasPrefix(line, "  ")
		if indented != table {
			out.WriteString("\n")
		}
		if table = indented; table {
			out.WriteString("  ")
		}
		out.WriteString(line)
	}
	return out.String()
}

// sourceDate is the date that outputs carry: SOURCE_DATE_EPOCH (reproducible-builds.org,
// "SOURCE_DATE_EPOCH specification"), or the builder's own.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return builder.DefaultEpoch, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}, usageError{fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds since 1970; set one, or unset it", text)}
	}
	return time.Unix(seconds, 0).UTC(), nil
}
