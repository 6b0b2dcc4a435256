package explain

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// mount is a line of /proc/self/mountinfo.
type mount struct {
	id, parent  uint64
	root, point string
	options     []string
	kind        string
}

// mounts returns the mounts that the process sees.
func (m *Machine) mounts() []mount {
	lines, err := mountinfo.GetMountsFromReader(strings.NewReader(m.read("/proc/self/mountinfo")), nil)
	if err != nil {
		return nil
	}
	list := make([]mount, 0, len(lines))
	for _, l := range lines {
		list = append(list, mount{uint64(l.ID), uint64(l.Parent), l.Root, l.Mountpoint, strings.Split(l.Options, ","), l.FSType})
	}
	return list
}

// placeholders are the directories of procfs and sysfs that the kernel keeps empty for other filesystems. What is mounted on
// them hides nothing.
var placeholders = []string{
	"/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd", "/proc/openprom", "/sys/fs/cgroup", "/sys/fs/fuse/connections", "/sys/fs/bpf",
	"/sys/fs/pstore", "/sys/fs/selinux", "/sys/fs/smackfs", "/sys/fs/resctrl", "/sys/kernel/debug", "/sys/kernel/tracing",
	"/sys/kernel/security", "/sys/kernel/config", "/sys/firmware/efi/efivars", "/sys/hypervisor/s390",
}

func onPlaceholder(point string) bool {
	return slices.ContainsFunc(placeholders, func(p string) bool { return point == p || strings.HasPrefix(point, p+"/") })
}

// masks returns what covers parts of every procfs (or sysfs) that can be seen, and whether one can be seen at all. Where one is
// uncovered, the list is empty.
func (m *Machine) masks(kind string) (covered []string, seen bool) {
	mounts := m.mounts()
	for _, fs := range mounts {
		if fs.kind != kind || fs.root != "/" {
			continue
		}
		seen = true
		var over []string
		for _, on := range mounts {
			inside, ok := strings.CutPrefix(on.point, fs.point+"/")
			if ok && !onPlaceholder("/"+strings.TrimSuffix(kind, "fs")+"/"+inside) {
				over = append(over, on.point)
			}
		}
		if len(over) == 0 {
			return nil, true
		}
		covered = over
	}
	slices.Sort(covered)
	return slices.Compact(covered), seen
}

// list names the first of many.
func list(names []string) string {
	const most = 4
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(len(names)-most) + " more"
	}
	return strings.Join(names, ", ")
}

// owners are the namespaces that a filesystem shows, and that who mounts it must have power over.
var owners = map[string]plan.Namespace{
	"proc": plan.PIDNS, "sysfs": plan.NetworkNS, "mqueue": plan.IPCNS, "cgroup": plan.CgroupNS, "cgroup2": plan.CgroupNS,
}

// inUserNamespaces are the filesystems that the kernel lets root of a user namespace mount (FS_USERNS_MOUNT).
var inUserNamespaces = []string{
	"proc", "sysfs", "mqueue", "cgroup", "cgroup2", "tmpfs", "ramfs", "devpts", "overlay", "fuse", "fuseblk", "bpf", "binfmt_misc",
}

// newFilesystem explains why a filesystem of this kind cannot be made.
func (m *Machine) newFilesystem(kind string, f *Failure) Why {
	if !refused(f.Errno) {
		return Why{}
	}
	if f.PID != 0 {
		if why := m.AppArmor(f.PID); why != (Why{}) {
			return why
		}
	}
	made, known := f.made()
	if _, shows := owners[kind]; known && shows {
		user := made&plan.UserNS != 0 || m.Nested
		needed := owners[kind]
		if user && made&needed == 0 && needed != plan.CgroupNS {
			other := Why{"a " + kind + " shows the " + needed.String() + " namespace, and the container has none of its own; " +
				"over the one that it shares, root of its user namespace has no power",
				`add {"type": "` + specName[needed] + `"} to linux.namespaces, or bind-mount the existing one: type "bind", source "/` +
					strings.TrimSuffix(kind, "fs") + `", options ["rbind", "ro"]`}
			if kind == "mqueue" {
				other.Remedy = `add {"type": "ipc"} to linux.namespaces, or leave the mount out`
			}
			return other
		}
	}
	if kind == "proc" || kind == "sysfs" {
		at := "/" + strings.TrimSuffix(kind, "fs")
		bind := `bind-mount the existing one: type "bind", source "` + at + `", options ["rbind"]; or run bailey where ` + at +
			" is not masked (podman run --security-opt unmask=ALL, docker run --privileged, or Kubernetes' procMount: Unmasked)"
		covered, seen := m.masks(kind)
		switch {
		case len(covered) > 0:
			return Why{"parts of " + at + " are covered where bailey runs (" + list(covered) + "), as in a container, so the kernel " +
				"gives nobody in a user namespace a fresh one, on which they are not", bind}
		case !seen && m.exists("/proc/self/mountinfo"):
			return Why{"where bailey runs no " + kind + " is mounted as a whole, so the kernel gives nobody in a user namespace one",
				"run bailey where " + at + " is mounted"}
		}
		return Why{}
	}
	if inside := m.Nested || made&plan.UserNS != 0; inside && !slices.Contains(inUserNamespaces, kind) {
		return Why{"the kernel lets nobody in a user namespace mount a filesystem of the type " + kind,
			"mount it on the host, and give it to the container as a bind mount"}
	}
	return Why{}
}

