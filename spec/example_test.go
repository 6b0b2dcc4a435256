package spec

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// examples are all configurations that the package generates.
func examples() map[string]*specs.Spec {
	return map[string]*specs.Spec{
		"example":        Example(),
		"rootless":       ExampleRootless(1000, 100),
		"hardened":       ExampleHardened(100000, 200000, 65536),
		"hardened small": ExampleHardened(100000, 200000, 1),
	}
}

func TestExamplesAreValid(t *testing.T) {
	for name, s := range examples() {
		t.Run(name, func(t *testing.T) {
			if err := Validate(s); err != nil {
				t.Error(err)
			}
			if w := Warnings(s.Process); w != nil {
				t.Error(w)
			}
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, s) {
				t.Error("the configuration is not the same after writing and reading")
			}
			if u, err := UnknownFields(data); err != nil || len(u) != 0 {
				t.Error(u, err)
			}
		})
	}
}

// TestExampleShared fails if two calls share memory, so that changing one result changes the next.
func TestExampleShared(t *testing.T) {
	for name, s := range examples() {
		s.Process.Args[0] = "changed"
		s.Mounts[1].Options[0] = "changed"
		s.Linux.MaskedPaths[0] = "changed"
		if c := s.Process.Capabilities; len(c.Bounding) > 0 {
			c.Bounding[0] = "changed"
			if c.Effective[0] == "changed" {
				t.Errorf("%s: two capability sets share memory", name)
			}
		}
		if sc := s.Linux.Seccomp; sc != nil {
			*sc.DefaultErrnoRet = 99
		}
	}
	for name, s := range examples() {
		if err := Validate(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Process.Args[0] != "sh" || s.Mounts[1].Options[0] == "changed" || s.Linux.MaskedPaths[0] == "changed" {
			t.Errorf("%s: a change of one result shows in the next", name)
		}
		if sc := s.Linux.Seccomp; sc != nil && *sc.DefaultErrnoRet == 99 {
			t.Errorf("%s: the seccomp profiles share memory", name)
		}
	}
}

// TestExampleLikeRunc compares with the installed runc, whose users' scripts are to keep working.
func TestExampleLikeRunc(t *testing.T) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("runc is not installed")
	}
	for _, c := range []struct {
		name string
		args []string
		ours func(theirs *specs.Spec) *specs.Spec
	}{
		{"root", []string{"spec"}, func(*specs.Spec) *specs.Spec { return Example() }},
		{"rootless", []string{"spec", "--rootless"}, func(theirs *specs.Spec) *specs.Spec {
			return ExampleRootless(theirs.Linux.UIDMappings[0].HostID, theirs.Linux.GIDMappings[0].HostID)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(runc, c.args...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("runc spec: %v: %s", err, out)
			}
			theirs, err := Load(filepath.Join(dir, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := Validate(theirs); err != nil {
				t.Errorf("what runc writes is refused: %v", err)
			}
			ours := c.ours(theirs)
			for _, s := range []*specs.Spec{ours, theirs} {
				// The differences that are meant: the name, the version, the cgroup namespace; and runc before
				// 1.1.6 writes an ambient set.
				s.Hostname, s.Version = "", ""
				s.Process.Capabilities.Ambient = nil
				s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
					return ns.Type == specs.CgroupNamespace
				})
			}
			if !reflect.DeepEqual(ours, theirs) {
				a, _ := json.MarshalIndent(ours, "", "\t")
				b, _ := json.MarshalIndent(theirs, "", "\t")
				t.Errorf("ours:\n%s\nrunc's:\n%s", a, b)
			}
		})
	}
}

// TestHardenedProfile checks that no system call has two answers, and that none of those that give an attacker
// most is allowed.
func TestHardenedProfile(t *testing.T) {
	seen := map[string]bool{}
	allowed := map[string]bool{}
	for i, rule := range hardenedSeccomp().Syscalls {
		for _, name := range rule.Names {
			if i < 2 && seen[name] {
				t.Errorf("%s is named twice", name)
			}
			seen[name] = true
			if rule.Action == specs.ActAllow && len(rule.Args) == 0 {
				allowed[name] = true
			}
		}
	}
	for _, name := range []string{
		"bpf", "clone", "clone3", "io_uring_setup", "keyctl", "mount", "move_mount", "open_by_handle_at",
		"perf_event_open", "personality", "pivot_root", "ptrace", "setns", "socket", "unshare", "userfaultfd",
	} {
		if allowed[name] {
			t.Errorf("%s is allowed", name)
		}
	}
	for _, name := range []string{"execve", "openat", "read", "mmap", "futex", "rt_sigreturn", "exit_group"} {
		if !allowed[name] {
			t.Errorf("%s is not allowed", name)
		}
	}
}

