package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/spec"
)

// FuzzPolicy asserts for any text: nothing panics; what is accepted is TOML to the library's own decoder, too, so that
// no rule about what may stand twice is missing here; every problem has a line that the text has; and whatever is asked
// for on top, what the policy enforces stands.
func FuzzPolicy(f *testing.F) {
	f.Add(everything, "seal", "never", "auto", "never")
	f.Add(rule1, "userns", "auto:size=5", "config", "")
	f.Add("[defaults]\nseal = \"always\"\nuserns = \"require\"\nannotations = \"allow\"\n", "capabilities", "CAP_KILL", "auto:size=1", "auto")
	f.Add("a.b = 1\n[a]\n[[a.c]]\n[a.c.d]\ne = {f.g = 1, h = [{}]}\n", "namespaces", "user=0,net=1", "", "")
	f.Add("[a.b]\n[a]\nb.c = 1\n", "securebits", "noroot", "x", "y")
	f.Add("[a]\nb.c = 1\n[a.b.d]\n[a.b]\n", "x", "", "", "")
	f.Add("[[rule]]\n[rule]\n", "", "", "", "")
	f.Add("x = 08\ny = 0x_1\nz = +1_0\nd = 1979-05-27T07:32:00Z\n", "", "", "", "")
	f.Fuzz(func(t *testing.T, text, annotation, value, userns, seal string) {
		file, err := parse("p.toml", []byte(text))
		if err != nil {
			problemsAreRight(t, err, text)
			return
		}
		var tree any
		if err := toml.Unmarshal([]byte(text), &tree); err != nil {
			t.Fatalf("accepted, and not TOML: %v", err)
		}
		facts := onRoot
		facts.Annotations = map[string]string{"com.example.role": value}
		floor, err := (&Policy{system: file}).Decide(facts, Asked{})
		if err != nil {
			t.Fatal(err)
		}
		facts.Annotations[Prefix+annotation] = value
		own := &Policy{system: file, user: mustParse(t, everything).system}
		for _, p := range []*Policy{{system: file}, own, nil} {
			d, err := p.Decide(facts, Asked{Userns: userns, Seal: seal})
			if err != nil {
				if fe := (*fault.Error)(nil); !errors.As(err, &fe) || strings.ContainsAny(err.Error(), "\n\x00") {
					t.Errorf("%T: %q", err, err)
				}
				continue
			}
			if p != nil {
				holds(t, &floor, &d)
			}
			_ = Apply(spec.Example(), &d)
		}
	})
}

func problemsAreRight(t *testing.T, err error, text string) {
	var list ParseErrors
	if !errors.As(err, &list) {
		t.Fatalf("%T: %v", err, err)
	}
	lines := strings.Count(text, "\n") + 1
	for _, e := range list {
		if e.Line < 1 || e.Line > lines || strings.ContainsAny(e.Error(), "\n\x00") {
			t.Errorf("of %d lines: %q", lines, e)
		}
	}
}

// holds fails the test where d does not keep what the policy enforces.
func holds(t *testing.T, policy, d *Decision) {
	t.Helper()
	if policy.Userns.Value == UsernsRequire && d.Userns.Value != UsernsRequire && d.Userns.Value != UsernsAuto {
		t.Errorf("userns: %v", d.Userns)
	}
	if policy.Seal.Value == SealAlways && d.Seal.Value != SealAlways {
		t.Errorf("seal: %v", d.Seal)
	}
	if policy.UsernsSize.IsSet() && d.UsernsSize.Value > policy.UsernsSize.Value {
		t.Errorf("userns_size: %v", d.UsernsSize)
	}
	for _, kind := range kinds {
		want, limited := policy.Limit(kind)
		if got, ok := d.Limit(kind); limited && (!ok || got > want) {
			t.Errorf("namespaces.%s: %d, %v", kind, got, ok)
		}
	}
	if policy.Capabilities.Value.Limited && !d.Capabilities.Value.and(policy.Capabilities.Value).equal(d.Capabilities.Value) {
		t.Errorf("capabilities: %v", d.Capabilities)
	}
	if d.Securebits.Value&policy.Securebits.Value != policy.Securebits.Value {
		t.Errorf("securebits: %v", d.Securebits)
	}
	if rank(seccompOrder, d.Seccomp.Value) < rank(seccompOrder, policy.Seccomp.Value) ||
		rank(noNewPrivilegesOrder, d.NoNewPrivileges.Value) < rank(noNewPrivilegesOrder, policy.NoNewPrivileges.Value) ||
		rank(overlapOrder, d.Overlap.Value) < rank(overlapOrder, policy.Overlap.Value) {
		t.Errorf("%+v", d)
	}
}
