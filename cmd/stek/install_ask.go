package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/onbox"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/tui"
)

// installAsked asks a person at this terminal, and installs this machine or shows what would
// happen. path is an answer file that leaves some answers to the person; empty: all are asked.
func installAsked(cmd *cobra.Command, ui, machine, path string, dryRun bool) error {
	show, err := screensOf(cmd, ui)
	if err != nil {
		return err
	}
	options := tui.Options{Input: cmd.InOrStdin(), Output: cmd.OutOrStdout(), Env: os.Environ()}
	if !dryRun {
		return onbox.Attended(cmd.Context(), show, options, path)
	}
	inv, err := inventory(cmd, machine)
	if err != nil {
		return err
	}
	ids, err := disk.NewIDs(rand.Reader)
	if err != nil {
		return err
	}
	values, ask := installer.Suggest(inv), []string(nil)
	if path != "" {
		file, err := readAnswers(path)
		if err != nil {
			return err
		}
		given, err := file.For(installer.Machine(inv))
		if err != nil {
			return usageError{err}
		}
		values, ask = preseed.Flatten(preseed.Defaults(given)), given.Ask
	}
	session := tui.Session{
		Inventory: inv, Image: onbox.ThisImage(version), IDs: ids, Values: values, Ask: ask,
		Save: func(text []byte) (string, error) {
			const name = "preseed.yaml"
			return name, writeNew(name, text)
		},
	}
	return show(cmd.Context(), session, options)
}

// screensOf is the way to ask that was named, or the one that the terminal can do.
func screensOf(cmd *cobra.Command, ui string) (onbox.Show, error) {
	in, file := cmd.InOrStdin().(*os.File)
	terminal := file && term.IsTerminal(int(in.Fd()))
	switch {
	case ui == "line", ui == "" && terminal && os.Getenv("TERM") == "dumb":
		return tui.RunLines, nil
	case ui == "screen" && terminal, ui == "" && terminal:
		return tui.Run, nil
	case ui == "screen":
		return nil, usageError{errors.New("--ui screen needs a terminal: use --ui line, or name the answer file with --preseed FILE")}
	case ui == "":
		return nil, usageError{errors.New("name the answer file with --preseed FILE, or ask with --ui line")}
	}
	return nil, usageError{fmt.Errorf("--ui is screen or line, not %q", ui)}
}
