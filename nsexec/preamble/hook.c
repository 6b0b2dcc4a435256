/*
 * Hooks that run in the container's namespaces: a child of the init, with every capability the init still
 * has, because vendors' hooks mount and pivot by themselves.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

static const char not_executed[] = "cannot be executed";

static __attribute__((noreturn)) void become_hook(struct preamble *p, const struct wire_op *op, int err_pipe)
{
	int state = slot_of(p, op->slot[0]);
	long null = sys_3(openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);

	if (state >= 0)
		sys_3(lseek, state, 0, SEEK_SET); /* the previous hook has read it to its end */
	else
		state = (int)null;
	if (state >= 0)
		sys_3(dup3, state, 0, 0);
	sys_3(dup3, err_pipe, 1, 0);
	sys_3(dup3, err_pipe, 2, 0);
	sys_3(close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
	long err = sys_3(execve, string_of(p, op->ref[0]), list_of(p, op->ref[1]), list_of(p, op->ref[2]));
	/* The status carries the errno of a failed exec; hooks that exit with it are told apart by the text. */
	sys_3(write, 2, not_executed, sizeof not_executed - 1);
	sys_exit((int)-err);
}

static size_t append(char *to, size_t n, size_t room, const char *s)
{
	while (*s && n < room - 1)
		to[n++] = *s++;
	to[n] = '\0';
	return n;
}

/* How the hook has ended and what it has said, after its path, which `bailey start` does not know. */
static int hook_failed(struct preamble *p, const char *path, int status, const char *said)
{
	char why[512], number[4] = {0};
	int signal = status & 0177, code = signal ? signal : status >> 8 & 0377;
	size_t n = 0, digits = 0;

	if (!signal && str_equal(said, not_executed))
		return failed(p, -code, "hook execve", path);
	if (code > 99)
		number[digits++] = (char)('0' + code / 100);
	if (code > 9)
		number[digits++] = (char)('0' + code / 10 % 10);
	number[digits] = (char)('0' + code % 10);
	n = append(why, n, sizeof why, path);
	n = append(why, n, sizeof why, signal ? ": killed by signal " : ": exit status ");
	n = append(why, n, sizeof why, number);
	if (*said) {
		n = append(why, n, sizeof why, ": ");
		append(why, n, sizeof why, said);
	}
	return failed(p, -EPROTO, "hook", why);
}

static int64_t now_ms(void)
{
	struct timespec t;

	sys_2(clock_gettime, CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what the hook says until it closes the pipe or time is up; keeps the last bytes of it. */
static int listen_to_hook(int fd, int pidfd, int64_t deadline, char *text, size_t room, size_t *len)
{
	struct pollfd poll[2] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

	for (;;) {
		struct timespec wait, *timeout = 0;
		if (deadline) {
			int64_t left = deadline - now_ms();
			if (left < 0)
				left = 0;
			wait = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
			timeout = &wait;
		}
		long n = sys_5(ppoll, poll, 2, timeout, 0, 0);
		if (n == -EINTR)
			continue;
		if (n == 0)
			return -ETIMEDOUT;
		if (n < 0)
			return (int)n;
		if (poll[0].revents) {
			if (*len == room) { /* keep the newer half */
				memmove(text, text + room / 2, room - room / 2);
				*len = room - room / 2;
			}
			long got = sys_3(read, fd, text + *len, room - *len);
			if (got > 0)
				*len += (size_t)got;
			else
				poll[0].fd = -1;
		} else if (poll[1].revents) {
			return 0; /* it has ended, and the pipe is empty */
		}
	}
}

int run_hook(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	int pipe[2], pidfd = -1;
	struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	long err = sys_2(pipe2, pipe, O_CLOEXEC);

	if (err < 0)
		return failed(p, err, "pipe2", 0);
	long pid = sys_2(clone3, &args, sizeof args);
	if (pid == 0)
		become_hook(p, op, pipe[1]);
	sys_close(pipe[1]);
	if (pid < 0) {
		sys_close(pipe[0]);
		return failed(p, pid, "clone3", path);
	}

	char text[256];
	size_t len = 0;
	int64_t deadline = op->num[0] ? now_ms() + (int64_t)op->num[0] : 0;
	int heard = listen_to_hook(pipe[0], pidfd, deadline, text, sizeof text - 1, &len);
	sys_close(pipe[0]);
	if (heard < 0)
		sys_4(pidfd_send_signal, pidfd, SIGKILL, 0, 0);
	int status = 0;
	while ((err = sys_4(wait4, pid, &status, 0, 0)) == -EINTR)
		;
	sys_close(pidfd);
	if (heard < 0)
		return failed(p, heard, "hook", path);
	if (err < 0)
		return failed(p, err, "wait4", path);
	if (status == 0)
		return 0;
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\0'))
		len--;
	text[len] = '\0';
	return hook_failed(p, path, status, text);
}
