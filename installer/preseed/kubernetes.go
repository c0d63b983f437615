package preseed

import (
	"regexp"
	"slices"
	"strings"
)

// The forms of Kubernetes' label keys and values, from its page "Labels and
// Selectors", section "Syntax and character set".
var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
)

// ownLabels are the labels below kubernetes.io and k8s.io that a node may give
// itself (kubelet's option --node-labels refuses the others and does not start).
var ownLabels = []string{
	"beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os",
	"failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
	"kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os",
	"node.kubernetes.io/instance-type", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
}

// judgeLabelKey judges the name of a label or taint.
func judgeLabelKey(key string) *problem {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		prefix, name = "", key
	}
	if prefixed && (len(prefix) > 253 || !labelPrefix.MatchString(prefix)) {
		return bad("what stands before the / of "+quote(key)+" is no domain name", "for example example.org/hall")
	}
	if !labelName.MatchString(name) {
		return bad(quote(name)+" is no Kubernetes name", "use up to 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends")
	}
	return nil
}

// checkLabel judges a node label.
func checkLabel(key, value string) *problem {
	if p := judgeLabelKey(key); p != nil {
		return p
	}
	if prefix, _, ok := strings.Cut(key, "/"); ok && reserved(prefix) && !slices.Contains(ownLabels, key) {
		return bad("a node cannot give itself the label "+quote(key), "use a name without kubernetes.io or k8s.io")
	}
	if value != "" && !labelName.MatchString(value) {
		return bad(quote(value)+" is no value for a Kubernetes label", "use up to 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends")
	}
	return nil
}

// reserved reports whether kubelet guards labels with this prefix.
func reserved(prefix string) bool {
	within := func(domain string) bool { return prefix == domain || strings.HasSuffix(prefix, "."+domain) }
	if within("kubelet.kubernetes.io") || within("node.kubernetes.io") {
		return false
	}
	return within("kubernetes.io") || within("k8s.io")
}

// taintEffects are what a taint can do to pods that do not tolerate it.
var taintEffects = []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}

// checkTaint judges a taint: key=value:Effect or key:Effect.
func checkTaint(value string) *problem {
	const example = "for example dedicated=camera:NoSchedule"
	at := strings.LastIndexByte(value, ':')
	if at < 0 {
		return bad(quote(value)+" has no effect", "write key=value:Effect; Effect is "+oneOf(taintEffects))
	}
	effect := value[at+1:]
	key, own, valued := strings.Cut(value[:at], "=")
	if !slices.Contains(taintEffects, effect) {
		remedy := "use " + oneOf(taintEffects)
		if near := didYouMean(effect, taintEffects); near != "" {
			remedy = "did you mean " + near + "?"
		}
		return bad(quote(effect)+" is no effect of a taint", remedy)
	}
	if p := judgeLabelKey(key); p != nil {
		return p
	}
	if valued && own != "" && !labelName.MatchString(own) {
		return bad(quote(own)+" is no value for a taint", example)
	}
	return nil
}
