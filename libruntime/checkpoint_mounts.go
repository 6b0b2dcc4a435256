package libruntime

import (
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/criu"
)

// apart calls do on a thread with a mount namespace of its own: nothing that is mounted there is seen on the machine, and
// nothing can be left. The thread, with whose end a CRIU that restores ends, lasts until over is closed.
func apart(over <-chan struct{}, do func() error) (err error) {
	done := make(chan struct{})
	startThread(func() {
		defer func() {
			close(done)
			<-over
		}()
		failed := func(call string, err error) error {
			return &fault.Error{Step: "make a mount namespace for CRIU", Syscall: call, Err: err}
		}
		if err = unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			err = failed("unshare", err)
			return
		}
		if err = unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Propagation: unix.MS_SLAVE}); err != nil {
			err = failed("mount_setattr", err)
			return
		}
		err = do()
	})
	<-done
	return err
}

const (
	cgroupMount   = "/sys/fs/cgroup"
	unifiedInYard = cgroupMount + "/unified"
)

// makeYard makes the cgroup hierarchies that the machine has mounted a directory as CRIU wants it, and returns its path, "" where
// that is for CRIU to do. Should it mount the unified hierarchy itself, the whole machine would lose the options that it
// was mounted with, nsdelegate among them: without that, a container may write to the limits that were set for it
// (cgroup_apply_root_flags in the kernel).
func makeYard() (string, error) {
	switch cgroup.Detect() {
	case cgroup.Hybrid:
		return cgroupMount, nil // it is one already
	case cgroup.V2:
	default:
		return "", nil
	}
	failed := func(call string, err error) (string, error) {
		return "", &fault.Error{Step: "show CRIU the cgroups", Object: cgroupMount, Syscall: call, Err: err}
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, cgroupMount, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return failed("open_tree", err)
	}
	defer unix.Close(tree)
	yard, err := newMount("tmpfs", [][2]string{{"mode", "0755"}, {"size", "4k"}}, 0)
	if err != nil {
		return failed("fsmount", err)
	}
	defer unix.Close(yard)
	if err := unix.Mkdirat(yard, "unified", 0o755); err != nil {
		return failed("mkdirat", err)
	}
	if err := unix.MoveMount(yard, "", unix.AT_FDCWD, cgroupMount, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return failed("move_mount", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, unifiedInYard, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return failed("move_mount", err)
	}
	return cgroupMount, nil
}

// inYard returns where a path is once makeYard has been called.
func inYard(path string) string {
	if rest, ok := strings.CutPrefix(path, cgroupMount); ok && cgroup.Detect() == cgroup.V2 && (rest == "" || rest[0] == '/') {
		return unifiedInYard + rest
	}
	return path
}

// showImages lets everybody in the mount namespace, where there is nobody but CRIU, search the directory of the images. It is
// root's of the machine alone, and CRIU opens images while it is root of the container's user namespace, and before that
// when it is nobody there. A directory's mode can be another one in an overlay. Where there can be no overlay, CRIU has to
// make do with the mode that the directory has.
func (r *restoration) showImages(o *criu.Options) {
	fd, err := overlaid(int(o.Images.Fd()), o.Images.Name())
	if err != nil {
		return
	}
	name := o.Images.Name()
	if o.Work != o.Images {
		o.Images.Close()
	}
	o.Images = os.NewFile(uintptr(fd), name)
}

// overlaid returns a directory with mode 0755 that shows what is in dir. It puts a mount on path, which is that of dir.
func overlaid(dir int, path string) (int, error) {
	open, err := newMount("tmpfs", [][2]string{{"mode", "0755"}, {"size", "4k"}}, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(open)
	if err := unix.MoveMount(open, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return -1, err
	}
	lower := "/proc/self/fd/" + strconv.Itoa(open) + ":/proc/self/fd/" + strconv.Itoa(dir)
	mount, err := newMount("overlay", [][2]string{{"lowerdir", lower}}, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(mount)
	return unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// newMount makes a filesystem, mounted nowhere.
func newMount(kind string, options [][2]string, attributes int) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, o := range options {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
}

// bindRoot makes path a mount point in the calling thread's mount namespace. CRIU makes the
// container's root receive what is mounted there (a slave), where the dumped one did, from this mount, which therefore has
// to be a slave itself: of the host's, or where that is private, of another one below.
func bindRoot(path string) error {
	failed := func(call string, err error) error {
		return &fault.Error{Step: "make the root filesystem a mount", Origin: "/root/path", Object: path, Syscall: call, Err: err}
	}
	for _, propagation := range []uint64{unix.MS_SHARED, unix.MS_SLAVE} {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return failed("open_tree", err)
		}
		defer unix.Close(fd)
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Propagation: propagation}); err != nil {
			return failed("mount_setattr", err)
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return failed("move_mount", err)
		}
	}
	return nil
}

// mountpoints makes what mounts are put on, which a root filesystem that was made anew need not have.
type mountpoints struct {
	spec   *specs.Spec
	rootfs string
}

// make makes the mount point at a path of the container, for a source on the host, where it lies on the root filesystem
// itself. What is on a filesystem of the container's CRIU finds there, or makes.
func (p *mountpoints) make(at, source string) error {
	for _, m := range p.spec.Mounts {
		if d := path.Clean("/" + m.Destination); at != d && strings.HasPrefix(at, strings.TrimSuffix(d, "/")+"/") {
			return nil
		}
	}
	failed := func(call string, err error) error {
		return &fault.Error{Step: "make the mount point " + at, Origin: "/mounts", Syscall: call, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Stat(source, &st); err != nil {
		return &fault.Error{Step: "restore the mount on " + at, Origin: "/mounts", Object: source, Syscall: "stat", Err: err}
	}
	dir, err := openHost(p.rootfs, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return failed("open", err)
	}
	defer func() { unix.Close(dir) }()
	root, err := unix.Dup(dir)
	if err != nil {
		return failed("dup", err)
	}
	defer unix.Close(root)
	// Each component is looked up below the root, so that a link in it leads nowhere else.
	names := strings.Split(strings.Trim(path.Clean(at), "/"), "/")
	for i, name := range names {
		last := i == len(names)-1
		if last && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_WRONLY, 0o644)
			if err == nil {
				unix.Close(fd)
			} else if err != unix.EEXIST {
				return failed("openat", err)
			}
			return nil
		}
		if err := unix.Mkdirat(dir, name, 0o755); err != nil && err != unix.EEXIST {
			return failed("mkdirat", err)
		}
		next, err := unix.Openat2(root, strings.Join(names[:i+1], "/"), &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		if err != nil {
			return failed("openat2", err)
		}
		unix.Close(dir)
		dir = next
	}
	return nil
}
