package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/stek-edge/stek/installer/preseed"
)

func preseedInitCommand() *cobra.Command {
	var set []string
	var file string
	cmd := &cobra.Command{
		Use:   "init [--set KEY=VALUE]...",
		Short: "Write a commented answer file to go on with",
		Long: `Write a commented answer file: every key with what it is for, those given with
their values, the others as examples that are commented out.

Without --set on a terminal, the main keys are asked for. A list takes --set once
for each entry. Secrets are not taken; write secret:NAME.`,
		Example: `  stek preseed init --file site.yaml
  stek preseed init --set node.name=kas-{serial} --set disk.erase=true >site.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "a key and its value")
	cmd.Flags().StringVar(&file, "file", "", "where to write, instead of standard output; never over a file that is there")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		values := map[string][]string{}
		for _, s := range set {
			key, value, ok := strings.Cut(s, "=")
			if !ok {
				return usageError{fmt.Errorf("--set takes KEY=VALUE, not %q", key)}
			}
			values[key] = append(values[key], value)
		}
		if in, ok := cmd.InOrStdin().(*os.File); len(set) == 0 && ok && term.IsTerminal(int(in.Fd())) {
			if err := askFor(cmd.InOrStdin(), cmd.ErrOrStderr(), values); err != nil {
				return err
			}
		}
		if len(values["encryption.recovery.recipient"]) == 0 && len(values["encryption.recovery.show"]) == 0 {
			values["encryption.recovery.show"] = []string{"true"} // somebody must get the recovery key
		}
		text, err := preseed.Template(values)
		if err != nil {
			return err
		}
		if file == "" {
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}
		return writeNew(file, text)
	}
	return cmd
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return usageError{fmt.Errorf("writing the answer file: %w", err)}
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// questions are the keys that most files say something about. An empty answer
// leaves a key to its default.
var questions = []string{
	"node.name", "node.site", "node.language", "node.keyboard", "node.timezone", "node.admin.ssh-keys",
	"disk.match.serial", "disk.match.min-size", "disk.erase", "encryption.unlock", "encryption.recovery.recipient", "k3s.role", "on-finish",
}

// askFor asks for the main keys, each until its answer is right. The end of the
// input ends it without a file.
func askFor(in io.Reader, out io.Writer, values map[string][]string) error {
	lines := bufio.NewScanner(in)
	for _, path := range questions {
		key, known := preseed.Lookup(path)
		if !known {
			return fmt.Errorf("no key %s", path)
		}
		fmt.Fprintf(out, "\n%s\n", key.Description)
		for {
			fmt.Fprintf(out, "%s [%s]: ", path, key.Default)
			if !lines.Scan() {
				return usageError{errors.Join(errors.New("the questions were not answered to the end: nothing was written"), lines.Err())}
			}
			answers, faults := answersTo(key, lines.Text())
			if len(faults) == 0 {
				if len(answers) > 0 {
					values[path] = answers
				}
				break
			}
			for _, f := range faults {
				fmt.Fprintf(out, "  %v\n", f)
			}
		}
	}
	return nil
}

// answersTo judges what was typed for a key; entries of a list stand between
// commas.
func answersTo(key preseed.Key, line string) (answers []string, faults preseed.Faults) {
	entries := []string{line}
	if key.Type == preseed.List {
		entries = strings.Split(line, ",")
	}
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if f := preseed.CheckValue(key.Path, entry); f != nil {
			faults = append(faults, *f)
		}
		answers = append(answers, entry)
	}
	return answers, faults
}
