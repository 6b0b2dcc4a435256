/*
 * Copies of directories, for a tmpfs that is to begin as what it covers. Nothing of the tree is followed: every
 * file is opened by its name in a directory that is open, and a symbolic link is copied as one.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>

#define MAX_DEPTH 256 /* of directories; each takes less than 2 KiB of the stack */
#define TYPE	  0170000
#define DIRECTORY 0040000
#define REGULAR	  0100000
#define LINK	  0120000

struct dirent64 {
	uint64_t ino, offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* NOLINTBEGIN(misc-no-recursion): no deeper than MAX_DEPTH */
static int copy_level(struct preamble *p, int from, int to, int depth);

/* sendfile's copy ends at the size that the file has while it is copied. */
static int copy_content(struct preamble *p, int from, int to, const char *name)
{
	long in = sys_3(openat, from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), n;

	if (in < 0)
		return failed(p, in, "openat", name);
	long out = sys_4(openat, to, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0) {
		sys_close((int)in);
		return failed(p, out, "openat", name);
	}
	do
		n = sys_4(sendfile, out, in, 0, 1 << 20);
	while (n > 0);
	sys_close((int)in);
	sys_close((int)out);
	return failed(p, n, "sendfile", name);
}

static int copy_link(struct preamble *p, int from, int to, const char *name)
{
	char target[4096];
	long n = sys_4(readlinkat, from, name, target, sizeof target);

	if (n == (long)sizeof target)
		n = -ENAMETOOLONG;
	if (n < 0)
		return failed(p, n, "readlinkat", name);
	target[n] = '\0';
	return failed(p, sys_3(symlinkat, target, to, name), "symlinkat", name);
}

static int copy_directory(struct preamble *p, int from, int to, const char *name, int depth)
{
	long err = sys_3(mkdirat, to, name, 0700);
	if (err < 0)
		return failed(p, err, "mkdirat", name);
	long below = sys_3(openat, from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return failed(p, below, "openat", name);
	long copy = sys_3(openat, to, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int ret = copy < 0 ? failed(p, copy, "openat", name) : copy_level(p, (int)below, (int)copy, depth + 1);
	if (copy >= 0)
		sys_close((int)copy);
	sys_close((int)below);
	return ret;
}

/* An owner that the user namespace does not know cannot be given to the copy (EINVAL): root has it then. */
static int copy_attributes(struct preamble *p, int to, const char *name, const struct statx *st)
{
	const int64_t times[4] = {st->stx_atime.tv_sec, st->stx_atime.tv_nsec, st->stx_mtime.tv_sec,
				  st->stx_mtime.tv_nsec};
	long err = sys_5(fchownat, to, name, st->stx_uid, st->stx_gid, AT_SYMLINK_NOFOLLOW);

	if (err < 0 && err != -EINVAL)
		return failed(p, err, "fchownat", name);
	/* After the owner, whose change clears set-user-ID. */
	if ((st->stx_mode & TYPE) != LINK && (err = sys_3(fchmodat, to, name, st->stx_mode & 07777)) < 0)
		return failed(p, err, "fchmodat", name);
	return failed(p, sys_4(utimensat, to, name, times, AT_SYMLINK_NOFOLLOW), "utimensat", name);
}

static int copy_file(struct preamble *p, int from, int to, const char *name, int depth)
{
	struct statx st;
	long err = sys_5(statx, from, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st);
	int ret;

	if (err < 0)
		return failed(p, err, "statx", name);
	switch (st.stx_mode & TYPE) {
	case DIRECTORY:
		ret = copy_directory(p, from, to, name, depth);
		break;
	case REGULAR:
		ret = copy_content(p, from, to, name);
		break;
	case LINK:
		ret = copy_link(p, from, to, name);
		break;
	default: /* devices, sockets, FIFOs */
		ret = failed(p,
			     sys_4(mknodat, to, name, st.stx_mode, device_number(st.stx_rdev_major, st.stx_rdev_minor)),
			     "mknodat", name);
	}
	return ret ? ret : copy_attributes(p, to, name, &st);
}

static int copy_level(struct preamble *p, int from, int to, int depth)
{
	_Alignas(8) char entries[1024];
	long n;

	if (depth > MAX_DEPTH)
		return failed(p, -ELOOP, "copy", "directories lie too deep in each other");
	while ((n = sys_3(getdents64, from, entries, sizeof entries)) > 0) {
		struct dirent64 *entry;
		for (long at = 0; at < n; at += entry->size) {
			entry = (void *)(entries + at);
			if (str_equal(entry->name, ".") || str_equal(entry->name, ".."))
				continue;
			int ret = copy_file(p, from, to, entry->name, depth);
			if (ret)
				return ret;
		}
	}
	return failed(p, n, "getdents64", 0);
}

/* NOLINTEND(misc-no-recursion) */

int copy_tree(struct preamble *p, int from, int to)
{
	long dir = sys_3(openat, from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return failed(p, dir, "openat", "the directory to copy");
	int ret = copy_level(p, (int)dir, to, 0);
	sys_close((int)dir);
	return ret;
}
