package console

import (
	"context"
	"errors"
	"fmt"
)

// Person is whoever sits at a console.
type Person interface {
	// Say shows a message.
	Say(format string, args ...any)
	// Ask shows a question and returns what was typed, unseen by others.
	Ask(ctx context.Context, question string) ([]byte, error)
}

// Shower is a Person at a screen on which more than text can be shown.
type Shower interface {
	// Show shows a text that is to be copied by hand or by camera, until the step that
	// shows it has ended.
	Show(about, text string)
}

// Chooser is a Person who chooses new secrets in a way of its own, such as on a screen with
// two fields.
type Chooser interface {
	Choose(ctx context.Context, n NewSecret) ([]byte, error)
}

// NewSecret is a secret that somebody is asked to choose.
type NewSecret struct {
	Method   string // of unlocking, that the secret is for: a word of encryption.unlock
	What     string // such as "PIN of this box"
	Least    int    // characters
	MayLeave bool   // nothing typed means: not now
}

// ErrLeft says that the person does not want to choose a secret now.
var ErrLeft = errors.New("nothing was typed")

// From asks until the secret was typed twice in the same way, three times at most.
func (n NewSecret) From(ctx context.Context, p Person) ([]byte, error) {
	if screen, ok := p.(Chooser); ok {
		return screen.Choose(ctx, n)
	}
	for range 3 {
		first, err := p.Ask(ctx, fmt.Sprintf("New %s:", n.What))
		if err != nil {
			return nil, fmt.Errorf("asking for the %s: %w", n.What, err)
		}
		if len(first) == 0 && n.MayLeave {
			return nil, ErrLeft
		}
		if len([]rune(string(first))) < n.Least {
			p.Say("The %s needs at least %d characters.", n.What, n.Least)
			continue
		}
		second, err := p.Ask(ctx, "The same again:")
		if err != nil {
			return nil, fmt.Errorf("asking for the %s: %w", n.What, err)
		}
		if string(first) == string(second) {
			return first, nil
		}
		p.Say("The two were not the same.")
	}
	return nil, errors.New("no " + n.What + " was given")
}
