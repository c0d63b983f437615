// Package k3s turns an answer file into what k3s reads on the node, and tells
// when the cluster is up.
//
// Rendering is pure: Render returns the files that belong on the private volume,
// RootFiles those that are the same on every box and belong in the image. Readiness
// is asked from the API server with what k3s gave the node: a server's admin kubeconfig,
// an agent's kubelet credentials.
//
// The node has an address of its own on a dummy interface, which no cable, radio
// or DHCP server can take away. k3s refuses to start without a default route and
// loses its database's idea of the node when the address changes, so this is what
// makes "no network at all" work, and what keeps a box running that is moved to
// another network. See Interface.
//
// The package must never start, stop or write anything by itself.
//
//	files, err := k3s.Render(*answers, k3s.Facts{Name: "gh-12", Source: k3s.SourceModule})
//	client, err := k3s.Open("/etc/rancher/k3s/k3s.yaml")
//	status, err := client.Wait(ctx, k3s.Expect(*answers, "gh-12"), nil)
package k3s
