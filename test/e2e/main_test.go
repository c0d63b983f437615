//go:build e2e

// Package e2e tests whole boxes: a real image, real firmware, a TPM, power cuts. The
// short tests run everywhere; those whose names begin with TestFull take longer and
// are for `make e2e-full`.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// stek is the program and image the image file, built once for all tests.
var stek, image string

func TestMain(m *testing.M) {
	if err := build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "building the image:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func build(ctx context.Context) error {
	top, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	cache := os.Getenv("STEK_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		cache = filepath.Join(user, "stek")
	}
	stek, image = filepath.Join(top, "build/stek"), filepath.Join(top, "build/stek-amd64.img")
	cmd := exec.CommandContext(ctx, stek, "image", "build", "--k3s", "module",
		"--keys", filepath.Join(cache, "keys"), "--cache", cache, "--file", image)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}
