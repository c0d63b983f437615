package k3s

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed units
var units embed.FS

const unitDir = "/usr/lib/systemd/system"

// homes says where in the root each embedded file lives.
var homes = map[string]string{
	".service":       unitDir,
	".mount":         unitDir,
	".netdev":        "/usr/lib/systemd/network",
	".network":       "/usr/lib/systemd/network",
	".sysctl.conf":   "/usr/lib/sysctl.d",
	".modules.conf":  "/usr/lib/modules-load.d",
	".resolved.conf": "/usr/lib/systemd/resolved.conf.d",
}

// RootFiles returns what is the same on every box: units, the dummy interface,
// kernel settings and modules. images are the archives in RootImagesDir by file
// name, names the container images inside them.
func RootFiles(images, names []string) ([]File, error) {
	entries, err := fs.ReadDir(units, "units")
	if err != nil {
		return nil, err
	}
	var files []File
	for _, e := range entries {
		data, err := units.ReadFile(path.Join("units", e.Name()))
		if err != nil {
			return nil, err
		}
		name, home := place(e.Name())
		if home == "" {
			return nil, fmt.Errorf("nobody knows where %s belongs", e.Name())
		}
		files = append(files, File{Path: path.Join(home, name), Mode: 0o644, Data: data})
	}
	files = append(files,
		File{Path: "/usr/lib/tmpfiles.d/stek-k3s-images.conf", Mode: 0o644, Data: []byte(imageLinks(images))},
		wanted("k3s.service"),
		// k3s runs a containerd of its own; Debian's would only take memory.
		File{Path: "/etc/systemd/system/containerd.service", Mode: fs.ModeSymlink | 0o777, Link: "/dev/null"},
	)
	if len(names) > 0 { // a oneshot unit that runs nothing is refused by systemd
		files = append(files, File{Path: path.Join(unitDir, pinUnit), Mode: 0o644, Data: []byte(pinImages(names))}, wanted(pinUnit))
	}
	return files, nil
}

// place splits "stek-k3s.sysctl.conf" into the name and the folder on the node.
func place(name string) (file, home string) {
	for suffix, dir := range homes {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			if strings.HasSuffix(suffix, ".conf") {
				suffix = ".conf"
			}
			return stem + suffix, dir
		}
	}
	return "", ""
}

func wanted(unit string) File {
	return File{Path: path.Join(unitDir, "multi-user.target.wants", unit), Mode: fs.ModeSymlink | 0o777, Link: "../" + unit}
}

// imageLinks shows the archives of the image to k3s, which imports every file in
// its agent/images folder at each start. Links of an older image go first; files
// that a site put there stay.
func imageLinks(images []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "d %s 0700 root root -\nr! %s/stek-*.tar.zst\nr! %s/k3s-airgap-images-*.tar.zst\n",
		AgentImagesDir, AgentImagesDir, AgentImagesDir)
	for _, name := range images {
		fmt.Fprintf(&b, "L+ %s - - - - %s\n", path.Join(AgentImagesDir, name), path.Join(RootImagesDir, name))
	}
	return b.String()
}

const pinUnit = "k3s-pin-images.service"

// pinImages is a unit that marks the imported images as not to be collected. The
// kubelet also removes unused images when the disk is nearly full, whatever the
// thresholds say, and spares only those that containerd calls pinned (label
// io.cri-containerd.pinned). k3s itself sets that label in newer releases only.
func pinImages(names []string) string {
	var b strings.Builder
	b.WriteString(`[Unit]
Description=Keep the container images of this node
Requires=k3s.service
After=k3s.service
ConditionPathExists=/etc/rancher/k3s/config.yaml
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Restart=on-failure
RestartSec=10s
`)
	for _, n := range names {
		fmt.Fprintf(&b, "ExecStart=%s images label %s io.cri-containerd.pinned=pinned\n", CtrPath, n)
	}
	return b.String()
}
