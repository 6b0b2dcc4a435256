/*
 * Limits of namespaces and the seal: new user and mount namespaces, whose mounts are locked and whose limits are kept
 * by the user namespace around them. See libruntime/plan/seal.go for why it holds.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/resource.h>

/* A name in a procfs: "self" is a link, and our own number would do only in a procfs of our own. */
struct own_directory {
	char path[32];
	size_t len;
};

static int find_own_directory(struct preamble *p, int proc, struct own_directory *own)
{
	long n = sys_4(readlinkat, proc, "self", own->path, 16);

	if (n < 0)
		return failed(p, n, "readlinkat", "self");
	own->len = (size_t)n;
	return 0;
}

/* In one call, as the kernel demands for maps and takes for limits. */
static int write_whole(struct preamble *p, int proc, const char *path, const char *text, int flags)
{
	size_t len = str_len(text);
	int fd = open_proc_file(p, proc, path, flags);

	if (fd < 0)
		return fd;
	long n = sys_3(write, fd, text, len);
	if (n >= 0 && (size_t)n != len)
		n = -EIO;
	if (n < 0) {
		sys_close(fd);
		return failed(p, n, "write", path);
	}
	return fd;
}

/* Limits of the user namespace that the caller is in: pairs of a key below /proc/sys and a number. */
static int write_limits(struct preamble *p, int proc, char **pair)
{
	for (; pair[0] && pair[1]; pair += 2) {
		char path[64] = "sys/", got[32];
		size_t n = str_len(pair[0]), len = str_len(pair[1]);

		if (n >= sizeof path - 4 || len >= sizeof got - 1)
			return failed(p, -ENAMETOOLONG, "openat2", pair[0]);
		memcpy(path + 4, pair[0], n + 1);
		int fd = write_whole(p, proc, path, pair[1], O_RDWR);
		if (fd < 0)
			return fd;
		long has = sys_4(pread64, fd, got, sizeof got, 0);
		sys_close(fd);
		if (has < 0)
			return failed(p, has, "read", path);
		/* a newline follows */
		if ((size_t)has != len + 1 || memcmp(got, pair[1], len) != 0)
			return failed(p, -EIO, "read back", path);
	}
	return 0;
}

int limit_namespaces(struct preamble *p, const struct wire_op *op)
{
	return write_limits(p, slot_of(p, op->slot[0]), list_of(p, op->ref[0]));
}

/* What a child has to say: a failure, or nothing. */
struct saying {
	int32_t err;
	char syscall[64], object[256];
};

/* Returns 0 in the child, 1 in us, or a negative errno. It has memory of its own; unshare(2) demands that of us. */
int start_child(struct preamble *p, struct child *c)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	int pipe[2];
	long err = sys_2(pipe2, pipe, O_CLOEXEC);

	if (err < 0)
		return failed(p, err, "pipe2", 0);
	long pid = sys_2(clone3, &args, sizeof args);
	if (pid == 0) {
		c->pipe = pipe[1];
		return 0;
	}
	sys_close(pipe[1]);
	if (pid < 0) {
		sys_close(pipe[0]);
		return failed(p, pid, "clone3", 0);
	}
	*c = (struct child){.pid = (int)pid, .pipe = pipe[0]};
	return 1;
}

/* Ends the child, with the failure that it has noted, if err is one. */
__attribute__((noreturn)) void end_child(struct preamble *p, const struct child *c, int err)
{
	struct saying s = {.err = err};

	if (err < 0) {
		for (size_t i = 0; i < sizeof s.syscall - 1 && p->syscall[i]; i++)
			s.syscall[i] = p->syscall[i];
		for (size_t i = 0; i < sizeof s.object - 1 && p->object[i]; i++)
			s.object[i] = p->object[i];
		sys_3(write, c->pipe, &s, sizeof s);
	}
	sys_exit(0);
}

