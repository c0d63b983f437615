package fat_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/fat"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)

var options = fat.Options{Label: "STEK", Serial: 0x12345678, Time: epoch}

// image makes an empty file for a file system.
func image(t testing.TB, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "fat.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

func format(t testing.TB, f *os.File, size int64) *fat.Volume {
	t.Helper()
	v, err := fat.Format(f, size, false, options)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fsck asks dosfstools, which must find nothing at all to say.
func fsck(t testing.TB, f *os.File) {
	t.Helper()
	tool, err := exec.LookPath("fsck.fat")
	if err != nil {
		tool = "/usr/sbin/fsck.fat"
	}
	out, err := exec.Command(tool, "-n", f.Name()).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 2 {
		t.Fatalf("fsck.fat: %v\n%s", err, out)
	}
}

// mtools runs one of the mtools on the image.
func mtools(t testing.TB, f *os.File, tool string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(tool, append([]string{"-i", f.Name()}, args...)...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", tool, args, err)
	}
	return out
}

func content(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b) // never fails
	return b
}

func TestFormatPassesFsck(t *testing.T) {
	for _, size := range []int64{fat.MinSize, 64 << 20, 260 << 20, 260<<20 + 512, 513<<20 + 1536, 1 << 30, 4 << 30} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			f := image(t, size)
			v := format(t, f, size)
			must(t, v.WriteFile("a/b.txt", []byte("text"), epoch))
			fsck(t, f)
		})
	}
}

func TestWhatIsWrittenIsReadByMtools(t *testing.T) {
	f := image(t, 1<<30)
	v := format(t, f, 1<<30)
	files := map[string][]byte{
		"EFI/BOOT/BOOTX64.EFI":                  content(125_000, 1),
		"EFI/systemd/systemd-bootx64.efi":       content(125_000, 1),
		"EFI/Linux/stek-a+9.efi":                content(9_000_000, 2),
		"loader/loader.conf":                    []byte("timeout 0\n"),
		"loader/keys/auto/PK.auth":              content(4096, 3),
		"README.txt":                            []byte("hello\r\n"),
		"stek/empty":                            nil,
		"stek/reports/0123-4567/Übersicht.json": content(1, 4),
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		must(t, v.WriteFile(name, files[name], epoch))
	}
	fsck(t, f)
	for name, want := range files {
		if got, err := v.ReadFile(name, 1<<30); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes back, error %v", name, len(got), err)
		}
		if strings.Contains(name, "Ü") {
			continue // mtools depends on the locale
		}
		if got := mtools(t, f, "mtype", "::"+name); !bytes.Equal(got, want) {
			t.Errorf("%s: mtype reads %d bytes, want %d", name, len(got), len(want))
		}
	}
	if out := string(mtools(t, f, "mdir", "::")); !strings.Contains(out, "2026-01-02") || !strings.Contains(out, "1234-5678") || !strings.Contains(out, "STEK") {
		t.Errorf("mdir shows\n%s", out)
	}
}

func TestWhatMtoolsWriteIsRead(t *testing.T) {
	const size = 64 << 20
	f := image(t, size)
	mkfs, err := exec.LookPath("mkfs.fat")
	if err != nil {
		mkfs = "/usr/sbin/mkfs.fat"
	}
	if out, err := exec.Command(mkfs, "-F", "32", f.Name()).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.fat: %v\n%s", err, out)
	}
	host := filepath.Join(t.TempDir(), "a long name.yaml")
	want := content(70_001, 5)
	must(t, os.WriteFile(host, want, 0o600))
	mtools(t, f, "mmd", "::stek")
	mtools(t, f, "mcopy", host, "::stek/")
	v, err := fat.Open(f, size)
	must(t, err)
	got, err := v.ReadFile("STEK/A LONG NAME.YAML", 1<<20)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, error %v", len(got), err)
	}
	// And edited: the new content is seen by mtools, nothing leaks.
	must(t, v.WriteFile("stek/a long name.yaml", []byte("short"), epoch))
	must(t, v.WriteFile("stek/preseed.yaml", []byte("stek: 1\n"), epoch))
	fsck(t, f)
	if got := mtools(t, f, "mtype", "::stek/preseed.yaml"); string(got) != "stek: 1\n" {
		t.Errorf("mtype reads %q", got)
	}
	if got := mtools(t, f, "mtype", "::stek/a long name.yaml"); string(got) != "short" {
		t.Errorf("mtype reads %q", got)
	}
}

func TestEqualCallsGiveEqualBytes(t *testing.T) {
	var sums [][32]byte
	for range 2 {
		f := image(t, 64<<20)
		v := format(t, f, 64<<20)
		must(t, v.MkdirAll("stek/reports", epoch))
		must(t, v.WriteFile("stek/preseed.yaml", content(5000, 1), epoch))
		data, err := os.ReadFile(f.Name())
		must(t, err)
		sums = append(sums, sha256.Sum256(data))
	}
	if sums[0] != sums[1] {
		t.Error("two file systems made alike differ")
	}
}

func TestNewFileSystemIsSparse(t *testing.T) {
	f := image(t, 1<<30)
	v := format(t, f, 1<<30)
	must(t, v.WriteFile("a", content(100_000, 1), epoch))
	out, err := exec.Command("du", "-k", f.Name()).Output()
	must(t, err)
	var kib int
	if _, err := fmt.Sscan(string(out), &kib); err != nil || kib > 1024 {
		t.Errorf("%d KiB on disk, error %v", kib, err)
	}
}

