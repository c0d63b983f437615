package overlay

import (
	"strings"
	"testing"
)

func TestEveryUnitIsWantedByATarget(t *testing.T) {
	files := Files()
	links := Links(files)
	for _, unit := range []string{"stek-install.service", "stek-first-start.service", "stek-bless.service", "stek-announce.service", "stek-network-joined.service"} {
		if _, ok := files[unitDir+"/"+unit]; !ok {
			t.Errorf("%s is not in the overlay", unit)
		}
	}
	if got := links[unitDir+"/multi-user.target.wants/stek-install.service"]; got != "../stek-install.service" {
		t.Errorf("stek-install.service is not enabled: %q", got)
	}
	if got := links[unitDir+"/sysinit.target.wants/stek-first-start.service"]; got != "../stek-first-start.service" {
		t.Errorf("stek-first-start.service is not enabled: %q", got)
	}
	if got := links[unitDir+"/multi-user.target.wants/stek-network-joined.service"]; got != "../stek-network-joined.service" {
		t.Errorf("stek-network-joined.service is not enabled: %q", got)
	}
	rule := string(files["usr/lib/udev/rules.d/90-stek-tpm.rules"])
	if _, ok := files[unitDir+"/stek-close-tpm@.service"]; !ok || !strings.Contains(rule, `"stek-close-tpm@%k.service"`) {
		t.Errorf("stek-close-tpm@.service does not come with each TPM: %q", rule)
	}
	for p := range files {
		if p[0] == '/' {
			t.Errorf("%s begins with a slash", p)
		}
	}
}
