//go:build linux && k3s

package k3s

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/lan"
)

// pods: one on the server that serves a file, and one on the agent that asks for it.
const pods = `
apiVersion: v1
kind: Pod
metadata: {name: serves, namespace: default}
spec:
  nodeName: hub
  volumes: [{name: data, emptyDir: {}}]
  initContainers:
  - {name: write, image: "docker.io/stek/probe:1", args: [write, /data/first, kept], volumeMounts: [{name: data, mountPath: /data}]}
  containers:
  - {name: serve, image: "docker.io/stek/probe:1", args: [serve, ":8080", /data], volumeMounts: [{name: data, mountPath: /data}]}
---
apiVersion: v1
kind: Pod
metadata: {name: asks, namespace: default}
spec:
  nodeName: kas-7
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - {name: serve, image: "docker.io/stek/probe:1", args: [serve, ":8080", /data], volumeMounts: [{name: data, mountPath: /data}]}
`

// site is a server and an agent, each behind a router of its own, and a tunnel between
// them.
type site struct {
	t          *testing.T
	internet   *lan.Site
	hub, agent *sandbox
	joined     k3s.Want
}

// cable connects a node with the internet; its end goes with the node.
func (s *site) cable(node *sandbox, address, router string) {
	s.t.Helper()
	// The tunnel is the last that a node makes before it starts k3s.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, err := node.run(s.t.Context(), "", "ip", "link", "show", "dev", network.Tunnel)
		if err == nil {
			break
		}
		if node.life.Err() != nil || time.Now().After(deadline) {
			s.t.Fatalf("the node makes no tunnel: %v, %v", err, context.Cause(node.life))
		}
	}
	far := "to-" + node.name
	s.internet.Do(s.t, func() error {
		if old, err := netlink.LinkByName(far); err == nil {
			_ = netlink.LinkDel(old) // its end went with the namespace, or goes at any moment
		}
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: far}, PeerName: "up0"}); err != nil {
			return err
		}
		near, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetNsPid(near, node.pid); err != nil {
			return err
		}
		if err := ip("addr add " + router + "/24 dev " + far); err != nil {
			return err
		}
		return ip("link set " + far + " up")
	})
	for _, line := range []string{"addr add " + address + "/24 dev up0", "link set up0 up", "route add default via " + router} {
		node.mustRun(s.t.Context(), "", append([]string{"ip"}, strings.Fields(line)...)...)
	}
}

func (s *site) startHub() {
	s.hub.start()
	s.cable(s.hub, "203.0.113.10", "203.0.113.1")
}

func (s *site) startAgent() {
	s.agent.start()
	s.cable(s.agent, "192.168.7.20", "192.168.7.1")
}

// up waits for both nodes, and for the pod on the agent to reach the one on the server.
func (s *site) up(when string) {
	s.t.Helper()
	start := time.Now()
	ctx, done := context.WithTimeout(s.t.Context(), 15*time.Minute)
	defer done()
	s.hub.ready(ctx, k3s.Want{Node: s.hub.name, Alone: true})
	w := k3s.ThisStart(s.joined, fmt.Sprintf("/proc/%d/root", s.agent.pid))
	if state, err := s.hub.client(ctx).Wait(ctx, w, nil); err != nil {
		s.t.Fatalf("%s: the agent: %v, %+v\n%s", when, err, state, s.agent.log(40))
	}
	s.t.Logf("%5.1f s %s: both nodes are Ready", time.Since(start).Seconds(), when)
	// A pod for a node that is not there is collected as an orphan, and one on a node that
	// was away for long is evicted.
	s.hub.mustRun(ctx, pods, "kubectl", "apply", "-f", "-")
	for {
		got, err := s.ask(ctx)
		if err == nil && got == "kept\n" {
			break
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s: the pod on the agent gets %q, %v", when, got, err)
		case <-time.After(time.Second):
		}
	}
	s.t.Logf("%5.1f s %s: the pod on the agent reaches the pod on the server", time.Since(start).Seconds(), when)
}

