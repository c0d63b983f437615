//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// TestSpine is the life of one box in the order in which it happens, with no network
// card at all: installed unattended from a stick that stays in, started from its
// disk, opened by its TPM, Ready; a pod writes to a volume; the power goes, the stick
// is pulled; the box comes back by itself with the data. Then its disk is carried to
// another box.
func TestSpine(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{})
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	if n := strings.Count(box.Console.Text(), "The plan:"); n != 1 {
		t.Fatalf("the installer planned %d times: the stick that stayed in was started again", n)
	}
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	status := box.status(t)
	if status.OpenedBy != "tpm2" || status.Binding != "provisional" || status.SecureBoot {
		t.Errorf("after the first start the node says %+v", status)
	}

	datum := canary(t)
	box.apply(t, strings.ReplaceAll(volumePod, "DATUM", datum))
	box.run(t, "kubectl wait --for=condition=Ready --timeout=600s pod/probe")
	machineID := box.run(t, "cat /etc/machine-id")

	must(t, box.PowerCut())
	box = powerOn(t, s, s.WithoutStick())
	phase(t, "disk opened after the power cut, without the stick", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	phase(t, "Ready after the power cut", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	box.run(t, "kubectl wait --for=condition=Ready --timeout=600s pod/probe")
	if got := box.run(t, "kubectl exec probe -c serve -- /probe cat /data/kept"); got != datum {
		t.Errorf("after the power cut the volume holds %q, not %q", got, datum)
	}
	status = box.status(t)
	if status.OpenedBy != "tpm2" || status.Binding != "bound" {
		t.Errorf("after the second start the node says %+v", status)
	}
	if kinds := fmt.Sprint(status.kinds()); kinds != "[maintenance recovery tpm2]" {
		t.Errorf("the key slots are %s: the installer's own should be gone", kinds)
	}
	if id := box.run(t, "cat /etc/machine-id"); id != machineID {
		t.Errorf("the machine id changed from %s to %s", machineID, id)
	}

	canaries := append(box.kept(t), box.unkept(t)...)
	start := box.sealedStart(t)
	must(t, box.PowerCut())
	canaries = append(canaries, start.unseal(t, vm.TPM{Dir: filepath.Join(s.Machine.Dir, "tpm")}))
	t.Run("the system that came up is blessed", func(t *testing.T) {
		if _, err := builder.ReadFile(s.Disk, esp.Kernel("a", 0)); err != nil {
			t.Error(err)
		}
	})
	t.Run("nothing private on disk or stick", func(t *testing.T) { checkAbsent(t, s, canaries) })

	t.Run("disk in a box with another TPM", func(t *testing.T) {
		other := s.WithoutStick()
		other.TPM = &vm.TPM{Dir: filepath.Join(s.Dir, "other-tpm")}
		box := powerOn(t, s, other)
		_, err := box.WaitLocked(ctx)
		must(t, err)
		if text := box.Console.Text(); !strings.Contains(text, "did not open by itself") {
			t.Errorf("the box does not say why it asks")
		}
		box.openWithRecoveryKey(t)
		if m, err := box.WaitOpened(ctx); err != nil || m.Groups[0] != "recovery" {
			t.Fatalf("the recovery key: %v, %v", m.Groups, err)
		}
		must(t, box.LogIn(ctx))
	})
}

// volumePod writes a datum to a volume claim and stays there to be asked for it.
const volumePod = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 64Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec:
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  initContainers:
  - {name: write, image: "docker.io/stek/probe:1", args: [write, /data/kept, DATUM], volumeMounts: [{name: data, mountPath: /data}]}
  containers:
  - {name: serve, image: "docker.io/stek/probe:1", args: [serve, ":8080", /data], volumeMounts: [{name: data, mountPath: /data}]}
`

// canary is a text that stands nowhere by chance.
func canary(t *testing.T) string {
	t.Helper()
	b := make([]byte, 12)
	_, err := rand.Read(b)
	must(t, err)
	return "canary" + hex.EncodeToString(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// phase logs how long a part of a test took, for a person who reads the log.
func phase(t *testing.T, name string, do func() (vm.Match, error)) {
	t.Helper()
	started := time.Now()
	m, err := do()
	must(t, err)
	t.Logf("%-55s after %5.0f s, at %5.0f s of this power-on", name, time.Since(started).Seconds(), m.At.Seconds())
}

func newSite(t *testing.T, o site.Options) *site.Site {
	t.Helper()
	o.Stek, o.Dir = stek, t.TempDir()
	if o.Image == "" {
		o.Image = image
	}
	s, err := site.New(context.WithoutCancel(t.Context()), o)
	must(t, err)
	t.Log("processor: ", s.Processor)
	return s
}

// TestProbeKernel starts the kernel with which a site tries KVM: with one that starts
// nowhere, KVM would never be used, and nobody would see why.
func TestProbeKernel(t *testing.T) {
	s := newSite(t, site.Options{})
	kernel, err := s.ProbeKernel(t.Context())
	must(t, err)
	box := vm.Start(t, vm.Machine{Dir: t.TempDir(), Accel: vm.TCG, Kernel: kernel, Cmdline: "console=ttyS0 panic=-1", NoReboot: true})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, err = box.Console.Expect(ctx, `Linux version`)
	must(t, err)
}
