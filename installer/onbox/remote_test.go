package onbox

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/authority"
)

// answerServer serves files over TLS and gives the certificate of its authority as PEM.
func answerServer(t *testing.T, files map[string]string) (address, ca string) {
	t.Helper()
	office := authority.New(t)
	own := office.Issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, known := files[r.URL.Path]
		if !known {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, content)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, office.PEM()
}

const remoteAnswers = "stek: 1\nnode: {name: kas-7}\nencryption: {recovery: {show: true}}\nnetwork: {offline: true}\n"

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func block(text string) string {
	return "|\n  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// TestRemoteAnswers: the answers come from the server that the stick names, or not at all.
func TestRemoteAnswers(t *testing.T) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := preseed.ReadPublicKey([]byte(public.String()))
	if err != nil {
		t.Fatal(err)
	}
	address, ca := answerServer(t, map[string]string{
		"/site.yaml":             remoteAnswers,
		"/site.yaml.minisig":     string(minisign.Sign(private, []byte(remoteAnswers))),
		"/unsigned.yaml":         remoteAnswers,
		"/damaged.yaml":          remoteAnswers + "# more\n",
		"/damaged.yaml.minisig":  string(minisign.Sign(private, []byte(remoteAnswers))),
		"/empty.yaml":            "",
		"/empty.yaml.minisig":    string(minisign.Sign(private, nil)),
		"/comment.yaml":          "# nothing\n",
		"/comment.yaml.minisig":  string(minisign.Sign(private, []byte("# nothing\n"))),
		"/faulty.yaml":           "stek: 1\ndiskk: {}\n",
		"/unbuilt.yaml":          remoteAnswers + "power: {profile: saver}\n",
		"/large.yaml":            strings.Repeat("#", preseed.MaxSize+1),
		"/large.yaml.minisig":    "x",
		"/question.yaml":         remoteAnswers,
		"/question.yaml.minisig": string(minisign.Sign(private, []byte(remoteAnswers))),
	})
	from := func(name, more string) string {
		return "url: " + address + name + "\nca: " + block(ca) + more + "\n"
	}
	signed := "signed-by: " + public.String()
	for _, c := range []struct {
		name, file string
		image      *preseed.PublicKey // who has to sign
		want       string             // of the error; "": none
		connected  bool
	}{
		{"with a digest", from("/unsigned.yaml", "sha256: \""+digestOf(remoteAnswers)+"\""), nil, "", true},
		{"with a signature", from("/site.yaml", signed), nil, "", true},
		{"with both", from("/site.yaml", signed+"\nsha256: \""+digestOf(remoteAnswers)+"\""), nil, "", true},
		{"with the image's signature", from("/site.yaml", ""), &signer, "", true},
		{"with a query", from("/question.yaml?box=7", signed), nil, "", true},
		{"through a link of its own", from("/site.yaml", signed+"\nnetwork: {links: [{name: up, vlan: 20}]}"), nil, "", true},
		{"another digest", from("/site.yaml", "sha256: \""+digestOf("x")+"\""), nil, "another one than was meant", true},
		{"not signed", from("/unsigned.yaml", signed), nil, "unsigned.yaml.minisig: the server answers 404", true},
		{"changed after it was signed", from("/damaged.yaml", signed), nil, "was changed after it was signed", true},
		{"signed by somebody else", from("/site.yaml", "signed-by: "+other.String()), nil, "is signed by", true},
		{"a digest, and the image wants a signature", from("/unsigned.yaml", "sha256: \""+digestOf(remoteAnswers)+"\""), &signer, "404", true},
		{"empty, and signed", from("/empty.yaml", signed), nil, "the file is empty", true},
		{"a comment, and signed", from("/comment.yaml", signed), nil, "comment.yaml:1:1: the file is empty", true},
		{"too large", from("/large.yaml", signed), nil, "more than 1048576 bytes", true},
		{"with a fault", from("/faulty.yaml", "sha256: \""+digestOf("stek: 1\ndiskk: {}\n")+"\""), nil, "/faulty.yaml:2:1: unknown key", true},
		{"not there", from("/none.yaml", signed), nil, "404", true},
		{"another server than the certificate says", strings.Replace(from("/site.yaml", signed), "127.0.0.1", "localhost", 1), nil, "the server's certificate is for another name", true},
		{"an authority that is not named", "url: " + address + "/site.yaml\n" + signed + "\n", nil, "an authority that is not trusted here", true},
		{"nothing to check it by", from("/site.yaml", ""), nil, "nothing says which answers are the right ones", false},
		{"offline", from("/site.yaml", signed+"\nnetwork: {offline: true}"), nil, "fetches nothing", false},
		{"no address", "sha256: \"" + digestOf("x") + "\"\n", nil, "url is missing", false},
		{"nothing", "", nil, "preseed.url:1:1: the file is empty", false},
		{"asks for what is not built", from("/unbuilt.yaml", "sha256: \""+digestOf(remoteAnswers+"power: {profile: saver}\n")+"\""), nil, "/unbuilt.yaml:5:8: power: not in this version", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := stickDirectory(t, map[string]string{"preseed.url": c.file})
			var network preseed.Network
			connected, disconnected := 0, 0
			var seen time.Time
			r := &remote{path: filepath.Join(dir, "preseed.url"), inv: &hardware.Inventory{}, people: &typist{}, within: 5 * time.Second,
				now:   func() time.Time { return time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC) }, // no battery
				floor: func(at time.Time) error { seen = at; return nil },
				connect: func(_ context.Context, n preseed.Network) (func() error, error) {
					connected++
					network = n
					return func() error { disconnected++; return nil }, nil
				}}
			got, err := r.answers(t.Context(), Keys{Signer: c.image})
			if (connected == 1) != c.connected || connected != disconnected {
				t.Errorf("connected %d times, disconnected %d times", connected, disconnected)
			}
			if c.want != "" {
				if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, %v; want %q", got, err, c.want)
				}
				return
			}
			if err != nil || got.Full.Node.Name != "kas-7" || !got.Full.Network.Offline {
				t.Fatalf("got %+v, %v", got, err)
			}
			if strings.Contains(c.file, "vlan") && (len(network.Links) != 1 || network.Links[0].VLAN != 20) {
				t.Errorf("fetched through %+v", network.Links)
			}
			if since := time.Since(seen); since < 59*time.Minute || since > 61*time.Minute {
				t.Errorf("the clock is at least %v", seen)
			}
		})
	}
}

