package tui

import (
	"iter"
	"strings"
)

// reading is how one text is taken apart. Of all ways to do so, that one holds by which the
// phrases have most of the text.
type reading struct {
	book *phrases
	read map[part]said
	left int // bytes that may still be looked at
}

// part is a piece of a text.
type part struct {
	text   string
	phrase bool // it stands where a phrase has one
}

// said is a text in the book's language.
type said struct {
	text  string
	known int // bytes of the English that are a phrase's
}

// What bounds the work on a text that is like many phrases at once, bytes: no phrase is as
// long, and one that is made of several is looked at some hundred times.
const (
	longest = 2000
	most    = 100 * longest
)

// of says a part of the text.
func (r *reading) of(p part) said {
	if own, ok := r.book.exact[p.text]; ok {
		return said{own, len(p.text)}
	}
	best := said{p.text, 0}
	if s, ok := r.read[p]; ok {
		return s
	}
	if r.left -= len(p.text) + 1; r.left < 0 {
		return best
	}
	for _, f := range r.book.templates {
		for things := range f.fits(p.text) {
			if s, ok := r.put(f, things, p.phrase); ok && s.known > best.known {
				best = s
			}
		}
	}
	// What errors and lists are made of: a cause stands behind a colon, a remedy behind a
	// semicolon.
	for _, joint := range []string{": ", "; ", ", "} {
		for at := range places(p.text, joint) {
			left, right := r.side(p.text[:at]), r.side(p.text[at+len(joint):])
			if known := left.known + right.known; known > best.known {
				best = said{left.text + joint + right.text, known}
			}
		}
	}
	r.read[p] = best
	return best
}

// side is what stands beside a joint. A single word there may be a name.
func (r *reading) side(text string) said {
	if !strings.Contains(text, " ") {
		return said{text, 0}
	}
	return r.of(part{text, false})
}

// weak is the size of a phrase that many a text is like by chance. Where nothing says that
// a phrase is there, only words and phrases are put into such a one.
const weak = 8

// put says a phrase with the things that were put in. expected tells that there is one.
func (r *reading) put(f phrase, things []string, expected bool) (said, bool) {
	var b strings.Builder
	known := f.size
	for _, p := range f.pieces {
		if p.thing == 0 {
			b.WriteString(p.text)
			continue
		}
		own := said{things[p.thing-1], 0}
		switch p.kind {
		case aPhrase:
			if own = r.thing(f, own.text); own.known == 0 && f.mere() {
				return said{}, false
			}
		case aList:
			own.text = r.list(own.text)
		}
		if own.known == 0 && f.size < weak && !f.tail && !expected && strings.Contains(strings.ReplaceAll(own.text, ", ", ""), " ") {
			return said{}, false
		}
		known += own.known
		b.WriteString(own.text)
	}
	return said{b.String(), known}, true
}

// thing is a phrase that was put in.
func (r *reading) thing(f phrase, text string) said {
	if f.mere() {
		return r.side(text)
	}
	return r.of(part{text, true})
}

// mere tells whether a phrase is none without those that were put in.
func (f phrase) mere() bool { return f.between || !f.words }

// list says the joint before the last word of a list.
func (r *reading) list(text string) string {
	const or = " or "
	at := strings.LastIndex(text, or)
	if at < 0 {
		return text
	}
	return text[:at] + r.book.joints[or] + text[at+len(or):]
}

// fits gives the things that are put into a phrase where it reads as a text: one way, or for
// the end of a longer text one for each place where it may begin.
func (f phrase) fits(text string) iter.Seq[[]string] {
	first, last := f.literals[0], f.literals[len(f.literals)-1]
	return func(yield func([]string) bool) {
		if !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) || len(text) < f.size {
			return
		}
		if !f.tail {
			if things, ok := cut(text[len(first):], f.literals[1:]); ok {
				yield(things)
			}
			return
		}
		for at := range places(text, f.literals[1]) {
			things, ok := cut(text[at:], f.literals[1:])
			if ok && at > 0 && things[0] == "" && !yield(append([]string{text[:at]}, things[1:]...)) {
				return
			}
		}
	}
}

// cut gives what stands around literals in a text, the last of which ends it.
func cut(text string, literals []string) (things []string, ok bool) {
	end := literals[len(literals)-1]
	for _, literal := range literals[:len(literals)-1] {
		thing, rest, ok := strings.Cut(text, literal)
		if !ok {
			return nil, false
		}
		things, text = append(things, thing), rest
	}
	thing, ok := strings.CutSuffix(text, end)
	return append(things, thing), ok
}

// places are where a text has another.
func places(text, other string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := 0; ; at++ {
			next := strings.Index(text[at:], other)
			if next < 0 || !yield(at+next) {
				return
			}
			at += next
		}
	}
}
