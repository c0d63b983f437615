//go:build linux

package network

import (
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
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/lan"
)

// TestSupplicantReads: wpa_supplicant understands every line that is rendered for
// it. There is no radio here, so it runs with its driver for cables and is only
// asked which networks it knows; joining them is tested in package radio.
func TestSupplicantReads(t *testing.T) {
	lan.New(t).Cable(t, "eth0")
	for name, want := range map[string][]string{
		"wifi":       {"Kantoor \\xc3\\xa9", "Kas 7", "hidden one", "guests"},
		"enterprise": {"staff", "boxes"},
		"several":    {"Kas 7"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("../../installer/network/testdata", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			a, err := preseed.Parse(name, append([]byte("stek: 1\nencryption: {recovery: {show: true}}\n"), text...))
			if err != nil {
				t.Fatal(err)
			}
			files, err := network.Render(a.Network, network.Facts{NICs: []hardware.NIC{
				{Name: "wifi0", Type: "wifi", MAC: "5c:e0:c5:00:00:03"},
				{Name: "enp1s0", Type: "ethernet", MAC: "dc:a6:32:00:00:01"}, {Name: "enp2s0", Type: "ethernet", MAC: "dc:a6:32:00:00:02"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			conf := filepath.Join(t.TempDir(), "wpa_supplicant.conf")
			for _, f := range files {
				if strings.HasSuffix(f.Path, "/wpa_supplicant-wifi0.conf") {
					if err := os.WriteFile(conf, f.Data, f.Mode); err != nil {
						t.Fatal(err)
					}
				}
			}
			known := networksOf(t, conf)
			for _, ssid := range want {
				if !strings.Contains(known, "\t"+ssid+"\t") {
					t.Errorf("it does not know %q:\n%s", ssid, known)
				}
			}
		})
	}
}

// networksOf starts wpa_supplicant and returns its answer to LIST_NETWORKS.
func networksOf(t *testing.T, conf string) string {
	t.Helper()
	cmd := exec.Command("wpa_supplicant", "-Dwired", "-ieth0", "-c"+conf)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	own := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixgram"}
	var conn *net.UnixConn
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var err error
		conn, err = net.DialUnix("unixgram", own, &net.UnixAddr{Name: "/run/wpa_supplicant/eth0", Net: "unixgram"})
		if err == nil {
			break
		}
		os.Remove(own.Name)
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("wpa_supplicant does not listen: %v\n%s", err, log.String())
		}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("LIST_NETWORKS")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 65536)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer[:n])
}
