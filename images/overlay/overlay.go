// Package overlay holds the files that stek itself adds to the root file system:
// units, and the few settings in which a node differs from Debian's defaults. They
// lie below files/ as they will lie below /, so that a reviewer reads them in place.
//
// It must never hold anything private or particular to one machine: the root is
// public, and the same on every box.
//
//	for path, content := range overlay.Files() { … }
//	for link, target := range overlay.Links(units) { … }
package overlay

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed all:files
var tree embed.FS

const unitDir = "usr/lib/systemd/system"

// Files returns every file by its path in the root, without a leading slash. All of
// them are mode 0644 and owned by root.
func Files() map[string][]byte {
	files := map[string][]byte{}
	_ = fs.WalkDir(tree, "files", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := tree.ReadFile(p)
		files[strings.TrimPrefix(p, "files/")] = content
		return err
	})
	return files
}

// Links returns the symbolic links that enable the given unit files, and Debian's own
// that every box needs: what
// systemctl(1) enable makes of their WantedBy= lines, below /usr/lib, where they
// are part of the image and not of a machine's own /etc.
func Links(units map[string][]byte) map[string]string {
	links := map[string]string{
		unitDir + "/default.target": "multi-user.target",
		// Debian's own services that every box needs, network or not: k3s' node
		// address and its names come from the first two.
		unitDir + "/multi-user.target.wants/systemd-networkd.service": "../systemd-networkd.service",
		unitDir + "/sysinit.target.wants/systemd-resolved.service":    "../systemd-resolved.service",
		unitDir + "/sysinit.target.wants/systemd-timesyncd.service":   "../systemd-timesyncd.service",
		unitDir + "/multi-user.target.wants/ssh.service":              "../ssh.service",
	}
	for p, content := range units {
		if path.Dir(p) != unitDir {
			continue
		}
		for line := range strings.Lines(string(content)) {
			targets, ok := strings.CutPrefix(strings.TrimSpace(line), "WantedBy=")
			if !ok {
				continue
			}
			for _, target := range strings.Fields(targets) {
				links[path.Join(unitDir, target+".wants", path.Base(p))] = "../" + path.Base(p)
			}
		}
	}
	return links
}
