package preseed

import (
	"fmt"
	"strings"
	"unicode"
)

// quote shows a piece of the file in a message: on one line, and not too long.
func quote(text string) string {
	return fmt.Sprintf("%q", clip(text))
}

// clip shortens a text for a message. The private half of a key, pasted where
// something else belongs, is not shown at all.
func clip(text string) string {
	if looksPrivate(text) {
		return redacted
	}
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}

// oneOf lists words for a person: "a", "a or b", "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// didYouMean returns the word that was probably meant, or "".
func didYouMean(word string, words []string) string {
	// No word of the format is near this length, and the distance below costs the
	// product of both lengths.
	if len(word) > 64 {
		return ""
	}
	best, least := "", 0
	plain := fold(word)
	for _, candidate := range words {
		d := distance(plain, fold(candidate))
		if d > max(1, len([]rune(candidate))/3) {
			continue
		}
		if best == "" || d < least {
			best, least = candidate, d
		}
	}
	return best
}

// fold makes spellings equal that differ only in style: ssh_keys, sshKeys, ssh-keys.
func fold(word string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, word)
}

// distance counts the single edits (insert, delete, replace, swap two neighbours)
// between two words: the optimal string alignment distance.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
