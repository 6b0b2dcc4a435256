package plan

// LimitNamespaces sets how many namespaces can be made in the user namespace that the init is in, and below it, through
// SlotProc, and reads the limits back.
type LimitNamespaces struct{ Limits []NamespaceLimit }

// Seal has the init enter new namespaces: a user namespace, in which the IDs are those of the one around it, and with
// it, where Namespaces says so, a mount namespace, in which all mounts that the init sees are locked. A child that stays
// outside writes the maps and then, when nothing is left to be made, Limits of the user namespace around it, which
// from inside cannot be raised by anybody; it reads them back.
//
// The init has all capabilities inside and none outside of it, and its bounding set is full again.
type Seal struct {
	Namespaces Namespace
	UIDs, GIDs []IDMapping
	Limits     []NamespaceLimit
}

// ProveSeal tries in a child, which has every capability in the sealed namespaces and no filter, what the seal is to
// prevent, and fails if anything works: to unmount what covers the paths in Masked and Readonly, to make the
// latter writable, to mount a new procfs where one of these paths is in /proc, and to make a user and a cgroup
// namespace, having raised the limits. Paths that the container does not have are left out.
type ProveSeal struct{ Masked, Readonly []string }

// RaiseRlimits raises the init's resource limits to those that it will have, where they are higher than what it has. The
// kernel takes some of them, at the moment when a user namespace is made, for a limit on all its processes together,
// and they would be those of bailey's caller (ulimits in kernel/ucount.c: number of processes, locked memory, pending
// signals, message queues).
type RaiseRlimits struct{ Limits []Rlimit }

// ReopenConsole opens the terminal in SlotConsole again, by its name in /dev/pts, so that it is on a mount of the sealed
// namespace. On one of the namespace before, which is gone, it has no name, and programs would not find out their
// terminal's (ttyname(3)). Where there is no such file of the same terminal it stays what it is.
type ReopenConsole struct{}

func (LimitNamespaces) Where() Where { return Init }
func (Seal) Where() Where            { return Init }
func (ProveSeal) Where() Where       { return Init }
func (ReopenConsole) Where() Where   { return Init }
func (RaiseRlimits) Where() Where    { return Asked }

func (a RaiseRlimits) String() string {
	return "raise, for the user namespace that is to be made, to " + join(a.Limits)
}

func (ReopenConsole) String() string {
	return "open the terminal again, where the sealed namespaces have it"
}

func (a LimitNamespaces) String() string { return "limit new namespaces: " + join(a.Limits) }

func (a Seal) String() string {
	article := "a "
	if a.Namespaces&(a.Namespaces-1) != 0 {
		article = ""
	}
	s := "enter " + article + "new " + a.Namespaces.String() + " " + many(a.Namespaces, "namespace") + " with the same IDs"
	if a.Namespaces&MountNS != 0 {
		s += ", where all mounts are locked"
	}
	if len(a.Limits) > 0 {
		s += ", and limit new namespaces from outside: " + join(a.Limits)
	}
	return s
}

func (a ProveSeal) String() string {
	s := "prove the seal: no new user or cgroup namespace"
	if n := len(a.Masked); n > 0 {
		s += ", no way behind " + plural(n, "mask")
	}
	if n := len(a.Readonly); n > 0 {
		s += ", no writing to " + plural(n, "read-only path")
	}
	return s
}
