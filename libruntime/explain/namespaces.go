package explain

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// kinds are the kinds of namespaces with their names in /proc/PID/ns and in /proc/sys/user.
var kinds = []struct {
	kind         plan.Namespace
	file, limits string
}{
	{plan.UserNS, "user", "user"}, {plan.MountNS, "mnt", "mnt"}, {plan.PIDNS, "pid", "pid"}, {plan.NetworkNS, "net", "net"},
	{plan.IPCNS, "ipc", "ipc"}, {plan.UTSNS, "uts", "uts"}, {plan.CgroupNS, "cgroup", "cgroup"}, {plan.TimeNS, "time", "time"},
}

// Namespaces explains why namespaces of these kinds cannot be made.
func (m *Machine) Namespaces(wanted plan.Namespace, errno syscall.Errno) Why {
	switch errno {
	case unix.ENOSPC, unix.EUSERS:
		return m.exhausted(wanted)
	case unix.EPERM, unix.EACCES:
		return m.forbidden(wanted)
	case unix.ENOSYS:
		if m.filtered() {
			return Why{"a system-call filter (seccomp) is in force for bailey and answers clone3 as a kernel without it would, " +
				"as Docker's default profile does for containers without CAP_SYS_ADMIN", outerFilter}
		}
	case unix.EINVAL:
		for _, k := range kinds {
			if wanted&k.kind != 0 && m.exists("/proc/self") && !m.exists("/proc/self/ns/"+k.file) {
				return Why{"this kernel has no " + k.file + " namespaces: there is no /proc/self/ns/" + k.file,
					"use a kernel that is built with them, or leave the namespace out"}
			}
		}
	}
	return Why{}
}

const outerFilter = "run the outer container with a profile that allows namespaces (docker run --security-opt seccomp=FILE, " +
	"or --cap-add SYS_ADMIN), or run bailey outside of it"

// forbidden explains EPERM. What is certain to forbid it comes first, a filter, of which only is known that there is one, last.
func (m *Machine) forbidden(wanted plan.Namespace) Why {
	user := wanted&plan.UserNS != 0
	admin := !m.lacks(unix.CAP_SYS_ADMIN)
	if user && m.chrooted() {
		return Why{"bailey runs in a chroot, and from there the kernel lets nobody make a user namespace: no mount of " +
			"/proc/self/mountinfo is on /", "run bailey outside of the chroot, or enter the directory with pivot_root instead (unshare --mount, bwrap)"}
	}
	if !user && !admin {
		return Why{"new namespaces take CAP_SYS_ADMIN, which bailey does not have (CapEff in /proc/self/status), and no user " +
			"namespace is asked for, in which it would",
			`add {"type": "user"} to linux.namespaces with uidMappings and gidMappings, or run bailey with CAP_SYS_ADMIN`}
	}
	if n, known := m.sysctl("kernel.unprivileged_userns_clone"); user && !admin && known && n == 0 {
		return Why{"the sysctl kernel.unprivileged_userns_clone is 0: only root may make user namespaces here",
			"as root: sysctl -w kernel.unprivileged_userns_clone=1 (and a file in /etc/sysctl.d to keep it)"}
	}
	if user && !admin {
		if why := m.AppArmor(0); why != (Why{}) {
			return why
		}
	}
	if m.filtered() {
		return Why{"a system-call filter (seccomp) is in force for bailey (Seccomp in /proc/self/status), and nothing else that " +
			"bailey knows of forbids it", outerFilter}
	}
	return Why{}
}

// chrooted reports whether the root directory is none of a mount.
func (m *Machine) chrooted() bool {
	mounts := m.mounts()
	for _, e := range mounts {
		if e.point == "/" {
			return false
		}
	}
	return len(mounts) > 0
}

// AppArmor says whether AppArmor keeps ordinary users' user namespaces without power, as on Ubuntu. pid is a process in such a
// namespace, or 0: bailey would make one.
func (m *Machine) AppArmor(pid int) Why {
	const name = "kernel.apparmor_restrict_unprivileged_userns"
	if n, known := m.sysctl(name); !known || n == 0 {
		return Why{}
	}
	label := m.label("self")
	remedy := "give bailey an AppArmor profile with the rule \"userns,\" (a file in /etc/apparmor.d, then apparmor_parser -r), " +
		"or as root: sysctl -w " + name + "=0"
	if inside := m.label(strconv.Itoa(pid)); pid != 0 && strings.HasPrefix(inside, "unprivileged_userns") {
		return Why{"AppArmor lets ordinary users' user namespaces have no capabilities here: the sysctl " + name + " is 1, and it " +
			"has put the process in the namespace under the profile " + strconv.Quote(inside), remedy}
	}
	if pid != 0 {
		return Why{}
	}
	if label == "" || label == "unconfined" {
		return Why{"AppArmor lets only programs whose profile says so make user namespaces here: the sysctl " + name +
			" is 1, and no profile is in force for bailey", remedy}
	}
	return Why{"AppArmor lets only programs whose profile says so make user namespaces here: the sysctl " + name +
		" is 1, and bailey runs under the profile " + strconv.Quote(label), remedy}
}

// label returns the AppArmor label of a process.
func (m *Machine) label(pid string) string {
	if label := m.read("/proc/" + pid + "/attr/apparmor/current"); label != "" {
		return label
	}
	return m.read("/proc/" + pid + "/attr/current")
}

