package disk

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mkDisk is an empty SATA disk of 500 GB; with changes it.
func mkDisk(path, serial string, with ...func(*hardware.Disk)) hardware.Disk {
	d := hardware.Disk{Path: path, Serial: serial, Model: "WDC WD5000", Bus: "sata", Size: 500_107_862_016, SectorSize: 512}
	for _, w := range with {
		w(&d)
	}
	return d
}

func usb(d *hardware.Disk)        { d.Bus, d.Removable = "usb", true }
func nvme(d *hardware.Disk)       { d.Bus, d.Model = "nvme", "Samsung SSD 980" }
func boot(d *hardware.Disk)       { d.Boot = true }
func inUse(d *hardware.Disk)      { d.InUse = []string{"/dev/sda1 is mounted on /srv"} }
func readOnly(d *hardware.Disk)   { d.ReadOnly = true }
func unreadable(d *hardware.Disk) { d.Fault = "input/output error" }

func size(n uint64) func(*hardware.Disk) { return func(d *hardware.Disk) { d.Size = n } }

// holds puts partitions on a disk, "name:content:label" each.
func holds(parts ...string) func(*hardware.Disk) {
	return func(d *hardware.Disk) {
		d.Table = "gpt"
		for i, p := range parts {
			f := strings.SplitN(p, ":", 3)
			d.Partitions = append(d.Partitions, hardware.Partition{
				Number: i + 1, Name: f[0], Content: f[1], Label: f[2], Start: uint64(i+1) << 30, Size: 1 << 30,
			})
		}
	}
}

var stekParts = []string{"esp:vfat:STEK", "root-a:squashfs:", "root-b::", "state:crypto_LUKS:stek-state"}

func machine(disks ...hardware.Disk) *hardware.Inventory {
	return &hardware.Inventory{Arch: "amd64", Disks: disks}
}

