package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/test/golden"
	"github.com/stek-edge/stek/test/machines"
)

func TestMakeRefuses(t *testing.T) {
	const empty = "Samsung SSD 980 500GB, serial S64DNX0R123456A, 500 GB, nvme, now /dev/nvme0n1"
	withData := func(inv *hardware.Inventory) {
		inv.Disks[0].Partitions = []hardware.Partition{{Number: 1, Name: "data", Size: 1 << 30, Content: "ext4"}}
	}
	withStek := func(label string) func(inv *hardware.Inventory) {
		return func(inv *hardware.Inventory) {
			inv.Disks[0].TableGUID = testIDs().Disk
			inv.Disks[0].Partitions = []hardware.Partition{
				{Number: 2, Name: disk.RootA, Size: 4 << 30},
				{Number: 4, Name: disk.State, Size: 1 << 30, Content: "crypto_LUKS", Label: label},
			}
		}
	}
	enrol := "boot: {secure-boot: enrol}\n"
	tests := []struct {
		name    string
		more    string // added to the smallest answers
		machine func(inv *hardware.Inventory)
		image   func(img *Image)
		status  Status
		message string
		remedy  string
	}{
		{name: "no UEFI", machine: func(inv *hardware.Inventory) { inv.Firmware.Type = "bios" }, status: StatusMissing,
			message: "this machine starts with bios firmware, and an encrypted start needs UEFI",
			remedy:  "switch the firmware from legacy (CSM) to UEFI start, or use another machine"},
		{name: "too little memory", machine: func(inv *hardware.Inventory) { inv.Memory = 1 << 30 }, status: StatusMissing,
			message: "this machine has 1.07 GB of memory and a k3s node needs 1.78 GB", remedy: "add memory or use another machine"},
		{name: "no disk", machine: func(inv *hardware.Inventory) { inv.Disks = nil }, status: StatusMissing,
			message: "no disk was found in this machine",
			remedy: "check that a disk is fitted and shows up in the firmware's set-up; if the firmware is set to RAID or Intel RST, " +
				"set it to AHCI, since the disk is hidden behind it otherwise"},
		{name: "boot medium only", machine: func(inv *hardware.Inventory) { inv.Disks = inv.Disks[1:] }, status: StatusRefused,
			message: "none of the disks can be used", remedy: "fit a disk that the system was not started from"},
		{name: "match names the boot medium", more: "disk: {match: {bus: usb}}\n", status: StatusRefused,
			message: "no disk fits disk.match",
			remedy:  "correct disk.match in the answer file so that it fits one of the disks above, or fit the disk it asks for"},
		{name: "several disks", status: StatusRefused, machine: func(inv *hardware.Inventory) {
			second := inv.Disks[0]
			second.Path, second.Serial = "/dev/nvme1n1", "S64DNX0R654321B"
			inv.Disks = append(inv.Disks, second)
		}, message: "2 disks could be used, and stek does not choose between them", remedy: `name one in the answer file, for example disk.match.serial: "S64DNX0R123456A"`},
		{name: "holds data, no erase", machine: withData, status: StatusRefused,
			message: "the disk " + empty + " is not empty",
			remedy:  "if everything on it may be lost, set disk.erase: true in the answer file; otherwise save what is needed first"},
		{name: "installed, no reinstall", more: "disk: {erase: true}\n", machine: withStek("stek-state"), status: StatusRefused,
			message: "stek is already installed on the disk " + empty,
			remedy: "remove the stick and start the box from its disk; only if the installation and all its data may be lost, " +
				"set both disk.erase: true and disk.reinstall: true in the answer file"},
		{name: "unfinished try of other identities", machine: func(inv *hardware.Inventory) {
			withStek("stek-unfinished")(inv)
			inv.Disks[0].TableGUID = "55555555-5555-4555-8555-555555555555"
		}, status: StatusRefused, message: "stek is already installed on the disk " + empty,
			remedy: "remove the stick and start the box from its disk; only if the installation and all its data may be lost, " +
				"set both disk.erase: true and disk.reinstall: true in the answer file"},
		{name: "unfinished try on one disk, data on the one now named", more: "disk: {match: {serial: OTHER}}\n", machine: func(inv *hardware.Inventory) {
			second := inv.Disks[0]
			second.Path, second.Serial = "/dev/nvme1n1", "OTHER"
			second.Partitions = []hardware.Partition{{Number: 1, Size: 1 << 30, Content: "ntfs"}}
			withStek("stek-unfinished")(inv)
			inv.Disks = append(inv.Disks, second)
		}, status: StatusRefused, message: "the disk Samsung SSD 980 500GB, serial OTHER, 500 GB, nvme, now /dev/nvme1n1 is not empty",
			remedy: "if everything on it may be lost, set disk.erase: true in the answer file; otherwise save what is needed first"},
		{name: "no TPM", machine: func(inv *hardware.Inventory) { inv.TPM = hardware.TPM{} }, status: StatusMissing,
			message: "the answers ask to unlock with the TPM, and this machine shows none",
			remedy:  "switch the TPM on in the firmware (it may be called fTPM, PTT or Security Device), or take tpm2 out of encryption.unlock"},
		{name: "TPM 1.2", machine: func(inv *hardware.Inventory) { inv.TPM.Version = 1 }, status: StatusMissing,
			message: "the answers ask to unlock with the TPM, and this machine's is version 1.2",
			remedy:  "use a machine with a TPM 2.0, or take tpm2 out of encryption.unlock"},
		{name: "TPM of another version", machine: func(inv *hardware.Inventory) { inv.TPM.Version = 3 }, status: StatusMissing,
			message: "the answers ask to unlock with the TPM, and this machine's is of a version that stek does not know (3)",
			remedy:  "use a machine with a TPM 2.0, or take tpm2 out of encryption.unlock"},
		{name: "no SHA-256 bank", machine: func(inv *hardware.Inventory) { inv.TPM.SHA256 = false }, status: StatusMissing,
			message: "the answers ask to unlock with the TPM, and this machine's has no SHA-256 PCR bank",
			remedy:  "switch the SHA-256 bank on in the firmware, or take tpm2 out of encryption.unlock"},
		{name: "nothing measured", machine: func(inv *hardware.Inventory) { inv.TPM.Measured = false }, status: StatusMissing,
			message: "the answers ask to unlock with the TPM, and this machine's firmware measures nothing into it",
			remedy:  "switch measured boot on in the firmware, or take tpm2 out of encryption.unlock"},
		{name: "enrol, not in setup mode", more: enrol, machine: func(inv *hardware.Inventory) { inv.Firmware.SetupMode = false }, status: StatusMissing,
			message: "the firmware is not in setup mode, so Secure Boot keys cannot be enrolled",
			remedy:  `clear the Secure Boot keys in the firmware's own menu ("reset to setup mode"), or set boot.secure-boot to keep`},
		{name: "enrol, no keys on the image", more: enrol, image: func(img *Image) { img.KeysToEnrol = false }, status: StatusInvalid,
			message: "the answers ask to enrol Secure Boot keys and this image carries none",
			remedy:  "build the image with --keys, or set boot.secure-boot to keep"},
		{name: "root too large", image: func(img *Image) { img.RootBytes = 5 << 30 }, status: StatusInvalid,
			message: "the root file system of this image takes 5.37 GB and a slot holds 4.29 GB", remedy: "build the image with less in it"},
		{name: "root hash not hex", image: func(img *Image) { img.RootHash = "xyz" }, status: StatusInvalid,
			message: "the root hash of this image is not hex"},
		{name: "name without a serial number", more: "node: {name: \"box-{serial}\"}\n",
			machine: func(inv *hardware.Inventory) { inv.Board.Serial = "" }, status: StatusInvalid,
			remedy: "give node.name a name without that part"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv, img := machines.Load(t, "mini-pc"), image()
			if tt.machine != nil {
				tt.machine(inv)
			}
			if tt.image != nil {
				tt.image(&img)
			}
			plan, err := Make(answers(t, smallest+tt.more), inv, img, testIDs())
			var r *Refusal
			if !errors.As(err, &r) || plan != nil {
				t.Fatalf("plan %v, error %v", plan, err)
			}
			if StatusOf(err) != tt.status || RemedyOf(err) != tt.remedy {
				t.Errorf("status %d, remedy\n%s, want %d,\n%s", StatusOf(err), RemedyOf(err), tt.status, tt.remedy)
			}
			if tt.message == "" {
				if !strings.Contains(r.Message, "serial") {
					t.Errorf("message %q", r.Message)
				}
			} else if r.Message != tt.message {
				t.Errorf("message\n%s, want\n%s", r.Message, tt.message)
			}
		})
	}
}

