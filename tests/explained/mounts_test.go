package explained

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// mount mounts for the Env alone.
func (p *place) mount(source, target, kind string, flags uintptr) {
	p.T.Helper()
	p.Do(func() {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			p.T.Errorf("%s on %s: %v", source, target, err)
		}
	})
	p.Mounted()
}

func (p *place) dir(name string, mode os.FileMode) string {
	p.T.Helper()
	p.Must(os.MkdirAll(p.Path(name), 0o755))
	p.Must(os.Chmod(p.Path(name), mode))
	return p.Path(name)
}

// idmapped mounts a directory over itself with an ID mapping.
func (p *place) idmapped(path string) {
	p.T.Helper()
	sleep := exec.Command("sleep", "60")
	sleep.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: 200000, Size: 1000}}, GidMappings: []syscall.SysProcIDMap{{HostID: 200000, Size: 1000}}}
	p.Must(sleep.Start())
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", sleep.Process.Pid))
	p.Must(err)
	defer ns.Close()
	p.Do(func() {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == nil {
			defer unix.Close(fd)
			err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())})
		}
		if err == nil {
			err = unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
		}
		if err != nil {
			p.T.Error(err)
		}
	})
	p.Mounted()
}

// locked runs an ordinary user's container with a bind mount of something that is mounted with flags.
func locked(flags uintptr, options ...string) func(p *place) *harness.Result {
	return func(p *place) *harness.Result {
		source := p.dir("source", 0o755)
		p.mount("tmpfs", source, "tmpfs", flags)
		return p.as(p.granted(), p.theirs(harness.Mounted("/data", "bind", source, append([]string{"bind"}, options...)...)).RunArgs()...)
	}
}

