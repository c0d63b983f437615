package secureboot

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Pair is a private key with its certificate. The key may live in hardware:
// only its Sign and Public methods are used.
type Pair struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
}

// Keys is everything a fleet signs its boot chain with. All keys are RSA with
// 2048 bits: what every UEFI firmware and every TPM must support.
type Keys struct {
	PK  Pair          // platform key: owns the machine, signs changes of KEK
	KEK Pair          // key exchange key: signs changes of db
	DB  Pair          // signs systemd-boot and unified kernel images
	PCR crypto.Signer // signs predicted values of PCR 11
}

// File names in a key directory. Private keys are PKCS#8, all files PEM.
const (
	filePK  = "pk"
	fileKEK = "kek"
	fileDB  = "db"
	filePCR = "pcr"
	keyExt  = ".key"
	certExt = ".crt"
)

const rsaBits = 2048

// certificateLifetime is 30 years. UEFI firmware does not check it; the tools
// that do should not complain during the life of a box.
const certificateLifetime = 30 * 365 * 24 * time.Hour

// ErrIncomplete says that a key directory holds some of the files only.
var ErrIncomplete = errors.New("the key directory is incomplete")

// Generate makes a new set of keys. The certificates are valid from the start
// of the day of now.
func Generate(now time.Time) (*Keys, error) {
	notBefore := now.UTC().Truncate(24 * time.Hour)
	pair := func(name string) (Pair, error) {
		key, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return Pair{}, fmt.Errorf("generating the %s key: %w", name, err)
		}
		// The fingerprint in the name tells two fleets apart in a firmware's menu.
		fingerprint := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
		serial := new(big.Int).SetBytes(fingerprint[16:])
		template := &x509.Certificate{
			SerialNumber:          serial.SetBit(serial, 127, 0).SetBit(serial, 126, 1),
			Subject:               pkix.Name{CommonName: "stek " + name + " " + hex.EncodeToString(fingerprint[:4])},
			NotBefore:             notBefore,
			NotAfter:              notBefore.Add(certificateLifetime),
			SignatureAlgorithm:    x509.SHA256WithRSA,
			KeyUsage:              x509.KeyUsageDigitalSignature,
			BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return Pair{}, fmt.Errorf("making the %s certificate: %w", name, err)
		}
		certificate, err := x509.ParseCertificate(der)
		return Pair{Key: key, Certificate: certificate}, err
	}
	var keys Keys
	for name, p := range map[string]*Pair{"PK": &keys.PK, "KEK": &keys.KEK, "db": &keys.DB} {
		var err error
		if *p, err = pair(name); err != nil {
			return nil, err
		}
	}
	pcr, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("generating the PCR signing key: %w", err)
	}
	keys.PCR = pcr
	return &keys, nil
}

// LoadOrCreate reads the keys in a directory, or makes new ones there if it is
// empty or absent. The second result says that they are new. It never
// overwrites a file and never completes a partial set ([ErrIncomplete]): boxes
// in the field trust exactly the keys that are missing.
func LoadOrCreate(dir string, now time.Time) (*Keys, bool, error) {
	present := 0
	for _, name := range fileNames() {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			present++
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, false, fmt.Errorf("looking for signing keys: %w", err)
		}
	}
	if present > 0 {
		keys, err := Load(dir)
		return keys, false, err
	}
	keys, err := Generate(now)
	if err != nil {
		return nil, false, err
	}
	if err := keys.Save(dir); err != nil {
		return nil, false, err
	}
	return keys, true, nil
}

func fileNames() []string {
	return []string{
		filePK + keyExt, filePK + certExt, fileKEK + keyExt, fileKEK + certExt,
		fileDB + keyExt, fileDB + certExt, filePCR + keyExt,
	}
}

// Load reads the keys in a directory. Private keys that others may read are
// refused.
func Load(dir string) (*Keys, error) {
	for _, name := range fileNames() {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s is missing; put it back from your backup, or use another directory for new keys", ErrIncomplete, filepath.Join(dir, name))
		}
	}
	var keys Keys
	for name, p := range map[string]*Pair{filePK: &keys.PK, fileKEK: &keys.KEK, fileDB: &keys.DB} {
		key, err := loadKey(filepath.Join(dir, name+keyExt))
		if err != nil {
			return nil, err
		}
		certificate, err := loadCertificate(filepath.Join(dir, name+certExt))
		if err != nil {
			return nil, err
		}
		if !key.PublicKey.Equal(certificate.PublicKey) {
			return nil, fmt.Errorf("%s in %s belongs to another key than %s", name+certExt, dir, name+keyExt)
		}
		*p = Pair{Key: key, Certificate: certificate}
	}
	pcr, err := loadKey(filepath.Join(dir, filePCR+keyExt))
	if err != nil {
		return nil, err
	}
	keys.PCR = pcr
	return &keys, nil
}

func loadKey(path string) (*rsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading a signing key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	der, err := loadPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || key.N.BitLen() != rsaBits {
		// The parser's error could quote the key.
		return nil, fmt.Errorf("%s holds no RSA key with %d bits in PKCS#8", path, rsaBits)
	}
	return key, nil
}

func loadCertificate(path string) (*x509.Certificate, error) {
	der, err := loadPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return certificate, nil
}

func loadPEM(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no PEM block %q", path, kind)
	}
	return block.Bytes, nil
}

// Save writes the keys into a directory, mode 0700, files mode 0600. It makes
// the directory and overwrites nothing.
func (k *Keys) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("saving signing keys: %w", err)
	}
	save := func(name, kind string, der []byte) error {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("saving signing keys: %w", err)
		}
		err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
		if err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("saving %s: %w", name, err)
		}
		return nil
	}
	for _, p := range []struct {
		name string
		key  crypto.Signer
		cert *x509.Certificate
	}{
		{filePK, k.PK.Key, k.PK.Certificate}, {fileKEK, k.KEK.Key, k.KEK.Certificate},
		{fileDB, k.DB.Key, k.DB.Certificate}, {filePCR, k.PCR, nil},
	} {
		der, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			return fmt.Errorf("saving signing keys: %s is not a key in software", p.name)
		}
		if err := save(p.name+keyExt, "PRIVATE KEY", der); err != nil {
			return err
		}
		if p.cert == nil {
			continue
		}
		if err := save(p.name+certExt, "CERTIFICATE", p.cert.Raw); err != nil {
			return err
		}
	}
	return nil
}
