package airgap

// Names and tags as k3s v1.25.4+k3s1 asks for them: the manifests in its folder
// manifests/ (without %{SYSTEM_DEFAULT_REGISTRY}%, which is empty here) and
// DefaultPauseImage in pkg/cli/cmds/const_linux.go. containerd keeps images under
// full names, so docker.io/ stands before each.
const (
	PauseName       = "docker.io/rancher/mirrored-pause:3.6"
	CoreDNSName     = "docker.io/rancher/mirrored-coredns-coredns:1.9.4"
	ProvisionerName = "docker.io/rancher/local-path-provisioner:v0.0.23"
	HelperName      = "docker.io/rancher/mirrored-library-busybox:1.34.1"
	ProbeName       = "docker.io/stek/probe:1"
)

// Names lists all images, in the order in which Build returns them.
func Names() []string {
	return []string{PauseName, CoreDNSName, ProvisionerName, HelperName, ProbeName}
}
