// Command bench measures what stek promises to be fast at, side by side with what a
// careful person would use instead, in one run on one machine:
//
//	go run ./test/bench copy     the installer's verified copy, against dd with fsync, to
//	                             this machine's disk and to one as slow as a card
//	go run ./test/bench unlock   token to mapped device, against systemd-cryptsetup
//	go run ./test/bench start    kernel to switch_root, against Debian's dracut, and
//	                             power-on to Ready, against no encryption at all
//	go run ./test/bench sizes    what an image is made of
//
// The runs of both sides alternate, so that whatever else the machine does meets both.
// What is printed is the median of each side with the smallest and largest, and the
// median of the ratios of neighbouring runs; nothing is left out and nothing is
// estimated. Loop devices need root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name what to measure: copy, unlock, start, sizes")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	runs := flags.Int("runs", 7, "how often each side runs")
	size := flags.Int64("size", 768<<20, "bytes to copy")
	dir := flags.String("dir", "", "where the image files lie; by itself the directory for temporary files")
	stek := flags.String("stek", "build/stek", "the program")
	image := flags.String("image", "build/stek-amd64.img", "the image")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	fmt.Println(machine())
	switch args[0] {
	case "copy":
		if err := benchCopy(ctx, *dir, *size, *runs); err != nil {
			return err
		}
		return benchCopyToCard(ctx, *dir, *runs)
	case "unlock":
		return benchUnlock(ctx, *dir, *runs)
	case "start":
		return benchStart(ctx, *dir, *stek, *image, *runs)
	case "sizes":
		return benchSizes(ctx, *image, *dir)
	}
	return fmt.Errorf("cannot measure %q: copy, unlock, start, sizes", args[0])
}
