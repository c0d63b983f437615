package stage1

import (
	"strings"
	"testing"
)

func TestParseCmdline(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	good := "console=ttyS0 roothash=" + hash + " stek.root.salt=" + hash + " stek.root.blocks=1000 stek.version=1.2"
	tests := []struct {
		name, line, wantErr string
	}{
		{"complete", good, ""},
		{"empty", "", "has no roothash"},
		{"second root hash from outside", good + " roothash=" + strings.Repeat("cd", 32), "gives roothash twice"},
		{"short hash", strings.Replace(good, "roothash="+hash, "roothash=abcd", 1), "not 64 hex digits"},
		{"no blocks", strings.Replace(good, "=1000", "=0", 1), "not a number of blocks"},
		{"huge blocks", strings.Replace(good, "=1000", "=99999999999999999999", 1), "not a number of blocks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec, err := ParseCmdline(tt.line)
			if tt.wantErr == "" {
				if err != nil {
					t.Fatal(err)
				}
				if spec.Blocks != 1000 || spec.Version != "1.2" || spec.Hash != hash {
					t.Errorf("got %+v", spec)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("got error %v, want one with %q", err, tt.wantErr)
			}
		})
	}
}

func TestRootGUIDIsTheStartOfTheHash(t *testing.T) {
	spec := RootSpec{Hash: "00112233445566778899aabbccddeeff" + strings.Repeat("00", 16)}
	if got, want := spec.guid(), "00112233-4455-6677-8899-aabbccddeeff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseCmdline(f *testing.F) {
	hash := strings.Repeat("0123456789ABCDEF", 4)
	for _, line := range []string{
		"console=ttyS0 console=tty0 quiet roothash=" + hash + " stek.root.salt=" + hash + " stek.root.blocks=1000 stek.version=1.2",
		"stek.root.blocks=1099511627775\tstek.root.salt=" + strings.ToLower(hash) + "\nroothash=" + hash + " stek.later=x\n",
	} {
		if _, err := ParseCmdline(line); err != nil {
			f.Fatalf("%q: %v", line, err)
		}
		f.Add(line)
		f.Add(line + " roothash=" + hash)
	}
	f.Add("roothash=ab stek.root.blocks=1")
	f.Add("stek.=\x00 roothash")
	f.Fuzz(func(t *testing.T, line string) {
		spec, err := ParseCmdline(line)
		if err != nil {
			return
		}
		if guid := spec.guid(); len(guid) != 36 {
			t.Errorf("the root is looked for as %q", guid)
		}
		if !isHex(spec.Salt, 32) || spec.HashOffset() == 0 {
			t.Errorf("%+v is not the place of a root", spec)
		}
	})
}
