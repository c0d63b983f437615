package hardware

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Superblocks of file systems and swap. Places and fields are those of each
// format's own description; the names are blkid's.

// probeExt: Linux kernel, Documentation/filesystems/ext4/super.rst. The three
// generations share a superblock and differ in the features they use.
func probeExt(a *area) []Signature {
	const (
		hasJournal = 0x4
		journalDev = 0x8
		// Features that ext2 and ext3 know: filetype, needs recovery, meta_bg;
		// sparse_super, large_file, btree_dir. Anything beyond makes it ext4.
		oldIncompat = 0x2 | 0x4 | 0x10
		oldROCompat = 0x1 | 0x2 | 0x4
	)
	s := a.at(1024, 264)
	le := binary.LittleEndian
	if s == nil || le.Uint16(s[56:]) != 0xef53 {
		return nil
	}
	compat, incompat, roCompat := le.Uint32(s[92:]), le.Uint32(s[96:]), le.Uint32(s[100:])
	kind := "ext2"
	switch {
	case incompat&journalDev != 0:
		kind = "jbd"
	case incompat&^oldIncompat != 0 || roCompat&^oldROCompat != 0:
		kind = "ext4"
	case compat&hasJournal != 0:
		kind = "ext3"
	}
	return one(kind, 1024, text(s[120:136]), plainUUID(s[104:120]))
}

func probeXFS(a *area) []Signature {
	if !a.is(0, "XFSB") {
		return nil
	}
	s := a.at(0, 512)
	if s == nil {
		return nil
	}
	return one("xfs", 0, text(s[108:120]), plainUUID(s[32:48]))
}

func probeBtrfs(a *area) []Signature {
	const super = 64 << 10
	s := a.at(super, 1024)
	if s == nil || string(s[64:72]) != "_BHRfS_M" {
		return nil
	}
	return one("btrfs", super, text(s[299:299+256]), plainUUID(s[32:48]))
}

func probeNTFS(a *area) []Signature {
	s := a.at(0, 512)
	if s == nil || string(s[3:11]) != "NTFS    " {
		return nil
	}
	return one("ntfs", 0, "", fmt.Sprintf("%016X", binary.LittleEndian.Uint64(s[72:])))
}

func probeExFAT(a *area) []Signature {
	s := a.at(0, 512)
	if s == nil || string(s[3:11]) != "EXFAT   " {
		return nil
	}
	return one("exfat", 0, "", volumeID(s[100:104]))
}

// probeFAT: Microsoft's FAT specification (fatgen103). FAT has no magic number
// that nothing else has, so the boot sector must make sense as a whole.
func probeFAT(a *area) []Signature {
	s := a.at(0, 512)
	if s == nil || s[510] != 0x55 || s[511] != 0xaa {
		return nil
	}
	le := binary.LittleEndian
	sector, cluster := le.Uint16(s[11:]), s[13]
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || cluster == 0 || cluster&(cluster-1) != 0 {
		return nil
	}
	if le.Uint16(s[14:]) == 0 || s[16] < 1 || s[16] > 2 {
		return nil
	}
	switch {
	case string(s[82:87]) == "FAT32":
		return one("vfat", 0, fatLabel(s[71:82]), volumeID(s[67:71]))
	case string(s[54:57]) == "FAT":
		return one("vfat", 0, fatLabel(s[43:54]), volumeID(s[39:43]))
	}
	return nil
}

func fatLabel(b []byte) string {
	if l := strings.TrimRight(string(b), " "); l != "NO NAME" {
		return l
	}
	return ""
}

// volumeID spells a FAT serial number the way people see it: 1A2B-3C4D.
func volumeID(b []byte) string {
	n := binary.LittleEndian.Uint32(b)
	return fmt.Sprintf("%04X-%04X", n>>16, n&0xffff)
}

// probeSwap: the magic ends the first page, whose size the area does not tell.
func probeSwap(a *area) []Signature {
	for page := uint64(4096); page <= 65536; page *= 2 {
		for _, magic := range []string{"SWAPSPACE2", "SWAP-SPACE", "S1SUSPEND\x00"} {
			if !a.is(page-10, magic) {
				continue
			}
			h := a.at(1024, 64)
			return one("swap", page-10, text(h[28:44]), plainUUID(h[12:28]))
		}
	}
	return nil
}

func probeSquashfs(a *area) []Signature {
	s := a.at(0, 96)
	if s == nil || string(s[:4]) != "hsqs" || binary.LittleEndian.Uint16(s[28:]) != 4 {
		return nil
	}
	return one("squashfs", 0, "", "")
}

func probeErofs(a *area) []Signature {
	s := a.at(1024, 128)
	if s == nil || binary.LittleEndian.Uint32(s) != 0xe0f5e1e2 {
		return nil
	}
	return one("erofs", 1024, text(s[64:80]), plainUUID(s[48:64]))
}

// probeISO: ECMA-119, 8.4: the primary volume descriptor is sector 16 of 2048 bytes.
func probeISO(a *area) []Signature {
	s := a.at(32768, 128)
	if s == nil || string(s[1:6]) != "CD001" {
		return nil
	}
	return one("iso9660", 32768, text(s[40:72]), "")
}

func probeAPFS(a *area) []Signature {
	s := a.at(0, 128)
	if s == nil || string(s[32:36]) != "NXSB" {
		return nil
	}
	return one("apfs", 0, "", plainUUID(s[72:88]))
}

func probeHFS(a *area) []Signature {
	s := a.at(1024, 4)
	if s == nil {
		return nil
	}
	if v := binary.BigEndian.Uint16(s[2:]); (string(s[:2]) == "H+" && v == 4) || (string(s[:2]) == "HX" && v == 5) {
		return one("hfsplus", 1024, "", "")
	}
	return nil
}

func probeF2FS(a *area) []Signature {
	s := a.at(1024, 128)
	if s == nil || binary.LittleEndian.Uint32(s) != 0xf2f52010 {
		return nil
	}
	return one("f2fs", 1024, "", plainUUID(s[108:124]))
}
