package k3s

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Published reads what the release itself says about the digests of its files,
// from the list that it is published with, and returns it as a Pin. That list is
// from the same server as the files: a person has to compare it before the Pin
// goes into a lock. Add never calls it.
func Published(ctx context.Context, o Options, version string) (Pin, error) {
	if !releaseForm.MatchString(version) {
		return Pin{}, &PinError{Field: "version", Value: version, Remedy: remedyVersion}
	}
	r, err := layout(o.URL, version, o.Arch)
	if err != nil {
		return Pin{}, err
	}
	client := o.Client
	if client == nil {
		client = http.DefaultClient
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+r.sums, nil)
	if err != nil {
		return Pin{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Pin{}, fmt.Errorf("asking for the digests of k3s %s: %w", version, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Pin{}, fmt.Errorf("asking for the digests of k3s %s: %s answered %s; check the version and the address", version, req.URL, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return Pin{}, fmt.Errorf("asking for the digests of k3s %s: %w", version, err)
	}
	sums, err := parseSums(text)
	if err != nil {
		return Pin{}, fmt.Errorf("reading %s: %w", req.URL, err)
	}
	pin := Pin{Version: version, Binary: sums[r.binary], Images: sums[r.images]}
	if err := pin.Check(o.Arch); err != nil {
		return Pin{}, fmt.Errorf("reading %s: %w", req.URL, err)
	}
	return pin, nil
}

// errSums tells that a list of digests is not what sha256sum writes.
var errSums = errors.New("this is no list of SHA-256 digests")

// parseSums reads the form of sha256sum: digest, blank, blank or asterisk, name.
func parseSums(text []byte) (map[string]string, error) {
	sums := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		digest, name, ok := strings.Cut(line, " ")
		name = strings.TrimLeft(name, " *")
		raw, err := hex.DecodeString(digest)
		if !ok || err != nil || len(raw) != 32 || name == "" {
			return nil, errSums
		}
		digest = strings.ToLower(digest)
		if old, twice := sums[name]; twice && old != digest {
			return nil, fmt.Errorf("%w: %s is in it twice", errSums, name)
		}
		sums[name] = digest
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errSums, err)
	}
	if len(sums) == 0 {
		return nil, errSums
	}
	return sums, nil
}
