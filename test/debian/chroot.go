package debian

import (
	"context"
	"os/exec"
)

// Signatures is the file of signed PCR policies in a Command's folder, as
// systemd-measure(1) writes it. It need not be there.
const Signatures = "signatures.json"

// Command is a program of the system at root, on the host's kernel, in a mount namespace
// of its own. It works in dir, and finds the Signatures of that folder where
// systemd-cryptenroll(1) looks for them. env is "NAME=value", besides PATH and the locale.
func Command(ctx context.Context, root, dir string, env []string, words ...string) *exec.Cmd {
	const script = `set -e
root=$1 work=$2; shift 2
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$work" "$root/mnt"
mount -t tmpfs run "$root/run"
mkdir "$root/run/systemd"
[ ! -e "$work/` + Signatures + `" ] || cp "$work/` + Signatures + `" "$root/run/systemd/tpm2-pcr-signature.json"
exec chroot "$root" sh -c 'cd /mnt && exec "$@"' sh "$@"`
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-c", script, "sh", root, dir}, words...)...)
	cmd.Env = append(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8")
	return cmd
}
