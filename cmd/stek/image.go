package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/layout"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

func imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build images and prepare them for a site",
		Long: `Build images, put answer files onto them, and look into them. All of it works on plain
image files, on any computer with Linux; a stick is written with a copy of one.`,
	}
	cmd.AddCommand(imageBuildCommand(), imageCustomizeCommand(), imageFetchCommand(), imageInspectCommand())
	return cmd
}

func imageBuildCommand() *cobra.Command {
	o := builder.Options{}
	var source, answersKey string
	cmd := &cobra.Command{
		Use:   "build --k3s release|module",
		Short: "Build an image from Debian's packages, k3s and this program",
		Long: `Build an image from Debian's packages, k3s and this program.

k3s comes from one of two sources, and never from the other one by itself:
  release   the project's own binary and container images, by version and SHA-256
  module    built from source; for development and tests, not for production

This version of stek chooses no release for you. With --k3s release give the version
and both digests, from a source that you trust: each release publishes them in its
sha256sum-amd64.txt, and the list has to be compared with what a second machine or
person gets. A mirror with the same layout is named with --k3s-url; the digests decide
what is accepted from it. A download that was interrupted goes on where it stopped.

The signing keys are made in the folder given with --keys when it is empty. Keep
that folder: boxes in the field trust exactly these keys.

What a site needs beside what every image carries is added with --package, --module
(with its --firmware) and --files. A unit among the files is enabled by a link in the
folder of the target that wants it, such as
usr/lib/systemd/system/multi-user.target.wants. 'stek image inspect' shows what was
added.

The components that went into the image are written to the lock; what changed
since is printed. With --locked a change is an error.`,
		Example: `  stek image build --k3s release --k3s-version v1.34.1+k3s1 --k3s-sha256 DIGEST \
    --k3s-images-sha256 DIGEST --keys keys --file stek-amd64.img
  stek image build --k3s module --keys keys --package htop --files site-files
  stek image build --k3s module --keys keys --lock images/components.lock --locked`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Arch, "arch", "amd64", "architecture: amd64")
	flags.StringVar(&o.Output, "file", "stek-amd64.img", "the image file to write")
	flags.StringVar(&source, "k3s", "", "where k3s comes from: release or module")
	flags.StringVar(&o.Pin.Version, "k3s-version", "", "release of k3s, such as v1.34.1+k3s1 (with --k3s release)")
	flags.StringVar(&o.Pin.Binary, "k3s-sha256", "", "SHA-256 of that release's binary (with --k3s release)")
	flags.StringVar(&o.Pin.Images, "k3s-images-sha256", "", "SHA-256 of that release's archive of container images (with --k3s release)")
	flags.StringVar(&o.K3sURL, "k3s-url", "", "folder of a mirror of k3s' releases, that of the versions, instead of the project's own (with --k3s release)")
	flags.StringSliceVar(&o.Mirrors, "mirror", nil, "Debian mirror, and its security mirror after a comma (default: those of this machine)")
	flags.StringVar(&o.Keys, "keys", "", "folder with the signing keys")
	flags.StringVar(&o.Cache, "cache", "", "folder for what is kept from build to build (default: stek in the user's cache)")
	flags.StringVar(&o.Lock, "lock", "", "the component lock, such as images/components.lock")
	flags.BoolVar(&o.Locked, "locked", false, "refuse components that are not in the lock")
	flags.IntVar(&o.Level, "compression", 0, "zstd level of the root, 1 (fast) to 22 (small)")
	flags.StringSliceVar(&o.Add.Packages, "package", nil, "a Debian package to add, with what it depends on; may be given more than once")
	flags.StringSliceVar(&o.Add.Modules, "module", nil, "a kernel module to add, by its name or by a pattern such as 'kernel/drivers/media/**'; may be given more than once")
	flags.StringSliceVar(&o.Add.Firmware, "firmware", nil, "firmware to add, by a pattern over paths below /usr/lib/firmware; may be given more than once")
	flags.StringVar(&o.Add.Files, "files", "", "a folder with files to add, laid out as they are to lie on the box")
	flags.StringVar(&answersKey, "signed-by", "", "a minisign public key: the image takes only answer files signed by it")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if answersKey != "" {
			text, _, err := readSigner(answersKey)
			if err != nil {
				return err
			}
			o.AnswersKey = text
		}
		o.Version, o.K3s = version, component.Source(source)
		progress := showProgress(cmd.ErrOrStderr())
		o.Report = progress.report
		if o.Keys == "" {
			return usageError{errors.New("name the folder with the signing keys: --keys DIR")}
		}
		var err error
		if o.Epoch, err = sourceDate(); err != nil {
			return err
		}
		result, err := builder.Build(cmd.Context(), o)
		progress.end()
		if err != nil {
			var options *builder.OptionsError
			if errors.As(err, &options) {
				return usageError{err}
			}
			return err
		}
		if *output == "json" {
			return printJSON(cmd.OutOrStdout(), result)
		}
		return writeBuilt(cmd.OutOrStdout(), result)
	}
	return cmd
}

func writeBuilt(w io.Writer, r *builder.Result) error {
	if !r.Lock.Empty() {
		fmt.Fprintf(w, "What changed since the lock:\n%s\n", r.Lock)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "Note:", warning)
	}
	for _, p := range r.Sizes {
		fmt.Fprintf(w, "  %-24s %10s\n", p.Part, hardware.Size(uint64(p.Bytes)))
	}
	state := ""
	if r.Unchanged {
		state = " (unchanged)"
	}
	_, err := fmt.Fprintf(w, "Image %s%s: stek %s, k3s %s\n  root %s packed, UKI %s, root hash %s\n  SHA-256 %s\n",
		r.Output, state, r.Version, r.K3s, hardware.Size(uint64(r.RootSize)), hardware.Size(uint64(r.UKISize)), r.RootHash, r.SHA256)
	return err
}

