package containerd

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// flag is a `ctr run` whose flags show in what the payload prints.
type flag struct {
	name string
	// args, script and want may name DIR, a directory of the check's own, and HOST(x), the link x of the test's process.
	args         []string
	script, want string
	// newest: Debian's ctr does not have it, or forgets the runtime's binary where it is given; v1: it shows on cgroup v1 alone here.
	newest, v1 bool
	// rootless: no image is named.
	rootless bool
	// limits are what files of its cgroup have, by controller and name.
	limits map[string]string
}

var flags = []flag{
	{name: "--cwd", args: []string{"--cwd", "/tmp"}, script: "pwd", want: "/tmp"},
	{name: "--env", args: []string{"--env", "A=b c", "--env", "D=e"}, script: `echo "$A,$D"`, want: "b c,e"},
	{name: "--env-file", args: []string{"--env-file", "DIR/env"}, script: `echo $FROM_FILE`, want: "yes"},
	{name: "--user", args: []string{"--user", "1000:1001"}, script: "id -u; id -g", want: "1000\n1001", newest: true},
	{name: "--hostname", args: []string{"--hostname", "web"}, script: "hostname", want: "web", newest: true},
	{name: "--annotation", args: []string{"--annotation", "a=b"}, script: "echo x", want: "x"},
	{name: "--label", args: []string{"--label", "a=b"}, script: "echo x", want: "x"},
	{name: "--mount bind", args: []string{"--mount", "type=bind,src=DIR,dst=/data,options=rbind:ro"}, script: "cat /data/file; touch /data/new 2>&1", want: "content\ntouch: /data/new: Read-only file system"},
	{name: "--mount tmpfs", args: []string{"--mount", "type=tmpfs,src=tmpfs,dst=/mem,options=size=64k:mode=700"}, script: "stat -c %a /mem; df -k /mem | tail -1 | awk '{print $2}'", want: "700\n64"},
	{name: "--net-host", args: []string{"--net-host"}, script: "readlink /proc/self/ns/net", want: "HOST(net)"},
	{name: "--with-ns", args: []string{"--with-ns", "ipc:/proc/self/ns/ipc"}, script: "readlink /proc/self/ns/ipc", want: "HOST(ipc)"},
	{name: "--privileged", args: []string{"--privileged", "--cap-drop", "CAP_SYS_RESOURCE"}, script: "touch /sys/kernel/none 2>&1 | grep -c Read-only; ls /dev/fuse", want: "0\n/dev/fuse"},
	{name: "--read-only", args: []string{"--read-only"}, script: "touch /new 2>&1", want: "touch: /new: Read-only file system"},
	{name: "--allow-new-privs", args: []string{"--allow-new-privs"}, script: "grep NoNewPrivs /proc/self/status", want: "NoNewPrivs:\t0"},
	{name: "no new privileges", script: "grep NoNewPrivs /proc/self/status", want: "NoNewPrivs:\t1"},
	{name: "--cap-add", args: []string{"--cap-add", "CAP_SYS_ADMIN"}, script: "mount -t tmpfs tmpfs /tmp && echo mounted", want: "mounted"},
	{name: "--cap-drop", args: []string{"--cap-drop", "CAP_CHOWN"}, script: "chown 1 /tmp 2>&1", want: "chown: /tmp: Operation not permitted"},
	{name: "--seccomp", args: []string{"--seccomp"}, script: "grep Seccomp: /proc/self/status; unshare -U true 2>&1", want: "Seccomp:\t2\nunshare: unshare(0x10000000): Operation not permitted"},
	{name: "--seccomp-profile", args: []string{"--seccomp", "--seccomp-profile", "DIR/seccomp.json"}, script: "mkdir /made 2>&1", want: "mkdir: can't create directory '/made': Function not implemented"},
	{name: "--device", args: []string{"--device", "/dev/fuse"}, script: "stat -c %t,%T /dev/fuse; exec 3<>/dev/fuse && echo open", want: "a,e5\nopen"},
	{name: "device that was not asked for", args: []string{"--cap-add", "CAP_MKNOD"}, script: "mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse", want: "/bin/sh: can't create /tmp/fuse: Operation not permitted", v1: true},
	{name: "--rlimit-nofile", args: []string{"--rlimit-nofile", "100:200"}, script: "ulimit -Sn; ulimit -Hn", want: "100\n200", newest: true},
	{name: "--rootfs-propagation", args: []string{"--rootfs-propagation", "shared"}, script: "grep ' / / ' /proc/self/mountinfo | grep -c shared:", want: "1"},
	{name: "--no-pivot", args: []string{"--no-pivot"}, script: "cd /; cd ../..; pwd; ls /usr/bin 2>&1 | head -1", want: "/\nls: /usr/bin: No such file or directory", newest: true},
	{name: "--memory-limit", args: []string{"--memory-limit", "33554432"}, limits: map[string]string{"memory/memory.limit_in_bytes": "33554432"}, v1: true},
	{name: "--cpus", args: []string{"--cpus", "0.5"}, limits: map[string]string{"cpu/cpu.cfs_quota_us": "50000"}, v1: true},
	{name: "--cpu-shares", args: []string{"--cpu-shares", "512"}, limits: map[string]string{"cpu/cpu.shares": "512"}, v1: true},
	{name: "--cpu-quota", args: []string{"--cpu-quota", "20000", "--cpu-period", "50000"}, limits: map[string]string{"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "50000"}, v1: true},
	{name: "--cpuset-cpus", args: []string{"--cpuset-cpus", "0", "--cpuset-mems", "0"}, limits: map[string]string{"cpuset/cpuset.cpus": "0", "cpuset/cpuset.mems": "0"}, newest: true, v1: true},
	{name: "--uidmap", args: []string{"--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"}, script: "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; stat -c %u,%g /bin; touch /x; stat -c %u,%g /x", want: " 0 100000 65536\n 0 200000 65536\n0,0\n0,0", newest: true},
	{name: "--remap-labels", args: []string{"--snapshotter", "overlayfs", "--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536", "--remap-labels"}, script: "cat /proc/self/uid_map | tr -s ' '; stat -c %u,%g /bin; touch /x; stat -c %u,%g /x; grep ' / ' /proc/mounts | cut -d' ' -f1", want: " 0 100000 65536\n0,0\n0,0\noverlay", newest: true},
	{name: "--rootfs", args: []string{"--rootfs", "DIR/rootfs"}, script: "cat /mark", want: "here", rootless: true},
	{name: "--config", args: []string{"--config", "DIR/config.json"}, script: "", want: "from a file", rootless: true},
	{name: "--pid-file", args: []string{"--pid-file", "DIR/pid"}, script: "echo x", want: "x"},
	{name: "--fifo-dir", args: []string{"--fifo-dir", "DIR/fifos"}, script: "echo x", want: "x"},
	{name: "--null-io", args: []string{"--null-io"}, script: "echo x", want: ""},
}

// flagChecks are those that the version's ctr and the cgroup view allow.
func flagChecks(v version) (list []engine.Check[*daemon]) {
	for _, f := range flags {
		if f.newest && v.name != "2.4" || f.v1 && engine.View() != "v1" {
			continue
		}
		list = append(list, engine.Check[*daemon]{Name: "ctr run " + f.name, Do: f.check})
	}
	return list
}

func (f flag) check(t *engine.C, d *daemon) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/file", []byte("content\n"), 0o644))
	must(t, os.WriteFile(dir+"/env", []byte("FROM_FILE=yes\n"), 0o644))
	must(t, os.WriteFile(dir+"/seccomp.json", []byte(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}`), 0o644))
	if f.limits != nil {
		f.checkLimits(t, d)
		return
	}
	args := d.run("flag", "--rm")
	if f.rootless {
		busyboxRoot(t, dir+"/rootfs")
		writeConfig(t, d, dir)
	}
	for _, a := range f.args {
		args = append(args, strings.ReplaceAll(a, "DIR", dir))
	}
	if !f.rootless {
		args = append(args, image)
	}
	args = append(args, "flag")
	if f.script != "" {
		args = append(args, "/bin/sh", "-c", f.script)
	}
	out, _ := d.ctrStatus(args...)
	want := f.want
	for _, ns := range []string{"net", "ipc"} {
		link, err := os.Readlink("/proc/self/ns/" + ns)
		must(t, err)
		want = strings.ReplaceAll(want, "HOST("+ns+")", link)
	}
	if got := strings.TrimSpace(withoutWarnings(out)); got != strings.TrimSpace(want) {
		t.Errorf("it prints %q, want %q", got, want)
	}
	if f.name == "--pid-file" {
		b, err := os.ReadFile(dir + "/pid")
		must(t, err)
		if pid, err := strconv.Atoi(string(b)); err != nil || pid <= 1 {
			t.Errorf("the file has %q", b)
		}
	}
}

// checkLimits looks at the cgroup of a container that runs.
func (f flag) checkLimits(t *engine.C, d *daemon) {
	d.Ctr(append(append(d.run("limited", "-d"), f.args...), image, "limited", "/bin/sleep", "1000")...)
	for file, want := range f.limits {
		b, err := os.ReadFile("/sys/fs/cgroup/" + filepath.Dir(file) + cgroupOf("limited") + "/" + filepath.Base(file))
		if got := strings.TrimSpace(string(b)); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", file, got, want, err)
		}
	}
	d.remove("limited")
}

// withoutWarnings leaves out what the newest ctr says of itself.
func withoutWarnings(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "time=") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// busyboxRoot makes a root file system.
func busyboxRoot(t testing.TB, root string) {
	t.Helper()
	for _, d := range []string{"bin", "dev", "etc", "proc", "run", "sys", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	busybox := engine.Need(t, "busybox")
	if out, err := exec.Command("cp", busybox, root+"/bin/busybox").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"sh", "cat", "echo"} {
		must(t, os.Symlink("busybox", root+"/bin/"+name))
	}
	must(t, os.WriteFile(root+"/mark", []byte("here\n"), 0o644))
}

// writeConfig writes a config.json for a root file system beside it.
func writeConfig(t testing.TB, d *daemon, dir string) {
	t.Helper()
	s, err := oci.GenerateSpec(d.ctx, d.client, &containers.Container{ID: "flag"}, oci.WithRootFSPath(dir+"/rootfs"),
		oci.WithProcessArgs("/bin/sh", "-c", "echo from a file"), func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
			s.Linux.CgroupsPath = cgroupOf("flag")
			s.Linux.Resources.CPU = nil
			s.Linux.Resources.Memory = nil
			return nil
		})
	must(t, err)
	b, err := json.Marshal(s)
	must(t, err)
	must(t, os.WriteFile(dir+"/config.json", b, 0o644))
}
