// Command echo shows a test what reached the guest.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Printf("args=%q stdin=%q env=%q dir=%q\n", os.Args[1:], input, os.Getenv("GREETING"), here())
	fmt.Fprintln(os.Stderr, "\x1b[31mto stderr\x1b[m")
	if len(os.Args) < 3 {
		return
	}
	number, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	switch os.Args[1] {
	case "write": // so many bytes, then fail
		fmt.Print(strings.Repeat("0123456789abcdef", number/16))
		os.Exit(7)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.Signal(number))
	case "sleep":
		time.Sleep(time.Duration(number) * time.Second)
	case "panic":
		os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	}
}

func here() string {
	dir, err := os.Getwd()
	if err != nil {
		return err.Error()
	}
	return dir
}
