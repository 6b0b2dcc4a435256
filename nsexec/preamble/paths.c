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
#define MAX_LINKS 40 /* followed in one path, as the kernel's own limit */

int type_of(int fd)
{
	struct statx st;
	long err = sys_5(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st);

	return err < 0 ? (int)err : st.stx_mode & 0170000;
}

/*
 * Which part of a path bars the way only its own walk tells. What is noted is the last part that can be reached: a
 * directory that may not be entered, or the file itself. root is AT_FDCWD for a path of ours.
 */
void note_reached(struct preamble *p, int root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = root == AT_FDCWD ? 0 : RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	char part[MAX_PATH];
	size_t n = 0;

	for (;;) {
		part[n] = '\0';
		long fd = sys_4(openat2, root, n ? part : ".", &how, sizeof how);
		if (fd < 0)
			return;
		note_evidence(p, (int)fd);
		sys_close((int)fd);
		if (!path[n] || n + 1 >= sizeof part)
			return;
		do {
			part[n] = path[n];
			n++;
		} while (path[n] && path[n] != '/' && n + 1 < sizeof part);
	}
}

/* Opens path[0..len) below root with O_PATH. */
int open_in_root(struct preamble *p, int root, const char *path, size_t len, enum links links)
{
	char copy[MAX_PATH];
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | (links == NO_FOLLOW ? O_NOFOLLOW : 0),
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
					  (links == REFUSE_LINKS ? RESOLVE_NO_SYMLINKS : 0)};
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
	if (fd == -EACCES)
		note_reached(p, root, copy);
	return failed(p, fd, "openat2", copy);
}

/* A path that is being walked: a copy, because links are put in place of their names. */
struct walk {
	char path[MAX_PATH];
	size_t len;
	int links;
};

/* Puts the target of a symbolic link in place of path[from..to). What stands before a relative one stays. */
static int substitute(struct preamble *p, struct walk *w, size_t from, size_t to, const char *target, size_t n)
{
	size_t keep = target[0] == '/' ? 0 : from, rest = w->len - to;

	if (keep + n + rest >= sizeof w->path)
		return failed(p, -ENAMETOOLONG, "readlinkat", w->path);
	memmove(w->path + keep + n, w->path + to, rest);
	memcpy(w->path + keep, target, n);
	w->len = keep + n + rest;
	w->path[w->len] = '\0';
	return 0;
}

/*
 * Makes the part path[from..to) in dir. A link to nothing may have that name: as with open(O_CREAT), what it
 * points to is what gets made.
 */
static int make_part(struct preamble *p, int dir, struct walk *w, size_t from, size_t to, enum wire_create kind,
		     unsigned mode)
{
	char name[256], target[MAX_PATH];
	size_t n = to - from;
	long made;

	if (n >= sizeof name)
		return failed(p, -ENAMETOOLONG, "openat2", w->path);
	memcpy(name, w->path + from, n);
	name[n] = '\0';
	if (kind == WIRE_CREATE_DIRECTORY) {
		made = sys_3(mkdirat, dir, name, mode);
	} else {
		made = sys_4(openat, dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
		if (made >= 0)
			sys_close((int)made);
	}
	if (made >= 0)
		return 0;
	if (made != -EEXIST) {
		note_evidence(p, dir);
		return failed(p, made, kind == WIRE_CREATE_DIRECTORY ? "mkdirat" : "openat", name);
	}
	long got = sys_4(readlinkat, dir, name, target, sizeof target);
	if (got == (long)sizeof target || ++w->links > MAX_LINKS)
		return failed(p, -ELOOP, "readlinkat", name);
	if (got > 0)
		return substitute(p, w, from, to, target, (size_t)got);
	/* Not a link, or gone: somebody else is at work here. */
	return got == -EINVAL || got == -ENOENT ? 0 : failed(p, got, "readlinkat", name);
}

/*
 * Finds the part of the path that is the first to be missing, path[*from..*to), and opens the directory that it is
 * missing from. The path as a whole does not exist. The search begins at its end, where most often one part is missing.
 */
static int find_missing(struct preamble *p, int root, const struct walk *w, enum links links, size_t *from, size_t *to)
{
	size_t end = w->len;

	for (;;) {
		while (end && w->path[end - 1] == '/')
			end--;
		*to = end;
		while (end && w->path[end - 1] != '/')
			end--;
		*from = end;
		int dir = open_in_root(p, root, w->path, end, links);
		if (dir != -ENOENT || !end)
			return dir;
	}
}

/*
 * Opens path[0..len) below root with O_PATH; what is missing of it is made, as kind says, parents as
 * directories of mode 0755. Each round makes one part or replaces one link.
 */
int create_in_root(struct preamble *p, int root, const char *path, size_t len, enum wire_create kind, unsigned mode,
		   enum links links)
{
	struct walk w;
	size_t from, to;

	int fd = open_in_root(p, root, path, len, links);
	if (fd != -ENOENT || kind == WIRE_CREATE_NOTHING)
		return fd;
	while (len && *path == '/')
		path++, len--;
	memcpy(w.path, path, len); /* open_in_root has refused a longer one */
	w.path[len] = '\0';
	w.len = len;
	w.links = 0;
	for (int round = 0; round < MAX_PATH; round++) {
		int dir = find_missing(p, root, &w, links, &from, &to);
		if (dir < 0)
			return dir;
		size_t end = to;
		while (end < w.len && w.path[end] == '/')
			end++;
		int last = end == w.len;
		int err = make_part(p, dir, &w, from, to, last ? kind : WIRE_CREATE_DIRECTORY, last ? mode : 0755);
		sys_close(dir);
		if (err)
			return err;
		fd = open_in_root(p, root, w.path, w.len, links);
		if (fd != -ENOENT)
			return fd;
	}
	return failed(p, -ELOOP, "openat2", path);
}

/*
 * Opens (and makes, where missing) the directory that path lies in. *base is path's last part, which must
 * not be "." or "..", with no slash behind it.
 */
int open_parent(struct preamble *p, int root, const char *path, const char **base)
{
	size_t len = str_len(path), start = len;

	while (start && path[start - 1] != '/')
		start--;
	*base = path + start;
	if (start == len || str_equal(*base, ".") || str_equal(*base, ".."))
		return failed(p, -EINVAL, "openat2", path);
	return create_in_root(p, root, path, start, WIRE_CREATE_DIRECTORY, 0755, FOLLOW);
}
