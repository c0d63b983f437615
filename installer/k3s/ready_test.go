package k3s

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/preseed"
)

const (
	readyNode = `{"metadata":{"name":"gh-12"},"status":{"nodeInfo":{"kubeletVersion":"v1.25.4+k3s1","bootID":"b1"},"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True"}]}}`
	coredns   = `{"metadata":{"namespace":"kube-system","name":"coredns-1-a"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"containerID":"containerd://c1","state":{"running":{"startedAt":"2026-11-23T03:00:00Z"}}}]}}`
	storage   = `{"metadata":{"namespace":"kube-system","name":"local-path-provisioner-1-a"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`
)

func TestJudge(t *testing.T) {
	all := coredns + "," + storage
	for _, c := range []struct {
		name       string
		node, pods string
		want       Want
		missing    string // the first, "" when ready
	}{
		{"ready", readyNode, all, Want{}, ""},
		{"a workload that crashes is not the node's fault", readyNode,
			all + `,{"metadata":{"namespace":"default","name":"x"},"status":{"phase":"Pending"}}`, Want{}, ""},
		{"an old pod that failed", readyNode,
			all + `,{"metadata":{"namespace":"kube-system","name":"coredns-1-old"},"status":{"phase":"Failed"}}`, Want{}, ""},
		{"a pod on its way out", readyNode,
			all + `,{"metadata":{"namespace":"kube-system","name":"coredns-1-old","deletionTimestamp":"2026-11-23T03:00:00Z"},"status":{"phase":"Running"}}`, Want{}, ""},
		{"node not ready", strings.Replace(readyNode, `"Ready","status":"True"`, `"Ready","status":"False","message":"container runtime is down"`, 1), all, Want{},
			"the node is not Ready: container runtime is down"},
		{"node has not reported", `{"metadata":{"name":"gh-12"}}`, all, Want{}, "the node is not Ready: the kubelet has not reported"},
		{"node reported before the power cut", readyNode, all, Want{BootID: "b2"}, "the kubelet has not reported since this start"},
		{"node reported since", readyNode, all, Want{BootID: "b1"}, ""},
		{"pods not made yet", readyNode, coredns, Want{}, "no pod of kube-system/local-path-provisioner is ready"},
		{"container of before the power cut", readyNode, all, Want{Runs: func(string) bool { return false }},
			"pod kube-system/coredns-1-a: ran before this start, and not yet since"},
		{"container runs", readyNode, all, Want{Runs: func(id string) bool { return id == "c1" }}, ""},
		{"image cannot be had", readyNode, storage + `,{"metadata":{"namespace":"kube-system","name":"coredns-1-a"},"status":{"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff","message":"no such host"}}}]}}`, Want{},
			"pod kube-system/coredns-1-a: ImagePullBackOff: no such host"},
		{"nowhere to run", readyNode, storage + `,{"metadata":{"namespace":"kube-system","name":"coredns-1-a"},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","message":"no nodes available"}]}}`, Want{},
			"pod kube-system/coredns-1-a: no nodes available"},
		{"runs but fails its checks", readyNode, storage + "," + strings.Replace(coredns, `"Ready","status":"True"`, `"Ready","status":"False"`, 1), Want{},
			"pod kube-system/coredns-1-a: runs, but does not pass its checks yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n node
			var pods podList
			if err := errors.Join(json.Unmarshal([]byte(c.node), &n), json.Unmarshal([]byte(`{"items":[`+c.pods+`]}`), &pods)); err != nil {
				t.Fatal(err)
			}
			w := Expect(preseed.Answers{}, "gh-12")
			w.BootID, w.Runs = c.want.BootID, c.want.Runs
			s := judge(w, n, pods)
			if s.Problem != c.missing || s.Ready != (c.missing == "") {
				t.Errorf("ready %v, missing %q", s.Ready, s.Missing)
			}
		})
	}
}

func TestExpectWithout(t *testing.T) {
	w := Expect(preseed.Answers{K3s: preseed.K3s{Disable: []string{"local-storage"}}}, "n")
	if len(w.Workloads) != 1 || w.Workloads[0].Name != "coredns" {
		t.Errorf("got %+v", w.Workloads)
	}
}

// apiServer answers as the API server does, to a client with the right certificate
// only, and returns the kubeconfig for it.
func apiServer(t *testing.T, answers map[string]string) (kubeconfig string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.RequestURI]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, text)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	server.TLS.ClientCAs.AddCert(leaf)
	server.StartTLS()
	t.Cleanup(server.Close)
	block := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	text := fmt.Sprintf("apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: %s\n    server: %s\n  name: default\nusers:\n- name: default\n  user:\n    client-certificate-data: %s\n    client-key-data: %s\n",
		block("CERTIFICATE", server.Certificate().Raw), server.URL, block("CERTIFICATE", der), block("PRIVATE KEY", keyDER))
	path := filepath.Join(t.TempDir(), "k3s.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWait(t *testing.T) {
	c, err := Open(apiServer(t, map[string]string{
		"/api/v1/nodes/gh-12": readyNode, "/api/v1/pods": `{"items":[` + storage + "," + coredns + `]}`}))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	s, err := c.Wait(t.Context(), Expect(preseed.Answers{}, "gh-12"), func(State) { calls++ })
	if err != nil || !s.Ready || s.Version != "v1.25.4+k3s1" || calls != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
	if len(s.Pods) != 2 || s.Pods[0].Name != "coredns-1-a" {
		t.Errorf("pods are not sorted: %+v", s.Pods)
	}
}

func TestWaitEnds(t *testing.T) {
	c, err := Open(apiServer(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.Wait(ctx, Want{Node: "gh-12"}, func(State) { cancel() })
	if !errors.Is(err, context.Canceled) || !strings.Contains(s.Problem, "not registered") {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestAgent: an agent asks with the kubelet's credentials, which lie in files, and only
// for its own pods.
func TestAgent(t *testing.T) {
	path := apiServer(t, map[string]string{
		"/api/v1/nodes/gh-12":                              `{"metadata":{"name":"gh-12"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`,
		"/api/v1/pods?fieldSelector=spec.nodeName%3Dgh-12": `{"items":[]}`,
	})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for line := range strings.Lines(string(text)) {
		// "client-key-data: BASE64" becomes "client-key: FILE".
		for _, key := range []string{"certificate-authority", "client-certificate", "client-key"} {
			_, value, found := strings.Cut(line, key+"-data: ")
			if !found {
				continue
			}
			value = strings.TrimSpace(value)
			content, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, key)
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			text = []byte(strings.Replace(string(text), key+"-data: "+value, key+": "+file, 1))
		}
	}
	kubelet := filepath.Join(dir, "kubelet.kubeconfig")
	if err := os.WriteFile(kubelet, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(kubelet)
	if err != nil {
		t.Fatal(err)
	}
	w := Expect(preseed.Answers{K3s: preseed.K3s{Role: "agent"}}, "gh-12")
	if s := c.State(t.Context(), w); !s.Ready {
		t.Errorf("got %+v", s)
	}
	if err := os.Remove(filepath.Join(dir, "client-key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(kubelet); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its key: %v", err)
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseKubeconfig(f *testing.F) {
	const secret = "c2VjcmV0LWtleQ=="
	f.Add("clusters:\n- cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: QQ==}\nusers:\n- user: {client-certificate-data: QQ==, client-key-data: " + secret + "}\n")
	f.Add("clusters: 3")
	f.Add("users:\n- user: {client-key-data: !!binary " + secret + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseKubeconfig([]byte(text), func(string) ([]byte, error) { return nil, fs.ErrNotExist })
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the key is in the error: %v", err)
		}
	})
}
