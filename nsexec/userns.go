package nsexec

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

// TryNamespaces makes namespaces of these kinds and unmakes them at once. It returns the errno of who could not.
func TryNamespaces(kinds plan.Namespace) error {
	exe, err := executable()
	if err != nil {
		return err
	}
	// A preamble whose connection ends leaves.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	unix.Close(pair[0])
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), []string{name, "0"},
		&syscall.ProcAttr{Files: []uintptr{uintptr(pair[1])}, Sys: &syscall.SysProcAttr{Unshareflags: uintptr(kinds)}})
	unix.Close(pair[1])
	if err == nil {
		wait(pid)
	}
	return err
}

// NewUserNamespace makes a user namespace and returns a descriptor of it. write is called with the process ID of a process in it,
// as seen by the caller, and gives it its maps. No process is in it afterwards: the descriptor alone keeps it.
func NewUserNamespace(write func(pid int) error) (fd int, err error) {
	exe, err := executable()
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	// A preamble that gets no plan will do, because it waits. A process of another user namespace may not look
	// at bailey's descriptors, so it goes by its own.
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), []string{name, "0"},
		&syscall.ProcAttr{Files: []uintptr{uintptr(pair[1])}, Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}})
	unix.Close(pair[1])
	p := &Preamble{pid: pid, sync: os.NewFile(uintptr(pair[0]), "preamble")}
	if err != nil {
		p.sync.Close()
		return -1, os.NewSyscallError("clone", err)
	}
	defer p.Discard()
	if err := write(pid); err != nil {
		return -1, err
	}
	//nolint:forbidigo // the caller's own procfs
	fd, err = unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open", err)
}
