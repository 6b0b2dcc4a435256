package spec

import (
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Errno values of the hardened profile; they are the same on every architecture that it works on.
const (
	errPerm  = 1  // EPERM
	errNoSys = 38 // ENOSYS
)

// ExampleHardened returns the configuration that `bailey spec --hardened` writes: the least that an ordinary
// program needs. The IDs 0 to size-1 of the container are hostUID and hostGID and those that follow on the
// host. The process is user and group 1000, or 0 where size leaves no 1000; either way it has no
// capability and no means to gain one. The root is read-only; /tmp and /run take files but no programs.
// Time is the one namespace that is not private: without offsets it would hide nothing.
func ExampleHardened(hostUID, hostGID, size uint32) *specs.Spec {
	s := Example()
	const user = 1000
	if size > user {
		s.Process.User = specs.User{UID: user, GID: user}
	}
	umask := uint32(0o077)
	s.Process.User.Umask = &umask
	s.Process.Capabilities = &specs.LinuxCapabilities{}
	s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_CORE"})

	for i := range s.Mounts {
		m := &s.Mounts[i]
		switch m.Destination {
		case "/proc":
			m.Options = []string{"nosuid", "noexec", "nodev"}
		case "/dev":
			// Nothing but device nodes and mount points goes here.
			m.Options = []string{"nosuid", "noexec", "strictatime", "mode=755", "size=1024k"}
		case "/dev/pts":
			if size <= 5 {
				m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "gid=5" })
			}
		}
	}
	for _, m := range []struct{ path, size string }{{"/tmp", "65536k"}, {"/run", "16384k"}} {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: m.path, Type: "tmpfs", Source: "tmpfs",
			Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + m.size}})
	}

	l := s.Linux
	l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: hostUID, Size: size}}
	l.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: hostGID, Size: size}}
	// Counters and addresses of the whole machine, which help side channels and kernel exploits.
	l.MaskedPaths = append(l.MaskedPaths,
		"/proc/interrupts", "/proc/kallsyms", "/proc/modules", "/proc/softirqs",
		"/sys/devices/virtual/powercap", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing",
		"/sys/module")
	memory, pids := int64(512<<20), int64(256)
	l.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	l.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	l.Seccomp = hardenedSeccomp()
	return s
}

// hardenedSeccomp returns an allow-list. What it does not name fails with ENOSYS, so that programs fall back as
// they would on an older kernel; what is left out because it takes privilege fails with EPERM, which is what
// a program without the privilege is used to. Only the native architecture is allowed, as none is named.
func hardenedSeccomp() *specs.LinuxSeccomp {
	allow := func(names string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: strings.Fields(names), Action: specs.ActAllow, Args: args}
	}
	refuse := func(errno uint, names string) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: strings.Fields(names), Action: specs.ActErrno, ErrnoRet: &errno}
	}
	arg := func(index uint, op specs.LinuxSeccompOperator, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Op: op, Value: value}
	}
	fallback := uint(errNoSys)
	sc := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: &fallback}
	sc.Syscalls = []specs.LinuxSyscall{
		allow(strings.Join(hardenedAllow, " ")),
		refuse(errPerm, hardenedDeny),
	}

	// New namespaces: clone takes the flags as a number, which can be looked at; those of clone3 are in memory,
	// which cannot. glibc and musl take ENOSYS from clone3 as the reason to use clone.
	const newNamespaces = 0x7e020000 // CLONE_NEWNS|NEWCGROUP|NEWUTS|NEWIPC|NEWUSER|NEWPID|NEWNET
	flags := uint(0)
	if runtime.GOARCH == "s390x" {
		flags = 1 // clone has its first two arguments the other way round there
	}
	sc.Syscalls = append(sc.Syscalls,
		allow("clone", arg(flags, specs.OpMaskedEqual, newNamespaces)),
		refuse(errNoSys, "clone3"))

	// Sockets: the families of ordinary programs, not those that mostly serve to attack the kernel.
	for _, family := range []uint64{1 /* AF_UNIX */, 2 /* AF_INET */, 10 /* AF_INET6 */, 16 /* AF_NETLINK */} {
		sc.Syscalls = append(sc.Syscalls, allow("socket", arg(0, specs.OpEqualTo, family)))
	}
	// Personality: reading it, and the default one. ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC weaken a process.
	for _, persona := range []uint64{0, 0xffffffff} {
		sc.Syscalls = append(sc.Syscalls, allow("personality", arg(0, specs.OpEqualTo, persona)))
	}
	return sc
}

