package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

var namespaceFiles = map[specs.LinuxNamespaceType]string{
	specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
	specs.CgroupNamespace: "cgroup", specs.UserNamespace: "user", specs.TimeNamespace: "time", specs.MountNamespace: "mnt",
}

// Each namespace of another container joined by path, alone and together with its user namespace.
func TestJoinNamespaces(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, userns := range []bool{false, true} {
			first := e.Container()
			if userns {
				first = e.Container(harness.UserNamespace)
			}
			first.RunDetached().OK(e)
			pid := first.PID()
			for _, kind := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.NetworkNamespace,
				specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace} {
				path := fmt.Sprintf("/proc/%d/ns/%s", pid, namespaceFiles[kind])
				change := harness.Joined(kind, path)
				if kind == specs.UTSNamespace {
					change = harness.All(change, func(s *specs.Spec) { s.Hostname = "" })
				}
				if userns {
					change = harness.All(change, harness.UserNamespace, func(s *specs.Spec) {
						last := len(s.Linux.Namespaces) - 1
						s.Linux.Namespaces[last].Path = fmt.Sprintf("/proc/%d/ns/user", pid)
					})
				}
				c := e.Container(change)
				if userns {
					// The mappings are those of the namespace that is joined.
					c.Spec.Linux.UIDMappings, c.Spec.Linux.GIDMappings = nil, nil
					c.WriteSpec()
				}
				r := c.RunDetached()
				if r.Code != 0 {
					t.Errorf("join %s, userns %v: %s", kind, userns, r)
					continue
				}
				second := c.PID()
				if a, b := harness.Namespace(pid, namespaceFiles[kind]), harness.Namespace(second, namespaceFiles[kind]); a != b {
					t.Errorf("%s: %s was asked for, %s joined", kind, a, b)
				}
				if a, b := harness.Namespace(pid, "user"), harness.Namespace(second, "user"); a != b {
					t.Errorf("user namespaces %s and %s", a, b)
				}
				if c.Sh("echo executed") != "executed" {
					t.Errorf("exec in a container with a joined %s namespace", kind)
				}
				c.Delete("--force").OK(e)
			}
		}
	})
}

// What is no namespace, or one of another kind, is refused.
func TestJoinWrongNamespace(t *testing.T) {
	e := newEnv(t)
	fifo := e.Path("fifo")
	e.Must(mkfifo(fifo))
	for _, path := range []string{"/proc/self/ns/uts", "/etc/passwd", "/no/such/file", "/proc/self/ns", fifo, "proc/self/ns/net"} {
		c := e.Container(harness.Joined(specs.NetworkNamespace, path))
		c.Create().Fails(e, "/linux/namespaces/")
		e.CheckNothingLeft()
	}
}

// Without a namespace the container has the caller's.
func TestSharedNamespaces(t *testing.T) {
	e := newEnv(t)
	for kind, file := range map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc",
		specs.UTSNamespace: "uts", specs.PIDNamespace: "pid", specs.CgroupNamespace: "cgroup"} {
		c := e.Container(harness.Without(kind), func(s *specs.Spec) {
			if kind == specs.UTSNamespace {
				s.Hostname = ""
			}
			if kind == specs.IPCNamespace {
				s.Mounts = removeMount(s.Mounts, "/dev/mqueue")
			}
		})
		c.RunDetached().OK(e)
		if a, b := harness.Namespace(os.Getpid(), file), harness.Namespace(c.PID(), file); a != b {
			t.Errorf("%s: ours is %s, the container's %s", kind, a, b)
		}
		c.Delete("--force").OK(e)
	}
	e.CheckNothingLeft()
}

func removeMount(mounts []specs.Mount, destination string) []specs.Mount {
	var kept []specs.Mount
	for _, m := range mounts {
		if m.Destination != destination {
			kept = append(kept, m)
		}
	}
	return kept
}

func TestTimeNamespace(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) { timeNamespace(t, e) })
}

