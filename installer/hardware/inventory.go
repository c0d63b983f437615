package hardware

// Inventory is what a machine is made of, taken once. It serialises to JSON, so a
// captured machine can be planned for anywhere.
type Inventory struct {
	Arch     string   `json:"arch"` // GOARCH spelling: amd64, arm64
	Board    Board    `json:"board"`
	Firmware Firmware `json:"firmware"`
	CPU      CPU      `json:"cpu"`
	Memory   uint64   `json:"memory"` // bytes the kernel manages, a little less than what is fitted
	TPM      TPM      `json:"tpm"`
	Disks    []Disk   `json:"disks"`
	NICs     []NIC    `json:"nics"`
}

// Board names the machine. On x86 it is read from SMBIOS, on boards with a device
// tree from /proc/device-tree.
type Board struct {
	Vendor  string `json:"vendor,omitempty"`
	Product string `json:"product,omitempty"`
	Serial  string `json:"serial,omitempty"`
}

// Firmware says how the machine starts.
type Firmware struct {
	Type       string `json:"type"` // uefi | bios | raspberry-pi
	Vendor     string `json:"vendor,omitempty"`
	Version    string `json:"version,omitempty"`
	SecureBoot bool   `json:"secure-boot"`
	SetupMode  bool   `json:"setup-mode"`
}

// CPU is the processor. AES tells whether it has AES instructions.
type CPU struct {
	Model string `json:"model,omitempty"`
	Cores int    `json:"cores"` // logical processors
	AES   bool   `json:"aes"`
}

// TPM is the security chip, if there is one. Nothing is sent to it: these are the
// facts that sysfs shows.
type TPM struct {
	Present  bool   `json:"present"`
	Version  int    `json:"version,omitempty"` // major: 1 or 2
	Device   string `json:"device,omitempty"`  // /dev/tpmrm0
	Driver   string `json:"driver,omitempty"`  // tpm_crb, tpm_tis, tpm_tis_spi
	SHA256   bool   `json:"sha256"`            // has a SHA-256 PCR bank
	Vendor   string `json:"vendor,omitempty"`
	Measured bool   `json:"measured"` // the firmware extended PCRs: PCR 0 is neither all zeros nor all ones
}

// Disk is one whole disk.
type Disk struct {
	Path       string      `json:"path"`             // /dev/nvme0n1: of this boot only, never kept
	ByID       []string    `json:"by-id,omitempty"`  // names below /dev/disk/by-id
	Serial     string      `json:"serial,omitempty"` // as the drive reports it, trimmed
	WWN        string      `json:"wwn,omitempty"`    // as the kernel spells it: naa.5000…, eui.0025…
	Vendor     string      `json:"vendor,omitempty"`
	Model      string      `json:"model,omitempty"`
	Bus        string      `json:"bus"`         // nvme | sata | scsi | usb | mmc | virtio
	Size       uint64      `json:"size"`        // bytes
	SectorSize uint32      `json:"sector-size"` // logical, bytes
	Rotational bool        `json:"rotational"`
	Removable  bool        `json:"removable"`
	ReadOnly   bool        `json:"read-only"`
	Boot       bool        `json:"boot"`                 // the running system was started from it
	InUse      []string    `json:"in-use,omitempty"`     // why it is busy: "/dev/sda1 is mounted on /srv", "is part of md0"
	Fault      string      `json:"fault,omitempty"`      // why its content could not be read; then Table, Content and Partitions say nothing
	Table      string      `json:"table,omitempty"`      // gpt | mbr | "" when there is none
	TableGUID  string      `json:"table-guid,omitempty"` // GPT disk GUID, lower case
	Content    string      `json:"content,omitempty"`    // what lies on the disk itself, without a table: ext4, LVM2_member, …
	Remains    []string    `json:"remains,omitempty"`    // further signatures outside every partition, left by earlier use
	Partitions []Partition `json:"partitions,omitempty"`
}

// Partition is one entry of a disk's partition table.
type Partition struct {
	Number   int      `json:"number"`
	Name     string   `json:"name,omitempty"`      // GPT name
	TypeGUID string   `json:"type-guid,omitempty"` // GPT type, lower case
	GUID     string   `json:"guid,omitempty"`      // GPT unique partition GUID, lower case
	Start    uint64   `json:"start"`               // bytes
	Size     uint64   `json:"size"`                // bytes
	Content  string   `json:"content,omitempty"`   // ext4, vfat, crypto_LUKS, LVM2_member, linux_raid_member, zfs_member, …; "unknown" for data nobody recognised
	Label    string   `json:"label,omitempty"`
	UUID     string   `json:"uuid,omitempty"`
	Remains  []string `json:"remains,omitempty"` // further signatures, left by earlier use
}

// NIC is one network card.
type NIC struct {
	Name   string `json:"name"`
	MAC    string `json:"mac,omitempty"`
	Driver string `json:"driver,omitempty"`
	Type   string `json:"type"`           // ethernet | wifi | other
	Path   string `json:"path,omitempty"` // bus path: pci-0000:00:1f.6

	Blocked string `json:"blocked,omitempty"` // what keeps a radio from transmitting: BlockedHard, BlockedSoft
}
