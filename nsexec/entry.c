/*
 * The ELF entry point of the whole binary (linked with -e). It runs before libc and Go have started:
 *
 *  - executed as the preamble, it never comes back;
 *  - executed as a command line that is going to need one, it starts a preamble, whose exec then
 *    overlaps with the start of Go, and goes on to the real entry point;
 *  - otherwise it goes on at once.
 *
 * The preamble is never executed from a writable file, since what is in the container can reach the
 * executed file through /proc/PID/exe (CVE-2019-5736): it is executed from a read-only detached mount
 * of the binary, or, where the caller may not mount, from a sealed copy in memory.
 */
#define _GNU_SOURCE
#include "entry.h"
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

struct preamble_process preamble_early = {.socket = -1};

#ifndef BAILEY_HOSTED
/* The empty asm keeps GCC from recognising these loops as calls of themselves. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

__attribute__((used)) void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		((char *)to)[i] = ((const char *)from)[i];
		KEEP_LOOP();
	}
	return to;
}

__attribute__((used)) void *memmove(void *to, const void *from, size_t n)
{
	if (to <= from)
		return memcpy(to, from, n);
	while (n--) {
		((char *)to)[n] = ((const char *)from)[n];
		KEEP_LOOP();
	}
	return to;
}

__attribute__((used)) void *memset(void *to, int byte, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		((char *)to)[i] = (char)byte;
		KEEP_LOOP();
	}
	return to;
}

__attribute__((used)) int memcmp(const void *a, const void *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int d = ((const unsigned char *)a)[i] - ((const unsigned char *)b)[i];
		if (d)
			return d;
		KEEP_LOOP();
	}
	return 0;
}
#endif

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

static long sealed_copy(const char **step)
{
	struct statx st;
	long self = sys_3(openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);

	*step = "open /proc/self/exe";
	if (self < 0)
		return self;
	*step = "copy /proc/self/exe into memory";
	long copy = sys_2(memfd_create, "bailey", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (copy == -EINVAL) /* before Linux 6.3 every memfd could be executed */
		copy = sys_2(memfd_create, "bailey", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy < 0) {
		sys_close((int)self);
		return copy;
	}
	long err = sys_5(statx, self, "", AT_EMPTY_PATH, STATX_SIZE, &st);
	for (uint64_t left = err < 0 ? 0 : st.stx_size; left;) {
		long n = sys_4(sendfile, copy, self, 0, left);
		if (n <= 0) {
			err = n < 0 ? n : -EIO;
			break;
		}
		left -= (uint64_t)n;
	}
	if (err >= 0)
		err = sys_3(fcntl, copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	sys_close((int)self);
	if (err < 0) {
		sys_close((int)copy);
		return err;
	}
	return copy;
}

static long unwritable_self(const char **step)
{
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
	long fd = sys_3(open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd >= 0) {
		if (sys_5(mount_setattr, fd, "", AT_EMPTY_PATH, &readonly, sizeof readonly) == 0)
			return fd;
		sys_close((int)fd);
	}
	return sealed_copy(step);
}

/*
 * Between clone and exec the child may share our memory: it calls nothing and writes only to its own. Signals
 * stay blocked until the exec has taken Go's handlers away; preamble_main lets them in.
 */
static __attribute__((noreturn, noinline)) void become_preamble(long exe, int socket)
{
	char digits[12];
	char *number = digits + sizeof digits - 1;
	char *argv[] = {PREAMBLE_NAME, 0, 0}, *env[] = {0};

	*number = '\0';
	for (int n = socket; n || !*number; n /= 10)
		*--number = (char)('0' + n % 10);
	argv[1] = number;
	sys_3(fcntl, socket, F_SETFD, 0);
	sys_5(execveat, exe, "", argv, env, AT_EMPTY_PATH);
	sys_exit(127);
}

