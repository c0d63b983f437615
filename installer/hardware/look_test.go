package hardware

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/stek-edge/stek/test/golden"
)

func utf16Bytes(s string) []byte {
	var out []byte
	for _, c := range utf16.Encode([]rune(s + "\x00")) {
		out = binary.LittleEndian.AppendUint16(out, c)
	}
	return out
}

// officePC is an old office machine as a technician meets it: Linux on NVMe under
// LVM, a second disk that was part of a RAID, a card reader without a card, eMMC,
// and the stick it was started from.
func officePC(t *testing.T) *box {
	b := newBox(t)
	b.sys("class/dmi/id/sys_vendor", "Dell Inc.\n")
	b.sys("class/dmi/id/product_name", "OptiPlex 7050\n")
	b.sys("class/dmi/id/product_serial", "4CXYZ12\n")
	b.sys("class/dmi/id/bios_vendor", "Dell Inc.\n")
	b.sys("class/dmi/id/bios_version", "1.24.0\n")
	b.efi("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", []byte{0})
	b.efi("SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c", []byte{1})
	b.efi(loaderPartition, utf16Bytes(strings.ToUpper(guid1)))
	b.proc("cpuinfo", strings.Repeat("processor\t: 0\nmodel name\t: Intel(R) Core(TM)  i5-7500 CPU @ 3.40GHz\nflags\t\t: fpu sse4_2 aes avx\n\n", 4))
	b.proc("meminfo", "MemTotal:       16268948 kB\nMemFree: 1 kB\n")
	b.proc("swaps", "Filename\t\t\t\tType\t\tSize\n/dev/dm-1 partition 1 0 -2\n")
	b.sys("class/tpm/tpm0/tpm_version_major", "2\n")
	b.sys("class/tpm/tpm0/pcr-sha256/0", strings.Repeat("5A", 32)+"\n")
	put(t, filepath.Join(b.roots.Dev, "tpmrm0"), "")

	nvme := b.mkDisk("nvme0n1", "pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0", 96<<20, map[string]string{
		"device/model": "Samsung SSD 960 PRO 512GB               \n", "device/serial": "S3EWNX0K123456T     \n", "wwid": "eui.0025385671b0a1b2\n",
	})
	mkGPT(t, nvme, "1M:31M:"+espType+":EFI System:aaaaaaaa-0001-4000-8000-0000000000ff", "32M:90M:"+linuxType+"::"+guid2)
	place(t, nvme, 1<<20, fat(t))
	place(t, nvme, 32<<20, captured(t, "lvm"))
	b.mkPart("nvme0n1", "nvme0n1p1", 1)
	b.mkPart("nvme0n1", "nvme0n1p2", 2)
	b.mapped("dm-0", "vg0-home", "nvme0n1p2")
	link(t, filepath.Join(b.roots.Dev, "disk/by-id/nvme-Samsung_SSD_960_PRO_512GB_S3EWNX0K123456T"), nvme)

	sda := b.mkDisk("sda", "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0", 64<<20, map[string]string{
		"device/vendor": "ATA     \n", "device/model": "WDC WD10EZEX-08W\n", "device/wwid": "naa.50014ee2b5a1c0de\n",
		"device/vpd_pg80": "\x00\x80\x00\x14     WD-WCC6Y1234567", "queue/rotational": "1\n",
	})
	img := make([]byte, 64<<20)
	handmade()["linux_raid_member 1.0"](img)
	place(t, sda, 0, img)

	stick := b.mkDisk("sdb", "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host4/target4:0:0/4:0:0:0", 48<<20, map[string]string{
		"device/vendor": "SanDisk \n", "device/model": "Ultra Fit       \n", "removable": "1\n",
	})
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/idVendor", "1d6b\n")
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/serial", "0000:00:14.0\n")
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-2/idVendor", "0781\n")
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-2/serial", "4C530001230101116083\n")
	mkGPT(t, stick, "1M:31M:"+espType+":esp:"+guid1, "32M:40M:4f68bce3-e8cd-4db1-96e7-fbcaf984b709:root-a:"+guid2)
	place(t, stick, 1<<20, fat(t))

	b.mkDisk("mmcblk0", "platform/80860F14:00/mmc_host/mmc0/mmc0:0001", 16<<20, map[string]string{
		"device/name": "DF4032\n", "device/serial": "0x1a2b3c4d\n",
	})
	b.mkDisk("sdc", "pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0/host5/target5:0:0/5:0:0:0", 0, map[string]string{"device/model": "Card Reader\n"})
	for _, other := range []string{"mmcblk0boot0", "mmcblk0rpmb", "loop0", "ram0", "zram0", "sr0", "fd0", "nvme0c0n1", "md0", "nbd0"} {
		b.mkDisk(other, "virtual/"+other, 1<<20, nil)
	}

	b.sys("devices/pci0000:00/0000:00:1f.6/net/enp0s31f6/address", "d8:9e:f3:01:02:03\n")
	b.sys("devices/pci0000:00/0000:00:1f.6/net/enp0s31f6/type", "1\n")
	b.nic("enp0s31f6", "pci0000:00/0000:00:1f.6", "e1000e")
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/net/wlx/address", "00:c0:ca:aa:bb:cc\n")
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/net/wlx/type", "1\n")
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/net/wlx/phy80211/name", "phy0\n")
	b.nic("wlx", "pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0", "mt76x2u")
	b.sys("class/net/lo/type", "772\n")
	return b
}

