// Command stek is every role of a stek machine in one program: the first process
// of the initramfs, the installer on the box, the builder of images on a laptop,
// and the node's own keeper afterwards. It parses, calls and prints; what is
// decided is decided in the packages below installer, images and firmware. It must
// never hold a rule that a second front end would need as well. How the roles follow
// each other from power-on to a node that is Ready stands in package installer.
//
//	stek image build --k3s module --keys keys --file stek-amd64.img
//	stek image customize stek-amd64.img --preseed site.yaml
//	stek install --preseed site.yaml --dry-run
//	stek node status
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/stage1"
)

// version is stamped by the linker (-X main.version=…).
var version = "dev"

func main() {
	switch {
	case stage1.IsInit():
		stage1.Main()
	case filepath.Base(os.Args[0]) == "modprobe":
		if err := stage1.Modprobe(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	called, err := command().ExecuteContextC(ctx)
	if err == nil {
		return
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "stek: stopped")
		os.Exit(int(installer.StatusAborted))
	}
	report(os.Stderr, called, err)
	os.Exit(exitStatus(err))
}

// usageError marks what the person got wrong on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitStatuses stands in the help of each command that says nothing else of it.
const exitStatuses = `Exit status: 0 done, 1 failed, 2 invalid input or usage, 3 refused for safety,
4 hardware missing, 130 stopped.`

func exitStatus(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return int(installer.StatusInvalid)
	}
	return int(installer.StatusOf(err))
}

// report prints an error for the person: what happened, then what to do.
func report(w io.Writer, called *cobra.Command, err error) {
	var faults preseed.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			fmt.Fprintln(w, f)
		}
		return
	}
	var disks *disk.Refusal
	if errors.As(err, &disks) {
		fmt.Fprint(w, "stek: ", disks.Text())
		return
	}
	fmt.Fprintln(w, "stek:", err)
	if remedy := installer.RemedyOf(err); remedy != "" && !strings.Contains(err.Error(), remedy) {
		fmt.Fprintf(w, "What to do: %s.\n", strings.TrimSuffix(remedy, "."))
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(w, "Try '%s --help'.\n", called.CommandPath())
	}
}

// command is the whole command line, with its completion. What cobra finds wrong with it by itself is
// marked as an error of usage: arguments too many, commands that are not there.
func command() *cobra.Command {
	cmd := root()
	complete(cmd)
	each(cmd, func(c *cobra.Command) {
		if !strings.Contains(c.Long, "Exit status:") {
			c.Long += "\n\n" + exitStatuses
		}
		check := c.Args
		switch {
		case check != nil:
			c.Args = func(c *cobra.Command, args []string) error {
				if err := check(c, args); err != nil {
					return usageError{fmt.Errorf("%w; write it as: %s", err, c.UseLine())}
				}
				if err := c.ValidateFlagGroups(); err != nil {
					return usageError{err}
				}
				return nil
			}
		case c.HasSubCommands():
			c.Args = cobra.ArbitraryArgs // so that RunE sees the word that is no command
			c.RunE = func(c *cobra.Command, args []string) error {
				if len(args) == 0 {
					return c.Help()
				}
				hint := ""
				if near := c.SuggestionsFor(args[0]); len(near) > 0 {
					hint = "; did you mean " + strings.Join(near, " or ") + "?"
				}
				return usageError{fmt.Errorf("%s has no command %q%s", c.CommandPath(), args[0], hint)}
			}
		}
	})
	return cmd
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stek",
		Short: "Turn an x86 box into an encrypted k3s node",
		Long: `stek turns an x86 box into an encrypted k3s node of a fleet.

An image is built on a computer, written to a stick with an answer file, and installs
a box unattended. The same program is the installer, the first process of the box, and
its keeper afterwards.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.CompletionOptions.DisableDefaultCmd = true // completionCommand is ours
	cmd.AddCommand(hardwareCommand(), installCommand(), imageCommand(), keyCommand(), networkCommand(), clockCommand(), nodeCommand(),
		preseedCommand(), completionCommand(), manCommand())
	return cmd
}

// outputFlag adds --output and returns where its value will be.
func outputFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("output", "text", "how to print: text or json")
}

func checkOutput(format string) error {
	if format != "text" && format != "json" {
		return usageError{fmt.Errorf("--output takes text or json, not %q", format)}
	}
	return nil
}
