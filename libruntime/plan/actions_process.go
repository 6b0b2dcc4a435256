package plan

import "time"

// Actions of the container's init on its namespaces and on itself.

// BecomeRoot makes the init user and group 0 of the user namespace it is in, without other groups but those that are to be kept.
type BecomeRoot struct{ KeepGroups bool }

// SetDumpable makes the process dumpable, or undumpable again: the files of one that is not belong to root in /proc, and
// an ordinary user could not write its ID maps or time offsets.
type SetDumpable struct{ Dumpable bool }

// JoinCgroup moves the init into a cgroup v1 directory by writing "0" to its tasks file in Slot. A single
// thread that moves itself spares the kernel the lock (and the wait for a grace period) that moving another
// process costs. The kernel judges by who opened the file. It comes after the clone because the cgroup can be
// made meanwhile, and because a pids limit of one has no room for stage 0 beside the init.
type JoinCgroup struct{ Slot Slot }

// Unshare makes namespaces that must not be made with the others: the cgroup namespace, whose root is
// the cgroup of the process that makes it, and the time namespace, which is entered when its offsets are written.
type Unshare struct{ Namespaces Namespace }

// EnterTimeNamespace enters the time namespace that was made for the process's children, which fixes its offsets.
type EnterTimeNamespace struct{}

// OpenProc makes a procfs of the container's own, attached nowhere, in SlotProc.
type OpenProc struct{}

// LoopbackUp brings up the loopback interface of a new network namespace.
type LoopbackUp struct{}

// SetHostname sets the UTS namespace's node name.
type SetHostname struct{ Name string }

// SetDomainname sets the UTS namespace's NIS domain name.
type SetDomainname struct{ Name string }

// WriteSysctl writes a kernel parameter through SlotProc and reads it back. Key is in path form below
// /proc/sys: "net/ipv4/ip_forward".
type WriteSysctl struct{ Key, Value string }

// RunHook runs one hook in the container's namespaces, from a child that has every capability the init
// still has, and waits for it. State is its standard input.
type RunHook struct {
	Point   string
	Path    string
	Args    []string
	Env     []string
	Timeout time.Duration
}

// DropBounding drops every capability but those in Keep (bit n: capability n) from the bounding set and
// reads the set back.
type DropBounding struct{ Keep uint64 }

// JoinKeyring makes and joins a new session keyring.
type JoinKeyring struct{ Name string }

// SetExecLabel writes the LSM label that the payload is executed with, through SlotProc, and reads it
// back. LSM is "apparmor" or "selinux".
type SetExecLabel struct{ LSM, Label string }

// NewSession makes the init the leader of a new session.
type NewSession struct{}

// UseConsole makes the terminal in SlotConsole the session's controlling terminal and the standard
// streams.
type UseConsole struct{}

// SetUmask sets the file mode creation mask.
type SetUmask struct{ Mask uint32 }

// SetIDs sets the supplementary groups, group and user IDs. Permitted capabilities are kept.
type SetIDs struct {
	UID, GID uint32
	Groups   []uint32
	// KeepGroups leaves the supplementary groups alone: setgroups(2) is denied in the namespace, or they are to be kept.
	KeepGroups bool
}

// SetCapabilities sets the thread's capability sets (bit n: capability n), and its securebits if there are any. Ambient
// is set only where permitted and inheritable contain it, as the kernel demands. The securebits are not an action of
// their own, because setting them takes CAP_SETPCAP, which the sets need not have, and one of them would forbid to set
// the ambient set.
type SetCapabilities struct {
	Effective, Permitted, Inheritable, Ambient uint64
	Securebits                                 Securebits
}

// SetNoNewPrivileges sets no_new_privs.
type SetNoNewPrivileges struct{}

// ChangeDirectory enters the working directory and proves that it lies below the root (CVE-2024-21626).
type ChangeDirectory struct{ Path string }

// ResolveExecutable fails unless one of the candidates of Exec can be executed by the payload's user,
// so that a misspelt command is an error of create.
type ResolveExecutable struct {
	Name       string
	Candidates []string
}

// Verify reads back what was enforced and fails on any difference.
type Verify struct {
	UID, GID                                             uint32
	Bounding, Effective, Permitted, Inheritable, Ambient uint64
	NoNewPrivileges                                      bool
	Securebits                                           Securebits
}

// AwaitStart waits until start is called: on the listening socket in Listener, or, if that is empty, on
// the socket to bailey itself (run).
type AwaitStart struct{ Listener Slot }

// CloseDescriptors closes every descriptor above the standard streams and Preserve further ones.
type CloseDescriptors struct{ Preserve uint32 }

// LoadSeccomp loads a BPF program as the system-call filter.
type LoadSeccomp struct {
	// Program is an array of struct sock_filter, 8 bytes each.
	Program []byte
	// Flags are SECCOMP_FILTER_FLAG_*.
	Flags uint64
	// Denies are the kinds of namespaces that the program denies besides what config.json says.
	Denies []string
}

// Exec executes the payload: the first of Candidates that exists.
type Exec struct {
	Candidates []string
	Args       []string
	Env        []string
}

func (BecomeRoot) Where() Where         { return Init }
func (SetDumpable) Where() Where        { return Init }
func (JoinCgroup) Where() Where         { return Init }
func (Unshare) Where() Where            { return Init }
func (EnterTimeNamespace) Where() Where { return Init }
func (OpenProc) Where() Where           { return Init }
func (LoopbackUp) Where() Where         { return Init }
func (SetHostname) Where() Where        { return Init }
func (SetDomainname) Where() Where      { return Init }
func (WriteSysctl) Where() Where        { return Init }
func (RunHook) Where() Where            { return Init }
func (DropBounding) Where() Where       { return Init }
func (JoinKeyring) Where() Where        { return Init }
func (SetExecLabel) Where() Where       { return Init }
func (NewSession) Where() Where         { return Init }
func (UseConsole) Where() Where         { return Init }
func (SetUmask) Where() Where           { return Init }
func (SetIDs) Where() Where             { return Init }
func (SetCapabilities) Where() Where    { return Init }
func (SetNoNewPrivileges) Where() Where { return Init }
func (ChangeDirectory) Where() Where    { return Init }
func (ResolveExecutable) Where() Where  { return Init }
func (Verify) Where() Where             { return Init }
func (AwaitStart) Where() Where         { return Init }
func (CloseDescriptors) Where() Where   { return Init }
func (LoadSeccomp) Where() Where        { return Init }
func (Exec) Where() Where               { return Init }
