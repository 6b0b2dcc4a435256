package podman

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const (
	image  = engine.Busybox
	debian = engine.Debian

	// alice is an ordinary user with these subordinate IDs. The account containers has those of --userns=auto for root.
	alice, aliceHome, aliceRun = 1234, "/home/alice", "/run/user/1234"
	aliceIDs, aliceCount       = 100000, 262144
	autoIDs, autoCount         = 600000000, 1048576
	// team is a group that alice is in.
	team = 5555

	path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// machine is what all tests of the sandbox have: users, devices, a place for containers, images.
type machine struct {
	dir, busybox, debian string
	tops                 map[string]bool // cgroups at the top that were there before
}

var (
	prepared sync.Once
	here     machine
)

// prepare makes the machine out of the sandbox, once.
func prepare(t *testing.T) *machine {
	t.Helper()
	engine.Built(t)
	engine.Need(t, "podman")
	prepared.Do(func() {
		must := func(err error) { engine.Must(t, err) }
		for file, lines := range map[string]string{
			"passwd": fmt.Sprintf("alice:x:%d:%d::%s:/bin/bash\n", alice, alice, aliceHome),
			"group":  fmt.Sprintf("alice:x:%d:\nteam:x:%d:alice\n", alice, team),
			"subuid": fmt.Sprintf("alice:%d:%d\ncontainers:%d:%d\n", aliceIDs, aliceCount, autoIDs, autoCount),
			"subgid": fmt.Sprintf("alice:%d:%d\ncontainers:%d:%d\n", aliceIDs, aliceCount, autoIDs, autoCount),
		} {
			f, err := os.OpenFile("/etc/"+file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			must(err)
			_, err = f.WriteString(lines)
			must(err)
			must(f.Close())
		}
		must(unix.Mount("tmpfs", "/home", "tmpfs", 0, "mode=755"))
		for _, dir := range []string{"/run/user", aliceHome, aliceRun, "/run/devices"} {
			must(os.MkdirAll(dir, 0o755))
		}
		must(os.Chmod(aliceRun, 0o700))
		for _, dir := range []string{aliceHome, aliceRun} {
			must(os.Chown(dir, alice, alice))
		}
		// Those of the machine may be root's alone; slirp4netns needs the first.
		for name, minor := range map[string]uint32{"net/tun": 200, "fuse": 229} {
			node := "/run/devices/" + filepath.Base(name)
			must(unix.Mknod(node, unix.S_IFCHR, int(unix.Mkdev(10, minor))))
			must(os.Chmod(node, 0o666))
			must(unix.Mount(node, "/dev/"+name, "", unix.MS_BIND, ""))
		}
		here.dir = "/run/podman-tests"
		must(os.MkdirAll(here.dir, 0o755))
		here.busybox, here.debian = engine.BusyboxImage(t, here.dir), here.dir+"/debian.tar"
		must(os.WriteFile(here.dir+"/seccomp.json", []byte(`{"defaultAction": "SCMP_ACT_ALLOW",
			"syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}`), 0o644))
		// The programs where alice can execute them.
		program, err := os.ReadFile(engine.Bin(t) + "/bailey")
		must(err)
		must(os.Mkdir(here.dir+"/bin", 0o755))
		must(os.WriteFile(here.dir+"/bin/bailey", program, 0o755))
		must(os.Setenv("BAILEY_BIN", here.dir+"/bin"))
		here.tops = tops()
	})
	if here.busybox == "" {
		t.Fatal("the machine could not be prepared")
	}
	return &here
}

// tops tells the cgroups at the top of every hierarchy.
func tops() map[string]bool {
	found := make(map[string]bool)
	for _, pattern := range []string{"/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*"} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			found[dir] = true
		}
	}
	return found
}

// removeTops removes those cgroups that Podman and Buildah make at the top: not every command of theirs has --cgroup-parent.
func (m *machine) removeTops() {
	for dir := range tops() {
		if name := filepath.Base(dir); !m.tops[dir] && (name == "libpod_parent" || strings.HasPrefix(name, "buildah")) {
			children, _ := filepath.Glob(dir + "/*/")
			for _, child := range append(children, dir) {
				_ = os.Remove(child)
			}
		}
	}
}

// podman is Podman of one user, with one runtime.
type podman struct {
	*machine
	rootless bool
	runtime  engine.Runtime
	home     string // of configuration
	// inside is a command that starts another on the machine of a newer Podman, nil on this one.
	inside []string
}

