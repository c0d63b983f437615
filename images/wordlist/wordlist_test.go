package wordlist

import (
	"errors"
	"strings"
	"testing"
)

func TestEach(t *testing.T) {
	const text = "# a comment\n\nkeep  lib/modules # why\r\n\tdrop usr/share/doc"
	var got []string
	if err := Each("x.list", []byte(text), func(words []string) error {
		got = append(got, strings.Join(words, "|"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(got, "\n"); s != "keep|lib/modules\ndrop|usr/share/doc" {
		t.Errorf("read\n%s", s)
	}
	fault := errors.New("not known")
	err := Each("x.list", []byte(text), func([]string) error { return fault })
	if !errors.Is(err, fault) || err.Error() != "x.list:3: not known" {
		t.Errorf("error %v", err)
	}
}