func TestMake(t *testing.T) {
	withTable := func(inv *hardware.Inventory) {
		inv.Disks[0].TableGUID = testIDs().Disk
		inv.Disks[0].Partitions = []hardware.Partition{{Number: 2, Name: disk.RootA}, {Number: 4, Name: disk.State, Content: "crypto_LUKS", Label: unfinishedLabel}}
	}
	tests := []struct {
		name    string
		more    string
		machine func(inv *hardware.Inventory)
		image   func(img *Image)
		enrol   bool
		sealing string
		second  string
	}{
		{name: "Secure Boot off", sealing: SealProvisional, second: StepPartition},
		{name: "Secure Boot on", machine: func(inv *hardware.Inventory) { inv.Firmware.SecureBoot, inv.Firmware.SetupMode = true, false }, sealing: SealSigned, second: StepPartition},
		{name: "Secure Boot on, image without PCR signature", machine: func(inv *hardware.Inventory) { inv.Firmware.SecureBoot = true },
			image: func(img *Image) { img.Signed = false }, sealing: SealProvisional, second: StepPartition},
		{name: "enrol in setup mode", more: "boot: {secure-boot: enrol}\n", enrol: true, sealing: SealSigned, second: StepEnrol},
		{name: "enrol, already on", more: "boot: {secure-boot: enrol}\n", sealing: SealSigned, second: StepPartition,
			machine: func(inv *hardware.Inventory) { inv.Firmware.SecureBoot, inv.Firmware.SetupMode = true, false }},
		{name: "unfinished try is replaced", machine: withTable, sealing: SealProvisional, second: StepPartition},
		{name: "plan without an image", image: func(img *Image) { img.RootHash = "" }, sealing: SealProvisional, second: StepPartition},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv, img := machines.Load(t, "mini-pc"), image()
			if tt.machine != nil {
				tt.machine(inv)
			}
			if tt.image != nil {
				tt.image(&img)
			}
			plan, err := Make(answers(t, smallest+tt.more), inv, img, testIDs())
			if err != nil {
				t.Fatal(err)
			}
			if plan.Enrol != tt.enrol || plan.Unlock[0].Sealing != tt.sealing || plan.Steps[1].Name != tt.second || plan.Steps[0].Name != StepCheck {
				t.Errorf("enrol %t, sealing %s, steps %v", plan.Enrol, plan.Unlock[0].Sealing, plan.Steps)
			}
			off := strings.Contains(plan.Unlock[0].Words, "Secure Boot is off")
			if off != (!inv.Firmware.SecureBoot && !plan.Enrol) {
				t.Errorf("words %q", plan.Unlock[0].Words)
			}
			root, _ := plan.Disk.Layout.Part(disk.RootA)
			if (root.GUID == "") != (img.RootHash == "") {
				t.Errorf("root-a has GUID %q", root.GUID)
			}
		})
	}
}

func TestPlanGolden(t *testing.T) {
	for _, tt := range []struct{ machine, more string }{
		{"mini-pc", "node: {name: \"{site}-{serial}\", site: westland-3}\ndisk: {erase: true}\nboot: {secure-boot: enrol}\n"},
		{"vm", "node: {name: \"box-{mac}\"}\nencryption: {unlock: [passphrase], recovery: {show: true}}\non-finish: poweroff\n"},
	} {
		t.Run(tt.machine, func(t *testing.T) {
			text := smallest + tt.more
			if strings.Contains(tt.more, "encryption:") {
				text = "stek: 1\n" + tt.more
			}
			inv := machines.Load(t, tt.machine)
			if tt.machine == "mini-pc" {
				inv.Disks[0].Partitions = []hardware.Partition{{Number: 1, Name: "Basic data partition", Size: 100 << 30, Content: "ntfs", Label: "Windows"}}
			}
			plan, err := Make(answers(t, text), inv, image(), testIDs())
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := WritePlan(&b, plan); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "plan-"+tt.machine+".txt", b.Bytes())
			text2, err := json.MarshalIndent(plan, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "plan-"+tt.machine+".json", append(text2, '\n'))
		})
	}
}
