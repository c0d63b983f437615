package k3s

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Client asks the API server with the credentials of a kubeconfig. Three requests
// for JSON do not need Kubernetes' own client library, which would triple the size
// of the binary.
type Client struct {
	Server string
	HTTP   *http.Client
}

// kubeconfig is the part of a kubeconfig that k3s writes: with everything inside for its
// administrator, with the names of files for the kubelet
// (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/).
type kubeconfig struct {
	Clusters []struct {
		Cluster struct {
			Server string `yaml:"server"`
			CA     string `yaml:"certificate-authority-data"`
			CAFile string `yaml:"certificate-authority"`
		} `yaml:"cluster"`
	} `yaml:"clusters"`
	Users []struct {
		User struct {
			Cert     string `yaml:"client-certificate-data"`
			CertFile string `yaml:"client-certificate"`
			Key      string `yaml:"client-key-data"`
			KeyFile  string `yaml:"client-key"`
		} `yaml:"user"`
	} `yaml:"users"`
}

// Open reads a kubeconfig. The error wraps fs.ErrNotExist while k3s has not
// written it yet.
func Open(path string) (*Client, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := parseKubeconfig(text, os.ReadFile)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

// parseKubeconfig reads the files that a kubeconfig names with read. It never repeats a
// value in an error: the file holds a private key.
func parseKubeconfig(text []byte, read func(name string) ([]byte, error)) (*Client, error) {
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, errors.New("it is not YAML")
	}
	if len(k.Clusters) != 1 || len(k.Users) != 1 {
		return nil, fmt.Errorf("it names %d clusters and %d users, not one of each", len(k.Clusters), len(k.Users))
	}
	server := k.Clusters[0].Cluster.Server
	if u, err := url.Parse(server); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("its server is no https address")
	}
	var pem [3][]byte
	for i, field := range []struct{ name, value, file string }{
		{"certificate-authority-data", k.Clusters[0].Cluster.CA, k.Clusters[0].Cluster.CAFile},
		{"client-certificate-data", k.Users[0].User.Cert, k.Users[0].User.CertFile},
		{"client-key-data", k.Users[0].User.Key, k.Users[0].User.KeyFile},
	} {
		var err error
		if field.value == "" && field.file != "" {
			if pem[i], err = read(field.file); err != nil {
				return nil, err
			}
			continue
		}
		if pem[i], err = base64.StdEncoding.DecodeString(field.value); err != nil || len(pem[i]) == 0 {
			return nil, fmt.Errorf("its %s is not base64", field.name)
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem[0]) {
		return nil, errors.New("its certificate-authority-data holds no certificate")
	}
	cert, err := tls.X509KeyPair(pem[1], pem[2])
	if err != nil {
		return nil, errors.New("its client certificate and key do not belong together")
	}
	return &Client{Server: strings.TrimSuffix(server, "/"), HTTP: &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			// The API server is on this node: never through a proxy.
			Proxy:           nil,
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		},
	}}, nil
}

// APIError is an answer of the API server other than success.
type APIError struct {
	Path   string
	Status int // HTTP status code
}

func (e *APIError) Error() string {
	return fmt.Sprintf("the API server answered %d %s to %s", e.Status, http.StatusText(e.Status), e.Path)
}

// get decodes the JSON that the API server has at path.
func (c *Client) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Server+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, 4096)
		return &APIError{Path: path, Status: resp.StatusCode}
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into); err != nil {
		return fmt.Errorf("reading what the API server has at %s: %w", path, err)
	}
	return nil
}
