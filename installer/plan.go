package installer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Image is what a plan has to know of the image that is to be installed.
type Image struct {
	Version     string `json:"version"`
	K3s         string `json:"k3s"`           // version and source, in words
	K3sSource   string `json:"k3s-source"`    // module | release
	RootHash    string `json:"root-hash"`     // of the verity tree, hex
	RootBytes   uint64 `json:"root-bytes"`    // root file system and tree together
	HashOffset  uint64 `json:"hash-offset"`   // where in the root partition the verity superblock lies, bytes
	Signed      bool   `json:"signed"`        // the UKI carries a PCR signature
	KeysToEnrol bool   `json:"keys-to-enrol"` // the stick holds Secure Boot keys
}

// Plan is everything that will happen to one machine. It is plain data: what is
// reviewed is what is done.
type Plan struct {
	Image    Image    `json:"image"`
	Box      Box      `json:"box"`
	NodeName string   `json:"node-name"`
	Disk     DiskPlan `json:"disk"`
	Unlock   []Unlock `json:"unlock"`   // in the order in which they are tried
	Recovery string   `json:"recovery"` // what happens to the recovery key
	Enrol    bool     `json:"enrol"`    // Secure Boot keys are enrolled first, then the machine restarts
	Role     string   `json:"role"`     // of the node in its cluster
	OnFinish string   `json:"on-finish"`

	Server string      `json:"server,omitempty"` // of the cluster that the node joins
	Tunnel *TunnelPlan `json:"tunnel,omitempty"` // the VPN; nil: none

	// Cards are the machine's network cards, among which the answers choose.
	Cards   []hardware.NIC `json:"cards"`
	Network NetworkPlan    `json:"network,omitzero"`
	Steps   []Step         `json:"steps"`
}

// Box names the machine by what is printed on it.
type Box struct {
	Vendor  string `json:"vendor,omitempty"`
	Product string `json:"product,omitempty"`
	Serial  string `json:"serial,omitempty"`
}

// DiskPlan is what happens to the disk.
type DiskPlan struct {
	Chosen hardware.Disk `json:"chosen"` // as it was when the plan was made
	Erased []string      `json:"erased"` // what is on it now and will be gone
	Layout disk.Layout   `json:"layout"`
}

// Unlock is one way in which the disk will be opened.
type Unlock struct {
	Method  string `json:"method"`            // tpm2 | passphrase
	Sealing string `json:"sealing,omitempty"` // SealSigned | SealProvisional, with tpm2
	PIN     bool   `json:"pin,omitempty"`
	Words   string `json:"words"`
}

// Step is one thing that will be done.
type Step struct {
	Name  string `json:"name"` // stable: the journal keeps it
	Words string `json:"words"`
}

// The names of the steps, in their order.
const (
	StepCheck     = "check"     // try the TPM, and compare the image on the stick with its root hash
	StepEnrol     = "enrol"     // Secure Boot keys, and a restart
	StepPartition = "partition" // clear and divide the disk
	StepRoot      = "root"      // copy the root file system and compare it
	StepState     = "state"     // make the encrypted volume and its keys
	StepESP       = "esp"       // make the boot partition
	StepReport    = "report"    // leave the recovery key and the report on the stick
	StepBoot      = "boot"      // make the disk bootable
)

// Make plans an installation. It touches nothing and depends on nothing but its
// arguments; ids are the identities of the partition table, new ones or those of a
// try that was cut short. An error is a *Refusal.
func Make(a *preseed.Answers, inv *hardware.Inventory, img Image, ids disk.IDs) (*Plan, error) {
	if faults := preseed.NotBuilt(a); len(faults) > 0 {
		return nil, &Refusal{Status: StatusInvalid, Message: faults[0].Message, Remedy: faults[0].Remedy, Cause: faults}
	}
	return plan(a, inv, img, ids)
}

// plan is Make for answers of which parts may not be built yet; those are not in it.
func plan(a *preseed.Answers, inv *hardware.Inventory, img Image, ids disk.IDs) (*Plan, error) {
	if refused := refuseFirmware(inv); refused != nil {
		return nil, refused
	}
	if refused := refuseMemory(inv); refused != nil {
		return nil, refused
	}
	target, refusal := selectDisk(inv, a.Disk, ids)
	if refusal != nil {
		status := StatusRefused
		if refusal.Kind == disk.RefusedNoDisk {
			status = StatusMissing
		}
		return nil, &Refusal{Status: status, Message: refusal.Message, Remedy: refusal.Remedy, Cause: refusal}
	}
	layout, err := planLayout(target, inv.Arch, img.RootHash, ids)
	if err != nil {
		return nil, err
	}
	if img.RootBytes > disk.RootSize {
		return nil, &Refusal{Status: StatusInvalid,
			Message: fmt.Sprintf("the root file system of this image takes %s and a slot holds %s", hardware.Size(img.RootBytes), hardware.Size(disk.RootSize)),
			Remedy:  "build the image with less in it"}
	}
	name, err := nodeName(a, inv)
	if err != nil {
		return nil, &Refusal{Status: StatusInvalid, Message: err.Error(), Remedy: "give node.name a name without that part", Cause: err}
	}
	enrol, err := planEnrol(a, inv, img)
	if err != nil {
		return nil, err
	}
	unlock, err := planUnlock(a, inv, img, enrol)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Image:    img,
		Box:      Box(inv.Board),
		NodeName: name,
		Disk: DiskPlan{
			Chosen: target,
			Erased: disk.Losses(target), Layout: layout,
		},
		Unlock:   unlock,
		Recovery: recoveryWords(a.Encryption.Recovery),
		Enrol:    enrol,
		Role:     a.K3s.Role,
		Server:   a.K3s.Server,
		Tunnel:   planTunnel(a.Network.VPN),
		OnFinish: a.OnFinish,
		Cards:    inv.NICs,
		Network:  planNetwork(a.Network, inv),
	}
	if err := checkNetwork(p, a.Network); err != nil {
		return nil, err
	}
	p.Steps = planSteps(p)
	return p, nil
}

