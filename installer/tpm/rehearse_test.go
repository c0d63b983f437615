package tpm

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/stek-edge/stek/test/swtpm"
)

// handles lists what is in a TPM: sessions, objects, persistent keys and NV indexes.
func handles(t *testing.T, emu *swtpm.TPM) string {
	t.Helper()
	var all []tpm2.TPMHandle
	for _, first := range []uint32{0x01000000, 0x02000000, 0x03000000, 0x80000000, 0x81000000} {
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 32}.
			Execute(&op{context.Background(), New(socketConn(emu.Socket))})
		if err != nil {
			t.Fatal(err)
		}
		list, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list.Handle...)
	}
	return fmt.Sprintf("%x", all)
}

// TestRehearse: what would keep an enrolment from succeeding is found, and nothing stays in
// the TPM either way.
func TestRehearse(t *testing.T) {
	const srk = "tpm2_createprimary -C o -g sha256 -G ecc256:null:aes128cfb -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
	isA := func(e any) func(error) bool { return func(err error) bool { return errors.As(err, e) } }
	for _, tt := range []struct {
		name     string
		tools    []string
		booted   bool
		is       func(error) bool // nil: no error
		keysMade int
	}{
		{name: "new", booted: true, keysMade: 1},
		{name: "enrolled before", tools: []string{srk + " -c p.ctx", "tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c p.ctx 0x81000001",
			"tpm2_nvdefine -C o -s 32 -a ownerread|authread|ownerwrite|no_da 0x1a57e4b"}, booted: true},
		{name: "nothing measured", is: isA(new(*PCRValueError))},
		{name: "owner password", tools: []string{"tpm2_changeauth -c owner secret"}, booted: true, is: isA(new(*OwnerAuthError))},
		{name: "owner password, set after the storage key was made", tools: []string{srk + " -c p.ctx", "tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c p.ctx 0x81000001",
			"tpm2_changeauth -c owner secret"}, booted: true, is: isA(new(*OwnerAuthError))},
		{name: "another storage key", tools: []string{"tpm2_createprimary -C o -g sha256 -G rsa -c p.ctx", "tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c p.ctx 0x81000001"},
			booted: true, is: isA(new(*HandleTakenError))},
		{name: "storage key with a password", tools: []string{srk + " -p secret -c p.ctx", "tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c p.ctx 0x81000001"},
			booted: true, is: isA(new(*HandleTakenError))},
		{name: "place of the identity taken", tools: []string{"tpm2_nvdefine -C o -s 32 -a ownerread|ownerwrite|policywrite 0x1a57e4b"},
			booted: true, is: isA(new(*NVTakenError))},
		{name: "no SHA-256 bank", tools: []string{"tpm2_pcrallocate sha256:none+sha1:all"}, booted: true, is: isA(new(*NoBankError))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			emu := swtpm.Start(t)
			if tt.tools != nil {
				tools(t, emu, tt.tools...)
			}
			if tt.booted {
				d := open(t, emu)
				boot(t, d)
				d.Close() // with its session
			}
			before := handles(t, emu)
			c := &tap{TPMCloser: socketConn(emu.Socket)}
			d := New(c)
			err := d.Rehearse(t.Context(), IdentityIndex, 7)
			if tt.is == nil && err != nil || tt.is != nil && !tt.is(err) {
				t.Errorf("got %v", err)
			}
			made := 0
			for _, m := range c.seen {
				if len(m) > 10 && m[0] == 0x80 && commandCode(m) == uint32(tpm2.TPMCCCreatePrimary) {
					made++
				}
			}
			if err == nil && made != tt.keysMade { // each takes a slow chip a second
				t.Errorf("%d keys were made, not %d", made, tt.keysMade)
			}
			if err == nil { // and the same device goes on
				s := seal(t, d, newSecret(), Policy{Literal: read(t, d, 7)}, "")
				if _, err := d.Unseal(t.Context(), s, nil, nil); err != nil {
					t.Error(err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			d.Close()
			if after := handles(t, emu); after != before {
				t.Errorf("in the TPM are %s, and were %s", after, before)
			}
		})
	}
}

// TestRehearseLeavesNothing: on a new TPM no key, index or session stays.
func TestRehearseLeavesNothing(t *testing.T) {
	emu, d := start(t)
	d.Close()
	before := handles(t, emu)
	d = open(t, emu)
	for range 4 { // more than there is room for
		if err := d.Rehearse(t.Context(), IdentityIndex, 7); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	if after := handles(t, emu); after != before {
		t.Errorf("in the TPM are %s, and were %s", after, before)
	}
}

// TestRehearseFindsLies: a TPM that gives back something else than it was given is not taken.
func TestRehearseFindsLies(t *testing.T) {
	emu, _ := start(t)
	d := New(&tap{TPMCloser: socketConn(emu.Socket), change: func(cmd, rsp []byte) []byte {
		if commandCode(cmd) == uint32(tpm2.TPMCCUnseal) && len(rsp) > 20 {
			rsp[16] ^= 1
		}
		return rsp
	}})
	defer d.Close()
	var e *BusError
	if err := d.Rehearse(t.Context(), IdentityIndex, 7); !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
}