// A random series of edits, compared with a map at every step and checked by
// fsck.fat now and then. The volume is opened anew each time, as a tool would.
func TestRandomEdits(t *testing.T) {
	const size = fat.MinSize
	f := image(t, size)
	free := format(t, f, size).Free()
	r := rand.New(rand.NewPCG(1, 2))
	model := map[string][]byte{}
	for step := range 300 {
		v, err := fat.Open(f, size)
		must(t, err)
		name := fmt.Sprintf("dir %d/file number %d.txt", r.IntN(3), r.IntN(60))
		if r.IntN(3) == 0 {
			err := v.Remove(name)
			if _, ok := model[name]; ok != (err == nil) || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("removing %s: %v", name, err)
			}
			delete(model, name)
		} else {
			model[name] = content(r.IntN(20_000), uint64(step))
			must(t, v.WriteFile(name, model[name], epoch))
		}
		if step%50 == 49 {
			fsck(t, f)
		}
	}
	v, err := fat.OpenReader(f, size)
	must(t, err)
	found := 0
	must(t, v.Walk(func(name string, e fat.Entry) error {
		if e.IsDir {
			return nil
		}
		found++
		got, err := v.ReadFile(name, 1<<20)
		if err != nil || !bytes.Equal(got, model[name]) {
			t.Errorf("%s: %d bytes, want %d, error %v", name, len(got), len(model[name]), err)
		}
		return nil
	}))
	if found != len(model) {
		t.Errorf("%d files, want %d", found, len(model))
	}
	v, err = fat.Open(f, size)
	must(t, err)
	for name := range model {
		must(t, v.Remove(name))
	}
	fsck(t, f)
	// Directories keep the clusters they grew to.
	if lost := free - v.Free(); lost > 3*64*1024 {
		t.Errorf("%d bytes are lost after everything was removed", lost)
	}
}

func TestFullFileSystem(t *testing.T) {
	f := image(t, fat.MinSize)
	v := format(t, f, fat.MinSize)
	must(t, v.WriteFile("old", []byte("old"), epoch))
	if err := v.WriteFile("big", make([]byte, fat.MinSize), epoch); err == nil || !strings.Contains(err.Error(), "is full") {
		t.Fatalf("error %v", err)
	}
	must(t, v.WriteFile("all", make([]byte, v.Free()), epoch))
	if v.Free() != 0 {
		t.Errorf("%d bytes free", v.Free())
	}
	if err := v.WriteFile("old", []byte("new"), epoch); err == nil {
		t.Error("a file was replaced without room for the new one")
	}
	fsck(t, f)
	if got, err := v.ReadFile("old", 10); err != nil || string(got) != "old" {
		t.Errorf("the old file is %q, error %v", got, err)
	}
}

func TestNames(t *testing.T) {
	f := image(t, fat.MinSize)
	v := format(t, f, fat.MinSize)
	good := []string{
		"BOOTX64.EFI", "bootx64.efi.bak", "x", "a.b.c", "stek-a+9.efi", "preseed.yaml", "preseed.yml", "preseed1.yaml",
		"exactly13char", "exactly12cha", strings.Repeat("n", 255), "UPPERTOOLONG.TXT", ".hidden", "ключ.txt", "emoji😀.txt",
	}
	for _, name := range good {
		must(t, v.WriteFile("names/"+name, []byte(name), epoch))
	}
	fsck(t, f)
	entries, err := v.ReadDir("names")
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name)
		if e.Size != int64(len(e.Name)) || !e.Modified.Equal(epoch) {
			t.Errorf("%s: %d bytes, %v", e.Name, e.Size, e.Modified)
		}
	}
	if !slices.Equal(got, good) {
		t.Errorf("names\n%q, want\n%q", got, good)
	}
	for _, name := range []string{"a:b", "a*", "dot.", "space ", "a\nb", strings.Repeat("n", 256), "a\\b", "a\x00b"} {
		if err := v.WriteFile("names/"+name, nil, epoch); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
	for _, name := range []string{"", ".", "/", "names"} {
		if err := v.WriteFile(name, nil, epoch); err == nil {
			t.Errorf("the path %q was accepted", name)
		}
	}
	if _, err := v.ReadFile("names/x/y", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path through a file: error %v", err)
	}
}

func TestFormatRefuses(t *testing.T) {
	f := image(t, fat.MinSize)
	for _, c := range []struct {
		name  string
		size  int64
		label string
	}{
		{"too small for FAT32", fat.MinSize - 1, "STEK"},
		{"too large", fat.MaxSize + 1, "STEK"},
		{"no label", fat.MinSize, ""},
		{"lower case label", fat.MinSize, "stek"},
		{"long label", fat.MinSize, "TWELVELETTER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := fat.Format(f, c.size, false, fat.Options{Label: c.label}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// A disk that was used before has anything in its FAT; wipe clears it.
func TestFormatWipes(t *testing.T) {
	f := image(t, fat.MinSize)
	junk := bytes.Repeat([]byte{0xff}, 1<<20)
	for at := int64(0); at < fat.MinSize; at += int64(len(junk)) {
		_, err := f.WriteAt(junk[:min(int64(len(junk)), fat.MinSize-at)], at)
		must(t, err)
	}
	v, err := fat.Format(f, fat.MinSize, true, options)
	must(t, err)
	must(t, v.WriteFile("a/b", []byte("c"), epoch))
	fsck(t, f)
}
