package installer

import (
	"context"
	"errors"
	"fmt"

	"github.com/stek-edge/stek/installer/vault"
)

// secrets are made while the volume is made and live only in memory: on the disk
// they are inside the volume, on the stick the recovery key is encrypted.
type secrets struct {
	recovery    vault.RecoveryKey
	maintenance []byte
}

func (s *secrets) wipe() {
	clear(s.maintenance)
	*s = secrets{}
}

// minPIN is the least length of a PIN, in characters. The TPM slows guessing down, so
// that a short one is worth something.
const minPIN = 6

// Person is whoever stands at the machine.
type Person interface {
	// Say shows a message.
	Say(format string, args ...any)
	// Ask shows a question and returns what was typed, unseen by others.
	Ask(ctx context.Context, question string) ([]byte, error)
}

// askTwice asks for a new secret until it was typed twice in the same way.
func askTwice(ctx context.Context, p Person, what string, least int) ([]byte, error) {
	for range 3 {
		first, err := p.Ask(ctx, fmt.Sprintf("New %s:", what))
		if err != nil {
			return nil, fmt.Errorf("asking for the %s: %w", what, err)
		}
		if len([]rune(string(first))) < least {
			p.Say("The %s needs at least %d characters.", what, least)
			continue
		}
		second, err := p.Ask(ctx, "The same again:")
		if err != nil {
			return nil, fmt.Errorf("asking for the %s: %w", what, err)
		}
		if string(first) == string(second) {
			return first, nil
		}
		p.Say("The two were not the same.")
	}
	return nil, errors.New("no " + what + " was given")
}
