package libruntime

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

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

// mapOwners gives a detached mount, and what is mounted below it if recursive, the ID mapping of a user namespace. It is a
// clone of what is at path, or of a filesystem that the container's init has made, where path is "".
func mapOwners(mount int, recursive bool, userns *os.File, path string) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	err := unix.MountSetattr(mount, "", flags, &attributes)
	if err == nil {
		return nil
	}
	f := &fault.Error{Syscall: "mount_setattr(MOUNT_ATTR_IDMAP)", Err: err}
	var errno syscall.Errno
	switch {
	case !errors.As(err, &errno):
	case path != "":
		why := machine().IDMap(path, recursive, errno, func(path string) error { return canMapOwners(path, &attributes) })
		f.Cause, f.Remedy = why.Cause, why.Remedy
	case err == unix.EINVAL:
		why := machine().IDMapNew(mount)
		f.Cause, f.Remedy = why.Cause, why.Remedy
	}
	return f
}

// canMapOwners tries whether the mount of a file can have attributes with an ID mapping. Nobody else sees it.
func canMapOwners(path string, attributes *unix.MountAttr) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, attributes)
}

// checkSource compares an opened source with what it has to be.
func checkSource(fd int, a plan.OpenTree) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fault.Error{Syscall: "fstat", Err: err}
	}
	if a.Device != nil {
		if is := deviceOf(&st); is != normal(*a.Device) {
			return &fault.Error{Err: unix.ENODEV, Cause: fmt.Sprintf("%s is %s, not %s", a.Path, describe(is), describe(*a.Device)),
				Remedy: "correct type, major and minor of the device in config.json, or the device on the host"}
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
