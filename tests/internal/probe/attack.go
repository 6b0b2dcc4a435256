package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An attack is a way that leads out of a container's confinement where nothing stands in it.
type attack struct {
	name string
	// try is done by a process of one thread. It makes nothing but system calls: it goes on from a fork without an
	// exec. 0 says that it has worked.
	try func() syscall.Errno
}

// Strings and structs for try, made while there is a Go runtime.
var (
	none, tmp, old              = cstring(""), cstring("/tmp"), cstring("/tmp/old")
	proc, sysfs, cgroup2, tmpfs = cstring("proc"), cstring("sysfs"), cstring("cgroup2"), cstring("tmpfs")
	procDir, keys, sys          = cstring("/proc"), cstring("/proc/keys"), cstring("/proc/sys")
	oldKeys, tmpKeys            = cstring("/old/proc/keys"), cstring("/tmp/keys")
	ownUser, ownNet             = cstring("/proc/self/ns/user"), cstring("/proc/self/ns/net")
	maxUser, tmpMaxUser         = cstring("/proc/sys/user/max_user_namespaces"), cstring("/tmp/sys/user/max_user_namespaces")
	number                      = []byte("100000")
	hostname                    = []byte("conquered")
	userArgs                    = [8]uint64{unix.CLONE_NEWUSER, 0, 0, 0, uint64(unix.SIGCHLD)} // struct clone_args
	writable                    = unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	allSets                     = [2]unix.CapUserData{{Effective: ^uint32(0), Permitted: ^uint32(0)}, {Effective: 0x1ff, Permitted: 0x1ff}}
	inheritable                 = [2]unix.CapUserData{{Effective: 0, Permitted: 0, Inheritable: 1 << unix.CAP_SYS_MODULE}, {}}
	capHeader                   = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
)

// call makes a system call.
func call(nr uintptr, args ...uintptr) syscall.Errno {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return errno
}

// first returns the first errno of calls that depend on each other.
func first(calls ...func() syscall.Errno) syscall.Errno {
	for _, c := range calls {
		if errno := c(); errno != 0 {
			return errno
		}
	}
	return 0
}

func unshare(flags uintptr) syscall.Errno { return call(unix.SYS_UNSHARE, flags) }

func mount(source, target, kind *byte, flags uintptr) syscall.Errno {
	return call(unix.SYS_MOUNT, address(source), address(target), address(kind), flags)
}

func umount(target *byte) syscall.Errno {
	return call(unix.SYS_UMOUNT2, address(target), unix.MNT_DETACH)
}

// fork has a child do try, and returns what it has returned.
func fork(flags uintptr, try func() syscall.Errno) syscall.Errno {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		status := uintptr(0)
		if try != nil {
			status = uintptr(try())
		}
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
		}
	}
	var status uint32
	for {
		_, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, pid, uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		if status&0x7f != 0 {
			return unix.ESRCH // a signal has ended it
		}
		return syscall.Errno(status >> 8 & 0xff)
	}
}

// raise writes a limit and makes a user namespace.
func raise(file *byte) syscall.Errno {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, fdcwd, address(file), unix.O_WRONLY, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if errno := call(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&number[0])), uintptr(len(number))); errno != 0 {
		return errno
	}
	return unshare(unix.CLONE_NEWUSER)
}

// related enters the user namespace that an ioctl on a namespace's file leads to.
func related(file *byte, ioctl uintptr) syscall.Errno {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, fdcwd, address(file), unix.O_RDONLY, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	user, _, errno := syscall.RawSyscall(unix.SYS_IOCTL, fd, ioctl, 0)
	if errno != 0 {
		return errno
	}
	return call(unix.SYS_SETNS, user, unix.CLONE_NEWUSER)
}

// fdcwd is AT_FDCWD.
const fdcwd = ^uintptr(99)

const x32 = 0x40000000

