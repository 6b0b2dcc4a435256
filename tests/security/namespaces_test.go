package security

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// limitAll denies every kind of namespace.
const limitAll = "user=0,mnt=0,pid=0,net=0,ipc=0,uts=0,cgroup=0,time=0"

// Every kind of namespace is denied, to root with CAP_SYS_ADMIN, and the container is made, entered and has its hooks
// and its own namespaces all the same.
func TestEveryKindDenied(t *testing.T) {
	for name, v := range map[string]confinement{
		"userns":        {userns: true, flags: []string{"-limit", limitAll}},
		"filter":        {flags: []string{"-limit", limitAll}},
		"sealed":        {flags: []string{"-limit", limitAll, "-seal", "always"}},
		"sealed userns": {userns: true, flags: []string{"-limit", limitAll, "-seal", "always"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			kinds := []uintptr{unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWNET, unix.CLONE_NEWIPC, unix.CLONE_NEWUTS, unix.CLONE_NEWCGROUP}
			_, err := os.Stat("/proc/self/ns/time")
			if err == nil { // there are kernels without
				kinds = append(kinds, unix.CLONE_NEWTIME)
			}
			script := "unshare -U true 2>/dev/null && echo user"
			for _, kind := range kinds {
				script += fmt.Sprintf("; probe syscall %d %d", unix.SYS_UNSHARE, kind)
			}
			hook := e.WriteFile("hook.sh", "#!/bin/sh\nunshare -m true && unshare -n true && echo made >"+e.Path("hooked")+"\n", 0o755)
			c := e.Container(attacker(v), harness.Sh(script), func(s *specs.Spec) {
				if err == nil {
					s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
					s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 100000}}
				}
				s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: hook, Env: []string{"PATH=/usr/bin:/bin"}}}}
			})
			if v.userns { // its root may not write there
				c.Spec.Hooks.CreateContainer[0] = specs.Hook{Path: "/usr/bin/unshare", Args: []string{"unshare", "-mn", "/bin/true"}}
				c.WriteSpec()
			}
			want := "ENOSPC"
			if name == "filter" {
				want = "EPERM"
			}
			expect := strings.TrimSpace(strings.Repeat(want+"\n", len(kinds)))
			if out := strings.TrimSpace(c.RunConfined(v.flags...).OK(e)); out != expect {
				t.Errorf("the payload: %s", out)
			}
			c.Spec.Process.Args = []string{"sleep", "1000"}
			c.WriteSpec()
			c.RunConfined(append([]string{"-detach"}, v.flags...)...).OK(e)
			if out := c.Sh(script); out != expect {
				t.Errorf("exec: %s", out)
			}
			c.Delete("--force").OK(e)
			e.CheckNothingLeft()
		})
	}
}

// A limit above 0 counts, by user; a filter does not count and says so.
func TestNumberOfNamespaces(t *testing.T) {
	e := newEnv(t)
	v := confinement{userns: true}
	const script = "for i in 1 2 3; do unshare -n sh -c 'echo made; sleep 1000' 2>&1 & sleep .1; done; sleep .2"
	c := e.Container(attacker(v), harness.Sh(script))
	out := c.RunConfined("-limit", "net=2").OK(e)
	if strings.Count(out, "made") != 2 || strings.Count(out, "No space left on device") != 1 {
		t.Errorf("with a limit of 2: %s", out)
	}
	c = e.Container(harness.Args("true"))
	c.RunConfined("-limit", "net=2").Fails(e, "limit net namespaces to 2", "none of its own")
	e.CheckNothingLeft()
}

// The filter for namespaces comes on top of the configuration's, whatever that says about clone.
func TestDeniedBesidesTheProfile(t *testing.T) {
	e := newEnv(t)
	script := "unshare -U true 2>&1; unshare -m true && echo mnt; probe syscall " + fmt.Sprint(unix.SYS_ACCT) + " 0; probe syscall " + fmt.Sprint(unix.SYS_CLONE3) + " 0 0"
	c := e.Container(attacker(confinement{}), harness.Sh(script), func(s *specs.Spec) {
		errno := uint(7)
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"clone", "unshare"}, Action: specs.ActLog},
			{Names: []string{"acct"}, Action: specs.ActErrno, ErrnoRet: &errno}}}
	})
	out := c.RunConfined("-limit", "user=0").OK(e)
	if want := "unshare: unshare(0x10000000): Operation not permitted\nmnt\nE2BIG\nENOSYS\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	e.CheckNothingLeft()
}
