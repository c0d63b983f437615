package main

import ("os"; "path/filepath"; "github.com/stek-edge/stek/installer/stage1")

func main() {
	if filepath.Base(os.Args[0]) == "modprobe" { stage1.Modprobe(os.Args[1:]); return }
	stage1.Main()
}
