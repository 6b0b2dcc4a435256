package lifecycle

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// Scheduler, I/O priority and personality are those of the container's process and of what is executed in it.
func TestSchedulingAndPersonality(t *testing.T) {
	e := newEnv(t)
	c := e.Container(func(s *specs.Spec) {
		s.Version = "1.1.0"
		s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
		s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
	})
	c.RunDetached().OK(e)
	c.Exec([]string{"--detach", "--pid-file", e.Path("exec.pid")}, "sleep", "100000").OK(e)
	for who, pid := range map[string]int{"init": c.PID(), "exec": e.PIDFile(e.Path("exec.pid"))} {
		attr, err := unix.SchedGetAttr(pid, 0)
		if err != nil || attr.Policy != unix.SCHED_BATCH || attr.Nice != 5 || attr.Flags&unix.SCHED_FLAG_RESET_ON_FORK == 0 {
			t.Errorf("%s: %+v, %v", who, attr, err)
		}
		priority, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1 /* IOPRIO_WHO_PROCESS */, uintptr(pid), 0)
		if errno != 0 || priority != 2<<13|6 {
			t.Errorf("%s: I/O priority %#x, %v", who, priority, errno)
		}
		if got := e.ProcFile(pid, "personality"); got != "00000008" {
			t.Errorf("%s: personality %q", who, got)
		}
	}
}

// Who is not root can open standard output by its name where it is a pipe, as it is under engines.
func TestPipesBelongToTheUser(t *testing.T) {
	e := newEnv(t)
	user := func(s *specs.Spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} }
	script := "cat <&0 >/dev/null; echo out >/proc/self/fd/1; echo err >/proc/self/fd/2"
	check := func(args ...string) {
		t.Helper()
		in, typed, err := os.Pipe()
		e.Must(err)
		read, out, err := os.Pipe()
		e.Must(err)
		typed.Close()
		cmd := exec.Command(e.Runtime, append([]string{"--root", e.Root}, args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out
		e.Must(cmd.Start())
		in.Close()
		out.Close()
		got, _ := io.ReadAll(read)
		read.Close()
		if string(got) != "out\nerr\n" {
			t.Errorf("%v prints %q", args, got)
		}
	}
	c := e.Container(user, harness.Args("sh", "-c", script))
	check(c.RunArgs()...)
	d := e.Container(user)
	d.RunDetached().OK(e)
	check(d.ExecArgs(nil, "sh", "-c", script)...)
}

// A container has a session keyring of its own, unless it is told to keep the caller's.
func TestKeyring(t *testing.T) {
	e := newEnv(t)
	ours, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	e.Must(err)
	id := func(flags ...string) string {
		t.Helper()
		c := e.Container(harness.Args("probe", "syscall", fmt.Sprint(unix.SYS_KEYCTL), fmt.Sprint(unix.KEYCTL_GET_KEYRING_ID), fmt.Sprint(unix.KEY_SPEC_SESSION_KEYRING), "0"))
		return strings.TrimSpace(c.Run(flags...).OK(e))
	}
	if got := id(); got == fmt.Sprint(ours) || got[0] == 'E' {
		t.Errorf("the session keyring is %s, ours is %d", got, ours)
	}
	if got := id("--no-new-keyring"); got != fmt.Sprint(ours) {
		t.Errorf("with --no-new-keyring it is %s, ours is %d", got, ours)
	}
}

// A network device is moved into the container under another name, with its address, and is up there.
func TestNetDevices(t *testing.T) {
	e := newEnv(t)
	name, peer := fmt.Sprintf("bt%da", os.Getpid()%100000), fmt.Sprintf("bt%db", os.Getpid()%100000)
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer}
	e.Must(netlink.LinkAdd(link))
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(peer); err == nil {
			_ = netlink.LinkDel(l)
		}
	})
	address, err := netlink.ParseAddr("192.0.2.7/24")
	e.Must(err)
	device, err := netlink.LinkByName(name)
	e.Must(err)
	e.Must(netlink.AddrAdd(device, address))

	c := e.Container(func(s *specs.Spec) {
		s.Version = "1.3.0"
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{name: {Name: "inside0"}}
	})
	c.RunDetached().OK(e)
	if _, err := netlink.LinkByName(name); err == nil {
		t.Error("it is still outside")
	}
	ns, err := netns.GetFromPid(c.PID())
	e.Must(err)
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	e.Must(err)
	defer h.Close()
	inside, err := h.LinkByName("inside0")
	e.Must(err)
	addresses, err := h.AddrList(inside, netlink.FAMILY_V4)
	e.Must(err)
	if len(addresses) != 1 || addresses[0].IPNet.String() != "192.0.2.7/24" || inside.Attrs().Flags&1 == 0 {
		t.Errorf("%v, %+v", addresses, inside.Attrs())
	}
	e.Container(func(s *specs.Spec) {
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"nosuchdevice": {}}
	}).Create().Fails(e, "/linux/netDevices/nosuchdevice")
}

// The cgroup of a container with a writable view of it is handed to the user that its process runs as.
func TestCgroupDelegation(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		if e.View != harness.V2 {
			t.Skip("the specification wants this on cgroup v2 only")
		}
		c := e.Container(harness.UserNamespace, harness.Mounted("/sys/fs/cgroup", "cgroup", "cgroup"), func(s *specs.Spec) {
			s.Mounts = removeMount(s.Mounts, "/sys/fs/cgroup")
			s.Process.User = specs.User{UID: 1000, GID: 1000}
		}, harness.Mounted("/sys/fs/cgroup", "cgroup", "cgroup", "rw"))
		c.RunDetached().OK(e)
		for file, want := range map[string]uint32{".": harness.UserBase + 1000, "cgroup.procs": harness.UserBase + 1000, "cgroup.freeze": 0} {
			st, err := os.Stat(c.CgroupDir("") + "/" + file)
			e.Must(err)
			if owner := st.Sys().(*syscall.Stat_t).Uid; owner != want {
				t.Errorf("%s belongs to %d, want %d", file, owner, want)
			}
		}
		if out := c.Sh("mkdir /sys/fs/cgroup/sub && echo made; rmdir /sys/fs/cgroup/sub"); out != "made" {
			t.Errorf("%q", out)
		}
	})
}
