// Command demo shows the whole of stek on a virtual box: it builds the image, writes
// it to a virtual stick with an answer file, installs an empty box from it unattended,
// lets the box start from its own disk, and ends when its node is Ready. It must never
// do by itself what a person would not do with a stick and a box: see package site.
//
// With -screen there is no answer file, and a person answers on the box's serial console,
// which this terminal becomes.
//
//	go run ./test/demo -cache DIR [-keep | -screen]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var d demo
	flag.StringVar(&d.stek, "stek", "build/stek", "the program")
	flag.StringVar(&d.image, "image", "build/stek-amd64.img", "the image to build")
	flag.StringVar(&d.cache, "cache", os.Getenv("STEK_CACHE"), "what is kept from build to build")
	flag.StringVar(&d.dir, "dir", "build/demo", "where the virtual box lives")
	flag.StringVar(&d.compression, "compression", "0", "zstd level of the root; 0 is the builder's own choice")
	flag.BoolVar(&d.keep, "keep", false, "leave the box running at the end")
	flag.BoolVar(&d.screen, "screen", false, "answer the questions on the box's console; leaves the box running")
	flag.Parse()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	stek, image, cache, dir, compression string
	keep, screen                         bool
	phases                               []phase
}

type phase struct {
	name string
	took time.Duration
}

func (d *demo) run(ctx context.Context) error {
	if err := d.phase("build the image", func() error { return d.build(ctx) }); err != nil {
		return err
	}
	if err := vm.Stop(ctx, filepath.Join(d.dir, "box")); err != nil {
		return err
	}
	if err := clearLast(d.dir); err != nil {
		return err
	}
	var s *site.Site
	err := d.phase("write the stick", func() (err error) {
		s, err = site.New(ctx, site.Options{Stek: d.stek, Image: d.image, Dir: d.dir, Silent: d.screen})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Println("== processor:", s.Processor)
	s.Machine.Outlive = d.keep || d.screen
	box, err := s.PowerOn(ctx)
	if err != nil {
		return err
	}
	defer box.Close()
	if d.screen {
		return attach(box)
	}
	fmt.Println("== logs:", box.Logs)
	go follow(ctx, box)
	if err := d.phase("install, from power-on", func() error { _, err := box.WaitInstalled(ctx); return err }); err != nil {
		return err
	}
	if err := d.phase("start from the disk, until it is open", func() error { _, err := box.WaitOpened(ctx); return err }); err != nil {
		return err
	}
	if err := d.phase("until the node is Ready", func() error { _, err := box.WaitReady(ctx); return err }); err != nil {
		return err
	}
	return d.end(ctx, s, box)
}

// clearLast removes the box of the last run, but for its logs: those of one that failed are
// wanted later than one thinks.
func clearLast(dir string) error {
	before := dir + "-before"
	if err := os.RemoveAll(before); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "box"), before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}

func (d *demo) phase(name string, do func() error) error {
	fmt.Printf("\n== %s\n", name)
	started := time.Now()
	err := do()
	took := time.Since(started)
	d.phases = append(d.phases, phase{name, took})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("== %s: %s\n", name, took.Round(time.Second))
	return nil
}

func (d *demo) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, d.stek, "image", "build", "--k3s", "module",
		"--keys", filepath.Join(d.cache, "keys"), "--cache", d.cache, "--file", d.image, "--compression", d.compression)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// follow prints the lines of the box's console that stek itself says.
func follow(ctx context.Context, box *site.Box) {
	shown := 0
	for ctx.Err() == nil && !box.Off() {
		lines := box.Console.Lines()
		for ; shown < len(lines)-1; shown++ {
			if text := strings.TrimSpace(lines[shown].Text); text != "" {
				fmt.Printf("  [%7.1f] %s\n", lines[shown].At.Seconds(), text)
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// end prints what is worth knowing at the end.
func (d *demo) end(ctx context.Context, s *site.Site, box *site.Box) error {
	if err := box.LogIn(ctx); err != nil {
		return err
	}
	status, err := box.Run(ctx, "stek node status")
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\n\n", strings.Repeat("=", 78))
	fmt.Println(status)
	fmt.Println()
	var total time.Duration
	for _, p := range d.phases {
		fmt.Printf("%-40s %8s\n", p.name, p.took.Round(time.Second))
		total += p.took
	}
	fmt.Printf("%-40s %8s\n\n", "all", total.Round(time.Second))
	fmt.Printf("Stick     %s\nDisk      %s\nLogs      %s\n", s.Stick, s.Disk, box.Logs)
	if d.keep {
		if err := box.Detach(); err != nil {
			return err
		}
		fmt.Printf("Console   socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:%s   (root, password %q)\n", box.ConsoleSocket(), site.Password)
		return nil
	}
	fmt.Println("Console   the box is off again; 'make demo KEEP=1' leaves it on and says how to attach")
	return nil
}