// specName are the namespaces as config.json names them.
var specName = map[plan.Namespace]string{plan.PIDNS: "pid", plan.NetworkNS: "network", plan.IPCNS: "ipc", plan.CgroupNS: "cgroup"}

// lockable are the attributes that a mount keeps in user namespaces other than that of who made it, by statfs's flag.
var lockable = []struct {
	flag      int64
	attribute uint64
	is, asked string
}{
	{unix.ST_RDONLY, unix.MOUNT_ATTR_RDONLY, "ro", "rw"},
	{unix.ST_NOSUID, unix.MOUNT_ATTR_NOSUID, "nosuid", "suid"},
	{unix.ST_NODEV, unix.MOUNT_ATTR_NODEV, "nodev", "dev"},
	{unix.ST_NOEXEC, unix.MOUNT_ATTR_NOEXEC, "noexec", "exec"},
}

// locked explains why attributes of a mount cannot be changed: by those that it has and would lose.
func locked(set, clear uint64, recursive bool, what string, f *Failure) Why {
	var fs unix.Statfs_t
	if f.Errno != unix.EPERM || f.Evidence == nil || unix.Fstatfs(int(f.Evidence.Fd()), &fs) != nil {
		return Why{}
	}
	return lockedFlags(what, fs.Flags, set, clear, recursive)
}

func lockedFlags(what string, flags int64, set, clear uint64, recursive bool) Why {
	var is, asked []string
	for _, l := range lockable {
		if flags&l.flag != 0 && clear&l.attribute != 0 {
			is, asked = append(is, l.is), append(asked, l.asked)
		}
	}
	if clear&unix.MOUNT_ATTR__ATIME != 0 {
		if now, wanted := atime(flags), atimeOf(set); now != wanted {
			is, asked = append(is, now), append(asked, wanted)
		}
	}
	if len(is) == 0 {
		if recursive && clear != 0 {
			return Why{what + " itself has nothing locked that would be changed, so it is a mount below it: in a user namespace, " +
				"mounts from outside keep their nosuid, nodev, noexec, ro and atime", "change only the mount itself (without the r of the option)"}
		}
		return Why{}
	}
	return Why{what + " is mounted " + strings.Join(is, ", ") + ", which is locked: it comes from outside of the user namespace that the " +
		"container is made in, so nobody in there can make it " + strings.Join(asked, ", "),
		"leave " + strings.Join(asked, ", ") + " out of the mount's options, or have root remount the source so on the host"}
}

// atime returns the option for how a mount keeps access times.
func atime(flags int64) string {
	switch {
	case flags&unix.ST_NOATIME != 0:
		return "noatime"
	case flags&unix.ST_RELATIME != 0:
		return "relatime"
	}
	return "strictatime"
}

func atimeOf(set uint64) string {
	switch set & unix.MOUNT_ATTR__ATIME {
	case unix.MOUNT_ATTR_NOATIME:
		return "noatime"
	case unix.MOUNT_ATTR_STRICTATIME:
		return "strictatime"
	}
	return "relatime"
}

// at returns the mount that a path lies on by its ID.
func (m *Machine) at(id uint64) (mount, bool) {
	for _, e := range m.mounts() {
		if e.id == id {
			return e, true
		}
	}
	return mount{}, false
}

// MountOf returns the kind of the filesystem at a path and where it is mounted; "" if that cannot be found out.
func (m *Machine) MountOf(file string) (kind, point string) {
	e, _ := m.mountOf(file)
	return e.kind, e.point
}

func (m *Machine) mountOf(file string) (mount, bool) {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, file, 0, unix.STATX_MNT_ID, &st) != nil {
		return mount{}, false
	}
	return m.at(st.Mnt_id)
}

// below returns the mounts below the file on a mount that a recursive clone of it takes along.
func (m *Machine) below(top mount, file string) []mount {
	file = path.Clean(file)
	var found []mount
	for _, e := range m.mounts() {
		if e.id != top.id && strings.HasPrefix(e.point, strings.TrimSuffix(file, "/")+"/") {
			found = append(found, e)
		}
	}
	return found
}
