package tui

import (
	"fmt"
	"io"
	"testing"
)

// many is a machine with as many disks as a small storage server.
func many(b testing.TB) Session {
	s := session(b, "raid-server")
	like := s.Inventory.Disks[0]
	for i := range 200 {
		d := like
		d.Boot = false
		d.Path, d.Serial, d.TableGUID = fmt.Sprintf("/dev/sd%d", i), fmt.Sprintf("SERIAL%04d", i), ""
		s.Inventory.Disks = append(s.Inventory.Disks, d)
	}
	return s
}

// BenchmarkFirstFrame is from nothing to the first page.
func BenchmarkFirstFrame(b *testing.B) {
	s := many(b)
	for b.Loop() {
		a := newApp(b.Context(), s, look{})
		_, _ = io.WriteString(io.Discard, a.View().Content)
	}
}

// BenchmarkKey is a key press on the list of 200 disks, until it is drawn.
func BenchmarkKey(b *testing.B) {
	a := newApp(b.Context(), many(b), look{})
	a.open(2)
	for b.Loop() {
		a.Update(keyNamed("down"))
		_, _ = io.WriteString(io.Discard, a.View().Content)
	}
}

// BenchmarkChoose takes one of 200 disks, until it is drawn.
func BenchmarkChoose(b *testing.B) {
	a := newApp(b.Context(), many(b), look{})
	a.open(2)
	for b.Loop() {
		a.Update(keyNamed("enter"))
		_, _ = io.WriteString(io.Discard, a.View().Content)
	}
}

// BenchmarkConfirm is a letter of the confirmation on the review of that machine, drawn.
func BenchmarkConfirm(b *testing.B) {
	a := newApp(b.Context(), many(b), look{})
	a.open(2)
	choose(b, a, "SAMSUNG")
	a.open(a.st.at("review"))
	for b.Loop() {
		a.Update(keyNamed("2"))
		a.Update(keyNamed("backspace"))
		_, _ = io.WriteString(io.Discard, a.View().Content)
	}
}
