package cri

import (
	"fmt"
	"os"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// refusedBecause checks that something was refused for a reason.
func refusedBecause(t *testing.T, err error, reasons ...string) {
	t.Helper()
	if err == nil {
		t.Error("it was not refused")
		return
	}
	for _, r := range reasons {
		if e := engine.Contains(err.Error(), r); e != nil {
			t.Error(e)
		}
	}
}

// within gives a pod a namespace of Kubernetes.
func within(namespace string) podOption {
	return func(c *cri.PodSandboxConfig) { c.Metadata.Namespace = namespace }
}

// usualSeccomp gives the sandbox itself the profile that the kubelet gives it.
func usualSeccomp(c *cri.PodSandboxConfig) {
	c.Linux.SecurityContext.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
}

func usualSeccompToo(s *cri.LinuxContainerSecurityContext) {
	s.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
}

const auto = "[[rule]]\nname = \"pods\"\nmatch.engine = \"kubernetes\"\nuserns = \"auto\"\n"

// TestPolicyDebian is a user namespace for each container under a daemon that knows of none.
func TestPolicyDebian(t *testing.T) {
	d := debians(t)
	d.run(t, engine.Bin(t)+"/bailey", images(t)...)
	d.command(t, engine.Bin(t)+"/bailey", "ids", "setup")
	testAuto(t, env{d, shimClass}).remove()
}

// testAuto looks at a pod whose containers get users of their own, and returns it.
func testAuto(t *testing.T, e env) *pod {
	t.Helper()
	engine.SetPolicy(t, auto)
	volume := t.TempDir()
	engine.Must(t, os.Chmod(volume, 0o777))
	p := e.pod(t, "auto-"+e.class)
	shared := mounted(&cri.Mount{HostPath: volume, ContainerPath: "/volume"})
	a := p.sleeper("a", shared, secured(func(s *cri.LinuxContainerSecurityContext) {
		s.Capabilities = &cri.Capability{AddCapabilities: []string{"NET_ADMIN"}}
	}))
	b := p.sleeper("b", shared)
	seen := make(map[string]bool)
	for _, id := range []string{a, b} {
		maps := strings.Fields(p.exec(id, "cat /proc/self/uid_map"))
		if maps[0] != "0" || maps[1] == "0" || maps[2] != "65536" || seen[maps[1]] {
			t.Errorf("the IDs are %v", maps)
		}
		seen[maps[1]] = true
		p.prints(id, "touch /x; stat -c %u /x /bin", "0\n0")
	}
	// Volumes keep their owners, so what one writes is the other's.
	p.exec(a, "echo hello >/volume/x")
	p.prints(b, "stat -c %u:%g /volume/x; cat /volume/x; echo more >>/volume/x", "0:0\nhello")
	// The network is not theirs, whatever their capabilities.
	p.refuses(a, "ip link set lo down", "Operation not permitted")
	return p
}

// TestPolicy is the policy of the machine in force on pods, of which neither the daemon nor the pods know anything. Each part is a
// line of what docs/kubernetes.md says.
func TestPolicy(t *testing.T) {
	d := newest(t)
	d.expected = "these have no effect" // capabilities over what the pod shares
	d.run(t, engine.Bin(t)+"/bailey", images(t)...)
	d.command(t, engine.Bin(t)+"/bailey", "ids", "setup")
	for _, class := range []string{shimClass, binaryClass} {
		t.Run("IDs for each container/"+class, func(t *testing.T) {
			p := testAuto(t, env{d, class})
			p.prints(p.sleeper("c"), "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
			p.remove()
		})
	}
	e := env{d, shimClass}
	t.Run("shared PIDs are refused", func(t *testing.T) {
		engine.SetPolicy(t, auto)
		p := e.pod(t, "shared", namespaces(podMode, podMode, podMode))
		defer p.remove()
		_, err := p.try("a", "exec sleep 1000")
		refusedBecause(t, err, "no power over the PID namespace that it shares", "give it a PID namespace of its own")
		_, err = e.tryPod(t, "machine", namespaces(podMode, nodeMode, podMode))
		refusedBecause(t, err, "no power over the PID namespace that it shares")
	})
	t.Run("a pod with users of its own stays as it is", func(t *testing.T) {
		engine.SetPolicy(t, auto)
		p := e.pod(t, "own", namespaces(podMode, podMode, podMode), usersOf(1<<22))
		defer p.remove()
		p.prints(p.sleeper("a"), "awk '{print $2}' /proc/self/uid_map", fmt.Sprint(1<<22))
	})
	t.Run("users are required but in one namespace", func(t *testing.T) {
		engine.SetPolicy(t, `[[rule]]
name = "pods"
match.engine = "kubernetes"
userns = "require"

[[rule]]
name = "system"
match.engine = "kubernetes"
match.annotation = { "io.kubernetes.cri.sandbox-namespace" = "kube-system" }
userns = "config"
`)
		_, err := e.tryPod(t, "without")
		refusedBecause(t, err, "user namespace", "pods", "/etc/bailey/policy.toml")
		p := e.pod(t, "with", usersOf(1<<22))
		defer p.remove()
		p.sleeper("a")
		q := e.pod(t, "system", within("kube-system"))
		defer q.remove()
		q.prints(q.sleeper("a"), "awk '{print $2}' /proc/self/uid_map", "0")
	})
	t.Run("limits", func(t *testing.T) {
		engine.SetPolicy(t, `[[rule]]
name = "pods"
match.engine = "kubernetes"
namespaces.user = 0
capabilities = ["CAP_CHOWN", "CAP_KILL"]
no_new_privileges = "set"
`)
		p := e.pod(t, "limits")
		defer p.remove()
		a := p.sleeper("a")
		p.refuses(a, "unshare -U true", "unshare")
		p.prints(a, "awk '/^Cap(Bnd|Eff):/ {print $2}' /proc/1/status", "0000000000000021\n0000000000000021")
		p.prints(a, "awk '/^NoNewPrivs:/ {print $2}' /proc/self/status", "1")
	})
	t.Run("a filter is required", func(t *testing.T) {
		engine.SetPolicy(t, "[[rule]]\nname = \"pods\"\nmatch.engine = \"kubernetes\"\nseccomp = \"require\"\n")
		p := e.pod(t, "filters", usualSeccomp)
		defer p.remove()
		_, err := p.try("open", "exec sleep 1000")
		refusedBecause(t, err, "seccomp", "pods")
		p.prints(p.sleeper("a", secured(usualSeccompToo)), "awk '/^Seccomp:/ {print $2}' /proc/self/status", "2")
	})
	t.Run("the seal", func(t *testing.T) {
		engine.SetPolicy(t, "[[rule]]\nname = \"pods\"\nmatch.engine = \"kubernetes\"\nseal = \"always\"\n")
		p := e.pod(t, "sealed")
		defer p.remove()
		sealed(t, p, p.sleeper("a"))
	})
	t.Run("a pod asks for more by annotation", func(t *testing.T) {
		engine.SetPolicy(t, "[[rule]]\nname = \"pods\"\nmatch.engine = \"kubernetes\"\nannotations = \"tighten\"\n")
		ask := map[string]string{"run.bailey.seal": "always", "run.bailey.capabilities": "CAP_CHOWN"}
		p := e.pod(t, "asks", func(c *cri.PodSandboxConfig) { c.Annotations = ask })
		defer p.remove()
		a := p.sleeper("a", func(c *cri.ContainerConfig) { c.Annotations = ask })
		sealed(t, p, a)
		p.prints(a, "awk '/^CapBnd:/ {print $2}' /proc/1/status", "0000000000000001")
		_, err := p.try("b", "exec sleep 1000", func(c *cri.ContainerConfig) { c.Annotations = map[string]string{"run.bailey.userns": "auto"} })
		refusedBecause(t, err, "run.bailey.userns")
	})
}

// sealed checks that a container is in a user namespace that maps every ID to itself.
func sealed(t *testing.T, p *pod, id string) {
	t.Helper()
	p.prints(id, "awk '{print $1, $2, $3}' /proc/self/uid_map", "0 0 4294967295")
	own, err := os.Readlink("/proc/self/ns/user")
	engine.Must(t, err)
	if p.exec(id, "readlink /proc/self/ns/user") == own {
		t.Error("it is in the machine's user namespace")
	}
}