func (s *site) ask(ctx context.Context) (string, error) {
	at, err := s.hub.run(ctx, "", "kubectl", "get", "pod", "serves", "-o", "jsonpath={.status.podIP}")
	if err != nil || at == "" {
		return "", fmt.Errorf("no address of the pod yet: %w", err)
	}
	return s.hub.run(ctx, "", "kubectl", "exec", "asks", "--", "/probe", "get", "http://"+at+":8080/first")
}

// TestAgentJoins: an agent joins its server through a tunnel, from behind a router, and
// runs a pod that reaches a pod on the server. Both come back from power cuts, whichever
// starts first.
func TestAgentJoins(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes namespaces and runs containers: run it as root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Minute)
	defer cancel()
	files, _ := image(t, ctx)
	kernelSettings(t)
	hubKey, agentKey := newKey(t), newKey(t)
	s := &site{t: t, internet: lan.New(t)}
	s.hub = newNode(t, files, preseed.Answers{}, spec{Name: "hub", Tunnel: &tunnel{Key: hubKey, Address: "10.77.0.1/24", Port: 51820, Peer: agentKey.PublicKey(), Allowed: "10.77.0.7/32"}})
	s.startHub()
	up, done := context.WithTimeout(ctx, 10*time.Minute)
	defer done()
	s.hub.ready(up, k3s.Expect(preseed.Answers{}, "hub"))
	token := strings.TrimSpace(s.hub.mustRun(ctx, "", "cat", "/var/lib/rancher/k3s/server/node-token"))

	answers := preseed.Answers{K3s: preseed.K3s{Role: "agent", Server: "https://10.77.0.1:6443", Token: preseed.Secret(token), Labels: map[string]string{"hall": "7"}}}
	s.joined = k3s.Expect(answers, "kas-7")
	s.agent = newNode(t, files, answers, spec{Name: "kas-7", Tunnel: &tunnel{Key: agentKey, Address: "10.77.0.7/24", Peer: hubKey.PublicKey(), Endpoint: "203.0.113.10:51820", Allowed: "10.77.0.0/24"}})
	s.startAgent()
	s.up("first start")

	const about = "jsonpath={.status.addresses[?(@.type=='InternalIP')].address} {.metadata.labels.hall} {.metadata.annotations.flannel\\.alpha\\.coreos\\.com/public-ip}"
	if node := s.hub.mustRun(ctx, "", "kubectl", "get", "node", "kas-7", "-o", about); node != "10.77.0.7 7 10.77.0.7" {
		t.Errorf("address, label and flannel's address of the agent are %q", node)
	}
	if shown := s.agent.mustRun(ctx, "", "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /var/log/k3s.log 2>/dev/null; true"); strings.Contains(shown, token) {
		t.Error("the token is in the list of processes or in the log")
	}
	// What stek itself asks on an agent, with the kubelet's credentials.
	if own := s.agent.mustRun(ctx, "", "kubectl", "--kubeconfig", k3s.KubeletConfigPath, "get", "pods", "-A", "--field-selector", "spec.nodeName=kas-7", "-o", "name"); !strings.Contains(own, "pod/asks") {
		t.Errorf("the agent sees %q", own)
	}

	s.agent.powerCut()
	s.startAgent()
	s.up("the agent started again")

	s.agent.powerCut()
	s.hub.powerCut()
	s.startAgent()
	time.Sleep(20 * time.Second) // it finds no server
	s.startHub()
	s.up("both started again, the agent first")

	s.hub.powerCut()
	s.startHub()
	s.up("the server started again")
}

// newNode lays out a node by its answers, as an installation does.
func newNode(t *testing.T, files []component.File, a preseed.Answers, as spec) *sandbox {
	t.Helper()
	settings, err := k3s.Render(a, k3s.Facts{Name: as.Name, Source: k3s.SourceModule,
		Address: netip.MustParsePrefix(as.Tunnel.Address).Addr(), Device: network.Tunnel})
	must(t, err)
	s := newSandbox(t, as, files, settings)
	linkImages(t, s, files)
	allowOOMScores(t, s)
	return s
}

func newKey(t *testing.T) wgtypes.Key {
	t.Helper()
	key, err := wgtypes.GeneratePrivateKey()
	must(t, err)
	return key
}
