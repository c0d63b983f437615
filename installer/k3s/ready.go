package k3s

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/stek-edge/stek/installer/preseed"
)

// State is how the cluster looks from this node. It holds no secret.
type State struct {
	Ready   bool     `json:"ready"`
	Version string   `json:"version,omitempty"` // what the kubelet calls itself
	Node    string   `json:"node,omitempty"`
	Pods    []Pod    `json:"pods,omitempty"`
	Missing []string `json:"missing,omitempty"` // what is not ready, in words
	Problem string   `json:"problem,omitempty"` // the first of Missing, or why nothing could be asked
}

// Pod is one pod.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Phase     string `json:"phase"` // Pending, Running, Succeeded, Failed, Unknown
	Ready     bool   `json:"ready"` // runs and passes its checks, or has ended well
	Reason    string `json:"reason,omitempty"`
}

// Want is what must be there before the node counts as ready.
type Want struct {
	Node      string
	Workloads []Workload // deployments with at least one ready pod
	Alone     bool       // only this node's own pods are asked for: all that an agent may see

	// What the API server knows is from before a power cut until the kubelet has
	// looked again: for some seconds a node that has only just started is Ready and
	// all its pods are Running. These two tell old news from new; see ThisStart.
	BootID string               // of this start; empty: any
	Runs   func(id string) bool // whether a container runs; nil: as reported
}

// ThisStart adds to w how this machine's present start is recognised: the kernel's
// boot ID, which the kubelet reports, and the state of running containers that
// containerd keeps below root/run, a tmpfs. Times are no help: a box without a
// real-time clock sets its clock when containers run already.
func ThisStart(w Want, root string) Want {
	id, err := os.ReadFile(filepath.Join(root, "/proc/sys/kernel/random/boot_id"))
	if err == nil {
		w.BootID = strings.TrimSpace(string(id))
	}
	w.Runs = func(id string) bool {
		_, err := os.Stat(filepath.Join(root, "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io", filepath.Base(id)))
		return err == nil
	}
	return w
}

// Workload names a deployment.
type Workload struct{ Namespace, Name string }

// Expect returns what a node with these answers runs when it is ready.
func Expect(a preseed.Answers, node string) Want {
	if a.K3s.Role == agent {
		return Want{Node: node, Alone: true}
	}
	return want(node, a.K3s.Disable)
}

// want knows which packaged components are deployments of their own. Those whose
// images are missing are in disable.
func want(node string, disable []string) Want {
	w := Want{Node: node}
	for _, part := range []struct{ component, deployment string }{
		{"coredns", "coredns"}, {"local-storage", "local-path-provisioner"},
	} {
		if !slices.Contains(disable, part.component) {
			w.Workloads = append(w.Workloads, Workload{system, part.deployment})
		}
	}
	return w
}

// The parts of the Kubernetes API (v1) that are looked at.
type (
	condition struct {
		Type, Status, Reason, Message string
	}
	meta struct {
		Namespace, Name   string
		DeletionTimestamp *time.Time
	}
	node struct {
		Metadata meta
		Status   struct {
			Conditions []condition
			NodeInfo   struct{ KubeletVersion, BootID string }
		}
	}
	podList struct {
		Items []pod
	}
	pod struct {
		Metadata meta
		Status   struct {
			Phase, Reason     string
			Conditions        []condition
			ContainerStatuses []struct {
				ContainerID string // "containerd://" and 64 hex digits
				State       struct {
					Running *struct{}
					Waiting *struct{ Reason, Message string }
				}
			}
		}
	}
)

// system is the namespace of the packaged components.
const system = "kube-system"

// Look asks once, with the configuration and the credentials that are on this
// node. It never fails: what could not be asked is the State's Problem.
func Look(ctx context.Context) State {
	var c config
	text, err := os.ReadFile(ConfigPath)
	if err == nil {
		err = yaml.Unmarshal(text, &c)
	}
	if err != nil {
		return State{Problem: fmt.Sprintf("k3s is not set up on this machine: %v", err)}
	}
	credentials, wanted := KubeconfigPath, want(c.NodeName, c.Disable)
	missing := "k3s has not come up yet: it has written no credentials; see journalctl -u k3s"
	if c.Server != "" {
		credentials, wanted = KubeletConfigPath, Want{Node: c.NodeName, Alone: true}
		missing = "this agent has not joined the cluster yet: its server " + c.Server + " has given it no credentials; see journalctl -u k3s and stek network test"
	}
	client, err := Open(credentials)
	if errors.Is(err, fs.ErrNotExist) {
		return State{Node: c.NodeName, Problem: missing}
	}
	if err != nil {
		return State{Node: c.NodeName, Problem: err.Error()}
	}
	return client.State(ctx, ThisStart(wanted, "/"))
}