// refuseFirmware says why a machine cannot start an installed system, or nothing.
func refuseFirmware(inv *hardware.Inventory) *Refusal {
	switch inv.Firmware.Type {
	case "uefi":
		return nil
	case "raspberry-pi":
		return &Refusal{Status: StatusMissing, Message: "installing a Raspberry Pi is not in this version of stek",
			Remedy: "use a machine with UEFI"}
	}
	return &Refusal{Status: StatusMissing,
		Message: fmt.Sprintf("this machine starts with %s firmware, and an encrypted start needs UEFI", inv.Firmware.Type),
		Remedy:  "switch the firmware from legacy (CSM) to UEFI start, or use another machine"}
}

// refuseMemory says why a machine has too little memory, or nothing.
func refuseMemory(inv *hardware.Inventory) *Refusal {
	if inv.Memory >= minMemory {
		return nil
	}
	return &Refusal{Status: StatusMissing,
		Message: fmt.Sprintf("this machine has %s of memory and a k3s node needs %s", hardware.Size(inv.Memory), hardware.Size(minMemory)),
		Remedy:  "add memory or use another machine"}
}

// minMemory is what k3s' own requirements page names for a server, less what
// firmware and graphics take of a 2 GB machine.
const minMemory = 1700 << 20 // bytes

// selectDisk takes the disk that the answers name. To what they allow it adds that
// a table which an interrupted try of this very installation wrote may be replaced:
// there is nothing on it yet. Once the volume carries the label of a finished one,
// it takes disk.reinstall. The consent is for that one disk: another disk that the
// answers have come to name since keeps its data.
func selectDisk(inv *hardware.Inventory, want preseed.Disk, ids disk.IDs) (hardware.Disk, *disk.Refusal) {
	target, refusal := disk.Select(inv, want)
	if refusal == nil || refusal.Disk == nil || ids.Disk == "" || refusal.Disk.TableGUID != ids.Disk || finished(*refusal.Disk) {
		return target, refusal
	}
	want.Erase, want.Reinstall = true, true
	return disk.Select(inv, want)
}

// planLayout divides the disk. Without an image (a plan that is only looked at)
// everything is known but the GUID of root-a, which follows from the image: it
// stays empty, and Run refuses such a plan.
func planLayout(target hardware.Disk, arch, rootHash string, ids disk.IDs) (disk.Layout, error) {
	hash, err := hex.DecodeString(rootHash)
	if err != nil {
		return disk.Layout{}, &Refusal{Status: StatusInvalid, Message: "the root hash of this image is not hex", Cause: err}
	}
	if rootHash == "" {
		hash = bytes.Repeat([]byte{1}, sha256.Size) // stands in for the checks of the layout
	}
	layout, err := disk.Plan(target.Size, target.SectorSize, arch, hash, ids)
	if err != nil {
		return disk.Layout{}, &Refusal{Status: StatusRefused, Message: err.Error(), Cause: err}
	}
	if rootHash == "" {
		for i, p := range layout.Partitions {
			if p.Name == disk.RootA {
				layout.Partitions[i].GUID = ""
			}
		}
	}
	return layout, nil
}

func finished(d hardware.Disk) bool {
	for _, p := range d.Partitions {
		if p.Name == disk.State && p.Label == disk.StateLabel {
			return true
		}
	}
	return false
}

func nodeName(a *preseed.Answers, inv *hardware.Inventory) (string, error) {
	mac := ""
	for _, n := range inv.NICs {
		if n.Type == "ethernet" && n.MAC != "" {
			mac = n.MAC
			break
		}
	}
	return preseed.Expand(a.Node.Name, preseed.Facts{Serial: inv.Board.Serial, MAC: mac, Site: a.Node.Site})
}

