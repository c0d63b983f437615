//go:build !linux

package fat

const exclusive = 0
