package root

import (
	"errors"
	"testing"
	"testing/fstest"
)

func TestHostMirror(t *testing.T) {
	const third = "deb https://apt.third.example bookworm main\ndeb [signed-by=/k.asc] https://download.third.example/linux/debian bookworm stable\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  Mirror
		fails string
	}{
		"one line form": {
			files: map[string]string{"etc/apt/sources.list": third + "# deb http://old.example/debian buster main\n" +
				"deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example/debian/ bookworm main contrib\n" +
				"deb-src http://src.example/debian bookworm main\n" +
				"deb http://s.example/debian-security bookworm-security main\n"},
			want: Mirror{"http://m.example/debian", "http://s.example/debian-security"},
		},
		"deb822 form": {
			files: map[string]string{"etc/apt/sources.list.d/debian.sources": "Types: deb deb-src\nURIs: http://m.example/debian\nSuites: trixie\n trixie-updates\nComponents: main\n\n" +
				"# disabled\nEnabled: no\nTypes: deb\nURIs: http://no.example/debian-security\nSuites: trixie-security\nComponents: main\n\n" +
				"Types: deb\nURIs: http://m.example/debian-security\nSuites: trixie-security\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
				"etc/apt/sources.list.d/third.list": third},
			want: Mirror{"http://m.example/debian", "http://m.example/debian-security"},
		},
		"another folder, Debian's key": {
			files: map[string]string{"etc/apt/sources.list": "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example/mirror/one stable main\n" +
				"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example/mirror/two stable-security main\n"},
			want: Mirror{"http://m.example/mirror/one", "http://m.example/mirror/two"},
		},
		"only third parties":            {files: map[string]string{"etc/apt/sources.list": third}, fails: "archive"},
		"no security":                   {files: map[string]string{"etc/apt/sources.list": "deb http://m.example/debian bookworm main\n"}, fails: "security archive"},
		"another distribution":          {files: map[string]string{"etc/apt/sources.list": "deb http://archive.example/ubuntu noble main universe\ndeb http://archive.example/ubuntu noble-security main\n"}, fails: "archive"},
		"a disc":                        {files: map[string]string{"etc/apt/sources.list": "deb cdrom:[Debian GNU/Linux 12]/ bookworm main\n"}, fails: "archive"},
		"no apt sources on the machine": {files: nil, fails: "archive"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for file, text := range c.files {
				fsys[file] = &fstest.MapFile{Data: []byte(text)}
			}
			got, err := HostMirror(fsys)
			var missing *NoMirrorError
			switch {
			case c.fails != "" && (!errors.As(err, &missing) || missing.Missing != c.fails):
				t.Errorf("error is %v, want one about the %s", err, c.fails)
			case c.fails == "" && (err != nil || got != c.want):
				t.Errorf("mirror is %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func FuzzParseAptSources(f *testing.F) {
	f.Add("a.list", []byte("deb [signed-by=/k] http://m.example/debian trixie main\n"))
	f.Add("a.sources", []byte("Types: deb\nURIs: http://m.example/debian\nSuites: trixie\nComponents: main\n"))
	f.Add("a.sources", []byte(" x\n:\n\n#\nTypes:deb\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		for _, s := range ParseAptSources(name, data) {
			if s.Suite == "" && len(s.Components) > 0 && name == "a.list" {
				t.Errorf("a source without a suite: %+v", s)
			}
		}
	})
}
