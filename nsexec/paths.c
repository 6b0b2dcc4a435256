/*
 * Files below a root directory. The root filesystem belongs to the container's image, so any part of a
 * path may be a symbolic link that points anywhere; resolution never leaves the root (openat2 with
 * RESOLVE_IN_ROOT), and what comes out is a descriptor that later steps act upon. This does not protect
 * from an image that another process changes meanwhile in a way that stays inside the root.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#define MAX_PATH  4096
#define MAX_DEPTH 40 /* of symbolic links and missing directories, as the kernel's own limit on links */

int type_of(int fd)
{
	struct statx st;
	long err = sys_5(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st);

	return err < 0 ? (int)err : st.stx_mode & 0170000;
}

/* Opens path[0..len) below root with O_PATH. A symbolic link as the last part is followed. */
int open_in_root(struct preamble *p, int root, const char *path, size_t len, int nosymlinks)
{
	char copy[MAX_PATH];
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve =
				   RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (nosymlinks ? RESOLVE_NO_SYMLINKS : 0)};
	long fd;

	while (len && *path == '/')
		path++, len--;
	if (len >= sizeof copy)
		return failed(p, -ENAMETOOLONG, "openat2", path);
	memcpy(copy, path, len);
	copy[len] = '\0';
	/* The kernel asks to try again when a rename raced with a path that contains "..". */
	int tries = 128;
	do
		fd = sys_4(openat2, root, len ? copy : ".", &how, sizeof how);
	while (fd == -EAGAIN && --tries);
	if (fd < 0)
		return failed(p, fd, "openat2", copy);
	return (int)fd;
}

/* Splits path[0..len) into its parent path[0..*parent) and its last part. */
static int split(const char *path, size_t len, size_t *parent, char base[256])
{
	while (len && path[len - 1] == '/')
		len--;
	size_t start = len;
	while (start && path[start - 1] != '/')
		start--;
	size_t n = len - start;
	if (n == 0)
		return -EISDIR;
	if (n > 255)
		return -ENAMETOOLONG;
	memcpy(base, path + start, n);
	base[n] = '\0';
	if (str_equal(base, ".") || str_equal(base, ".."))
		return -EINVAL;
	*parent = start;
	return 0;
}

static int create(struct preamble *p, int root, const char *path, size_t len, enum wire_create kind, unsigned mode,
		  int nosymlinks, int depth);

/* What a symbolic link to nothing points to is what gets made, as open(O_CREAT) does it. */
static __attribute__((noinline)) int create_behind_link(struct preamble *p, int root, const char *path, size_t parent,
							int dir, const char *base, enum wire_create kind, unsigned mode,
							int depth)
{
	char target[MAX_PATH];
	long n = sys_4(readlinkat, dir, base, target, sizeof target);

	if (n == -EINVAL) /* not a link: made by somebody else just now */
		return 0;
	if (n < 0)
		return failed(p, n, "readlinkat", base);
	if (n == 0 || (size_t)n >= sizeof target)
		return failed(p, -ENAMETOOLONG, "readlinkat", base);
	if (target[0] != '/') {
		if ((size_t)n + parent + 1 >= sizeof target)
			return failed(p, -ENAMETOOLONG, "readlinkat", base);
		memmove(target + parent, target, (size_t)n);
		memcpy(target, path, parent);
		n += (long)parent;
	}
	return create(p, root, target, (size_t)n, kind, mode, 0, depth + 1);
}

static int create(struct preamble *p, int root, const char *path, size_t len, enum wire_create kind, unsigned mode,
		  int nosymlinks, int depth)
{
	char base[256];
	size_t parent;
	int fd = open_in_root(p, root, path, len, nosymlinks);

	if (fd != -ENOENT || kind == WIRE_CREATE_NOTHING)
		return fd;
	if (depth > MAX_DEPTH)
		return failed(p, -ELOOP, "openat2", path);
	int err = split(path, len, &parent, base);
	if (err)
		return failed(p, err, "openat2", path);
	int dir = create(p, root, path, parent, WIRE_CREATE_DIRECTORY, 0755, nosymlinks, depth + 1);
	if (dir < 0)
		return dir;

	long made;
	if (kind == WIRE_CREATE_DIRECTORY) {
		made = sys_3(mkdirat, dir, base, mode);
	} else {
		made = sys_4(openat, dir, base, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
		if (made >= 0)
			sys_close((int)made);
	}
	if (made == -EEXIST && !nosymlinks) {
		fd = create_behind_link(p, root, path, parent, dir, base, kind, mode, depth);
		if (fd != 0) {
			sys_close(dir);
			return fd;
		}
	} else if (made < 0 && made != -EEXIST) {
		sys_close(dir);
		return failed(p, made, kind == WIRE_CREATE_DIRECTORY ? "mkdirat" : "openat", base);
	}
	fd = (int)sys_3(openat, dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	sys_close(dir);
	if (fd < 0)
		return failed(p, fd, "openat", base);
	if (type_of(fd) == 0120000) { /* somebody put a link there after it was made */
		sys_close(fd);
		return failed(p, -ELOOP, "openat", base);
	}
	return fd;
}

/*
 * Opens path[0..len) below root with O_PATH; what is missing of it is made, as kind says, parents as
 * directories of mode 0755.
 */
int create_in_root(struct preamble *p, int root, const char *path, size_t len, enum wire_create kind, unsigned mode,
		   int nosymlinks)
{
	return create(p, root, path, len, kind, mode, nosymlinks, 0);
}

/*
 * Opens (and makes, where missing) the directory that path lies in. *base is path's last part, which must
 * not be "." or "..", with no slash behind it.
 */
int open_parent(struct preamble *p, int root, const char *path, const char **base)
{
	size_t len = str_len(path), parent;
	char name[256];
	int err = split(path, len, &parent, name);

	if (!err && path[len - 1] == '/')
		err = -EINVAL;
	if (err)
		return failed(p, err, "openat2", path);
	*base = path + parent;
	return create_in_root(p, root, path, parent, WIRE_CREATE_DIRECTORY, 0755, 0);
}
