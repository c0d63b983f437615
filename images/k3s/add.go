package k3s

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"

	"github.com/stek-edge/stek/images/component"
)

// Options say which k3s is wanted.
type Options struct {
	Source component.Source // component.Module or component.Release; never empty
	Arch   string           // amd64 or arm64
	Cache  string           // folder for builds and downloads
	Report component.Report

	Go string // the go command, for the source module; "go" when empty

	Pin    Pin          // what to download, for the source release
	URL    string       // where from; ReleaseURL when empty
	Client *http.Client // http.DefaultClient when nil
}

// Added is what Add has for the image.
type Added struct {
	Files      []component.File
	Components []component.Component
	// ImagesIncluded tells that Files hold an archive with every container image
	// that k3s itself needs. When false, those of images/airgap are needed.
	ImagesIncluded bool
	Images         []string // their full names, as far as the archive tells
}

// Places in the root.
const (
	BinaryPath = "/usr/bin/k3s"
	CNIDir     = "/usr/libexec/cni"
	ImagesDir  = "/usr/share/stek/images"
)

// links are the names under which k3s is another tool; called `k3s ctr`, the k3s
// of the source module is not. The link for ctr is out of the way, since Debian's
// containerd has a /usr/bin/ctr of its own.
var links = map[string]string{
	"/usr/bin/kubectl":     "k3s",
	"/usr/bin/crictl":      "k3s",
	"/usr/libexec/k3s/ctr": "../../bin/k3s",
}

// RootPackages lists the Debian packages that a root with this k3s needs: what
// k3s, the kubelet, kube-proxy and the CNI plugins call by name. A release brings its
// own containerd and runc and puts them first on its PATH; Debian's would be dead
// weight there.
func RootPackages(source component.Source) []string {
	packages := []string{"conntrack", "ipset", "iptables", "kmod", "mount", "util-linux"}
	if source == component.Module {
		packages = append(packages, "containerd", "runc")
	}
	return packages
}

// KernelModules lists what the cluster's network and containers load, beside the
// modules that these need themselves. Those that are not built as modules may be
// part of the kernel.
func KernelModules() []string {
	return []string{
		"br_netfilter", "bridge", "ip_set", "ip_set_hash_ip", "ip_set_hash_net", "ip_tables", "ip6_tables",
		"ip_vs", "ip_vs_rr", "iptable_filter", "iptable_mangle", "iptable_nat", "dummy",
		"nf_conntrack", "nf_nat", "nf_tables", "nft_chain_nat", "nft_compat", "nft_ct", "nft_limit", "nft_masq", "nft_reject_inet",
		"overlay", "veth", "vxlan",
		"xt_CT", "xt_LOG", "xt_MASQUERADE", "xt_REDIRECT", "xt_addrtype", "xt_comment", "xt_conntrack", "xt_limit",
		"xt_mark", "xt_multiport", "xt_nat", "xt_physdev", "xt_recent", "xt_set", "xt_statistic", "xt_tcpudp", "nf_log_syslog", "xt_NFLOG",
		"nfnetlink_log", "ipt_REJECT", "ip6t_REJECT",
	}
}

// Add gets k3s from the source that was asked for, and from no other.
func Add(ctx context.Context, o Options) (Added, error) {
	if o.Arch != "amd64" && o.Arch != "arm64" {
		return Added{}, fmt.Errorf("k3s for %q cannot be had; use amd64 or arm64", o.Arch)
	}
	var got Added
	var err error
	switch o.Source {
	case component.Module:
		got, err = addModule(ctx, o)
	case component.Release:
		got, err = addRelease(ctx, o)
	default:
		return Added{}, fmt.Errorf("the source of k3s must be said: %q for production, %q for development and tests; %q is neither",
			component.Release, component.Module, o.Source)
	}
	if err != nil {
		return Added{}, err
	}
	for _, l := range slices.Sorted(maps.Keys(links)) {
		got.Files = append(got.Files, component.File{Path: l, Mode: fs.ModeSymlink | 0o777, Link: links[l]})
	}
	return got, nil
}
