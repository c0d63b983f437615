package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/guest/internal/job"
	"github.com/stek-edge/stek/test/testimage"
	"github.com/stek-edge/stek/test/vm"
)

// agentPackage is the guest's first process.
const agentPackage = "github.com/stek-edge/stek/test/guest/agent"

// Spec says what runs in the guest, and on which machine.
type Spec struct {
	Main string // a main package, by path relative to the working directory or import path
	Test string // or a package whose tests shall run; its testdata directory comes along
	Args []string
	Env  []string // "NAME=value", besides PATH, HOME and TMPDIR

	// Stdin is the program's standard input: the way for secrets, which must not stand
	// in an argument.
	Stdin []byte

	Modules  []string          // kernel modules, besides those for the machine's own devices
	Programs []string          // programs of the host, with their shared libraries
	Files    map[string]string // path in the guest: file or directory of the host

	// Machine gives memory, disks, TPM and network. Kernel, Initrd and Serial2 are set
	// here; Cmdline is appended to. Without a Dir a temporary one is used.
	Machine vm.Machine

	Kernel  testimage.Kernel // testimage.TestKernel by itself
	Timeout time.Duration    // for everything after building; 5 minutes by itself
	Output  io.Writer        // gets what the program prints while it runs; may be nil
}

// Result is what became of the program.
type Result struct {
	Exit    int // its exit status, or 128 and the signal that ended it
	Stdout  []byte
	Stderr  []byte
	Console string        // of the guest: kernel messages
	Boot    time.Duration // from power-on to the start of the program
	Run     time.Duration // of the program, by the guest's clock
}

