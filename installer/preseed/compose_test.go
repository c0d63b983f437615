package preseed

import (
	"errors"
	"testing"
)

// TestComposeFaults: what is wrong is named by the path of its value, all of it at once,
// and never with the line of a file that nobody has.
func TestComposeFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values map[string][]string
		want   string
	}{
		{"no key", map[string][]string{"node.nmae": {"a"}}, "unknown key \"node.nmae\"; did you mean name?"},
		{"two values", map[string][]string{"node.name": {"a", "b"}}, "node.name: has one value; give one"},
		{"a value", map[string][]string{"network.links[0].name": {"up"}, "network.links[0].vlan": {"9999"}},
			"network.links[0].vlan: 9999 is not between 1 and 4094; for example vlan: 20"},
		{"text that is YAML", map[string][]string{"network.links[0].vlan": {"[{"}}, "network.links[0].vlan: expected a whole number; write vlan: 20"},
		{"an entry of a list", map[string][]string{"network.links[0].name": {"up"}, "network.links[0].dns": {"10.0.0.1", "ns"}},
			"network.links[0].dns[1]: \"ns\" is no IP address; write it as 192.168.7.1 or fd00::1"},
		{"a conflict", map[string][]string{"encryption.recovery.show": {"true"}, "network.links[0].name": {"up"}, "network.links[0].addresses": {"10.0.0.2/24"}, "network.links[0].gateway": {"10.1.0.1"}},
			"network.links[0].gateway: 10.1.0.1 is outside the subnet 10.0.0.0/24; a gateway is reached directly: correct it, or the length of the subnet"},
		{"an empty list", map[string][]string{"encryption.recovery.show": {"true"}, "encryption.unlock": {}},
			"encryption.unlock: no unlock method is given; name at least one, or remove the line for [tpm2]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compose(tt.values)
			var faults Faults
			if !errors.As(err, &faults) || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// Secrets of a file survive: they are refused only where a file is written.
func TestComposeSecrets(t *testing.T) {
	a, err := Compose(map[string][]string{"encryption.recovery.show": {"true"}, "encryption.tpm2.pin": {"4 8 15 16 23"}})
	if err != nil || a.Encryption.TPM2.PIN.Reveal() != "4 8 15 16 23" {
		t.Error(err)
	}
}
