package uki

// Section names that systemd-stub gives a meaning to (systemd-stub(7)).
const (
	sectionLinux   = ".linux"
	sectionOSRel   = ".osrel"
	sectionCmdline = ".cmdline"
	sectionInitrd  = ".initrd"
	sectionUcode   = ".ucode"
	sectionUname   = ".uname"
	sectionPCRSig  = ".pcrsig"
	sectionPCRPKey = ".pcrpkey"
)

// measured lists the sections that systemd-stub measures into PCR 11, in the
// order in which it does, whatever their order in the file (systemd 257,
// src/fundamental/uki.h; the source calls the order fixed for ever and only
// adds at the end). .pcrsig is absent: it signs the result. .sbat is the one
// that the stub itself brings along.
var measured = []string{
	sectionLinux, sectionOSRel, sectionCmdline, sectionInitrd, sectionUcode,
	".splash", ".dtb", sectionUname, ".sbat", sectionPCRPKey,
}

// unpredictable lists sections with which the measurement depends on the
// machine or on a choice made at boot: several profiles in one image, device
// trees and hardware ids from which the stub picks.
var unpredictable = []string{".profile", ".dtbauto", ".hwids", ".efifw"}
