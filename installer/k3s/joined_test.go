package k3s

import (
	"encoding/pem"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stek-edge/stek/installer/preseed"
)

// TestJoined: an agent knows its server once it has answered; a server joins nobody.
func TestJoined(t *testing.T) {
	own := httptest.NewTLSServer(nil)
	defer own.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate().Raw}))
	agent := preseed.K3s{Role: "agent", Server: "https://10.77.0.1:6443", Token: "x"}
	for _, c := range []struct {
		name string
		role preseed.K3s
		ca   string
		ok   bool
	}{
		{"an agent", agent, ca, true},
		{"an agent that no server has answered", agent, "", false},
		{"an agent whose file is damaged", agent, "x", false},
		{"a server", preseed.K3s{}, ca, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			files, err := Render(preseed.Answers{K3s: c.role}, Facts{Name: "kas-7", Source: SourceModule, Address: netip.MustParseAddr("10.77.0.7"), Device: "stek-vpn"})
			if err != nil {
				t.Fatal(err)
			}
			if c.ca != "" {
				files = append(files, File{Path: serverCA, Data: []byte(c.ca)})
			}
			for _, f := range files {
				path := filepath.Join(root, f.Path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			server, roots, ok := Joined(root)
			if ok != c.ok || ok && (server.Host != "10.77.0.1:6443" || roots == nil) {
				t.Errorf("got %v, %v, %v", server, roots, ok)
			}
		})
	}
	if _, _, ok := Joined(t.TempDir()); ok {
		t.Error("a machine that is no node")
	}
}
