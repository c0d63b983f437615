package k3s

import (
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// serverCA is the authority of the server, as an agent keeps it from its first contact.
const serverCA = "/var/lib/rancher/k3s/agent/server-ca.crt"

// Joined tells which server this node joins as an agent, and who vouches for it. ok is
// false on a server, and on an agent that no server has answered yet: what such an agent
// believes is in its token, and only k3s reads that. root is where the node's file system
// is.
func Joined(root string) (server *url.URL, roots *x509.CertPool, ok bool) {
	text, err := os.ReadFile(filepath.Join(root, ConfigPath))
	if err != nil {
		return nil, nil, false
	}
	var c config
	if err := yaml.Unmarshal(text, &c); err != nil || c.Server == "" {
		return nil, nil, false
	}
	server, err = url.Parse(c.Server)
	if err != nil {
		return nil, nil, false
	}
	pem, err := os.ReadFile(filepath.Join(root, serverCA))
	roots = x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		return nil, nil, false
	}
	return server, roots, true
}
