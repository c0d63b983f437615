package vault

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
)

func TestFinalPolicy(t *testing.T) {
	seen := tpm.PCRs{}
	for _, n := range BoundPCRs {
		seen[n] = bytes.Repeat([]byte{byte(n)}, 32)
	}
	key := testKey(t)
	for _, tt := range []struct {
		name       string
		secureBoot bool
		signed     bool // the image carries a signing key
		literal    []int
	}{
		{"Secure Boot off", false, true, []int{4, 7, 11, 12, 15}},
		{"Secure Boot on", true, true, []int{7, 12, 15}},
		{"Secure Boot on, image without a signed policy", true, false, []int{4, 7, 11, 12, 15}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			signer := key
			if !tt.signed {
				signer = nil
			}
			policy, err := FinalPolicy(seen, tt.secureBoot, signer)
			if err != nil {
				t.Fatal(err)
			}
			if got := policy.Literal.Numbers(); !slices.Equal(got, tt.literal) {
				t.Errorf("bound to %v, want %v", got, tt.literal)
			}
			if signed := policy.Signed != nil; signed != (len(tt.literal) == 3) {
				t.Errorf("signed: %v", signed)
			}
			for _, n := range []int{12, 15} {
				if !bytes.Equal(policy.Literal[n], make([]byte, 32)) {
					t.Errorf("PCR %d is bound to %x, not to zeros", n, policy.Literal[n])
				}
			}
			for _, n := range tt.literal {
				if n != 12 && n != 15 && !bytes.Equal(policy.Literal[n], seen[n]) {
					t.Errorf("PCR %d is bound to %x", n, policy.Literal[n])
				}
				if n == 12 || n == 15 {
					continue
				}
				less := tpm.PCRs{}
				for k, v := range seen {
					if k != n {
						less[k] = v
					}
				}
				if _, err := FinalPolicy(less, tt.secureBoot, signer); err == nil || !strings.Contains(err.Error(), "was not read at this start") {
					t.Errorf("without PCR %d: %v", n, err)
				}
			}
		})
	}
}
