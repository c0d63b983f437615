// Package lan makes small networks in namespaces, with real packets and the mistakes
// that real sites have: DHCP servers that are silent or two, name servers that lie,
// portals, proxies that want a login, slow and lossy wires, holes for large packets.
//
//	func TestMain(m *testing.M) { lan.Main(m) }
//
//	func TestX(t *testing.T) {
//		site := lan.New(t)
//		box := site.Cable(t, "eth0", "192.168.7.1/24")
//		site.DNS(t, "192.168.7.1", lan.Names{"hub.example.org": "192.168.7.1"})
//		box.Address(t, "192.168.7.20/24", "192.168.7.1")
//		… // this process is the box
//	}
//
// Main starts the test program again in a network namespace and a mount namespace of
// its own: that is the box, and nothing of it reaches the machine. Each Site is one
// more namespace. The kernel removes all of them with the process, however it ends.
// It needs root.
package lan
