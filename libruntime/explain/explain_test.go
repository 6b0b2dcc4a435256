package explain

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// machine is one with these files, on which namespaces of the kinds in full cannot be made.
func machine(nested bool, full plan.Namespace, files map[string]string) *Machine {
	tree := make(fstest.MapFS)
	for name, text := range files {
		tree[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text)}
	}
	return &Machine{Files: tree, Nested: nested, Try: func(kinds plan.Namespace) error {
		if kinds&full != 0 {
			return unix.ENOSPC
		}
		return nil
	}}
}

const (
	root     = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n"
	ordinary = "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nSeccomp:\t0\n"
	filtered = "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nSeccomp:\t2\n"
	mountsOK = "21 1 0:1 / / rw - ext4 /dev/root rw\n22 21 0:2 / /proc rw - proc proc rw\n23 21 0:3 / /sys rw - sysfs sysfs rw\n"
)

func TestNamespaces(t *testing.T) {
	const all = plan.UserNS | plan.MountNS | plan.UTSNS
	type files = map[string]string
	for name, tc := range map[string]struct {
		m             *Machine
		wanted        plan.Namespace
		errno         syscall.Errno
		cause, remedy string
	}{
		"nothing to be seen":  {machine(false, 0, files{"/proc/self/status": ordinary, "/proc/self/mountinfo": mountsOK}), all, unix.EPERM, "", ""},
		"AppArmor, no label":  {machine(false, 0, files{"/proc/self/status": ordinary, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n", "/proc/self/attr/current": "unconfined\n"}), all, unix.EACCES, "no profile is in force", "userns,"},
		"AppArmor, a label":   {machine(false, 0, files{"/proc/self/status": ordinary, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n", "/proc/self/attr/apparmor/current": "engine (enforce)\n"}), all, unix.EPERM, `under the profile "engine (enforce)"`, "userns,"},
		"AppArmor, but off":   {machine(false, 0, files{"/proc/self/status": ordinary, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n"}), all, unix.EPERM, "", ""},
		"AppArmor, but root":  {machine(false, 0, files{"/proc/self/status": root, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}), all, unix.EPERM, "", ""},
		"Debian's parameter":  {machine(false, 0, files{"/proc/self/status": ordinary, "/proc/sys/kernel/unprivileged_userns_clone": "0\n"}), all, unix.EPERM, "kernel.unprivileged_userns_clone is 0", "=1"},
		"the same for root":   {machine(false, 0, files{"/proc/self/status": root, "/proc/sys/kernel/unprivileged_userns_clone": "0\n"}), all, unix.EPERM, "", ""},
		"no CAP_SYS_ADMIN":    {machine(false, 0, files{"/proc/self/status": ordinary}), plan.MountNS, unix.EPERM, "new namespaces take CAP_SYS_ADMIN", "user"},
		"a chroot":            {machine(false, 0, files{"/proc/self/status": root, "/proc/self/mountinfo": "22 21 0:2 / /proc rw - proc proc rw\n"}), all, unix.EPERM, "runs in a chroot", "outside"},
		"a filter":            {machine(false, 0, files{"/proc/self/status": filtered}), all, unix.EPERM, "a system-call filter", "seccomp"},
		"a filter's ENOSYS":   {machine(false, 0, files{"/proc/self/status": filtered}), all, unix.ENOSYS, "answers clone3", "seccomp"},
		"an old kernel":       {machine(false, 0, files{"/proc/self/status": root}), all, unix.ENOSYS, "", ""},
		"none of the kind":    {machine(false, 0, files{"/proc/self/ns/user": "", "/proc/self/ns/mnt": ""}), all, unix.EINVAL, "no /proc/self/ns/uts", "built"},
		"a limit of 0":        {machine(false, 0, files{"/proc/sys/user/max_mnt_namespaces": "0\n"}), all, unix.ENOSPC, "user.max_mnt_namespaces is 0", "on this machine: sysctl -w user.max_mnt_namespaces"},
		"a limit":             {machine(false, plan.UTSNS, files{"/proc/self/status": ordinary, "/proc/sys/user/max_uts_namespaces": "7\n"}), all, unix.ENOSPC, "allows user 1000 7 uts namespaces on this machine", "user.max_uts_namespaces=14"},
		"a limit further out": {machine(true, plan.UTSNS, files{"/proc/sys/user/max_uts_namespaces": "2147483647\n"}), all, unix.ENOSPC, "that of one further out", "outermost"},
		"too deep":            {machine(true, plan.UserNS, files{"/proc/sys/user/max_user_namespaces": "2147483647\n"}), all, unix.ENOSPC, "33 deep", "less deeply"},
		"it works now":        {machine(false, 0, files{"/proc/sys/user/max_uts_namespaces": "7\n"}), all, unix.ENOSPC, "", ""},
	} {
		check(t, name, tc.m.Namespaces(tc.wanted, tc.errno), tc.cause, tc.remedy)
	}
}

func check(t *testing.T, name string, why Why, cause, remedy string) {
	t.Helper()
	if !strings.Contains(why.Cause, cause) || !strings.Contains(why.Remedy, remedy) || (cause == "") != (why == Why{}) {
		t.Errorf("%s: %+v, want %q, %q", name, why, cause, remedy)
	}
}

// The label of the process in the namespace, which Ubuntu's AppArmor puts there.
func TestAppArmorInside(t *testing.T) {
	m := machine(false, 0, map[string]string{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1", "/proc/77/attr/current": "unprivileged_userns (enforce)\n"})
	check(t, "inside", m.becomeRoot(&Failure{PID: 77, Errno: unix.EPERM, Syscall: "setresgid"}), "have no capabilities here", "userns,")
	check(t, "another process", m.becomeRoot(&Failure{PID: 78, Errno: unix.EPERM}), "", "")
}

func TestNewFilesystem(t *testing.T) {
	pl := func(kinds plan.Namespace) *plan.Plan {
		return &plan.Plan{Ops: []plan.Op{{Action: plan.Clone{Namespaces: kinds}}}}
	}
	const masked = mountsOK + "30 22 0:9 / /proc/keys rw - tmpfs tmpfs rw\n31 22 0:9 / /proc/a\\040b rw - tmpfs tmpfs rw\n"
	const placeholder = mountsOK + "30 22 0:9 / /proc/sys/fs/binfmt_misc rw - autofs x rw\n31 23 0:9 / /sys/fs/cgroup rw - cgroup2 x rw\n32 31 0:9 / /sys/fs/cgroup/memory rw - cgroup x rw\n"
	own := plan.UserNS | plan.PIDNS | plan.NetworkNS | plan.MountNS
	for name, tc := range map[string]struct {
		mounts, kind  string
		kinds         plan.Namespace
		cause, remedy string
	}{
		"masked":              {masked, "proc", own, "(/proc/a b, /proc/keys)", "bind-mount"},
		"another one is not":  {masked + "40 21 0:2 / /mnt/proc rw - proc proc rw\n", "proc", own, "", ""},
		"placeholders":        {placeholder, "proc", own, "", ""},
		"placeholders of sys": {placeholder, "sysfs", own, "", ""},
		"only a part":         {"21 1 0:1 / / rw - ext4 x rw\n22 21 0:2 /sys /proc/sys rw - proc proc rw\n", "proc", own, "no proc is mounted as a whole", "mounted"},
		"no pid namespace":    {mountsOK, "proc", plan.UserNS | plan.MountNS, "shows the pid namespace", `{"type": "pid"}`},
		"no net namespace":    {mountsOK, "sysfs", plan.UserNS | plan.PIDNS, "shows the net namespace", `{"type": "network"}`},
		"no ipc namespace":    {mountsOK, "mqueue", plan.UserNS | plan.PIDNS, "shows the ipc namespace", "leave the mount out"},
		"not for users":       {mountsOK, "ext4", own, "of the type ext4", "on the host"},
		"for users":           {mountsOK, "tmpfs", own, "", ""},
		"root's own":          {mountsOK, "ext4", plan.MountNS, "", ""},
	} {
		m := machine(false, 0, map[string]string{"/proc/self/mountinfo": tc.mounts})
		check(t, name, m.newFilesystem(tc.kind, &Failure{Plan: pl(tc.kinds), Errno: unix.EPERM}), tc.cause, tc.remedy)
	}
}

func TestLockedFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		flags         int64
		set, clear    uint64
		recursive     bool
		cause, remedy string
	}{
		"nosuid":          {unix.ST_NOSUID | unix.ST_RELATIME, 0, unix.MOUNT_ATTR_NOSUID, false, "/src is mounted nosuid", "leave suid out"},
		"several":         {unix.ST_NODEV | unix.ST_NOEXEC, 0, unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, false, "nodev, noexec", "leave dev, exec out"},
		"not asked":       {unix.ST_NOSUID, unix.MOUNT_ATTR_RDONLY, 0, false, "", ""},
		"not there":       {0, 0, unix.MOUNT_ATTR_NOSUID, false, "", ""},
		"atime":           {unix.ST_NOATIME, unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME, false, "mounted noatime", "leave strictatime out"},
		"the same atime":  {unix.ST_NOATIME, unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME, false, "", ""},
		"a mount below":   {0, 0, unix.MOUNT_ATTR_NOSUID, true, "a mount below it", "only the mount itself"},
		"to relatime":     {0, 0, unix.MOUNT_ATTR__ATIME, false, "mounted strictatime", "leave relatime out"},
		"more than asked": {unix.ST_NOSUID | unix.ST_RDONLY, 0, unix.MOUNT_ATTR_RDONLY, false, "mounted ro,", "leave rw out"},
	} {
		check(t, name, lockedFlags("/src", tc.flags, tc.set, tc.clear, tc.recursive), tc.cause, tc.remedy)
	}
}

func TestIDMap(t *testing.T) {
	const list = "21 1 0:1 / / rw - ext4 x rw\n40 21 0:5 / /src rw,idmapped - xfs x rw\n41 21 0:6 / /data rw - nfs x rw\n42 41 0:7 / /data/sub rw - mqueue x rw\n43 21 0:8 / /fuse rw - fuse.s3 x rw\n"
	m := machine(false, 0, map[string]string{"/proc/self/mountinfo": list, "/proc/self/status": root})
	top := func(id uint64) mount { e, _ := m.at(id); return e }
	can := func(path string) error {
		if path == "/data/sub" {
			return unix.EINVAL
		}
		return nil
	}
	check(t, "mapped already", m.idMap(top(40), "/src/dir", false, unix.EPERM, can), "/src/dir lies on a mount that has an ID mapping already", "without an ID mapping")
	check(t, "cannot", m.idMap(top(41), "/data", false, unix.EINVAL, can), "/data is on a filesystem of the type nfs (mounted on /data)", "ext4")
	check(t, "one below", m.idMap(top(41), "/data", true, unix.EINVAL, can), "/data/sub is on a filesystem of the type mqueue", "ext4")
	check(t, "another userns's", m.idMap(top(41), "/data", false, unix.EPERM, can), "in the user namespace that the filesystem (nfs", "host's own")
}

func TestUnreachable(t *testing.T) {
	m := machine(false, 0, map[string]string{"/a/b/file": "", "/proc/self/status": ordinary})
	check(t, "missing", m.Unreachable("/a/c/d", unix.ENOENT), "there is no /a/c", "correct")
	check(t, "below a file", m.Unreachable("/a/b/file/x", unix.ENOTDIR), "/a/b/file is not a directory", "correct")
	check(t, "all there", m.Unreachable("/a/b/file", unix.EACCES), "", "")
	check(t, "another errno", m.Unreachable("/a/c", unix.EIO), "", "")
}

func TestBarred(t *testing.T) {
	dir, file := uint32(unix.S_IFDIR), uint32(unix.S_IFREG)
	check(t, "directory", barred(seen{path: "/opt", mode: dir | 0o700}, "process.user (1:1)"), "process.user (1:1) may not enter the directory /opt", "chmod a+x")
	check(t, "open directory", barred(seen{path: "/opt", mode: dir | 0o755}, "x"), "", "")
	check(t, "noexec", barred(seen{path: "/opt/x", mode: file | 0o755, flags: unix.ST_NOEXEC}, "x"), "noexec", "leave noexec out")
	check(t, "for nobody", barred(seen{path: "/opt/x", mode: file | 0o644}, "x"), "executable for nobody", "chmod")
	check(t, "not for others", barred(seen{path: "/opt/x", mode: file | 0o744}, "user 5"), "user 5 may not execute", "chmod")
	check(t, "for all", barred(seen{path: "/opt/x", mode: file | 0o755}, "x"), "", "")
}

func TestEmptyRoot(t *testing.T) {
	m := machine(false, 0, map[string]string{"/full/bin/sh": "", "/file/x": ""})
	files := m.Files.(fstest.MapFS)
	files["empty"] = &fstest.MapFile{Mode: 0o755 | fs.ModeDir}
	files["points/proc"] = &fstest.MapFile{Mode: 0o755 | fs.ModeDir}
	of := func(path string) *Failure {
		return &Failure{Action: plan.ResolveExecutable{}, Errno: unix.ENOENT,
			Plan: &plan.Plan{Ops: []plan.Op{{Action: plan.OpenTree{Slot: plan.SlotRoot, Path: path}}}}}
	}
	check(t, "nothing", m.Operation(of("/empty")), "the root filesystem /empty is empty", "tar -x -C /empty")
	check(t, "mount points", m.Operation(of("/points")), "the root filesystem /points is empty", "unpack an image")
	check(t, "a program", m.Operation(of("/full")), "", "")
	check(t, "a file", m.Operation(of("/file")), "", "")
	check(t, "no such root", m.Operation(of("/none")), "", "")
	check(t, "none of ours", m.Operation(&Failure{Action: plan.ResolveExecutable{}, Errno: unix.ENOENT}), "", "")
}

func TestNotOurs(t *testing.T) {
	m := machine(false, 0, nil)
	maps := plan.WriteIDMaps{UIDs: []plan.IDMapping{{Host: 1000, Size: 10}}, GIDs: []plan.IDMapping{{Host: 1000, Size: 10}}}
	check(t, "owner", m.notOurs(seen{path: "/r", mode: 0o755}, unix.EACCES, maps, true), "not in the container's ID mappings", "chown")
	check(t, "group", m.notOurs(seen{path: "/r", uid: 1000}, unix.EACCES, maps, true), "not in the container's ID mappings", "chown")
	check(t, "ours", m.notOurs(seen{path: "/r", uid: 1009, gid: 1000}, unix.EACCES, maps, true), "", "")
	check(t, "no user namespace", m.notOurs(seen{path: "/r"}, unix.EACCES, plan.WriteIDMaps{}, false), "", "")
	check(t, "read-only", m.notOurs(seen{path: "/r", flags: unix.ST_RDONLY}, unix.EROFS, maps, true), "read-only", "image")
}

func TestIDs(t *testing.T) {
	m := machine(false, 0, map[string]string{"/proc/7/uid_map": "  0 1000 1\n  1 2000 10\n", "/proc/7/gid_map": "0 1000 1", "/proc/7/setgroups": "deny\n", "/proc/8/uid_map": "5 5 1"})
	check(t, "uid", m.setIDs(plan.SetIDs{UID: 11}, &Failure{PID: 7, Syscall: "setresuid", Errno: unix.EINVAL}), `uid 11 does not exist in the container's user namespace, whose uid_map is "0 1000 1, 1 2000 10"`, "an ID that does")
	check(t, "the last", m.setIDs(plan.SetIDs{UID: 10}, &Failure{PID: 7, Syscall: "setresuid", Errno: unix.EINVAL}), "", "")
	check(t, "groups", m.setIDs(plan.SetIDs{Groups: []uint32{0, 3}}, &Failure{PID: 7, Syscall: "setgroups", Errno: unix.EINVAL}), "gid 3", "")
	check(t, "denied", m.setIDs(plan.SetIDs{Groups: []uint32{0}}, &Failure{PID: 7, Syscall: "setgroups", Errno: unix.EPERM}), "denies setgroups", "newgidmap")
	check(t, "no root", m.becomeRoot(&Failure{PID: 8, Syscall: "setresuid", Errno: unix.EINVAL}), "no uid 0", "containerID 0")
}

func TestJoining(t *testing.T) {
	poor, rich := machine(false, 0, map[string]string{"/proc/self/status": ordinary}), machine(false, 0, map[string]string{"/proc/self/status": root})
	check(t, "out of sight", rich.ownerRefuses(plan.NetworkNS, unix.EPERM, false), "neither bailey's own nor inside it", "of its own")
	check(t, "not ours", poor.ownerRefuses(plan.NetworkNS, nil, false), "takes CAP_SYS_ADMIN in the user namespace", `"type": "user"`)
	check(t, "user namespace of another", poor.ownerRefuses(plan.UserNS, nil, false), "only who made a user namespace", "as root")
	check(t, "another was joined", poor.ownerRefuses(plan.NetworkNS, nil, true), "joined before, which is another", "same PID")
	check(t, "no reason", rich.ownerRefuses(plan.NetworkNS, nil, false), "", "")
}

func TestRights(t *testing.T) {
	m := machine(true, 0, map[string]string{"/proc/self/status": root, "/proc/sys/net/core/x": ""})
	check(t, "global", m.Lacks(unix.CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", true, "doing it"), "doing it takes CAP_SYS_RESOURCE in the initial user namespace", "outside")
	check(t, "local", m.Lacks(unix.CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", false, "doing it"), "", "")
	check(t, "mknod", m.device(plan.MakeDevice{Path: "/dev/x"}, &Failure{Errno: unix.EPERM}), "initial user namespace", "bind-mounted")
	own := &plan.Plan{Ops: []plan.Op{{Action: plan.Clone{Namespaces: plan.NetworkNS}}}}
	check(t, "global parameter", m.parameter("net/core/x", &Failure{Plan: own, Errno: unix.ENOENT}), "only once for the whole machine", "sysctl -w net.core.x")
	m.Files.(fstest.MapFS)["proc/sys"] = &fstest.MapFile{Mode: 0o755 | 1<<31}
	check(t, "no such parameter", m.parameter("net/core/y", &Failure{Plan: own, Errno: unix.ENOENT}), "no parameter net.core.y", "name")
	check(t, "a shared namespace's", m.parameter("net/core/x", &Failure{Plan: &plan.Plan{Ops: []plan.Op{{Action: plan.Clone{}}}}, Errno: unix.EPERM}), "another", "that namespace itself")
	check(t, "its own", m.parameter("net/core/x", &Failure{Plan: own, Errno: unix.EPERM}), "", "")
}
