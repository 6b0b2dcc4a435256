package try

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// call is a system call and what it must come to. Where its arguments are those of a call that fails anyhow, the filter has
// to be what it fails by.
type call struct {
	want string
	args []int
}

var calls = []call{
	{"EPERM", []int{unix.SYS_BPF, 0, 0, 0}},
	{"EPERM", []int{unix.SYS_PERF_EVENT_OPEN, 0, 0, -1, -1, 0}},
	{"ENOSYS", []int{unix.SYS_IO_URING_SETUP, 1, 0}},
	{"EPERM", []int{unix.SYS_PTRACE, 16, 1}},
	{"EPERM", []int{unix.SYS_PROCESS_VM_READV, 1, 0, 0, 0, 0, 0}},
	{"EPERM", []int{unix.SYS_KEYCTL, 0, -3, 1}},
	{"EPERM", []int{unix.SYS_ADD_KEY, 0, 0, 0, 0, -3}},
	{"EPERM", []int{unix.SYS_REQUEST_KEY, 0, 0, 0, 0}},
	{"EPERM", []int{unix.SYS_USERFAULTFD, 1}},
	{"EPERM", []int{unix.SYS_OPEN_BY_HANDLE_AT, -100, 0, 0}},
	{"EPERM", []int{unix.SYS_PIDFD_GETFD, 0, 0, 0}},
	{"EPERM", []int{unix.SYS_SYSLOG, 3, 0, 0}},
	{"EPERM", []int{unix.SYS_SETNS, 0, 0}},
	{"EPERM", []int{unix.SYS_UNSHARE, unix.CLONE_NEWUSER}},
	{"EPERM", []int{unix.SYS_UNSHARE, unix.CLONE_NEWNET}},
	{"ENOSYS", []int{unix.SYS_CLONE3, 0, 0}},
	{"EPERM", []int{unix.SYS_OPEN_TREE, -100, 0, 1}},
	{"EPERM", []int{unix.SYS_FSOPEN, 0, 0}},
	{"EPERM", []int{unix.SYS_INIT_MODULE, 0, 0, 0}},
	{"EPERM", []int{unix.SYS_KEXEC_LOAD, 0, 0, 0, 0}},
	{"ENOSYS", []int{unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0}},
	{"ENOSYS", []int{unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0}},
	{"ENOSYS", []int{unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0}},
	{"ENOSYS", []int{unix.SYS_SOCKETPAIR, unix.AF_TIPC, unix.SOCK_STREAM, 0, 0}},

	// Set-ID bits, and beside them what is as wrong and has none.
	{"EPERM", []int{unix.SYS_FCHMODAT, -100, 0, 0o4755}},
	{"EFAULT", []int{unix.SYS_FCHMODAT, -100, 0, 0o1755}},
	{"EPERM", []int{unix.SYS_FCHMOD, 0, 0o2755}},
	{"ENOSYS", []int{unix.SYS_OPENAT, -100, 0, unix.O_CREAT, 0o4755}},
	{"EFAULT", []int{unix.SYS_OPENAT, -100, 0, unix.O_CREAT, 0o755}},
	{"EFAULT", []int{unix.SYS_OPENAT, -100, 0, 0, 0o4755}},
	{"ENOSYS", []int{unix.SYS_OPENAT, -100, 0, unix.O_TMPFILE | unix.O_RDWR, 0o2755}},
	{"ENOSYS", []int{unix.SYS_OPENAT2, -100, 0, 0, 24}},
	{"ENOSYS", []int{unix.SYS_MKNODAT, -100, 0, unix.S_IFREG | 0o4755, 0}},
	{"ENOSYS", []int{unix.SYS_MKDIRAT, -100, 0, 0o2755}},
}

// The system calls that attacks on kernels and sandboxes are made of are not to be had.
func TestSystemCalls(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		probe := harness.Probe(t)
		script, want := "", ""
		for _, c := range calls {
			script += probe + " syscall"
			for _, a := range c.args {
				script += " " + strconv.Itoa(a)
			}
			script += "\n"
			want += c.want + "\n"
		}
		r := u.try("--ro", probe, "sh", "-c", script)
		got, wanted := strings.Split(r.OK(u.e), "\n"), strings.Split(want, "\n")
		if len(got) != len(wanted) {
			t.Fatal(r)
		}
		for i, c := range calls {
			if got[i] != c.want {
				t.Errorf("system call %v: %s, want %s", c.args, got[i], c.want)
			}
		}
	})
}

