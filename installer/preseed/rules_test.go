package preseed

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"
)

func TestExpand(t *testing.T) {
	facts := Facts{Serial: "PF-3XQ 9Z/1", MAC: "DC:A6:32:01:02:03", Site: "westland-3"}
	for name, test := range map[string]struct {
		template string
		facts    Facts
		want     string // or the beginning of the error
	}{
		"fixed":                    {"kas-7", Facts{}, "kas-7"},
		"serial":                   {"kas-{serial}", facts, "kas-pf-3xq-9z-1"},
		"mac":                      {"kas-{mac}", facts, "kas-dca632010203"},
		"all":                      {"{site}-{serial}.{mac}", facts, "westland-3-pf-3xq-9z-1.dca632010203"},
		"no serial":                {"kas-{serial}", Facts{MAC: "x"}, "error: this machine has no serial number"},
		"serial of the maker":      {"kas-{serial}", Facts{Serial: "To be filled by O.E.M."}, "error: this machine has no serial number"},
		"serial of dashes":         {"kas-{serial}", Facts{Serial: " -- "}, "error: this machine has no serial number"},
		"no card":                  {"kas-{mac}", Facts{Serial: "x"}, "error: this machine has no network card"},
		"no site":                  {"kas-{site}", facts.without("site"), "error: node.site is not given"},
		"serial too long":          {"kas-{serial}", Facts{Serial: strings.Repeat("7", 64)}, "error: the name"},
		"serial that is all there": {"{serial}", Facts{Serial: "20481"}, "error: the name"},
		"unknown word":             {"{uuid}", facts, "error: {uuid} is unknown"},
		"number of no box":         {"{n}", facts, "error: {n} is the number of a box"},
		"open brace":               {"kas-{serial", facts, "error: { without a }"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Expand(test.template, test.facts)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != test.want && !(err != nil && strings.HasPrefix(test.want, "error: ") && strings.HasPrefix(got, test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestGatewaysJSON: a node reads what it kept when a link had a single gateway.
func TestGatewaysJSON(t *testing.T) {
	for _, text := range []string{`{"name":"up","gateway":"10.0.0.1"}`, `{"name":"up","gateway":["10.0.0.1","fd00::1"]}`, `{"name":"up"}`} {
		var l Link
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(l); err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	var l Link
	if err := json.Unmarshal([]byte(`{"gateway":"router"}`), &l); err == nil {
		t.Errorf("got %v", l.Gateways)
	}
}

func (f Facts) without(string) Facts { f.Site = ""; return f }

func TestBytes(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "7": 7, "32GB": 32e9, "32GiB": 32 << 30, "1.92TB": 192e10, "0.5KiB": 512, "1kB": 1000, "16PiB": 16 << 50, "18446744073709551615": 1<<64 - 1} {
		if got, err := ParseBytes(text); err != nil || uint64(got) != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1", "+1", "1e9", "1_000", "0x10", "1..5GB", ".5GB", "5.GB", "32 GB", "32GB ", "32G", "32gb", "32Gb", "1KB", "0.3kiB", "18446744073709551616", "0.0001kB", strings.Repeat("9", 99)} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d", text, got)
		}
	}
	for size, want := range map[Bytes]string{0: "0", 1: "1", 1000: "1kB", 1024: "1KiB", 32e9: "32GB", 32 << 30: "32GiB", 1 << 50: "1PiB"} {
		if size.String() != want {
			t.Errorf("%d prints %s, want %s", uint64(size), size, want)
		}
		text, err := json.Marshal(size)
		var again Bytes
		if err != nil || json.Unmarshal(text, &again) != nil || again != size {
			t.Errorf("%s is %s in JSON and reads %s", size, text, again)
		}
	}
}

func TestMatchGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"S4EV*", "S4EVNX0N812345", true}, {"s4ev*", "S4EVNX0N812345  ", true}, {"S4EV*", "XS4EV", false}, {"S4EV", "S4EV1", false},
		{"*SD/MMC*", "Generic- SD/MMC CRW", true}, {"Generic*", "Generic- SD/MMC CRW", true}, {"S?EV", "S4EV", true}, {"S[34]EV", "S4EV", true}, {"[", "[", false},
	} {
		if got := MatchGlob(test.pattern, test.text); got != test.want {
			t.Errorf("MatchGlob(%q, %q) = %v", test.pattern, test.text, got)
		}
	}
}

