// Package keymap gives the kernel's console the layout of the keyboard that the
// answer file names: in the installer before it asks for a PIN or passphrase of the
// box, and in the initramfs before it asks for one. The layout is the kernel's own from
// then on, so the node's consoles have it too. The passphrase of a secrets file is asked
// for before the answers are known in full, and so in the kernel's own layout.
//
// Layouts are made when the image is built, in the binary form of loadkeys --bkeymap,
// which busybox' loadkmap reads as well: the word "bkeymap", 256 bytes that say which
// of the modifier tables follow, and each of these as 128 values of 16 bits, little
// endian. Dead keys and the compose key follow the kernel's built-in table, that of
// Latin-1, whatever the layout.
//
// The installer copies one of them to the ESP, which anybody can write to: Parse
// believes nothing. A layout can at worst make a passphrase impossible to type, and
// one that has no Enter is refused. The package must never keep a box from asking: who
// calls it says what is wrong and goes on with the layout that is there. Only a person who
// has just chosen a layout that is not to be had (LayoutError) is asked for another.
//
// The built-in layout has no file. Who may change his mind calls Use, which keeps the
// kernel's own tables in memory, under /run, before it changes them for the first time.
//
//	k, err := keymap.Parse(data)
//	err = k.Load()
//	…
//	err = keymap.Use(keymap.Dir, "de")
//	err = keymap.Use(keymap.Dir, "us") // as before
package keymap