// nic puts a network card whose files exist into its class.
func (b *box) nic(name, device, drv string) {
	b.t.Helper()
	dev := filepath.Join(b.roots.Sys, "devices", device)
	link(b.t, filepath.Join(dev, "net", name, "device"), dev)
	b.sys("bus/drivers/"+drv+"/bind", "")
	link(b.t, filepath.Join(dev, "driver"), filepath.Join(b.roots.Sys, "bus/drivers", drv))
	link(b.t, filepath.Join(b.roots.Sys, "class/net", name), filepath.Join(dev, "net", name))
}

// fat is a FAT32 volume called ESP.
func fat(t *testing.T) []byte {
	t.Helper()
	image := blankImage(t, 30<<20)
	run(t, "", "mkfs.vfat", "-F32", "-n", "ESP", "-i", "1a2b3c4d", image)
	data, err := os.ReadFile(image)
	must(t, err)
	return data[:64<<10]
}

// look takes the inventory and puts the names of the real machine's places back,
// so that golden files do not change from run to run.
func look(t *testing.T, b *box) *Inventory {
	t.Helper()
	inv, err := Look(context.Background(), b.roots)
	must(t, err)
	var buf bytes.Buffer
	must(t, Save(&buf, inv))
	text := strings.ReplaceAll(buf.String(), b.roots.Dev, "/dev")
	text = strings.ReplaceAll(text, `"arch": "`+runtime.GOARCH, `"arch": "amd64`)
	inv, err = Load(strings.NewReader(text))
	must(t, err)
	return inv
}

func TestLookAtAnOfficePC(t *testing.T) {
	inv := look(t, officePC(t))
	var text, data bytes.Buffer
	must(t, WriteText(&text, inv))
	must(t, Save(&data, inv))
	golden.Check(t, "office-pc.txt", text.Bytes())
	golden.Check(t, "office-pc.json", data.Bytes())
}

func diskNamed(t *testing.T, inv *Inventory, name string) Disk {
	t.Helper()
	i := slices.IndexFunc(inv.Disks, func(d Disk) bool { return d.Path == "/dev/"+name })
	if i < 0 {
		t.Fatalf("no disk %s in %+v", name, inv.Disks)
	}
	return inv.Disks[i]
}

