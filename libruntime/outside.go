package libruntime

import (
	"os"
	"runtime"

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
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends in the namespace
		if err := unix.Setns(int(f.Fd()), int(kind)); err != nil {
			done <- &fault.Error{Syscall: "setns", Err: err}
			return
		}
		done <- do()
	}()
	return <-done
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
		return nil
	})
}
