// Command init is the first process of the guests in package bootchain: it prints
// what the firmware measured and enforces, enrols keys when the command line asks
// for it, and powers off.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/test/guest/inside"
)

const pcrs = "/sys/class/tpm/tpm0/pcr-sha256/"

func main() {
	defer inside.PowerOff()
	if err := run(); err != nil {
		fmt.Println("guest failed:", err)
	}
}

func run() error {
	if err := inside.Setup(); err != nil {
		return err
	}
	if err := inside.WaitFile(pcrs+"11", 10*time.Second); err != nil {
		return err
	}
	for _, n := range []string{"7", "11", "12"} {
		value, err := os.ReadFile(pcrs + n)
		if err != nil {
			return err
		}
		fmt.Printf("pcr %s = %s\n", n, strings.ToLower(strings.TrimSpace(string(value))))
	}
	for _, name := range []string{"tpm2-pcr-signature.json", "tpm2-pcr-public-key.pem"} {
		data, err := os.ReadFile("/.extra/" + name)
		if err != nil {
			return err
		}
		fmt.Printf("extra %s = %x\n", name, sha256.Sum256(data))
	}
	if err := unix.Mount("efivarfs", secureboot.EFIVars, "efivarfs", 0, ""); err != nil {
		return fmt.Errorf("mounting efivarfs: %w", err)
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	if strings.Contains(string(cmdline), "bootchain.enrol") {
		variables, err := secureboot.ReadVariables("/keys")
		if err != nil {
			return err
		}
		fmt.Println("enrol =", secureboot.Enrol(secureboot.EFIVars, variables))
	}
	state, err := secureboot.ReadState(secureboot.EFIVars)
	if err != nil {
		return err
	}
	fmt.Printf("state = SecureBoot %v SetupMode %v\n", state.SecureBoot, state.SetupMode)
	fmt.Println("guest done")
	return nil
}
