package libruntime

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// openTree clones a mount, after a look at what it is. The look and the clone are about the same file: the
// path is walked once. opened has the user namespace of the mount's ID mapping.
func openTree(a plan.OpenTree, opened map[plan.Slot]*os.File) (int, error) {
	flags := unix.O_PATH
	if a.NoFollow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := openHost(a.Path, flags)
	if err != nil {
		return -1, &fault.Error{Syscall: "open", Err: err}
	}
	defer unix.Close(fd)
	if a.Device != nil || a.Filesystem != "" {
		if err := checkSource(fd, a); err != nil {
			return -1, err
		}
	}
	clone := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if a.Recursive {
		clone |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(fd, "", clone)
	if err != nil {
		return -1, err
	}
	if a.Device != nil {
		// A clone is a peer of the original: what the container mounts over its /dev/null would cover the host's.
		// Other mounts have their propagation set by the plan; a device has none to choose.
		if err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Propagation: unix.MS_PRIVATE}); err != nil {
			err = &fault.Error{Syscall: "mount_setattr", Err: err}
		}
	}
	if a.IDMap != "" && err == nil {
		err = mapOwners(tree, a.IDMapRecursive, opened[a.IDMap], a.Path)
	}
	if err != nil {
		unix.Close(tree)
		return -1, err
	}
	return tree, nil
}

// mapOwners gives a detached mount, and what is mounted below it if recursive, the ID mapping of a user namespace. source is the
// path of what it is a clone of, "" if it is a filesystem of the container's own.
func mapOwners(mount int, recursive bool, userns *os.File, source string) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	err := unix.MountSetattr(mount, "", flags, idMapping(userns))
	if err == nil {
		return nil
	}
	f := &fault.Error{Syscall: "mount_setattr(MOUNT_ATTR_IDMAP)", Err: err}
	filesystem := "of the container's own"
	if source != "" {
		f.Object, filesystem = culprit(source, recursive, userns)
	}
	switch {
	case err == unix.EINVAL && filesystem == "overlay":
		f.Cause = "an overlay cannot show other owners than it has; it could be made anew from its layers, but only for a root filesystem that is an overlay as a whole"
		f.Remedy = "use a directory of another filesystem, such as the one that the layers are on"
	case err == unix.EINVAL:
		f.Cause = "the filesystem (" + filesystem + ") cannot show other owners than it has"
		f.Remedy = "use a filesystem that can (ext4, xfs, btrfs, tmpfs and others), or change the owners of the files"
		if recursive && f.Object != source {
			f.Remedy = "mount what is needed of " + source + " without that, with bind instead of rbind"
		}
	case err == unix.EPERM:
		f.Cause = "it takes CAP_SYS_ADMIN in the user namespace that the filesystem (" + filesystem + ") was mounted in, and a mount that has no ID mapping yet"
		f.Remedy = "use the directory that the mapped mount shows"
	}
	return f
}

func idMapping(userns *os.File) *unix.MountAttr {
	return &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
}

// culprit finds out which mount at path, or below it if recursive, cannot have an ID mapping, and returns where it is and the
// kind of its filesystem, for a message.
func culprit(path string, recursive bool, userns *os.File) (at, filesystem string) {
	const unknown = "of an unknown kind"
	var st unix.Statx_t
	list, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st) != nil {
		return path, unknown
	}
	id := strconv.FormatUint(st.Mnt_id, 10)
	below := strings.TrimSuffix(path, "/") + "/"
	filesystem = unknown
	for line := range strings.Lines(string(list)) {
		mount, super, _ := strings.Cut(line, " - ")
		f := strings.Fields(mount)
		kind, _, _ := strings.Cut(super, " ")
		if len(f) < 5 {
			continue
		}
		if f[0] == id {
			filesystem = kind
			if !recursive || !canMap(path, userns) {
				return path, kind
			}
		} else if point := unescape(f[4]); recursive && strings.HasPrefix(point, below) && !canMap(point, userns) {
			return point, kind
		}
	}
	return path, filesystem
}

// canMap reports whether the mount that shows path can have an ID mapping.
func canMap(path string, userns *os.File) bool {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return true // it is not that
	}
	defer unix.Close(fd)
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, idMapping(userns)) == nil
}

// checkSource compares an opened source with what it has to be.
func checkSource(fd int, a plan.OpenTree) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fault.Error{Syscall: "fstat", Err: err}
	}
	if a.Device != nil {
		if is := deviceOf(&st); is != normal(*a.Device) {
			return &fault.Error{Err: unix.ENODEV, Cause: fmt.Sprintf("%s is %s, not %s", a.Path, describe(is), describe(*a.Device))}
		}
	}
	if a.Filesystem == "" {
		return nil
	}
	magic, known := plan.FilesystemMagic[a.Filesystem]
	if !known {
		return &fault.Error{Err: unix.ENOTSUP, Cause: "bailey does not know the filesystem " + strconv.Quote(a.Filesystem)}
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return &fault.Error{Syscall: "fstatfs", Err: err}
	}
	if uint64(fs.Type) != magic {
		return &fault.Error{Err: unix.EXDEV, Cause: a.Path + " is not on a filesystem of the kind " + a.Filesystem}
	}
	return nil
}

// deviceOf returns what a file is as a device; Type is 0 for one that is none.
func deviceOf(st *unix.Stat_t) plan.Device {
	d := plan.Device{Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		d.Type = 'c'
	case unix.S_IFBLK:
		d.Type = 'b'
	case unix.S_IFIFO:
		return plan.Device{Type: 'p'}
	default:
		return plan.Device{}
	}
	return d
}

// normal returns d in the form of deviceOf.
func normal(d plan.Device) plan.Device {
	switch d.Type {
	case 'u':
		d.Type = 'c'
	case 'p':
		return plan.Device{Type: 'p'}
	}
	return d
}

func describe(d plan.Device) string {
	switch d.Type {
	case 0:
		return "no device"
	case 'p':
		return "a FIFO"
	}
	return fmt.Sprintf("the device %c %d:%d", d.Type, d.Major, d.Minor)
}