// hardenedAllow are the system calls of ordinary programs, by concern. The names of all architectures are
// here; those that the machine does not have are skipped when the filter is made.
var hardenedAllow = []string{
	// processes and threads
	`arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64
	futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu getpgid getpgrp getpid
	getppid getpriority getsid gettid kill membarrier pidfd_open pidfd_send_signal prctl
	process_mrelease rseq sched_get_priority_max sched_get_priority_min sched_getaffinity
	sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
	sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
	sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address set_tls setpgid
	setpriority setsid tgkill tkill vfork wait4 waitid waitpid`,
	// users, groups and limits
	`getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
	getresuid getresuid32 getrlimit getrusage getuid getuid32 ioprio_get ioprio_set prlimit64
	setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid
	setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setuid
	setuid32 ugetrlimit umask`,
	// signals
	`pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
	rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack
	signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend`,
	// memory
	`brk cacheflush get_mempolicy madvise map_shadow_stack memfd_create mincore mlock mlock2 mlockall
	mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
	pkey_mprotect remap_file_pages riscv_flush_icache riscv_hwprobe sync_file_range2`,
	// files by name
	`access chdir chmod chown chown32 chroot creat faccessat faccessat2 fchmodat fchmodat2 fchownat fstatat64
	futimesat getcwd inotify_add_watch lchown lchown32 link linkat lstat lstat64 mkdir mkdirat mknod
	mknodat newfstatat open openat openat2 readlink readlinkat rename renameat renameat2 rmdir stat
	stat64 statfs statfs64 statx symlink symlinkat truncate truncate64 unlink unlinkat utime
	utimensat utimensat_time64 utimes`,
	// extended attributes
	`fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat
	llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat`,
	// files by descriptor
	`_llseek cachestat close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64
	arm_fadvise64_64 fallocate fchdir fchmod fchown fchown32 fcntl fcntl64 fdatasync flock fstat
	fstat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 getdents getdents64 inotify_init
	inotify_init1 inotify_rm_watch ioctl lseek pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev
	pwritev2 read readahead readv sendfile sendfile64 splice sync sync_file_range syncfs tee write
	writev`,
	// waiting
	`_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
	epoll_wait epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents
	io_pgetevents_time64 io_setup io_submit poll ppoll ppoll_time64 pselect6 pselect6_time64 select`,
	// time
	`alarm clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
	clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create
	timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
	timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times`,
	// sockets; socket itself has rules of its own
	`accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
	recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair`,
	// System V and POSIX interprocess communication
	`ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
	mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
	semtimedop_time64 shmat shmctl shmdt shmget`,
	// what a program may ask of the system, and ways to lock itself in further
	`getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp sysinfo uname`,
}

// hardenedDeny are the system calls that take a privilege which the container does not have, or that look
// into other processes.
const hardenedDeny = `
	acct add_key adjtimex bpf clock_adjtime clock_adjtime64 clock_settime clock_settime64 delete_module
	fanotify_init fanotify_mark finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module
	ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount
	mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree
	perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace
	quotactl quotactl_fd reboot request_key set_mempolicy setdomainname sethostname setns settimeofday
	stime swapoff swapon syslog umount umount2 unshare userfaultfd vhangup vm86 vm86old`
