package tui

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// spoken are the sources whose sentences come to a screen, and must be in every phrase book.
var spoken = []string{
	"../*.go",
	"../disk/copy.go", "../disk/device_linux.go", "../disk/gpt.go", "../disk/layout.go", "../disk/losses.go",
	"../disk/mkfs.go", "../disk/partition.go", "../disk/refusal.go", "../disk/select.go", "../disk/verity.go",
	"../hardware/disks.go", "../hardware/use.go",
	"../network/links.go", "../network/render.go", "../network/tunnel.go", "../network/want.go", "../network/probe/*.go",
	"../preseed/addresses.go", "../preseed/bytes.go", "../preseed/certificates.go", "../preseed/conflict*.go",
	"../preseed/hostname.go", "../preseed/judge.go", "../preseed/later.go", "../preseed/limits.go", "../preseed/locale.go",
	"../preseed/login.go", "../preseed/secret.go", "../preseed/wgquick.go",
	"../tpm/errors.go", "../keymap/file.go", "../keymap/keymap.go", "../keymap/load_linux.go", "../keymap/own.go", "../vault/label.go", "../vault/runner.go",
}

// partly are sources of which a book has some texts only.
var partly = []string{
	"*.go", "../console/qr.go", "../hardware/look.go", "../onbox/*.go", "../preseed/compose.go", "../preseed/decode.go", "../preseed/parse.go", "../preseed/table*.go",
	"../tpm/device.go", "../tpm/identity.go", "../tpm/rehearse.go", "../tpm/s*.go", "../vault/manage.go", "../vault/unmap_linux.go", "../vault/volume.go",
	"../../firmware/secureboot/*.go",
}

// unspoken are the sentences among them that never come to a screen, by the reason.
var unspoken = map[string][]string{
	"only the command line writes an outlook, and a refusal with its disks": {
		"Can unlock", "To do", "   wrong: {}; {}", "no, but asked for", "yes, and asked for", "{}, so 'stek install' refuses it",
		"On it:", "Disks of this machine:", "What to do: {}.", "      no: {}", "      could be used, is empty",
		"      could be used, but is not empty", "      could be used, but stek is installed on it",
	},
	"files and programs read it": {
		"-/usr/lib/systemd/systemd-networkd-wait-online --interface={} --timeout=30", "Basic {}", "ENCRYPTED PRIVATE KEY", "PRIVATE KEY",
		"127.0.0.1 localhost\n127.0.1.1 {}\n::1 localhost ip6-localhost ip6-loopback", "Cannot initialize conversion ", "Using internal CP850 ",
		"UNKNOWN COMMAND", "ether wlan wwan infiniband", "recovery key of {}, disk {}", "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r",
	},
	"a fault of the program, not of a machine": {
		"copying: a SHA-256 sum has {} bytes, not {}", "copying: a buffer of {} bytes is not a multiple of {}",
		"copying: cannot resume at byte {} of {}", "copying: resuming needs the expected SHA-256 sum", "{} is not a file below /etc",
		"encoding the partition table: a piece is missing", "encoding the partition table: unexpected write of {} bytes at {}",
	},
	"it is cut off before others are": {"part of "},
}

// TestPhrases: every sentence is in every book, and nothing is in one that no source says.
func TestPhrases(t *testing.T) {
	said := sayings(t, spoken...)
	there := sayings(t, partly...)
	maps.Copy(there, said)
	silent := map[string]bool{}
	for _, texts := range unspoken {
		for _, text := range texts {
			if _, ok := said[text]; !ok {
				t.Errorf("%q is not there any more", text)
			}
			silent[text] = true
		}
	}
	for _, l := range languages[1:] {
		book := map[string]string{}
		for name, entries := range phraseBook(l.tag) {
			for english, own := range entries {
				if _, twice := book[english]; twice {
					t.Errorf("%s has %q twice, once in %s", l.tag, english, name)
				}
				book[english] = own
				if _, ok := there[english]; !ok && name != "kernel" && !ending(there, english) {
					t.Errorf("%s: nothing says %q any more, which is in %s", l.tag, english, name)
				}
			}
		}
		for _, text := range slices.Sorted(maps.Keys(said)) {
			if _, ok := book[text]; !ok && sentence(text) && !silent[text] && !strings.Contains(text, "-----BEGIN CERTIFICATE-----\\n") {
				t.Errorf("%s: no phrase for %q (%s)", l.tag, text, filepath.Base(said[text]))
			}
		}
	}
}