// TestRemoteNoNetwork: without a network there are no answers, and the error of that is
// what is told.
func TestRemoteNoNetwork(t *testing.T) {
	dir := stickDirectory(t, map[string]string{"preseed.url": "url: https://127.0.0.1:1/site.yaml\nsha256: \"" + digestOf("x") + "\"\n"})
	broken := errors.New("no card")
	r := &remote{path: filepath.Join(dir, "preseed.url"), inv: &hardware.Inventory{}, people: &typist{}, within: time.Second, now: time.Now,
		floor:   func(time.Time) error { return nil },
		connect: func(context.Context, preseed.Network) (func() error, error) { return nil, broken }}
	if _, err := r.answers(t.Context(), Keys{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	r.connect = func(context.Context, preseed.Network) (func() error, error) {
		return func() error { return nil }, nil
	}
	start := time.Now()
	if _, err := r.answers(t.Context(), Keys{}); err == nil || !strings.Contains(err.Error(), "the time is over") || time.Since(start) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

// TestTwoAnswerFiles: a stick with both is refused, and one with an address is not asked
// for a person.
func TestTwoAnswerFiles(t *testing.T) {
	s := &stick{esp: stickDirectory(t, map[string]string{"stek/preseed.url": "url: x\n"})}
	if s.silent() || !s.elsewhere() {
		t.Error("a stick with an address asks a person")
	}
	s = &stick{esp: stickDirectory(t, map[string]string{"stek/preseed.url": "url: x\n", "stek/preseed.yaml": remoteAnswers})}
	if _, err := s.answers(t.Context(), &hardware.Inventory{}, &typist{}); err == nil || !strings.Contains(err.Error(), "has both") {
		t.Errorf("got %v", err)
	}
}

// TestOutOfReach: a stick that stays in a box does not stop it when the server is gone.
func TestOutOfReach(t *testing.T) {
	gone := errors.New("the server does not answer")
	inv := &hardware.Inventory{Board: hardware.Board{Serial: "A1"}, Disks: []hardware.Disk{{TableGUID: "g-1"}}}
	for _, tt := range []struct {
		name, file, made string
		err              error
		want             bool
	}{
		{"installed by this stick", "stek/preseed.url", "g-1", gone, true},
		{"the answers are there", "stek/preseed.url", "g-1", nil, false},
		{"another disk", "stek/preseed.url", "g-2", gone, false},
		{"never installed", "stek/preseed.url", "", gone, false},
		{"answers on the stick that are wrong", "stek/preseed.yaml", "g-1", gone, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &stick{esp: stickDirectory(t, map[string]string{tt.file: "x\n", "stek/reports/A1/result.json": "{}"})}
			if tt.made != "" {
				if err := s.remember(inv, mark{Disk: tt.made}); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.outOfReach(inv, tt.err); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
