package explain

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// Failure is an operation of a plan that has failed.
type Failure struct {
	Action plan.Action
	// Plan is what it is an operation of.
	Plan *plan.Plan
	// PID is the process that failed and still lives; 0 for bailey itself.
	PID int
	// Syscall, Object and Errno are what failed, on what, and how.
	Syscall, Object string
	Errno           syscall.Errno
	// Evidence is what the failing process has sent along, or nil; see nsexec.Failure.
	Evidence *os.File
	// Slot returns the file that bailey has opened into a slot, or nil.
	Slot func(plan.Slot) *os.File
}

// Operation explains a failed operation.
func (m *Machine) Operation(f *Failure) Why {
	switch a := f.Action.(type) {
	case plan.Clone:
		return m.Namespaces(a.Namespaces, f.Errno)
	case plan.Unshare:
		return m.Namespaces(a.Namespaces, f.Errno)
	case plan.MakeUserNamespace:
		return m.Namespaces(plan.UserNS, f.Errno)
	case plan.JoinNamespace:
		return m.joining(a.Type, f.slot(a.Slot), f)
	case plan.BecomeRoot:
		return m.becomeRoot(f)
	case plan.SetIDs:
		return m.setIDs(a, f)
	case plan.NewFilesystem:
		return m.newFilesystem(a.Type, f)
	case plan.OpenProc:
		return m.newFilesystem("proc", f)
	case plan.SetMountAttributes:
		return locked(a.Set, a.Clear, a.Recursive, f.source(a.Slot), f)
	case plan.RemountInPlace:
		return locked(a.Set, a.Clear, a.Recursive, a.Path, f)
	case plan.OpenTree:
		if f.Errno == unix.EPERM {
			return m.cloning()
		}
		return m.source(a, f.Errno)
	case plan.OpenDirectory:
		return m.Unreachable(a.Path, f.Errno)
	case plan.OpenNamespace:
		return m.Unreachable(a.Path, f.Errno)
	case plan.MakeDevice:
		return m.device(a, f)
	case plan.Attach, plan.AttachConsole, plan.MakeDirectory, plan.MakeSymlink, plan.MaskPath, plan.ReadonlyPath:
		return m.inRoot(f)
	case plan.ResolveExecutable:
		if f.Errno == unix.ENOENT {
			return m.emptyRoot(f)
		}
		return m.executable(f)
	case plan.ChangeDirectory:
		return m.executable(f)
	case plan.WriteSysctl:
		return m.parameter(a.Key, f)
	case plan.WriteSysctlIn:
		return m.parameter(a.Key, f)
	}
	return Why{}
}

func (f *Failure) slot(s plan.Slot) *os.File {
	if f.Slot == nil {
		return nil
	}
	return f.Slot(s)
}

// made returns the namespaces that the plan makes, and whether that is known.
func (f *Failure) made() (plan.Namespace, bool) {
	if f.Plan == nil {
		return 0, false
	}
	for _, op := range f.Plan.Ops {
		if c, ok := op.Action.(plan.Clone); ok {
			return c.Namespaces, true
		}
	}
	return 0, false
}

// maps returns the ID maps of the namespace that the plan makes.
func (f *Failure) maps() (plan.WriteIDMaps, bool) {
	if f.Plan != nil {
		for _, op := range f.Plan.Ops {
			if w, ok := op.Action.(plan.WriteIDMaps); ok {
				return w, true
			}
		}
	}
	return plan.WriteIDMaps{}, false
}

// source names what is mounted from the slot: the path that it is a clone of.
func (f *Failure) source(slot plan.Slot) string {
	if f.Plan != nil {
		for _, op := range f.Plan.Ops {
			if t, ok := op.Action.(plan.OpenTree); ok && t.Slot == slot {
				return t.Path
			}
		}
	}
	return "the mount"
}

// joins reports whether the plan joins a namespace of this kind.
func (f *Failure) joins(kind plan.Namespace) bool {
	if f.Plan != nil {
		for _, op := range f.Plan.Ops {
			if j, ok := op.Action.(plan.JoinNamespace); ok && j.Type == kind {
				return true
			}
		}
	}
	return false
}
