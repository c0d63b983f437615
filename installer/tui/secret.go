package tui

import (
	"context"
	"fmt"
	"unicode/utf8"

	passwordvalidator "github.com/wagslane/go-password-validator"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/vault"
)

// pair is a new secret, typed twice. It stays here for a further try, and goes nowhere but
// to the step that asks for it.
type pair struct{ first, again string }

// pair is what was typed for a method.
func (st *state) pair(method string) *pair {
	if st.chosen[method] == nil {
		st.chosen[method] = &pair{}
	}
	return st.chosen[method]
}

// good tells whether a secret can be taken.
func (p *pair) good(least int) bool {
	return utf8.RuneCountInString(p.first) >= least && p.first == p.again
}

// newSecret has a secret typed twice, and says how strong it is.
func newSecret(st *state, method string, least int) []row {
	p := st.pair(method)
	first := row{kind: input, secret: true, id: "new." + method, text: st.t("secret." + method), value: p.first, note: st.t("secret.empty."+method, least),
		set: func(st *state, value string) { st.pair(method).first = value }}
	again := row{kind: input, secret: true, id: "again." + method, text: st.t("secret.again"), value: p.again,
		set: func(st *state, value string) { st.pair(method).again = value }}
	switch n := utf8.RuneCountInString(p.first); {
	case n < least:
		first.fault = st.t("secret.short", least)
	case p.first != p.again:
		again.fault = st.t("secret.differs")
	}
	if p.first != "" {
		first.note = st.t("secret.strength", st.t("strength."+strength(method, p.first)), st.t("strength."+method))
	}
	return []row{first, again}
}

// strength is a word for how long a secret is guessed at. Passphrases are tried by whoever
// has the disk, as fast as Argon2id lets him; PINs by the TPM alone, which soon refuses
// further guesses for a long time, so that few bits are enough.
//
// The bits are an upper bound: no dictionary is asked. The ports of zxcvbn have one, and
// make tables of 10 MB of it whenever a program starts that has them inside, in 70 ms and
// more: too much for the first process of a box, which is this same program.
func strength(method, secret string) string {
	limits := []float64{45, 55, 70}
	if method == string(vault.KindTPM2) {
		limits = []float64{16, 20, 26}
	}
	words := []string{"weak", "fair", "good", "strong"}
	bits, word := passwordvalidator.GetEntropy(secret), 0
	for word < len(limits) && bits >= limits[word] {
		word++
	}
	return words[word]
}

// Choose implements console.Chooser: what was typed on the page about encryption, or on a
// page of its own.
func (p person) Choose(ctx context.Context, n console.NewSecret) ([]byte, error) {
	b, err := p.ask(ctx, question{text: n.What, choose: &n})
	if err != nil {
		return nil, fmt.Errorf("asking for the %s: %w", n.What, err)
	}
	return b, nil
}
