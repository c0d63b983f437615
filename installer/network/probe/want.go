package probe

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"time"
)

// Want is what a box expects of its network.
type Want struct {
	Offline     bool     // no packet may leave: every stage is skipped
	Links       []Link   // the preferred one first
	TimeServers []string // names or addresses
	// FallbackTimeServers are asked where neither TimeServers nor a DHCP server name one.
	// The box does not count on them: in a closed site they are out of reach.
	FallbackTimeServers []string
	Proxy               *Proxy
	Tunnel              *Tunnel
	Services            []Service
}

// Link is one network card and what it should have.
type Link struct {
	Name      string // in verdicts
	Interface string // in the kernel
	Network   string // SSID; "" is a cable
	DHCP      bool
	Addresses []netip.Prefix // fixed ones
	Gateway   netip.Addr     // fixed one, may be zero
	DNS       []netip.Addr   // fixed ones
}

// Proxy is the HTTP proxy of the site. Its URL may hold a login, which no verdict
// repeats.
type Proxy struct {
	URL   *url.URL
	Roots *x509.CertPool // who may have signed its certificate, and those it makes up; nil: those of the system
}

// Tunnel is a WireGuard interface. Which peers it has is read from the kernel.
type Tunnel struct {
	Interface string
	Endpoints []string // host:port as configured: names that must resolve
}

// Service is something at the far end that the box cannot do without: the hub, the
// API of the cluster that it joins.
type Service struct {
	Name string // in verdicts
	URL  *url.URL
	// Roots are the authorities that may have signed its certificate; nil means those
	// of the system.
	Roots *x509.CertPool
	// Direct services are reached without the proxy.
	Direct bool
}

// Env is where the probes look and how long they wait.
type Env struct {
	Sys    string // sysfs
	Resolv string // resolv.conf with the name servers that the links have told
	WPA    string // folder of wpa_supplicant's control sockets
	Now    func() time.Time

	Carrier   time.Duration // until a card has a carrier
	Flapping  time.Duration // how long a link that lost its carrier before is watched
	Associate time.Duration // until a radio has joined its network
	Address   time.Duration // until there is an address
	Offers    time.Duration // how long answers of DHCP servers are collected
	Answer    time.Duration // for one answer of anything, before it is asked again
	Tries     int           // how often anything is asked
	Handshake time.Duration // until the tunnel's other end has answered

	// Seen gets each verdict as it falls; may be nil.
	Seen func(Verdict)
}

// Host is the running machine. The times let a link of 64 kbit/s that loses three
// packets in a hundred pass.
func Host() Env {
	return Env{
		Sys: "/sys", Resolv: "/run/systemd/resolve/resolv.conf", WPA: "/run/wpa_supplicant", Now: time.Now,
		Carrier: 8 * time.Second, Flapping: 25 * time.Second, Associate: 30 * time.Second, Address: 20 * time.Second,
		Offers: 3 * time.Second, Answer: 3 * time.Second, Tries: 4, Handshake: 20 * time.Second,
	}
}
