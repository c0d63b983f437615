// Package checks holds tests that run in a guest.
package checks

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRunsUnderAnotherKernel(t *testing.T) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	t.Logf("kernel %s", unix.ByteSliceToString(name.Release[:]))
	if want := os.Getenv("WANT_KERNEL"); unix.ByteSliceToString(name.Release[:]) != want {
		t.Errorf("kernel is %s, want %s", name.Release[:], want)
	}
}

func TestHasItsTestdata(t *testing.T) {
	text, err := os.ReadFile("testdata/word")
	if err != nil || strings.TrimSpace(string(text)) != "stek" {
		t.Errorf("testdata/word holds %q (%v)", text, err)
	}
}

func TestHasTPM(t *testing.T) {
	if _, err := os.Stat("/dev/tpmrm0"); err != nil {
		t.Error(err)
	}
}
