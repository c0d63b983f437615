// Package network holds the tests of the network as a whole: rendered files in the
// hands of the real systemd-networkd, configurations that are tried, kept and given
// up, all of it in namespaces.
package network