// ending tells whether a phrase is the end of a text: of "a FAT file system" and its like
// the article is left out at times.
func ending(texts map[string]string, phrase string) bool {
	for text := range texts {
		if strings.HasSuffix(text, " "+phrase) {
			return true
		}
	}
	return false
}

// TestPhrasesPutIn: what is put into a phrase is said, and each once.
func TestPhrasesPutIn(t *testing.T) {
	phrasesOf := map[string]map[string][]string{}
	for _, l := range languages[1:] {
		phrasesOf[l.tag] = map[string][]string{}
		for _, entries := range phraseBook(l.tag) {
			for english, own := range entries {
				put := thing.FindAllString(own, -1)
				slices.Sort(put)
				phrasesOf[l.tag][english] = put
				numbers := ""
				for _, p := range put {
					numbers += p[1:2]
				}
				if want := "123456789"[:strings.Count(english, "{}")]; numbers != want || strings.Contains(own, "{}") {
					t.Errorf("%s: %q has other things put in: %q", l.tag, english, own)
				}
				before, after := edges(english)
				if b, a := edges(own); own == "" || b != before || a != after {
					t.Errorf("%s: %q begins or ends otherwise: %q", l.tag, english, own)
				}
				if toASCII(own) != own && strings.Count(toASCII(own), "?") > strings.Count(own, "?") {
					t.Errorf("%s: %q has a letter that ASCII has no spelling for", l.tag, own)
				}
			}
		}
	}
	for english, nl := range phrasesOf["nl"] {
		if de := phrasesOf["de"][english]; !slices.Equal(nl, de) {
			t.Errorf("%q has phrases put in at other places: %q and %q", english, nl, de)
		}
	}
}

// edges are the blanks and commas around a phrase, by which it stands beside others.
func edges(text string) (before, after string) {
	const signs = " ,;*!"
	return text[:len(text)-len(strings.TrimLeft(text, signs))], text[len(strings.TrimRight(text, signs)):]
}

// TestPlanLabels: the labels of a plan fit their column, also where letters are spelled as two.
func TestPlanLabels(t *testing.T) {
	label := regexp.MustCompile(`^[A-Z][a-z]+$`)
	for _, l := range languages[1:] {
		p, found := books[l.tag](), 0
		for text := range sayings(t, "../words.go", "../plan_network.go", "../plan_tunnel.go") {
			if !label.MatchString(text) {
				continue
			}
			found++
			if own, ok := p.exact[text]; !ok || len(own) >= planIndent || toASCII(own) != own {
				t.Errorf("%s: the label %s of a plan is %q", l.tag, text, own)
			}
		}
		if found < 10 {
			t.Errorf("%d labels were found", found)
		}
	}
}

// TestWords: some of what is said is one word, which no other test takes for a sentence.
func TestWords(t *testing.T) {
	words := []string{"on", "off", "none", "unknown", "server", "agent", "reboot", "poweroff", "stay", "writing", "flushing"}
	for _, s := range []probe.Stage{probe.Carrier, probe.Association, probe.Address, probe.Duplicate, probe.Gateway, probe.DNS,
		probe.Portal, probe.Clock, probe.ProxyStage, probe.MTU, probe.TunnelStage, probe.Reach} {
		words = append(words, string(s))
	}
	for _, l := range languages[1:] {
		for _, word := range words {
			if _, ok := books[l.tag]().exact[word]; !ok {
				t.Errorf("%s does not know %q", l.tag, word)
			}
		}
	}
}

// TestInputsAreSaid: what is told about a key that a page asks for is in every book.
func TestInputsAreSaid(t *testing.T) {
	for _, l := range languages[1:] {
		for name, values := range map[string]map[string][]string{
			"cable": {link + ".name": {"cable"}, link + ".match.mac": {"3c:ec:ef:12:34:56"}, rolePath: {"agent"},
				proxyPath + ".url": {"http://proxy:3128"}, tunnelPath + ".private-key": {preseed.GenerateKey}},
			"password": {link + ".name": {"wifi"}, link + ".wifi.security": {"wpa2"}},
			"login":    {link + ".name": {"wifi"}, link + ".wifi.security": {"enterprise"}, eap + ".method": {"peap"}},
		} {
			s, seen := session(t, "mini-pc"), 0
			maps.Copy(s.Values, values)
			s.Values["node.language"] = []string{l.tag}
			st := newState(s)
			for _, page := range screens {
				for _, r := range page.rows(st) {
					if key, ok := preseed.Lookup(r.id); ok && key.Description != "" && r.kind == input {
						if seen++; r.note == key.Description {
							t.Errorf("%s: %q is said of %s", l.tag, r.note, r.id)
						}
					}
				}
			}
			if seen < 10 {
				t.Errorf("%s has %d inputs only", name, seen)
			}
		}
	}
}