/* Waits for the child's end and returns its failure as ours. One that did not end of its own accord has failed, too. */
int await_child(struct preamble *p, const struct child *c)
{
	static struct saying s; /* failed() keeps a pointer */
	int status = 0;
	long n, err;

	while ((n = sys_3(read, c->pipe, &s, sizeof s)) == -EINTR)
		;
	sys_close(c->pipe);
	while ((err = sys_4(wait4, c->pid, &status, 0, 0)) == -EINTR)
		;
	if (err < 0)
		return failed(p, err, "wait4", 0);
	if (n == (long)sizeof s && s.err < 0)
		return failed(p, s.err, s.syscall, s.object);
	return failed(p, n == 0 && status == 0 ? 0 : -ECHILD, "wait4", "the helping process has not come to its end");
}

/* The child's part of a seal: from the user namespace around it, in which it has all capabilities, as we have not. */
static int map_and_limit(struct preamble *p, const struct wire_op *op, struct own_directory *own)
{
	static const struct {
		const char *name;
		int ref;
	} maps[] = {{"/gid_map", 1}, {"/uid_map", 0}};
	int proc = slot_of(p, op->slot[0]);

	for (int i = 0; i < 2; i++) {
		memcpy(own->path + own->len, maps[i].name, str_len(maps[i].name) + 1);
		int fd = write_whole(p, proc, own->path, string_of(p, op->ref[maps[i].ref]), O_WRONLY);
		if (fd < 0)
			return fd;
		sys_close(fd);
	}
	return op->ref[2].len ? write_limits(p, proc, list_of(p, op->ref[2])) : 0;
}

/* Resources that are limited for all processes of a user namespace together, by what its maker's soft limit was. */
static const int shared_limits[] = {RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE};
#define SHARED_LIMITS (sizeof shared_limits / sizeof shared_limits[0])

/* unshare(2) with soft limits as high as they can be: the processes' own are set later, and are not the namespace's. */
static int unshare_unlimited(struct preamble *p, uint64_t kinds)
{
	struct rlimit64 before[SHARED_LIMITS];

	for (size_t i = 0; i < SHARED_LIMITS; i++) {
		long err = sys_4(prlimit64, 0, shared_limits[i], 0, &before[i]);
		if (err < 0)
			return failed(p, err, "prlimit64", 0);
		struct rlimit64 raised = {.rlim_cur = before[i].rlim_max, .rlim_max = before[i].rlim_max};
		if ((err = sys_4(prlimit64, 0, shared_limits[i], &raised, 0)) < 0)
			return failed(p, err, "prlimit64", 0);
	}
	long ret = sys_1(unshare, kinds);
	for (size_t i = 0; i < SHARED_LIMITS; i++)
		sys_4(prlimit64, 0, shared_limits[i], &before[i], 0);
	return failed(p, ret, "unshare", 0);
}

/*
 * Limits are written last, from outside: written before, they would have to leave room for what is made here, and
 * nothing says how much of it is taken already.
 */
int seal(struct preamble *p, const struct wire_op *op)
{
	struct own_directory own;
	struct child c;
	int go[2];
	int err = find_own_directory(p, slot_of(p, op->slot[0]), &own);

	if (err)
		return err;
	long ret = sys_2(pipe2, go, O_CLOEXEC);
	if (ret < 0)
		return failed(p, ret, "pipe2", 0);
	int which = start_child(p, &c);
	if (which == 0) {
		char byte;
		sys_close(go[1]);
		/* its end: nothing was made */
		err = sys_3(read, go[0], &byte, 1) == 1 ? map_and_limit(p, op, &own) : 0;
		end_child(p, &c, err);
	}
	sys_close(go[0]);
	if (which < 0) {
		sys_close(go[1]);
		return which;
	}
	int made = unshare_unlimited(p, op->num[0]);
	if (made == 0)
		sys_3(write, go[1], "", 1);
	sys_close(go[1]);
	if (made == 0)
		return await_child(p, &c);
	sys_close(c.pipe);
	while (sys_4(wait4, c.pid, 0, 0, 0) == -EINTR)
		;
	return made;
}