// newPodman returns Podman of a user, whose storage has the images.
func newPodman(t *testing.T, rootless bool, r engine.Runtime) *podman {
	t.Helper()
	p := &podman{machine: prepare(t), rootless: rootless, runtime: r}
	p.home = p.dir + map[bool]string{false: "/root", true: "/alice"}[rootless]
	p.setUp(t)
	return p
}

// setUp writes the configuration and loads the image.
func (p *podman) setUp(t *testing.T) {
	t.Helper()
	engine.Must(t, os.MkdirAll(p.home, 0o755))
	pids := 2048
	if !engine.HasController("pids") || p.rootless {
		pids = 0
	}
	p.write(t, "containers.conf", fmt.Sprintf(`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
pids_limit = %d
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = %q
runtime_supports_json = ["crun", "runc", "bailey"]
`, pids, p.runtime.Path))
	root, run := "/var/lib/containers/storage", "/run/containers/storage"
	if p.rootless {
		root, run = aliceHome+"/.local/share/containers/storage", aliceRun+"/containers"
	}
	p.write(t, "storage.conf", fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", root, run))
	if p.rootless {
		p.delegate(t)
	}
	// Anew: the storage keeps layers with the owners that earlier containers had, and may give them to others.
	p.ok(t, "rmi", "-f", "-a")
	p.ok(t, "load", "-q", "-i", p.busybox)
	t.Cleanup(p.removeTops)
}

func (p *podman) write(t testing.TB, name, text string) {
	t.Helper()
	engine.Must(t, os.WriteFile(p.home+"/"+name, []byte(text), 0o644))
}

// delegate gives alice a cgroup, with another in it for the engine itself.
func (p *podman) delegate(t testing.TB) {
	t.Helper()
	if engine.View() != "v2" {
		return
	}
	dir := "/sys/fs/cgroup" + engine.Cgroup("alice")
	engine.Must(t, os.MkdirAll(dir+"/session", 0o755))
	for _, d := range []string{dir, dir + "/cgroup.procs", dir + "/cgroup.subtree_control", dir + "/session", dir + "/session/cgroup.procs"} {
		engine.Must(t, os.Chown(d, alice, alice))
	}
}

// needDebian loads the image that is no toy.
func (p *podman) needDebian(t testing.TB) {
	t.Helper()
	if !engine.Exists(p.debian) {
		engine.DebianImage(t, p.dir)
	}
	if _, status := p.status(t, "image", "exists", debian); status != 0 {
		p.ok(t, "load", "-q", "-i", p.debian)
	}
}

// command returns a command of the user's.
func (p *podman) command(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	all := append(append(slices.Clip(p.inside), program), args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Dir = "/"
	cmd.WaitDelay = 5 * time.Second
	p.asUser(t, cmd)
	return cmd
}

// asUser makes a command one of the user's.
func (p *podman) asUser(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	programs := path
	if criu := os.Getenv("BAILEY_CRIU"); criu != "" && !p.rootless {
		programs = criu + "/bin:" + path
	}
	cmd.Env = append(cmd.Env, "PATH="+programs, "CONTAINERS_CONF="+p.home+"/containers.conf", "CONTAINERS_STORAGE_CONF="+p.home+"/storage.conf", "TERM=xterm")
	if !p.rootless {
		cmd.Env = append(cmd.Env, "HOME=/root")
		return
	}
	cmd.Env = append(cmd.Env, "HOME="+aliceHome, "USER=alice", "XDG_RUNTIME_DIR="+aliceRun)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: alice, Gid: alice, Groups: []uint32{team}}
	if engine.View() == "v2" {
		session, err := os.Open("/sys/fs/cgroup" + engine.Cgroup("alice", "session"))
		engine.Must(t, err)
		t.Cleanup(func() { session.Close() })
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(session.Fd())
	}
}

// result is what a command prints, and its exit status.
type result struct {
	out, err string
	status   int
}

func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// do runs a command of Podman's, with what it reads.
func (p *podman) do(t testing.TB, input string, args ...string) result {
	t.Helper()
	cmd := p.command(t, "podman", args...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	return finish(t, cmd)
}

// status runs a command and returns all that it prints, and its exit status.
func (p *podman) status(t testing.TB, args ...string) (string, int) {
	t.Helper()
	r := p.do(t, "", args...)
	return r.out + r.err, r.status
}

// ok runs a command that is to work, and returns what it prints.
func (p *podman) ok(t testing.TB, args ...string) string {
	t.Helper()
	r := p.do(t, "", args...)
	if r.status != 0 {
		t.Fatalf("podman %s: exit status %d: %s%s", strings.Join(args, " "), r.status, r.out, r.err)
	}
	return strings.TrimSpace(r.out)
}

// with returns the arguments of a command that makes a container or a pod, with where its cgroup comes, and no network.
func (p *podman) with(command []string, args ...string) []string {
	all := append(command, p.parent()...)
	if command[0] != "pod" {
		all = append(all, "--pull=never")
		if !strings.Contains(strings.Join(args, " ")+" ", "--net") && !strings.Contains(strings.Join(args, " "), "--pod") {
			all = append(all, "--net=none")
		}
	}
	return append(all, args...)
}

// parent returns the argument that says where cgroups come. An ordinary user's come where the user's are.
func (p *podman) parent() []string {
	if p.rootless {
		return nil
	}
	return []string{"--cgroup-parent=" + strings.TrimSuffix(engine.Cgroup(), "/")}
}

// run returns what a container of the image prints that is gone afterwards.
func (p *podman) run(t testing.TB, args ...string) string {
	t.Helper()
	return p.ok(t, p.with([]string{"run", "--rm"}, args...)...)
}

// runStatus returns its exit status, too.
func (p *podman) runStatus(t testing.TB, args ...string) (string, int) {
	t.Helper()
	return p.status(t, p.with([]string{"run", "--rm"}, args...)...)
}

// start starts a container in the background, which is removed at the end of the check.
func (p *podman) start(t testing.TB, name string, args ...string) string {
	t.Helper()
	id := p.ok(t, p.with([]string{"run", "-d", "--name", name}, args...)...)
	return id
}

// sleeper starts a container that does nothing.
func (p *podman) sleeper(t testing.TB, name string, args ...string) string {
	t.Helper()
	return p.start(t, name, append(args, image, "sleep", "1000")...)
}

// remove removes containers, whatever they do.
func (p *podman) remove(t testing.TB, names ...string) {
	t.Helper()
	p.ok(t, append([]string{"rm", "-f", "-t", "0"}, names...)...)
}

// inspect returns a field of a container.
func (p *podman) inspect(t testing.TB, name, field string) string {
	t.Helper()
	return p.ok(t, "inspect", "--format", "{{."+field+"}}", name)
}

// pid returns the process ID of a container, outside.
func (p *podman) pid(t testing.TB, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(p.inspect(t, name, "State.Pid"))
	engine.Must(t, err)
	if pid == 0 {
		t.Fatalf("%s does not run", name)
	}
	return pid
}

var ofPod = regexp.MustCompile(`^cgroup /sys/fs/cgroup/systemd/[^/]*/[0-9a-f]{64}$`)

// left tells what containers leave if they leave something.
func left(t testing.TB, p *podman) engine.Inventory {
	p.removeTops()
	found := engine.TakeInventory(t, func(command string) bool {
		return strings.HasPrefix(command, "catatonit -P") // holds alice's namespaces
	}, "/run/bailey/[^@.]*", "/run/runc/*", "/run/netns/*", aliceRun+"/bailey/[^@.]*", aliceRun+"/runc/*", aliceRun+"/netns/*",
		"/var/lib/containers/storage/overlay-containers/*/", aliceHome+"/.local/share/containers/storage/overlay-containers/*/",
		"/var/lib/containers/storage/volumes/*", aliceHome+"/.local/share/containers/storage/volumes/*")
	// What Podman makes once, and keeps; and a pod's cgroup of v1 in a hierarchy that it does not know.
	for what := range found {
		if ofPod.MatchString(what) {
			delete(found, what)
		}
		for _, kept := range []string{"mount /run/netns", "mount /var/lib/containers/storage/overlay", "/backingFsBlockDev", "/conmon"} {
			if strings.HasSuffix(what, kept) {
				delete(found, what)
			}
		}
	}
	return found
}

// in fails a check unless a text has all of the parts.
func in(c *engine.C, text string, parts ...string) {
	c.Helper()
	for _, part := range parts {
		if err := engine.Contains(text, part); err != nil {
			c.Error(err)
		}
	}
}

// same fails a check unless a text is as wanted.
func same(c *engine.C, what, got, want string) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %q, want %q", what, got, want)
	}
}
