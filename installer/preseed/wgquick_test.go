package preseed

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const wg0 = `[Interface]
PrivateKey = aKTqJgzqwUvBHmC6tcMpJYWHU6GGL6MLnBo8Nw1Ci1g=
Address = 10.77.0.7/24
ListenPort = 51820
MTU = 1380

[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 10.77.0.1/16
AllowedIPs = fd00:77::/48, 10.78.1.1
Endpoint = [2001:db8::1]:51820
persistentkeepalive = off
[peer]
PublicKey = d3q5mYv3m1kFfwG0mQ3m2yqL0yXkq0mYbq6kq5m1kXo=
AllowedIPs = 10.79.0.0/16
`

// TestWGQuick: a wg0.conf becomes the tunnel that it describes.
func TestWGQuick(t *testing.T) {
	a := Defaults(&Answers{Network: Network{VPN: VPN{Config: wg0}}})
	if a.Network.VPN.Config != "" || a.Network.VPN.WireGuard == nil {
		t.Fatalf("the tunnel is %+v", a.Network.VPN)
	}
	if key := a.Network.VPN.WireGuard.PrivateKey.Reveal(); key != "aKTqJgzqwUvBHmC6tcMpJYWHU6GGL6MLnBo8Nw1Ci1g=" {
		t.Errorf("the private key is %s", key)
	}
	const want = `{"address":"10.77.0.7/24","private-key":"[redacted]","listen-port":51820,"mtu":1380,"peers":[` +
		`{"public-key":"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=","endpoint":"[2001:db8::1]:51820","allowed-ips":["10.77.0.0/16","fd00:77::/48","10.78.1.1/32"]},` +
		`{"public-key":"d3q5mYv3m1kFfwG0mQ3m2yqL0yXkq0mYbq6kq5m1kXo=","allowed-ips":["10.79.0.0/16"]}]}`
	if got, err := json.Marshal(a.Network.VPN.WireGuard); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	keyless := strings.Replace(wg0, "PrivateKey = aKTqJgzqwUvBHmC6tcMpJYWHU6GGL6MLnBo8Nw1Ci1g=\n", "", 1)
	if a := Defaults(&Answers{Network: Network{VPN: VPN{Config: Secret(keyless)}}}); !a.Network.VPN.WireGuard.Generates() {
		t.Error("without a private key the box makes none")
	}
}

// TestWGQuickRefuses: what is not carried out is refused, by its line, and no value is repeated.
func TestWGQuickRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"nothing", wg0, "", "[Interface] has no Address"},
		{"no section", "[Interface]\n", "", "line 1: this is no wg0.conf"},
		{"another section", "[peer]", "[Hunter22]", "line 13: a section"},
		{"a second interface", "[peer]", "[Interface]", "line 13: a second [Interface]"},
		{"an unknown key", "MTU = 1380", "hunter22 = 1", "line 5: a key that"},
		{"a line that is none", "MTU = 1380", "hunter22", "line 5: a key that"},
		{"a command", "MTU = 1380", "PostUp = hunter22", "line 5: PostUp is not carried out here"},
		{"a damaged key", "aKTq", "hunter22", "line 2: the value of PrivateKey"},
		{"a key twice", "MTU = 1380", "PrivateKey = aKTqJgzqwUvBHmC6tcMpJYWHU6GGL6MLnBo8Nw1Ci1g=", "line 5: the value of PrivateKey"},
		{"two addresses", "10.77.0.7/24", "10.77.0.7/24, fd00::7/64", "line 3: the value of Address"},
		{"a search domain", "MTU = 1380", "DNS = hunter22.example", "line 5: the value of DNS"},
		{"an endpoint without a port", "[2001:db8::1]:51820", "hunter22", "line 11: the value of Endpoint"},
		{"a peer without networks", "AllowedIPs = 10.79.0.0/16\n", "", "number 2 lacks"},
		{"no peer", wg0[strings.Index(wg0, "[Peer]"):], "", "no [Peer]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := checkWGQuick(strings.Replace(wg0, c.old, c.new, 1))
			if p == nil || !strings.Contains(p.message, c.want) || p.remedy == "" {
				t.Fatalf("got %+v, want %q", p, c.want)
			}
			if said := p.message + p.remedy; strings.Contains(strings.ToLower(said), "hunter22") || strings.Contains(said, "aKTq") {
				t.Errorf("the fault repeats a value: %s", said)
			}
		})
	}
}

// FuzzWGQuick: whatever is taken is a tunnel that the answer file could say as well, and
// no fault holds what only the text has.
func FuzzWGQuick(f *testing.F) {
	f.Add(wg0)
	f.Add("[Interface]\nAddress=1.2.3.4\n[Peer]\nPublicKey=xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nAllowedIPs=::/0\n")
	f.Fuzz(func(t *testing.T, text string) {
		w, p := readWGQuick(text)
		if p != nil {
			return
		}
		a := &Answers{Version: FormatVersion, Encryption: Encryption{Recovery: Recovery{Show: true}}, Network: Network{VPN: VPN{WireGuard: w}}}
		if len(conflicts(Defaults(a))) > 0 {
			return
		}
		again, err := Parse("again", Redacted(a))
		if err != nil {
			t.Fatalf("%v\n%s", err, Redacted(a))
		}
		if !bytes.Equal(Redacted(again), Redacted(a)) {
			t.Errorf("reads as\n%s\nwant\n%s", Redacted(again), Redacted(a))
		}
	})
}
