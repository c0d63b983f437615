// Package gomodule builds programs of other Go modules for the image.
//
// Such a program is built from a small wrapper module, a Recipe: its go.mod repeats
// the replace directives that only count in a main module, and its go.sum names
// the digest of every source file that takes part, so a build either uses
// exactly these sources or fails. A recipe is kept as one txtar file.
//
// A built program is kept under a key made from everything that decides its
// bytes (recipe, toolchain, architecture, C compiler), so nothing is built twice
// and a changed input never finds an old result. The same inputs give the same
// bytes whatever the folder, the time zone or the umask.
//
// The package must never let settings of the building machine leak into a
// program, and never accept a source whose digest is not in the recipe.
//
//	recipe, err := gomodule.Parse("cni", text)
//	b := gomodule.Builder{Cache: cache, Arch: "amd64"}
//	built, err := b.Build(ctx, recipe)
package gomodule
