/*
 * Stage 1 on its new namespaces: identity in the user namespace, clocks, names, kernel parameters.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <sys/socket.h>

/* setgroups is refused where an ordinary user made the namespace; there are no groups to lose then. */
int become_root(struct preamble *p, const struct wire_op *op)
{
	long err = op->flags & WIRE_FLAG_KEEP_GROUPS ? 0 : sys_2(setgroups, 0, 0);
	if (err < 0 && err != -EPERM)
		return failed(p, err, "setgroups", 0);
	if ((err = sys_3(setresgid, 0, 0, 0)) < 0)
		return failed(p, err, "setresgid", "0");
	return failed(p, sys_3(setresuid, 0, 0, 0), "setresuid", "0");
}

int unshare_namespaces(struct preamble *p, const struct wire_op *op)
{
	return failed(p, sys_1(unshare, op->num[0]), "unshare", 0);
}

/*
 * A procfs of our own, attached nowhere: nobody can have mounted anything over parts of it, and no name
 * in the container leads to it.
 */
int open_proc(struct preamble *p, const struct wire_op *op)
{
	long fs = sys_2(fsopen, "proc", FSOPEN_CLOEXEC);
	if (fs < 0)
		return failed(p, fs, "fsopen", "proc");
	long err = sys_5(fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (err < 0) {
		sys_close((int)fs);
		return failed(p, err, "fsconfig(FSCONFIG_CMD_CREATE)", "proc");
	}
	long fd = sys_3(fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	sys_close((int)fs);
	if (fd < 0)
		return failed(p, fd, "fsmount", "proc");
	set_slot(p, op->slot[0], (int)fd);
	return 0;
}

int open_proc_file(struct preamble *p, int proc, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
			       .resolve =
				   RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};

	return failed(p, sys_4(openat2, proc, path, &how, sizeof how), "openat2", path);
}

/* By the magic link of our own procfs, which is the kernel's. setns to it enters without a fork. */
int enter_time_namespace(struct preamble *p, const struct wire_op *op)
{
	static const char tail[] = "/ns/time_for_children";
	int proc = slot_of(p, op->slot[0]);
	/* "self" is a link, so it is read. Our own process ID would do only in a procfs of our own. */
	char path[64];
	long n = sys_4(readlinkat, proc, "self", path, 16);

	if (n < 0)
		return failed(p, n, "readlinkat", "self");
	memcpy(path + n, tail, sizeof tail);
	int ns = failed(p, sys_3(openat, proc, path, O_RDONLY | O_CLOEXEC), "openat", path);
	if (ns < 0)
		return ns;
	int err = failed(p, sys_2(setns, ns, CLONE_NEWTIME), "setns", "time");
	sys_close(ns);
	return err;
}

int loopback_up(struct preamble *p, const struct wire_op *op)
{
	(void)op;
	struct ifreq r = {.ifr_ifrn.ifrn_name = "lo"};
	long s = sys_3(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return failed(p, s, "socket", 0);
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	long err = sys_3(ioctl, s, SIOCSIFFLAGS, &r);
	sys_close((int)s);
	return failed(p, err, "ioctl(SIOCSIFFLAGS)", "lo");
}

int set_hostname(struct preamble *p, const struct wire_op *op)
{
	const char *name = string_of(p, op->ref[0]);

	return failed(p, sys_2(sethostname, name, str_len(name)), "sethostname", name);
}

int set_domainname(struct preamble *p, const struct wire_op *op)
{
	const char *name = string_of(p, op->ref[0]);

	return failed(p, sys_2(setdomainname, name, str_len(name)), "setdomainname", name);
}

static int is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Equal but for white space: the kernel separates by tabs what was written with blanks. */
static int same_words(const char *a, const char *b)
{
	for (;;) {
		while (is_space(*a))
			a++;
		while (is_space(*b))
			b++;
		if (*a != *b)
			return 0;
		if (!*a)
			return 1;
		while (*a && *a == *b && !is_space(*a))
			a++, b++;
		if ((*a && !is_space(*a)) || (*b && !is_space(*b)))
			return 0;
	}
}

/* Some parameters read back in another form (hexadecimal, clamped lists), but none may stay unchanged. */
int write_sysctl(struct preamble *p, const struct wire_op *op)
{
	char path[256] = "sys/", before[1024], after[1024];
	const char *key = string_of(p, op->ref[0]), *value = string_of(p, op->ref[1]);
	size_t n = str_len(key), len = str_len(value);

	if (n >= sizeof path - 4)
		return failed(p, -ENAMETOOLONG, "openat2", key);
	memcpy(path + 4, key, n + 1);
	int fd = open_proc_file(p, slot_of(p, op->slot[0]), path, O_RDWR);
	if (fd == -EACCES) /* write-only ones exist */
		fd = open_proc_file(p, slot_of(p, op->slot[0]), path, O_WRONLY);
	if (fd == -EACCES)
		note_reached(p, slot_of(p, op->slot[0]), path);
	if (fd < 0)
		return fd;
	long had = sys_4(pread64, fd, before, sizeof before - 1, 0);
	long err = sys_4(pwrite64, fd, value, len, 0);
	if (err >= 0 && (size_t)err != len)
		err = -EIO;
	if (err < 0) {
		sys_close(fd);
		return failed(p, err, "write", path);
	}
	long got = sys_4(pread64, fd, after, sizeof after - 1, 0);
	sys_close(fd);
	if (had < 0 || got < 0)
		return 0;
	before[had] = after[got] = '\0';
	if (!same_words(after, value) && same_words(after, before))
		return failed(p, -EIO, "read back", path);
	return 0;
}
