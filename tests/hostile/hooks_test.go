package hostile

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func hook(point, s string) string { return `{"hooks":{"` + point + `":[{` + s + `}]}}` }

func script(s string) string {
	return fmt.Sprintf(`"path":"/bin/sh","env":["PATH=/bin:/usr/bin"],"args":["sh","-c",%q]`, s)
}

var hookErrors = []refusal{
	{"relative", hook("prestart", `"path":"bin/true"`), "/hooks/prestart/0/path", ""},
	{"no path", hook("createRuntime", `"args":["true"]`), "/hooks/createRuntime/0/path", ""},
	{"timeout zero", hook("poststop", `"path":"/bin/true","timeout":0`), "/hooks/poststop/0/timeout", ""},
	{"missing", hook("prestart", `"path":"/bin/none"`), "/hooks/prestart/0", "ENOENT"},
	{"not executable", hook("createRuntime", `"path":"/etc/passwd"`), "/hooks/createRuntime/0", "EACCES"},
	{"directory", hook("createRuntime", `"path":"/etc"`), "/hooks/createRuntime/0", "EACCES"},
	{"FIFO", hook("createRuntime", `"path":"@DIR/fifo"`), "/hooks/createRuntime/0", "EACCES"},
	{"of no format", hook("createRuntime", `"path":"@DIR/garbage"`), "/hooks/createRuntime/0", "ENOEXEC"},
	{"missing in the container", hook("createContainer", `"path":"/bin/none"`), "/hooks/createContainer/0", "ENOENT"},
	{"missing at the start", hook("startContainer", `"path":"/bin/none"`), "/hooks/startContainer", "ENOENT"},
	{"missing after the start", hook("poststart", `"path":"/bin/none"`), "/hooks/poststart/0", "ENOENT"},
	{"fails", hook("prestart", script("echo out; echo why >&2; exit 3")), "/hooks/prestart/0", "why"},
	{"writes lines and escapes", hook("prestart", script(`printf 'a\nbailey: ok\n\033[2J\r\377'; exit 3`)), "/hooks/prestart/0", "exit status 3"},
	{"writes without end", hook("prestart", script(`head -c 30000000 /dev/zero | tr '\0' 'x'; exit 3`)), "/hooks/prestart/0", "exit status 3"},
	{"kills itself", hook("createRuntime", script("kill -9 $$")), "/hooks/createRuntime/0", "killed"},
	{"fails in the container", hook("createContainer", script("echo why; exit 3")), "/hooks/createContainer/0", "exit status 3: why"},
	{"fails at the start", hook("startContainer", script("echo why; exit 103")), "/hooks/startContainer", "exit status 103: why"},
	{"is killed at the start", hook("startContainer", script("kill -9 $$")), "/hooks/startContainer", "killed by signal 9"},
	{"writes escapes at the start", hook("startContainer", script(`printf '\033[2J\nx'; exit 3`)), "/hooks/startContainer", "exit status 3"},
	{"fails after the start", hook("poststart", script("exit 3")), "/hooks/poststart/0", "3"},
	{"hangs", hook("createRuntime", `"timeout":1,`+script("sleep 1000")), "/hooks/createRuntime/0", "timeout"},
	{"hangs in the container", hook("createContainer", `"timeout":1,`+script("sleep 1000")), "/hooks/createContainer/0", ""},
	{"hangs at the start", hook("startContainer", `"timeout":1,`+script("sleep 1000")), "/hooks/startContainer", ""},
	{"hangs after the start", hook("poststart", `"timeout":1,`+script("sleep 1000")), "/hooks/poststart/0", "timeout"},
	{"ignores signals", hook("createRuntime", `"timeout":1,`+script("trap '' TERM INT HUP; sleep 1000")), "/hooks/createRuntime/0", "timeout"},
	{"second of two", `{"hooks":{"prestart":[{"path":"/bin/true"},{"path":"/bin/none"}]}}`, "/hooks/prestart/1", ""},
}

func TestHooks(t *testing.T) {
	for _, tc := range hookErrors {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			p.WriteFile("garbage", "\x00garbage", 0o755)
			// The payload of a container whose poststart hook fails has to be ended by the runtime.
			if strings.Contains(tc.patch, `"poststart"`) {
				tc.patch = strings.TrimSuffix(tc.patch, "}") + `,"process":{"args":["sleep","1000"]}}`
			}
			p.refuse(tc)
		})
	}
}

// A poststop hook comes too late to keep anything from being removed: it is a warning.
func TestPoststopHooks(t *testing.T) {
	for name, h := range map[string]string{
		"missing": `"path":"/bin/none"`, "fails": script("exit 3"), "hangs": `"timeout":1,` + script("sleep 1000"),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container(harness.Args("true"))
			c.WriteConfig(patched(t, config(t, c), hook("poststop", h)))
			c.Run().OK(p.Env)
			if level, message := p.lastLogged(); level != "warning" || !strings.Contains(message, "/hooks/poststop/0") {
				t.Errorf("logged: %s: %s", level, message)
			}
			p.nothingLeft()
			c.Create().OK(p.Env)
			c.Delete("--force").OK(p.Env)
			p.nothingLeft()
		})
	}
}

// A hook that works on its own container while it is being made waits for nothing that waits for the hook.
func TestHooksThatUseTheRuntime(t *testing.T) {
	for name, command := range map[string]string{
		"state": "state %s", "kill": "kill %s KILL", "start": "start %s", "exec": "exec %s true", "delete": "delete %s",
		"force": "delete --force %s", "create": "create %s",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container(harness.Args("true"))
			// start and delete wait for the lock, which the create holds that waits for the hook.
			line := "timeout 2 " + p.Runtime + " --root " + p.Root + " " + fmt.Sprintf(command, c.ID) + " >" + p.Path("out") + " 2>&1; echo done >>" + p.Path("out")
			c.WriteConfig(patched(t, config(t, c), hook("createRuntime", `"timeout":20,`+script(line))))
			r := c.Run()
			switch name {
			case "kill", "force":
				p.refused(r)
			default:
				r.OK(p.Env)
			}
			p.nothingLeft()
			if b, err := os.ReadFile(p.Path("out")); err != nil || !strings.HasSuffix(string(b), "done\n") {
				t.Errorf("the hook: %q, %v", b, err)
			}
		})
	}
}

// A hook that leaves a daemon behind with the standard streams open does not keep the runtime.
func TestHookLeavesDaemon(t *testing.T) {
	p := newPlace(t)
	c := p.Container(harness.Args("true"))
	c.WriteConfig(patched(t, config(t, c), hook("createRuntime", script("setsid sleep 1000 & echo $! >"+p.Path("pid")))))
	begin := time.Now()
	c.Run().OK(p.Env)
	if d := time.Since(begin); d > harness.Timeout/2 {
		t.Errorf("it took %v", d)
	}
	var pid int
	b, err := os.ReadFile(p.Path("pid"))
	p.Must(err)
	_, err = fmt.Sscan(string(b), &pid)
	p.Must(err)
	if !harness.Alive(pid) {
		t.Error("the daemon, which is not the container's, was killed")
	}
	daemon, err := os.FindProcess(pid)
	p.Must(err)
	p.Must(daemon.Kill())
	p.nothingLeft()
}
