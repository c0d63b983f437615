package hardware

import (
	"path/filepath"
	"strings"
)

// tpm reads what sysfs tells of the first TPM (Linux kernel,
// Documentation/ABI/stable/sysfs-class-tpm).
func (r Roots) tpm() TPM {
	dir := filepath.Join(r.Sys, "class/tpm/tpm0")
	if !exists(dir) {
		return TPM{}
	}
	t := TPM{Present: true, Version: int(number(dir, "tpm_version_major")), Driver: driver(dir), Vendor: tpmVendor(dir)}
	// Of the two nodes, tpmrm0 has the kernel's resource manager; TPM 1.2 has
	// only the other.
	for _, n := range []string{"tpmrm0", "tpm0"} {
		if exists(r.Dev, n) {
			t.Device = filepath.Join(r.Dev, n)
			break
		}
	}
	pcr0 := strings.ToUpper(word(dir, "pcr-sha256/0"))
	t.SHA256 = pcr0 != ""
	t.Measured = pcr0 != "" && strings.Trim(pcr0, "0") != "" && strings.Trim(pcr0, "F") != ""
	return t
}

// tpmVendor knows the maker where the bus says it: the ACPI id starts with the
// maker's code (MSFT0101 is only "some TPM 2.0"), the device tree's compatible
// string with its name.
func tpmVendor(dir string) string {
	codes := map[string]string{
		"IFX": "Infineon", "STM": "STMicroelectronics", "NTC": "Nuvoton", "ATM": "Atmel", "SMO": "STMicroelectronics",
		"INT": "Intel", "AMD": "AMD", "BCM": "Broadcom",
	}
	if hid := word(dir, "device/firmware_node/hid"); len(hid) >= 3 && codes[hid[:3]] != "" {
		return codes[hid[:3]]
	}
	switch maker, _, _ := strings.Cut(clean(string(read(filepath.Join(dir, "device/of_node/compatible")))), ","); maker {
	case "infineon":
		return "Infineon"
	case "st":
		return "STMicroelectronics"
	case "nuvoton":
		return "Nuvoton"
	}
	return ""
}
