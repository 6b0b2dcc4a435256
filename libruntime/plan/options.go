package plan

// Options is what a plan depends on besides config.json: the caller's choices and facts of the machine.
type Options struct {
	// ID is the container's ID.
	ID string
	// Bundle is the absolute path of the bundle; relative paths of config.json start there.
	Bundle string
	// NoPivot uses MoveRoot instead of PivotRoot (--no-pivot).
	NoPivot bool
	// NoNewKeyring keeps the caller's session keyring (--no-new-keyring).
	NoNewKeyring bool
	// PreserveFDs is the number of descriptors from 3 on that the payload inherits.
	PreserveFDs uint32
	// Attached says that one process makes and starts the container (run): it waits for its start on
	// the socket to bailey, not on a listening one.
	Attached bool
	// CgroupTasks is the number of cgroup v1 hierarchies that the container joins.
	CgroupTasks int
	// CgroupDirectory says that the container joins a cgroup of the unified hierarchy.
	CgroupDirectory bool
	// CgroupUnit is systemd's unit that the cgroup belongs to, or "".
	CgroupUnit string
	// CgroupMounts describes what a mount of type "cgroup" shows; see CgroupMount.
	CgroupMounts []CgroupMount
	// SeccompProgram and SeccompFlags are linux.seccomp, compiled.
	SeccompProgram []byte
	SeccompFlags   uint64
	// Securebits are set for the payload (capabilities(7)).
	Securebits Securebits
	// NamespaceLimits are how many namespaces of a kind each user of the container may make; kinds that are not in it
	// are not limited. See limits.go for what they are where the container has no user namespace of its own.
	NamespaceLimits map[Namespace]uint32
	// SeccompDenies are the kinds of namespaces that SeccompProgram denies (DeniedByFilter).
	SeccompDenies Namespace
	// Seal seals the payload; see seal.go.
	Seal bool
	// UIDs and GIDs are maps of the user namespace that the container shares with others: bailey's own or the one that
	// it joins. What counts is which IDs there are inside. None means all, but in a joined namespace unknown.
	// Only the seal needs them.
	UIDs, GIDs []IDMapping
	// OwnIDs says that the container's user namespace is one that bailey has given it, and that config.json, which means the
	// machine's IDs, knows nothing of. Root filesystem and bind mounts show their files' owners as those IDs; Unmapped are
	// the indices of bind mounts that cannot and need not, because what they show belongs to nobody.
	OwnIDs   bool
	Unmapped map[int]bool
	// EmptyRoot makes the root filesystem a new and empty tmpfs; root.path is not looked at.
	EmptyRoot bool
	// LastCap is the number of the last capability the kernel knows (/proc/sys/kernel/cap_last_cap).
	LastCap int
	// Held are the capabilities that bailey itself may hand on (its bounding set).
	Held uint64
	// SetgroupsDenied says that the container's user namespace denies setgroups(2): an ordinary user makes
	// it without subordinate group IDs.
	SetgroupsDenied bool
	// InUserNamespace says that bailey itself runs in a user namespace other than the initial one, or
	// as an ordinary user: device nodes cannot be made.
	InUserNamespace bool
	// Unprivileged says that bailey runs as an ordinary user: it may not clone mounts, nor look into processes that are
	// not dumpable.
	Unprivileged bool
	// SourceLinks are the targets of the sources of mounts that are symbolic links, by index, where the option
	// copy-symlink asks for that.
	SourceLinks map[int]string
	// NoMountLabel leaves linux.mountLabel out, for kernels without SELinux, which know no such option.
	NoMountLabel bool
}

// ExecOptions is what the plan of a process in a running container depends on besides config.json. Fields
// have the meaning of those in Options. The descriptors in SlotContainer, in SlotCgroupNamespace for a container
// with a cgroup namespace, in SlotRoot for one without a mount namespace, and those of the cgroup are the
// caller's to provide.
type ExecOptions struct {
	ID string
	// Bundle and NoMountLabel are for mounts (CompileMounts).
	Bundle          string
	NoMountLabel    bool
	NoNewKeyring    bool
	PreserveFDs     uint32
	CgroupTasks     int
	CgroupDirectory bool
	SeccompProgram  []byte
	SeccompFlags    uint64
	LastCap         int
	Held            uint64
	SetgroupsDenied bool
	Securebits      Securebits
	SeccompDenies   Namespace
	// Sealed says that the container was made with Options.Seal. CgroupDirectory must not be set then.
	Sealed bool
}

// CgroupMount is one cgroup hierarchy as a container sees it.
type CgroupMount struct {
	// Name is the directory below the mount's destination: "memory", "cpu,cpuacct"; "" for the
	// unified hierarchy, which is the destination itself.
	Name string
	// Data is the hierarchy's mount option for v1: "memory", "cpu,cpuacct", "name=systemd"; "" for v2.
	Data string
	// Path is the container's directory in the hierarchy in the caller's mount namespace.
	Path string
	// Links are symbolic links to Name: "cpu", "cpuacct".
	Links []string
}
