// Package site is a virtual site with one box on it: an image is built, written to a
// stick with an answer file, and the stick is put into a virtual box. The demo and
// the machine tests are written in its words.
//
// It must never fake a part: the image is the one that `stek image build` makes, the
// box runs it, and what is known of the box is what a person at its console sees.
//
//	s, err := site.New(ctx, site.Options{Stek: "build/stek", Image: "build/stek-amd64.img", Dir: dir})
//	box, err := s.PowerOn(ctx)
//	installed, err := box.WaitInstalled(ctx)
//	err = box.WaitReady(ctx)
package site
