// Package e2e tests whole boxes: a real image, real firmware, a TPM, power cuts. The
// short tests run everywhere; those whose names begin with TestFull take longer and
// are for `make e2e-full`. They are written in the words of package site, and begin by
// having build/stek build the image, which takes what did not change from the cache. So one
// test on one box is two commands, the first of them again after each change of the program:
//
//	make setup build
//	STEK_CACHE=~/.cache/stek go test -tags e2e -count 1 -timeout 80m -v -run TestSpine ./test/e2e
//
// A test makes a site (newSite: a stick, a disk, a TPM, answers), switches a box on
// (powerOn), waits for what its console says (phase), and asks it by a login or through the
// cluster. The logs of a box that failed go to the folder STEK_ARTIFACTS (stek-artifacts in
// the temporary folder, if it is not set); STEK_VM_ACCEL chooses kvm or tcg where the probe
// of package vm should not.
//
// They must never fake a part of a box to get at a state more quickly: it is brought
// there by what a person, a power cut or a thief would do.
package e2e