func planEnrol(a *preseed.Answers, inv *hardware.Inventory, img Image) (bool, error) {
	if a.Boot.SecureBoot != "enrol" {
		return false, nil
	}
	switch {
	case inv.Firmware.SecureBoot && !inv.Firmware.SetupMode:
		return false, nil // enrolled already, by us or by the owner; the stick started, so its signer is trusted
	case !img.KeysToEnrol:
		return false, &Refusal{Status: StatusInvalid,
			Message: "the answers ask to enrol Secure Boot keys and this image carries none",
			Remedy:  "build the image with --keys, or set boot.secure-boot to keep"}
	case !inv.Firmware.SetupMode:
		return false, &Refusal{Status: StatusMissing,
			Message: "the firmware is not in setup mode, so Secure Boot keys cannot be enrolled",
			Remedy:  "clear the Secure Boot keys in the firmware's own menu (\"reset to setup mode\"), or set boot.secure-boot to keep"}
	}
	return true, nil
}

func planUnlock(a *preseed.Answers, inv *hardware.Inventory, img Image, enrol bool) ([]Unlock, error) {
	var unlock []Unlock
	for _, method := range a.Encryption.Unlock {
		switch method {
		case "tpm2":
			if err := usableTPM(inv.TPM); err != nil {
				return nil, err
			}
			u := Unlock{Method: method, PIN: a.Encryption.TPM2.PIN != ""}
			switch {
			case (inv.Firmware.SecureBoot || enrol) && img.Signed:
				u.Sealing = SealSigned
				u.Words = "the TPM opens the disk while Secure Boot is as it is now and the started system is one that you signed"
			case inv.Firmware.SecureBoot || enrol:
				u.Sealing = SealProvisional
				u.Words = "the TPM opens the disk while firmware, boot loader and system are as they are now (Secure Boot is on, but this image carries no signed PCR policy); the first start from the disk makes this final"
			default:
				u.Sealing = SealProvisional
				u.Words = "the TPM opens the disk while firmware, boot loader and system are as they are now (Secure Boot is off); the first start from the disk makes this final"
			}
			if u.PIN {
				u.Words += "; and a PIN is asked at each start"
			}
			unlock = append(unlock, u)
		case "passphrase":
			unlock = append(unlock, Unlock{Method: method, Words: "a passphrase is typed at each start"})
		}
	}
	return unlock, nil
}

// usableTPM refuses a machine whose TPM cannot do what the answers ask of it.
func usableTPM(t hardware.TPM) error {
	if why := unusableTPM(t); why != nil {
		return &Refusal{Status: StatusMissing, Message: "the answers ask to unlock with the TPM, and " + why.Message, Remedy: why.Remedy}
	}
	return nil
}

// unusableTPM says what a TPM lacks, or nil. Each reason has words of its own, since
// each has its own remedy.
func unusableTPM(t hardware.TPM) *Refused {
	missing := func(message, remedy string) *Refused { return &Refused{message, remedy} }
	switch {
	case !t.Present:
		return missing("this machine shows none", "switch the TPM on in the firmware (it may be called fTPM, PTT or Security Device), or take tpm2 out of encryption.unlock")
	case t.Version == 1: // the kernel tells the major version; what was ever built of 1.x is 1.2
		return missing("this machine's is version 1.2", "use a machine with a TPM 2.0, or take tpm2 out of encryption.unlock")
	case t.Version != 2:
		return missing(fmt.Sprintf("this machine's is of a version that stek does not know (%d)", t.Version), "use a machine with a TPM 2.0, or take tpm2 out of encryption.unlock")
	case !t.SHA256:
		return missing("this machine's has no SHA-256 PCR bank", "switch the SHA-256 bank on in the firmware, or take tpm2 out of encryption.unlock")
	case !t.Measured:
		return missing("this machine's firmware measures nothing into it", "switch measured boot on in the firmware, or take tpm2 out of encryption.unlock")
	}
	return nil
}

func recoveryWords(r preseed.Recovery) string {
	var ways []string
	if r.Recipient != "" {
		ways = append(ways, "is left on the stick, encrypted to "+r.Recipient)
	}
	if r.Show {
		ways = append(ways, "is shown once on the screen")
	}
	return "a recovery key is made; it " + strings.Join(ways, " and ")
}

func planSteps(p *Plan) []Step {
	steps := []Step{
		{StepCheck, fmt.Sprintf("check the image on the stick%s", sizeWords(p.Image.RootBytes))},
		{StepPartition, fmt.Sprintf("clear the disk %s and divide it", diskWords(p.Disk.Chosen))},
		{StepRoot, fmt.Sprintf("copy the root file system%s and compare it", sizeWords(p.Image.RootBytes))},
		{StepState, "make the encrypted volume and its keys"},
		{StepESP, "make the boot partition"},
		{StepReport, "leave the recovery key and the report on the stick"},
		{StepBoot, "make the disk bootable"},
	}
	if p.Enrol {
		// The machine starts anew here, and is planned for again.
		steps = slices.Insert(steps, 1, Step{StepEnrol, "enrol the Secure Boot keys and restart"})
	}
	return steps
}

// diskWords names a disk by what is printed on it: virtual ones and some card
// readers tell no serial number.
func diskWords(d hardware.Disk) string {
	for _, name := range []string{d.Serial, d.Name(), d.Path} {
		if name != "" {
			return name
		}
	}
	return "that was chosen"
}

func sizeWords(bytes uint64) string {
	if bytes == 0 {
		return ""
	}
	return " (" + hardware.Size(bytes) + ")"
}