var mountFailures = []failure{
	{row: 10, name: "a parent directory of a source that the user may not enter",
		finds: "walking the path, part by part", met: "podman#24704, podman#25189, lxc#3669, moby#42411",
		run: func(p *place) *harness.Result {
			p.dir("home", 0o700)
			source := p.dir("home/data", 0o755)
			return p.as(p.granted(), p.theirs(harness.Mounted("/data", "bind", source, "bind")).RunArgs()...)
		}, line: "EACCES", cause: "user 54321 may not enter the directory /tmp", try: "chmod o+x"},
	{row: 10, name: "a parent directory of the root filesystem that the user may not enter",
		finds: "walking the path, part by part", met: "crun#654, containerd#11575, podman#24704",
		run: func(p *place) *harness.Result {
			c := p.theirs()
			p.dir("images", 0o700)
			p.Must(os.Rename(c.Rootfs, p.Path("images/rootfs")))
			c.Spec.Root.Path = p.Path("images/rootfs")
			c.WriteSpec()
			return p.as(p.granted(), c.RunArgs()...)
		}, line: "/root/path", cause: "may not enter the directory", try: "setfacl -m u:54321:x"},
	{row: 10, name: "a root filesystem whose owner is not mapped",
		finds: "the directory that the failing process sends along: its owner and mode, and the mapping", met: "sysbox-runc#59, runc#252, runc#862",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.UserNamespace, harness.Args("true"), harness.Mounted("/opt/data", "tmpfs", "tmpfs"))
			p.Must(os.Chown(c.Rootfs, 0, 0))
			return c.Run()
		}, line: "/mounts/", cause: "belongs to IDs that are not in the container's ID mappings", try: "chown the root filesystem"},
	{row: 11, name: "a filesystem that cannot show other owners",
		finds: "the mount of the path in /proc/self/mountinfo", met: "longhorn#12380, soperator#1510, crun#1380, crun#1382, runc#3949",
		run: func(p *place) *harness.Result {
			source := p.dir("source", 0o755)
			p.mount("mqueue", source, "mqueue", 0)
			return p.Container(harness.UserNamespace, harness.Mounted("/data", "bind", source, "bind", "idmap")).Run()
		}, line: "MOUNT_ATTR_IDMAP", cause: "/source is on a filesystem of the type mqueue (mounted on ", try: "ext4, xfs, btrfs"},
	{row: 11, name: "a filesystem below the source that cannot show other owners",
		finds: "trying each mount below the source by itself", met: "runc#3949, longhorn#12380",
		run: func(p *place) *harness.Result {
			source := p.dir("source", 0o755)
			p.mount("tmpfs", source, "tmpfs", 0)
			p.Do(func() { os.Mkdir(source+"/queues", 0o755) })
			p.mount("mqueue", source+"/queues", "mqueue", 0)
			return p.Container(harness.UserNamespace, harness.Mounted("/data", "bind", source, "rbind", "ridmap")).Run()
		}, line: "MOUNT_ATTR_IDMAP", cause: "/source/queues is on a filesystem of the type mqueue", try: "ext4, xfs, btrfs"},
	{row: 12, name: "a source that has an ID mapping already",
		finds: "the word idmapped in /proc/self/mountinfo", met: "util-linux#3153, podman#24918, runc#3717",
		run: func(p *place) *harness.Result {
			source := p.dir("source", 0o755)
			p.idmapped(source)
			return p.Container(harness.UserNamespace, harness.Mounted("/data", "bind", source, "bind", "idmap")).Run()
		}, line: "MOUNT_ATTR_IDMAP", cause: "has an ID mapping already", try: "without an ID mapping"},
	{row: 13, name: "a new proc where /proc is masked",
		finds: "what /proc/self/mountinfo has below each procfs", met: "runc#1658, podman#20453, nvidia-docker#1638, podman#10864",
		run: func(p *place) *harness.Result {
			p.mount("/dev/null", "/proc/keys", "", unix.MS_BIND)
			p.mount("tmpfs", "/proc/irq", "tmpfs", unix.MS_RDONLY)
			return p.Container(harness.UserNamespace).Run()
		}, line: "/mounts/0", cause: "parts of /proc are covered where bailey runs (/proc/irq, /proc/keys)", try: `source "/proc", options ["rbind"]`},
	{row: 13, name: "a new sysfs where /sys is masked",
		finds: "what /proc/self/mountinfo has below each sysfs", met: "runc#3672, sysbox#67",
		run: func(p *place) *harness.Result {
			p.mount("tmpfs", "/sys/firmware", "tmpfs", unix.MS_RDONLY)
			return p.Container(harness.UserNamespace).Run()
		}, line: "/mounts/", cause: "parts of /sys are covered where bailey runs (/sys/firmware)", try: `source "/sys"`},
	{row: 13, name: "a new sysfs without an own network namespace",
		finds: "linux.namespaces", met: "runc#799, runc#3672",
		run: func(p *place) *harness.Result {
			return p.as(p.granted(), p.theirs(harness.Without(specs.NetworkNamespace)).RunArgs()...)
		}, line: "mount", cause: "shows the net namespace, and the container has none of its own", try: `{"type": "network"}`},
	{row: 13, name: "a filesystem that user namespaces cannot mount",
		finds: "the kernel's list of those that they can", met: "no thread of its own",
		run: func(p *place) *harness.Result {
			return p.as(p.granted(), p.theirs(harness.Mounted("/data", "ext4", "/dev/loop0")).RunArgs()...)
		}, line: "/mounts/", cause: "lets nobody in a user namespace mount a filesystem of the type ext4", try: "bind mount"},
	{row: 14, name: "locked nosuid, nodev and noexec",
		finds: "statfs(2) of the mount that the failing process sends along", met: "runc#1229, moby#22994, runc#1523, k3s#10850, moby#42230",
		run:  locked(unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "suid", "dev", "exec"),
		line: "mount_setattr: EPERM", cause: "/source is mounted nosuid, nodev, noexec, which is locked", try: "leave suid, dev, exec out"},
	{row: 14, name: "locked read-only",
		finds: "statfs(2) of the mount that the failing process sends along", met: "runc#5241, runc#3967",
		run:  locked(unix.MS_RDONLY, "rw"),
		line: "mount_setattr: EPERM", cause: "/source is mounted ro, which is locked", try: "leave rw out"},
	{row: 14, name: "locked access times",
		finds: "statfs(2) of the mount that the failing process sends along", met: "runc#4734, runc#3967",
		run:  locked(unix.MS_NOATIME, "strictatime"),
		line: "mount_setattr: EPERM", cause: "/source is mounted noatime, which is locked", try: "leave strictatime out"},
}