// Check runs a Spec for a test. The test fails, with all output, unless the program
// exits with status 0; logs are kept as vm.Start does.
func Check(t testing.TB, spec Spec) Result {
	t.Helper()
	if spec.Machine.Dir == "" {
		spec.Machine.Dir = t.TempDir()
	}
	result, err := run(t.Context(), spec, func(_ context.Context, m vm.Machine) (*vm.Box, error) {
		return vm.Start(t, m), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Exit != 0 {
		t.Fatalf("in the guest: exit status %d\n%s%s", result.Exit, result.Stdout, result.Stderr)
	}
	t.Logf("guest: %.1f s to the program, %.1f s in it", result.Boot.Seconds(), result.Run.Seconds())
	return result
}

// Run builds the program and the initramfs, boots the guest, and waits for the program's
// end. A program that fails is no error: see Result.Exit. A guest that does not come up,
// panics or takes too long is one, with the end of its console.
func Run(ctx context.Context, spec Spec) (Result, error) {
	if spec.Machine.Dir == "" {
		dir, err := os.MkdirTemp("", "stek-guest-")
		if err != nil {
			return Result{}, fmt.Errorf("running in a guest: %w", err)
		}
		defer os.RemoveAll(dir)
		spec.Machine.Dir = dir
	}
	return run(ctx, spec, func(ctx context.Context, m vm.Machine) (*vm.Box, error) { return m.PowerOn(ctx) })
}

func run(ctx context.Context, spec Spec, powerOn func(context.Context, vm.Machine) (*vm.Box, error)) (Result, error) {
	m, err := spec.build(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("building a guest: %w", err)
	}
	defer os.Remove(m.Initrd)
	timeout := spec.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	box, err := powerOn(ctx, m)
	if err != nil {
		return Result{}, err
	}
	defer box.Close()
	return collect(ctx, box, spec.Output)
}

// build makes the initramfs and completes the machine.
func (s Spec) build(ctx context.Context) (vm.Machine, error) {
	m := s.Machine
	kernel := s.Kernel
	if kernel.Image == "" {
		var err error
		if kernel, err = testimage.TestKernel(ctx); err != nil {
			return m, err
		}
	}
	tree, err := s.tree(ctx, kernel)
	if err != nil {
		return m, err
	}
	initrd, err := os.CreateTemp("", "stek-guest-*.cpio")
	if err != nil {
		return m, err
	}
	initrd.Close()
	if err := tree.WriteFile(initrd.Name()); err != nil {
		return m, errors.Join(err, os.Remove(initrd.Name()))
	}
	m.Kernel, m.Initrd = kernel.Image, initrd.Name()
	m.Cmdline = strings.TrimSpace("console=ttyS0 quiet panic=-1 " + m.Cmdline)
	m.Serial2, m.NoReboot = true, true
	return m, nil
}

func (s Spec) tree(ctx context.Context, kernel testimage.Kernel) (*testimage.Tree, error) {
	tree := testimage.NewTree()
	if err := tree.AddGo(ctx, "/init", agentPackage); err != nil {
		return nil, err
	}
	j := job.Job{Program: job.ProgramPath, Dir: "/job", Args: s.Args, Env: s.Env, Stdin: s.Stdin}
	tree.AddDir("/job")
	switch {
	case (s.Main == "") == (s.Test == ""):
		return nil, errors.New("want either Main or Test")
	case s.Main != "":
		if err := tree.AddGo(ctx, job.ProgramPath, s.Main); err != nil {
			return nil, err
		}
	default:
		if err := tree.AddGoTest(ctx, job.ProgramPath, s.Test); err != nil {
			return nil, err
		}
		if err := addTestdata(ctx, tree, s.Test); err != nil {
			return nil, err
		}
	}
	if err := tree.AddModules(kernel, append(ModulesFor(s.Machine), s.Modules...)...); err != nil {
		return nil, err
	}
	for _, program := range s.Programs {
		if err := tree.AddProgram(ctx, program); err != nil {
			return nil, err
		}
	}
	for at, host := range s.Files {
		if err := tree.AddHost(at, host); err != nil {
			return nil, err
		}
	}
	description, err := j.Encode()
	if err != nil {
		return nil, err
	}
	tree.AddBytes(job.JobPath, 0o600, description)
	return tree, nil
}

// addTestdata puts a package's testdata where its tests expect it, beside them.
func addTestdata(ctx context.Context, tree *testimage.Tree, pkg string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		return fmt.Errorf("finding the directory of %s: %w", pkg, err)
	}
	testdata := filepath.Join(strings.TrimSpace(string(out)), "testdata")
	if _, err := os.Stat(testdata); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return tree.AddHost("/job/testdata", testdata)
}

// collect reads the agent's messages from the second serial port.
func collect(ctx context.Context, box *vm.Box, output io.Writer) (Result, error) {
	var result Result
	for {
		match, err := box.Serial2.Expect(ctx, `^\{.*\}$`)
		if err != nil {
			var ended *vm.ExpectError
			if errors.As(err, &ended) {
				err = ended.Cause
			}
			return result, fmt.Errorf("the guest did not report the program's end: %w; its console:\n%s%s%s",
				err, box.Console.Text(), result.Stdout, result.Stderr)
		}
		message, err := job.DecodeMessage(match.Text)
		if err != nil {
			return result, err
		}
		if message.Failure != "" {
			return result, fmt.Errorf("in the guest, before the program: %s; its console:\n%s", message.Failure, box.Console.Text())
		}
		if message.Started {
			result.Boot = match.At
		}
		result.Stdout = append(result.Stdout, message.Stdout...)
		result.Stderr = append(result.Stderr, message.Stderr...)
		if output != nil {
			output.Write(append(message.Stdout, message.Stderr...))
		}
		if message.Exit != nil {
			result.Exit, result.Run, result.Console = *message.Exit, message.Run, box.Console.Text()
			return result, nil
		}
	}
}

// ModulesFor lists the kernel modules that a machine's disks, cards and TPM need.
func ModulesFor(m vm.Machine) []string {
	modules := []string{"virtio_pci"}
	for _, d := range m.Disks {
		modules = append(modules, map[vm.Bus][]string{
			"":        {"virtio_blk"},
			vm.Virtio: {"virtio_blk"},
			vm.NVMe:   {"nvme"},
			vm.SATA:   {"ahci", "sd_mod"},
			vm.SCSI:   {"virtio_scsi", "sd_mod"},
			vm.USB:    {"xhci_pci", "usb_storage", "sd_mod"},
		}[d.Bus]...)
	}
	for _, n := range m.NICs {
		if n.Model == "" || strings.HasPrefix(n.Model, "virtio") {
			modules = append(modules, "virtio_net")
		} else {
			modules = append(modules, n.Model)
		}
	}
	if m.TPM != nil {
		modules = append(modules, "tpm_crb", "tpm_tis")
	}
	return modules
}
