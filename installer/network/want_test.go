package network

import (
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
)

func TestWant(t *testing.T) {
	n := answers(t, `network:
  links:
    - {name: spare, match: {mac: "dc:a6:*"}, priority: 50}
    - {name: hall, priority: 90, wifi: {ssid: "Kas 7", security: wpa3, psk: "glass house 7"}}
    - {name: fibre, match: {mac: "dc:a6:32:00:00:02"}, priority: 10, addresses: [10.0.0.2/24], gateway: 10.0.0.1}
    - {name: cams, match: {mac: "dc:a6:32:00:00:02"}, vlan: 20}
  proxy: {url: "http://proxy:3128", username: box, password: hush}
  vpn: {wireguard: {address: 10.77.0.7/32, peers: [{public-key: "`+peerKey+`", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]}}
`)
	text, err := Remember(n)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "glass house") {
		t.Error("the key of the radio is remembered")
	}
	n, err = Recall(text)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Want(n, nics)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range w.Links {
		got = append(got, l.Name+"="+l.Interface+" "+l.Network)
	}
	if want := "fibre=enp2s0 |spare=enp1s0 |hall=wifi0 Kas 7|cams=cams "; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
	if password, _ := w.Proxy.URL.User.Password(); password != "hush" || w.Tunnel.Endpoints[0] != "vpn.example.org:51820" {
		t.Errorf("got %v, %+v", w.Proxy, w.Tunnel)
	}
	if _, err := Recall([]byte("{")); err == nil {
		t.Error("a damaged record was read")
	}
}

// TestWantJoined: of two networks of one radio each is tested for what it gives.
func TestWantJoined(t *testing.T) {
	w, err := Want(answers(t, `network:
  links:
    - {name: hall, priority: 10, wifi: {ssid: "Kas 7", security: open}}
    - {name: spare, priority: 50, addresses: [10.8.0.5/24], gateway: 10.8.0.1, wifi: {ssid: "Kas 8", security: open}}
`), nics)
	if err != nil || len(w.Links) != 2 {
		t.Fatalf("got %+v, %v", w.Links, err)
	}
	hall, spare := w.Links[0], w.Links[1]
	if hall.Interface != "wifi0" || hall.Network != "Kas 7" || !hall.DHCP || len(hall.Addresses) > 0 || hall.Gateway.IsValid() {
		t.Errorf("got %+v", hall)
	}
	if spare.Interface != "wifi0" || spare.Network != "Kas 8" || spare.DHCP || len(spare.Addresses) != 1 || spare.Gateway.String() != "10.8.0.1" {
		t.Errorf("got %+v", spare)
	}
}

// TestWantTime: the servers that are tested are those of the rendered file.
func TestWantTime(t *testing.T) {
	for _, c := range []struct{ network, ntp, fallback string }{
		{"network: {}", "", "0.debian.pool.ntp.org 1.debian.pool.ntp.org 2.debian.pool.ntp.org 3.debian.pool.ntp.org"},
		{"network: {ntp: [192.168.7.1, time.example.org]}", "192.168.7.1 time.example.org", ""},
		{"network: {offline: true}", "", ""},
	} {
		n := answers(t, c.network)
		w, err := Want(n, nics)
		if err != nil || strings.Join(w.TimeServers, " ") != c.ntp || strings.Join(w.FallbackTimeServers, " ") != c.fallback {
			t.Errorf("%s: got %v, then %v, %v", c.network, w.TimeServers, w.FallbackTimeServers, err)
		}
		file := string(timesyncFile(n).Data)
		if !strings.Contains(file, "\nFallbackNTP="+c.fallback+"\n") || strings.Contains(file, "\nNTP="+c.ntp+"\n") != (c.ntp != "") {
			t.Errorf("%s: got\n%s", c.network, file)
		}
	}
}

// TestWantGateway: the test follows IPv4 where there are two ways out.
func TestWantGateway(t *testing.T) {
	for gateway, want := range map[string]string{`["fd00::1", 10.0.0.1]`: "10.0.0.1", `"fd00::1"`: "fd00::1", "10.0.0.1": "10.0.0.1"} {
		n := answers(t, `network: {links: [{name: up, match: {mac: "dc:a6:32:00:00:01"}, addresses: [10.0.0.2/24, "fd00::2/64"], gateway: `+gateway+`}]}`)
		text, err := Remember(n)
		if err != nil {
			t.Fatal(err)
		}
		if n, err = Recall(text); err != nil {
			t.Fatal(err)
		}
		if w, err := Want(n, nics); err != nil || w.Links[0].Gateway.String() != want {
			t.Errorf("%s: got %v, %v", gateway, w.Links, err)
		}
	}
}

// TestWantMatched: cards are found by where they are plugged in and by their driver.
func TestWantMatched(t *testing.T) {
	n := answers(t, `network: {links: [{name: rest, match: {driver: igc}}, {name: up, match: {path: "pci-0000:02:00.0"}}]}`)
	w, err := Want(n, nics)
	if err != nil || len(w.Links) != 2 || w.Links[0].Interface != "enp1s0" || w.Links[1].Interface != "enp2s0" {
		t.Errorf("got %+v, %v", w.Links, err)
	}
}

// TestCardWithoutAddress: a card whose hardware address is not read is found by all else.
func TestCardWithoutAddress(t *testing.T) {
	bare := []hardware.NIC{{Name: "enp4s0", Type: "ethernet", Path: "pci-0000:04:00.0", Driver: "igc"}}
	for match, fits := range map[string]bool{
		`{path: "pci-0000:04:00.0"}`: true, "{driver: igc}": true, "{}": true,
		`{path: "pci-0000:05:00.0"}`: false, `{mac: "dc:a6:32:*"}`: false, `{mac: "dc:a6:32:*", driver: igc}`: false, `{mac: "dc:a6:32:00:00:01"}`: false,
	} {
		n := answers(t, "network: {links: [{name: up, match: "+match+"}]}")
		if got := Cards(n, bare)["up"]; (len(got) == 1) != fits {
			t.Errorf("%s: got %v", match, got)
		}
	}
}

func TestWantNothingSaid(t *testing.T) {
	w, err := Want(answers(t, "network: {}"), nics)
	if err != nil || len(w.Links) != 2 || !w.Links[1].DHCP || w.Links[1].Interface != "enp2s0" {
		t.Errorf("got %+v, %v", w, err)
	}
	w, err = Want(answers(t, "network: {offline: true}"), nics)
	if err != nil || !w.Offline || len(w.Links) != 0 {
		t.Errorf("got %+v, %v", w, err)
	}
}
