package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/onbox"
	"github.com/stek-edge/stek/installer/preseed"
)

func installCommand() *cobra.Command {
	var answerFile, machine, ui string
	var dryRun, onBox bool
	cmd := &cobra.Command{
		Use:   "install [--preseed FILE]",
		Short: "Install this machine",
		Long: `Install this machine from the stick it was started from.

The answers come from --preseed; without it they are asked for on this terminal.
With --dry-run nothing is touched: the plan is printed, or what is asked ends with
it. With --machine it is made for a captured machine (see 'stek hardware show
--output json').

With the key ask an answer file leaves some answers to a person; with --dry-run they are
asked only with --ui.

The questions are asked on the whole screen, or one after another with --ui line, for
screen readers and simple terminals.`,
		Example: `  stek install --dry-run --machine test/machines/mini-pc.json
  stek install --preseed site.yaml --dry-run
  stek install --preseed site.yaml --dry-run --machine test/machines/mini-pc.json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&answerFile, "preseed", "", "the answer file")
	flags.StringVar(&machine, "machine", "", "plan for a captured machine (needs --dry-run)")
	flags.BoolVar(&dryRun, "dry-run", false, "print the plan and touch nothing")
	flags.StringVar(&ui, "ui", "", "how to ask: screen or line; by itself what the terminal can do")
	flags.BoolVar(&onBox, "on-box", false, "run as the stick's own service: find everything, talk to every console")
	_ = flags.MarkHidden("on-box")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if onBox {
			return onbox.Unattended(cmd.Context())
		}
		if machine != "" && !dryRun {
			return usageError{errors.New("--machine names a captured machine, which can only be planned for: add --dry-run")}
		}
		if answerFile == "" {
			if *output != "text" {
				return usageError{errors.New("questions are asked in text only: name the answer file with --preseed FILE")}
			}
			return installAsked(cmd, ui, machine, "", dryRun)
		}
		asks, err := leavesOpen(answerFile)
		if err != nil {
			return err
		}
		if asks && (!dryRun || ui != "") {
			return installAsked(cmd, ui, machine, answerFile, dryRun)
		}
		if !dryRun {
			return onbox.Install(cmd.Context(), answerFile, emitter(cmd.OutOrStdout(), *output))
		}
		file, err := readAnswers(answerFile)
		if err != nil {
			return err
		}
		inv, err := inventory(cmd, machine)
		if err != nil {
			return err
		}
		answers, err := file.For(installer.Machine(inv))
		if err != nil {
			return usageError{err}
		}
		if err := file.NotBuilt(installer.Machine(inv)); err != nil {
			return err
		}
		ids, err := disk.NewIDs(rand.Reader)
		if err != nil {
			return err
		}
		plan, err := installer.Make(preseed.Defaults(answers), inv, onbox.ThisImage(version), ids)
		if err != nil {
			return err
		}
		return printPlan(cmd.OutOrStdout(), plan, *output)
	}
	return cmd
}

// leavesOpen tells whether an answer file has a person asked.
func leavesOpen(path string) (bool, error) {
	file, err := readAnswers(path)
	if err != nil {
		return false, err
	}
	return len(file.Answers().Ask) > 0, nil
}

func readAnswers(path string) (*preseed.File, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading the answer file: %w", err)}
	}
	return preseed.Read(path, content)
}

func printPlan(w io.Writer, plan *installer.Plan, format string) error {
	if format == "json" {
		return printJSON(w, plan)
	}
	return installer.WritePlan(w, plan)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// emitter prints the events of a run: lines for a person, or JSON lines.
func emitter(w io.Writer, format string) installer.Emit {
	if format == "json" {
		enc := json.NewEncoder(w)
		return func(e installer.Event) { _ = enc.Encode(e) }
	}
	return installer.PlainLines(w)
}
