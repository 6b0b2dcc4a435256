package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/internal/fault"
)

func mustParse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse("p.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// both returns a policy of a machine's and a user's file; "" is none.
func both(t testing.TB, system, user string) *Policy {
	p := &Policy{}
	if system != "" {
		p.system = mustParse(t, system).system
	}
	if user != "" {
		f, err := parse("u.toml", []byte(user))
		if err != nil {
			t.Fatal(err)
		}
		p.user = f
	}
	return p
}

// told returns the rows that something has decided: "seal=auto by rule "a" (p.toml:3)".
func told(d Decision) string {
	var lines []string
	for _, r := range d.Rows() {
		if r.By != nil {
			lines = append(lines, fmt.Sprintf("%s=%s by %s", r.Setting, r.Value, r.Why()))
		}
	}
	return strings.Join(lines, "\n")
}

// onRoot are facts that no machine has to be asked for.
var onRoot = Facts{Engines: []string{"none"}, User: &User{UID: 0, Names: []string{"root"}}, Bundle: "/b", Rootfs: "/b/rootfs"}

func TestNoPolicy(t *testing.T) {
	var p *Policy
	d, err := p.Decide(Facts{Annotations: map[string]string{"org.example": "x", "run.baileys": "y"}}, Asked{})
	if err != nil || !d.IsZero() || !reflect.DeepEqual(d, Decision{}) {
		t.Errorf("%+v, %v", d, err)
	}
	if told(d) != "" || len(d.Rows()) != 10 {
		t.Errorf("%+v", d.Rows())
	}
}

func TestPrecedence(t *testing.T) {
	const docker, named = "match.engine = \"docker\"\n", "match.annotation.\"n\" = \"x\"\n"
	rule := func(name, match, settings string) string {
		return "[[rule]]\nname = \"" + name + "\"\n" + match + settings + "\n"
	}
	for name, tc := range map[string]struct {
		system, user string
		want         string
	}{
		"empty":          {system: "#"},
		"defaults":       {system: "[defaults]\nseal = \"auto\"", want: "seal=auto by defaults (p.toml:2)"},
		"no match":       {system: rule("a", "match.engine = \"podman\"\n", "seal = \"auto\"")},
		"a rule":         {system: rule("a", docker, "seal = \"auto\""), want: `seal=auto by rule "a" (p.toml:4)`},
		"over defaults":  {system: "[defaults]\nseal = \"always\"\n" + rule("a", docker, "seal = \"never\""), want: `seal=never by rule "a" (p.toml:6)`},
		"defaults below": {system: rule("a", docker, "seal = \"never\"") + "[defaults]\nseal = \"always\"\n", want: `seal=never by rule "a" (p.toml:4)`},
		"the last one":   {system: rule("a", docker, "seal = \"always\"") + rule("b", named, "seal = \"auto\""), want: `seal=auto by rule "b" (p.toml:8)`},
		"each setting": {system: rule("a", docker, "seal = \"always\"\nseccomp = \"require\"") + rule("b", named, "seal = \"auto\""),
			want: "seccomp=require by rule \"a\" (p.toml:5)\nseal=auto by rule \"b\" (p.toml:9)"},
		"each kind": {system: "[defaults]\nnamespaces = {user = 0, net = 0}\n" + rule("a", docker, "namespaces.net = 5"),
			want: "namespaces.user=0 by defaults (p.toml:2)\nnamespaces.net=5 by rule \"a\" (p.toml:6)"},
		"a limit lifted": {system: "[defaults]\nnamespaces.user = 0\n" + rule("a", docker, "namespaces.user = \"config\""),
			want: `namespaces.user=config by rule "a" (p.toml:6)`},
		"lists are replaced": {system: "[defaults]\ncapabilities = [\"CAP_KILL\"]\n" + rule("a", docker, "capabilities = [\"CAP_CHOWN\"]"),
			want: `capabilities=CAP_CHOWN by rule "a" (p.toml:6)`},
		"back to config": {system: "[defaults]\ncapabilities = []\nsecurebits = [\"noroot\"]\n" + rule("a", docker, "capabilities = \"config\"\nsecurebits = []"),
			want: "capabilities=config by rule \"a\" (p.toml:7)\nsecurebits=none by rule \"a\" (p.toml:8)"},
		"user alone":      {user: "[defaults]\nseal = \"auto\"", want: "seal=auto by defaults (u.toml:2)"},
		"user where free": {system: "[defaults]\nseccomp = \"require\"", user: "[defaults]\nseal = \"auto\"", want: "seccomp=require by defaults (p.toml:2)\nseal=auto by defaults (u.toml:2)"},
		"user tightens":   {system: "[defaults]\nseal = \"auto\"", user: "[defaults]\nseal = \"always\"", want: "seal=always by defaults (u.toml:2)"},
		"user loosens":    {system: "[defaults]\nseal = \"auto\"", user: "[defaults]\nseal = \"never\"", want: "seal=auto by defaults (p.toml:2)"},
		"user loosens all": {
			system: "[defaults]\nuserns = \"require\"\nuserns_size = 10\nnamespaces.user = 0\ncapabilities = []\nseccomp = \"require\"\nno_new_privileges = \"set\"\nsecurebits = [\"noroot\"]\nseal = \"always\"\noverlap = \"refuse\"\nannotations = \"tighten\"",
			user:   "[defaults]\nuserns = \"auto\"\nuserns_size = 11\nnamespaces.user = \"config\"\ncapabilities = \"config\"\nseccomp = \"config\"\nno_new_privileges = \"config\"\nsecurebits = []\nseal = \"never\"\noverlap = \"allow\"\nannotations = \"allow\"",
			want: "userns=require by defaults (p.toml:2)\nuserns_size=10 by defaults (p.toml:3)\nnamespaces.user=0 by defaults (p.toml:4)\n" +
				"capabilities=none by defaults (p.toml:5)\nseccomp=require by defaults (p.toml:6)\nno_new_privileges=set by defaults (p.toml:7)\n" +
				"securebits=noroot by defaults (p.toml:8)\nseal=always by defaults (p.toml:9)\noverlap=refuse by defaults (p.toml:10)\nannotations=tighten by defaults (p.toml:11)"},
		"user meets":        {system: "[defaults]\ncapabilities = [\"CAP_KILL\", \"CAP_CHOWN\"]", user: "[defaults]\ncapabilities = [\"CAP_KILL\", \"CAP_FOWNER\"]", want: "capabilities=CAP_KILL by defaults (p.toml:2), defaults (u.toml:2)"},
		"user adds bits":    {system: "[defaults]\nsecurebits = [\"noroot\"]", user: "[defaults]\nsecurebits = [\"no_setuid_fixup\"]", want: "securebits=noroot,no_setuid_fixup by defaults (p.toml:2), defaults (u.toml:2)"},
		"user has it all":   {system: "[defaults]\ncapabilities = [\"CAP_KILL\", \"CAP_CHOWN\"]", user: "[defaults]\ncapabilities = [\"CAP_KILL\"]", want: "capabilities=CAP_KILL by defaults (u.toml:2)"},
		"user's own rules":  {system: "[defaults]\nnamespaces.user = 5", user: "[defaults]\nnamespaces.user = 0\n" + rule("a", docker, "namespaces.user = 9"), want: "namespaces.user=5 by defaults (p.toml:2)"},
		"unlimited by user": {user: "[defaults]\nnamespaces.user = \"config\"", want: "namespaces.user=config by defaults (u.toml:2)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := onRoot
			f.Engines, f.Annotations = []string{"docker"}, map[string]string{"n": "x"}
			d, err := both(t, tc.system, tc.user).Decide(f, Asked{})
			if got := told(d); err != nil || got != tc.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, tc.want)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	facts := Facts{
		Annotations: map[string]string{"com.example.image": "docker.io/library/nginx:1.27", "empty": ""},
		Bundle:      "/run/containerd/io.containerd.runtime.v2.task/k8s.io/abc",
		Rootfs:      "/var/lib/images/web/rootfs",
		Engines:     []string{"containerd", "kubernetes"},
		User:        &User{UID: 1000, Names: []string{"alice", "alias"}},
	}
	for match, want := range map[string]bool{
		`match.engine = "kubernetes"`:                                                       true,
		`match.engine = ["docker", "containerd"]`:                                           true,
		`match.engine = "docker"`:                                                           false,
		`match.user = "alice"`:                                                              true,
		`match.user = "alias"`:                                                              true,
		`match.user = 1000`:                                                                 true,
		`match.user = ["bob", 1000]`:                                                        true,
		`match.user = ["bob", 0]`:                                                           false,
		`match.bundle = "/run/containerd/**"`:                                               true,
		`match.bundle = "/run/containerd/*"`:                                                false,
		`match.rootfs = ["/nowhere", "/var/lib/images/*/rootfs"]`:                           true,
		`match.rootfs = "/var/lib/images/web"`:                                              false,
		`match.annotation = {"com.example.image" = "docker.io/library/*"}`:                  true,
		`match.annotation = {"com.example.image" = "docker.io/*"}`:                          false,
		`match.annotation = {"com.example.image" = ["quay.io/**", "docker.io/**"]}`:         true,
		`match.annotation = {"com.example.image" = "**", "absent" = "**"}`:                  false,
		`match.annotation = {"empty" = ""}`:                                                 true,
		`match.annotation = {"empty" = "?"}`:                                                false,
		"match.engine = \"kubernetes\"\nmatch.user = \"bob\"":                               false,
		"match.engine = \"kubernetes\"\nmatch.user = \"alice\"\nmatch.bundle = \"/run/**\"": true,
	} {
		p := mustParse(t, "[[rule]]\nname = \"a\"\n"+match+"\nseal = \"auto\"\n")
		d, err := p.Decide(facts, Asked{})
		if err != nil || d.Seal.IsSet() != want {
			t.Errorf("%s: %v, %v", match, d.Seal, err)
		}
	}
}

// What no rule asks for is not found out.
func TestFactsAreLazy(t *testing.T) {
	k := &known{Facts: Facts{Bundle: "/b"}}
	var d Decision
	p := mustParse(t, "[[rule]]\nname = \"a\"\nmatch.engine = \"docker\"\nmatch.user = 7\nmatch.bundle = \"/x\"\nseal = \"auto\"\n")
	p.system.decide(k, &d)
	if k.Engines != nil || k.User != nil {
		t.Errorf("%+v", k)
	}
}

// Decisions do not change the policy that they come from.
func TestDecisionsAreApart(t *testing.T) {
	p := both(t, everything, everything)
	f := onRoot
	before, err := p.Decide(f, Asked{})
	if err != nil {
		t.Fatal(err)
	}
	f.Annotations = map[string]string{AnnotationNamespaces: "net=0,time=0", AnnotationCapabilities: "CAP_CHOWN,CAP_FOWNER",
		AnnotationSecurebits: "no_setuid_fixup", AnnotationSeal: "always"}
	if _, err := p.Decide(f, Asked{Userns: "auto:size=7"}); err != nil {
		t.Fatal(err)
	}
	f.Annotations = nil
	if after, err := p.Decide(f, Asked{}); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%v\n%s\nbefore\n%s", err, told(after), told(before))
	}
}

func TestDecisionGoesOnRecord(t *testing.T) {
	p := mustParse(t, everything)
	d, err := p.Decide(onRoot, Asked{Seal: "always"})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Decision{d, {}} {
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back Decision
		if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(d, back) {
			t.Errorf("%v\n%s\n%+v\n%+v", err, data, d, back)
		}
	}
	if data, _ := json.Marshal(Decision{}); string(data) != "{}" {
		t.Errorf("nothing is %s", data)
	}
}

func TestLimit(t *testing.T) {
	d, err := mustParse(t, "[defaults]\nnamespaces = {user = 0, net = 3, pid = \"config\"}\n").Decide(onRoot, Asked{})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[Kind]string{"user": "0 true", "net": "3 true", "pid": "0 false", "ipc": "0 false"} {
		n, ok := d.Limit(kind)
		if got := fmt.Sprint(n, ok); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// isFault fails the test unless err is a fault of one line about origin.
func isFault(t *testing.T, err error, origin string) {
	t.Helper()
	f, ok := err.(*fault.Error) //nolint:errorlint // the outermost one is meant
	if !ok || f.Origin != origin || strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("%T %q, want one about %s", err, err, origin)
	}
}
