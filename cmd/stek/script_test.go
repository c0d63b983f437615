package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/swtpm"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stek": main})
}

// TestScripts runs the program as a person would. Beside testscript's own commands
// there are: volume FILE, which makes an encrypted volume and leaves its recovery
// key in FILE.key; tpm, which starts a TPM and sets $TPM; and measure PCR, which
// extends a PCR of it.
func TestScripts(t *testing.T) {
	machines, err := filepath.Abs("../../test/machines")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("MACHINES", machines)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"volume": makeVolume,
			"tpm": func(ts *testscript.TestScript, _ bool, _ []string) {
				emu := swtpm.Start(t)
				ts.Setenv("TPM", "swtpm:"+emu.Socket)
			},
			"measure": measure,
		},
	})
}

func makeVolume(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	f, err := os.Create(name)
	ts.Check(err)
	ts.Check(f.Truncate(18 << 20)) // header and some data
	ts.Check(f.Close())
	key := vault.NewRecoveryKey()
	m := &vault.Manager{Device: name}
	ts.Check(m.Format(context.Background(), vault.FormatOptions{Recovery: key}))
	ts.Check(os.WriteFile(name+".key", []byte(key.Reveal()), 0o600))
}

// measure does what firmware does before anything is sealed.
func measure(ts *testscript.TestScript, _ bool, args []string) {
	pcr, err := strconv.Atoi(args[0])
	ts.Check(err)
	chip, err := tpm.Open(ts.Getenv("TPM"))
	ts.Check(err)
	defer chip.Close()
	ts.Check(chip.Extend(context.Background(), pcr, []byte("firmware")))
}