// Every attack that the tests of other containers know comes to nothing, and what is there to be attacked is not there.
func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		attack := harness.Attack(t)
		r := u.try("--ro", attack, attack)
		n := 0
		for _, line := range strings.Split(strings.TrimSpace(r.OK(u.e)), "\n") {
			name, outcome, ok := strings.Cut(line, "\t")
			if n++; !ok || outcome == "works" || outcome == "" {
				t.Errorf("%s: %s", name, outcome)
			}
		}
		if n < 20 {
			t.Errorf("only %d attacks: %s", n, r)
		}
		u.says("0\n0\n", "sh", "-c", "wc -c < /proc/keys; wc -c < /proc/kallsyms")
		for _, path := range []string{"/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"} {
			if r := u.try("sh", "-c", "echo 1 > "+path); r.Code == 0 {
				t.Error(r)
			}
		}
		u.says("core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n", "sh", "-c", "echo $(ls /dev)")
		u.says("0\n", "sh", "-c", "ls /sys/fs/cgroup | wc -l")
	})
}

// The command has nothing to give up, and nobody else's processes, network or names to look at.
func TestIsolation(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		out := u.try("sh", "-c", `grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; echo processes $(ls /proc | grep -c '^[0-9]*$')
			tail -n +3 /proc/net/dev | cut -d: -f1; cut -d: -f3 /proc/self/cgroup | sort -u; cut -d. -f1 /proc/uptime
			for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done; awk '/^Max (core|processes)/ {print $(NF-1)}' /proc/self/limits`).OK(u.e)
		for _, want := range []string{"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if len(lines(out, want)) != 1 {
				t.Errorf("no %q in %s", want, out)
			}
		}
		for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
			if ns := harness.Namespace(os.Getpid(), kind); strings.Contains(out, ns) {
				t.Errorf("the %s namespace is the machine's", kind)
			}
		}
		rest := out[strings.Index(out, "processes "):]
		f := strings.Fields(rest)
		if n, _ := strconv.Atoi(f[1]); n < 1 || n > 6 || f[2] != "lo" || f[3] != "/" || len(f[4]) > 2 || !strings.HasSuffix(rest, "\n0\n512\n") {
			t.Error(out)
		}
	})
}

// Outside it is somebody that nobody else is; an ordinary user's is the user.
func TestIDs(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		cmd := u.e.Start(u.o, args("sleep", "1000")...)
		pid := u.payload("sleep")
		uid, _ := strconv.Atoi(strings.Fields(u.e.Status(pid)["Uid"])[0])
		if u.uid != 0 && uid != u.uid || u.uid == 0 && uid < 0x70000000 {
			t.Errorf("it runs as %d", uid)
		}
		if groups := u.e.Status(pid)["Groups"]; u.uid == 0 && groups != "" {
			t.Errorf("groups %q", groups)
		}
		cmd.Signal(unix.SIGTERM)
		cmd.Wait()
		if u.uid == 0 {
			// One after the other has others.
			cmd := u.e.Start(u.o, args("sleep", "1000")...)
			if other := strings.Fields(u.e.Status(u.payload("sleep"))["Uid"])[0]; other == fmt.Sprint(uid) {
				t.Errorf("%d again", uid)
			}
			cmd.Signal(unix.SIGTERM)
			cmd.Wait()
		}
	})
}

// Rights are given back one by one.
func TestGivenRights(t *testing.T) {
	u := newCaller(t, "root")
	u.says("CapEff:\t0000000000000081\n", "--cap", "chown", "--cap", "CAP_SETUID", "grep", "CapEff", "/proc/self/status")
	u.says(harness.Namespace(os.Getpid(), "net")+"\n", "--net", "host", "readlink", "/proc/self/ns/net")
	u.says("1000 1000\n", "--user", "1000", "sh", "-c", "echo $(id -u) $(id -g); touch ~/x /tmp/x")
	u.says("1000 5\n", "--user", "1000:5", "sh", "-c", "echo $(id -u) $(id -g)")
	u.says("20\n", "--pids", "20", "awk", "/^Max processes/ {print $3}", "/proc/self/limits")
	if r := u.try("--pids", "20", "sh", "-c", "for i in $(seq 40); do sleep 5 & done"); !strings.Contains(r.Stderr, "fork") {
		t.Error(r)
	}
	if u.e.HasController("memory") {
		if r := u.try("--memory", "32m", "sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x)"); r.Code == 0 {
			t.Error(r)
		}
	}
	if r := u.try("--no-seal", "--plan", "true"); strings.Contains(r.OK(u.e), "prove") {
		t.Error(r)
	}
}
