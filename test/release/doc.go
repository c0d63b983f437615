// Package release publishes a release of k3s for tests, in the layout and the form in
// which the project publishes its own: one self-extracting program, one archive of
// container images, and the list of their digests.
//
// The program is made as k3s' own scripts/package-cli makes it: the front end cmd/k3s
// from k3s' sources, with a packed folder of k3s, containerd, runc and the network
// plugins behind it. The parts are those of the module build and of Debian, since no
// release can be downloaded where the tests run. So what the tests show is that stek
// fits the form of a release, not that one particular release works. It must never serve
// an image for production.
//
//	published, err := release.Make(ctx, release.Options{Cache: cache, Dir: dir})
//	server := httptest.NewServer(published)
package release
