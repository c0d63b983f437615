//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullSecureBoot installs a box in setup mode: it enrols the keys, starts again
// from the stick, and is sealed to a signed policy from its first start on.
func TestFullSecureBoot(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{Firmware: vm.UEFISecureBoot, Answers: "boot: {secure-boot: enrol}\n"})
	box := powerOn(t, s, s.Machine)
	phase(t, "keys enrolled", func() (vm.Match, error) { return box.WaitEnrolled(ctx) })
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	if s := box.status(t); !s.SecureBoot || s.SetupMode || s.OpenedBy != "tpm2" || s.Binding != "bound" {
		t.Errorf("the node says %+v", s)
	}
	must(t, box.PowerCut())
	box = powerOn(t, s, s.WithoutStick())
	if m, err := box.WaitOpened(ctx); err != nil || m.Groups[0] != "tpm2" {
		t.Errorf("after a power cut: %v, %v", m.Groups, err)
	}

	must(t, box.LogIn(ctx))
	refuseImage(t, box)
	if out := box.run(t, "stek key reseal"); !strings.Contains(out, "what the next start will measure, since dbx changed") {
		t.Errorf("stek key reseal: %s", out)
	}
	must(t, box.PowerCut())
	box = powerOn(t, s, s.WithoutStick())
	if m, err := box.WaitOpened(ctx); err != nil || m.Groups[0] != "tpm2" {
		t.Fatalf("after an update of dbx: %v, %v", m.Groups, err)
	}
	must(t, box.LogIn(ctx))
	if s := box.status(t); s.Binding != "bound" || len(s.Slots) != 3 {
		t.Errorf("after an update of dbx the node says %+v", s)
	}
}

// firstStart are moments of a start from the disk, in its order: the new root is entered
// and the state mounted; the first start binds the key; units start; k3s unpacks what it
// runs; k3s serves, and starts the cluster's own pods.
var firstStart = []moment{
	{``, time.Second},
	{``, 6 * time.Second},
	{`login: `, 0},
	{`login: `, 15 * time.Second},
	{`stek: not ready yet|This box is ready`, 20 * time.Second},
}

// TestFullEarlyPowerCuts cuts the power ten times before the first start from the disk
// is proved to be good. The five before the disk is opened say nothing about the system,
// so none may cost it a try. Whatever the others cut off, the TPM opens the disk at the
// next start, and the box gets Ready. Two more cuts come as it says so, when the kernel has
// written back little of what k3s wrote.
func TestFullEarlyPowerCuts(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{})
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	for _, moment := range []string{`starting Boot.* "stek"`, `EFI stub:`, `stek: stek `, `volume opened by`, `stek: stek `} {
		if _, err := box.Console.Expect(ctx, moment); err != nil {
			t.Fatal(err)
		}
		must(t, box.PowerCut())
		box = powerOn(t, s, s.Machine)
	}
	opened := func() (vm.Match, error) {
		m, err := box.WaitOpened(ctx)
		if err == nil && m.Groups[0] != "tpm2" {
			err = fmt.Errorf("the disk was opened by %s", m.Groups[0])
		}
		return m, err
	}
	for i, m := range firstStart {
		phase(t, fmt.Sprintf("disk opened after %d early cuts", 5+i), opened)
		if m.line != "" {
			// A prompt ends no line.
			phase(t, m.line, func() (vm.Match, error) { return box.Console.ExpectPrompt(ctx, m.line) })
		}
		time.Sleep(m.after)
		must(t, box.PowerCut())
		box = powerOn(t, s, s.Machine)
	}
	phase(t, "disk opened after ten early cuts", opened)
	for i := range 2 {
		phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
		must(t, box.PowerCut())
		box = powerOn(t, s, s.WithoutStick())
		phase(t, fmt.Sprintf("disk opened after cut %d when Ready", i+1), opened)
	}
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	if s := box.status(t); s.Binding != "bound" || fmt.Sprint(s.kinds()) != "[maintenance recovery tpm2]" {
		t.Errorf("the node says %+v", s)
	}
	must(t, box.PowerCut())
	if _, err := builder.ReadFile(s.Disk, esp.Kernel("a", 0)); err != nil {
		t.Errorf("the system is not blessed: %v", err)
	}
}

// TestFullTwoInstalls installs two boxes from one image; nothing that makes a box
// itself may be the same.
func TestFullTwoInstalls(t *testing.T) {
	ctx := t.Context()
	var own [2]map[string]string
	for i := range own {
		s := newSite(t, site.Options{})
		box := powerOn(t, s, s.Machine)
		phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
		phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
		must(t, box.LogIn(ctx))
		recovery, err := s.RecoveryKey(ctx)
		must(t, err)
		own[i] = map[string]string{
			"recovery key": recovery,
			"machine id":   box.run(t, "cat /etc/machine-id"),
			"SSH host key": box.run(t, "systemctl start ssh; cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub"),
			"volume key": box.run(t, "cryptsetup luksDump --batch-mode --dump-volume-key --key-file /state/stek/maintenance.key "+
				"$(grep -o '\"device\":\"[^\"]*' /run/stek/unlock.json | cut -d'\"' -f4) | sha256sum"),
			"volume": box.run(t, "grep -o '\"uuid\":\"[^\"]*' /run/stek/unlock.json"),
		}
		must(t, box.PowerCut())
	}
	for name, first := range own[0] {
		if first == "" || first == own[1][name] {
			t.Errorf("both boxes have the same %s, or none", name)
		}
	}
}

// TestFullFirmwareForgets clears the firmware's variables of an installed box, so that
// it starts the stick that stayed in: the stick must not install a second time.
func TestFullFirmwareForgets(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{})
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	must(t, box.PowerCut())

	forgetful := s.Machine
	forgetful.Dir = t.TempDir()
	forgetful.TPM = &vm.TPM{Dir: s.Machine.Dir + "/tpm"}
	box = powerOn(t, s, forgetful)
	phase(t, "the stick knows the box", func() (vm.Match, error) {
		return box.Console.Expect(ctx, `installed already, by this stick`, `volume opened by`)
	})
	if strings.Contains(box.Console.Text(), "The plan:") {
		t.Error("the stick planned a second installation")
	}
}

// TestFullNoTPM carries the disk to a box without a TPM: it says so and asks.
func TestFullNoTPM(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{})
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	must(t, box.PowerCut())

	bare := s.WithoutStick()
	bare.TPM = nil
	box = powerOn(t, s, bare)
	phase(t, "asked for the recovery key", func() (vm.Match, error) { return box.WaitLocked(ctx) })
	if text := box.Console.Text(); !strings.Contains(text, "no TPM at") {
		t.Error("the box does not say that it has no TPM")
	}
	box.openWithRecoveryKey(t)
	if m, err := box.WaitOpened(ctx); err != nil || m.Groups[0] != "recovery" {
		t.Fatalf("the recovery key: %v, %v", m.Groups, err)
	}
}
