package podman

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const dockerfile = `FROM localhost/busybox:1
COPY file /file
RUN echo one >/one && chown 5:6 /one
RUN --mount=type=tmpfs,target=/x touch /x/y && mount | grep -q ' /x ' && grep -q 'Seccomp:.2' /proc/self/status
USER 5
RUN test $(id -u) = 5 && grep -q 'CapEff:.0*$' /proc/self/status
CMD cat /file /one
`

// buildah runs a command of Buildah's that is to work, and returns what it prints; a warning of the runtime's is an error.
func (p *podman) buildah(t testing.TB, args ...string) string {
	t.Helper()
	r := finish(t, p.buildahCommand(t, args...))
	if r.status != 0 || strings.Contains(r.err, "warning") {
		t.Fatalf("buildah %s: exit status %d: %s%s", strings.Join(args, " "), r.status, r.out, r.err)
	}
	return strings.TrimSpace(r.out)
}

func (p *podman) buildahCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := p.command(t, "buildah", args...)
	cmd.Env = append(cmd.Env, "BUILDAH_RUNTIME="+p.runtime.Path)
	return cmd
}

// isolation is the one in which Buildah calls a runtime.
func (p *podman) isolation() string {
	if p.rootless {
		return "--isolation=rootless"
	}
	return "--isolation=oci"
}

// builds are checks of Buildah, whose images Podman runs.
var builds = []steps{
	{name: "run", do: func(c *engine.C, p *podman) {
		name := p.buildah(c, "from", "--pull-never", image)
		same(c, "output", p.buildah(c, "run", p.isolation(), name, "sh", "-c", "echo made >/made; grep Seccomp: /proc/self/status; id -u"), "Seccomp:\t2\n0")
		same(c, "of a user without capabilities", p.buildah(c, "run", p.isolation(), "--runtime", p.runtime.Path, "--user=1000", "--cap-drop=all", name, "sh", "-c", "id -u; grep CapBnd /proc/self/status"), "1000\nCapBnd:\t0000000000000000")
		same(c, "a mount", p.buildah(c, "run", p.isolation(), "-v", "/run/podman-tests:/mnt:ro", name, "ls", "/mnt/busybox.tar"), "/mnt/busybox.tar")
		r := finish(c, p.buildahCommand(c, "run", p.isolation(), name, "sh", "-c", "exit 7"))
		if r.status != 7 {
			c.Errorf("exit status %d: %s", r.status, r.err)
		}
		r = finish(c, p.buildahCommand(c, "run", p.isolation(), name, "/none"))
		if r.status == 0 || engine.Contains(r.err, "/none") != nil {
			c.Errorf("exit status %d: %s", r.status, r.err)
		}
		cmd := p.buildahCommand(c, "run", p.isolation(), name, "cat")
		cmd.Stdin = strings.NewReader("input")
		same(c, "input", finish(c, cmd).out, "input")
		p.buildah(c, "commit", "-q", name, "localhost/built:1")
		p.buildah(c, "rm", name)
		same(c, "a file of the image", p.run(c, "localhost/built:1", "cat", "/made"), "made")
		p.ok(c, "rmi", "localhost/built:1")
	}},
	{name: "run with a terminal", do: func(c *engine.C, p *podman) {
		name := p.buildah(c, "from", "--pull-never", image)
		term := engine.NewTerminal(c, 33, 77)
		term.Start(p.buildahCommand(c, "run", p.isolation(), "-t", name, "sh"))
		term.Says("tty", "/dev/pts/0")
		term.Write("exit 6\n")
		if status := term.Wait(); status != 6 {
			c.Errorf("exit status %d", status)
		}
		p.buildah(c, "rm", name)
	}},
	{name: "bud", do: func(c *engine.C, p *podman) {
		p.bud(c)
		same(c, "owners", p.run(c, "localhost/bud:1", "stat", "-c", "%u %g", "/one", "/file"), "5 6\n0 0")
		p.ok(c, "rmi", "localhost/bud:1")
	}},
	{name: "bud with IDs", do: func(c *engine.C, p *podman) {
		ids := map[bool]string{false: "0:100000:65536", true: "0:1:65536"}[p.rootless]
		p.bud(c, "--userns-uid-map="+ids, "--userns-gid-map="+ids)
		p.ok(c, "rmi", "localhost/bud:1")
	}},
	{name: "scratch", do: func(c *engine.C, p *podman) {
		name := p.buildah(c, "from", "scratch")
		p.buildah(c, "copy", name, "/bin/busybox", "/bin/busybox")
		p.buildah(c, "config", "--cmd", "/bin/busybox echo from scratch", name)
		same(c, "output", p.buildah(c, "run", p.isolation(), name, "/bin/busybox", "echo", "built"), "built")
		p.buildah(c, "commit", "-q", name, "localhost/scratch:1")
		p.buildah(c, "rm", name)
		same(c, "output", p.run(c, "localhost/scratch:1"), "from scratch")
		p.ok(c, "rmi", "localhost/scratch:1")
	}},
}

// bud builds an image from a Dockerfile and runs it.
func (p *podman) bud(c *engine.C, options ...string) {
	c.Helper()
	dir := p.home + "/context"
	engine.Must(c, os.MkdirAll(dir, 0o755))
	engine.Must(c, os.WriteFile(dir+"/Dockerfile", []byte(dockerfile), 0o644))
	engine.Must(c, os.WriteFile(dir+"/file", []byte("copied\n"), 0o644))
	p.buildah(c, append(append([]string{"bud", "-q", "--pull-never", p.isolation(), "-t", "localhost/bud:1"}, options...), dir)...)
	same(c, "output", p.run(c, "localhost/bud:1"), "copied\none")
}

func TestBuildah(t *testing.T) { testBuildah(t, "Buildah", false) }

func TestBuildahRootless(t *testing.T) { testBuildah(t, "Buildah rootless", true) }

func testBuildah(t *testing.T, name string, rootless bool) {
	prepare(t)
	engine.Need(t, "buildah")
	engine.Run(t, name, engine.Runtimes(t), func(t *testing.T, r engine.Runtime) *podman {
		return newPodman(t, rootless, r)
	}, left, checksIn(rootless, builds))
}
