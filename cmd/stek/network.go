package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"golang.zx2c4.com/wireguard/wgctrl"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/endpoint"
)

func networkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Test, change and look at the network of this box",
		Long: `Test, change and look at the network of this box. A configuration is tested before it
is kept; the last one that worked is kept beside it and returns by itself.`,
	}
	cmd.AddCommand(networkTestCommand(), networkApplyCommand(), networkConfirmCommand(), networkStatusCommand(),
		networkKeyCommand(), networkTrialCommand(), networkSettleCommand(), networkFollowCommand(), networkJoinedCommand())
	return cmd
}

func networkKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Print the public key of this box's tunnel, for its other end",
		Long: `Print the public key of this box's WireGuard tunnel. The private key was made on the box
and never leaves it; give this one to whoever keeps the other end. A terminal shows it as
a QR code, too.`,
		Example: `  stek network key`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printTunnelKey(cmd.OutOrStdout())
		},
	}
}

// networkFollowCommand is what stek-network-endpoint.service runs.
func networkFollowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "follow", Hidden: true, Args: cobra.NoArgs,
		Short: "Follow the other end of the tunnel when its name moves (run while up)",
		Long: `Look the names of the tunnel's peers up again, every 30 seconds, and tell the kernel when
one has moved: WireGuard itself asks once only.`,
		Example: `  stek network follow`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := expected(cmd.Context(), "")
			if err != nil {
				return err
			}
			if n.VPN.WireGuard == nil {
				return nil
			}
			client, err := wgctrl.New()
			if err != nil {
				return err
			}
			defer client.Close()
			tunnel := endpoint.Of(client, network.Tunnel, *n.VPN.WireGuard)
			tunnel.Every = endpoint.Interval
			tunnel.Moved = func(m endpoint.Move) {
				fmt.Fprintf(cmd.OutOrStdout(), "the peer %s is now at %s\n", m.Key, m.To)
			}
			endpoint.Follow(cmd.Context(), tunnel)
			return nil
		},
	}
}
