package tui

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/machines"
)

// reviewed are answer files, each with the machine that it is for.
var reviewed = []struct{ name, machine, answers string }{
	{"what is offered, on an empty disk", "mini-pc", "encryption: {unlock: [tpm2], recovery: {show: true}}"},
	{"a server on a disk that is erased", "raid-server", `
node: {name: "hall-{serial}", site: westland-3}
disk: {match: {bus: nvme}}
encryption: {unlock: [tpm2, passphrase], tpm2: {pin: ask}, recovery: {show: true, recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p}}
network:
  links:
    - {name: uplink, match: {mac: "3c:ec:ef:12:34:56"}, vlan: 20, addresses: [10.0.3.2/24, "fd00::20/64"], gateway: [10.0.3.1, "fd00::1"], dns: [10.0.3.1]}
    - {name: machine-net, match: {mac: "3c:ec:ef:12:34:57"}, addresses: [192.168.7.1/24]}
  proxy: {url: "http://proxy:3128", username: box-7, password: letmein, no-proxy: [10.0.0.0/8, .example.org]}
on-finish: poweroff`},
	{"an agent, by a tunnel", "raid-server", `
disk: {match: {serial: S676NF0R412345}}
encryption: {unlock: [tpm2], recovery: {show: true}}
k3s: {role: agent, server: "https://10.77.0.1:6443", token: "K10f00::server:letmein"}
network:
  vpn:
    wireguard:
      private-key: generate
      address: 10.77.0.7/32
      listen-port: 51820
      peers:
        - {public-key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=, endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16, "fd77::/48"]}
        - {public-key: FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=, preshared-key: yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=, allowed-ips: [10.78.0.0/16]}
on-finish: stay`},
	{"a wireless network, and keys to enrol", "mini-pc", `
boot: {secure-boot: enrol}
encryption: {unlock: [tpm2], recovery: {show: true}}
network:
  country: NL
  links: [{name: hall, wifi: {ssid: "Kas 7", hidden: true, security: wpa3, psk: glazen kas 7}}, {name: uplink, priority: 200}]`},
	{"one of two disks that look the same", "twin-disks", "disk: {match: {serial: 2316E6C01235}}\nencryption: {unlock: [passphrase], recovery: {show: true}}"},
	{"no network, no TPM, no serial number", "vm", "node: {name: \"quay-{mac}\"}\nencryption: {unlock: [passphrase], recovery: {show: true}}\nnetwork: {offline: true}"},
}

// TestReviewIsThePlan: what a person agrees to is the plan, line by line and word for word in
// its order, and nothing else. All of it can be paged to on each terminal.
func TestReviewIsThePlan(t *testing.T) {
	for _, tt := range reviewed {
		for _, l := range languages {
			for _, size := range []tea.WindowSizeMsg{{Width: leastWidth, Height: leastHeight}, {Width: 160, Height: 30}} {
				t.Run(tt.name+", "+l.tag, func(t *testing.T) {
					given, err := preseed.Parse("answers", []byte("stek: 1\n"+tt.answers+"\n"))
					if err != nil {
						t.Fatal(err)
					}
					s := session(t, tt.machine)
					s.Inventory.NICs = append(s.Inventory.NICs, hardware.NIC{Name: "wlan0", Type: string(preseed.Wireless), MAC: "48:21:0b:12:34:57"})
					s.Values = preseed.Flatten(given)
					s.Values["node.language"] = []string{l.tag}
					a := newApp(t.Context(), s, look{mono: true})
					a.Update(size)
					a.open(a.st.at("review"))
					var plan strings.Builder
					if err := installer.WritePlan(&plan, mustPlan(t, a)); err != nil {
						t.Fatal(err)
					}
					texts := strings.Split(strings.TrimSuffix(plan.String(), "\n"), "\n")
					if l.tag != "en" {
						texts = translated(t, texts, a.st.written(mustPlan(t, a)))
					}
					rest := unfold(t, read(t, a), texts)
					erases := strings.Contains(rest, a.st.t("erases"))
					if strings.Contains(plan.String(), "nothing: the disk is empty") == erases {
						t.Errorf("a warning that something is lost: %v, behind\n%s", erases, plan.String())
					}
				})
			}
		}
	}
}

// fact is a word of a plan that is none: a number, a size, a name or an address.
var fact = regexp.MustCompile(`\S*[0-9]\S*|"[^"]*"`)

// translated are the lines of a plan in another language: as many, with the same facts in
// each, and no word of English.
func translated(t *testing.T, texts []string, plan string) []string {
	t.Helper()
	own := strings.Split(plan, "\n")
	if len(own) != len(texts) {
		t.Fatalf("%d lines instead of %d:\n%s", len(own), len(texts), plan)
	}
	for i, text := range texts {
		want, got := fact.FindAllString(text, -1), fact.FindAllString(own[i], -1)
		if !slices.Equal(want, got) || english.MatchString(own[i]) {
			t.Errorf("%s\nis not what is said here:\n%s", own[i], text)
		}
	}
	return own
}

// read pages through a page, and gives its lines.
func read(t *testing.T, a *app) []string {
	t.Helper()
	var lines []string
	a.top = 0
	for {
		shown := strings.Split(plain(a), "\n")[2 : 2+a.body()] // behind title and rule
		if a.top > len(lines) {
			t.Fatalf("what is between line %d and line %d cannot be paged to", len(lines), a.top)
		}
		lines = append(lines[:a.top], shown...)
		before := a.top
		press(t, a, "pgdown")
		if plain(a); a.top == before {
			return lines
		}
	}
}

// unfold compares the first lines of a page with texts: each begins a line at the margin, and
// goes on below the place where its own words begin. It gives the rest of the page.
func unfold(t *testing.T, page, texts []string) (rest string) {
	t.Helper()
	bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for _, text := range texts {
		shown, lines := "", 0
		for lines < len(page) && (lines == 0 || len(bare(shown)) < len(bare(text))) {
			margin := 2
			if lines > 0 {
				margin += planIndent
			}
			line, inside := strings.CutPrefix(page[lines], strings.Repeat(" ", margin))
			if !inside {
				break
			}
			if lines == 0 && (len(line) < planIndent || line[:planIndent] != text[:planIndent]) {
				break
			}
			shown += line
			lines++
		}
		if bare(shown) != bare(text) {
			t.Fatalf("the page says\n%s\nand not\n%s", strings.Join(page[:max(lines, 1)], "\n"), text)
		}
		page = page[lines:]
	}
	return strings.Join(page, "\n")
}

// A machine that no plan is for gets none to agree to: it is told why, and what to do.
func TestReviewRefuses(t *testing.T) {
	for _, name := range machines.Names() {
		a := newApp(t.Context(), session(t, name), look{mono: true})
		a.open(a.st.at("review"))
		_, _, err := a.st.plan()
		if err == nil {
			continue
		}
		bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
		page, remedy := bare(strings.Join(read(t, a), "\n")), installer.RemedyOf(err)
		for _, text := range []string{strings.TrimSuffix(err.Error(), "; "+remedy), remedy} {
			if text == "" || !strings.Contains(page, bare(text)) {
				t.Errorf("%s: %q is not on the page:\n%s", name, text, plain(a))
			}
		}
		if strings.Contains(page, "["+bare(a.st.t("install"))+"]") {
			t.Errorf("%s: there is no plan, and it can be begun:\n%s", name, plain(a))
		}
	}
}
