package preamble

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func newEnv(t *testing.T) *harness.Env {
	t.Helper()
	harness.NeedRoot(t)
	t.Parallel()
	return harness.New(t, harness.ShortViews()[0])
}

// variants are the two kinds of containers that differ here.
var variants = map[string]harness.Change{"no userns": harness.All(), "userns": harness.UserNamespace}

// eachVariant runs a test with both.
func eachVariant(t *testing.T, f func(t *testing.T, e *harness.Env, change harness.Change)) {
	harness.NeedRoot(t)
	for name, change := range variants {
		t.Run(name, func(t *testing.T) { f(t, newEnv(t), change) })
	}
}

// created makes a container whose caller has files open that concern nobody, and returns its init.
func created(t *testing.T, e *harness.Env, changes ...harness.Change) (*harness.Container, int) {
	t.Helper()
	c := e.Container(changes...)
	var files []*os.File
	for i := range 20 {
		f, err := os.Open(e.WriteFile(fmt.Sprint("leak", i), "leaked", 0o600))
		e.Must(err)
		defer f.Close()
		files = append(files, f)
	}
	e.Run(harness.Options{ExtraFiles: files, Env: []string{"SECRET=of the host"}}, "create", "--bundle", c.Bundle, c.ID).OK(e)
	return c, c.PID()
}

// One thread, little memory and nothing of Go's; no descriptor but the standard streams and the socket on which
// it waits; no environment of the host's.
func TestInitIsSmall(t *testing.T) {
	eachVariant(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		_, pid := created(t, e, change)
		status := e.Status(pid)
		if status["Threads"] != "1" {
			t.Errorf("%s threads", status["Threads"])
		}
		private := 0
		for _, line := range strings.Split(e.ProcFile(pid, "smaps_rollup"), "\n") {
			if f := strings.Fields(line); f[0] == "Private_Clean:" || f[0] == "Private_Dirty:" {
				kib, err := strconv.Atoi(f[1])
				e.Must(err)
				private += kib
			}
		}
		t.Logf("private memory: %d KiB", private)
		if private > 512 {
			t.Errorf("%d KiB of private memory", private)
		}
		if comm := e.ProcFile(pid, "comm"); comm != "bailey-init" {
			t.Errorf("the init's name is %q: a Go runtime?", comm)
		}
		if env := e.ProcFile(pid, "environ"); env != "" {
			t.Errorf("environment: %q", env)
		}
		links := descriptors(t, e, pid)
		if len(links) != 4 || !strings.HasPrefix(links[3], "socket:") {
			t.Errorf("descriptors: %q", links)
		}
	})
}

// descriptors returns what the process's descriptors are.
func descriptors(t *testing.T, e *harness.Env, pid int) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	e.Must(err)
	var links []string
	for _, entry := range entries {
		link, err := os.Readlink(dir + "/" + entry.Name())
		e.Must(err)
		links = append(links, link)
	}
	return links
}

// Not dumpable from the first to the last moment: /proc shows nobody but root of the host what it is, not even
// its own user (CVE-2016-9962).
func TestInitIsNotDumpable(t *testing.T) {
	eachVariant(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		c, pid := created(t, e, change, func(s *specs.Spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} })
		host := uint32(1000)
		if len(c.Spec.Linux.UIDMappings) > 0 {
			host += harness.UserBase
		}
		var st unix.Stat_t
		e.Must(unix.Stat(fmt.Sprintf("/proc/%d/exe", pid), &st))
		e.Must(unix.Lstat(fmt.Sprintf("/proc/%d/fd", pid), &st))
		if st.Uid != 0 {
			t.Errorf("/proc/%d/fd belongs to user %d", pid, st.Uid)
		}
		for _, file := range []string{"fd", "exe", "cwd", "root", "ns/mnt"} {
			r := e.Run(harness.Options{Runtime: "/bin/ls", NoGlobals: true,
				Credential: &syscall.Credential{Uid: host, Gid: host}}, "-L", fmt.Sprintf("/proc/%d/%s", pid, file))
			if r.Code == 0 || !strings.Contains(r.Stderr, "Permission denied") {
				t.Errorf("the payload's user sees the preamble's %s: %s", file, r)
			}
		}
		for _, file := range []string{"fd", "exe", "cwd", "root", "mem"} {
			if got := strings.TrimSpace(c.Exec(nil, "probe", "open", "r", "/proc/1/"+file).OK(e)); got != "EACCES" {
				t.Errorf("a process in the container opens /proc/1/%s: %s", file, got)
			}
		}
		c.Start().OK(e)
		if got := strings.TrimSpace(c.Exec(nil, "probe", "open", "r", "/proc/1/exe").OK(e)); got != "ok" {
			t.Errorf("the payload's /proc/1/exe: %s (so the checks above have shown nothing)", got)
		}
	})
}

