package vault

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// TestHostileHeaders rewrites the metadata with right checksums, as anybody can
// who holds the disk.
func TestHostileHeaders(t *testing.T) {
	m, _ := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	c, _, err := pickCopy(bytes.NewReader(readHead(t, m.Device, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	text := string(c.json)
	sub := func(old, new string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the metadata: %s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	const seg = `"encryption":"aes-xts-plain64","sector_size":4096`
	digestText := text[strings.Index(text, `"digest":"`):]
	digestText = digestText[:strings.Index(digestText, `"}`)+1]
	tests := []struct {
		name, json string
	}{
		{"cipher_null", sub(seg, `"encryption":"cipher_null-ecb","sector_size":4096`)},
		{"weak cipher", sub(seg, `"encryption":"aes-cbc-plain","sector_size":4096`)},
		{"cipher with another case", sub(seg, `"encryption":"AES-XTS-plain64","sector_size":4096`)},
		{"linear segment", sub(`"type":"crypt"`, `"type":"linear"`)},
		{"opal segment", sub(`"type":"crypt"`, `"type":"hw-opal-crypt"`)},
		{"two segments", sub(`"segments":{"0":`, `"segments":{"1":{"type":"linear","offset":"16777216","size":"4096"},"0":`)},
		{"no segment", sub(`"segments":{"0":`, `"segments":{"3":`)},
		{"integrity", sub(seg, seg+`,"integrity":{"type":"hmac(sha256)"}`)},
		{"segment flags", sub(seg, seg+`,"flags":["in-reencryption"]`)},
		{"data inside the header", sub(`"offset":"16777216"`, `"offset":"65536"`)},
		{"data behind the end", sub(`"offset":"16777216"`, `"offset":"1099511627776"`)},
		{"negative offset", sub(`"offset":"16777216"`, `"offset":"-4096"`)},
		{"odd offset", sub(`"offset":"16777216"`, `"offset":"16777217"`)},
		{"fixed size", sub(`"size":"dynamic"`, `"size":"4096"`)},
		{"IV tweak", sub(`"iv_tweak":"0"`, `"iv_tweak":"8"`)},
		{"sector size zero", sub(`"sector_size":4096`, `"sector_size":0`)},
		{"huge sectors", sub(`"sector_size":4096`, `"sector_size":1048576`)},
		{"reencryption", sub(`"config":{`, `"config":{"requirements":{"mandatory":["online-reencrypt-v2"]},`)},
		{"requirements as a list", sub(`"config":{`, `"config":{"requirements":["opal"],`)},
		{"requirements of another form", sub(`"config":{`, `"config":{"requirements":7,`)},
		{"empty digest fits every key", sub(digestText, `"digest":""`)},
		{"short digest", sub(digestText, `"digest":"AAAA"`)},
		{"unknown digest hash", sub(`"digests":{"0":{"type":"pbkdf2"`, `"digests":{"0":{"type":"none"`)},
		{"no digest", sub(`"digests":{"0":`, `"digests":{"99":`)},
		{"duplicate key", sub(`"segments":`, `"segments":{},"segments":`)},
		{"same key in upper case", sub(`"segments":`, `"Segments":{},"segments":`)},
		{"unknown top-level key", sub(`"segments":`, `"extra":{},"segments":`)},
		{"slot number out of range", sub(`"keyslots":{"0":`, `"keyslots":{"32":`)},
		{"slot number with a zero", sub(`"keyslots":{"0":`, `"keyslots":{"00":`)},
		{"no slots", text[:strings.Index(text, `"0":`)] + text[strings.Index(text, `},"tokens"`):]},
		{"wrong json_size", sub(`"json_size":"28672"`, `"json_size":"12288"`)},
		{"wrong keyslots_size", sub(`"keyslots_size":"`, `"keyslots_size":"9`)},
		{"cut off", text[:len(text)/2]},
		{"not an object", `[]`},
		{"trailing object", text + `{}`},
		{"deep nesting", sub(`"tokens":{`, `"tokens":{"9":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,`)},
		{"empty", ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Parse(bytes.NewReader(pair(c, tt.json, nil)), imageSize)
			if !errors.Is(err, ErrRefused) {
				t.Errorf("error %v, header %v", err, h)
			}
		})
	}
	t.Run("unchanged", func(t *testing.T) {
		if _, err := Parse(bytes.NewReader(pair(c, text, nil)), imageSize); err != nil {
			t.Error(err)
		}
	})
	t.Run("data after the end", func(t *testing.T) {
		if _, err := Parse(bytes.NewReader(pair(c, text+"\x00{}", nil)), imageSize); !errors.Is(err, ErrRefused) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("requirement is typed", func(t *testing.T) {
		bad := sub(`"config":{`, `"config":{"requirements":{"mandatory":["online-reencrypt-v2"]},`)
		_, err := Parse(bytes.NewReader(pair(c, bad, nil)), imageSize)
		var req *RequirementError
		if !errors.As(err, &req) || len(req.Names) != 1 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("Adiantum is on the list", func(t *testing.T) {
		good := strings.Replace(sub(seg, `"encryption":"xchacha12,aes-adiantum-plain64","sector_size":4096`), `"key_size":64,"af"`, `"key_size":32,"af"`, 1)
		h, err := Parse(bytes.NewReader(pair(c, good, nil)), imageSize)
		if err != nil || h.Cipher != Adiantum12 || h.Slots[0].Problem != nil {
			t.Errorf("header %+v, error %v", h, err)
		}
	})
	t.Run("header size", func(t *testing.T) {
		big := pair(c, text, func(b *binaryHeader, _ bool) { b.Size = 1 << 40 })
		if _, err := Parse(bytes.NewReader(big), imageSize); !errors.Is(err, ErrDamaged) {
			t.Errorf("error %v", err)
		}
	})
}

// TestHostileSlots: a bad slot is listed with its problem and never tried, and
// the good one beside it still opens.
func TestHostileSlots(t *testing.T) {
	m, key := newVolume(t, FormatOptions{})
	if _, err := m.AddPassphrase(context.Background(), []byte(key.Reveal()), []byte("a long passphrase")); err != nil {
		t.Fatal(err)
	}
	c, _, err := pickCopy(bytes.NewReader(readHead(t, m.Device, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	text := string(c.json)
	at := strings.Index(text, `,"1":{"type":"luks2"`) // the passphrase's slot
	first, second := text[:at], text[at:]
	tests := []struct {
		name, old, new string
		want           error
	}{
		{"4 GiB of memory", `"memory":65536`, `"memory":4194304`, ErrSlotCost},
		{"endless time", `"time":10`, `"time":4000000`, ErrSlotCost},
		{"negative memory", `"memory":65536`, `"memory":-1`, ErrSlotForm},
		{"no threads", `"cpus":2`, `"cpus":0`, ErrSlotForm},
		{"many threads", `"cpus":2`, `"cpus":200`, ErrSlotCost},
		{"unknown derivation", `"argon2id"`, `"none"`, ErrSlotForm},
		{"pbkdf2 with no iterations", `"type":"argon2id","time":10,"memory":65536,"cpus":2`, `"type":"pbkdf2","hash":"sha512","iterations":1`, ErrSlotForm},
		{"pbkdf2 for hours", `"type":"argon2id","time":10,"memory":65536,"cpus":2`, `"type":"pbkdf2","hash":"sha512","iterations":2000000000`, ErrSlotCost},
		{"pbkdf2 with md5", `"type":"argon2id","time":10,"memory":65536,"cpus":2`, `"type":"pbkdf2","hash":"md5","iterations":1000`, ErrSlotForm},
		{"reencrypt slot", `"type":"luks2"`, `"type":"reencrypt"`, ErrSlotForm},
		{"key size of another cipher", `"key_size":64,"af"`, `"key_size":1,"af"`, ErrSlotForm},
		{"stripes", `"stripes":4000`, `"stripes":400000000`, ErrSlotForm},
		{"area in the header", `"offset":"323584"`, `"offset":"4096"`, ErrSlotForm},
		{"area in the data", `"offset":"323584"`, `"offset":"16777216"`, ErrSlotForm},
		{"area of another slot", `"offset":"323584"`, `"offset":"65536"`, ErrSlotForm},
		{"huge area", `"size":"258048"`, `"size":"16000000000"`, ErrSlotForm},
		{"small area", `"size":"258048"`, `"size":"4096"`, ErrSlotForm},
		{"plain area", `"encryption":"aes-xts-plain64"`, `"encryption":"cipher_null-ecb"`, ErrSlotForm},
		{"unknown key", `"type":"luks2"`, `"type":"luks2","extra":1`, ErrSlotForm},
		{"wrong type", `"type":"luks2"`, `"type":7`, ErrSlotForm},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(second, tt.old) {
				t.Fatalf("%q is not in %s", tt.old, second)
			}
			bad := pair(c, first+strings.Replace(second, tt.old, tt.new, 1), nil)
			path := t.TempDir() + "/state.img"
			tool(t, nil, "cp", "--sparse=always", m.Device, path)
			writeAt(t, path, bad, 0)
			h, err := Inspect(path)
			if err != nil {
				t.Fatal(err)
			}
			if !errors.Is(h.Slot(1).Problem, tt.want) {
				t.Errorf("problem %v, want %v", h.Slot(1).Problem, tt.want)
			}
			if _, err := h.Unlock(context.Background(), ByTyping{Ask: answers("a long passphrase"), Tries: 1}); !errors.Is(err, tt.want) {
				t.Errorf("unlock: %v", err)
			}
			v, err := h.Unlock(context.Background(), ByTyping{Ask: answers(key.Reveal()), Tries: 1})
			if err != nil {
				t.Fatal(err)
			}
			v.Close()
		})
	}
}

// answers is a person who gives one answer after another.
func answers(list ...string) Ask {
	return func(_ context.Context, try int) ([]byte, error) {
		if try >= len(list) {
			return nil, ErrGivenUp
		}
		return []byte(list[try]), nil
	}
}
