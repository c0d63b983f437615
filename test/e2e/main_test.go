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
	cache, err := findCache()
	if err != nil {
		return err
	}
	stek, image = filepath.Join(top, "build/stek"), filepath.Join(top, "build/stek-amd64.img")
	cmd := exec.CommandContext(ctx, stek, "image", "build", "--k3s", "module",
		"--keys", filepath.Join(cache, "keys"), "--cache", cache, "--file", image)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

// findCache is the folder that the image builder keeps its results in.
func findCache() (string, error) {
	if cache := os.Getenv("STEK_CACHE"); cache != "" {
		return cache, nil
	}
	user, err := os.UserCacheDir()
	return filepath.Join(user, "stek"), err
}

func cacheDir(t *testing.T) string {
	t.Helper()
	cache, err := findCache()
	must(t, err)
	return cache
}
