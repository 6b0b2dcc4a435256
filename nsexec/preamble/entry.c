/*
 * The first instructions of bailey's own process, before Go has started. They start a preamble where the command
 * line is going to need one, so that its exec overlaps with the start of Go, and prepare the process for a life
 * of milliseconds; then Go starts as usual.
 *
 * This is linked at no address, without relocations and without data (entry.ld), and ends up as bytes in the
 * text of the Go program (nsexec/entry_*.s), which Go's linker can do without libc; hence no table of pointers.
 *
 * The preamble is a file of its own in memory, sealed: what is in the container can reach the executed file
 * through /proc/PID/exe (CVE-2019-5736), and finds nothing there that could be written to, nor bailey itself.
 */
#define _GNU_SOURCE
#include "entry.h"
#include "preamble.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Says how far it came, in *syscall. */
static long sealed(const char *image, size_t len, const char **syscall)
{
	*syscall = "memfd_create";
	long fd = sys_2(memfd_create, PREAMBLE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd == -EINVAL) /* before Linux 6.3 every memfd could be executed */
		fd = sys_2(memfd_create, PREAMBLE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	*syscall = "write";
	long n = sys_3(write, fd, image, len);
	if (n != (long)len)
		return n < 0 ? n : -ENOSPC;
	*syscall = "fcntl(F_ADD_SEALS)";
	long err = sys_3(fcntl, fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return err < 0 ? err : fd;
}

/* What the new process does. Its memory is bailey's, in which Go is starting at the same time. */
static void become_preamble(void *arg)
{
	struct preamble_early *early = arg;
	char name[] = PREAMBLE_NAME, digits[12];
	char *number = digits + sizeof digits - 1;
	char *argv[] = {name, 0, 0}, *env[] = {0};

	*number = '\0';
	for (int n = early->its_socket; n || !*number; n /= 10)
		*--number = (char)('0' + n % 10);
	argv[1] = number;
	long fd = sealed(early->image, early->image_len, &early->syscall);
	if (fd >= 0) {
		sys_3(fcntl, early->its_socket, F_SETFD, 0);
		early->syscall = "execveat";
		fd = sys_5(execveat, fd, "", argv, env, AT_EMPTY_PATH);
	}
	early->error = (int)-fd;
	sys_exit(127);
}

/*
 * The new process shares our memory until it executes, so that nothing is copied, and goes on beside us: unlike
 * vfork, this does not wait for it. If there is no new process, Go tries again, which has the words to report why.
 */
static void spawn(struct preamble_early *early, const char *image, size_t len)
{
	int pair[2];

	if (sys_4(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	early->image = image;
	early->image_len = len;
	early->its_socket = pair[1];
	struct clone_args args = {
	    .flags = CLONE_VM,
	    .exit_signal = SIGCHLD,
	    .stack = (uintptr_t)early->stack,
	    .stack_size = sizeof early->stack - ((uintptr_t)(early->stack + sizeof early->stack) & 15),
	};
	long pid = clone_and_run(&args, sizeof args, become_preamble, early);
	sys_close(pair[1]);
	if (pid < 0) {
		sys_close(pair[0]);
		return;
	}
	early->pid = (int)pid;
	early->socket = pair[0];
}

/* Words are separated by NUL; an empty one ends the list. */
static int among(const char *words, const char *word)
{
	for (; *words; words += str_len(words) + 1)
		if (str_equal(words, word))
			return 1;
	return 0;
}

/*
 * The command in a command line: the first word that is neither a flag nor a flag's value. A wrong guess
 * is harmless: a preamble that gets no plan leaves, and one that is missing is started later.
 */
static const char *command_of(long argc, char **argv)
{
	for (long i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (*word != '-')
			return word;
		word += word[1] == '-' ? 2 : 1;
		if (among("root\0log\0log-format\0log-level\0rootless\0cgroup-manager\0", word))
			i++;
	}
	return "";
}

/*
 * Go has a thread that looks after the others every 20 us and would wake some 200 times in the life of a `run`, on
 * the processor that the container's init needs. With a slack of 10 ms it sleeps instead. Threads inherit this, and
 * so do programs that are executed: WithTimerSlack (slack.go) takes it back for hooks and preambles, and bailey's own
 * helpers live as briefly as bailey.
 */
static void let_timers_be_late(struct preamble_early *early)
{
	long own = sys_5(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);

	if (own > 0 && sys_5(prctl, PR_SET_TIMERSLACK, 10000000, 0, 0, 0) == 0)
		early->timer_slack = (uint64_t)own;
}

/* A process's stack at its start: argc, argv[], null, env[], null, auxv. */
static long *environment(long *stack)
{
	return stack + 1 + stack[0] + 1;
}

static int starts_with(const char *s, const char *prefix)
{
	while (*prefix && *s == *prefix)
		s++, prefix++;
	return !*prefix;
}

/*
 * Has Go make one processor only, for a command that lives for milliseconds: three threads less, none of which
 * would find work. The caller's own GOMAXPROCS (containerd's is meant for its shim) is replaced. Below the stack
 * is room for one word, by which everything up to the end of the environment is moved down.
 */
static long *lighten(long *stack)
{
	long processors = (long)"GOMAXPROCS=1", *end = environment(stack);

	for (; *end; end++) {
		if (starts_with((const char *)*end, "GOMAXPROCS=")) {
			*end = processors;
			return stack;
		}
	}
	for (long *p = stack; p < end; p++)
		p[-1] = *p;
	end[-1] = processors;
	return stack - 1;
}

/*
 * Maps the program's code and constants at once. Go's start touches nearly every stretch of them, and each is a page
 * fault otherwise: some 70, which is dear in virtual machines. Before Linux 5.14 this does nothing.
 */
static void map_program(long *stack)
{
	const Elf64_Phdr *headers = 0;
	const long *aux = environment(stack);
	long count = 0;

	while (*aux++)
		;
	for (; aux[0] != AT_NULL; aux += 2) {
		if (aux[0] == AT_PHDR)
			headers = (const Elf64_Phdr *)aux[1];
		if (aux[0] == AT_PHNUM)
			count = aux[1];
	}
	for (const Elf64_Phdr *h = headers; h < headers + count; h++)
		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			sys_3(madvise, h->p_vaddr, h->p_memsz, MADV_POPULATE_READ);
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

/* The only function that is called from outside, first in the text. Returns the stack that Go is to find. */
__attribute__((section(".text.entry"), used)) long *preamble_entry(long *stack, struct preamble_early *early,
								   const char *image, size_t len)
{
	const char *command = command_of(stack[0], (char **)(stack + 1));

	if (among("run\0create\0exec\0try\0", command)) {
		open_standard_streams();
		spawn(early, image, len);
	}
	if (among("run\0create\0exec\0try\0start\0state\0kill\0delete\0", command)) {
		map_program(stack);
		let_timers_be_late(early);
		return lighten(stack);
	}
	return stack;
}
