package tpm

import (
	"context"
	"fmt"
)

// Check finds out, without unsealing, whether s belongs to this TPM and is whole: the
// storage key is the recorded one, and the TPM loads the object through it. That works on
// a running system, whose PCRs no longer allow unsealing. With a policy, for instance one
// with the PCR values predicted for the next boot, it also compares that with the
// object's. Errors are those of Unseal.
func (d *Device) Check(ctx context.Context, s *Sealed, want *Policy) error {
	o, done := d.begin(ctx)
	defer done()
	private, publicArea, _, err := s.object()
	if err != nil {
		return err
	}
	if want != nil {
		_, ok, err := s.exponent(*want)
		if err != nil {
			return fmt.Errorf("checking the policy: %w", err)
		}
		if !ok {
			return s.changed(want.Literal)
		}
	}
	key, err := o.parent(s)
	if err != nil {
		return err
	}
	defer key.release(o)
	u := &unseal{op: o, s: s, key: key, private: private, public: publicArea}
	item, err := u.load()
	if err != nil {
		return err
	}
	o.flush(item)
	return nil
}
