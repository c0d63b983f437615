// Package attack tries to break what the project calls encrypted. Its tests install
// boxes, do to them what a thief, an owner of the board before, a curious technician or
// bad luck would do, and look at three things: that the box does not open by itself,
// that its screen says what happened and what to do, word by word, and that the
// recovery key still opens the disk where it should.
//
// The tests of `make test` use software TPMs and stock cryptsetup on image files; no
// kernel takes part. A start is played in the order in which package stage1 does it:
//
//	b := installed(t, signedPolicy)
//	b.tools("tpm2_clear -c p")           // somebody clears the TPM
//	s := b.start(genuine)                // power on, measure, unlock, cap
//	s.locked(t, "- tpm2 (slot 2): the TPM was cleared: …", "  open the disk with …")
//	s.opensWith(t, b.recovery, nil)
//
// Those named TestFull start whole machines with firmware and a kernel:
//
//	make setup build
//	STEK_CACHE=~/.cache/stek go test -tags e2e -timeout 3h -v -run TestFull ./test/attack
//
// Nothing here may weaken a check of the project to make an attack easier to write.
package attack
