package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/node"
	"github.com/stek-edge/stek/installer/onbox"
	"github.com/stek-edge/stek/installer/preseed"
)

func networkTestCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Test the connection stage by stage, and say what to do",
		Long: `Test the connection stage by stage: carrier, WiFi, address, gateway, names, clock,
proxy, packet size, VPN and services. Nothing is changed. Without --preseed a node
tests what it was set up with. The exit status is 1 when a stage fails.`,
		Example: `  stek network test --output json`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "preseed", "", "test what this answer file expects")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		n, err := expected(cmd.Context(), file)
		if err != nil {
			return err
		}
		this := node.ThisNetwork()
		if *output == "text" {
			this.Env.Seen = func(v probe.Verdict) { writeVerdict(cmd.OutOrStdout(), v) }
		}
		report, err := this.Test(cmd.Context(), n)
		if err != nil {
			return err
		}
		if *output == "json" {
			if err := printJSON(cmd.OutOrStdout(), report); err != nil {
				return err
			}
		}
		if v, failed := report.Failed(); failed {
			return fmt.Errorf("the stage %s failed: %s", v.Stage, v.Saw)
		}
		return nil
	}
	return cmd
}

// expected is the network of an answer file, or the one that this node keeps.
func expected(ctx context.Context, file string) (preseed.Network, error) {
	if file != "" {
		return answered(ctx, file)
	}
	n, err := node.ThisNetwork().Kept()
	if errors.Is(err, node.ErrNoNetwork) {
		return n, usageError{fmt.Errorf("%w; name an answer file with --preseed FILE", err)}
	}
	return n, err
}

// answered is the network that an answer file gives this machine.
func answered(ctx context.Context, file string) (preseed.Network, error) {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return preseed.Network{}, err
	}
	keys, err := onbox.ImageKeys("/")
	if err != nil {
		return preseed.Network{}, err
	}
	answers, err := onbox.ReadAnswers(ctx, file, file, inv, keys, terminal{})
	if err != nil {
		return preseed.Network{}, err
	}
	return answers.Full.Network, nil
}

func writeVerdict(w io.Writer, v probe.Verdict) {
	name := string(v.Stage)
	if v.Of != "" {
		name += " (" + v.Of + ")"
	}
	fmt.Fprintf(w, "%-8s %-32s %6.1f s  %s\n", v.Outcome, name, v.Took.Seconds(), v.Saw)
	if v.Do != "" {
		fmt.Fprintf(w, "         what to do: %s\n", v.Do)
	}
}
