package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/spec"
)

// configurations are many that differ in what Apply looks at.
func configurations() []*specs.Spec {
	list := []*specs.Spec{{}, {Process: &specs.Process{}}, {Linux: &specs.Linux{}}}
	for range 2 {
		list = append(list, spec.Example(), spec.ExampleRootless(1000, 1000), spec.ExampleHardened(100000, 100000, 65536))
	}
	for i, c := range []*specs.LinuxCapabilities{
		nil, {}, {Bounding: []string{}}, {Bounding: []string{"CAP_NOPE", "CAP_KILL"}, Ambient: []string{"CAP_KILL"}},
		{Bounding: []string{"CAP_SYS_ADMIN"}, Effective: []string{"CAP_SYS_ADMIN"}, Permitted: []string{"CAP_SYS_ADMIN"}, Inheritable: []string{"CAP_SYS_ADMIN"}},
	} {
		s := spec.Example()
		s.Process.Capabilities = c
		s.Process.NoNewPrivileges = i%2 == 0
		s.Annotations = map[string]string{"a": "b"}
		list = append(list, s)
	}
	return list
}

func clone(t *testing.T, s *specs.Spec) *specs.Spec {
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	c := new(specs.Spec)
	if err := json.Unmarshal(data, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNothingDecidedChangesNothing(t *testing.T) {
	said, err := mustParse(t, `[defaults]
userns = "config"
namespaces = { user = "config", net = 0 }
capabilities = "config"
seccomp = "config"
no_new_privileges = "config"
securebits = ["noroot"]
seal = "always"
overlap = "refuse"
`).Decide(onRoot, Asked{Userns: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	// What others carry out changes nothing here either.
	for _, d := range []*Decision{{}, &said} {
		for i, s := range configurations() {
			// Once with the pointers and lists themselves, once with the values of a deep copy.
			shallow, before := *s, clone(t, s)
			if err := Apply(s, d); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			if !reflect.DeepEqual(shallow, *s) || !reflect.DeepEqual(before, clone(t, s)) {
				t.Errorf("%d was changed", i)
			}
		}
	}
}

func TestCeiling(t *testing.T) {
	d, err := mustParse(t, `[defaults]
capabilities = ["CAP_KILL", "CAP_CHOWN"]
`).Decide(onRoot, Asked{})
	if err != nil {
		t.Fatal(err)
	}
	shared := []string{"CAP_SYS_ADMIN", "CAP_KILL", "CAP_NOPE", "CAP_CHOWN"}
	original := slices.Clone(shared)
	s := spec.Example()
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: shared, Effective: shared, Permitted: shared, Inheritable: shared, Ambient: shared[:2]}
	if err := Apply(s, &d); err != nil {
		t.Fatal(err)
	}
	two := []string{"CAP_KILL", "CAP_CHOWN"}
	want := &specs.LinuxCapabilities{Bounding: two, Effective: two, Permitted: two, Inheritable: two, Ambient: two[:1]}
	if !reflect.DeepEqual(s.Process.Capabilities, want) {
		t.Errorf("%+v", s.Process.Capabilities)
	}
	if !slices.Equal(shared, original) {
		t.Errorf("the list that the sets share was changed: %v", shared)
	}
	// A process that joins later is under the same ceiling.
	p := &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: original, Ambient: original}}
	if err := ApplyProcess(p, "--process", &d); err != nil || !slices.Equal(p.Capabilities.Bounding, two) || !slices.Equal(p.Capabilities.Ambient, two) {
		t.Errorf("%v, %+v", err, p.Capabilities)
	}
}

func TestNoCapabilities(t *testing.T) {
	d, err := mustParse(t, "[defaults]\ncapabilities = []\n").Decide(onRoot, Asked{})
	if err != nil {
		t.Fatal(err)
	}
	s := spec.Example()
	if err := Apply(s, &d); err != nil {
		t.Fatal(err)
	}
	c := s.Process.Capabilities
	for _, set := range [][]string{c.Bounding, c.Effective, c.Permitted, c.Inheritable, c.Ambient} {
		if len(set) > 0 {
			t.Errorf("%+v", c)
		}
	}
}

func TestRequire(t *testing.T) {
	allow := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	deny := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"reboot"}, Action: specs.ActErrno}}}
	for name, tc := range map[string]struct {
		policy string
		asked  Asked
		change func(*specs.Spec)
		origin string // "" where it is granted
	}{
		"no userns":     {policy: `userns = "require"`, origin: "/linux/namespaces"},
		"userns":        {policy: `userns = "require"`, change: func(s *specs.Spec) { *s = *spec.ExampleRootless(0, 0) }},
		"userns by us":  {policy: `userns = "require"`, asked: Asked{Userns: "auto"}},
		"no linux":      {policy: `userns = "require"`, change: func(s *specs.Spec) { s.Linux = nil }, origin: "/linux/namespaces"},
		"no seccomp":    {policy: `seccomp = "require"`, origin: "/linux/seccomp"},
		"allows all":    {policy: `seccomp = "require"`, change: func(s *specs.Spec) { s.Linux.Seccomp = allow }, origin: "/linux/seccomp"},
		"seccomp":       {policy: `seccomp = "require"`, change: func(s *specs.Spec) { s.Linux.Seccomp = deny }},
		"nnp":           {policy: `no_new_privileges = "require"`},
		"no nnp":        {policy: `no_new_privileges = "require"`, change: func(s *specs.Spec) { s.Process.NoNewPrivileges = false }, origin: "/process/noNewPrivileges"},
		"nnp set":       {policy: `no_new_privileges = "set"`, change: func(s *specs.Spec) { s.Process.NoNewPrivileges = false }},
		"no process":    {policy: `no_new_privileges = "require"`, change: func(s *specs.Spec) { s.Process = nil }},
		"all is config": {policy: "userns = \"config\"\nseccomp = \"config\"\nno_new_privileges = \"config\""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := mustParse(t, "[defaults]\n"+tc.policy).Decide(onRoot, tc.asked)
			if err != nil {
				t.Fatal(err)
			}
			s := spec.Example()
			if tc.change != nil {
				tc.change(s)
			}
			err = Apply(s, &d)
			if tc.origin == "" {
				if err != nil {
					t.Error(err)
				}
				if d.NoNewPrivileges.Value == NoNewPrivilegesSet && !s.Process.NoNewPrivileges {
					t.Error("it was not set")
				}
				return
			}
			isFault(t, err, tc.origin)
			if cause, remedy := fault.Explain(err); remedy == "" || cause != tc.policy+" by defaults (p.toml:2)" {
				t.Errorf("cause %q, remedy %q", cause, remedy)
			}
		})
	}
}
