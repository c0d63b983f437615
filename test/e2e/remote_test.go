//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/authority"
	"github.com/stek-edge/stek/test/lan"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// host is this machine as a box with a UserNetwork sees it.
const host = "10.0.2.2"

// TestFullFromServer installs a box from answers that lie on a server, by way of a proxy that
// wants a login; the line breaks once in the middle. The node then uses the proxy for what
// its cluster fetches, and shows its password to nobody.
func TestFullFromServer(t *testing.T) {
	const login = "kas-7:letmein-4711"
	ctx := t.Context()
	gate := listen(t)
	way := fmt.Sprintf(`{url: "http://%s:%d", username: kas-7, password: letmein-4711}`, host, port(gate))
	s := newSite(t, site.Options{Silent: true, Network: "{proxy: " + way + "}"})
	s.Machine.NICs = []vm.NIC{{MAC: boxMAC, User: &vm.UserNetwork{Open: true}}}
	answers := []byte(s.AnswerFile())
	server := &breaking{content: answers}
	ca := authority.New(t)
	files := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{
		ca.Issue(t, func(c *x509.Certificate) {
			c.IPAddresses = []net.IP{net.ParseIP(host)}
			c.NotAfter = time.Now().AddDate(1, 0, 0)
		})}})
	serve(t, files, server)
	passed := &asked{}
	serve(t, gate, lan.Proxy(login, func(to string) (net.Conn, error) {
		passed.add(to)
		return net.DialTimeout("tcp", strings.Replace(to, host, "127.0.0.1", 1), 3*time.Second)
	}))
	from := fmt.Sprintf("%s:%d", host, port(files))
	must(t, s.AnswerFrom(ctx, fmt.Sprintf("url: https://%s/kas.yaml\nsha256: \"%x\"\nca: |\n  %s\nnetwork: {proxy: %s}\n",
		from, sha256.Sum256(answers), strings.ReplaceAll(strings.TrimSpace(ca.PEM()), "\n", "\n  "), way)))

	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	if !passed.has(from) || server.Asked() < 2 {
		t.Errorf("the answers were fetched in %d pieces, and the proxy was asked for %v", server.Asked(), passed.all())
	}
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	if test, err := box.Run(ctx, "stek network test"); !strings.Contains(test, "passed   proxy") {
		t.Errorf("stek network test: %v\n%s", err, test)
	}
	const registry = "registry.example.org:443"
	box.run(t, "kubectl run fetch --image=registry.example.org/kas/none:1")
	for deadline := time.Now().Add(5 * time.Minute); !passed.has(registry); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Errorf("the proxy was asked for %v\n%s", passed.all(), box.run(t, "kubectl describe pod fetch"))
			break
		}
	}
	// A proxy's login stands in the environment of what uses it: of root's, as k3s wants it.
	box.hidesIn(t, "letmein-4711", append(everywhere, "find /proc -maxdepth 2 -path '/proc/[0-9]*/environ' -not -user root -exec cat {} + 2>/dev/null")...)
}

// breaking serves one content, and breaks the line the first time, half way.
type breaking struct {
	content []byte

	mu    sync.Mutex
	times int
}

func (b *breaking) Asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.times
}

func (b *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.times++
	first := b.times == 1
	b.mu.Unlock()
	if !first {
		http.ServeContent(w, r, "kas.yaml", time.Unix(1e9, 0), bytes.NewReader(b.content))
		return
	}
	w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", fmt.Sprint(len(b.content)))
	_, _ = w.Write(b.content[:len(b.content)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// asked is to where a proxy was asked to connect.
type asked struct {
	mu  sync.Mutex
	tos []string
}

func (a *asked) add(to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tos = append(a.tos, to)
}

func (a *asked) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.tos)
}

func (a *asked) has(to string) bool { return slices.Contains(a.all(), to) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func serve(t *testing.T, l net.Listener, handler http.Handler) {
	t.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}
