package libruntime

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// What is done on the host in a namespace that a container shares, because the container itself may not.

// inNamespace calls do on a thread in the namespace of f, or in the caller's if f is nil.
func inNamespace(kind plan.Namespace, f *os.File, do func() error) error {
	if f == nil {
		return do()
	}
	done := make(chan error, 1)
	startThread(func() {
		if err := unix.Setns(int(f.Fd()), int(kind)); err != nil {
			done <- &fault.Error{Syscall: "setns", Err: err}
			return
		}
		done <- do()
	})
	return <-done
}

// startThread calls f on a thread that nothing else runs on and that ends with it, so that f may take the thread to other
// namespaces. It is never the process's first one: that would not end, and its namespaces are what /proc/self shows.
func startThread(f func()) {
	go func() {
		runtime.LockOSThread() // and, but for the first thread, never unlocked
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		started := make(chan struct{})
		startThread(func() {
			close(started)
			f()
		})
		<-started // as long as this one is held, that is another
		runtime.UnlockOSThread()
	}()
}

// newFilesystemIn makes a mount of a filesystem that shows a namespace.
func newFilesystemIn(a plan.NewFilesystemIn, opened map[plan.Slot]*os.File) (fd int, err error) {
	err = inNamespace(a.Kind, opened[a.Namespace], func() error {
		var options [][2]string
		if a.Source != "" {
			options = append(options, [2]string{"source", a.Source})
		}
		fd, err = newMount(a.Type, options, int(a.Attributes))
		if err != nil {
			return &fault.Error{Syscall: "fsmount", Err: err}
		}
		return nil
	})
	return fd, err
}

// writeSysctlIn writes a kernel parameter of a namespace and reads it back.
func writeSysctlIn(a plan.WriteSysctlIn, opened map[plan.Slot]*os.File) error {
	path := "/proc/sys/" + a.Key
	failed := func(call string, err error) error {
		return &fault.Error{Object: path, Syscall: call, Err: err}
	}
	return inNamespace(a.Kind, opened[a.Namespace], func() error {
		fd, err := openHost(path, unix.O_RDWR|unix.O_NOFOLLOW)
		if err != nil {
			return failed("open", err)
		}
		defer unix.Close(fd)
		if _, err := unix.Write(fd, []byte(a.Value)); err != nil {
			return failed("write", err)
		}
		var have [4096]byte
		n, err := unix.Pread(fd, have[:], 0)
		if err != nil {
			return failed("read", err)
		}
		if strings.Join(strings.Fields(string(have[:n])), " ") != strings.Join(strings.Fields(a.Value), " ") {
			return &fault.Error{Object: path, Err: errors.New("it is " + strconv.Quote(strings.TrimSpace(string(have[:n]))) + " after it was written")}
		}
		return nil
	})
}

// inPrivate calls do on a thread in a mount namespace that nobody else sees, with a working directory that is a tmpfs, on
// top of covered, a directory that is not needed. Linux before 6.15 clones only mounts that are in a namespace. before is
// called first, while everything is as the caller has it; do with a descriptor of the tmpfs.
func inPrivate(covered string, before func() error, do func(room int) error) (err error) {
	failed := func(object, call string, err error) error {
		return &fault.Error{Object: object, Syscall: call, Err: err}
	}
	done := make(chan struct{})
	startThread(func() {
		defer close(done)
		if err = unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			err = failed("", "unshare", err)
			return
		}
		if err = unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Propagation: unix.MS_PRIVATE}); err != nil {
			err = failed("/", "mount_setattr", err)
			return
		}
		if err = before(); err != nil {
			return
		}
		var room int
		if room, err = newMount("tmpfs", [][2]string{{"mode", "0700"}}, 0); err != nil {
			err = failed("tmpfs", "fsmount", err)
			return
		}
		defer unix.Close(room)
		if err = unix.MoveMount(room, "", unix.AT_FDCWD, covered, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			err = failed(covered, "move_mount", err)
			return
		}
		if err = unix.Fchdir(room); err != nil {
			err = failed(covered, "fchdir", err)
			return
		}
		err = do(room)
	})
	<-done
	return err
}

// newOverlay makes a mount of an overlay whose layers are named as the caller sees them.
func newOverlay(a plan.NewOverlay) (fd int, err error) {
	err = inPrivate("/dev", func() error { return nil }, func(room int) error {
		if err := unix.Mkdirat(room, "m", 0o700); err != nil {
			return &fault.Error{Syscall: "mkdir", Err: err}
		}
		var flags uintptr
		if a.Attributes&unix.MOUNT_ATTR_RDONLY != 0 {
			flags = unix.MS_RDONLY
		}
		var call string
		var err error
		if fd, call, err = overlayOn(room, "m", a.Source, flags, strings.Join(a.Options, ","), a.Attributes); err != nil {
			return &fault.Error{Syscall: call, Err: err}
		}
		return nil
	})
	return fd, err
}

// overlayOn makes an overlay on a directory in room, which is the working directory, and returns a mount of it that is attached
// nowhere. call is the system call that has failed. Not with fsconfig(2), whose values are of 255 bytes at most.
func overlayOn(room int, dir, source string, flags uintptr, options string, attributes uint64) (mount int, call string, err error) {
	err = unix.Mount(source, dir, "overlay", flags, options) //nolint:forbidigo // in a directory that nobody else sees
	if err != nil {
		return -1, "mount", err
	}
	if mount, err = unix.OpenTree(room, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
		return -1, "open_tree", err
	}
	if err = unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: attributes}); err != nil {
		unix.Close(mount)
		return -1, "mount_setattr", err
	}
	return mount, "", nil
}

// newDevice makes a device node and a mount of it.
func newDevice(a plan.NewDevice) (fd int, err error) {
	err = inPrivate("/dev", func() error { return nil }, func(room int) error {
		mode := uint32(unix.S_IFCHR)
		if a.Device.Type == 'b' {
			mode = unix.S_IFBLK
		}
		if err := unix.Mknodat(room, "device", mode|0o600, int(unix.Mkdev(a.Device.Major, a.Device.Minor))); err != nil {
			return &fault.Error{Syscall: "mknod", Err: err}
		}
		if err := unix.Fchownat(room, "device", int(a.UID), int(a.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &fault.Error{Syscall: "chown", Err: err}
		}
		if err := unix.Fchmodat(room, "device", a.Mode, 0); err != nil {
			return &fault.Error{Syscall: "chmod", Err: err}
		}
		fd, err = unix.OpenTree(room, "device", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return &fault.Error{Syscall: "open_tree", Err: err}
		}
		return nil
	})
	return fd, err
}
