// Package guest runs a Go program, or the tests of a Go package, inside a virtual box
// with a Debian kernel, and brings back its output and its exit status. It is for what
// the development machine's kernel cannot do: dm-crypt, dm-verity, vfat, a TPM device.
//
//	func TestOpensVolume(t *testing.T) {
//		result := guest.Check(t, guest.Spec{
//			Main:     "./testdata/openvolume",
//			Modules:  []string{"dm_crypt", "xts", "vfat"},
//			Programs: []string{"cryptsetup"},
//			Machine:  vm.Machine{
//				TPM:   &vm.TPM{},
//				Disks: []vm.Disk{{Path: image, Serial: "state"}},
//			},
//		})
//		fmt.Println(string(result.Stdout))
//	}
//
// The program finds its disks with inside.DiskBySerial. A whole test file can move into
// the guest: with Test set to the package, its tests are compiled and run there.
//
// The initramfs is the guest's only file system besides the disks, and the guest is gone
// afterwards; what shall stay is written to a disk. A guest takes about six seconds to
// its program under emulation, so one guest should do many checks. A secret must never
// be handed to it in an argument: Spec.Stdin is for that.
package guest
