package installer

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/stek-edge/stek/test/golden"
	"github.com/stek-edge/stek/test/machines"
)

const hash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$6foLM1JhGupouWKMU70wxK61Kw9ZnecbACjJwRadqM2"

func TestLayNode(t *testing.T) {
	const pin = "271828"
	a := answers(t, `stek: 1
node:
  name: box-1
  keyboard: de
  timezone: Europe/Amsterdam
  admin:
    ssh-keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx3sVYZRWVnhvbXjUbuaBRVHAGrLGwiDgDDpGKvEnKW office"]
    password-hash: "`+hash+`"
encryption: {unlock: [tpm2], tpm2: {pin: "`+pin+`"}, recovery: {show: true}}
k3s: {labels: {hall: "7"}}
`)
	plan, err := Make(a, machines.Load(t, "mini-pc"), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := layNode(dir, plan, a, []byte("root:*:20000:0:99999:7:::\ndaemon:*:20000::::::\n"), ""); err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		mode    fs.FileMode
		content string // part of it
	}{
		"etc/upper/hostname":                {0o644, "box-1\n"},
		"etc/upper/hosts":                   {0o644, "127.0.1.1 box-1\n"},
		"etc/upper/vconsole.conf":           {0o644, "KEYMAP=de\n"},
		"etc/upper/locale.conf":             {0o644, "LANG=C.UTF-8\n"},
		"etc/upper/shadow":                  {0o600, "root:" + hash + ":20000:0:99999:7:::\ndaemon:*:"},
		"etc/upper/stek/console-login":      {0o644, ""},
		"etc/upper/rancher/k3s/config.yaml": {0o600, "node-name: box-1\n"},
		"etc/upper/rancher/k3s/resolv.conf": {0o644, "nameserver"},
		"root":                              {0o700 | fs.ModeDir, ""},
		"root/.ssh":                         {0o700 | fs.ModeDir, ""},
		"root/.ssh/authorized_keys":         {0o600, " office\n"},
		"stek":                              {0o700 | fs.ModeDir, ""},
		"stek/node.json":                    {0o600, `"node-name": "box-1"`},
		"etc/upper/localtime":               {0o777 | fs.ModeSymlink, ""},

		"etc/upper/systemd/network/80-stek-cable.network": {0o644, "DHCP=yes\n"},
		"etc/upper/systemd/resolved.conf.d/stek.conf":     {0o644, "FallbackDNS=\n"},
		"etc/upper/systemd/timesyncd.conf.d/stek.conf":    {0o644, "SaveIntervalSec=60\n"},
		"stek/network":              {0o700 | fs.ModeDir, ""},
		"stek/network/network.json": {0o600, `"kept"`},
	}
	for name, w := range want {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode() != w.mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), w.mode)
		}
		if info.Mode().IsRegular() {
			if b, _ := os.ReadFile(filepath.Join(dir, name)); !strings.Contains(string(b), w.content) {
				t.Errorf("%s holds %q", name, b)
			}
		}
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if _, known := want[filepath.ToSlash(rel)]; err == nil && !d.IsDir() && !known {
			t.Errorf("%s was not expected", rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "etc/upper/localtime")); err != nil || to != "/usr/share/zoneinfo/Europe/Amsterdam" {
		t.Errorf("time zone %s, %v", to, err)
	}
	record, err := os.ReadFile(filepath.Join(dir, NodeRecord))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{pin, hash} {
		if bytes.Contains(record, []byte(secret)) {
			t.Error("a secret is in the record of the installation")
		}
	}
	var back Record
	if err := json.Unmarshal(record, &back); err != nil || back.Plan.NodeName != "box-1" {
		t.Errorf("the record cannot be read: %v", err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "etc/upper/rancher/k3s/config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var k3s map[string]any
	if err := yaml.Unmarshal(config, &k3s); err != nil || k3s["node-name"] != "box-1" {
		t.Errorf("k3s' configuration: %v, %v", k3s, err)
	}
}

func TestSetPassword(t *testing.T) {
	for _, tt := range []struct{ name, shadow, hash, want string }{
		{"locked root", "root:*:1::::::\nbin:*:1::::::\n", "$6$x", "root:$6$x:1::::::\nbin:*:1::::::\n"},
		{"root is not first", "rooter:*:1::::::\nroot:!:1::::::\n", "$6$x", "rooter:*:1::::::\nroot:$6$x:1::::::\n"},
		{"no line end", "root:*:1::::::", "$6$x", "root:$6$x:1::::::"},
		{"two fields", "root:*\nbin:*:1::::::\n", "$6$x", "root:$6$x\nbin:*:1::::::\n"},
		{"no such user", "bin:*:1::::::\n", "$6$x", ""},
		{"a hash with a colon", "root:*:1::::::\n", "a:b", ""},
		{"a hash with a line end", "root:*:1::::::\n", "a\nroot2::", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := setPassword([]byte(tt.shadow), "root", tt.hash)
			if string(got) != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), tt.hash) {
				t.Error("the hash is in the error")
			}
		})
	}
}

func TestPlainLines(t *testing.T) {
	var b bytes.Buffer
	emit := PlainLines(&b)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, e := range []struct {
		after time.Duration
		Event
	}{
		{0, Event{Kind: StepSkipped, Message: "clear the disk"}},
		{0, Event{Kind: StepStarted, Message: "copy the root file system"}},
		{500 * time.Millisecond, Event{Kind: StepProgress, Done: 50 << 20, Total: 600 << 20}}, // too soon
		{2 * time.Second, Event{Kind: StepProgress, Done: 200 << 20, Total: 600 << 20}},
		{2100 * time.Millisecond, Event{Kind: StepProgress, Done: 600 << 20, Total: 600 << 20}}, // the end always shows
		{3 * time.Second, Event{Kind: StepNote, Message: "comparing"}},
		{3456 * time.Millisecond, Event{Kind: StepDone}},
		{4 * time.Second, Event{Kind: StepStarted, Message: "make the boot partition"}},
		{5 * time.Second, Event{Kind: StepFailed, Message: "the disk is gone", Remedy: "check the cable"}},
	} {
		e.Time = at.Add(e.after)
		emit(e.Event)
	}
	golden.Check(t, "plain-lines.txt", b.Bytes())
}