func TestSay(t *testing.T) {
	for _, tt := range []struct{ name, english, dutch, german string }{
		{"a sentence", "add memory or use another machine", "plaats geheugen bij of gebruik een andere machine", "bauen Sie Speicher ein oder nehmen Sie eine andere Maschine"},
		{"things put in", "this machine has 1 GB of memory and a k3s node needs 1.78 GB", "deze machine heeft 1 GB geheugen en een k3s-knooppunt heeft 1.78 GB nodig", "diese Maschine hat 1 GB Speicher, und ein k3s-Knoten braucht 1.78 GB"},
		{"a thing that is like a phrase", `no time zone is called "unknown"`, `geen tijdzone heet "unknown"`, `keine Zeitzone heißt "unknown"`},
		{"a phrase in a phrase", "no usable TPM: this machine shows none", "geen bruikbare TPM: deze machine toont er geen", "kein brauchbares TPM: diese Maschine zeigt keines"},
		{"causes", "could not make the boot partition: copying loader/loader.conf to the boot partition: no space left on device",
			"niet gelukt: de bootpartitie maken: loader/loader.conf naar de bootpartitie kopiëren: geen ruimte meer",
			"nicht gelungen: die Boot-Partition anlegen: loader/loader.conf auf die Boot-Partition kopieren: kein Platz mehr"},
		{"a cause that nobody knows", "reading the UKI on the stick: bad magic", "de UKI op de stick lezen: bad magic", "die UKI auf dem Stick lesen: bad magic"},
		{"a path in front", "open /stick/a: no such file or directory", "open /stick/a: bestand of map bestaat niet", "open /stick/a: Datei oder Ordner gibt es nicht"},
		{"ends", "proxy http://proxy:3128 for k3s, containerd and stek, login as joe, with a certificate authority of its own; not for 10.0.0.0/8, .local",
			"proxy http://proxy:3128 voor k3s, containerd en stek, aangemeld als joe, met een eigen certificaatautoriteit; niet voor 10.0.0.0/8, .local",
			"Proxy http://proxy:3128 für k3s, containerd und stek, angemeldet als joe, mit eigener Zertifizierungsstelle; nicht für 10.0.0.0/8, .local"},
		{"between two", "a recovery key is made; it is left on the stick, encrypted to age1x and is shown once on the screen",
			"er wordt een herstelsleutel gemaakt; die komt op de stick, versleuteld voor age1x en wordt eenmalig op het scherm getoond",
			"ein Wiederherstellungsschlüssel entsteht; er kommt auf den Stick, verschlüsselt für age1x und wird einmal auf dem Bildschirm gezeigt"},
		{"a disk", "Samsung SSD 980, serial S64D and more, 500 GB, nvme, now /dev/nvme0n1", "Samsung SSD 980, serienummer S64D and more, 500 GB, nvme, nu /dev/nvme0n1", "Samsung SSD 980, Seriennummer S64D and more, 500 GB, nvme, jetzt /dev/nvme0n1"},
		{"what is on it", `partition 2 "the data", 107 GB: a Windows file system (ntfs) labelled "the rest", and remains of Linux RAID`,
			`partitie 2 "the data", 107 GB: een Windows-bestandssysteem (ntfs) met label "the rest", en resten van Linux-RAID`,
			`Partition 2 "the data", 107 GB: ein Windows-Dateisystem (ntfs) mit Label "the rest", und Reste von Linux-RAID`},
		{"in use", "it is in use: /dev/sda1 is mounted on /srv, /dev/sda2 is swap space in use", "hij is in gebruik: /dev/sda1 is aangekoppeld op /srv, /dev/sda2 is wisselruimte in gebruik", "es wird benutzt: /dev/sda1 ist eingehängt an /srv, /dev/sda2 ist benutzter Auslagerungsspeicher"},
		{"a link", `every cable: eno1 (3c:ec:ef:00:00:01) and eno2 (3c:ec:ef:00:00:02), VLAN 7, gateway 10.0.0.1, addresses by DHCP`,
			`elke kabel: eno1 (3c:ec:ef:00:00:01) en eno2 (3c:ec:ef:00:00:02), VLAN 7, gateway 10.0.0.1, adressen via DHCP`,
			`jedes Kabel: eno1 (3c:ec:ef:00:00:01) und eno2 (3c:ec:ef:00:00:02), VLAN 7, Gateway 10.0.0.1, Adressen über DHCP`},
		{"a radio", `field: wlan0 (aa:00:00:00:00:01), hidden wireless network "the and of", enterprise (peap as joe), addresses by DHCP`,
			`field: wlan0 (aa:00:00:00:00:01), verborgen draadloos netwerk "the and of", enterprise (peap als joe), adressen via DHCP`,
			`field: wlan0 (aa:00:00:00:00:01), verborgenes drahtloses Netz "the and of", enterprise (peap als joe), Adressen über DHCP`},
		{"a step", "2. clear the disk S64DNX and divide it", "2. de schijf S64DNX wissen en indelen", "2. das Laufwerk S64DNX löschen und aufteilen"},
		{"a way to open", "1. passphrase: a passphrase is typed at each start", "1. passphrase: bij elke start wordt een wachtzin getypt", "1. passphrase: bei jedem Start wird eine Passphrase getippt"},
		{"words of a list", `"tmp2" is unknown, expected tpm2, tang or passphrase`, `"tmp2" is onbekend, verwacht tpm2, tang of passphrase`, `"tmp2" ist unbekannt, erwartet tpm2, tang oder passphrase`},
		{"name servers", "10.0.0.1 answers; 10.0.0.2 cannot be asked: connection refused", "10.0.0.1 antwoordt; 10.0.0.2 kan niet worden gevraagd: verbinding geweigerd", "10.0.0.1 antwortet; 10.0.0.2 kann nicht gefragt werden: Verbindung abgelehnt"},
		{"lines", "this fits every card\nthis fits every disk", "dit past op elke kaart\ndit past op elke schijf", "das passt auf jede Karte\ndas passt auf jedes Laufwerk"},
		{"no phrase", "Acme Plug and Play, on or off: the box", "Acme Plug and Play, on or off: the box", "Acme Plug and Play, on or off: the box"},
		{"a machine", "Supermicro SYS-E300, serial on", "Supermicro SYS-E300, serienummer on", "Supermicro SYS-E300, Seriennummer on"},
		{"a broken layout of the keyboard", "reading the layout of the keyboard de: this is no console keymap: it ends within table 3",
			"de indeling van het toetsenbord de lezen: dit is geen toetsenbordindeling voor de console: het eindigt midden in tabel 3",
			"die Belegung der Tastatur de lesen: das ist keine Tastaturbelegung für die Konsole: es endet mitten in Tabelle 3"},
		{"a layout that the kernel does not take", "setting the kernel's own layout of the keyboard: setting key 28 of table 0: operation not permitted",
			"de eigen toetsenbordindeling van de kernel instellen: toets 28 van tabel 0 instellen: niet toegestaan",
			"die eigene Tastaturbelegung des Kernels einstellen: Taste 28 der Tabelle 0 einstellen: nicht erlaubt"},
		{"nothing", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for tag, want := range map[string]string{"en": tt.english, "nl": tt.dutch, "de": tt.german} {
				if got := messages(tag).phrases.say(tt.english); got != want {
					t.Errorf("%s: said %q, not %q", tag, got, want)
				}
			}
		})
	}
}

// FuzzSay: whatever text comes, something is said of it; and where there is no phrase in
// it, the same.
func FuzzSay(f *testing.F) {
	for _, text := range []string{"", ": ", "; ; ; ", ", , , and remains of , and remains of ", "a is b is c is d: e; f is g", "1. 2. 3.", "{1*} {} or {2}", "could not could not : : ", "\n\n\xff"} {
		f.Add(text)
	}
	letters := regexp.MustCompile(`[a-zA-Z]`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range languages[1:] {
			p := &phrases{exact: books[l.tag]().exact, joints: books[l.tag]().joints, templates: books[l.tag]().templates}
			said := p.say(text)
			if again := p.say(text); again != said {
				t.Errorf("%s: %q is said as %q, then as %q", l.tag, text, said, again)
			}
			if !letters.MatchString(text) && said != text {
				t.Errorf("%s: %q has no word and is said as %q", l.tag, text, said)
			}
			if strings.Count(said, "\n") != strings.Count(text, "\n") {
				t.Errorf("%s: %q has other lines: %q", l.tag, text, said)
			}
		}
	})
}
