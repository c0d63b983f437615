package preseed

import (
	"reflect"
	"slices"
	"strings"
)

// conflict is a fault between answers. also names the other keys it depends on:
// when one of them is faulty itself, the conflict may be a mere consequence.
type conflict struct {
	Fault
	also []string
}

// addConflict notes a conflict at a key. also names the other keys it depends on.
type addConflict func(key, message, remedy string, also ...string)

// conflicts compares the answers, defaults filled in, with each other. Those about a key
// that a person will be asked for, or that depend on one, are none yet.
func conflicts(a *Answers) []conflict {
	var found []conflict
	add := func(key, message, remedy string, also ...string) {
		if slices.ContainsFunc(append(also, key), a.willBeAsked) {
			return
		}
		found = append(found, conflict{Fault{Key: key, Kind: FaultConflict, Message: key + ": " + message, Remedy: remedy}, also})
	}
	if strings.Contains(a.Node.Name, "{site}") && a.Node.Site == "" {
		add("node.name", "uses {site}, but node.site is not given", "write node.site, or take {site} out", "node.site")
	}
	match := a.Disk.Match
	if match.MinSize > 0 && match.MaxSize > 0 && match.MinSize > match.MaxSize {
		add("disk.match.max-size", match.MaxSize.String()+" is less than min-size "+match.MinSize.String(),
			"no disk can fit both: correct one of them", "disk.match.min-size")
	}
	if a.Disk.Reinstall && !a.Disk.Erase {
		add("disk.reinstall", "true without disk.erase: true", "a new installation erases the disk: write erase: true, or take reinstall out", "disk.erase")
	}
	if a.Boot.MicrosoftKeys != nil && a.Boot.SecureBoot != "enrol" {
		add("boot.microsoft-keys", "has a meaning only with secure-boot: enrol", "take it out, or write secure-boot: enrol", "boot.secure-boot")
	}
	if len(a.Encryption.Unlock) == 0 {
		add("encryption.unlock", "no unlock method is given", "name at least one, or remove the line for [tpm2]")
	}
	if a.Encryption.TPM2.PIN != "" && !slices.Contains(a.Encryption.Unlock, "tpm2") {
		add("encryption.tpm2.pin", "a PIN is for the TPM, but encryption.unlock does not name tpm2",
			"add tpm2 to unlock, or take the PIN out", "encryption.unlock")
	}
	if a.Encryption.Recovery.Recipient == "" && !a.Encryption.Recovery.Show {
		add("encryption.recovery", "nobody would get the recovery key",
			"give encryption.recovery.recipient (an age public key), or show: true when a person stands at the box")
	}
	networkConflicts(&a.Network, add)
	clusterConflicts(a, add)
	secretConflicts(a, add)
	return found
}

// Validate judges answers that did not come from a file: each value, and all of
// them together with the defaults filled in. Its faults have no line.
func Validate(a *Answers) Faults {
	faults := &collector{}
	visit(reflect.ValueOf(a).Elem(), "", "", func(key *Key, shown string, at reflect.Value) bool {
		for _, v := range texts(key, at) {
			if f := checkNamed(key, shown, v); f != nil {
				faults.add(position{}, *f)
			}
		}
		return true
	})
	for _, c := range conflicts(Defaults(a)) {
		if !faults.under(c.Key) {
			faults.add(position{}, c.Fault)
		}
	}
	return faults.faults
}

// checkNamed judges one value of a key: a text, a list's entry or a named value.
func checkNamed(key *Key, shown string, v namedText) *Fault {
	rule := key.rule
	shown = v.path(shown)
	if key.Type == Pairs {
		rule = func(value string) *problem { return key.judgePair(v.name, value) }
	}
	if p := key.judge(rule, v.text); p != nil {
		return &Fault{Key: shown, Kind: p.kind, Message: shown + ": " + p.message, Remedy: p.remedy}
	}
	return nil
}
