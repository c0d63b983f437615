package esp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/fat"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)

func volume(t *testing.T) *fat.Volume {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "esp.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	v, err := fat.Format(f, fat.MinSize, false, fat.Options{Label: esp.Label, Time: epoch})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFilesAreWhereFirmwareLooks(t *testing.T) {
	content := esp.Content{
		Arch: "amd64", Version: "1.2.3", BootLoader: []byte("boot loader"), UKI: []byte("kernel"),
		Keys:  map[string]map[string][]byte{esp.KeysAuto: {"PK.auth": []byte("pk")}, esp.KeysOwn: {"PK.auth": []byte("own")}},
		Files: map[string][]byte{esp.Preseed: []byte("stek: 1\n")},
	}
	disk := content
	disk.Arch, disk.Kernel = "arm64", esp.Kernel("b", 9)
	for _, c := range []struct {
		name    string
		content esp.Content
		files   string
	}{
		{"stick", content, "EFI/BOOT/BOOTX64.EFI EFI/Linux/stek-a.efi EFI/systemd/systemd-bootx64.efi README.txt loader/keys/auto/PK.auth loader/keys/own/PK.auth loader/loader.conf stek/preseed.yaml"},
		{"slot b of an arm64 disk, counted", disk, "EFI/BOOT/BOOTAA64.EFI EFI/Linux/stek-b+9.efi EFI/systemd/systemd-bootaa64.efi README.txt loader/keys/auto/PK.auth loader/keys/own/PK.auth loader/loader.conf stek/preseed.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := volume(t)
			if err := esp.Write(v, c.content, epoch); err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			if err := v.Walk(func(name string, e fat.Entry) error {
				if !e.IsDir {
					found[name] = true
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(c.files)
			for _, name := range want {
				if !found[name] {
					t.Errorf("%s is missing", name)
				}
			}
			if len(found) != len(want) {
				t.Errorf("files %v, want %v", found, want)
			}
		})
	}
}

func TestTextFiles(t *testing.T) {
	v := volume(t)
	if err := esp.Write(v, esp.Content{Arch: "amd64", Version: "1.2.3", BootLoader: []byte("b"), UKI: []byte("k")}, epoch); err != nil {
		t.Fatal(err)
	}
	readme, err := v.ReadFile(esp.Readme, 1<<16)
	if err != nil || !strings.HasPrefix(string(readme), "stek 1.2.3\r\n") {
		t.Errorf("README.txt starts with %.20q, error %v", readme, err)
	}
	conf, err := v.ReadFile(esp.LoaderConf, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"timeout 0", "editor no", "secure-boot-enroll manual"} {
		if !strings.Contains(string(conf), "\n"+line+"\n") {
			t.Errorf("loader.conf lacks %q:\n%s", line, conf)
		}
	}
	if e, err := v.Stat(esp.Folder); err != nil || !e.IsDir {
		t.Errorf("the folder for answers is missing: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, c := range map[string]esp.Content{
		"unknown architecture":    {Arch: "riscv64", BootLoader: []byte("b"), UKI: []byte("k")},
		"no boot loader":          {Arch: "amd64", UKI: []byte("k")},
		"no kernel":               {Arch: "amd64", BootLoader: []byte("b")},
		"a file that is there":    {Arch: "amd64", BootLoader: []byte("b"), UKI: []byte("k"), Files: map[string][]byte{esp.Readme: nil}},
		"a name that FAT refuses": {Arch: "amd64", BootLoader: []byte("b"), UKI: []byte("k"), Files: map[string][]byte{"a:b": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := esp.Write(volume(t), c, epoch); err == nil {
				t.Error("accepted")
			}
		})
	}
}
