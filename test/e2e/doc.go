// Package e2e tests whole boxes: a real image, real firmware, a TPM, power cuts. The
// short tests run everywhere; those whose names begin with TestFull take longer and
// are for `make e2e-full`. They are written in the words of package site, and build the
// image first:
//
//	go test -tags e2e -count 1 -timeout 80m -v -run TestSpine ./test/e2e
//
// They must never fake a part of a box to get at a state more quickly: it is brought
// there by what a person, a power cut or a thief would do.
package e2e
