//go:build linux && k3s

package k3s

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/images/airgap"
	"github.com/stek-edge/stek/images/component"
	images "github.com/stek-edge/stek/images/k3s"
	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/preseed"
)

var (
	cacheFlag = flag.String("cache", "", "folder of finished builds (default: stek in the user's cache folder)")
	rootFlag  = flag.String("root", "/", "root file system to lay the node over, with the packages that it needs")
)

const nodeName = "gh-12"

// volumePod writes to a volume of the default storage class, as a real workload.
const volumePod = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: default}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 64Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: probe, namespace: default, labels: {app: probe}}
spec:
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  initContainers:
  - name: write
    image: docker.io/stek/probe:1
    args: [write, /data/first, kept]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: serve
    image: docker.io/stek/probe:1
    args: [serve, ":8080", /data]
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 2}
    volumeMounts: [{name: data, mountPath: /data}]
---
apiVersion: v1
kind: Service
metadata: {name: probe, namespace: default}
spec:
  selector: {app: probe}
  ports: [{port: 80, targetPort: 8080}]
`

// TestNodeWithoutNetwork starts a node that has no network card at all, from what
// the image holds, lets a pod write to a volume, cuts the power and finds the data.
func TestNodeWithoutNetwork(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes namespaces and runs containers: run it as root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 55*time.Minute)
	defer cancel()
	files, names := image(t, ctx)
	answers := preseed.Answers{K3s: preseed.K3s{Labels: map[string]string{"site": "greenhouse"}}}
	settings, err := k3s.Render(answers, k3s.Facts{Name: nodeName, Source: k3s.SourceModule})
	must(t, err)
	kernelSettings(t)

	s := newSandbox(t, spec{Name: nodeName}, files, settings)
	linkImages(t, s, files)
	allowOOMScores(t, s)
	start := time.Now()
	s.start()
	up, done := context.WithTimeout(ctx, 15*time.Minute)
	defer done()
	status := s.ready(up, k3s.Expect(answers, nodeName))
	t.Logf("%5.1f s node ready: %s", time.Since(start).Seconds(), status.Version)
	for _, p := range status.Pods {
		t.Logf("        %s/%s %s", p.Namespace, p.Name, p.Phase)
	}
	if want := "v1.25.4+k3s1"; status.Version != want {
		t.Errorf("the kubelet calls itself %s, not %s", status.Version, want)
	}
	if node := s.mustRun(ctx, "", "kubectl", "get", "node", nodeName, "-o", "jsonpath={.metadata.labels.site} {.status.addresses[?(@.type=='InternalIP')].address}"); node != "greenhouse "+k3s.Address.String() {
		t.Errorf("label and address of the node are %q", node)
	}

	s.mustRun(ctx, volumePod, "kubectl", "apply", "-f", "-")
	ready(t, s, ctx)
	t.Logf("%5.1f s pod with a volume runs", time.Since(start).Seconds())
	in := func(args ...string) (string, error) {
		return s.run(ctx, "", append([]string{"kubectl", "exec", "probe", "-c", "serve", "--", "/probe"}, args...)...)
	}
	t.Run("volume", func(t *testing.T) { expect(t, "kept\n")(in("cat", "/data/first")) })
	t.Run("cluster names resolve", func(t *testing.T) {
		out, err := in("resolve", "kubernetes.default.svc.cluster.local")
		if err != nil || strings.TrimSpace(out) != "10.43.0.1" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("service answers", func(t *testing.T) { expect(t, "kept\n")(in("get", "http://probe.default.svc.cluster.local/first")) })
	t.Run("foreign names fail at once", func(t *testing.T) {
		asked := time.Now()
		out, err := in("resolve", "example.org.")
		if took := time.Since(asked); err == nil || took > 5*time.Second {
			t.Errorf("got %q, %v after %v; want a quick error", out, err, took)
		}
	})
	t.Run("images can be pinned", func(t *testing.T) {
		for _, n := range names {
			if _, err := s.run(ctx, "", k3s.CtrPath, "images", "label", n, "io.cri-containerd.pinned=pinned"); err != nil {
				t.Error(err)
			}
		}
		for line := range strings.Lines(s.mustRun(ctx, "", k3s.CtrPath, "images", "list")) {
			if name := strings.Fields(line)[0]; slices.Contains(names, name) && !strings.Contains(line, "io.cri-containerd.pinned=pinned") {
				t.Errorf("not pinned: %s", line)
			}
		}
		// containerd 1.6 takes the label and tells the kubelet nothing of it.
		runtime := s.mustRun(ctx, "", "kubectl", "get", "node", nodeName, "-o", "jsonpath={.status.nodeInfo.containerRuntimeVersion}")
		told := strings.Count(s.mustRun(ctx, "", "crictl", "images", "-o", "json"), `"pinned": true`)
		if !strings.HasPrefix(runtime, "containerd://1.6.") && told != len(names) {
			t.Errorf("%s tells the kubelet that %d images are pinned, not %d", runtime, told, len(names))
		}
	})
	t.Run("secrets are encrypted in the database", func(t *testing.T) {
		out := s.mustRun(ctx, "", "k3s", "secrets-encrypt", "status")
		if !strings.Contains(out, "Encryption Status: Enabled") {
			t.Error(out)
		}
	})
	t.Run("teardown of a volume", func(t *testing.T) { teardown(t, s, ctx) })

	if t.Failed() {
		t.FailNow()
	}
	s.powerCut()
	start = time.Now()
	s.start()
	up, done = context.WithTimeout(ctx, 15*time.Minute)
	defer done()
	s.ready(up, k3s.Expect(answers, nodeName))
	t.Logf("%5.1f s node ready after a power cut", time.Since(start).Seconds())
	ready(t, s, ctx)
	expect(t, "kept\n")(s.run(ctx, "", "kubectl", "exec", "probe", "-c", "serve", "--", "/probe", "cat", "/data/first"))
}

// image builds what goes into the image, or takes it from the cache.
func image(t *testing.T, ctx context.Context) ([]component.File, []string) {
	t.Helper()
	cache := *cacheFlag
	if cache == "" {
		base, err := os.UserCacheDir()
		must(t, err)
		cache = filepath.Join(base, "stek")
	}
	var said time.Time
	report := func(p component.Progress) {
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Printf("%s: %d of %d %s after %v\n", p.Task, p.Done, p.Total, p.Unit, p.Elapsed.Round(time.Second))
		}
	}
	added, err := images.Add(ctx, images.Options{Source: component.Module, Arch: runtime.GOARCH, Cache: cache, Report: report})
	must(t, err)
	busybox, err := airgap.DebianBusybox(ctx, cache, runtime.GOARCH, "", airgap.ExecRunner)
	must(t, err)
	made, err := airgap.Build(ctx, airgap.Options{Arch: runtime.GOARCH, Cache: cache, Busybox: busybox, Report: report})
	must(t, err)
	files := slices.Clone(added.Files)
	var names []string
	for _, m := range made {
		files = append(files, m.File)
		names = append(names, m.Name)
	}
	return files, names
}

// linkImages does what the image's tmpfiles.d does at each start.
func linkImages(t *testing.T, s *sandbox, files []component.File) {
	t.Helper()
	dir := filepath.Join(s.dir, "state/rancher", strings.TrimPrefix(k3s.AgentImagesDir, "/var/lib/rancher"))
	must(t, os.MkdirAll(dir, 0o700))
	for _, f := range files {
		if filepath.Dir(f.Path) == k3s.RootImagesDir {
			must(t, os.Symlink(f.Path, filepath.Join(dir, filepath.Base(f.Path))))
		}
	}
}

// kernelSettings applies those settings of the image that namespaces do not
// separate, and puts this machine's own back afterwards.
func kernelSettings(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1"} {
		path := filepath.Join("/proc/sys", name)
		before, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, []byte(value), 0o644))
		t.Cleanup(func() { must(t, os.WriteFile(path, before, 0o644)) })
	}
}

// restricted is what k3s writes for containerd, and the line that keeps containers'
// OOM scores at or above containerd's own.
const restricted = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "rancher/mirrored-pause:3.6"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/libexec/cni"
  conf_dir = "/var/lib/rancher/k3s/agent/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`

