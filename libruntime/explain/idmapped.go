package explain

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// idmappable are the first kernels in which a filesystem can show other owners than it has (mount_setattr(2)).
var idmappable = map[string]string{
	"ext4": "5.12", "vfat": "5.12", "xfs": "5.12", "btrfs": "5.15", "ntfs3": "5.15", "f2fs": "5.18", "erofs": "5.19",
	"squashfs": "6.2", "tmpfs": "6.3", "ramfs": "6.3", "ceph": "6.7", "hugetlbfs": "6.9", "fuse": "6.12",
	"fuseblk": "6.12", "virtiofs": "6.12",
}

// IDMap explains why the mount of file, and of what is mounted below it if recursive, cannot show its owners by an ID map.
// can tries it with the mount at a path alone; nil: it cannot be tried.
func (m *Machine) IDMap(file string, recursive bool, errno syscall.Errno, can func(string) error) Why {
	top, ok := m.mountOf(file)
	if !ok {
		return Why{}
	}
	return m.idMap(top, file, recursive, errno, can)
}

func (m *Machine) idMap(top mount, file string, recursive bool, errno syscall.Errno, can func(string) error) Why {
	candidates := []mount{top}
	if recursive {
		candidates = append(candidates, m.below(top, file)...)
	}
	for i, e := range candidates {
		what := e.point
		if i == 0 {
			what = file
		}
		switch {
		case errno == unix.EPERM && slices.Contains(e.options, "idmapped"):
			return Why{what + " lies on a mount that has an ID mapping already (" + e.point + ", idmapped in /proc/self/mountinfo), " +
				"and the kernel gives a mount no second one",
				"use the directory that " + e.point + " is a mount of, or mount it without an ID mapping there"}
		case errno == unix.EPERM && i == len(candidates)-1:
			if why := m.Lacks(unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", true, "an ID mapping of the filesystem "+e.kind+" (mounted on "+e.point+")"); why != (Why{}) {
				return why
			}
			return Why{"an ID mapping takes CAP_SYS_ADMIN in the user namespace that the filesystem (" + e.kind + ", mounted on " + e.point +
				") was mounted in, which may be inside another container, and a mount that has none yet", "use a directory of the host's own filesystems"}
		case errno != unix.EINVAL:
		case len(candidates) == 1 || can != nil && can(what) == unix.EINVAL:
			why := cannotShow(what, e)
			if i > 0 {
				why.Remedy = "mount what is needed of " + file + " without that, with bind instead of rbind; or " + why.Remedy
			}
			return why
		}
	}
	return Why{}
}

// IDMapNew explains the same of a filesystem that was made for the container, which is mounted nowhere.
func (m *Machine) IDMapNew(fd int) Why {
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) != nil {
		return Why{}
	}
	return Why{fmt.Sprintf("the new filesystem (magic number %#x) cannot show other owners than it has", uint32(fs.Type)),
		"leave the ID mapping out of this mount"}
}

func cannotShow(what string, e mount) Why {
	remedy := "use a filesystem that can (ext4, xfs, btrfs, tmpfs and others), or leave the ID mapping out and chown the files"
	if e.kind == "overlay" {
		// There is no FS_ALLOW_IDMAP in fs/overlayfs as of Linux 6.18; a layer can have a mapping.
		remedy = "use a directory of another filesystem, such as the one that the overlay's layers are on; a root filesystem that is an " +
			"overlay as a whole bailey makes anew from its layers (--userns auto)"
	}
	if since, ok := idmappable[e.kind]; ok {
		remedy = "on Linux " + since + " or newer " + e.kind + " can (its own options and server allowing); else " + remedy
		if strings.HasPrefix(e.kind, "fuse") {
			remedy = "FUSE can from Linux 6.12 on, if the filesystem's program supports it (FUSE_ALLOW_IDMAP); else " +
				"use a filesystem that can (ext4, xfs, btrfs, tmpfs and others), or leave the ID mapping out and chown the files"
		}
	}
	return Why{what + " is on a filesystem of the type " + e.kind + " (mounted on " + e.point + "), which cannot show other owners than it has",
		remedy}
}
