/*
 * From the init to the payload: session, working directory, the wait for start, exec.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/socket.h>

/* The init of a joined pid namespace may lead a session already (EPERM): it has one of its own then. */
int new_session(struct preamble *p, const struct wire_op *op)
{
	(void)op;
	long err = sys_0(setsid);

	return failed(p, err < 0 && err != -EPERM ? err : 0, "setsid", 0);
}

int set_umask(struct preamble *p, const struct wire_op *op)
{
	(void)p;
	sys_1(umask, op->num[0]);
	return 0;
}

int set_memory_policy(struct preamble *p, const struct wire_op *op)
{
	const char *mask = op->ref[0].len ? string_of(p, op->ref[0]) : 0;

	/* The kernel takes one bit less than it is told. */
	return failed(p, sys_3(set_mempolicy, op->num[0], mask, mask ? op->num[1] + 1 : 0), "set_mempolicy", 0);
}

int set_personality(struct preamble *p, const struct wire_op *op)
{
	return failed(p, sys_1(personality, op->num[0]), "personality", 0);
}

/*
 * A descriptor that leaked in from the host could make "/proc/self/fd/7" a working directory outside the
 * root (CVE-2024-21626); the kernel's getcwd says "(unreachable)" there.
 */
int change_directory(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	char cwd[4096];
	long err = sys_1(chdir, path);

	if (err == -EACCES)
		note_reached(p, AT_FDCWD, path);
	if (err < 0)
		return failed(p, err, "chdir", 0);
	err = sys_2(getcwd, cwd, sizeof cwd);
	if (err < 0)
		return failed(p, err, "getcwd", 0);
	if (cwd[0] != '/')
		return failed(p, -EPERM, "getcwd", "the directory lies outside the container's root");
	return 0;
}

/* AT_EACCESS: by the IDs and capabilities that the payload will have. */
int resolve_executable(struct preamble *p, const struct wire_op *op)
{
	long best = -ENOENT;
	const char *barred = 0;

	for (char **path = list_of(p, op->ref[1]); *path; path++) {
		long err = sys_4(faccessat2, AT_FDCWD, *path, 1 /* X_OK */, AT_EACCESS);
		if (err == 0) {
			long fd = sys_3(openat, AT_FDCWD, *path, O_PATH | O_CLOEXEC);
			int type = fd < 0 ? (int)fd : type_of((int)fd);
			if (fd >= 0)
				sys_close((int)fd);
			if (type != 0040000)
				return 0;
			err = -EISDIR;
		}
		if (err != -ENOENT && err != -ENOTDIR) {
			best = err;
			barred = *path;
		}
	}
	if (barred)
		note_reached(p, AT_FDCWD, barred);
	return failed(p, best, "exec", string_of(p, op->ref[0]));
}

/* Closes what the plan's slots hold and everything from first on, but for the two given. */
static int close_all_but(struct preamble *p, unsigned first, int keep, int keep_too)
{
	for (uint32_t i = 0; i < p->plan->slot_count; i++) {
		if (p->slot[i] > 2 && p->slot[i] != keep && p->slot[i] != keep_too) {
			sys_close(p->slot[i]);
			p->slot[i] = -1;
		}
	}
	int low = keep < keep_too ? keep : keep_too, high = keep < keep_too ? keep_too : keep;
	long err = 0;
	if (low > (int)first)
		err = sys_3(close_range, first, low - 1, 0);
	if (err == 0 && high > low + 1 && high > (int)first)
		err = sys_3(close_range, low + 1 > (int)first ? low + 1 : (int)first, high - 1, 0);
	if (err == 0)
		err = sys_3(close_range, high + 1 > (int)first ? high + 1 : (int)first, ~0u, 0);
	return failed(p, err, "close_range", 0);
}

/*
 * Waits until somebody lets the payload go. `bailey start` connects to the listening socket; if it dies
 * before it has said so, the next one may try. From then on reports go to it. Meanwhile nothing is open that
 * was only needed to get here, nor what the caller may have leaked.
 */
int await_start(struct preamble *p, const struct wire_op *op)
{
	int listener = slot_of(p, op->slot[0]);

	if (listener < 0)
		return failed(p, await_message(p, WIRE_START), "recvmsg", 0);
	sys_close(p->socket);
	int err = close_all_but(p, 3 + (unsigned)op->num[1], listener, listener);
	if (err)
		return err;
	for (;;) {
		long fd = sys_4(accept4, listener, 0, 0, SOCK_CLOEXEC);
		if (fd == -EINTR || fd == -ECONNABORTED)
			continue;
		if (fd < 0)
			return failed(p, fd, "accept4", 0);
		p->socket = (int)fd;
		if (await_message(p, WIRE_START) == 0)
			return 0;
		sys_close((int)fd);
	}
}

/*
 * Only the socket stays until exec closes it: it carries the report of a failed exec, and a socket cannot
 * be a path's beginning. Signals that the caller ignored would stay ignored across exec; and this is the
 * last operation that is free to make system calls of its choice.
 */
int close_descriptors(struct preamble *p, const struct wire_op *op)
{
	unsigned first = 3 + (unsigned)op->num[0];

	if ((unsigned)p->socket < first) {
		long moved = sys_3(fcntl, p->socket, F_DUPFD_CLOEXEC, first);
		if (moved < 0)
			return failed(p, moved, "fcntl(F_DUPFD_CLOEXEC)", 0);
		sys_close(p->socket);
		p->socket = (int)moved;
	}
	int err = close_all_but(p, first, p->socket, p->socket);
	if (err)
		return err;

	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = {0}, old;
	for (int sig = 1; sig <= 64; sig++)
		if (sys_4(rt_sigaction, sig, 0, &old, 8) == 0 && old.handler == SIG_IGN)
			sys_4(rt_sigaction, sig, &action, 0, 8);
	uint64_t none = 0;
	return failed(p, sys_4(rt_sigprocmask, SIG_SETMASK, &none, 0, 8), "rt_sigprocmask", 0);
}

/* As a shell does: the first that can be executed; what was found but refused is reported before "none". */
int execute(struct preamble *p, const struct wire_op *op)
{
	char **argv = list_of(p, op->ref[1]), **env = list_of(p, op->ref[2]);
	long best = -ENOENT;

	for (char **path = list_of(p, op->ref[0]); *path; path++) {
		long err = sys_3(execve, *path, argv, env);
		if (err != -ENOENT && err != -ENOTDIR)
			best = err;
	}
	return failed(p, best, "execve", argv[0]);
}