// TestCardAsUdevHasIt: the network programs match by what udev knows of a card.
func TestCardAsUdevHasIt(t *testing.T) {
	b := newBox(t)
	const device = "platform/scb/fd580000.ethernet"
	b.sys("devices/"+device+"/net/eth0/address", "dc:a6:32:01:02:03\n")
	b.sys("devices/"+device+"/net/eth0/type", "1\n")
	b.sys("devices/"+device+"/net/eth0/ifindex", "2\n")
	b.nic("eth0", device, "bcmgenet-device")
	put(t, filepath.Join(b.roots.Run, "udev/data/n2"), "E:ID_PATH=platform-fd580000.ethernet\nE:ID_PATH_TAG=x\nE:ID_NET_DRIVER=bcmgenet\n")
	want := NIC{Name: "eth0", MAC: "dc:a6:32:01:02:03", Driver: "bcmgenet", Type: "ethernet", Path: "platform-fd580000.ethernet"}
	if got := b.roots.nics(); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A radio that is there may be switched off; what no program can overrule is told first.
func TestBlockedRadio(t *testing.T) {
	for _, c := range []struct {
		name, hard, soft, want string
	}{
		{"on", "0", "0", ""},
		{"by its switch", "1", "0", BlockedHard},
		{"by a program", "0", "1", BlockedSoft},
		{"by both", "1", "1", BlockedHard},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := officePC(t)
			phy := "devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/net/wlx/phy80211/"
			b.sys(phy+"rfkill0/hard", c.hard+"\n")
			b.sys(phy+"rfkill0/soft", c.soft+"\n")
			for _, n := range b.roots.nics() {
				want := ""
				if n.Name == "wlx" {
					want = c.want
				}
				if n.Blocked != want {
					t.Errorf("%s: %q, want %q", n.Name, n.Blocked, want)
				}
			}
		})
	}
}

func TestWhereSerialsComeFrom(t *testing.T) {
	b := newBox(t)
	const ata = "pci0000:00/0000:00:17.0/ata2/host1/target1:0:0/1:0:0:0"
	b.mkDisk("sda", ata, 1<<20, map[string]string{"device/vendor": "ATA\n"})
	put(t, filepath.Join(b.roots.Run, "udev/data/b8:16"), "S:disk/by-id/x\nE:ID_SERIAL_SHORT=OLD-KERNEL-1\nE:ID_SERIAL=x\n")
	b.mkDisk("sdb", "pci0000:00/0000:03:00.0/host2/port-2:0/end_device-2:0/target2:0:0/2:0:0:0", 1<<20, map[string]string{
		"device/vendor": "ATA     \n", "device/vpd_pg80": "\x00\x80\x00\x04ABCDgarbage behind the length",
	})
	b.mkDisk("sdc", "pci0000:00/0000:03:00.0/host2/port-2:1/end_device-2:1/target2:0:1/2:0:1:0", 1<<20, map[string]string{
		"device/vendor": "SEAGATE \n", "device/vpd_pg80": "\x00\x83\x00\x04ABCD", "device/wwid": "t10.SEAGATE text\n",
	})
	b.mkDisk("vda", "pci0000:00/0000:00:04.0/virtio1", 1<<20, map[string]string{"serial": "stek-target"})
	b.mkDisk("sdd", "pci0000:00/0000:00:14.0/usb1/1-1/1-1.3/1-1.3:1.0/host6/target6:0:0/6:0:0:0", 1<<20, map[string]string{
		"device/vendor": "ASMT\n", "device/vpd_pg80": "\x00\x80\x00\x04FROM",
	})
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-1/idVendor", "05e3\n") // a hub
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-1/serial", "HUB\n")
	b.sys("devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.3/idVendor", "174c\n") // no serial of its own
	inv := look(t, b)
	for _, want := range []struct{ name, bus, serial, wwn string }{
		{"sda", "sata", "OLD-KERNEL-1", ""},
		{"sdb", "sata", "ABCD", ""},
		{"sdc", "scsi", "", ""},
		{"sdd", "usb", "FROM", ""},
		{"vda", "virtio", "stek-target", ""},
	} {
		d := diskNamed(t, inv, want.name)
		if d.Bus != want.bus || d.Serial != want.serial || d.WWN != want.wwn {
			t.Errorf("%s: bus %q serial %q wwn %q, want %+v", want.name, d.Bus, d.Serial, d.WWN, want)
		}
	}
}

