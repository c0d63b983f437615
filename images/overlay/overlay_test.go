package overlay

import "testing"

func TestEveryUnitIsWantedByATarget(t *testing.T) {
	files := Files()
	links := Links(files)
	for _, unit := range []string{"stek-install.service", "stek-first-start.service", "stek-bless.service", "stek-announce.service"} {
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
	if got := links[unitDir+"/dev-tpmrm0.device.wants/stek-close-tpm.service"]; got != "../stek-close-tpm.service" {
		t.Errorf("stek-close-tpm.service does not come with the TPM: %q", got)
	}
	for p := range files {
		if p[0] == '/' {
			t.Errorf("%s begins with a slash", p)
		}
	}
}
