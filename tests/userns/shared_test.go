package userns

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// pod is a container whose namespaces others join, and those that engines have joined.
func pod(e *harness.Env) (*harness.Container, harness.Change) {
	e.T.Helper()
	sandbox := e.Container()
	sandbox.RunDetached().OK(e)
	e.Tool("nsenter", "-t", fmt.Sprint(sandbox.PID()), "-n", "ip", "link", "add", "pod0", "type", "veth", "peer", "name", "pod1")
	at := fmt.Sprintf("/proc/%d/ns/", sandbox.PID())
	return sandbox, harness.All(harness.Joined(specs.NetworkNamespace, at+"net"), harness.Joined(specs.IPCNamespace, at+"ipc"),
		harness.Joined(specs.UTSNamespace, at+"uts"), func(s *specs.Spec) { s.Hostname = "" })
}

// eachView runs a test in all cgroup views that the machine can show.
func eachView(t *testing.T, f func(t *testing.T, e *harness.Env)) {
	harness.NeedRoot(t)
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			f(t, harness.NewWithAccount(t, v, harness.AccountSize))
		})
	}
}

// A container of a pod joins network, IPC and UTS namespaces that are not its user namespace's: what it is to see and to set of
// them is made outside.
func TestPod(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		sandbox, joined := pod(e)
		c := e.Container(joined, func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "123", "net.ipv4.conf.pod0.forwarding": "1", "kernel.shmmni": "4000"}
		}, harness.Capabilities("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_OWNER", "CAP_CHOWN"))
		c.RunDetached("--userns", "auto").OK(e)
		for _, kind := range []string{"net", "ipc", "uts"} {
			if harness.Namespace(c.PID(), kind) != harness.Namespace(sandbox.PID(), kind) {
				t.Errorf("%s is not the pod's", kind)
			}
		}
		got := c.Sh("ls /sys/class/net | grep -v -e tunl -e sit -e gre -e erspan -e vti -e tnl; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/conf/pod0/forwarding /proc/sys/kernel/shmmni; hostname")
		if got != "lo\npod0\npod1\n123\n1\n4000\n"+sandbox.Spec.Hostname {
			t.Errorf("inside: %q", got)
		}
		// Files in the queue belong to whom they belong in the namespace's own user namespace; everybody may use one that is open to all.
		if m := e.MountAt(c.PID(), "/dev/mqueue"); m == nil || m.Type != "mqueue" || !m.Has("nosuid") || !m.Has("noexec") {
			t.Errorf("mqueue: %+v", m)
		}
		if m := e.MountAt(c.PID(), "/sys"); m == nil || m.Type != "sysfs" || !m.Has("ro") {
			t.Errorf("sysfs: %+v", m)
		}
		sandbox.Sh("touch /dev/mqueue/q; chmod 666 /dev/mqueue/q")
		if got := c.Sh("ls /dev/mqueue; cat /dev/mqueue/q | grep -c QSIZE; touch /sys/x 2>&1 | grep -c -i 'read-only'"); got != "q\n1\n1" {
			t.Errorf("the queue: %q", got)
		}
		if got := c.Exec([]string{"--user", "1000:1000"}, "sh", "-c", "touch /dev/mqueue/mine; ls -ln /dev/mqueue | grep -c 1000.*mine").OK(e); got != "1\n" {
			t.Errorf("a queue of the container's: %q", got)
		}
		if got := sandbox.Sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start"); got != "123" {
			t.Errorf("in the pod: %q", got)
		}
		warnings := strings.Join(e.LogWarnings(), "\n")
		for _, text := range []string{"/process/capabilities", "over the net namespace", "CAP_NET_ADMIN, CAP_NET_RAW", "over the ipc namespace", "CAP_IPC_OWNER"} {
			if !strings.Contains(warnings, text) {
				t.Errorf("no warning with %q: %s", text, warnings)
			}
		}
		// What is joined by exec is the container's, not the sandbox's.
		if got := c.Exec([]string{"--user", "1000"}, "sh", "-c", "id -u; readlink /proc/self/ns/user; tr -s ' ' </proc/self/gid_map").OK(e); !strings.HasPrefix(got, "1000\n"+harness.Namespace(c.PID(), "user")) {
			t.Errorf("exec: %q", got)
		}
		c.Delete("--force").OK(e)
	})
}

// With the machine's network and IPC the same holds; what a container cannot have is refused with the reason.
func TestNamespacesOfTheMachine(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Without(specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace), func(s *specs.Spec) { s.Hostname = "" })
	c.RunDetached("--userns", "auto").OK(e)
	have, err := os.ReadDir("/sys/class/net")
	e.Must(err)
	if got := strings.Fields(c.Sh("ls /sys/class/net")); len(got) != len(have) {
		t.Errorf("devices: %v", got)
	}
	if got := c.Sh("hostname hacked 2>&1 | grep -c -i 'not permitted'; mount | grep -c 'mqueue on /dev/mqueue'"); got != "1\n1" {
		t.Errorf("%q", got)
	}
	c.Delete("--force").OK(e)

	for _, change := range []harness.Change{harness.Without(specs.PIDNamespace), harness.Joined(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", os.Getpid()))} {
		c = e.Container(change)
		c.Create("--userns", "auto").Fails(e, "config.json /mounts/0", "mount proc on /proc", "PID namespace", "--userns config")
		e.Bailey("plan", "--userns", "auto", "--bundle", c.Bundle).Fails(e, "PID namespace", "--userns config")
	}
	// The machine's procfs bound in, as engines do for the PID namespace of the machine, is shown as it is.
	c = e.Container(harness.Without(specs.PIDNamespace), func(s *specs.Spec) {
		s.Mounts[0] = specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	})
	c.RunDetached("--userns", "auto").OK(e)
	if got := c.Sh("test -d /proc/" + fmt.Sprint(os.Getpid()) + " && id -u"); got != "0" {
		t.Errorf("%q", got)
	}
	c.Delete("--force").OK(e)
	noneHeld(e)
}

// The machine's sysctls are not written for a container that shares a namespace with the machine: without a namespace of its own
// the configuration is invalid.
func TestSysctlOfTheMachine(t *testing.T) {
	e := newEnv(t)
	before, _ := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	c := e.Container(harness.Without(specs.NetworkNamespace), func(s *specs.Spec) {
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "77"}
	})
	c.Create("--userns", "auto").Fails(e, "/linux/sysctl")
	after, _ := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if string(before) != string(after) {
		t.Errorf("%q became %q", before, after)
	}
	noneHeld(e)
}
