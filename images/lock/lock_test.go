package lock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func debian(name, version string, digest byte) Component {
	return Component{Kind: "debian", Name: name, Arch: "amd64", Version: version, SHA256: strings.Repeat(string(digest), 64), Size: 7, Source: "pool/" + name}
}

func TestMarshalIsSortedAndReadable(t *testing.T) {
	l := &Lock{Components: []Component{
		{Kind: "k3s", Name: "k3s", Arch: "amd64", Version: "v1+k3s1", SHA256: strings.Repeat("b", 64), Note: "not for production"},
		{Kind: "debian", Name: "udev", Arch: "arm64", Version: "1", SHA256: strings.Repeat("a", 64)},
		debian("udev", "1:2~3", 'c'), debian("bash", "5", 'd'),
	}}
	data, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/components.lock"
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != string(want) {
		t.Errorf("lock is\n%s\nwant (%s)\n%s", data, golden, want)
	}
	back, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := Compare(l, back); !d.Empty() {
		t.Errorf("reading it back changed it:\n%s", d)
	}
}

func TestParseRefuses(t *testing.T) {
	good := `{"kind":"debian","name":"a","arch":"amd64","version":"1","sha256":"` + strings.Repeat("0", 64) + `"}`
	for name, c := range map[string]struct{ text, want string }{
		"not JSON":          {`hello`, "invalid"},
		"another format":    {`{"format":2,"components":[]}`, "format 2"},
		"an unknown field":  {`{"format":1,"components":[],"extra":1}`, "extra"},
		"text at the end":   {`{"format":1,"components":[]} x`, "behind the end"},
		"a short digest":    {`{"format":1,"components":[{"kind":"debian","name":"a","arch":"amd64","version":"1","sha256":"00"}]}`, "64 lower-case hex"},
		"no version":        {strings.Replace(`{"format":1,"components":[`+good+`]}`, `"version":"1"`, `"version":""`, 1), "incomplete"},
		"a doubled package": {`{"format":1,"components":[` + good + `,` + good + `]}`, "twice"},
		"a negative size":   {`{"format":1,"components":[` + strings.Replace(good, `"name"`, `"size":-1,"name"`, 1) + `]}`, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestCompareAndRequire(t *testing.T) {
	old := &Lock{Components: []Component{debian("bash", "5", 'a'), debian("dash", "1", 'a'), debian("less", "1", 'a'),
		{Kind: "debian", Name: "arm", Arch: "arm64", Version: "1", SHA256: strings.Repeat("a", 64)}}}
	now := []Component{debian("bash", "6", 'b'), debian("less", "1", 'b'), debian("zstd", "1", 'a')}

	next := old.Replace("amd64", now)
	if got := len(next.Of("arm64")); got != 1 {
		t.Errorf("the other architecture has %d components after a replacement, want 1", got)
	}
	want := `+ debian zstd 1 (amd64)
- debian dash 1 (amd64)
~ debian bash 5 -> 6 (amd64)
~ debian less 1, other digest aaaaaaaaaaaa -> bbbbbbbbbbbb (amd64)
`
	if got := Compare(old, next).String(); got != want {
		t.Errorf("difference is\n%s\nwant\n%s", got, want)
	}
	var mismatch *MismatchError
	if err := old.Require("amd64", now); !errors.As(err, &mismatch) {
		t.Fatalf("error is %v, want a MismatchError", err)
	}
	for _, name := range []string{"zstd", "dash", "bash", "less", "1 added, 1 removed, 2 changed"} {
		if !strings.Contains(mismatch.Error(), name) {
			t.Errorf("the error does not mention %s: %v", name, mismatch)
		}
	}
	if err := next.Require("amd64", now); err != nil {
		t.Errorf("a lock refuses what it was made from: %v", err)
	}
}

func TestReadAndWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "components.lock")
	l, err := Read(name)
	if err != nil || len(l.Components) != 0 {
		t.Fatalf("a missing file is %v, %v; want an empty lock", l, err)
	}
	l = l.Replace("amd64", []Component{debian("bash", "5", 'a')})
	if err := l.Write(name); err != nil {
		t.Fatal(err)
	}
	back, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := Compare(l, back); !d.Empty() {
		t.Errorf("reading it back changed it:\n%s", d)
	}
	left, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(left) != 1 {
		t.Errorf("files left behind: %v %v", left, err)
	}
	if err := l.Replace("amd64", []Component{{Kind: "debian"}}).Write(name); err == nil {
		t.Error("an incomplete component was written")
	}
}

func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile("testdata/components.lock")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"format":1,"components":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse(data)
		if err != nil {
			return
		}
		out, err := l.Marshal()
		if err != nil {
			t.Fatalf("a lock that was read cannot be written: %v", err)
		}
		back, err := Parse(out)
		if err != nil {
			t.Fatalf("a lock that was written cannot be read: %v", err)
		}
		if d := Compare(l, back); !d.Empty() {
			t.Fatalf("a round trip changed the lock:\n%s", d)
		}
	})
}
