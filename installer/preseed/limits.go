package preseed

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"
)

// checkGlob judges a pattern for MatchGlob.
func checkGlob(value string) *problem {
	if _, err := path.Match(value, ""); err != nil {
		return bad("this is no pattern", `* stands for anything, ? for one character, [ab] for one of several; write \[ for a plain [`)
	}
	if strings.Trim(value, "*") == "" {
		return bad("this fits every disk", "take the line out, or say more")
	}
	return nil
}

// MatchGlob reports whether a disk's serial number or model fits a pattern of the
// answer file: path.Match's, but capitals do not matter, a slash is like any other
// character, and blanks around the text are not part of it (drives pad with them).
func MatchGlob(pattern, text string) bool {
	plain := strings.NewReplacer("/", "\x01")
	fits, err := path.Match(plain.Replace(strings.ToLower(pattern)), plain.Replace(strings.ToLower(strings.TrimSpace(text))))
	return err == nil && fits
}

// checkSize judges a size.
func checkSize(value string) *problem {
	size, err := ParseBytes(value)
	if err != nil {
		return bad(quote(value)+": "+err.Error(), "")
	}
	if size == 0 {
		return bad("a size of 0", "take the line out")
	}
	return nil
}

// MinPIN is the least length of a PIN, in characters: what other disk encryption with
// a TPM asks for; the TPM itself slows guessing down.
const MinPIN = 6

const maxPIN = 128 // characters

// checkPIN judges a PIN without ever repeating it.
func checkPIN(value string) *problem {
	if value == "ask" {
		return nil
	}
	if n := utf8.RuneCountInString(value); n < MinPIN || n > maxPIN {
		return bad(fmt.Sprintf("a PIN has %d to %d characters", MinPIN, maxPIN), "choose another, or write ask")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return bad("the PIN holds a character that a keyboard does not have", "choose another, or write ask")
	}
	return nil
}

// checkRecipient judges an age public key: X25519 (age1…), or the hybrid kind that
// withstands quantum computers (age1pq1…).
func checkRecipient(value string) *problem {
	if looksPrivate(value) {
		return bad("this is the private half of an age key", "remove it from the file and make a new pair, since it was written down; give the age1… line")
	}
	var err error
	switch {
	case strings.HasPrefix(value, "age1pq1"):
		_, err = age.ParseHybridRecipient(value)
	case strings.HasPrefix(value, "age1"):
		_, err = age.ParseX25519Recipient(value)
	case strings.HasPrefix(value, "ssh-"):
		return bad("this is an SSH key", "the recovery key is encrypted with age: make a pair with age-keygen and give the age1… line")
	default:
		return bad("this is no age public key", "make a pair with age-keygen and give the age1… line")
	}
	if err != nil {
		// A mistyped key must not be taken: nobody could open the recovery key.
		return bad("the age public key is damaged (its checksum does not fit)", "copy the age1… line again")
	}
	return nil
}
