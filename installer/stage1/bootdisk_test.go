package stage1

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stek-edge/stek/installer/disk"
)

const (
	testRoot = "00112233-4455-6677-8899-aabbccddeeff"
	stickESP = "11111111-0000-0000-0000-000000000001"
	diskESP  = "22222222-0000-0000-0000-000000000001"
)

func stick(dev string) []partition {
	return []partition{{dev + "1", "esp", stickESP, "esp"}, {dev + "2", "root-a", testRoot, "root"}}
}

func installed(dev string) []partition {
	return []partition{
		{dev + "1", "esp", diskESP, "esp"}, {dev + "2", "root-a", testRoot, "root"},
		{dev + "3", "root-b", "3", "root"}, {dev + "4", "state", "4", disk.TypeLUKS},
	}
}

func TestPickBootDisk(t *testing.T) {
	tests := []struct {
		name      string
		disks     map[string][]partition
		loader    string
		wantDisk  string
		wantState string
		wantErr   string
	}{
		{"stick alone", map[string][]partition{"/dev/sda": stick("/dev/sda")}, stickESP, "/dev/sda", "", ""},
		{"stick in an installed box", map[string][]partition{"/dev/sda": stick("/dev/sda"), "/dev/vda": installed("/dev/vda")}, stickESP, "/dev/sda", "", ""},
		{"installed box with the stick left in", map[string][]partition{"/dev/sda": stick("/dev/sda"), "/dev/vda": installed("/dev/vda")}, diskESP, "/dev/vda", "/dev/vda4", ""},
		{"firmware says nothing, one disk", map[string][]partition{"/dev/vda": installed("/dev/vda")}, "", "/dev/vda", "/dev/vda4", ""},
		{"firmware says nothing, two disks", map[string][]partition{"/dev/sda": stick("/dev/sda"), "/dev/vda": installed("/dev/vda")}, "", "", "", "several disks"},
		{"disk not there yet", map[string][]partition{}, diskESP, "", "", errNoBootDisk.Error()},
		{"another disk with a state of its own", map[string][]partition{"/dev/sda": stick("/dev/sda"), "/dev/sdb": {{"/dev/sdb1", "state", "9", disk.TypeLUKS}}}, stickESP, "/dev/sda", "", ""},
		{"two state partitions", map[string][]partition{"/dev/vda": append(installed("/dev/vda"), partition{"/dev/vda5", "state", "5", disk.TypeLUKS})}, diskESP, "", "", "2 partitions named state"},
		{"root of another image", map[string][]partition{"/dev/vda": {{"/dev/vda1", "esp", diskESP, "esp"}, {"/dev/vda2", "root-a", "other", "root"}}}, diskESP, "", "", "no root file system that fits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := pickBootDisk(tt.disks, tt.loader, testRoot)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("got error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.Device != tt.wantDisk || d.State != tt.wantState {
				t.Errorf("got %+v, want disk %s, state %q", d, tt.wantDisk, tt.wantState)
			}
		})
	}
	if _, err := pickBootDisk(nil, diskESP, testRoot); !errors.Is(err, errNoBootDisk) {
		t.Errorf("an absent disk must be told apart from a wrong one, got %v", err)
	}
}

func TestLoaderPartition(t *testing.T) {
	dir := t.TempDir()
	if got := loaderPartition(dir); got != "" {
		t.Errorf("without a variable: %q", got)
	}
	content := []byte{6, 0, 0, 0}
	for _, c := range utf16.Encode([]rune(strings.ToUpper(diskESP) + "\x00")) {
		content = append(content, byte(c), byte(c>>8))
	}
	if err := os.WriteFile(filepath.Join(dir, "LoaderDevicePartUUID-"+loaderVendor), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := loaderPartition(dir); got != diskESP {
		t.Errorf("got %q, want %q", got, diskESP)
	}
}

// A table that asks for a gigantic array of entries, with right checksums, must cost
// nothing: it is on a disk that anybody may have plugged in.
func TestReadTableIsSafe(t *testing.T) {
	image := make([]byte, 1<<20)
	header := image[512:1024]
	le := binary.LittleEndian
	copy(header, "EFI PART")
	le.PutUint32(header[8:], 0x10000)
	le.PutUint32(header[12:], 92)
	le.PutUint64(header[24:], 1)
	le.PutUint64(header[72:], 2)
	le.PutUint32(header[80:], 1<<31)
	le.PutUint32(header[84:], 1<<31)
	le.PutUint32(header[16:], crc32.ChecksumIEEE(header[:92]))
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if parts := readTable(name); parts != nil {
		t.Errorf("%+v", parts)
	}
}

func TestReadTable(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sfdisk", "-q", name)
	cmd.Stdin = strings.NewReader("label: gpt\nuuid=" + strings.ToUpper(testRoot) + ", name=root-a, size=1M\ntype=" + strings.ToUpper(disk.TypeLUKS) + ", name=state\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	parts := readTable(name)
	if len(parts) != 2 || parts[0].guid != testRoot || parts[0].name != "root-a" || parts[1].typ != disk.TypeLUKS || parts[1].device != disk.PartitionPath(name, 2) {
		t.Errorf("%+v", parts)
	}
}
