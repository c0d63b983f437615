package main

import (
	"context"
	"fmt"
	"os"
	"github.com/stek-edge/stek/test/testimage"
)

func main() {
	ctx := context.Background()
	k, err := testimage.FindKernel("/tmp/mm/x")
	if err != nil { panic(err) }
	t := testimage.NewTree()
	if err := t.AddFile("init", "/tmp/s1/stek"); err != nil { panic(err) }
	for _, d := range []string{"dev","proc","sys","run","sysroot","sbin"} { t.AddDir(d) }
	t.AddLink("sbin/modprobe", "/init")
	for _, n := range os.Args[1:] {
		if err := t.AddModules(k, n); err != nil { fmt.Println(n, err) }
	}
	_ = ctx
	for _, p := range t.Paths() { fmt.Println(p) }
	if err := t.WriteFile("/tmp/s1/initrd"); err != nil { panic(err) }
}