func TestSelect(t *testing.T) {
	yes, no := true, false
	cases := []struct {
		name   string
		inv    *hardware.Inventory
		want   preseed.Disk
		path   string      // the disk that is taken, or
		kind   RefusalKind // why none is
		why    []Reason    // against the first disk
		remedy string      // a part of what to do
	}{
		{name: "the only disk", inv: machine(mkDisk("/dev/sda", "A")), path: "/dev/sda"},
		{name: "the only disk besides the boot medium", inv: machine(mkDisk("/dev/sda", "A", usb, boot), mkDisk("/dev/sdb", "B")), path: "/dev/sdb"},
		{name: "no disk", inv: machine(), kind: RefusedNoDisk, remedy: "AHCI"},
		{name: "no match", inv: machine(mkDisk("/dev/sda", "A")), want: preseed.Disk{Match: preseed.Match{Serial: "B"}},
			kind: RefusedNoMatch, why: []Reason{ReasonSerial}, remedy: "correct disk.match"},
		{name: "several", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/sdb", "B")), kind: RefusedSeveral, remedy: `disk.match.serial: "A"`},
		{name: "several, one chosen by serial", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/sdb", "B")),
			want: preseed.Disk{Match: preseed.Match{Serial: "B"}}, path: "/dev/sdb"},
		{name: "never the largest by itself", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/sdb", "B", size(4e12))), kind: RefusedSeveral},
		{name: "identical disks without serials", inv: machine(mkDisk("/dev/sda", ""), mkDisk("/dev/sdb", "")), kind: RefusedSeveral, remedy: "unplug all but one"},
		{name: "identical adapters with one serial", inv: machine(mkDisk("/dev/sda", "0123"), mkDisk("/dev/sdb", "0123")), kind: RefusedSeveral, remedy: "unplug all but one"},
		{name: "no serials but other sizes", inv: machine(mkDisk("/dev/sda", ""), mkDisk("/dev/sdb", "", size(2e12))), kind: RefusedSeveral, remedy: "min-size"},
		{name: "a serial glob that fits two", inv: machine(mkDisk("/dev/sda", "WD-1"), mkDisk("/dev/sdb", "WD-2")),
			want: preseed.Disk{Match: preseed.Match{Serial: "WD-*"}}, kind: RefusedSeveral},

		{name: "boot medium", inv: machine(mkDisk("/dev/sda", "A", boot)), kind: RefusedNoMatch, why: []Reason{ReasonBoot}, remedy: "not started from"},
		{name: "boot medium asked for by serial", inv: machine(mkDisk("/dev/sda", "A", boot), mkDisk("/dev/sdb", "B")),
			want: preseed.Disk{Match: preseed.Match{Serial: "A"}, Erase: true, Reinstall: true}, kind: RefusedNoMatch, why: []Reason{ReasonBoot}},
		{name: "in use", inv: machine(mkDisk("/dev/sda", "A", inUse)), want: preseed.Disk{Erase: true}, kind: RefusedNoMatch, why: []Reason{ReasonInUse}, remedy: "unmount"},
		{name: "read-only", inv: machine(mkDisk("/dev/sda", "A", readOnly)), kind: RefusedNoMatch, why: []Reason{ReasonReadOnly}, remedy: "write protection"},
		{name: "too small", inv: machine(mkDisk("/dev/sda", "A", size(8e9))), kind: RefusedNoMatch, why: []Reason{ReasonTooSmall}, remedy: "at least 15"},
		{name: "just large enough", inv: machine(mkDisk("/dev/sda", "A", size(MinDiskSize))), path: "/dev/sda"},
		{name: "one byte short", inv: machine(mkDisk("/dev/sda", "A", size(MinDiskSize-512))), kind: RefusedNoMatch, why: []Reason{ReasonTooSmall}},
		{name: "unreadable, even with consent", inv: machine(mkDisk("/dev/sda", "A", unreadable)), want: preseed.Disk{Erase: true, Reinstall: true},
			kind: RefusedNoMatch, why: []Reason{ReasonUnreadable}, remedy: "cable"},
		{name: "odd sectors", inv: machine(mkDisk("/dev/sda", "A", func(d *hardware.Disk) { d.SectorSize = 2048 })), kind: RefusedNoMatch, why: []Reason{ReasonSectorSize}},
		{name: "all reasons are given", inv: machine(mkDisk("/dev/sda", "A", boot, readOnly, inUse)), want: preseed.Disk{Match: preseed.Match{Bus: "nvme"}},
			kind: RefusedNoMatch, why: []Reason{ReasonBus, ReasonBoot, ReasonInUse, ReasonReadOnly}},

		{name: "by model, any case, with a slash", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/sdb", "B", func(d *hardware.Disk) { d.Model = "SD/MMC 64GB" })),
			want: preseed.Disk{Match: preseed.Match{Model: "sd*64gb"}}, path: "/dev/sdb"},
		{name: "by vendor and model", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/sdb", "B", func(d *hardware.Disk) { d.Vendor, d.Model = "SEAGATE", "ST1" })),
			want: preseed.Disk{Match: preseed.Match{Model: "seagate st?"}}, path: "/dev/sdb"},
		{name: "by bus", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/nvme0n1", "B", nvme)), want: preseed.Disk{Match: preseed.Match{Bus: "nvme"}}, path: "/dev/nvme0n1"},
		{name: "by smallest size", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/sdb", "B", size(2e12))), want: preseed.Disk{Match: preseed.Match{MinSize: 1e12}}, path: "/dev/sdb"},
		{name: "by largest size", inv: machine(mkDisk("/dev/sda", "A"), mkDisk("/dev/sdb", "B", size(2e12))), want: preseed.Disk{Match: preseed.Match{MaxSize: 1e12}}, path: "/dev/sda"},
		{name: "by rotation", inv: machine(mkDisk("/dev/sda", "A", func(d *hardware.Disk) { d.Rotational = true }), mkDisk("/dev/sdb", "B")),
			want: preseed.Disk{Match: preseed.Match{Rotational: &no}}, path: "/dev/sdb"},
		{name: "by rotation, the other", inv: machine(mkDisk("/dev/sda", "A", func(d *hardware.Disk) { d.Rotational = true }), mkDisk("/dev/sdb", "B")),
			want: preseed.Disk{Match: preseed.Match{Rotational: &yes}}, path: "/dev/sda"},
		{name: "a disk without a serial when one is asked for", inv: machine(mkDisk("/dev/sda", "")), want: preseed.Disk{Match: preseed.Match{Serial: "?*"}},
			kind: RefusedNoMatch, why: []Reason{ReasonSerial}},
		{name: "malformed pattern", inv: machine(mkDisk("/dev/sda", "A")), want: preseed.Disk{Match: preseed.Match{Serial: "[a"}}, kind: RefusedPattern},

		{name: "data without erase", inv: machine(mkDisk("/dev/sda", "A", holds("data:ext4:srv"))), kind: RefusedHoldsData, remedy: "disk.erase: true"},
		{name: "data with erase", inv: machine(mkDisk("/dev/sda", "A", holds("data:ext4:srv"))), want: preseed.Disk{Erase: true}, path: "/dev/sda"},
		{name: "data is not skipped in favour of an empty disk", inv: machine(mkDisk("/dev/sda", "A", holds("data:ext4:srv")), mkDisk("/dev/sdb", "B")), kind: RefusedSeveral},
		{name: "an empty table holds nothing", inv: machine(mkDisk("/dev/sda", "A", holds())), path: "/dev/sda"},
		{name: "an empty partition is something", inv: machine(mkDisk("/dev/sda", "A", holds("::"))), kind: RefusedHoldsData},
		{name: "data that nothing recognises", inv: machine(mkDisk("/dev/sda", "A", func(d *hardware.Disk) { d.Content = hardware.Unknown })), kind: RefusedHoldsData},
		{name: "a file system without a table", inv: machine(mkDisk("/dev/sda", "A", func(d *hardware.Disk) { d.Content = "vfat" })), kind: RefusedHoldsData},
		{name: "remains of LVM", inv: machine(mkDisk("/dev/sda", "A", func(d *hardware.Disk) { d.Content = "LVM2_member" })), kind: RefusedHoldsData},
		{name: "remains of RAID outside the partitions", inv: machine(mkDisk("/dev/sda", "A", holds(), func(d *hardware.Disk) { d.Remains = []string{"linux_raid_member"} })), kind: RefusedHoldsData},
		{name: "remains of ZFS with erase", inv: machine(mkDisk("/dev/sda", "A", func(d *hardware.Disk) { d.Content = "zfs_member" })), want: preseed.Disk{Erase: true}, path: "/dev/sda"},

		{name: "installed", inv: machine(mkDisk("/dev/sda", "A", holds(stekParts...))), kind: RefusedHoldsStek, remedy: "remove the stick"},
		{name: "installed, with erase only", inv: machine(mkDisk("/dev/sda", "A", holds(stekParts...))), want: preseed.Disk{Erase: true}, kind: RefusedHoldsStek, remedy: "disk.reinstall: true"},
		{name: "installed, with reinstall only", inv: machine(mkDisk("/dev/sda", "A", holds(stekParts...))), want: preseed.Disk{Reinstall: true}, kind: RefusedHoldsStek},
		{name: "installed, with both", inv: machine(mkDisk("/dev/sda", "A", holds(stekParts...))), want: preseed.Disk{Erase: true, Reinstall: true}, path: "/dev/sda"},
		{name: "installed, the header of state damaged", inv: machine(mkDisk("/dev/sda", "A", holds("esp:vfat:", "root-a::", "root-b::", "state::"))),
			want: preseed.Disk{Erase: true}, kind: RefusedHoldsStek},
		{name: "installed, only state left", inv: machine(mkDisk("/dev/sda", "A", holds("state:crypto_LUKS:stek-state"))), want: preseed.Disk{Erase: true}, kind: RefusedHoldsStek},
		{name: "another system's state partition", inv: machine(mkDisk("/dev/sda", "A", holds("state:ext4:"))), want: preseed.Disk{Erase: true}, path: "/dev/sda"},
		{name: "an installer stick is data, not an installation", inv: machine(mkDisk("/dev/sda", "A", usb, holds("esp:vfat:STEK", "root-a:squashfs:"))), want: preseed.Disk{Erase: true}, path: "/dev/sda"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, no := Select(c.inv, c.want)
			if c.kind == "" {
				if no != nil {
					t.Fatalf("refused: %s", no.Text())
				}
				if got.Path != c.path {
					t.Fatalf("took %s", got.Path)
				}
				return
			}
			if no == nil {
				t.Fatalf("took %s", got.Path)
			}
			if no.Kind != c.kind || !strings.Contains(no.Remedy, c.remedy) || no.Message == "" || no.Remedy == "" {
				t.Errorf("%s: %s", no.Kind, no.Text())
			}
			if c.why != nil && !slices.Equal(no.Disks[0].Reasons, c.why) {
				t.Errorf("reasons %v", no.Disks[0].Reasons)
			}
			for _, v := range no.Disks {
				if len(v.Why) != len(v.Reasons) {
					t.Errorf("%v: %v", v.Reasons, v.Why)
				}
			}
			if got.Path != "" {
				t.Errorf("a refusal came with the disk %s", got.Path)
			}
		})
	}
}

func TestRefusalText(t *testing.T) {
	inv := machine(
		mkDisk("/dev/nvme0n1", "S3EW", nvme, holds(append(slices.Clone(stekParts), "old:LVM2_member:")...)),
		mkDisk("/dev/sda", "WD-1", inUse, size(8e9)),
		mkDisk("/dev/sdb", "4C53", usb, boot),
	)
	_, no := Select(inv, preseed.Disk{Erase: true})
	golden.Check(t, "installed.txt", no.Text())
	_, no = Select(inv, preseed.Disk{Match: preseed.Match{Serial: "S4*"}})
	golden.Check(t, "no-match.txt", no.Text())
	inv.Disks[1] = mkDisk("/dev/sda", "WD-1")
	_, no = Select(inv, preseed.Disk{})
	golden.Check(t, "several.txt", no.Text())

	var buf bytes.Buffer
	must(t, json.NewEncoder(&buf).Encode(no)) // a program reads it too
	if !strings.Contains(buf.String(), `"kind":"several"`) {
		t.Error(buf.String())
	}
}

func TestMembersAndOtherInstalls(t *testing.T) {
	d := mkDisk("/dev/sda", "A", holds("a:LVM2_member:", "b:ext4:", "c:ext4:"), func(d *hardware.Disk) {
		d.Partitions[2].Remains = []string{"zfs_member"}
		d.Remains = []string{"linux_raid_member"}
	})
	want := []string{"partition 1 is part of an LVM volume group", "partition 3 is part of a ZFS pool", "outside the partitions are remains of Linux RAID"}
	if diff := cmp.Diff(want, Members(d)); diff != "" {
		t.Error(diff)
	}
	inv := machine(d, mkDisk("/dev/sdb", "B", holds(stekParts...)), mkDisk("/dev/sdc", "C", boot, holds(stekParts...)))
	if got := OtherInstalls(inv, d); len(got) != 1 || got[0].Path != "/dev/sdb" {
		t.Errorf("%+v", got)
	}
}
