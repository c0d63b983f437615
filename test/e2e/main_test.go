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

// cacheDir is what `make` calls $(CACHE).
func cacheDir() string {
	if dir := os.Getenv("STEK_CACHE"); dir != "" {
		return dir
	}
	user, err := os.UserCacheDir()
	if err != nil {
		panic(err)
	}
	return filepath.Join(user, "stek")
}

func build(ctx context.Context) error {
	top, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	cache := cacheDir()
	stek, image = filepath.Join(top, "build/stek"), filepath.Join(top, "build/stek-amd64.img")
	cmd := exec.CommandContext(ctx, stek, "image", "build", "--k3s", "module",
		"--keys", filepath.Join(cache, "keys"), "--cache", cache, "--file", image)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}