// State asks once. It never fails: what could not be asked is the State's Problem.
func (c *Client) State(ctx context.Context, w Want) State {
	var n node
	var pods podList
	err := c.get(ctx, "/api/v1/nodes/"+url.PathEscape(w.Node), &n)
	var refused *APIError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return State{Node: w.Node, Problem: "the node " + w.Node + " has not registered with the API server yet"}
	}
	if err == nil {
		path := "/api/v1/pods"
		if w.Alone {
			path += "?fieldSelector=" + url.QueryEscape("spec.nodeName="+w.Node)
		}
		err = c.get(ctx, path, &pods)
	}
	if err != nil {
		return State{Node: w.Node, Problem: fmt.Sprintf("the API server cannot be asked: %v", err)}
	}
	return judge(w, n, pods)
}

// judge decides from what the API server said.
func judge(w Want, n node, list podList) State {
	s := State{Node: n.Metadata.Name, Version: n.Status.NodeInfo.KubeletVersion}
	if w.BootID != "" && n.Status.NodeInfo.BootID != w.BootID {
		s.Missing = append(s.Missing, "the kubelet has not reported since this start")
	} else if c := find(n.Status.Conditions, "Ready"); c.Status != "True" {
		s.Missing = append(s.Missing, strings.TrimSuffix(fmt.Sprintf("the node is not Ready: %s", first(c.Message, c.Reason, "the kubelet has not reported")), "\n"))
	}
	for _, p := range list.Items {
		one := see(p, w.Runs)
		s.Pods = append(s.Pods, one)
		// Only what belongs to the cluster itself makes the node unready: a workload
		// from git that fails says nothing about the box. A pod that failed or is on
		// its way out is replaced by another one, which counts.
		if !one.Ready && one.Namespace == system && one.Phase != "Failed" && p.Metadata.DeletionTimestamp == nil {
			s.Missing = append(s.Missing, fmt.Sprintf("pod %s/%s: %s", one.Namespace, one.Name, first(one.Reason, one.Phase)))
		}
	}
	slices.SortFunc(s.Pods, func(a, b Pod) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	for _, x := range w.Workloads {
		// Pods of a deployment are called after it, its replica set and themselves.
		if !slices.ContainsFunc(s.Pods, func(p Pod) bool {
			return p.Ready && p.Phase == "Running" && p.Namespace == x.Namespace && strings.HasPrefix(p.Name, x.Name+"-")
		}) {
			s.Missing = append(s.Missing, fmt.Sprintf("no pod of %s/%s is ready", x.Namespace, x.Name))
		}
	}
	s.Ready = len(s.Missing) == 0
	if !s.Ready {
		s.Problem = s.Missing[0]
	}
	return s
}

func see(p pod, runs func(id string) bool) Pod {
	one := Pod{Namespace: p.Metadata.Namespace, Name: p.Metadata.Name, Phase: p.Status.Phase, Reason: p.Status.Reason}
	switch one.Phase {
	case "Succeeded":
		one.Ready = true
	case "Running":
		one.Ready = find(p.Status.Conditions, "Ready").Status == "True"
		for _, c := range p.Status.ContainerStatuses {
			if one.Ready && runs != nil && c.State.Running != nil && !runs(strings.TrimPrefix(c.ContainerID, "containerd://")) {
				one.Ready, one.Reason = false, "ran before this start, and not yet since"
			}
		}
	}
	if one.Ready {
		return one
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Waiting != nil && one.Reason == "" {
			one.Reason = strings.TrimSuffix(c.State.Waiting.Reason+": "+c.State.Waiting.Message, ": ")
		}
	}
	if c := find(p.Status.Conditions, "PodScheduled"); one.Reason == "" && c.Status == "False" {
		one.Reason = c.Message
	}
	if one.Reason == "" && one.Phase == "Running" {
		one.Reason = "runs, but does not pass its checks yet"
	}
	return one
}

func find(list []condition, kind string) condition {
	for _, c := range list {
		if c.Type == kind {
			return c
		}
	}
	return condition{}
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// Wait asks every two seconds until the node is ready, and returns the State that
// was. When ctx ends first, it returns the last State with the context's error.
// Each State is handed to seen, which may be nil.
func (c *Client) Wait(ctx context.Context, w Want, seen func(State)) (State, error) {
	for {
		s := c.State(ctx, w)
		if seen != nil {
			seen(s)
		}
		if s.Ready {
			return s, nil
		}
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return s, fmt.Errorf("waiting for the node to be ready: %w; last seen: %s", context.Cause(ctx), s.Problem)
		}
	}
}