// exhausted explains ENOSPC: a limit, which is looked for by making the kinds one by one.
func (m *Machine) exhausted(wanted plan.Namespace) Why {
	user := wanted & plan.UserNS
	for _, k := range kinds {
		if wanted&k.kind == 0 {
			continue
		}
		limit, known := m.sysctl("user.max_" + k.limits + "_namespaces")
		zero := known && limit == 0
		if !zero && m.Try != nil && m.Try(k.kind|user) != unix.ENOSPC {
			continue
		}
		if !zero && m.Try == nil {
			continue
		}
		return m.limit(k.limits, limit, known)
	}
	return Why{}
}

// unlimited is what the kernel gives a new user namespace for each limit.
const unlimited = 1<<31 - 1

func (m *Machine) limit(kind string, limit uint64, known bool) Why {
	name := "user.max_" + kind + "_namespaces"
	uid, _, _ := strings.Cut(m.status("Uid"), "\t")
	switch {
	case known && limit == 0:
		return Why{"it is a limit, not disk space: the sysctl " + name + " is 0, so nobody may make " + kind + " namespaces " + m.where(),
			"as root " + m.where() + ": sysctl -w " + name + "=15000 (and a file in /etc/sysctl.d to keep it)"}
	case known && (!m.Nested || limit < unlimited):
		return Why{"it is a limit, not disk space: the sysctl " + name + " allows user " + uid + " " + strconv.FormatUint(limit, 10) + " " +
			kind + " namespaces " + m.where() + ", and there are as many; making one more by itself was tried and fails as well",
			"end what holds them (lsns -t " + kind + "), or as root " + m.where() + ": sysctl -w " + name + "=" + strconv.FormatUint(2*limit, 10)}
	case kind == "user":
		return Why{"it is a limit, not disk space: bailey runs in a user namespace already, whose own " + name + " is not reached; " +
			"either one further out is, or the namespaces are nested 33 deep, which is as deep as the kernel goes; both cannot be seen from inside",
			"nest less deeply, or look at " + name + " where the outermost container was started"}
	}
	return Why{"it is a limit, not disk space: making a " + kind + " namespace by itself was tried and fails as well; the limit " + name +
		" of the user namespace that bailey runs in is not reached, so it is that of one further out",
		"look at " + name + " where the outermost container was started"}
}

func (m *Machine) where() string {
	if m.Nested {
		return "in the user namespace that bailey runs in"
	}
	return "on this machine"
}

// joining explains why a namespace that is given by path cannot be joined.
func (m *Machine) joining(kind plan.Namespace, ns *os.File, f *Failure) Why {
	errno := f.Errno
	if ns == nil {
		return Why{}
	}
	var own, other unix.Stat_t
	if errno == unix.EINVAL && kind == plan.UserNS && unix.Stat("/proc/self/ns/user", &own) == nil &&
		unix.Fstat(int(ns.Fd()), &other) == nil && own.Ino == other.Ino {
		return Why{"it is the user namespace that bailey runs in already, which cannot be joined again",
			"leave it out of linux.namespaces"}
	}
	if errno != unix.EPERM {
		return Why{}
	}
	get := unix.NS_GET_USERNS
	owner, err := unix.IoctlRetInt(int(ns.Fd()), uint(get))
	if err == nil {
		unix.Close(owner)
	}
	return m.ownerRefuses(kind, err, f.joins(plan.UserNS))
}

// ownerRefuses explains EPERM by whether the namespace's owner can be seen from here: the kernel shows it if it is the caller's
// user namespace or one below. elsewhere says that the container joins a user namespace first.
func (m *Machine) ownerRefuses(kind plan.Namespace, visible error, elsewhere bool) Why {
	switch {
	case visible == unix.EPERM:
		return Why{"the " + kind.String() + " namespace belongs to a user namespace that is neither bailey's own nor inside it, " +
			"so that no capability here counts for it", "run bailey where that user namespace is, or have the container make a namespace of its own"}
	case kind == plan.UserNS:
		return Why{"only who made a user namespace, or has CAP_SYS_ADMIN in it, may join it, and bailey runs as another user",
			"run bailey as the user who made it, or as root"}
	case visible == nil && elsewhere:
		return Why{"joining a " + kind.String() + " namespace takes CAP_SYS_ADMIN in the user namespace that it belongs to, and the container " +
			"is in the one that it has joined before, which is another", "give both of one container: /proc/PID/ns/user and its others of the same PID"}
	case visible == nil && m.lacks(unix.CAP_SYS_ADMIN):
		return Why{"joining a " + kind.String() + " namespace takes CAP_SYS_ADMIN in the user namespace that it belongs to; bailey has " +
			"none here (CapEff in /proc/self/status), and the container is given no user namespace by path in which it would",
			`join the user namespace that it belongs to as well ({"type": "user", "path": "/proc/PID/ns/user"}), or run bailey as root`}
	}
	return Why{}
}

// cloning explains why mounts cannot be cloned.
func (m *Machine) cloning() Why {
	if why := m.Lacks(unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", false, "cloning a mount, as making a container does,"); why != (Why{}) {
		why.Remedy += "; or run bailey in a user namespace, in which it has it: unshare --user --map-root-user --mount bailey ..."
		return why
	}
	if !m.Nested {
		return Why{}
	}
	ns, err := m.Files.Open("proc/self/ns/mnt")
	if err != nil {
		return Why{}
	}
	file, ok := ns.(*os.File)
	if !ok {
		return Why{}
	}
	defer file.Close()
	owner, err := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_USERNS)
	if err == nil {
		unix.Close(owner)
	}
	if err != unix.EPERM {
		return Why{}
	}
	return Why{"bailey is root of a user namespace, but its mount namespace belongs to one further out, so that it may change no mounts",
		"give it a mount namespace along with the user namespace: unshare --user --map-root-user --mount bailey ..."}
}
