package cri

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// daemonChecks are about daemons and shims that end.
var daemonChecks = []engine.Check[env]{
	{Name: "the daemon is killed, and pods go on", Do: func(c *engine.C, e env) {
		p := e.pod(c, "goeson")
		defer p.remove()
		a := p.start("a", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done")
		short := p.start("short", "sleep 1; exit 5")
		pid, shim := e.pidOf(c, a), engine.Shims(p.t, p.id)
		e.killed()
		time.Sleep(1500 * time.Millisecond) // one container ends meanwhile
		e.start(c)
		if s := e.status(c, a); s.State != cri.ContainerState_CONTAINER_RUNNING || e.pidOf(c, a) != pid {
			c.Errorf("%v", s)
		}
		// containerd's own shim tells nobody of what has ended meanwhile.
		if s := p.ended(short); s.ExitCode != 5 && (e.class == shimClass || s.ExitCode != 255) {
			c.Errorf("the one that has ended: %v", s)
		}
		p.prints(a, "echo alive", "alive")
		if now := engine.Shims(p.t, p.id); fmt.Sprint(now) != fmt.Sprint(shim) {
			c.Errorf("the shims were %v and are %v", shim, now)
		}
		b := p.sleeper("b")
		p.prints(b, "echo new", "new")
		_, err := e.runtime.StopContainer(soon(c), &cri.StopContainerRequest{ContainerId: a})
		engine.Must(c, err)
		if s := p.ended(a); s.ExitCode != 137 {
			c.Errorf("%v", s)
		}
	}},
	{Name: "the shim is killed, and its pod is cleaned up", Do: func(c *engine.C, e env) {
		p := e.pod(c, "orphan")
		a, b := p.sleeper("a"), p.sleeper("b")
		pid := e.pidOf(c, a)
		engine.Must(c, syscall.Kill(engine.Shims(p.t, p.id)[0], syscall.SIGKILL))
		for _, id := range []string{a, b} {
			if s := p.ended(id); s.ExitCode != 137 && s.ExitCode != 255 {
				c.Errorf("%v", s)
			}
		}
		engine.Eventually(c, "the container's process is gone", func() error {
			// One that nobody reaps has no command line.
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(b) > 0 {
				return fmt.Errorf("it is %q", b)
			}
			return nil
		})
		engine.Eventually(c, "the pod is not ready", func() error {
			s, err := e.runtime.PodSandboxStatus(soon(c), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
			if err == nil && s.Status.State == cri.PodSandboxState_SANDBOX_READY {
				err = errors.New("it is")
			}
			return err
		})
		p.remove()
	}},
	{Name: "the daemon is away when the shim is killed", Do: func(c *engine.C, e env) {
		p := e.pod(c, "both")
		a := p.sleeper("a")
		shim := engine.Shims(p.t, p.id)[0]
		e.killed()
		engine.Must(c, syscall.Kill(shim, syscall.SIGKILL))
		e.start(c)
		if s := p.ended(a); s.ExitCode == 0 {
			c.Errorf("%v", s)
		}
		p.remove()
	}},
}
