// Package k3s holds the test that runs a whole node without a virtual machine: the
// k3s, container images, configuration and settings that go into the image, in
// namespaces of their own on the machine that builds.
//
// It needs root, Linux, containerd and runc, and takes minutes, so it is behind a
// build tag:
//
//	go test -tags k3s -timeout 60m ./test/k3s -args -cache $HOME/.cache/stek
//
// With -root DIR the node gets another root than this machine's, such as an unpacked
// one of the Debian release that the image is made from.
//
// Nothing is started on the machine itself: network, mounts, processes, host name
// and control groups are private, the root is an overlay, and everything ends with
// the first process of the process namespace.
package k3s
