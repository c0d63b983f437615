package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/node"
)

func networkApplyCommand() *cobra.Command {
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Try the network of an answer file, and keep it when it works",
		Long: `Put the network of an answer file in place, test it, and keep it when it is no worse
than the one before. With --confirm-within the one before returns unless somebody
runs 'stek network confirm' in that time: for a box that is changed from afar. After
a failed test, and after a restart in between, the one before returns by itself.`,
		Example: `  stek network apply site.yaml --confirm-within 2m`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := answered(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for _, w := range network.Warnings(wanted) {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
			}
			this := node.ThisNetwork()
			id, err := this.Change(cmd.Context(), wanted, within)
			if errors.Is(err, node.ErrNoNetwork) {
				return usageError{node.ErrNotANode}
			}
			if err != nil {
				return err
			}
			return follow(cmd, this.Keeper, id, within)
		},
	}
	cmd.Flags().DurationVar(&within, "confirm-within", 0, "return to the network before unless confirmed in this time, such as 2m")
	return cmd
}

// follow tells how a trial goes until it has ended. A session that is cut off here
// changes nothing about it.
func follow(cmd *cobra.Command, k keep.Keeper, id string, within time.Duration) error {
	told := false
	for {
		s, err := k.Load()
		if err != nil {
			return err
		}
		switch {
		case s.Trial == nil && s.Last != nil && s.Last.Kept:
			fmt.Fprintf(cmd.OutOrStdout(), "kept: %s\n", s.Last.Reason)
			return nil
		case s.Trial == nil && s.Last != nil:
			return fmt.Errorf("the network before is back: %s", s.Last.Reason)
		case s.Trial != nil && s.Trial.Good && !told:
			told = true
			fmt.Fprintf(cmd.OutOrStdout(), "the test was passed; run 'stek network confirm %s' within %v, or the network before returns\n", id, within)
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func networkConfirmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm [ID]",
		Short: "Keep the network that is being tried",
		Long: `Keep the network that 'stek network apply --confirm-within' is trying, once its test was
passed. With the ID that apply printed, only that one is kept and no other.`,
		Example: `  stek network confirm`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return node.ThisNetwork().Keeper.Confirm(strings.Join(args, ""))
		},
	}
}

func networkStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Print which network configuration is kept and which is tried",
		Long: `Print the ID of the network configuration that is kept, of the one that is being tried,
and why the last trial ended as it did.`,
		Example: `  stek network status`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := node.ThisNetwork().Keeper.Load()
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if s.Kept.Test == nil {
				fmt.Fprintln(w, "this machine keeps no network configuration")
				return nil
			}
			fmt.Fprintf(w, "kept   %s\n", s.Kept.ID())
			if t := s.Trial; t != nil {
				state := "being tested"
				if t.Good {
					state = "waiting to be confirmed"
				}
				fmt.Fprintf(w, "tried  %s, %s\n", t.Config.ID(), state)
			}
			if s.Last != nil {
				fmt.Fprintf(w, "last   %s: %s\n", s.Last.ID, s.Last.Reason)
			}
			return nil
		},
	}
}
