package vault

import (
	"fmt"
	"slices"
	"strings"
)

// Situation is what a statement of protection is derived from.
type Situation struct {
	Slots []*Slot // of the volume, with their tokens
	// Measured tells whether the firmware measures what it starts into the TPM.
	// UEFI does; the firmware of a Raspberry Pi does not.
	Measured bool
	// SecureBoot tells whether the firmware starts only what was signed with keys
	// that were enrolled for this box.
	SecureBoot bool
}

// Statement says in plain words what a box is and is not protected against. Each
// entry is one sentence.
type Statement struct {
	Protected    []string `json:"protected"`
	NotProtected []string `json:"not-protected"`
	// Open are things that are not in their final state, with what ends them.
	Open []string `json:"open,omitempty"`
}

// Protection makes the statement for a situation. It never promises more than the
// weakest slot gives: a thief chooses the slot.
func Protection(s Situation) Statement {
	var st Statement
	use := sortSlots(s.Slots)
	st.protect("The disk alone, taken out of the box or thrown away: what is on it cannot be read without one of the keys below.")
	if len(use[KindTPM2]) != 0 {
		st.tpm(s, use[KindTPM2])
	} else {
		st.protect("The whole box stolen while it is switched off: it asks for a key when it starts.")
		st.expose("Changed start-up software: somebody with access to the box can put in a program that records the key you type next.")
	}
	st.people(use)
	st.expose("Whoever gets into the box while it runs: then the disk is open and its key is in memory.")
	st.expose("Data put back or scrambled on the disk: it stays unreadable, but old or broken pieces are not noticed.")
	st.expose("The start partition: it is not encrypted, so it holds nothing secret.")
	return st
}

func (st *Statement) protect(format string, args ...any) {
	st.Protected = append(st.Protected, fmt.Sprintf(format, args...))
}

func (st *Statement) expose(format string, args ...any) {
	st.NotProtected = append(st.NotProtected, fmt.Sprintf(format, args...))
}

func (st *Statement) open(format string, args ...any) {
	st.Open = append(st.Open, fmt.Sprintf(format, args...))
}

// sortSlots groups the slots by kind. A slot that is not tried here may still be
// opened elsewhere, so it counts.
func sortSlots(slots []*Slot) map[Kind][]*Slot {
	by := map[Kind][]*Slot{}
	for _, s := range slots {
		by[s.Kind] = append(by[s.Kind], s)
	}
	return by
}

// binding is what all TPM slots have in common: the least that any of them gives.
type binding struct {
	pin     bool         // every slot asks for a PIN
	signed  bool         // every slot wants a signed PCR 11
	literal map[int]bool // PCRs whose values every slot fixes
}

func weakest(slots []*Slot) binding {
	b := binding{pin: true, signed: true, literal: map[int]bool{}}
	for n := range 24 {
		b.literal[n] = true
	}
	for _, s := range slots {
		if s.tpm2 == nil {
			b = binding{literal: map[int]bool{}}
			break
		}
		sealed := s.tpm2.Sealed
		b.pin = b.pin && sealed.PIN
		b.signed = b.signed && sealed.Signed != nil && slices.Contains(sealed.Signed.PCRs, 11)
		for n := range b.literal {
			b.literal[n] = b.literal[n] && slices.Contains(sealed.PCRs, n)
		}
	}
	return b
}

// tpm adds what the TPM slots give.
func (st *Statement) tpm(s Situation, slots []*Slot) {
	b := weakest(slots)
	st.protect("The disk in another box: the TPM of this box must take part.")
	if b.pin {
		st.protect("The whole box stolen while it is switched off: it asks for a PIN, and the TPM locks itself after a few wrong ones.")
	} else {
		st.expose("The whole box stolen: it starts and unlocks by itself. What keeps a thief out is only that nobody without a key can log in. A PIN would change this.")
	}
	system := b.signed || b.literal[11] // which kernel and initramfs
	switch {
	case !s.Measured:
		st.expose("Another system started on this board: nothing measures what starts here, so the TPM cannot tell the difference. It stops the theft of the disk without the board, and nothing more.")
	case !system && !b.literal[4]:
		st.expose("Another system started on this box: the TPM is not bound to what starts.")
	case s.SecureBoot && b.literal[7]:
		st.protect("Changed start-up software: the firmware starts only what was signed for this box, and the TPM gives the key to nothing else.")
	case b.literal[4] && b.literal[7]:
		st.protect("Changed start-up software: the TPM gives the key only to the very programs that started when the box was bound to it.")
		st.expose("Start-up software that cannot be told apart: without Secure Boot the firmware starts anything, and only the TPM refuses. Secure Boot with own keys would add a second lock.")
	default:
		st.expose("Changed start-up software: the TPM is bound to it only in part, and Secure Boot does not make up for it. Somebody with time and access can build a start-up that looks the same to the TPM.")
	}
	if s.Measured && (!b.literal[12] || !b.literal[15]) {
		st.expose("A start-up command line changed from outside: a TPM slot does not check that none was given (PCR 12 and 15).")
	}
	st.expose("Somebody who opens the box and works on the TPM chip itself or listens to memory with laboratory equipment.")
	st.states(slots)
}

// states lists slots that are not bound yet.
func (st *Statement) states(slots []*Slot) {
	bound := slices.ContainsFunc(slots, func(s *Slot) bool { return s.State == StateBound })
	for _, s := range slots {
		switch {
		case s.State == StateProvisional && !bound:
			st.open("Not yet bound: slot %d was made by the installer and is replaced when the box has started from its disk.", s.ID)
		case s.State == StateProvisional:
			st.open("Slot %d was made by the installer and is no longer needed: it goes away at the next start.", s.ID)
		case s.State == StateCandidate:
			st.open("Slot %d is new: it takes the place of the older one when it has opened the disk at a start.", s.ID)
		case s.Problem != nil:
			st.open("Slot %d is for a TPM but cannot be used: %v.", s.ID, s.Problem)
		}
	}
}

// people adds what the keys in people's hands mean.
func (st *Statement) people(use map[Kind][]*Slot) {
	if n := len(use[KindRecovery]); n == 0 {
		st.expose("Losing all other keys: there is no recovery key, so a broken board or TPM means the data is gone.")
		st.open("There is no recovery key: make one with stek key add-recovery.")
	} else {
		st.protect("A broken board, TPM or a forgotten passphrase: the recovery key still opens the disk.")
		st.expose("Whoever has the disk and %s.", plural(n, "the recovery key", "one of the %d recovery keys"))
	}
	if n := len(use[KindPassphrase]); n != 0 {
		st.expose("Whoever has the disk and knows or guesses %s: a short one can be guessed on other machines, without the box.", plural(n, "the passphrase", "one of the %d passphrases"))
	}
	if len(use[KindKeyStick]) != 0 {
		st.expose("The box stolen together with its key stick: do not leave the stick in it.")
	}
	if others := use[KindOther]; len(others) != 0 {
		var ids []string
		for _, s := range others {
			ids = append(ids, fmt.Sprint(s.ID))
		}
		st.expose("Slots made by other tools (%s): what opens them cannot be told.", strings.Join(ids, ", "))
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}
