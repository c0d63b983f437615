// Package network holds the tests of the network as a whole: rendered files in the
// hands of the real systemd-networkd, in namespaces; and, behind the build tag guest,
// radios and tunnels in virtual boxes, whose kernel has them.
package network
