// Package airgap makes the container images that a node needs before it has ever
// seen a network: pause, coredns, local-path-provisioner with its shell helper,
// and a small workload to test with. It needs no container engine.
//
// Each image is one file in the form of `docker save`, compressed with zstd, as
// k3s imports from its agent/images folder. Names and tags are those that k3s'
// own manifests ask for, whatever the version of the program inside is: the
// manifests are compiled into k3s, and a tag that is not there would be pulled.
// The component entry tells the real version. An image whose k3s is a release takes
// the archive of that release instead.
//
// The same inputs give the same bytes: every time in a layer is the epoch, every
// owner is 0, and entries are sorted.
//
// The package must never pull anything from a registry.
//
//	images, err := airgap.Build(ctx, airgap.Options{Arch: "amd64", Cache: cache, Busybox: busybox})
package airgap
