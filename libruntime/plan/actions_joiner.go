package plan

import "golang.org/x/sys/unix"

// Namespace is a kind of namespace: the kernel's CLONE_NEW* flag.
type Namespace uint64

// The kinds of namespaces.
const (
	UserNS    Namespace = unix.CLONE_NEWUSER
	MountNS   Namespace = unix.CLONE_NEWNS
	PIDNS     Namespace = unix.CLONE_NEWPID
	NetworkNS Namespace = unix.CLONE_NEWNET
	IPCNS     Namespace = unix.CLONE_NEWIPC
	UTSNS     Namespace = unix.CLONE_NEWUTS
	CgroupNS  Namespace = unix.CLONE_NEWCGROUP
	TimeNS    Namespace = unix.CLONE_NEWTIME
)

// Actions of the preamble's stage 0.

// NotDumpable makes the preamble's memory and /proc directory inaccessible to others of the same user,
// before it joins a namespace in which they may be (CVE-2016-9962).
type NotDumpable struct{}

// JoinNamespace moves the preamble into the namespace in Slot. For a pid or time namespace this
// concerns the children. A cgroup namespace is joined by the init: put into a cgroup from inside one, a
// process would have to come from inside it, too.
type JoinNamespace struct {
	Slot Slot
	Type Namespace
}

// JoinContainer moves the preamble into several namespaces, those in Types, of the process whose pidfd
// is in Slot, all at once. It is how exec enters a container. The cgroup namespace is not among them, for the
// reason given at JoinNamespace, unless the container is sealed: it belongs to the user namespace around the sealed one
// then, where the process is never in, so that only the caller's own privileges can enter it. The process is put
// into its cgroup by a file that was opened outside, which the kernel judges by who opened it.
type JoinContainer struct {
	Slot  Slot
	Types Namespace
}

// Clone makes the container's init in new namespaces (an OR of Namespace values; the user namespace is
// made first and owns the others), as a child of bailey's, in the cgroup v2 directory Cgroup if there is
// one. What follows is executed by it; stage 0 ends.
type Clone struct {
	Namespaces Namespace
	Cgroup     Slot
}

func (NotDumpable) Where() Where { return Joiner }
func (Clone) Where() Where       { return Joiner }

func (a JoinNamespace) Where() Where { return joinsFrom(a.Type) }
func (a JoinContainer) Where() Where { return joinsFrom(a.Types) }

func joinsFrom(types Namespace) Where {
	if types == CgroupNS {
		return Init
	}
	return Joiner
}
