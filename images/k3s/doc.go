// Package k3s brings k3s into the image, from one of two sources.
//
// The source release takes the official binary and its archive of container
// images, both named by version and SHA-256. It is the one for production. It
// carries containerd, runc and the CNI plugins in itself.
//
// The source module builds k3s v1.25.4+k3s1 and the CNI plugins from Go modules.
// It serves development and tests on machines that reach no release downloads.
// Kubernetes 1.25 gets no fixes any more, so every component it returns says
// that it is not for production, and whoever shows a version shows that too
// (component.Component.Label). It finds containerd, containerd-shim-runc-v2 and
// runc on PATH: the root must hold Debian's packages, see RootPackages.
//
// The package must never fall back from one source to the other, and never use
// a download whose digest was not named before.
//
//	got, err := k3s.Add(ctx, k3s.Options{Source: component.Module, Arch: "amd64", Cache: cache})
//	// got.Files go into the root, got.Components into the lock
package k3s
