package plan

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Actions of bailey itself before the preamble is given the plan.

// OpenNamespace opens the namespace at Path, which must be of the kind Type, into Slot.
type OpenNamespace struct {
	Slot Slot
	Type Namespace
	Path string
}

// CreateCgroup makes the container's cgroup and sets its limits. It opens the tasks files of that many v1
// hierarchies into the slots cgroup/0, cgroup/1, ..., and the directory of the unified hierarchy, if Directory,
// into SlotCgroup.
type CreateCgroup struct {
	Tasks     int
	Directory bool
	// Unit is systemd's unit that the cgroup is made as, "" if bailey makes it itself.
	Unit string
}

// OpenTree clones the mount at Path (an absolute path in the caller's mount namespace) into Slot as a
// detached mount, with what is mounted below it if Recursive.
type OpenTree struct {
	Slot      Slot
	Path      string
	Recursive bool
	// NoFollow takes a symbolic link as Path's last component itself, instead of what it points to.
	NoFollow bool
	// IDMap, if not empty, is the user namespace by whose maps the mount shows the owners of files
	// (MOUNT_ATTR_IDMAP), and what is mounted below it, too, if IDMapRecursive.
	IDMap          Slot
	IDMapRecursive bool
	// Device, if not nil, is the device node that Path must be.
	Device *Device
	// Filesystem, if not empty, is the kind of filesystem that Path must be on: "proc".
	Filesystem string
	// Inside has the container's init do it, in its copy of the caller's mount namespace: an ordinary user may
	// clone mounts nowhere else.
	Inside bool
}

// FilesystemMagic are the kinds that OpenTree.Filesystem and OpenMount.Type may name, with the kernel's numbers for them
// (linux/magic.h; the message queues' is in ipc/mqueue.c); 0 is for any.
var FilesystemMagic = map[string]uint64{
	"": 0, "proc": unix.PROC_SUPER_MAGIC, "sysfs": unix.SYSFS_MAGIC, "devpts": unix.DEVPTS_SUPER_MAGIC,
	"cgroup": unix.CGROUP_SUPER_MAGIC, "cgroup2": unix.CGROUP2_SUPER_MAGIC, "mqueue": 0x19800202,
}

// MakeUserNamespace makes a user namespace for the ID mapping of mounts and opens it into Slot. No process is in it.
type MakeUserNamespace struct {
	Slot       Slot
	UIDs, GIDs []IDMapping
}

// NewFilesystemIn makes a mount of a new filesystem, as NewFilesystem does, in the namespace of kind Kind in Namespace, or in the
// caller's where that is empty. It is for filesystems that show a namespace which the container has no power over.
type NewFilesystemIn struct {
	Slot       Slot
	Kind       Namespace
	Namespace  Slot
	Type       string
	Source     string
	Attributes uint64
}

// NewOverlay makes a mount of an overlay as the caller, by mount(2): the paths of its layers are too long for NewFilesystem.
type NewOverlay struct {
	Slot       Slot
	Source     string
	Options    []string
	Attributes uint64
}

// WriteSysctlIn writes a kernel parameter of the namespace of kind Kind in Namespace, and reads it back; see WriteSysctl.
type WriteSysctlIn struct {
	Kind       Namespace
	Namespace  Slot
	Key, Value string
}

// NewDevice makes a device node on a filesystem of its own, mounted nowhere, and a mount of the node alone. UID and GID are the
// host's. It is for containers that may make no nodes, and are to have one that is not like the host's, or that the host has
// not.
type NewDevice struct {
	Slot     Slot
	Device   Device
	Mode     uint32
	UID, GID uint32
}

// OpenDirectory opens the directory at Path (absolute, in the caller's mount namespace) into Slot with
// O_PATH. Unlike OpenTree it makes no mount and needs no privilege.
type OpenDirectory struct {
	Slot Slot
	Path string
}

// Device is a device node's identity.
type Device struct {
	// Type is 'c' (character), 'b' (block), 'u' (unbuffered character) or 'p' (FIFO).
	Type         byte
	Major, Minor uint32
}