// TestPasswordHashes takes hashes of the word x made by libxcrypt 4.4.
func TestPasswordHashes(t *testing.T) {
	for _, hash := range []string{
		"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$6foLM1JhGupouWKMU70wxK61Kw9ZnecbACjJwRadqM2",
		"$gy$j9T$F5Jx5fExrKuPp53xLKQ..1$swDwqc9roxMj9t43.TdN6v6uEgFlLv6oDhMVx4g6bhA",
		"$7$CU..../....aBcDeFgHiJkLmN$gtNgCENijWfjcFocG/uKcfVuTcW3q4QwrGKe9wIFtv7",
		"$2b$05$abcdefghijklmnopqrstuuhKF09ZYWwH2zP/0fwE1X8e/Q1YNx/hO",
		"$6$saltsalt$8RWsOfwR6M6PpnoeQiEiWzNTPo1f0HjVYjDnLZhGx16aBFRkeqiHAzfXP/LgrOWMBMXqiU2pLrXsSOHNUyUm91",
		"$6$rounds=5000$saltsalt$8RWsOfwR6M6PpnoeQiEiWzNTPo1f0HjVYjDnLZhGx16aBFRkeqiHAzfXP/LgrOWMBMXqiU2pLrXsSOHNUyUm91",
		"$5$saltsalt$hcyDOxdIg0p3xyqtpHh/v8Ph.am06tQaovp1KpEklb7",
	} {
		if f := CheckValue("node.admin.password-hash", hash); f != nil {
			t.Errorf("%s…: %v", hash[:4], f)
		}
		if CheckValue("node.admin.password-hash", hash[:len(hash)-1]) == nil {
			t.Errorf("%s… is taken although its end is missing", hash[:4])
		}
	}
	for _, word := range []string{"x", "hunter22", "$1$saltsalt$4px9i58NU2Z2/vZOUlGjq.", "saJ.7Q3rT5a6g", "*", "!", "!$6$x", "$y$", "$6$$", "{SSHA}x"} {
		if CheckValue("node.admin.password-hash", word) == nil {
			t.Errorf("%q is taken as a hash", word)
		}
	}
}

func TestSSHKeys(t *testing.T) {
	line := func(bits int) string {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		public, err := ssh.NewPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	}
	if f := CheckValue("node.admin.ssh-keys", line(2048)); f != nil {
		t.Error(f)
	}
	if f := CheckValue("node.admin.ssh-keys", `restrict,from="10.0.0.0/8" `+line(2048)); f != nil {
		t.Error(f)
	}
	if f := CheckValue("node.admin.ssh-keys", line(1024)); f == nil || !strings.Contains(f.Message, "1024 bits") {
		t.Errorf("a short RSA key: %v", f)
	}
}

func TestRecipients(t *testing.T) {
	plain, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{plain.Recipient().String(), hybrid.Recipient().String()} {
		if f := CheckValue("encryption.recovery.recipient", good); f != nil {
			t.Error(f)
		}
	}
	for _, secret := range []string{plain.String(), hybrid.String(), strings.ToLower(plain.String())} {
		f := CheckValue("encryption.recovery.recipient", secret)
		if f == nil || !strings.Contains(f.Message, "private half") || strings.Contains(f.Error(), secret[20:]) {
			t.Error("a private key is not recognised, or shown")
		}
	}
}

func TestCheckValue(t *testing.T) {
	for key, value := range map[string]string{"node.name": "kas-{serial}", "disk.erase": "true", "disk.match.min-size": "32GB", "encryption.unlock": "tpm2",
		"encryption.unlock[1]": "passphrase", "encryption.tpm2.pin": "123456", "k3s.taints": "a:NoExecute", "node.language": "de-CH"} {
		if f := CheckValue(key, value); f != nil {
			t.Errorf("%s: %v", key, f)
		}
	}
	for key, test := range map[string]struct {
		value string
		kind  FaultKind
	}{"node.nmae": {"x", FaultUnknown}, "network.ntp": {"x/y", FaultValue}, "disk.erase": {"yes", FaultType}, "encryption.unlock": {"tpm", FaultValue}, "network.links": {"", ""},
		"encryption.tpm2.pin": {"12345", FaultValue}, "node.site": {"", FaultValue}, "stek": {"2", FaultValue}} {
		if f := CheckValue(key, test.value); f == nil && test.kind == "" {
			continue
		} else if f == nil || f.Kind != test.kind || f.Line != 0 {
			t.Errorf("%s: %v, want kind %s", key, f, test.kind)
		}
	}
}

func TestValidate(t *testing.T) {
	answers := Answers{Node: Node{Name: "Kas", Timezone: "UTC"}, Disk: Disk{Reinstall: true}, K3s: K3s{Labels: map[string]string{"-": "x"}}}
	var got []string
	for _, fault := range Validate(&answers) {
		got = append(got, fault.Key)
		if fault.Line != 0 || strings.HasPrefix(fault.Error(), ":") {
			t.Errorf("fault with a place: %v", fault)
		}
	}
	if want := "node.name k3s.labels.- disk.reinstall encryption.recovery"; strings.Join(got, " ") != want {
		t.Errorf("faults for %s, want %s", strings.Join(got, " "), want)
	}
}