func TestInUse(t *testing.T) {
	b := newBox(t)
	b.mkDisk("sda", "ata1/x", 1<<20, nil) // 8:16
	b.mkPart("sda", "sda1", 1)
	b.mkPart("sda", "sda2", 2)
	b.mkPart("sda", "sda3", 3)
	b.mkDisk("sdb", "ata2/x", 1<<20, nil)
	b.mapped("md127", "", "sda2", "sdb")
	dev := b.roots.Dev
	b.proc("self/mountinfo", "36 35 8:17 / /srv/with\\040space rw shared:1 - ext4 /dev/x rw\n"+
		"40 35 0:40 /@ /home rw - btrfs "+dev+"/sda3 rw\n"+
		"41 35 0:41 / /mnt rw - nonsense\n"+
		"42 35 0:42 / /run rw - tmpfs tmpfs rw\n")
	b.proc("swaps", "Filename Type Size Used Priority\n"+dev+"/sda3 partition 1 0 -2\n")
	inv := look(t, b)
	want := []string{"/dev/sda1 is mounted on /srv/with space", "/dev/sda2 is part of md127", "/dev/sda3 is mounted on /home", "/dev/sda3 is swap space in use"}
	if d := cmp.Diff(want, diskNamed(t, inv, "sda").InUse); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/dev/sdb is part of md127"}, diskNamed(t, inv, "sdb").InUse); d != "" {
		t.Error(d)
	}
}