// attacks are in an order in which none is spoilt by those before it that work.
var attacks = []attack{
	{"user namespace: unshare", func() syscall.Errno { return unshare(unix.CLONE_NEWUSER) }},
	{"user namespace: clone", func() syscall.Errno { return fork(unix.CLONE_NEWUSER, nil) }},
	{"user namespace: clone3", func() syscall.Errno {
		pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&userArgs)), unsafe.Sizeof(userArgs), 0)
		if errno == 0 && pid == 0 {
			call(unix.SYS_EXIT_GROUP, 0)
		}
		return errno
	}},
	{"user namespace: x32", func() syscall.Errno { return call(x32|unix.SYS_UNSHARE, unix.CLONE_NEWUSER) }},
	{"user namespace: i386", func() syscall.Errno { return int80(310, unix.CLONE_NEWUSER) }},
	{"user namespace: limit raised", func() syscall.Errno { return raise(maxUser) }},
	{"user namespace: limit raised by another procfs", func() syscall.Errno {
		return fork(unix.CLONE_NEWNS|unix.CLONE_NEWPID, func() syscall.Errno {
			return first(func() syscall.Errno { return mount(proc, tmp, proc, 0) }, func() syscall.Errno { return raise(tmpMaxUser) })
		})
	}},
	{"user namespace: the one around", func() syscall.Errno { return related(ownUser, unix.NS_GET_PARENT) }},
	{"user namespace: the network's", func() syscall.Errno { return related(ownNet, unix.NS_GET_USERNS) }},
	{"net namespace", func() syscall.Errno { return unshare(unix.CLONE_NEWNET) }},
	{"cgroup namespace", func() syscall.Errno { return unshare(unix.CLONE_NEWCGROUP) }},
	{"procfs", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) }, func() syscall.Errno { return mount(proc, tmp, proc, 0) })
	}},
	{"procfs of a new pid namespace", func() syscall.Errno {
		return fork(unix.CLONE_NEWNS|unix.CLONE_NEWPID, func() syscall.Errno { return mount(proc, tmp, proc, 0) })
	}},
	{"sysfs of a new net namespace", func() syscall.Errno {
		return fork(unix.CLONE_NEWNS|unix.CLONE_NEWNET, func() syscall.Errno { return mount(sysfs, tmp, sysfs, 0) })
	}},
	{"cgroup filesystem", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) }, func() syscall.Errno { return mount(cgroup2, tmp, cgroup2, 0) })
	}},
	{"cgroup filesystem of a new cgroup namespace", func() syscall.Errno {
		return fork(unix.CLONE_NEWNS|unix.CLONE_NEWCGROUP, func() syscall.Errno { return mount(cgroup2, tmp, cgroup2, 0) })
	}},
	{"mask unmounted in a new mount namespace", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) }, func() syscall.Errno { return umount(keys) })
	}},
	{"mask left behind by a bind mount", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) },
			func() syscall.Errno { return mount(procDir, tmp, none, unix.MS_BIND) })
	}},
	{"mask left behind by open_tree", func() syscall.Errno {
		return call(unix.SYS_OPEN_TREE, fdcwd, address(procDir), unix.OPEN_TREE_CLONE)
	}},
	{"mask unmounted below a recursive bind mount", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) },
			func() syscall.Errno { return mount(procDir, tmp, none, unix.MS_BIND|unix.MS_REC) },
			func() syscall.Errno { return umount(tmpKeys) })
	}},
	{"mask moved away", func() syscall.Errno {
		call(unix.SYS_MKNODAT, fdcwd, address(tmpKeys), unix.S_IFREG|0o600) // it may be there
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) },
			func() syscall.Errno { return mount(keys, tmpKeys, none, unix.MS_MOVE) })
	}},
	{"procfs unmounted", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) }, func() syscall.Errno { return umount(procDir) })
	}},
	{"mask unmounted below another root", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) },
			func() syscall.Errno { return mount(tmpfs, tmp, tmpfs, 0) },
			func() syscall.Errno { return call(unix.SYS_MKDIRAT, fdcwd, address(old), 0o700) },
			func() syscall.Errno { return call(unix.SYS_PIVOT_ROOT, address(tmp), address(old)) },
			func() syscall.Errno { return umount(oldKeys) })
	}},
	{"read-only path: remount in a new mount namespace", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) },
			func() syscall.Errno { return mount(none, sys, none, unix.MS_REMOUNT|unix.MS_BIND) })
	}},
	{"read-only path: mount_setattr", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) }, func() syscall.Errno {
			return call(unix.SYS_MOUNT_SETATTR, fdcwd, address(sys), 0, uintptr(unsafe.Pointer(&writable)), unsafe.Sizeof(writable))
		})
	}},
	{"read-only path: unmounted", func() syscall.Errno {
		return first(func() syscall.Errno { return unshare(unix.CLONE_NEWNS) }, func() syscall.Errno { return umount(sys) })
	}},
	{"host name", func() syscall.Errno {
		return call(unix.SYS_SETHOSTNAME, uintptr(unsafe.Pointer(&hostname[0])), uintptr(len(hostname)))
	}},
	{"capabilities: all of them", func() syscall.Errno {
		return call(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&capHeader)), uintptr(unsafe.Pointer(&allSets)))
	}},
	{"capabilities: inheritable", func() syscall.Errno {
		return call(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&capHeader)), uintptr(unsafe.Pointer(&inheritable)))
	}},
	{"capabilities: ambient", func() syscall.Errno {
		return call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_MODULE)
	}},
	{"mask unmounted", func() syscall.Errno { return umount(keys) }},
	{"read-only path: remount", func() syscall.Errno { return mount(none, sys, none, unix.MS_REMOUNT|unix.MS_BIND) }},
}

// attackAll prints the outcome of every attack: its name, a tab, and "works" or an errno.
func attackAll() {
	runtime.LockOSThread()
	for _, a := range attacks {
		outcome := "works"
		if errno := fork(0, a.try); errno != 0 {
			outcome = errnoName(errno)
		}
		fmt.Println(a.name + "\t" + outcome)
	}
}

// showStatus prints lines of /proc/self/status, with the securebits.
func showStatus(names []string) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail(err)
	}
	for _, name := range names {
		if name == "Securebits" {
			bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
			if err != nil {
				fail(err)
			}
			fmt.Printf("Securebits %#x\n", bits)
			continue
		}
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				fmt.Println(name, strings.Join(strings.Fields(value), " "))
			}
		}
	}
}

func cstring(s string) *byte {
	b, err := unix.BytePtrFromString(s)
	if err != nil {
		fail(err)
	}
	return b
}

func address(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }
