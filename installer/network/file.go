package network

import (
	"fmt"
	"io/fs"
	"strings"
)

// File is one file to be written, or one link when Link is set.
type File struct {
	Path string // absolute, below /etc
	Mode fs.FileMode
	Data []byte
	Link string
}

// Where files lie, and what interfaces are called.
const (
	networkdDir  = "/etc/systemd/network"
	unitDir      = "/etc/systemd/system"
	wpaDir       = "/etc/wpa_supplicant"
	credstoreDir = "/etc/credstore"

	// Tunnel is the name of the WireGuard interface.
	Tunnel = "stek-vpn"
	// TunnelKeyPath holds the private key of the tunnel; only root reads it.
	TunnelKeyPath = credstoreDir + "/" + tunnelKey
	// TunnelPublicPath holds the public half, for whoever looks after the other end.
	TunnelPublicPath = "/etc/stek/network/wireguard.pub"
	// ProxyEnvPath holds the environment that makes programs use the proxy.
	ProxyEnvPath = "/etc/stek/network/proxy.env"
	// ProxyCADir holds the certificate authority of the proxy, for SSL_CERT_DIR.
	ProxyCADir = "/etc/stek/network/ca"
	// JoinedDir holds what a radio has in each of its networks, where they give different
	// things: see JoinedFile.
	JoinedDir = "/etc/stek/network/joined"
)

// header opens every rendered file.
const header = "# Written by stek from the answer file; changes are lost at the next apply.\n"

// ini builds a file of systemd's kind.
type ini struct{ strings.Builder }

func (b *ini) section(name string) {
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	b.WriteString("[" + name + "]\n")
}

// set writes one line; an empty value writes none.
func (b *ini) set(key string, value any) {
	if text := fmt.Sprint(value); text != "" {
		b.WriteString(key + "=" + text + "\n")
	}
}

func (b *ini) file(path string) File {
	return File{Path: path, Mode: 0o644, Data: []byte(header + b.String())}
}