// notAnImage is what a person learns who has named the wrong file.
type notAnImage struct{ error }

func (e notAnImage) Unwrap() error { return e.error }
func (e notAnImage) Remedy() string {
	return "name an image that 'stek image build' has written, or the device of a stick with one (a disk, not a partition of it)"
}

// aboutImage sorts what can be wrong with the image that was named.
func aboutImage(err error) error {
	switch {
	case errors.Is(err, layout.ErrNoGPT):
		return usageError{notAnImage{err}}
	case errors.Is(err, fs.ErrNotExist):
		return usageError{err}
	}
	return err
}

func imageCustomizeCommand() *cobra.Command {
	var answerFile, remoteFile, secretsKey string
	cmd := &cobra.Command{
		Use:   "customize IMAGE --preseed FILE",
		Short: "Put an answer file onto an image or a stick",
		Long: `Put an answer file onto the FAT partition of an image file, where the installer finds
it. It is checked first. The same can be done on any computer by copying the file to
stek/preseed.yaml on the stick. Its secrets file goes with it, and so do signatures.
With --preseed-url it is a file that says from which server the answers are fetched.`,
		Example: `  stek image customize stek-amd64.img --preseed site.yaml
  stek image customize stek-amd64.img --preseed-url site.url`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if (answerFile == "") == (remoteFile == "") {
				return usageError{errors.New("name one file: --preseed FILE or --preseed-url FILE")}
			}
			from, as, read := answerFile, "preseed.yaml", readAnswers
			if remoteFile != "" {
				from, as, read = remoteFile, "preseed.url", readRemote
			}
			file, err := read(from)
			if err != nil {
				return err
			}
			carried, err := carriedFiles(from, as, file.SecretsFile())
			if err != nil {
				return usageError{err}
			}
			if secretsKey != "" {
				key, err := os.ReadFile(secretsKey)
				if err != nil {
					return usageError{err}
				}
				if _, err := preseed.KeyFile(bytes.NewReader(key)); err != nil {
					return usageError{fmt.Errorf("%s: %w", secretsKey, err)}
				}
				carried = append(carried, carriedFile{preseed.StickKey, key})
			}
			for _, f := range carried {
				if err := aboutImage(builder.PutFile(args[0], "stek/"+f.name, f.content, time.Now())); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&answerFile, "preseed", "", "the answer file")
	cmd.Flags().StringVar(&remoteFile, "preseed-url", "", "a file that says where the answers are fetched from, instead")
	cmd.Flags().StringVar(&secretsKey, "secrets-key", "", "an age key file that opens the secrets file, for the stick to carry: who holds the stick has both")
	return cmd
}

// carriedFile is a file for the stek directory of a stick.
type carriedFile struct {
	name    string
	content []byte
}

// readRemote reads a file that says where answers are fetched from, and gives the part of
// it that is an answer file.
func readRemote(name string) (*preseed.File, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError{err}
	}
	where, err := preseed.ReadRemote(name, text)
	if err != nil {
		return nil, err
	}
	return where.Links, nil
}

// carriedFiles reads an answer file, which the stick carries under another name, and what
// belongs to it: the secrets file that it names, and the signature of each where there is
// one.
func carriedFiles(answerFile, as, secretsFile string) ([]carriedFile, error) {
	sources := [][2]string{{answerFile, as}}
	if secretsFile != "" {
		sources = append(sources, [2]string{filepath.Join(filepath.Dir(answerFile), secretsFile), secretsFile})
	}
	var files []carriedFile
	for _, source := range sources {
		content, err := os.ReadFile(source[0])
		if err != nil {
			return nil, err
		}
		files = append(files, carriedFile{source[1], content})
		signature, err := os.ReadFile(source[0] + preseed.SignatureSuffix)
		switch {
		case err == nil:
			files = append(files, carriedFile{source[1] + preseed.SignatureSuffix, signature})
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return files, nil
}

func imageFetchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fetch IMAGE NAME FILE",
		Short: "Read a file, such as a report, from the FAT partition of an image or a stick",
		Long: `Read the file NAME, such as a report, from the FAT partition of an image file, or of a
stick by its device, and keep it as FILE. Only its owner may read FILE: a report says
much about a machine.`,
		Example: `  stek image fetch /dev/sdX stek/reports/G6TN12345678/recovery-key.age recovery-key.age`,
		Args:    cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			content, err := builder.ReadFile(args[0], args[1])
			if err != nil {
				return aboutImage(err)
			}
			if err := os.MkdirAll(filepath.Dir(args[2]), 0o755); err != nil {
				return err
			}
			return os.WriteFile(args[2], content, 0o600)
		},
	}
}

func imageInspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Print what an image holds",
		Long: `Print what an image file holds: its partitions, the files of the FAT partition, and
what the kernel image in it says of itself. Nothing is mounted or changed.`,
		Example: `  stek image inspect stek-amd64.img`,
		Args:    cobra.ExactArgs(1),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		found, err := builder.Inspect(args[0])
		if err != nil {
			return aboutImage(err)
		}
		if *output == "json" {
			return printJSON(cmd.OutOrStdout(), found)
		}
		return found.WriteText(cmd.OutOrStdout())
	}
	return cmd
}