func (OpenNamespace) Where() Where { return Host }
func (CreateCgroup) Where() Where  { return Host }
func (a OpenTree) Where() Where {
	if a.Inside {
		return Init
	}
	return Host
}
func (MakeUserNamespace) Where() Where { return Host }
func (NewFilesystemIn) Where() Where   { return Host }
func (NewOverlay) Where() Where        { return Host }
func (WriteSysctlIn) Where() Where     { return Host }
func (NewDevice) Where() Where         { return Host }
func (OpenDirectory) Where() Where     { return Host }

// Actions of bailey itself that the container's init asks for.

// IDMapping is one line of a user namespace's uid_map or gid_map.
type IDMapping struct {
	Container, Host, Size uint32
}

// WriteIDMaps writes the container's uid_map and gid_map.
type WriteIDMaps struct {
	UIDs, GIDs []IDMapping
}

// SendDescriptors hands the descriptors in Slots to the container's init.
type SendDescriptors struct{ Slots []Slot }

// MapOwners makes the detached mount in Slot, of a filesystem that the container's init has made, show the owners of
// files by the maps of the user namespace in IDMap (MOUNT_ATTR_IDMAP). It is asked for, because it takes privileges over
// that namespace, which is none of the container's.
type MapOwners struct{ Slot, IDMap Slot }

// MapSource makes the mount in Slot, which the host has opened and not yet handed over, show the owners of files by the ID
// maps of the container's new user namespace (MOUNT_ATTR_IDMAP), and what is mounted below it, too, if Recursive. It is asked
// for as soon as there are those maps.
type MapSource struct {
	Slot      Slot
	Recursive bool
}

// JoinResctrl puts the process into the container's group for the allocation of caches and memory bandwidth: the
// class Class, "" for one of its own, with Schemata; and with Monitor into a monitoring group of its own. A process that
// is executed in the container joins what there is (Existing).
type JoinResctrl struct {
	Class    string
	Schemata []string
	Monitor  bool
	Existing bool
}

// Schemata returns the lines that linux.intelRdt sets, in the order in which the specification has them written.
func Schemata(r *specs.LinuxIntelRdt) []string {
	lines := append([]string{r.L3CacheSchema, r.MemBwSchema}, r.Schemata...)
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// SetOOMScore sets oom_score_adj of the container's init: -1000 (never) to 1000 (first).
type SetOOMScore struct{ Score int }

// WriteTimeOffsets writes timens_offsets (time_namespaces(7)) of the container's init. It is asked for, because the
// file of a process that is not dumpable belongs to root of the host, which the init of a user namespace is not.
type WriteTimeOffsets struct {
	// Offsets are the file's lines: "monotonic 86400 0".
	Offsets []string
}

// MoveNetworkDevice moves the caller's network device Name into the container's network namespace, with its
// addresses, where it is called Inside and is up.
type MoveNetworkDevice struct{ Name, Inside string }

// Rlimit is one resource limit. Resource is the kernel's RLIMIT_ number.
type Rlimit struct {
	Name       string
	Resource   int
	Soft, Hard uint64
}

// SetRlimits sets the resource limits of the container's init.
type SetRlimits struct{ Limits []Rlimit }

// RunHooks runs the hooks of a point (prestart, createRuntime) in the caller's namespaces.
type RunHooks struct {
	Point string
	Count int
}

// SendState hands the container's state as JSON to the container's init, for hooks that run there.
type SendState struct{}

// SendConsole hands the terminal's master, in SlotConsoleMaster, from the container's init to the
// caller.
type SendConsole struct{}

// ReportReady says that everything is done but what waits for start.
type ReportReady struct{}

func (WriteIDMaps) Where() Where       { return Asked }
func (MapSource) Where() Where         { return Asked }
func (SendDescriptors) Where() Where   { return Asked }
func (JoinResctrl) Where() Where       { return Asked }
func (MapOwners) Where() Where         { return Asked }
func (SetOOMScore) Where() Where       { return Asked }
func (WriteTimeOffsets) Where() Where  { return Asked }
func (MoveNetworkDevice) Where() Where { return Asked }
func (SetRlimits) Where() Where        { return Asked }
func (RunHooks) Where() Where          { return Asked }
func (SendState) Where() Where         { return Asked }
func (SendConsole) Where() Where       { return Asked }
func (ReportReady) Where() Where       { return Asked }
