package plan

// Actions of the container's init on its mounts. Every Path is resolved inside the root filesystem in
// SlotRoot with openat2(RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) to a descriptor that is then acted upon.

// SetPropagation changes the propagation of every mount in the new mount namespace: one of MS_PRIVATE,
// MS_SLAVE, MS_SHARED, MS_UNBINDABLE.
type SetPropagation struct{ Type uint64 }

// AttachRoot attaches the detached mount in SlotRoot, so that it can be pivoted into: over the directory at
// Path that it is a clone of, where hooks look for it, if that can be reached and is still the same, else over
// the mount namespace's root.
type AttachRoot struct{ Path string }

// NewFilesystem makes a filesystem of the kind Type as a detached mount in Slot.
type NewFilesystem struct {
	Slot   Slot
	Type   string
	Source string
	// Options are filesystem parameters, "key" or "key=value", superblock flags such as "ro" or
	// "sync" among them.
	Options []string
	// Attributes are MOUNT_ATTR_* flags.
	Attributes uint64
}

// SetMountAttributes changes attributes of the mount in Slot (mount_setattr(2)).
type SetMountAttributes struct {
	Slot       Slot
	Set, Clear uint64
	// Propagation is one of MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, or 0 to leave it.
	Propagation uint64
	Recursive   bool
}

// CreateKind says what is made where an attach point does not exist.
type CreateKind uint8

const (
	// CreateNothing fails with ENOENT.
	CreateNothing CreateKind = iota
	// CreateDirectory makes it and its parents as directories of mode 0755.
	CreateDirectory
	// CreateFile makes it an empty file, its parents directories.
	CreateFile
	// CreateLikeSource makes it a directory if the source's root is one, else a file.
	CreateLikeSource
)

// Attach attaches the detached mount in Slot at Path.
type Attach struct {
	Slot   Slot
	Path   string
	Create CreateKind
	// NoSymlinks refuses symbolic links anywhere in Path: for /proc and /sys, where a link would
	// redirect what is later written there.
	NoSymlinks bool
	// NoFollow covers a symbolic link as Path's last component, instead of what it points to.
	NoFollow bool
	// CopyUp fills the new filesystem with what it covers first (tmpcopyup).
	CopyUp bool
	// KeepMode gives the new filesystem's root the permissions of the directory that it covers.
	KeepMode bool
}

// RemountInPlace changes attributes of what is mounted at Path already ("remount"), or its propagation: one of
// MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, or 0 to leave it.
type RemountInPlace struct {
	Path        string
	Set, Clear  uint64
	Propagation uint64
	Recursive   bool
}

// MakeDirectory makes a directory and its parents; an existing one is left as it is.
type MakeDirectory struct {
	Path string
	Mode uint32
}

// MakeDevice makes a device node. An existing one of the same kind and number is given Mode and owner.
type MakeDevice struct {
	Path     string
	Device   Device
	Mode     uint32
	UID, GID uint32
}

// MakeSymlink makes a symbolic link. An existing file of that name is left as it is, if it is the same link or Exact
// does not say that it must be.
type MakeSymlink struct {
	Path, Target string
	Exact        bool
}

// Unmount detaches what is mounted at Path.
type Unmount struct{ Path string }

// OpenMount opens the root of what is mounted at Path, which must be a filesystem of the kind Type, if that is not "",
// into Slot, following no symbolic links.
type OpenMount struct {
	Slot Slot
	Path string
	Type string
}

// OpenConsole makes a terminal: from the container's own devpts in Devpts, or, where there is none,
// of the caller's. The container's side goes to SlotConsole, the other to SlotConsoleMaster.
type OpenConsole struct {
	Devpts        Slot
	Width, Height uint16
	UID           uint32
}

// AttachConsole attaches the terminal in SlotConsole at Path (/dev/console).
type AttachConsole struct{ Path string }

// PivotRoot makes the mount in SlotRoot the root of the mount namespace and detaches the old one.
type PivotRoot struct{}

// MoveRoot does the same without pivot_root(2), for a root that is an initramfs: the mount is moved over
// the root and entered with chroot(2).
type MoveRoot struct{}

// Chroot enters the mount in SlotRoot where there is no mount namespace of the container's own.
type Chroot struct{}

// MaskPath covers Path so that it cannot be read: a file by the null device in SlotNull, a directory by
// the filesystem in SlotEmpty. A missing Path is no error.
type MaskPath struct{ Path string }

// ReadonlyPath makes Path and what is mounted below it read-only. A missing Path is no error.
type ReadonlyPath struct{ Path string }

func (SetPropagation) Where() Where     { return Init }
func (AttachRoot) Where() Where         { return Init }
func (NewFilesystem) Where() Where      { return Init }
func (SetMountAttributes) Where() Where { return Init }
func (Attach) Where() Where             { return Init }
func (RemountInPlace) Where() Where     { return Init }
func (MakeDirectory) Where() Where      { return Init }
func (MakeDevice) Where() Where         { return Init }
func (MakeSymlink) Where() Where        { return Init }
func (OpenMount) Where() Where          { return Init }
func (Unmount) Where() Where            { return Init }
func (OpenConsole) Where() Where        { return Init }
func (AttachConsole) Where() Where      { return Init }
func (PivotRoot) Where() Where          { return Init }
func (MoveRoot) Where() Where           { return Init }
func (Chroot) Where() Where             { return Init }
func (MaskPath) Where() Where           { return Init }
func (ReadonlyPath) Where() Where       { return Init }
