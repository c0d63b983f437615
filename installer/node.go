package installer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/preseed"
)

// Where things lie on the state volume, from its root.
const (
	stateEtc    = "etc/upper"            // upper layer of the node's /etc
	stateRoot   = "root"                 // the node's /root
	stateStek   = "stek"                 // what stek itself keeps, mode 0700
	NodeRecord  = "stek/node.json"       // what was installed
	Maintenance = "stek/maintenance.key" // key of the slot that lets the box enrol again by itself
)

// Record is what a node remembers of its installation. It holds no secret.
type Record struct {
	Plan    *Plan           `json:"plan"`
	Answers json.RawMessage `json:"answers"` // redacted
}

// layNode writes onto the empty state file system, mounted at dir, all that makes
// this box itself. shadow is the image's own /etc/shadow, tunnel the private key of its
// tunnel, where it has one. Everything is safe on the disk when it returns, for the
// volume is unmounted next.
func layNode(dir string, plan *Plan, a *preseed.Answers, shadow []byte, tunnel preseed.Secret) error {
	etc := filepath.Join(dir, stateEtc)
	files := []nodeFile{
		{filepath.Join(stateEtc, "hostname"), plan.NodeName + "\n", 0o644},
		{filepath.Join(stateEtc, "hosts"), "127.0.0.1 localhost\n127.0.1.1 " + plan.NodeName + "\n::1 localhost ip6-localhost ip6-loopback\n", 0o644},
		{filepath.Join(stateEtc, "vconsole.conf"), "KEYMAP=" + a.Node.Keyboard + "\n", 0o644},
		{filepath.Join(stateEtc, "locale.conf"), "LANG=C.UTF-8\n", 0o644},
	}
	if len(a.Node.Admin.SSHKeys) > 0 {
		files = append(files, nodeFile{filepath.Join(stateRoot, ".ssh/authorized_keys"), strings.Join(a.Node.Admin.SSHKeys, "\n") + "\n", 0o600})
	}
	if a.Node.Admin.PasswordHash != "" {
		with, err := setPassword(shadow, "root", a.Node.Admin.PasswordHash.Reveal())
		if err != nil {
			return err
		}
		files = append(files,
			nodeFile{filepath.Join(stateEtc, "shadow"), string(with), 0o600},
			nodeFile{filepath.Join(stateEtc, "stek/console-login"), "", 0o644})
	}
	rendered, err := k3s.Render(*a, clusterFacts(plan, a))
	if err != nil {
		return fmt.Errorf("rendering the configuration of k3s: %w", err)
	}
	for _, f := range rendered {
		below, ok := strings.CutPrefix(f.Path, "/etc/")
		if !ok || f.Link != "" {
			return fmt.Errorf("%s is not a file below /etc", f.Path)
		}
		files = append(files, nodeFile{filepath.Join(stateEtc, below), string(f.Data), f.Mode.Perm()})
	}
	// Secrets marshal as a marker, so the answers are redacted by their types.
	answers, err := json.Marshal(a)
	if err != nil {
		return err
	}
	record, err := json.MarshalIndent(Record{Plan: plan, Answers: answers}, "", "  ")
	if err != nil {
		return err
	}
	files = append(files, nodeFile{NodeRecord, string(record) + "\n", 0o600})
	for _, f := range files {
		if err := f.write(dir); err != nil {
			return fmt.Errorf("writing the node's %s: %w", filepath.Base(f.path), err)
		}
	}
	if err := layNetwork(dir, plan, a, tunnel); err != nil {
		return fmt.Errorf("writing the node's network: %w", err)
	}
	if err := os.Chmod(filepath.Join(dir, stateStek), 0o700); err != nil {
		return err
	}
	if err := os.Symlink("/usr/share/zoneinfo/"+a.Node.Timezone, filepath.Join(etc, "localtime")); err != nil && !os.IsExist(err) {
		return fmt.Errorf("setting the time zone: %w", err)
	}
	return nil
}

type nodeFile struct {
	path, content string
	mode          os.FileMode
}

func (f nodeFile) write(dir string) error {
	path := filepath.Join(dir, f.path)
	mode := os.FileMode(0o755)
	if strings.HasPrefix(f.path, stateRoot+"/") {
		mode = 0o700
	}
	if err := os.MkdirAll(filepath.Dir(path), mode); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(f.content), f.mode); err != nil {
		return err
	}
	return os.Chmod(path, f.mode) // past the umask
}

// setPassword replaces one user's password field in a shadow(5) file.
func setPassword(shadow []byte, user, hash string) ([]byte, error) {
	if strings.ContainsAny(hash, ":\n") {
		return nil, fmt.Errorf("the password hash of %s is not one", user)
	}
	var out bytes.Buffer
	found := false
	for line := range strings.Lines(string(shadow)) {
		text := strings.TrimSuffix(line, "\n")
		fields := strings.Split(text, ":")
		if fields[0] == user && len(fields) > 1 {
			fields[1] = hash
			line = strings.Join(fields, ":") + line[len(text):]
			found = true
		}
		out.WriteString(line)
	}
	if !found {
		return nil, fmt.Errorf("the image has no user %s", user)
	}
	return out.Bytes(), nil
}
