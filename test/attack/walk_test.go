package attack

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/vault"
)

// walk is the life of one box through many changes, each of which the power may end at
// any step.
type walk struct {
	*box
	t     *testing.T
	rand  *rand.Rand
	now   chain               // what the box starts as
	was   []chain             // what it has been, or was to become
	keys  []vault.RecoveryKey // on the office's papers, the newest last
	count int
	story []string
}

// changes are what may happen to a box. Each gets a Manager whose power may go at any
// call, and tells what the box is after it.
var changes = []struct {
	name string
	do   func(w *walk, m *vault.Manager) error
}{
	{"dbx, resealed before", func(w *walk, m *vault.Manager) error {
		next := w.anotherFirmware()
		w.connect()
		err := w.add(m, w.now.key(), next.pcr7(), w.pin)
		w.now = next // the list is the firmware's: it is changed, whatever became of the key
		return err
	}},
	{"firmware update", func(w *walk, m *vault.Manager) error {
		w.now = w.anotherFirmware()
		return w.settle(m, w.startTyping(w.now), w.now)
	}},
	{"update that is taken back", func(w *walk, m *vault.Manager) error {
		next := w.anotherFirmware()
		return w.settle(m, w.startTyping(next), next)
	}},
	{"next epoch", func(w *walk, m *vault.Manager) error {
		w.count++
		next := w.now.with(func(c *chain) { c.image, c.signer = fmt.Sprint("UKI ", w.count), w.anotherSigner() })
		w.was = append(w.was, w.now, next)
		w.connect()
		if err := w.add(m, next.key(), next.pcr7(), w.pin); err != nil {
			return err // the new image is not put in place
		}
		w.now = next
		return nil
	}},
	{"new image of the same epoch", func(w *walk, _ *vault.Manager) error {
		w.count++
		w.now.image = fmt.Sprint("UKI ", w.count)
		return nil
	}},
	{"recovery key replaced", func(w *walk, m *vault.Manager) error {
		old := w.recoverySlot()
		w.keys = append(w.keys, vault.NewRecoveryKey()) // on paper first
		if _, err := m.AddRecovery(w.t.Context(), w.maintenance, w.keys[len(w.keys)-1]); err != nil {
			return err
		}
		return m.Remove(w.t.Context(), old, false)
	}},
	{"PIN set or changed", func(w *walk, m *vault.Manager) error { return w.newPIN(m, fmt.Sprint(100000+w.rand.IntN(900000))) }},
	{"PIN removed", func(w *walk, m *vault.Manager) error { return w.newPIN(m, "") }},
	{"started", func(w *walk, m *vault.Manager) error { return w.settle(m, w.startTyping(w.now), w.now) }},
}

func (w *walk) anotherFirmware() chain {
	w.count++
	next := w.now.with(func(c *chain) { c.firmware = fmt.Sprint("firmware ", w.count) })
	w.was = append(w.was, w.now, next)
	return next
}

// anotherSigner changes between two keys, which takes less time than to make new ones.
func (w *walk) anotherSigner() *rsa.PrivateKey {
	if w.now.key() == builderKey() {
		return nextKey()
	}
	return builderKey()
}

func (w *walk) newPIN(m *vault.Manager, pin string) error {
	w.connect()
	if err := w.add(m, w.now.key(), w.now.pcr7(), pin); err != nil {
		return err // nobody was told of the new PIN
	}
	w.pin = pin
	return nil
}

// recoverySlot opens the volume by the office's papers: some key on them must do. The
// older one is tried first: a newer one whose slot got no token is tidied away.
func (w *walk) recoverySlot() int {
	w.t.Helper()
	h := w.header()
	for _, key := range w.keys {
		if v, err := h.Unlock(w.t.Context(), typing(key.Reveal())); err == nil {
			defer v.Close()
			w.recovery = key
			return v.Slot.ID
		}
	}
	w.t.Fatal("no recovery key on the office's papers opens the disk")
	return -1
}

// TestSequences walks boxes through changes in any order, with a power cut at any step of
// each. After every one the disk opens by the recovery key; when the box has been left
// alone for some starts it opens by itself, with one key, and by nothing that it was
// before.
func TestSequences(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("walk ", seed), func(t *testing.T) {
			w := &walk{box: bound(t), t: t, rand: rand.New(rand.NewPCG(seed, 0)), now: genuine}
			w.keys = []vault.RecoveryKey{w.recovery}
			defer func() { t.Logf("what had happened: %s", strings.Join(w.story, ", ")) }()
			for range 8 {
				w.step(t)
			}
			w.recoverySlot()
			w.settled(t, w.now)
			for _, old := range w.was {
				same := old.firmware == w.now.firmware && old.key() == w.now.key()
				if s := w.start(old); s.kind != "" && !same {
					t.Errorf("%+v opens the box that is now %+v, by slot %d", old, w.now, s.slot)
				}
			}
		})
	}
}

// step does one change, most often with a cut somewhere in it.
func (w *walk) step(t *testing.T) {
	t.Helper()
	change := changes[w.rand.IntN(len(changes))]
	r := &cutRunner{device: w.volume.Device, last: w.rand.IntN(7), how: everywhere[w.rand.IntN(len(everywhere))]}
	if r.last == 0 {
		r.how = wholeCall // there is no call to be torn
	}
	err := change.do(w, &vault.Manager{Device: w.volume.Device, Runner: r})
	w.powerOff()
	if err != nil && !errors.Is(err, errCut) {
		t.Fatalf("%s: %v", change.name, err)
	}
	end := "done"
	if err != nil {
		end = fmt.Sprintf("cut %s %d", r.how, r.last)
	}
	w.story = append(w.story, change.name+": "+end)
	w.recoverySlot()
}