void preamble_spawn(struct preamble_process *pre, int suspend)
{
	int pair[2];
	uint64_t all = ~0ull, signals = 0;

	*pre = (struct preamble_process){.socket = -1};
	long exe = unwritable_self(&pre->step);
	if (exe < 0) {
		pre->error = (int)-exe;
		return;
	}
	long err = sys_4(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	if (err < 0) {
		pre->step = "socketpair";
		pre->error = (int)-err;
		sys_close((int)exe);
		return;
	}
	/* A handler of Go's must not run in a child that shares Go's memory. */
	sys_4(rt_sigprocmask, SIG_SETMASK, &all, &signals, 8);
	struct clone_args args = {.flags = suspend ? CLONE_VM | CLONE_VFORK : 0, .exit_signal = SIGCHLD};
	long pid = sys_2(clone3, &args, sizeof args);
	if (pid == 0)
		become_preamble(exe, pair[1]);
	sys_4(rt_sigprocmask, SIG_SETMASK, &signals, 0, 8);
	sys_close(pair[1]);
	sys_close((int)exe);
	if (pid < 0) {
		sys_close(pair[0]);
		pre->step = "clone3";
		pre->error = (int)-pid;
		return;
	}
	pre->pid = (int)pid;
	pre->socket = pair[0];
}

/*
 * The command in a command line: the first word that is neither a flag nor a flag's value. A wrong guess
 * is harmless: a preamble that gets no plan leaves, and one that is missing is started later.
 */
static const char *command_of(long argc, char **argv)
{
	static const char *const with_value[] = {"root",      "log",	  "log-format",
						 "log-level", "rootless", "cgroup-manager"};

	for (long i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (*word != '-')
			return word;
		word += word[1] == '-' ? 2 : 1;
		for (size_t k = 0; k < sizeof with_value / sizeof *with_value; k++)
			if (str_equal(word, with_value[k]))
				i++;
	}
	return "";
}

static int starts_with(const char *s, const char *prefix)
{
	while (*prefix && *s == *prefix)
		s++, prefix++;
	return !*prefix;
}

unsigned long preamble_held_signals;

static void hold_signals(void)
{
	/* Faults are the thread's own; Go preempts with URG and profiles with PROF; libc has the first real-time
	   signals; CHLD is about bailey's own children. */
	static const unsigned char free[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,	 SIGFPE, SIGILL, SIGTRAP, SIGABRT,
					     SIGSYS,  SIGPROF, SIGURG,	SIGCHLD, 32,	 33,	 34};
	uint64_t held = ~0ull;

	for (size_t i = 0; i < sizeof free; i++)
		held &= ~(1ull << (free[i] - 1));
	if (sys_4(rt_sigprocmask, SIG_BLOCK, &held, 0, 8) == 0)
		preamble_held_signals = held;
}

/*
 * Adds to the environment what makes the start of libc and Go shorter for a command that lives for
 * milliseconds: one Go processor (three threads less, none of which would find work) and one malloc arena
 * (no mapping of 128 MiB for each thread). stack is as the kernel leaves it: argc, argv[], null, env[], null,
 * auxv; below it is room for two words, by which everything up to the end of env is moved down. The two
 * go together because the stack stays aligned to 16 bytes.
 */
static long *lighten(long *stack)
{
	static char processors[] = "GOMAXPROCS=1", arenas[] = "GLIBC_TUNABLES=glibc.malloc.arena_max=1";
	long *end = stack + 1 + stack[0] + 1;

	for (; *end; end++)
		if (starts_with((const char *)*end, "GLIBC_TUNABLES="))
			return stack;
	for (long *p = stack; p < end; p++) {
		p[-2] = *p;
		/* The caller's own GOMAXPROCS (containerd's is meant for its shim) would come first. */
		if (p > stack + 1 + stack[0] && starts_with((const char *)*p, "GOMAXPROCS="))
			p[-2] = (long)processors;
	}
	end[-2] = (long)processors;
	end[-1] = (long)arenas;
	return stack - 2;
}

/*
 * A standard stream that the caller has closed would be the number of some descriptor of ours, which would then
 * be written to as if it were that stream, and would still be open when the payload's path is looked up.
 */
static void open_standard_streams(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (sys_2(fcntl, fd, F_GETFD) == -EBADF && sys_3(openat, AT_FDCWD, "/dev/null", O_RDWR) < 0)
			return; /* Go ends with an error then */
}

/* Returns the stack that the real entry point is to find. */
__attribute__((used)) long *preamble_entry(long *stack)
{
	static const char *const brief[] = {"run", "create", "exec", "start", "state", "kill", "delete"};
	long argc = stack[0];
	char **argv = (char **)(stack + 1);

	if (argc == 2 && str_equal(argv[0], PREAMBLE_NAME)) {
		int fd = 0;
		for (const char *s = argv[1]; *s >= '0' && *s <= '9' && fd < 1 << 20; s++)
			fd = fd * 10 + (*s - '0');
		preamble_main(fd);
	}
	const char *command = command_of(argc, argv);
	int run = str_equal(command, "run"), exec = str_equal(command, "exec");
	if (run || exec || str_equal(command, "create")) {
		open_standard_streams();
		preamble_spawn(&preamble_early, 0);
	}
	if (run || exec)
		hold_signals();
	for (size_t i = 0; i < sizeof brief / sizeof *brief; i++)
		if (str_equal(command, brief[i]))
			return lighten(stack);
	return stack;
}

#ifndef BAILEY_HOSTED
/* The registers that the real entry point looks at are left as the kernel set them. */
#if defined(__x86_64__)
__asm__(".globl baileyentry\n"
	".type baileyentry, @function\n"
	"baileyentry:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rdx, %r12\n"
	"	mov %rsp, %rdi\n"
	"	sub $32, %rsp\n"
	"	and $-16, %rsp\n"
	"	call preamble_entry\n"
	"	mov %rax, %rsp\n"
	"	mov %r12, %rdx\n"
	"	jmp _start\n");
#elif defined(__aarch64__)
__asm__(".globl baileyentry\n"
	".type baileyentry, @function\n"
	"baileyentry:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x19, x0\n"
	"	mov x0, sp\n"
	"	sub sp, sp, #32\n"
	"	bl preamble_entry\n"
	"	mov sp, x0\n"
	"	mov x0, x19\n"
	"	b _start\n");
#endif
#endif