// allowOOMScores makes up for a machine whose root may not lower OOM scores, as in
// most containers: runc would fail there. Elsewhere k3s' own settings are tested.
func allowOOMScores(t *testing.T, s *sandbox) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(t, unix.Capget(&header, &data[0]))
	if data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return
	}
	t.Log("root may not lower OOM scores here: containerd is told not to")
	dir := filepath.Join(s.dir, "state/rancher/k3s/agent/etc/containerd")
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "config.toml.tmpl"), []byte(restricted), 0o600))
}

func ready(t *testing.T, s *sandbox, ctx context.Context) {
	t.Helper()
	if _, err := s.run(ctx, "", "kubectl", "wait", "--for=condition=Ready", "--timeout=300s", "pod/probe"); err != nil {
		out, _ := s.run(ctx, "", "kubectl", "describe", "pods", "-A")
		t.Fatalf("%v\n%s\n%s", err, out, s.log(60))
	}
}

func expect(t *testing.T, want string) func(string, error) {
	return func(got string, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

// teardown removes a claim and waits until the provisioner has removed its data.
func teardown(t *testing.T, s *sandbox, ctx context.Context) {
	claim := strings.NewReplacer("name: data", "name: gone", "name: probe,", "name: gone,", "claimName: data", "claimName: gone").
		Replace(strings.Split(volumePod, "---\napiVersion: v1\nkind: Service")[0])
	s.mustRun(ctx, claim, "kubectl", "apply", "-f", "-")
	s.mustRun(ctx, "", "kubectl", "wait", "--for=condition=Ready", "--timeout=300s", "pod/gone")
	storage := filepath.Join(s.dir, "state/rancher/k3s/storage")
	before, err := os.ReadDir(storage)
	must(t, err)
	s.mustRun(ctx, "", "kubectl", "delete", "pod/gone", "pvc/gone", "--wait=true", "--timeout=300s")
	for range 60 {
		after, err := os.ReadDir(storage)
		must(t, err)
		// The provisioner is done when it has removed its helper as well.
		pods := s.mustRun(ctx, "", "kubectl", "get", "pods,pv", "-A", "-o", "name")
		if len(after) == len(before)-1 && !strings.Contains(pods, "helper-pod") && strings.Count(pods, "persistentvolume/") == 1 {
			return
		}
		time.Sleep(2 * time.Second)
	}
	t.Errorf("the data of the removed volume is still there: %v", before)
}
