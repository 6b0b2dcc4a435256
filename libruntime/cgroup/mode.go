package cgroup

import "golang.org/x/sys/unix"

// Mode says how the cgroup hierarchies of this machine are laid out.
type Mode int

// The three layouts. In hybrid the controllers are on v1, and the v2 hierarchy is joined beside them.
const (
	V1 Mode = iota + 1
	V2
	Hybrid
)

const (
	mountRoot     = "/sys/fs/cgroup"
	hybridUnified = mountRoot + "/unified"
)

// String returns "v1", "v2" or "hybrid".
func (m Mode) String() string {
	switch m {
	case V1:
		return "v1"
	case V2:
		return "v2"
	case Hybrid:
		return "hybrid"
	}
	return "unknown"
}

// Detect returns the layout seen in the caller's mount namespace. It goes by the file system's magic
// number and nothing else: names, /proc/cgroups and the kernel's command line do not tell what is
// mounted here.
func Detect() Mode {
	var st unix.Statfs_t
	if unix.Statfs(mountRoot, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return V2
	}
	if unix.Statfs(hybridUnified, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return Hybrid
	}
	return V1
}
