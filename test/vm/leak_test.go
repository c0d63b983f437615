package vm_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/vm"
)

// childEnv makes this test program power on a box and wait to be killed.
const childEnv = "STEK_VM_TEST_CHILD"

// running lists the processes whose command line names a directory.
func running(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), dir) && !strings.Contains(string(line), "test.run") {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// gone waits a moment until nothing runs that names the directory.
func gone(t *testing.T, dir string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if left = running(t, dir); len(left) == 0 {
			return
		}
	}
	t.Errorf("still running: %v", left)
}

// idle is a machine with firmware and a TPM whose processes name dir.
func idle(dir string) vm.Machine {
	return vm.Machine{Dir: dir, Memory: 128, Accel: vm.TCG, Firmware: vm.UEFI, TPM: &vm.TPM{}}
}

func TestPowerOnAndWait(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return // this is no test of its own, but the other half of TestKilledProgramLeavesNothing
	}
	if _, err := idle(dir).PowerOn(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("powered on")
	select {}
}

func TestKilledProgramLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestPowerOnAndWait$")
	child.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "powered on\n" {
		t.Fatalf("the child said %q (%v)", line, err)
	}
	if n := len(running(t, dir)); n != 2 {
		t.Errorf("%d processes run, want QEMU and swtpm: %v", n, running(t, dir))
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	gone(t, dir)
}

func TestContextEndsTheBox(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	box, err := idle(dir).PowerOn(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	cancel()
	if err := box.WaitOff(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	gone(t, dir)
	if _, err := box.Console.Expect(within(t, time.Second), `never`); !errors.Is(err, vm.ErrOff) {
		t.Errorf("expecting from a box that is off: %v", err)
	}
	if err := box.Reset(t.Context()); !errors.Is(err, vm.ErrOff) {
		t.Errorf("resetting a box that is off: %v", err)
	}
	for range 2 {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Dir(box.ConsoleSocket())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the sockets is still there (%v)", err)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	m := idle(dir)
	m.ExtraFlags = []string{"-device", "no-such-device"}
	_, err := m.PowerOn(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no-such-device") {
		t.Errorf("error is %v, want QEMU's own words", err)
	}
	gone(t, dir)
}

func TestDetachedBoxIsStoppedLater(t *testing.T) {
	dir := t.TempDir()
	m := idle(dir)
	m.Outlive = true
	box, err := m.PowerOn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Detach(); err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Error(err)
	}
	if n := len(running(t, dir)); n != 2 {
		t.Errorf("%d processes run after Detach, want QEMU and swtpm", n)
	}
	for range 2 {
		if err := vm.Stop(within(t, 10*time.Second), dir); err != nil {
			t.Error(err)
		}
	}
	gone(t, dir)
}
