package libruntime

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/nsexec"
)

// hostActions does what the plan wants done in the caller's namespaces before the preamble is given the
// plan, and returns the descriptors by slot. What needs the cgroup is left to lateActions.
func (c *creation) hostActions() (files map[plan.Slot]*os.File, err error) {
	files = make(map[plan.Slot]*os.File)
	c.opened = files
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
	slot, f, err := hostAction(op, files)
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

// hostAction does one action and returns the descriptor it opens, if it opens one, with its slot. opened is what earlier
// actions opened.
func hostAction(op plan.Op, opened map[plan.Slot]*os.File) (plan.Slot, *os.File, error) {
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
		fd, err = openTree(a, opened)
	case plan.NewFilesystemIn:
		slot, call = a.Slot, "fsmount"
		fd, err = newFilesystemIn(a, opened)
	case plan.NewOverlay:
		slot = a.Slot
		fd, err = newOverlay(a)
	case plan.NewDevice:
		slot = a.Slot
		fd, err = newDevice(a)
	case plan.WriteSysctlIn:
		err = writeSysctlIn(a, opened)
	case plan.MakeUserNamespace:
		slot, call = a.Slot, "clone"
		fd, err = nsexec.NewUserNamespace(func(pid int) error { return idmap.Write(pid, a.UIDs, a.GIDs) })
	default:
		return "", nil, fault.New("the plan has an action that bailey cannot do: "+op.String(), op.Origin)
	}
	if err != nil {
		var f *fault.Error
		if !errors.As(err, &f) {
			f = &fault.Error{Syscall: call, Err: err}
		}
		f.Step, f.Origin = op.String(), op.Origin
		explainAction(f, op.Action)
		return "", nil, f
	}
	if slot == "" {
		return "", nil, nil
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