func TestBootDisk(t *testing.T) {
	esp := func(n int) Partition { return Partition{Number: n, Name: "esp", Start: 1 << 20, Size: 1 << 20} }
	two := func(t *testing.T) *box {
		b := newBox(t)
		for i, n := range []string{"sda", "sdb"} {
			node := b.mkDisk(n, n+"/x", 4<<20, nil)
			place(t, node, 0, rawGPT(4<<20, 512, esp(i+1)))
			b.mkPart(n, n+"1", 1)
		}
		return b
	}
	cases := []struct {
		name string
		prep func(t *testing.T, b *box)
		want []string
	}{
		{"nothing known", func(*testing.T, *box) {}, nil},
		{"the loader's partition", func(_ *testing.T, b *box) {
			b.efi(loaderPartition, utf16Bytes("02020202-0202-0202-0202-020202020202"))
		}, []string{"/dev/sdb"}},
		{"two sticks from one image", func(t *testing.T, b *box) {
			b.efi(loaderPartition, utf16Bytes("01010101-0101-0101-0101-010101010101"))
			place(t, b.mkDisk("sdc", "sdc/x", 4<<20, nil), 0, rawGPT(4<<20, 512, esp(1)))
		}, []string{"/dev/sda", "/dev/sdc"}},
		{"the disk under the verity root", func(_ *testing.T, b *box) { b.mapped("dm-0", "root", "sdb1") }, []string{"/dev/sdb"}},
		{"loader and root on different disks", func(_ *testing.T, b *box) {
			b.efi(loaderPartition, utf16Bytes("01010101-0101-0101-0101-010101010101"))
			b.mapped("dm-0", "root", "sdb1")
		}, []string{"/dev/sda", "/dev/sdb"}},
		{"another mapping is not the root", func(_ *testing.T, b *box) { b.mapped("dm-0", "state", "sdb1") }, nil},
		{"a plain system: what is mounted on /", func(_ *testing.T, b *box) {
			b.proc("self/mountinfo", "1 0 8:33 / / rw - ext4 /dev/root rw\n")
		}, []string{"/dev/sdb"}},
		{"a damaged variable", func(_ *testing.T, b *box) { b.efi(loaderPartition, []byte{1}) }, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := two(t)
			c.prep(t, b)
			var got []string
			for _, d := range look(t, b).Disks {
				if d.Boot {
					got = append(got, d.Path)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestUnreadableDiskIsNotEmpty(t *testing.T) {
	b := newBox(t)
	node := b.mkDisk("sda", "ata1/x", 8<<20, nil)
	must(t, os.Remove(node))
	node = b.mkDisk("sdb", "ata2/x", 8<<20, nil)
	must(t, os.Truncate(node, 4<<20)) // ends in the middle, as a dying disk does
	inv := look(t, b)
	for _, n := range []string{"sda", "sdb"} {
		if d := diskNamed(t, inv, n); d.Fault == "" {
			t.Errorf("%s: %+v", n, d)
		}
	}
}

func TestIdentify(t *testing.T) {
	b := newBox(t)
	node := b.mkDisk("vda", "pci0000:00/0000:00:04.0/virtio1", 8<<20, map[string]string{"serial": "one"})
	link(t, filepath.Join(b.roots.Dev, "disk/by-id/virtio-one"), node)
	was, err := Identify(b.roots, node)
	must(t, err)
	is, err := Identify(b.roots, filepath.Join(b.roots.Dev, "disk/by-id/virtio-one"))
	must(t, err)
	if why, same := SameDevice(was, is); !same {
		t.Fatal(why)
	}
	b.sys("block/vda/serial", "two")
	is, err = Identify(b.roots, node)
	must(t, err)
	if why, same := SameDevice(was, is); same || why != "serial was one and is two" {
		t.Fatal(why, same)
	}
	if _, err := Identify(b.roots, filepath.Join(b.roots.Dev, "vdb")); err == nil {
		t.Fatal("a disk that is not there was found")
	}
}

func TestBoardWithDeviceTree(t *testing.T) {
	b := newBox(t)
	b.proc("device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\x00")
	b.proc("device-tree/serial-number", "10000000abcdef01\x00")
	b.proc("cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\nCPU part\t: 0xd08\n\nprocessor\t: 1\nFeatures\t: fp asimd\nCPU part\t: 0xd08\n")
	inv := look(t, b)
	if inv.Board != (Board{Vendor: "Raspberry Pi", Product: "Raspberry Pi 4 Model B Rev 1.4", Serial: "10000000abcdef01"}) || inv.Firmware.Type != "raspberry-pi" {
		t.Errorf("%+v %+v", inv.Board, inv.Firmware)
	}
	if inv.CPU != (CPU{Model: "Cortex-A72", Cores: 2}) {
		t.Errorf("%+v", inv.CPU)
	}
	var text bytes.Buffer
	must(t, WriteText(&text, inv))
	golden.Check(t, "raspberry-pi.txt", text.Bytes())
}

func TestPlaceholdersAreNoSerials(t *testing.T) {
	b := newBox(t)
	b.sys("class/dmi/id/sys_vendor", "To Be Filled By O.E.M.\n")
	b.sys("class/dmi/id/product_name", "NUC\n")
	b.sys("class/dmi/id/product_serial", "Default string\n")
	if got := look(t, b).Board; got != (Board{Product: "NUC"}) {
		t.Errorf("%+v", got)
	}
}

func TestTPM(t *testing.T) {
	cases := []struct {
		name  string
		files map[string]string
		want  TPM
	}{
		{"none", nil, TPM{}},
		{"1.2", map[string]string{"tpm_version_major": "1\n", "device/firmware_node/hid": "IFX0102\n"}, TPM{Present: true, Version: 1, Device: "/dev/tpm0", Vendor: "Infineon"}},
		{"2.0 without SHA-256", map[string]string{"tpm_version_major": "2\n", "pcr-sha1/0": "aa\n"}, TPM{Present: true, Version: 2, Device: "/dev/tpm0"}},
		{"2.0, nothing measured", map[string]string{"tpm_version_major": "2\n", "pcr-sha256/0": strings.Repeat("0", 64), "device/of_node/compatible": "infineon,slb9670\x00tcg,tpm_tis-spi\x00"},
			TPM{Present: true, Version: 2, Device: "/dev/tpm0", SHA256: true, Vendor: "Infineon"}},
		{"2.0, all ones", map[string]string{"tpm_version_major": "2\n", "pcr-sha256/0": strings.Repeat("F", 64)}, TPM{Present: true, Version: 2, Device: "/dev/tpm0", SHA256: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			put(t, filepath.Join(b.roots.Dev, "tpm0"), "")
			for k, v := range c.files {
				b.sys("class/tpm/tpm0/"+k, v)
			}
			if d := cmp.Diff(c.want, look(t, b).TPM); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLookHere(t *testing.T) {
	inv, err := Look(context.Background(), Host())
	must(t, err)
	if inv.CPU.Cores < 1 || inv.Memory == 0 {
		t.Errorf("%+v", inv)
	}
	var text bytes.Buffer
	must(t, WriteText(&text, inv))
	t.Logf("%s", text.String())
}

func TestLookStopsWithItsContext(t *testing.T) {
	b := newBox(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.mkDisk("sda", "ata1/x", 1<<30, nil)
	must(t, os.Remove(filepath.Join(b.roots.Dev, "sda")))
	run(t, "", "mkfifo", filepath.Join(b.roots.Dev, "sda")) // opening it hangs, as a dying disk does
	if _, err := Look(ctx, b.roots); err == nil {
		t.Fatal("no error")
	}
}
