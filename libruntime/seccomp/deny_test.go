//go:build cgo

package seccomp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func deny(t *testing.T, p *Program, kinds uint32) *Program {
	t.Helper()
	d, err := DenyNamespaces(p, kinds)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)

// Every ABI's numbers, with and without other flags, and nothing but the kinds named.
func TestDenyNamespaces(t *testing.T) {
	needAMD64(t)
	const user, time, sigchld = unix.CLONE_NEWUSER, unix.CLONE_NEWTIME, uint64(unix.SIGCHLD)
	d := deny(t, nil, user|time)
	for abi, c := range map[string]struct {
		call                          func(uint32, ...uint64) call
		clone, unshare, setns, clone3 uint32
	}{"x86-64": {amd64, 56, 272, 308, 435}, "x32": {x32, 56, 272, 308, 435}, "i386": {i386, 120, 310, 346, 435}} {
		for _, want := range []struct {
			what    string
			c       call
			verdict uint32
		}{
			{"clone of a process", c.call(c.clone, sigchld), allow},
			{"clone of a user namespace", c.call(c.clone, user|sigchld), eperm},
			{"clone of several", c.call(c.clone, user|unix.CLONE_NEWNS|sigchld), eperm},
			{"clone of another", c.call(c.clone, unix.CLONE_NEWNET|sigchld), allow},
			{"clone with high bits", c.call(c.clone, user|1<<40), eperm},
			{"clone with bit 7", c.call(c.clone, 0x80), allow},
			{"unshare of nothing", c.call(c.unshare, 0), allow},
			{"unshare of a time namespace", c.call(c.unshare, time), eperm},
			{"unshare of another", c.call(c.unshare, unix.CLONE_NEWNET), allow},
			{"setns of any", c.call(c.setns, 3, 0), eperm},
			{"setns of any, high bits", c.call(c.setns, 3, 1<<32), eperm},
			{"setns of a user namespace", c.call(c.setns, 3, user), eperm},
			{"setns of another", c.call(c.setns, user, unix.CLONE_NEWNET), allow},
			{"clone3", c.call(c.clone3), enosys},
			{"another system call", c.call(3, user, user), allow},
		} {
			expect(t, d, abi+": "+want.what, want.c, want.verdict)
		}
	}
	expect(t, d, "an unknown ABI", call{nr: 56, arch: unix.AUDIT_ARCH_S390X, args: [6]uint64{user}}, kill)
}

// dockerLike allows clone whatever its arguments, kills for one system call and answers another with an errno.
func dockerLike() *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		rule(specs.ActKillProcess, "acct"), rule(specs.ActErrno, "swapon"), rule(specs.ActLog, "unshare"),
	}}
}

// What the profile refuses it refuses in its own way, and its other verdicts stay.
func TestDenyNamespacesKeepsTheProfile(t *testing.T) {
	needAMD64(t)
	killing := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{rule(specs.ActKillProcess, "unshare")}}
	d := deny(t, compile(t, killing), unix.CLONE_NEWUSER)
	expect(t, d, "unshare, for which the profile kills", amd64(272, unix.CLONE_NEWUSER), kill)

	p := compile(t, dockerLike())
	d = deny(t, p, unix.CLONE_NEWUSER)
	expect(t, d, "acct", amd64(163), kill)
	expect(t, d, "swapon", amd64(167), eperm)
	expect(t, d, "unshare, logged", amd64(272, unix.CLONE_NEWNET), uint32(unix.SECCOMP_RET_LOG))
	expect(t, d, "unshare, logged and denied", amd64(272, unix.CLONE_NEWUSER), eperm)

	docker := compile(t, dockerProfile(t))
	d = deny(t, docker, unix.CLONE_NEWUSER)
	differs := map[uint32]bool{56: true, 272: true, 308: true, 435: true}
	for nr := range uint32(600) {
		want, _ := run(t, docker.Filter, amd64(nr))
		if got, _ := run(t, d.Filter, amd64(nr)); got != want && !differs[nr] {
			t.Errorf("Docker's profile, system call %d: %#x, want %#x", nr, got, want)
		}
	}
	t.Logf("Docker's profile: %d instructions, with the denial %d", docker.Len(), d.Len())
}

// The kernel takes the program.
func TestDenyNamespacesInTheKernel(t *testing.T) {
	needAMD64(t)
	d := deny(t, nil, unix.CLONE_NEWUSER)
	lines, state := try(t, job{d.Filter, 0, []uint32{unix.SYS_GETPID, unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_CLONE3}})
	want := fmt.Sprintf("loaded 0 listener false|0|%d|0|%d", unix.EPERM, unix.ENOSYS)
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("%q (%v), want %q", got, state, want)
	}
}
