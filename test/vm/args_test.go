package vm

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/golden"
)

// The files in testdata/args show what each kind of machine turns into.
func TestArgs(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	if err := NewDisk(image, 1<<20); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		machine Machine
		accel   Accel
	}{
		{"bare", Machine{}, TCG},
		{"installer", Machine{
			Memory: 2048, Firmware: UEFI, TPM: &TPM{}, Screen: true,
			Disks: []Disk{{Name: "stick", Path: image, Bus: USB, Serial: "STICK1"}, {Name: "disk", Path: image, Bus: NVMe, Serial: "S1", BlockSize: 4096}},
		}, KVM},
		{"secure-boot", Machine{Firmware: UEFISecureBoot, TPM: &TPM{TIS: true}, RTC: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC), Serial2: true}, TCG},
		{"kernel", Machine{Kernel: "/k/vmlinuz", Initrd: "/k/initrd", Cmdline: "console=ttyS0 quiet", NoReboot: true}, TCG},
		{"disks", Machine{Disks: []Disk{
			{Path: image}, {Path: image, Format: "qcow2", ReadOnly: true},
			{Path: image, Bus: SATA, Serial: "A", Model: "Disk A"}, {Path: image, Bus: SATA, BootIndex: 1},
			{Path: image, Bus: SCSI, Model: "Disk B"}, {Name: "later", Path: image, Bus: USB, Unplugged: true},
		}}, TCG},
		{"worn", Machine{Disks: []Disk{{Path: image, BadWrite: 64 << 20}}}, TCG},
		{"slow", Machine{Disks: []Disk{{Path: image, ReadRate: 80e6, WriteRate: 20e6}}}, TCG},
		{"network", Machine{NICs: []NIC{
			{Wire: &Wire{}, MAC: "52:54:00:00:00:01"}, {User: &UserNetwork{Forwards: []string{"tcp:127.0.0.1:8080-:80"}}},
			{Raw: "tap,ifname=t0,script=no", Model: "e1000e"},
		}}, TCG},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.machine.Dir = "/m"
			m, err := test.machine.prepared()
			if err != nil {
				t.Fatal(err)
			}
			w := wiring{accel: test.accel, code: "/f/code.fd", vars: "/m/vars.fd", qmp: "/r/qmp", serial: "/r/serial", serial2: "/r/serial2", tpm: "/r/tpm", logs: "/m/power,on"}
			for i, nic := range m.NICs {
				w.nics = append(w.nics, nic.netdev(i, "/r/local", "/r/remote"))
			}
			var lines strings.Builder
			for _, a := range m.args(w) {
				if strings.HasPrefix(a, "-") && lines.Len() > 0 {
					lines.WriteString("\n" + a)
				} else {
					lines.WriteString(" " + a)
				}
			}
			got := strings.ReplaceAll(strings.TrimSpace(lines.String()), image, "/d/image") + "\n"
			golden.Check(t, filepath.Join("args", test.name+".golden"), got)
		})
	}
}

func TestMachineFaults(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	if err := NewDisk(image, 1<<20); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		machine Machine
		want    []string
	}{
		{"no Dir, a command line without a kernel", Machine{Cmdline: "quiet"}, []string{"Dir is missing", "need a Kernel"}},
		{"disk that is not there", Machine{Dir: "/m", Disks: []Disk{{Path: image + "2"}}}, []string{"disk disk0", "no such file"}},
		{"device node", Machine{Dir: "/m", Disks: []Disk{{Path: "/dev/null"}}}, []string{"real disks are never used"}},
		{"two disks of one name", Machine{Dir: "/m", Disks: []Disk{{Name: "a", Path: image}, {Name: "a", Path: image}}}, []string{"two of that name"}},
		{"comma in the serial", Machine{Dir: "/m", Disks: []Disk{{Path: image, Serial: "a,b"}}}, []string{"comma"}},
		{"unknown bus and format", Machine{Dir: "/m", Disks: []Disk{{Path: image, Bus: "ide", Format: "vmdk"}}}, []string{"no such bus", "no such format"}},
		{"model on NVMe", Machine{Dir: "/m", Disks: []Disk{{Path: image, Bus: NVMe, Model: "M"}}}, []string{"model"}},
		{"unplugged disk", Machine{Dir: "/m", Disks: []Disk{{Path: image, Unplugged: true}}}, []string{"only a stick"}},
		{"network card to nowhere", Machine{Dir: "/m", NICs: []NIC{{}}}, []string{"exactly one"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.machine.prepared()
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want %q in it", err, want)
				}
			}
		})
	}
}