// The init cannot write its offsets itself there.
func TestTimeNamespaceInUserNamespace(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) { timeNamespace(t, e, harness.UserNamespace) })
}

func timeNamespace(t *testing.T, e *harness.Env, changes ...harness.Change) {
	if !exists("/proc/self/ns/time") {
		t.Skip("this kernel has no time namespaces")
	}
	c := e.Container(append(changes, func(s *specs.Spec) {
		s.Version = "1.1.0"
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}, "monotonic": {Secs: 50}}
	})...)
	c.RunDetached().OK(e)
	if harness.Namespace(c.PID(), "time") == harness.Namespace(os.Getpid(), "time") {
		t.Error("no time namespace of its own")
	}
	uptime := func(s string) float64 {
		var f float64
		if _, err := fmt.Sscan(s, &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	host := uptime(readFile(t, "/proc/uptime"))
	if inside := uptime(c.Sh("cat /proc/uptime")); inside < host+999000 {
		t.Errorf("uptime %v inside, %v outside", inside, host)
	}
}

// --no-pivot enters the root by moving it; the old root is out of reach as well.
func TestNoPivot(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, change := range []harness.Change{harness.All(), harness.UserNamespace} {
			c := e.Container(change)
			c.RunDetached("--no-pivot").OK(e)
			if out := c.Sh("cd /; cd ../..; pwd; ls -d bin/probe; ls -d /usr 2>&1; cat /etc/passwd | wc -l"); out !=
				"/\nbin/probe\nls: /usr: No such file or directory\n2" {
				t.Errorf("the root: %q", out)
			}
			c.Delete("--force").OK(e)
		}
		e.CheckNothingLeft()
	})
}

// After the pivot nothing of the host's is mounted in the container but what config.json names.
func TestNothingOfTheHostIsMounted(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container()
		c.RunDetached().OK(e)
		allowed := map[string]bool{"/": true}
		for _, m := range c.Spec.Mounts {
			allowed[m.Destination] = true
		}
		for _, p := range append(c.Spec.Linux.MaskedPaths, c.Spec.Linux.ReadonlyPaths...) {
			allowed[p] = true
		}
		for _, m := range e.Mounts(c.PID()) {
			if !allowed[m.Target] && !strings.HasPrefix(m.Target, "/sys/fs/cgroup/") {
				t.Errorf("mounted: %+v", m)
			}
		}
	})
}

// rootfsPropagation and the options of single mounts, as mountinfo shows them.
func TestPropagation(t *testing.T) {
	e := newEnv(t)
	tags := func(pid int, target string) string {
		var names []string
		for _, tag := range e.MountAt(pid, target).Tags {
			name, _, _ := strings.Cut(tag, ":")
			names = append(names, name)
		}
		return strings.Join(names, " ")
	}
	data := e.Path("data")
	e.Must(os.Mkdir(data, 0o755))
	for propagation, want := range map[string]string{"": "master", "slave": "master", "rslave": "master", "private": "",
		"rprivate": "", "shared": "shared", "rshared": "shared", "unbindable": "unbindable", "runbindable": "unbindable"} {
		c := e.Container(func(s *specs.Spec) { s.Linux.RootfsPropagation = propagation })
		c.RunDetached().OK(e)
		got := tags(c.PID(), "/")
		if propagation == "" && got == "" {
			got = want // both are cut off
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("rootfsPropagation %q: the root is %q, want %q", propagation, got, want)
		}
		c.Delete("--force").OK(e)
	}
	for option, want := range map[string]string{"rprivate": "", "rslave": "master", "rshared": "shared"} {
		c := e.Container(harness.Mounted("/data", "bind", data, "rbind", option))
		c.RunDetached().OK(e)
		if got := tags(c.PID(), "/data"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("a mount with %s is %q, want %q", option, got, want)
		}
		c.Delete("--force").OK(e)
	}
	e.CheckNothingLeft()
}
