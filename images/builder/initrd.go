package builder

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/stek-edge/stek/images/root"
)

var initrdModules = strings.Fields(`nvme ahci ata_piix sd_mod usb_storage uas xhci_pci ehci_pci mmc_block sdhci_pci sdhci_acpi
virtio_blk virtio_scsi virtio_pci hv_storvsc vmw_pvscsi mpt3sas megaraid_sas
dm_mod dm_crypt dm_verity xts aesni_intel sha256_ssse3 sha512_ssse3 squashfs ext4 overlay vfat nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 efivarfs
usbhid hid_generic atkbd i8042 loop tpm_tis_spi crc32c_intel libcrc32c crc32c_generic`)

type kmod struct {
	name, file                   string
	data                         []byte
	depends, aliases, softdepPre []string
}

func (o *Options) initrd(_ context.Context, base *root.Tree) ([]byte, error) {
	version, err := root.KernelVersion(base)
	if err != nil {
		return nil, err
	}
	where := map[string]*root.Entry{}
	for e := range base.Below("usr/lib/modules/" + version) {
		if n, _, ok := strings.Cut(path.Base(e.Path), ".ko"); ok {
			where[strings.ReplaceAll(n, "-", "_")] = e
		}
	}
	mods := map[string]*kmod{}
	var add func(name string) error
	add = func(name string) error {
		name = strings.ReplaceAll(name, "-", "_")
		e := where[name]
		if e == nil || mods[name] != nil {
			return nil
		}
		m, err := readKmod(name, e)
		if err != nil {
			return err
		}
		mods[name] = m
		for _, d := range slices.Concat(m.depends, m.softdepPre) {
			if err := add(d); err != nil {
				return err
			}
		}
		return nil
	}
	for _, n := range initrdModules {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	w := cpio.NewWriter(z)
	put := func(name string, mode cpio.FileMode, data []byte) error {
		if err := w.WriteHeader(&cpio.Header{Name: name, Mode: mode, Size: int64(len(data)), ModTime: o.Epoch}); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	for _, d := range []string{"dev", "proc", "sys", "run", "sysroot", "sbin", "tmp", "usr", "usr/lib", "usr/lib/modules", "usr/lib/modules/" + version} {
		if err := put(d, cpio.TypeDir|0o755, nil); err != nil {
			return nil, err
		}
	}
	init, err := os.ReadFile(o.Stek)
	if err != nil {
		return nil, err
	}
	if err := put("init", cpio.TypeReg|0o755, init); err != nil {
		return nil, err
	}
	if err := put("sbin/modprobe", cpio.TypeSymlink|0o777, []byte("/init")); err != nil {
		return nil, err
	}
	names := []string{}
	for n := range mods {
		names = append(names, n)
	}
	slices.Sort(names)
	var dep, alias, soft strings.Builder
	for _, n := range names {
		m := mods[n]
		fmt.Fprintf(&dep, "%s.ko:", n)
		for _, d := range closure(mods, n) {
			fmt.Fprintf(&dep, " %s.ko", d)
		}
		dep.WriteByte('\n')
		for _, a := range m.aliases {
			fmt.Fprintf(&alias, "alias %s %s\n", a, n)
		}
		if len(m.softdepPre) > 0 {
			fmt.Fprintf(&soft, "softdep %s pre: %s\n", n, strings.Join(m.softdepPre, " "))
		}
		if err := put("usr/lib/modules/"+version+"/"+n+".ko", cpio.TypeReg|0o644, m.data); err != nil {
			return nil, err
		}
	}
	for n, b := range map[string]*strings.Builder{"modules.dep": &dep} {
		if err := put("usr/lib/modules/"+version+"/"+n, cpio.TypeReg|0o644, []byte(b.String())); err != nil {
			return nil, err
		}
	}
	if err := put("usr/lib/modules/"+version+"/modules.alias", cpio.TypeReg|0o644, []byte(alias.String())); err != nil {
		return nil, err
	}
	if err := put("usr/lib/modules/"+version+"/modules.softdep", cpio.TypeReg|0o644, []byte(soft.String())); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func closure(mods map[string]*kmod, name string) []string {
	var list []string
	seen := map[string]bool{name: true}
	var walk func(string)
	walk = func(n string) {
		for _, d := range mods[n].depends {
			d = strings.ReplaceAll(d, "-", "_")
			if mods[d] == nil || seen[d] {
				continue
			}
			seen[d] = true
			walk(d)
			list = append([]string{d}, list...)
		}
	}
	walk(name)
	return list
}

func readKmod(name string, e *root.Entry) (*kmod, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var in io.Reader = r
	if strings.HasSuffix(e.Path, ".xz") {
		if in, err = xz.NewReader(r); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	m := &kmod{name: name, data: data}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	info, err := f.Section(".modinfo").Data()
	if err != nil {
		return nil, err
	}
	for _, field := range strings.Split(string(info), "\x00") {
		k, v, _ := strings.Cut(field, "=")
		switch k {
		case "depends":
			for _, d := range strings.Split(v, ",") {
				if d != "" {
					m.depends = append(m.depends, d)
				}
			}
		case "alias":
			m.aliases = append(m.aliases, v)
		case "softdep":
			if p, ok := strings.CutPrefix(v, "pre: "); ok {
				p, _, _ = strings.Cut(p, " post:")
				m.softdepPre = strings.Fields(p)
			}
		}
	}
	return m, nil
}
