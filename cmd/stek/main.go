// Command stek is every role of a stek machine in one program: the first process
// of the initramfs, the installer on the box, the builder of images on a laptop,
// and the node's own keeper afterwards. It parses, calls and prints; what is
// decided is decided in the packages below installer, images and firmware.
//
//	stek image build --output stek-amd64.img
//	stek install --preseed site.yaml --dry-run
//	stek node status
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer"
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
	err := root().ExecuteContext(ctx)
	if err == nil {
		return
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "stek: stopped")
		os.Exit(int(installer.StatusAborted))
	}
	report(os.Stderr, err)
	os.Exit(exitStatus(err))
}

// usageError marks what the person got wrong on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitStatus(err error) int {
	var usage usageError
	var faults preseed.Faults
	switch {
	case errors.As(err, &usage), errors.As(err, &faults):
		return int(installer.StatusInvalid)
	}
	return int(installer.StatusOf(err))
}

// report prints an error for the person: what happened, then what to do.
func report(w *os.File, err error) {
	var faults preseed.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			fmt.Fprintln(w, f)
		}
		return
	}
	fmt.Fprintln(w, "stek:", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(w, "Try 'stek --help'.")
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stek",
		Short: "Turn a Raspberry Pi or an x86 box into an encrypted k3s node",
		Long: `stek turns a Raspberry Pi or an x86 box into an encrypted k3s node of a fleet.

Exit status: 0 done, 1 failed, 2 invalid input or usage, 3 refused for safety,
4 hardware missing, 130 stopped.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(hardwareCommand(), installCommand(), imageCommand(), keyCommand(), nodeCommand())
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
