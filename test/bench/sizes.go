package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// benchSizes prints what an image is made of.
func benchSizes(ctx context.Context, stek, image string) error {
	cmd := exec.CommandContext(ctx, stek, "image", "inspect", image)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("inspecting %s: %w", image, err)
	}
	return nil
}
