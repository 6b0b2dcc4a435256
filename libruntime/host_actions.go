package libruntime

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/nsexec"
)

// hostActions does what the plan wants done in the caller's namespaces before the preamble is given the
// plan, and returns the descriptors by slot. What needs the cgroup is left to lateActions.
func (c *creation) hostActions() (files map[plan.Slot]*os.File, err error) {
	files = make(map[plan.Slot]*os.File)
	for _, op := range c.plan.Ops {
		if op.Where() != plan.Host {
			continue
		}
		switch a := op.Action.(type) {
		case plan.CreateCgroup:
			continue
		case plan.OpenTree:
			if c.inCgroup(a.Path) {
				c.late = append(c.late, op)
				continue
			}
		}
		if err = openInto(files, op); err != nil {
			break
		}
	}
	if err == nil && !c.attached {
		if files[plan.SlotListener], err = nsexec.Listen(c.dir.SocketPath()); err != nil {
			delete(files, plan.SlotListener)
		}
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// lateActions makes the cgroup and does what needs it, while the kernel is busy with the namespaces. It is
// called at most once.
func (c *creation) lateActions() (map[plan.Slot]*os.File, error) {
	made := c.early
	if c.early = nil; made == nil {
		var err error
		if made, err = c.makeCgroup(); err != nil {
			return nil, err
		}
	}
	c.rt.warn(c.cgroup.Warnings()...)
	files := make(map[plan.Slot]*os.File)
	made.into(files)
	err := c.dir.WriteConfig(c.data)
	for _, op := range c.late {
		if err == nil {
			err = openInto(files, op)
		}
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// openInto does one action and adds the descriptor that it opens, if it opens one.
func openInto(files map[plan.Slot]*os.File, op plan.Op) error {
	slot, f, err := hostAction(op)
	if f != nil {
		files[slot] = f
	}
	return err
}

func closeAll(files map[plan.Slot]*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// inCgroup reports whether path is one of the container's cgroups, which have to be made before it is opened.
func (c *creation) inCgroup(path string) bool {
	for _, dir := range c.rec.CgroupPaths {
		if path == dir {
			return true
		}
	}
	return false
}

// hostAction does one action and returns the descriptor it opens, if it opens one, with its slot.
func hostAction(op plan.Op) (plan.Slot, *os.File, error) {
	var slot plan.Slot
	var fd int
	var call string
	var err error
	switch a := op.Action.(type) {
	case plan.OpenNamespace:
		slot, call = a.Slot, "open"
		fd, err = openNamespace(a)
	case plan.OpenDirectory:
		slot, call = a.Slot, "open"
		fd, err = openHost(a.Path, unix.O_PATH|unix.O_DIRECTORY)
	case plan.OpenTree:
		slot, call = a.Slot, "open_tree"
		fd, err = openTree(a)
	case plan.SetAffinity:
		return "", nil, &fault.Error{Step: op.String(), Origin: op.Origin, Object: a.CPUs, Err: unix.ENOTSUP,
			Cause: "the CPUs of a process before it is in the container's cgroup cannot be chosen yet"}
	default:
		return "", nil, fault.New("the plan has an action that bailey cannot do: "+op.String(), op.Origin)
	}
	if err != nil {
		var f *fault.Error
		if !errors.As(err, &f) {
			f = &fault.Error{Syscall: call, Err: err}
		}
		f.Step, f.Origin = op.String(), op.Origin
		return "", nil, f
	}
	return slot, os.NewFile(uintptr(fd), string(slot)), nil
}

// openNamespace opens a namespace given by path. Only a namespace file of the right kind will do: the path
// comes from config.json, and setns(2) would join another kind than the one that was checked.
func openNamespace(a plan.OpenNamespace) (int, error) {
	fd, err := openHost(a.Path, unix.O_RDONLY)
	if err != nil {
		return -1, err
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err == nil && plan.Namespace(kind) == a.Type {
		return fd, nil
	}
	unix.Close(fd)
	if err != nil {
		return -1, &fault.Error{Err: errors.New("it is not a namespace")}
	}
	return -1, &fault.Error{Err: errors.New("it is a namespace of another kind")}
}

// openTree clones a mount, after a look at what it is. The look and the clone are about the same file: the
// path is walked once.
func openTree(a plan.OpenTree) (int, error) {
	flags := unix.O_PATH
	if a.NoFollow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := openHost(a.Path, flags)
	if err != nil {
		return -1, &fault.Error{Syscall: "open", Err: err}
	}
	defer unix.Close(fd)
	if a.NoFollow || a.Device != nil || a.Filesystem != "" {
		if err := checkSource(fd, a); err != nil {
			return -1, err
		}
	}
	clone := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if a.Recursive {
		clone |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(fd, "", clone)
	if err != nil || a.Device == nil {
		return tree, err
	}
	// A clone is a peer of the original: what the container mounts over its /dev/null would cover the host's.
	// Other mounts have their propagation set by the plan; a device has none to choose.
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Propagation: unix.MS_PRIVATE}); err != nil {
		unix.Close(tree)
		return -1, &fault.Error{Syscall: "mount_setattr", Err: err}
	}
	return tree, nil
}

// checkSource compares an opened source with what it has to be.
func checkSource(fd int, a plan.OpenTree) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fault.Error{Syscall: "fstat", Err: err}
	}
	if a.NoFollow && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return &fault.Error{Err: unix.ELOOP, Cause: "it is a symbolic link"}
	}
	if a.Device != nil {
		if is := deviceOf(&st); is != normal(*a.Device) {
			return &fault.Error{Err: unix.ENODEV, Cause: fmt.Sprintf("%s is %s, not %s", a.Path, describe(is), describe(*a.Device))}
		}
	}
	if a.Filesystem == "" {
		return nil
	}
	magic, known := filesystemMagic[a.Filesystem]
	if !known {
		return &fault.Error{Err: unix.ENOTSUP, Cause: "bailey does not know the filesystem " + strconv.Quote(a.Filesystem)}
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return &fault.Error{Syscall: "fstatfs", Err: err}
	}
	if fs.Type != magic {
		return &fault.Error{Err: unix.EXDEV, Cause: a.Path + " is not on a filesystem of the kind " + a.Filesystem}
	}
	return nil
}

// filesystemMagic are the kinds that plan.OpenTree.Filesystem may name.
var filesystemMagic = map[string]int64{
	"proc": unix.PROC_SUPER_MAGIC, "sysfs": unix.SYSFS_MAGIC, "devpts": unix.DEVPTS_SUPER_MAGIC,
	"cgroup": unix.CGROUP_SUPER_MAGIC, "cgroup2": unix.CGROUP2_SUPER_MAGIC, "mqueue": 0x19800202,
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