// The file that the preamble was executed from cannot be opened for writing, by root of the host with all
// capabilities, while it runs and when it has ended (CVE-2019-5736).
func TestExecutableCannotBeWritten(t *testing.T) {
	eachVariant(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		before := readFile(t, e.Runtime)
		c, pid := created(t, e, change)
		exe := fmt.Sprintf("/proc/%d/exe", pid)
		held, err := os.Open(exe)
		e.Must(err)
		defer held.Close()
		refused(t, exe)
		refused(t, fmt.Sprintf("/proc/self/fd/%d", held.Fd()))
		c.Delete("--force").OK(e)
		refused(t, fmt.Sprintf("/proc/self/fd/%d", held.Fd()))
		if readFile(t, e.Runtime) != before {
			t.Error("the runtime has been changed")
		}
	})
}

// refused wants a file to be refused for writing: when it is opened, or, since it is sealed, in every way to write.
func refused(t *testing.T, path string) {
	t.Helper()
	for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_WRONLY | unix.O_TRUNC} {
		fd, err := unix.Open(path, flags, 0)
		if err != nil {
			if err != unix.ETXTBSY && err != unix.EPERM {
				t.Errorf("open %s with flags %#x: %v", path, flags, err)
			}
			continue
		}
		for name, try := range map[string]func() error{
			"write":     func() error { _, err := unix.Write(fd, []byte("x")); return err },
			"ftruncate": func() error { return unix.Ftruncate(fd, 0) },
			"fallocate": func() error { return unix.Fallocate(fd, 0, 0, 1<<20) },
			"punch":     func() error { return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096) },
			"unseal":    func() error { _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, 0); return err },
			"mmap": func() error {
				_, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
				return err
			},
		} {
			if err := try(); err != unix.EPERM && !(name == "mmap" && err == unix.EACCES) {
				t.Errorf("%s %s, opened with flags %#x: %v", name, path, flags, err)
			}
		}
		unix.Close(fd)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The payload is a script for the interpreter /proc/self/exe: the runtime itself is executed in the container,
// and an accomplice there tries to get hold of it, with all the capabilities that we have to give.
func TestPayloadIsTheRuntime(t *testing.T) {
	eachVariant(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		before := readFile(t, e.Runtime)
		caps := harness.Capabilities("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_SETUID")
		for _, args := range [][]string{{"/bin/evil"}, {"/proc/self/exe"}, {"/proc/self/exe", "run", "x"}, {"/proc/self/exe", "create", "x"}} {
			c := e.Container(change, caps, harness.Args(args...))
			e.Must(os.WriteFile(c.Rootfs+"/bin/evil", []byte("#!/proc/self/exe\n"), 0o755))
			e.Must(os.WriteFile(c.Rootfs+"/bin/accomplice", []byte(accomplice), 0o755))
			if r := c.Create(); r.Code != 0 {
				continue // refused to begin with
			}
			attack := e.Start(harness.Options{}, c.ExecArgs(nil, "sh", "/bin/accomplice")...)
			e.Eventually("the accomplice is at work", func() bool {
				_, err := os.Stat(c.Rootfs + "/work/ready")
				return err == nil
			})
			c.Start()
			for range 10 { // exec into the container is the other way in
				c.Exec(nil, args...)
			}
			attack.Signal(unix.SIGKILL)
			attack.Wait()
			c.Delete("--force").OK(e)
			if readFile(t, e.Runtime) != before {
				t.Fatalf("the payload %q has changed the runtime", args)
			}
		}
	})
}

const accomplice = `: > /work/ready
while :; do
	for p in /proc/[0-9]*; do
		case "$(readlink $p/exe)" in *bailey*|*memfd*) echo pwned > $p/exe;; esac
	done
done 2>/dev/null
`

// While processes are executed in the container again and again, those in it see nothing of the host
// (CVE-2016-9962, CVE-2024-21626).
func TestNothingOfTheHostIsSeenDuringExec(t *testing.T) {
	eachVariant(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		capabilities := harness.All()
		if len(e.Container(change).Spec.Linux.UIDMappings) > 0 {
			capabilities = harness.Capabilities("CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE") // over its namespace
		}
		c := e.Container(change, capabilities, harness.Args("sh", "-c", spy))
		c.RunDetached().OK(e)
		for range 60 {
			c.Exec(nil, "true").OK(e)
		}
		seen := readFile(t, c.Rootfs+"/work/seen")
		if seen == "" {
			t.Fatal("the spy has seen nothing at all")
		}
		leaked := make(map[string]bool)
		for _, line := range strings.Split(seen, "\n") {
			_, target, _ := strings.Cut(line, " ")
			for _, host := range []string{"bailey", "memfd", e.Dir, "/sys/fs/cgroup"} {
				if strings.Contains(target, host) && !strings.Contains(target, "/out-") {
					leaked[target] = true
				}
			}
		}
		if len(leaked) > 0 {
			t.Errorf("seen in the container: %v", leaked)
		}
	})
}

