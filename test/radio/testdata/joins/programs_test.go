package joins

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// lay renders links and writes their files.
func lay(t *testing.T, links string) probe.Want {
	t.Helper()
	text := "stek: 1\nencryption: {recovery: {show: true}}\nnetwork:\n  links:" + links
	a, err := preseed.Parse("box.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	station, err := net.InterfaceByName("wifi0")
	if err != nil {
		t.Fatal(err)
	}
	nics := []hardware.NIC{{Name: "wifi0", Type: "wifi", MAC: station.HardwareAddr.String()}}
	files, err := network.Render(a.Network, network.Facts{NICs: nics})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll("/etc/systemd/network"), os.RemoveAll(network.JoinedDir)); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Link != "" {
			continue // for systemd, which does not run here
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(f.Path), 0o755), os.WriteFile(f.Path, f.Data, f.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := network.Want(a.Network, nics)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// links lays links and starts wpa_supplicant on what was rendered.
func links(t *testing.T, links string) probe.Want {
	t.Helper()
	want, _ := supplicated(t, links)
	return want
}

func supplicated(t *testing.T, links string) (want probe.Want, stop func()) {
	t.Helper()
	want = lay(t, links)
	stop = start(t, "wpa_supplicant", "-Dnl80211", "-iwifi0", "-c/etc/wpa_supplicant/wpa_supplicant-wifi0.conf")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat("/run/wpa_supplicant/wifi0"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("wpa_supplicant does not listen")
		}
	}
	return want, stop
}

// start runs a program until the test's end, or until it is stopped.
func start(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log.String())
		}
	})
	return stop
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
