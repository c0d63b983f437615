package builder

import (
	"strings"
	"testing"

	"github.com/stek-edge/stek/images/component"
)

func TestOSReleaseIsReadBack(t *testing.T) {
	label := component.Component{Version: "v1.25.4+k3s1"}.Label()
	about := parseOSRelease(string(osRelease("1.2.3", label, component.Module, []string{"package hostapd", "files"})))
	for key, want := range map[string]string{
		"ID": "stek", "VERSION_ID": "1.2.3", "PRETTY_NAME": "stek 1.2.3",
		"STEK_K3S": "v1.25.4+k3s1 (not for production)", "STEK_K3S_SOURCE": "module", "STEK_ADDED": "package hostapd, files",
	} {
		if about[key] != want {
			t.Errorf("%s is %q, want %q", key, about[key], want)
		}
	}
	if odd := parseOSRelease("no equals sign\nA='single'\nB=\"open\nC=\n"); odd["A"] != "'single'" || odd["B"] != `"open` || odd["C"] != "" {
		t.Errorf("odd lines give %q", odd)
	}
}

func TestInspectWritesNoControlCharacters(t *testing.T) {
	var out strings.Builder
	f := Found{Version: "\x1b[2J", K3s: "\x07", Cmdline: "a\nb", Files: []FoundFile{{Name: "\x1b]0;x\x07"}}}
	if err := f.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("got %q", out.String())
	}
}
