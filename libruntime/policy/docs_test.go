package policy

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const docs = "../../docs/"

func readDoc(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(docs + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestExampleFile(t *testing.T) {
	p := mustParse(t, readDoc(t, "policy.example.toml"))
	pod := func(image string) Facts {
		f := onRoot
		f.Engines = []string{"containerd", "kubernetes"}
		f.Annotations = map[string]string{"io.kubernetes.cri.image-name": image}
		return f
	}
	builder := onRoot
	builder.User, builder.Rootfs = &User{UID: 77, Names: []string{"builder"}}, "/var/lib/builds/7/rootfs"
	system := pod("registry.k8s.io/pause:3")
	system.Annotations["io.kubernetes.cri.sandbox-namespace"] = "kube-system"
	for name, tc := range map[string]struct {
		facts                          Facts
		userns, user, seal, capability string
	}{
		"by hand":       {onRoot, "config", "0", "auto", "CAP_CHOWN"},
		"a pod":         {pod("registry.example.com/x"), "auto", "0", "auto", "CAP_CHOWN"},
		"a foreign pod": {pod("docker.io/library/x"), "auto", "0", "always", "none"},
		"a system pod":  {system, "config", "config", "never", "config"},
		"a builder":     {builder, "config", "64", "never", "CAP_CHOWN"},
	} {
		d, err := p.Decide(tc.facts, Asked{})
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		for _, r := range d.Rows() {
			got[r.Setting] = r.Value
		}
		if got["userns"] != tc.userns || got["namespaces.user"] != tc.user || got["seal"] != tc.seal || !strings.HasPrefix(got["capabilities"], tc.capability) {
			t.Errorf("%s:\n%s", name, told(d))
		}
	}
}

// The guide's own examples are right, and it names everything that there is.
func TestGuide(t *testing.T) {
	text := readDoc(t, "policy.md")
	blocks := 0
	for _, part := range strings.Split(text, "```toml\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		mustParse(t, block)
		blocks++
	}
	if blocks == 0 {
		t.Error("no example")
	}
	words := slices.Concat(engines, annotationNames)
	for _, kind := range kinds {
		words = append(words, string(kind))
	}
	for bit, name := range securebits {
		if bit%2 == 0 && bit != keepCaps {
			words = append(words, name)
		}
	}
	for _, r := range (&Decision{}).Rows() {
		words = append(words, r.Setting)
	}
	for _, w := range words {
		if !strings.Contains(text, "`"+w+"`") {
			t.Errorf("%s is not in the guide", w)
		}
	}
	for _, v := range slices.Concat(values(usernsOrder), values(seccompOrder), values(noNewPrivilegesOrder), values(sealOrder), values(overlapOrder), values(annotationsOrder)) {
		if !strings.Contains(text, `"`+v+`"`) {
			t.Errorf("the value %s is not in the guide", v)
		}
	}
}

func values[T ~string](order []T) []string {
	var list []string
	for _, v := range order {
		list = append(list, string(v))
	}
	return list
}
