package hardware

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Superblocks of things that are part of something larger, or that hold
// something inside: LUKS, LVM, RAID, ZFS, caches.

// probeLUKS knows both versions (LUKS1 and LUKS2 on-disk format specifications).
// A LUKS2 volume whose first header is gone is still a volume: the second header
// follows at one of the sizes a header can have.
func probeLUKS(a *area) []Signature {
	if h := a.at(0, 512); h != nil && string(h[:6]) == "LUKS\xba\xbe" {
		switch binary.BigEndian.Uint16(h[6:]) {
		case 1:
			return one("crypto_LUKS", 0, "", text(h[168:208]))
		case 2:
			return one("crypto_LUKS", 0, text(h[24:72]), text(h[168:208]))
		}
	}
	for off := uint64(0x4000); off <= 0x80000; off *= 2 {
		if h := a.at(off, 512); h != nil && string(h[:6]) == "SKUL\xba\xbe" && binary.BigEndian.Uint16(h[6:]) == 2 {
			return one("crypto_LUKS", off, text(h[24:72]), text(h[168:208]))
		}
	}
	return nil
}

// probeLVM: the label of a physical volume lies in one of the first four sectors
// of 512 bytes (lvm2, lib/label/label.h).
func probeLVM(a *area) []Signature {
	for s := uint64(0); s < 4; s++ {
		h := a.at(512*s, 512)
		if h == nil || string(h[:8]) != "LABELONE" || string(h[24:32]) != "LVM2 001" || binary.LittleEndian.Uint64(h[8:]) != s {
			continue
		}
		uuid := ""
		if off := binary.LittleEndian.Uint32(h[20:]); off >= 32 && off <= 512-32 {
			uuid = lvmUUID(text(h[off : off+32]))
		}
		return one("LVM2_member", 512*s, "", uuid)
	}
	return nil
}

// lvmUUID puts the dashes where lvm shows them.
func lvmUUID(s string) string {
	if len(s) != 32 {
		return ""
	}
	return strings.Join([]string{s[:6], s[6:10], s[10:14], s[14:18], s[18:22], s[22:26], s[26:]}, "-")
}

// probeMD knows the places of the Linux RAID superblock (md(4)): 0.90 in the last
// 64 to 128 KiB, 1.0 in the last 8 to 12 KiB, 1.1 at the start, 1.2 at 4 KiB.
func probeMD(a *area) []Signature {
	const magic = 0xa92b4efc
	le := binary.LittleEndian
	var out []Signature
	v1 := func(off uint64) {
		h := a.at(off, 256)
		// The superblock names its own place, in sectors, so that a copy of a
		// disk inside a disk is not mistaken.
		if h != nil && le.Uint32(h) == magic && le.Uint32(h[4:]) == 1 && le.Uint64(h[144:]) == off/512 {
			out = append(out, Signature{Type: "linux_raid_member", Label: text(h[32:64]), UUID: plainUUID(h[16:32]), Offset: off})
		}
	}
	v1(0)
	v1(4096)
	if sectors := a.size / 512; sectors > 16 {
		v1(((sectors - 16) &^ 7) * 512)
	}
	if a.size >= 2*65536 {
		off := a.size&^0xffff - 0x10000
		if h := a.at(off, 64); h != nil {
			for _, order := range []binary.ByteOrder{le, binary.BigEndian} {
				if order.Uint32(h) == magic && order.Uint32(h[4:]) == 0 && order.Uint32(h[8:]) == 90 {
					out = append(out, Signature{Type: "linux_raid_member", Offset: off})
					break
				}
			}
		}
	}
	return out
}

// probeZFS looks for an uberblock in the four labels, two at the start and two at
// the end of the area rounded down to 256 KiB. An uberblock slot is 1 KiB or a
// larger power of two (ZFS on-disk specification, 1.2 and 1.3).
func probeZFS(a *area) []Signature {
	const label = 256 << 10
	if a.size < 4*label {
		return nil
	}
	end := a.size &^ (label - 1)
	for _, base := range []uint64{0, label, end - 2*label, end - label} {
		for off := base + 128<<10; off < base+label; off += 1024 {
			if h := a.at(off, 8); h != nil && (binary.LittleEndian.Uint64(h) == 0xbab10c || binary.BigEndian.Uint64(h) == 0xbab10c) {
				return one("zfs_member", base, "", "")
			}
		}
	}
	return nil
}

// probeFakeRAID: the metadata of firmware RAID found in office machines and small
// servers: Intel Matrix in the sector before the last, SNIA DDF in the last.
func probeFakeRAID(a *area) []Signature {
	for _, sector := range []uint64{512, 4096} {
		if a.size < 4*sector {
			continue
		}
		if a.is(a.size-2*sector, "Intel Raid ISM Cfg Sig. ") {
			return one("isw_raid_member", a.size-2*sector, "", "")
		}
		if h := a.at(a.size-sector, 4); h != nil && (binary.BigEndian.Uint32(h) == 0xde11de11 || binary.LittleEndian.Uint32(h) == 0xde11de11) {
			return one("ddf_raid_member", a.size-sector, "", "")
		}
	}
	return nil
}

// probeBcache: Linux kernel, include/uapi/linux/bcache.h.
func probeBcache(a *area) []Signature {
	if a.is(4096+24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81") {
		return one("bcache", 4096, "", plainUUID(a.at(4096+40, 16)))
	}
	return nil
}

func probeBitLocker(a *area) []Signature {
	if a.is(3, "-FVE-FS-") {
		return one("BitLocker", 0, "", "")
	}
	return nil
}

// probeVerity: the superblock that veritysetup writes before a hash tree.
func probeVerity(a *area) []Signature {
	if a.is(0, "verity\x00\x00") {
		return one("DM_verity_hash", 0, "", plainUUID(a.at(16, 16)))
	}
	return nil
}

func one(kind string, off uint64, label, uuid string) []Signature {
	return []Signature{{Type: kind, Label: label, UUID: uuid, Offset: off}}
}

// text is a field of fixed length that may end with NULs.
func text(b []byte) string {
	if i := strings.IndexByte(string(b), 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// plainUUID spells a UUID stored in the order it is written, and nothing for one
// that was never set.
func plainUUID(b []byte) string {
	if len(b) != 16 || allZero(b) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
