package criu

import "os"

// logLevel is CRIU's for everything that helps to find out why something could not be dumped (4 is debug).
const logLevel = 4

// Options say what is dumped or restored, and how: the fields of the message criu_opts that bailey uses.
type Options struct {
	// Images is the directory of the image files, Work that of the log and the statistics.
	Images, Work *os.File
	// LogFile is the name of the log in Work.
	LogFile string
	// PID is the root of the tree to dump.
	PID int
	// Root is the path of the tree's root filesystem; to restore, that of a mount point.
	Root string

	// LeaveRunning lets the dumped processes go on instead of killing them.
	LeaveRunning bool
	// ExternalUnixSockets allows connections with processes that are not dumped.
	ExternalUnixSockets bool
	// TCPEstablished allows established connections, TCPSkipInFlight skips those that are not accepted yet.
	TCPEstablished, TCPSkipInFlight bool
	// ShellJob allows a session and terminal of the caller's.
	ShellJob bool
	// FileLocks allows locks on files.
	FileLocks bool
	// LinkRemap allows files that were unlinked while they have other names.
	LinkRemap bool
	// TrackMemory has the kernel note which memory changes after a dump, for the next to leave out what has not.
	TrackMemory bool
	// Parent is the path of the images of an earlier dump, relative to Images.
	Parent string
	// AutoDedup drops from earlier images what later ones replace.
	AutoDedup bool
	// PageServer is where memory is sent instead of into Images.
	PageServer *PageServer
	// LazyPages leaves memory to be fetched when it is touched. StatusFD, a descriptor of the caller's or -1, is
	// written to when the dump is ready to serve it.
	LazyPages bool
	StatusFD  int

	// Cgroups says what is done about cgroups. CgroupRoots are where the tree is put back.
	Cgroups     CgroupMode
	CgroupRoots []CgroupRoot
	// CgroupControllers are those whose cgroups are dumped; nil: all that the tree is in.
	CgroupControllers []string
	// CgroupYard is a directory with the hierarchies mounted in it, by their controllers' names; the unified one as
	// "unified". Without one CRIU mounts them, which takes the mount options of the unified one from the machine.
	CgroupYard string
	// FreezeCgroup is the path of a cgroup with which the tree is stopped, instead of one by one.
	FreezeCgroup string

	// External are the resources that are not CRIU's to dump: "mnt[PATH]:KEY", "file[ID:INODE]".
	External []string
	// Inherit are files that stand in for external ones.
	Inherit []Inherited
	// Join are namespaces that are joined instead of made.
	Join []Namespace
	// EmptyNamespaces are CLONE_NEW* of those to be restored without their content.
	EmptyNamespaces uintptr

	// Sibling makes the restored process a child of the caller.
	Sibling bool
	// OrphanTerminal hands the master of a terminal over whose other end was not dumped.
	OrphanTerminal bool
	// LSMProfile and LSMMountContext replace the labels that were dumped.
	LSMProfile, LSMMountContext string
	// ConfigFile is the path of a configuration file of CRIU's that has the last word.
	ConfigFile string

	// Notify is called when CRIU has reached a point in its work, with the root of the tree's process ID where there is
	// one, and for "orphan-pts-master" with the terminal. An error ends the work and is what the call returns. It may
	// be nil.
	Notify func(script string, pid int, terminal *os.File) error
}

// CgroupMode says what CRIU does about cgroups (enum criu_cg_mode).
type CgroupMode int

// Soft restores the settings of cgroups that CRIU itself had to make, Full those of all, Strict demands that none exists.
const (
	IgnoreCgroups CgroupMode = 0
	SoftCgroups   CgroupMode = 3
	FullCgroups   CgroupMode = 4
	StrictCgroups CgroupMode = 5
)

// CgroupRoot is where, in a hierarchy, the dumped tree's cgroup is put back. Controller is "" for the unified one.
type CgroupRoot struct{ Controller, Path string }

// Inherited is a file that takes the place of what was dumped under Key.
type Inherited struct {
	Key  string
	File *os.File
}

// Namespace is an existing namespace: its kind as in /proc/PID/ns, and its path.
type Namespace struct{ Kind, Path string }

// PageServer is the address of one.
type PageServer struct {
	Address string
	Port    uint16
}

// Features are abilities of CRIU and the kernel together.
type Features struct{ TrackMemory, LazyPages bool }
