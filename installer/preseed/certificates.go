package preseed

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// checkCertificate judges one certificate in PEM (RFC 7468), and tells keys apart
// from it. A chain is refused: an authority is one certificate.
func checkCertificate(value string) *problem {
	const form = "copy the text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE----- below a |"
	if looksPrivate(value) {
		return bad("this is a private key", "remove it from the file and make a new one, since it was written down; give the certificate")
	}
	block, rest := pem.Decode([]byte(value))
	switch {
	case block == nil:
		return bad("this is no certificate in PEM", form)
	case block.Type != "CERTIFICATE":
		return bad(fmt.Sprintf("expected a certificate, found %q", clip(block.Type)), form)
	case strings.TrimSpace(string(rest)) != "":
		return bad("more than one certificate, or text after it", "give one certificate")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return bad("the certificate is damaged", form)
	}
	return nil
}

// checkPEMKey judges a private key in PEM without ever repeating it.
func checkPEMKey(value string) *problem {
	const form = "copy the text from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY----- below a |"
	block, rest := pem.Decode([]byte(value))
	switch {
	case block == nil:
		return bad("this is no private key in PEM", form)
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return bad("the private key is encrypted, and nobody types its password at the box", "decrypt it (openssl pkey) and put it into the secrets file")
	case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return bad("this is no private key", form)
	case strings.TrimSpace(string(rest)) != "":
		return bad("text after the private key", "give the key alone")
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return nil
	}
	if _, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return nil
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return nil
	}
	return bad("the private key is damaged", form)
}

// examplePEM is the certificate of an authority that vouches for nothing.
const examplePEM = `"-----BEGIN CERTIFICATE-----\nMIIBgDCCASegAwIBAgIUeIOKY2FHNcvp4ZupoZa5iX16J6wwCgYIKoZIzj0EAwIw\nFTETMBEGA1UEAwwKRXhhbXBsZSBDQTAgFw0yNjExMjYwMDUyMzZaGA8yMTI2MTEw\nMjAwNTIzNlowFTETMBEGA1UEAwwKRXhhbXBsZSBDQTBZMBMGByqGSM49AgEGCCqG\nSM49AwEHA0IABGZ3IACGvoPswqnW5qj5b+2XF7RZ3h8JBQlv66d1pa5paoqhKQWe\nax98MsWzSvB3OQd1acPIYzoXn2Ak4wIpEs+jUzBRMB0GA1UdDgQWBBSyB8eP0RAM\nMr1iQaHxFqR7Azl8wTAfBgNVHSMEGDAWgBSyB8eP0RAMMr1iQaHxFqR7Azl8wTAP\nBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIFU14RtuM+IXLgZWjROF\noDqMvjPQIsp7FFGh8TumVc/aAiBISRLT9W8dOLfmUeCcDsKwQ8XH0FJdoZPDRRf8\nu231Xw==\n-----END CERTIFICATE-----\n"`
