//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stek-edge/stek/test/site"
)

// stek is the program and image the image file, built once for all tests.
var stek, image string

func TestMain(m *testing.M) {
	if err := build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func build(ctx context.Context) (err error) {
	stek, image, err = site.BuildImage(ctx, "../..")
	return err
}

func cacheDir() string {
	dir, err := site.CacheDir()
	if err != nil {
		panic(err)
	}
	return dir
}
