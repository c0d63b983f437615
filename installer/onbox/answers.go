package onbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Keys are what answer files are held against.
type Keys struct {
	Signer  *preseed.PublicKey // only answers that it signed are taken; nil: any
	Secrets []age.Identity     // open the secrets file, beside the key that the stick carries
}

// ImageKeys reads who may sign answers for an image. root is where its file system
// is. An image whose key cannot be read is not taken for one without a key.
func ImageKeys(root string) (Keys, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(preseed.SignerPath)))
	if errors.Is(err, fs.ErrNotExist) {
		return Keys{}, nil
	}
	if err != nil {
		return Keys{}, fmt.Errorf("reading who may sign answers: %w", err)
	}
	signer, err := preseed.ReadPublicKey(text)
	if err != nil {
		return Keys{}, fmt.Errorf("reading who may sign answers (%s in the image): %w", preseed.SignerPath, err)
	}
	return Keys{Signer: &signer}, nil
}

// stickKey reads the key that a stick carries for its secrets file, where it does.
func stickKey(dir string) ([]age.Identity, error) {
	text, err := readStart(filepath.Join(dir, preseed.StickKey), preseed.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", preseed.StickKey, err)
	}
	key, err := preseed.KeyFile(bytes.NewReader(text))
	if err != nil {
		return nil, &installer.Refusal{Status: installer.StatusInvalid, Message: fmt.Sprintf("%s: %v", preseed.StickKey, err), Remedy: "copy the key file once more", Cause: err}
	}
	return key, nil
}

// Answers are what one machine is installed by.
type Answers struct {
	Full  *preseed.Answers // with defaults and secrets
	Given *preseed.Answers // as the file gave them: what a replay is written from
}

// ReadAnswers makes an answer file ready for one machine: its signature is checked
// where the image wants one, the machine's own answers are taken out of a file for
// several, parts that this version does not carry out are refused, and secrets are
// looked up beside the file. shown is what faults call the file. person is asked for
// a passphrase where the secrets file wants one.
func ReadAnswers(ctx context.Context, path, shown string, inv *hardware.Inventory, keys Keys, person installer.Person) (*Answers, error) {
	content, err := ReadSigned(path, shown, keys)
	if err != nil {
		return nil, err
	}
	file, err := preseed.Read(shown, content)
	if err != nil {
		return nil, err
	}
	return answersIn(ctx, file, filepath.Dir(path), inv, keys, person)
}

// answersIn is ReadAnswers for a file that was read and whose signature was checked. dir
// is where its secrets file lies.
func answersIn(ctx context.Context, file *preseed.File, dir string, inv *hardware.Inventory, keys Keys, person installer.Person) (*Answers, error) {
	machine := installer.Machine(inv)
	given, err := file.For(machine)
	if errors.Is(err, preseed.ErrNotListed) {
		return nil, &installer.Refusal{Status: installer.StatusRefused, Message: err.Error(), Cause: err}
	}
	if err != nil {
		return nil, err
	}
	if err := file.NotBuilt(machine); err != nil {
		return nil, err
	}
	if !preseed.NeedsSecrets(given) {
		return &Answers{Full: preseed.Defaults(given), Given: given}, nil
	}
	name := file.SecretsFile()
	encrypted, err := ReadSigned(filepath.Join(dir, name), name, keys)
	if err != nil {
		return nil, err
	}
	beside, err := stickKey(dir)
	if err != nil {
		return nil, err
	}
	keys.Secrets = append(keys.Secrets[:len(keys.Secrets):len(keys.Secrets)], beside...)
	values, err := openSecrets(ctx, name, encrypted, keys, person)
	if err != nil {
		return nil, err
	}
	full, err := file.Resolve(machine, given, values)
	if err != nil {
		return nil, err
	}
	return &Answers{Full: preseed.Defaults(full), Given: given}, nil
}

// ReadSigned reads a file, and checks that it is signed where the image wants that.
func ReadSigned(path, shown string, keys Keys) ([]byte, error) {
	content, err := readStart(path, preseed.MaxSize+1)
	if err != nil {
		return nil, &installer.Refusal{Status: installer.StatusInvalid, Cause: err,
			Message: fmt.Sprintf("%s cannot be read (%v)", shown, reason(err)),
			Remedy:  "copy the file once more, on any computer; if that fails, write the image to another stick"}
	}
	if keys.Signer == nil {
		return content, nil
	}
	signature, err := readStart(path+preseed.SignatureSuffix, preseed.MaxSize+1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the signature of %s: %w", shown, err)
	}
	if err := keys.Signer.Verify(shown, content, signature); err != nil {
		return nil, &installer.Refusal{Status: installer.StatusRefused, Message: err.Error(), Remedy: installer.RemedyOf(err), Cause: err}
	}
	return content, nil
}

// passphraseTries is how often a passphrase is asked for.
const passphraseTries = 3

// openSecrets decrypts a secrets file.
func openSecrets(ctx context.Context, name string, encrypted []byte, keys Keys, person installer.Person) (preseed.Values, error) {
	invalid := func(err error) error {
		var faults preseed.Faults
		if errors.As(err, &faults) {
			return err
		}
		return &installer.Refusal{Status: installer.StatusInvalid, Message: err.Error(), Remedy: "put its key onto the stick as stek/" + preseed.StickKey + ", or encrypt it with a passphrase (age -p)", Cause: err}
	}
	if !preseed.WantsPassphrase(encrypted) {
		values, err := preseed.ReadValues(name, encrypted, keys.Secrets...)
		if err != nil {
			return nil, invalid(err)
		}
		return values, nil
	}
	var last error
	for range passphraseTries {
		typed, err := person.Ask(ctx, "Passphrase of "+name+":")
		if err != nil {
			return nil, fmt.Errorf("asking for the passphrase of %s: %w", name, err)
		}
		identity, err := preseed.Passphrase(preseed.Secret(typed))
		clear(typed)
		if err != nil {
			last = err
			person.Say("%v", err)
			continue
		}
		values, err := preseed.ReadValues(name, encrypted, identity)
		if err == nil {
			return values, nil
		}
		var faults preseed.Faults
		if last = err; errors.As(err, &faults) {
			return nil, err
		}
		person.Say("%v", err)
	}
	return nil, invalid(last)
}