func TestUnknownFields(t *testing.T) {
	got, err := UnknownFields([]byte(`{"ociVersion":"1.3.0","Process":{},"process":{"arg":["x"],"env":null,"user":{"UID":0}},` +
		`"windows":{"x":1},"linux":{"sysctls":{"a":"b"},"sysctl":{"free":"name"},"namespaces":[{"typ":"pid"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/Process", "/process/arg", "/process/user/UID", "/linux/sysctls", "/linux/namespaces/0/typ"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := UnknownFields([]byte(`{`)); err == nil {
		t.Error("a broken document is accepted")
	}
}

func TestWarnings(t *testing.T) {
	caps := &specs.LinuxCapabilities{
		Bounding:    []string{"CAP_KILL", "CAP_FLY", "cap_chown"},
		Effective:   []string{"CAP_FLY", "CAP_KILL", "CAP_CHOWN"},
		Permitted:   []string{"CAP_KILL", "CAP_FLY"},
		Inheritable: []string{"CAP_KILL"},
		Ambient:     []string{"CAP_KILL"},
	}
	if got := UnknownCapabilities(caps); !slices.Equal(got, []string{"CAP_FLY", "cap_chown"}) {
		t.Errorf("unknown: %q", got)
	}
	if !slices.IsSorted(capabilities) {
		t.Error("the list of capabilities must be sorted, it is searched by halves")
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(capabilities)))); n != 41 {
		t.Errorf("%d capabilities, Linux 6.x has 41", n)
	}
	w := Warnings(&specs.Process{Capabilities: caps, ConsoleSize: &specs.Box{Height: 1, Width: 1}})
	if len(w) != 4 { // CAP_FLY, cap_chown, effective CAP_CHOWN, consoleSize
		t.Errorf("%q", w)
	}
	// Of an ambient set that has been forgotten nobody is told; of one that was meant, yes.
	ambient := &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Permitted: []string{"CAP_KILL", "CAP_CHOWN"}, Ambient: []string{"CAP_KILL"}}
	if w := Warnings(&specs.Process{Capabilities: ambient}); len(w) != 0 {
		t.Errorf("%q", w)
	}
	ambient.Inheritable = []string{"CAP_CHOWN"}
	if w := Warnings(&specs.Process{Capabilities: ambient}); len(w) != 1 {
		t.Errorf("%q", w)
	}
	if Warnings(nil) != nil || UnknownCapabilities(nil) != nil {
		t.Error("warnings about nothing")
	}
}

func TestSysctlPath(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_forward":             "net/ipv4/ip_forward",
		"net/ipv4/ip_forward":             "net/ipv4/ip_forward",
		"net.ipv4.conf.eth0/1.mtu":        "net/ipv4/conf/eth0.1/mtu",
		"net/ipv4/conf/eth0.1/mtu":        "net/ipv4/conf/eth0.1/mtu",
		"":                                "",
		".":                               "",
		"net.":                            "",
		"net..x":                          "",
		"/net/x":                          "",
		"net/../kernel/core_pattern":      "",
		"net.//.kernel":                   "",
		"net/x\n":                         "",
		"net.ipv4.conf.all.rp_filter\x00": "",
	} {
		if got := SysctlPath(key); got != want {
			t.Errorf("SysctlPath(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestBadList(t *testing.T) {
	good := []string{"", "0", "0-3", "0-3,7", "0,2,4\n", "65535", "5-5"}
	refused := []string{",", "0,", "-", "1-", "-1", "3-1", "a", "0 1", "0-65536", "99999999999999999999", "0x1", "+1", "1-2-3"}
	for _, l := range good {
		if why := badList(l); why != "" {
			t.Errorf("%q: %s", l, why)
		}
	}
	for _, l := range refused {
		if badList(l) == "" {
			t.Errorf("%q is accepted", l)
		}
	}
}
