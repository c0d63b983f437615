package site

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildImage builds the image of the machine tests, as `make image` does. top is the
// top of the source tree, where build/stek is. What it prints goes to standard output.
func BuildImage(ctx context.Context, top string) (stek, image string, err error) {
	return BuildVariant(ctx, top, "stek-amd64")
}

// BuildVariant builds an image of another name, with more arguments of `stek image
// build`, such as "--package", "hostapd".
func BuildVariant(ctx context.Context, top, name string, more ...string) (stek, image string, err error) {
	if top, err = filepath.Abs(top); err != nil {
		return "", "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", "", err
	}
	stek, image = filepath.Join(top, "build/stek"), filepath.Join(top, "build", name+".img")
	cmd := exec.CommandContext(ctx, stek, append([]string{"image", "build", "--k3s", "module",
		"--keys", filepath.Join(cache, "keys"), "--cache", cache, "--file", image}, more...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return "", "", fmt.Errorf("building the image: %w", err)
	}
	return stek, image, nil
}

// CacheDir is what `make` calls $(CACHE).
func CacheDir() (string, error) {
	if dir := os.Getenv("STEK_CACHE"); dir != "" {
		return dir, nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(user, "stek"), nil
}
