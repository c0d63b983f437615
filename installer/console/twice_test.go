package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// typist answers questions from a list.
type typist struct {
	answers []string
	said    []string
}

func (p *typist) Say(format string, args ...any) {
	p.said = append(p.said, fmt.Sprintf(format, args...))
}

func (p *typist) Ask(context.Context, string) ([]byte, error) {
	if len(p.answers) == 0 {
		return nil, ErrNobody
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	return []byte(answer), nil
}

func TestNewSecret(t *testing.T) {
	tests := []struct {
		name    string
		typed   []string
		leave   bool
		want    string
		said    string
		failure string
	}{
		{"the same twice", []string{"246810", "246810"}, false, "246810", "", ""},
		{"too short, then right", []string{"2468", "246810", "246810"}, false, "246810", "The PIN needs at least 6 characters.", ""},
		{"counted in characters", []string{"ééééé", "éééééé", "éééééé"}, false, "éééééé", "The PIN needs at least 6 characters.", ""},
		{"not the same, then right", []string{"246810", "246811", "246810", "246810"}, false, "246810", "The two were not the same.", ""},
		{"never right", []string{"1", "1", "1"}, false, "", "The PIN needs at least 6 characters.", "no PIN was given"},
		{"left", []string{""}, true, "", "", "nothing was typed"},
		{"may not be left", []string{"", "246810", "246810"}, false, "246810", "The PIN needs at least 6 characters.", ""},
		{"nobody there", nil, true, "", "", "asking for the PIN: nobody typed anything"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &typist{answers: tt.typed}
			got, err := NewSecret{What: "PIN", Least: 6, MayLeave: tt.leave}.From(context.Background(), p)
			if string(got) != tt.want || (err == nil) != (tt.failure == "") || (err != nil && err.Error() != tt.failure) {
				t.Errorf("%q, %v", got, err)
			}
			if tt.said != "" && !strings.Contains(strings.Join(p.said, "\n"), tt.said) || tt.said == "" && len(p.said) > 0 {
				t.Errorf("said %q", p.said)
			}
		})
	}
	if _, err := (NewSecret{What: "PIN", MayLeave: true}).From(context.Background(), &typist{answers: []string{""}}); !errors.Is(err, ErrLeft) {
		t.Errorf("error %v", err)
	}
}
