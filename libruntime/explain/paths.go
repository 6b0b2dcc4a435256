package explain

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// source explains why the source of a mount cannot be opened.
func (m *Machine) source(a plan.OpenTree, errno syscall.Errno) Why {
	if a.Device != nil && errno == unix.ENOENT {
		return Why{"in a user namespace the kernel lets nobody make a device node, so the host's own is bind-mounted, and the host has no " + a.Path,
			"make it on the host (mknod, or load the driver), or take it out of linux.devices"}
	}
	return m.Unreachable(a.Path, errno)
}

// Unreachable names the part of a path that bars the way.
func (m *Machine) Unreachable(file string, errno syscall.Errno) Why {
	if !isErrno(errno, unix.EACCES, unix.ENOENT, unix.ENOTDIR) {
		return Why{}
	}
	reached := "/"
	for at := 0; at < len(file); {
		next := strings.IndexByte(file[at+1:], '/')
		if next < 0 {
			next = len(file)
		} else {
			next += at + 1
		}
		part := file[:next]
		if _, err := fs.Stat(m.Files, strings.Trim(part, "/")); part != "/" && part != "" && err != nil {
			return m.barrier(reached, part, errno)
		}
		reached, at = part, next
		if reached == "" {
			reached = "/"
		}
	}
	return Why{}
}

// barrier explains that part, which lies in the directory reached, cannot be reached.
func (m *Machine) barrier(reached, part string, errno syscall.Errno) Why {
	info, err := fs.Stat(m.Files, strings.Trim(reached, "/"))
	if reached == "/" {
		info, err = fs.Stat(m.Files, ".")
	}
	if err != nil {
		return Why{}
	}
	switch {
	case errno == unix.ENOTDIR && !info.IsDir():
		return Why{reached + " is not a directory", "correct the path"}
	case errno == unix.ENOENT:
		return Why{"there is no " + part, "correct the path, or make what it names"}
	case errno == unix.EACCES && info.IsDir():
		st, _ := info.Sys().(*syscall.Stat_t)
		owner := ""
		if st != nil {
			owner = fmt.Sprintf(", owner %d:%d", st.Uid, st.Gid)
		}
		return Why{fmt.Sprintf("user %s may not enter the directory %s (mode %04o%s): it lacks x for that user",
			m.uid(), reached, info.Mode().Perm(), owner),
			"as its owner or root: chmod o+x " + reached + ", or setfacl -m u:" + m.uid() + ":x " + reached + "; or use a path that the user can reach"}
	}
	return Why{}
}

// uid is the process's effective user ID.
func (m *Machine) uid() string {
	if ids := strings.Fields(m.status("Uid")); len(ids) > 1 {
		return ids[1]
	}
	return "?"
}

// seen is a file that a failing process has sent, as bailey sees it.
type seen struct {
	path     string
	mode     uint32
	uid, gid uint32
	flags    int64 // of its mount, as statfs(2) has them
}

func look(f *os.File) (seen, bool) {
	if f == nil {
		return seen{}, false
	}
	fd := int(f.Fd())
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Fstat(fd, &st) != nil || unix.Fstatfs(fd, &fs) != nil {
		return seen{}, false
	}
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		path = "?"
	}
	return seen{path: path, mode: st.Mode, uid: st.Uid, gid: st.Gid, flags: fs.Flags}, true
}

func (s seen) dir() bool { return s.mode&unix.S_IFMT == unix.S_IFDIR }

func (s seen) String() string {
	return fmt.Sprintf("%s (mode %04o, owner %d:%d on the host)", s.path, s.mode&0o7777, s.uid, s.gid)
}

// inRoot explains why something in the root filesystem cannot be reached or made.
func (m *Machine) inRoot(f *Failure) Why {
	s, ok := look(f.Evidence)
	if !ok || !isErrno(f.Errno, unix.EACCES, unix.EPERM, unix.EOVERFLOW, unix.EROFS) {
		return Why{}
	}
	maps, known := f.maps()
	return m.notOurs(s, f.Errno, maps, known)
}

func (m *Machine) notOurs(s seen, errno syscall.Errno, maps plan.WriteIDMaps, known bool) Why {
	if errno == unix.EROFS || s.flags&unix.ST_RDONLY != 0 && errno != unix.EACCES {
		return Why{s.path + " is on a filesystem that is mounted read-only, and what is to be mounted on does not exist there",
			"make it in the image, or give bailey a root filesystem that can be written to (root.readonly makes it read-only afterwards)"}
	}
	if !known || inside(maps.UIDs, s.uid) && inside(maps.GIDs, s.gid) {
		return Why{}
	}
	return Why{"the directory " + s.String() + " belongs to IDs that are not in the container's ID mappings, so that root of its user " +
		"namespace has only the rights of others there",
		"chown the root filesystem to the IDs of the mapping, have it shown with them (--userns auto), or make what is missing in the image"}
}

// inside reports whether an ID of the host is in a map.
func inside(maps []plan.IDMapping, id uint32) bool {
	for _, m := range maps {
		if id >= m.Host && uint64(id) < uint64(m.Host)+uint64(m.Size) {
			return true
		}
	}
	return false
}

// executable explains why the payload's program, or its working directory, cannot be reached.
func (m *Machine) executable(f *Failure) Why {
	s, ok := look(f.Evidence)
	if !ok || f.Errno != unix.EACCES {
		return Why{}
	}
	return barred(s, f.asked())
}

// emptyRoot explains why a program does not exist by there being none at all: the root filesystem holds nothing but
// directories to mount on.
func (m *Machine) emptyRoot(f *Failure) Why {
	root := f.source(plan.SlotRoot)
	entries, err := fs.ReadDir(m.Files, strings.TrimPrefix(root, "/"))
	if err != nil {
		return Why{}
	}
	for _, e := range entries {
		if !e.IsDir() {
			return Why{}
		}
		if below, err := fs.ReadDir(m.Files, strings.TrimPrefix(root, "/")+"/"+e.Name()); err != nil || len(below) > 0 {
			return Why{}
		}
	}
	return Why{"the root filesystem " + root + " is empty", "unpack an image into it, for one: " +
		"podman export $(podman create docker.io/library/busybox) | tar -x -C " + root}
}

// barred explains by what was reached last. who is whom it is for.
func barred(s seen, who string) Why {
	switch {
	case s.dir() && s.mode&0o111 != 0o111:
		return Why{who + " may not enter the directory " + s.String() + ": it lacks x for that user",
			"chmod a+x the directory in the image or volume, or run as a user who may enter it"}
	case s.dir():
		return Why{}
	case s.flags&unix.ST_NOEXEC != 0:
		return Why{s.path + " lies on a mount that is noexec", "leave noexec out of the options of that mount, or take the program from elsewhere"}
	case s.mode&0o111 == 0:
		return Why{"the file " + s.String() + " is executable for nobody", "chmod a+x the file in the image"}
	case s.mode&0o111 != 0o111:
		return Why{who + " may not execute the file " + s.String() + ": it lacks x for that user",
			"chmod a+x the file in the image, or run as its owner"}
	}
	return Why{}
}

// asked names the payload's user.
func (f *Failure) asked() string {
	if f.Plan != nil {
		for _, op := range f.Plan.Ops {
			if s, ok := op.Action.(plan.SetIDs); ok {
				return fmt.Sprintf("process.user (%d:%d)", s.UID, s.GID)
			}
		}
	}
	return "the process"
}
