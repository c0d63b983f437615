package onbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/test/petest"
)

// TestKernelOnTheStick: a kernel that nothing could be started from is refused as a damaged
// image, and one that the system cannot read is the stick's fault.
func TestKernelOnTheStick(t *testing.T) {
	kernel := func(signatures string) string {
		return string(petest.SystemdStub("257", petest.Section{Name: ".linux", Data: []byte("kernel")}, petest.Section{Name: ".pcrsig", Data: []byte(signatures)}))
	}
	for _, tt := range []struct {
		name    string
		put     func(t *testing.T, path string)
		status  installer.Status
		message string
		remedy  string
	}{
		{"whole", write(kernel("{}")), installer.StatusFailed, "this is not a stek image", ""}, // what is looked at next
		{"none", func(*testing.T, string) {}, installer.StatusRefused, "the kernel on the stick is damaged", "write the image to the stick again"},
		{"garbled", write("\xff\xff\x00photographs"), installer.StatusRefused, "the kernel on the stick is damaged", "write the image to the stick again"},
		{"cut off", write(kernel("{}")[:700]), installer.StatusRefused, "the kernel on the stick is damaged", "write the image to the stick again"},
		{"signatures garbled", write(kernel("{\x00")), installer.StatusRefused, "the kernel on the stick is damaged", "write the image to the stick again"},
		{"a folder", func(t *testing.T, path string) { must(t, os.MkdirAll(path, 0o755)) }, installer.StatusRefused, "the kernel on the stick is damaged", "write the image to the stick again"},
		{"unreadable", func(t *testing.T, path string) {
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.Symlink("/proc/self/mem", path)) // whose first page is never there (proc_pid_mem(5))
		}, installer.StatusFailed, "the stick cannot be read, and nothing on any disk was changed: ", "use another stick"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &stick{esp: t.TempDir()}
			tt.put(t, filepath.Join(s.esp, filepath.FromSlash(installer.UKIPath)))
			_, err := s.image()
			if err == nil || installer.StatusOf(err) != tt.status || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("status %d: %v", installer.StatusOf(err), err)
			}
			if remedy := installer.RemedyOf(err); !strings.Contains(remedy, tt.remedy) || (remedy == "") != (tt.remedy == "") {
				t.Errorf("the remedy is %q", remedy)
			}
		})
	}
}
