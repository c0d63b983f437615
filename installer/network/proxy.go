package network

import (
	"net/url"
	"path"
	"strings"

	"github.com/stek-edge/stek/installer/preseed"
)

// never are what no proxy may see: the node itself, its pods and services, and the
// addresses of its dummy interface.
var never = []string{"localhost", "127.0.0.0/8", "::1", "10.42.0.0/16", "10.43.0.0/16", "192.0.2.0/24", ".svc", ".cluster.local"}

// ProxyURL is the proxy's address with its login.
func ProxyURL(p preseed.Proxy) (*url.URL, error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, err
	}
	if p.Username != "" {
		u.User = url.UserPassword(p.Username, p.Password.Reveal())
	}
	return u, nil
}

// proxyFiles make k3s, the containerd inside it and stek's own services use the
// proxy, by the environment that all of them read. The login stands in a file that
// only root reads, and in no unit: units can be read by everybody.
func proxyFiles(n preseed.Network, f Facts) []File {
	p := n.Proxy
	if p.IsZero() {
		return nil
	}
	u, err := ProxyURL(p)
	if err != nil {
		return nil // package preseed has refused it
	}
	direct := append(append([]string{}, never...), f.Node)
	if w := n.VPN.WireGuard; w != nil {
		for _, peer := range w.Peers {
			for _, network := range peer.AllowedIPs {
				direct = append(direct, network.String())
			}
		}
	}
	direct = append(direct, p.NoProxy...)
	var env strings.Builder
	env.WriteString(header)
	for _, v := range []struct{ name, value string }{
		{"HTTP_PROXY", u.String()}, {"HTTPS_PROXY", u.String()}, {"NO_PROXY", strings.Join(direct, ",")},
	} {
		env.WriteString(v.name + "=" + quoteEnv(v.value) + "\n")
	}
	var files []File
	if p.CA != "" {
		// All three are written in Go, which reads this folder besides the system's own
		// certificates (crypto/x509).
		env.WriteString("SSL_CERT_DIR=" + ProxyCADir + "\n")
		files = append(files, File{Path: path.Join(ProxyCADir, "proxy.pem"), Mode: 0o644, Data: []byte(strings.TrimSpace(p.CA) + "\n")})
	}
	files = append(files, File{Path: ProxyEnvPath, Mode: 0o600, Data: []byte(env.String())})
	// "stek-.service.d" holds for every unit whose name begins with "stek-"
	// (systemd.unit(5)).
	for _, unit := range []string{"k3s.service.d", "stek-.service.d"} {
		b := &ini{}
		b.section("Service")
		b.set("EnvironmentFile", "-"+ProxyEnvPath)
		files = append(files, b.file(path.Join(unitDir, unit, "stek-proxy.conf")))
	}
	return files
}

// quoteEnv writes a value as an EnvironmentFile has it (systemd.exec(5)): between
// double quotes four signs keep a meaning.
func quoteEnv(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(value) + `"`
}