// spy notes where the links in /proc of other processes lead. Its own streams are files of the host's.
const spy = `while :; do
	for p in /proc/[0-9]*; do
		for l in $p/exe $p/cwd $p/root $p/fd/*; do
			t="$(readlink $l)" && echo "$l $t"
		done
	done
done >> /work/seen 2>/dev/null
`

// From the command line to the payload: two forks, and one execution besides the two that have to be.
func TestForksAndExecs(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("needs strace")
	}
	eachVariant(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		c := e.Container(change, harness.Args("/bin/probe", "fds"))
		out := e.Path("strace")
		e.Run(harness.Options{Prefix: []string{"strace", "-f", "-qq", "-o", out, "-e", "trace=process", "-e", "signal=none"}},
			"run", "--bundle", c.Bundle, c.ID).OK(e)
		var forks, execs []string
		payload := false
		for _, line := range strings.Split(readFile(t, out), "\n") {
			_, call, _ := strings.Cut(line, " ")
			call = strings.TrimSpace(call)
			switch {
			case strings.HasPrefix(call, "exec") && !strings.Contains(call, "= -1"):
				execs = append(execs, call)
				payload = payload || strings.Contains(call, "probe")
			case payload:
				// The threads of the payload are its own.
			case (strings.HasPrefix(call, "clone") || strings.HasPrefix(call, "fork") || strings.HasPrefix(call, "vfork")) &&
				!strings.Contains(call, "CLONE_THREAD"):
				forks = append(forks, call)
			}
		}
		if len(forks) > 2 || len(forks) == 0 {
			t.Errorf("%d forks:\n%s", len(forks), strings.Join(forks, "\n"))
		}
		if len(execs) != 3 || !payload {
			t.Errorf("%d executions:\n%s", len(execs), strings.Join(execs, "\n"))
		}
	})
}

// A container with 512 KiB of memory starts, every time.
func TestStartsInLittleMemory(t *testing.T) {
	harness.NeedRoot(t)
	i := slices.Index(harness.Views(), harness.V1)
	if i < 0 {
		t.Skip("needs the memory controller of cgroup v1")
	}
	e := harness.New(t, harness.V1)
	if !e.HasController("memory") {
		t.Skip("needs the memory controller of cgroup v1")
	}
	for n := range 20 {
		c := e.Container(harness.Args("true"), func(s *specs.Spec) {
			limit := int64(512 << 10)
			s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
			if n%2 == 1 {
				harness.UserNamespace(s)
			}
		})
		if r := c.Run(); r.Code != 0 {
			t.Errorf("try %d: %s", n, r)
		}
	}
}

// Signals that the caller ignores or blocks, its nice value's and its umask's are not the payload's affair.
func TestPayloadStartsClean(t *testing.T) {
	eachVariant(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		c := e.Container(change)
		e.Run(harness.Options{Prefix: []string{"env", "--ignore-signal=PIPE,HUP,USR1", "--block-signal=TERM,USR2",
			"sh", "-c", `umask 077; exec "$@"`, "sh"}}, "run", "--detach", "--bundle", c.Bundle, c.ID).OK(e)
		s := e.Status(c.PID())
		for _, set := range []string{"SigIgn", "SigBlk", "SigPnd", "ShdPnd"} {
			if strings.Trim(s[set], "0") != "" {
				t.Errorf("%s: %s", set, s[set])
			}
		}
		if s["Umask"] != "0022" {
			t.Errorf("umask %s", s["Umask"])
		}
		if links := descriptors(t, e, c.PID()); len(links) != 3 {
			t.Errorf("descriptors: %q", links)
		}
	})
}

// Where files in memory must not be executed (vm.memfd_noexec), the preamble cannot be, and that is what is said.
func TestNoExecutableMemory(t *testing.T) {
	if _, err := os.Stat("/proc/sys/vm/memfd_noexec"); err != nil {
		t.Skip("needs vm.memfd_noexec, which is of Linux 6.3")
	}
	e := newEnv(t)
	c := e.Container()
	// The setting is a pid namespace's, and cannot be taken back in it.
	const forbid = `echo 2 >/proc/sys/vm/memfd_noexec && exec "$0" "$@"`
	e.Run(harness.Options{Prefix: []string{"unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", forbid}},
		c.RunArgs()...).Fails(e, "start the preamble: memfd_create: EACCES: permission denied")
	e.CheckNothingLeft()
}
