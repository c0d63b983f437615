package tui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
)

// What a person takes for at once: a first page, and a key on the screen before the next
// picture of a display of 60 Hz.
const (
	firstFrameWithin = 100 * time.Millisecond
	keyWithin        = 16 * time.Millisecond
)

// many is a machine with as many disks as a small storage server.
func many(t testing.TB) Session {
	s := session(t, "raid-server")
	like := s.Inventory.Disks[0]
	for i := range 200 {
		d := like
		d.Boot = false
		d.Path, d.Serial, d.TableGUID = fmt.Sprintf("/dev/sd%d", i), fmt.Sprintf("SERIAL%04d", i), ""
		s.Inventory.Disks = append(s.Inventory.Disks, d)
	}
	return s
}

// promised fails a benchmark of which half of the rounds take longer than a limit: single ones
// do on every machine that has something else to do.
func promised(b *testing.B, limit time.Duration, round func()) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		round()
		took = append(took, time.Since(began))
	}
	middle := median(took)
	b.ReportMetric(float64(middle.Nanoseconds()), "median-ns/op")
	if middle > limit {
		b.Fatalf("half of %d rounds take %v or more, and %v is promised", len(took), middle, limit)
	}
}

func median(of []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(of))[len(of)/2]
}

func draw(a *app) { _, _ = io.WriteString(io.Discard, a.View().Content) }

// firstFrame gives a round that does what is done up to the first page in a program that has
// been started: a description of the machine is read, what fits it is suggested, and the
// texts and phrases of a language that has all of them are read.
func firstFrame(b testing.TB) func() {
	s := many(b)
	text, err := json.Marshal(s.Inventory)
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		inv, err := hardware.Load(bytes.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		of := s
		of.Inventory, of.Values = inv, installer.Suggest(inv)
		of.Values["node.language"] = []string{"de"}
		readPhrases("de") // once in a program, which is all that a round stands for
		draw(newApp(b.Context(), of, look{}))
	}
}

// keyDown gives a round that goes down by one of 200 disks, and from the last line to the
// first one again.
func keyDown(b testing.TB) func() {
	a := newApp(b.Context(), many(b), look{})
	a.open(a.st.at("disk"))
	press(b, a, "end")
	last := a.focus
	return func() {
		before, key := a.focus, "down"
		if before == last {
			key = "home"
		}
		a.Update(keyNamed(key))
		draw(a)
		if a.focus == before {
			b.Fatalf("%s does not move from line %d", key, before)
		}
	}
}

// BenchmarkFirstFrame is up to the first page.
func BenchmarkFirstFrame(b *testing.B) { promised(b, firstFrameWithin, firstFrame(b)) }

// BenchmarkKey is a key press on the list of 200 disks, until it is drawn.
func BenchmarkKey(b *testing.B) { promised(b, keyWithin, keyDown(b)) }

// BenchmarkChoose takes one of 200 disks, until it is drawn.
func BenchmarkChoose(b *testing.B) {
	a := newApp(b.Context(), many(b), look{})
	a.open(a.st.at("disk"))
	promised(b, keyWithin, func() {
		a.Update(keyNamed("enter"))
		draw(a)
	})
}

// BenchmarkConfirm is a letter of the confirmation on the review of that machine, drawn.
func BenchmarkConfirm(b *testing.B) {
	a := newApp(b.Context(), many(b), look{})
	a.open(a.st.at("disk"))
	choose(b, a, "SAMSUNG")
	a.open(a.st.at("review"))
	key := "2"
	promised(b, keyWithin, func() {
		a.Update(keyNamed(key))
		draw(a)
		if key = "backspace"; a.st.typed == "" {
			key = "2"
		}
	})
}

// What is measured is what it says: the whole list is gone through, and the middle of the
// rounds counts.
func TestMeasured(t *testing.T) {
	down := keyDown(t)
	for range 500 {
		down() // fails where nothing moves
	}
	firstFrame(t)()
	for _, tt := range []struct {
		took []time.Duration
		want time.Duration
	}{
		{[]time.Duration{5}, 5},
		{[]time.Duration{900, 1, 2}, 2},
		{[]time.Duration{3, 900, 900, 1, 2}, 3},
	} {
		if got := median(tt.took); got != tt.want {
			t.Errorf("the middle of %v is %v", tt.took, got)
		}
	}
}
