/*
 * Mounts. Filesystems and clones are made as detached mounts and attached by descriptor; no path string
 * is given to the kernel but those that paths.c resolves inside the root.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/vfs.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* <sys/mount.h> cannot be had together with <linux/mount.h>. */
#define DETACH	       2 /* MNT_DETACH */
#define NO_FOLLOW_LINK 8 /* UMOUNT_NOFOLLOW */

static long set_attributes(int fd, uint64_t set, uint64_t clear, uint64_t propagation, int recursive)
{
	struct mount_attr a = {.attr_set = set, .attr_clr = clear, .propagation = propagation};

	return sys_5(mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof a);
}

static long attach_to(int mount, int target)
{
	return sys_5(move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int set_propagation(struct preamble *p, const struct wire_op *op)
{
	struct mount_attr a = {.propagation = op->num[0]};

	return failed(p, sys_5(mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &a, sizeof a), "mount_setattr", "/");
}

/* Compares what was opened with what it has to be. */
static int check_source(struct preamble *p, int fd, const struct wire_op *op)
{
	struct statfs fs;
	struct statx st;
	long err;

	if (op->num[0] && (err = sys_2(fstatfs, fd, &fs)) < 0)
		return failed(p, err, "fstatfs", 0);
	if (op->num[0] && (uint64_t)fs.f_type != op->num[0])
		return failed(p, -EXDEV, "fstatfs", "another kind of filesystem than expected");
	if (!op->num[1])
		return 0;
	if ((err = sys_5(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st)) < 0)
		return failed(p, err, "statx", 0);
	if ((st.stx_mode & 0170000) != op->num[1] || st.stx_rdev_major != op->num[2] >> 32 ||
	    st.stx_rdev_minor != (uint32_t)op->num[2])
		return failed(p, -ENODEV, "statx", "another device than expected, or none");
	return 0;
}

/*
 * For an ordinary user's container: bailey itself may not clone mounts. The mount namespace is still as it was copied
 * from the caller's, and this process not yet root of it, so the path leads where it would have led bailey.
 */
int clone_tree(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	long fd =
	    sys_3(openat, AT_FDCWD, path, O_PATH | O_CLOEXEC | (op->flags & WIRE_FLAG_TAKE_LINK ? O_NOFOLLOW : 0));

	if (fd < 0)
		return failed(p, fd, "openat", path);
	int err = check_source(p, (int)fd, op);
	if (!err) {
		long tree = sys_3(open_tree, fd, "",
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
				      (op->flags & WIRE_FLAG_RECURSIVE ? AT_RECURSIVE : 0));
		err = failed(p, tree < 0 ? tree : 0, "open_tree", path);
		if (tree >= 0)
			set_slot(p, op->slot[0], (int)tree);
	}
	sys_close((int)fd);
	return err;
}

/* The directory at path, if it is the very one that root is a clone of; otherwise a negative errno. */
static long same_directory(int root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
	struct statx a, b;
	long fd = sys_4(openat2, AT_FDCWD, path, &how, sizeof how);

	if (fd < 0)
		return fd;
	if (sys_5(statx, fd, "", AT_EMPTY_PATH, STATX_INO, &a) == 0 &&
	    sys_5(statx, root, "", AT_EMPTY_PATH, STATX_INO, &b) == 0 && a.stx_ino == b.stx_ino &&
	    a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor)
		return fd;
	sys_close((int)fd);
	return -ESTALE;
}

/*
 * Over the directory that the root was cloned from: hooks that enter the mount namespace look for it there.
 * Where it cannot be reached (a parent that the user namespace's root may not enter), over the namespace's
 * own root, which is certain to exist. Nothing but those hooks depends on which it is: from here on the root
 * is known by its descriptor.
 */
int attach_root(struct preamble *p, const struct wire_op *op)
{
	int root = slot_of(p, op->slot[0]);
	long target = op->ref[0].len ? same_directory(root, string_of(p, op->ref[0])) : -ENOENT;

	if (target >= 0) {
		long err = attach_to(root, (int)target);
		sys_close((int)target);
		return failed(p, err, "move_mount", "the root's own directory");
	}
	return failed(p, sys_5(move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "move_mount", "/");
}

/* Adds what the kernel says about a failed filesystem context to the object. */
static int filesystem_failed(struct preamble *p, int fs, long err, const char *syscall, const char *object)
{
	int ret = failed(p, err, syscall, object);
	size_t n = str_len(p->object);

	if (n + 4 < sizeof p->object) {
		p->object[n++] = ' ';
		long got = sys_3(read, fs, p->object + n, sizeof p->object - n - 1);
		if (got > 0 && p->object[n + (size_t)got - 1] == '\n')
			got--;
		p->object[got > 0 ? n + (size_t)got : n - 1] = '\0';
	}
	sys_close(fs);
	return ret;
}

int new_filesystem(struct preamble *p, const struct wire_op *op)
{
	const char *type = string_of(p, op->ref[0]), *source = string_of(p, op->ref[1]);
	long fs = sys_2(fsopen, type, FSOPEN_CLOEXEC), err;

	if (fs < 0)
		return failed(p, fs, "fsopen", type);
	if (op->ref[1].len && (err = sys_5(fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0)) < 0)
		return filesystem_failed(p, (int)fs, err, "fsconfig", source);
	for (char **option = op->ref[2].len ? list_of(p, op->ref[2]) : 0; option && *option; option++) {
		char *value = *option;
		while (*value && *value != '=')
			value++;
		if (*value) {
			*value = '\0';
			err = sys_5(fsconfig, fs, FSCONFIG_SET_STRING, *option, value + 1, 0);
			*value = '=';
		} else {
			err = sys_5(fsconfig, fs, FSCONFIG_SET_FLAG, *option, 0, 0);
		}
		if (err < 0)
			return filesystem_failed(p, (int)fs, err, "fsconfig", *option);
	}
	if ((err = sys_5(fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0)) < 0)
		return filesystem_failed(p, (int)fs, err, "fsconfig(FSCONFIG_CMD_CREATE)", "");
	long fd = sys_3(fsmount, fs, FSMOUNT_CLOEXEC, op->num[0]);
	if (fd < 0)
		return filesystem_failed(p, (int)fs, fd, "fsmount", "");
	sys_close((int)fs);
	set_slot(p, op->slot[0], (int)fd);
	return 0;
}

int set_mount_attributes(struct preamble *p, const struct wire_op *op)
{
	int mount = slot_of(p, op->slot[0]);
	long err = set_attributes(mount, op->num[0], op->num[1], op->num[2], op->flags & WIRE_FLAG_RECURSIVE);

	if (err < 0)
		note_evidence(p, mount);
	return failed(p, err, "mount_setattr", 0);
}

/* The permissions of what is covered, for a filesystem that was given none of its own. */
static int keep_mode(struct preamble *p, int mount, int target)
{
	struct statx st;
	long err = sys_5(statx, target, "", AT_EMPTY_PATH, STATX_MODE, &st);

	if (err < 0)
		return failed(p, err, "statx", 0);
	long top = sys_3(openat, mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return failed(p, top, "openat", "the new filesystem");
	err = sys_2(fchmod, top, st.stx_mode & 07777);
	sys_close((int)top);
	return failed(p, err, "fchmod", "the new filesystem");
}

int attach(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	int source = slot_of(p, op->slot[0]), root = slot_of(p, op->slot[1]);
	enum wire_create kind = (enum wire_create)op->num[0];

	if (kind == WIRE_CREATE_LIKE_SOURCE) {
		int type = type_of(source);
		if (type < 0)
			return failed(p, type, "statx", 0);
		kind = type == 0040000 ? WIRE_CREATE_DIRECTORY : WIRE_CREATE_FILE;
	}
	enum links links = FOLLOW;
	if (op->flags & WIRE_FLAG_NO_SYMLINKS)
		links = REFUSE_LINKS;
	else if (op->flags & WIRE_FLAG_NO_FOLLOW)
		links = NO_FOLLOW;
	int target =
	    create_in_root(p, root, path, str_len(path), kind, kind == WIRE_CREATE_DIRECTORY ? 0755 : 0644, links);
	if (target < 0)
		return target;
	int err = 0;
	if (op->flags & WIRE_FLAG_COPY_UP)
		err = copy_tree(p, target, source);
	if (!err && op->flags & WIRE_FLAG_KEEP_MODE)
		err = keep_mode(p, source, target);
	if (!err)
		err = failed(p, attach_to(source, target), "move_mount", 0);
	sys_close(target);
	return err;
}

/* For a process in a running container, which is inside its root already. */
int open_mount(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	struct statfs st;
	long fd = sys_4(openat2, AT_FDCWD, path, &how, sizeof how);

	if (fd < 0)
		return failed(p, fd, "openat2", path);
	set_slot(p, op->slot[0], (int)fd);
	if (!op->num[0])
		return 0;
	long err = sys_2(fstatfs, fd, &st);
	if (err >= 0 && (uint64_t)st.f_type != op->num[0])
		err = -EINVAL;
	return failed(p, err, "fstatfs", "another kind of filesystem than expected");
}

/* By its name in the directory that it lies in: umount2(2) takes no descriptor. */
int unmount(struct preamble *p, const struct wire_op *op)
{
	const char *base;
	int dir = open_parent(p, slot_of(p, op->slot[0]), string_of(p, op->ref[0]), &base);

	if (dir < 0)
		return dir;
	int err = failed(p, sys_1(fchdir, dir), "fchdir", "the parent directory");
	if (!err)
		err = failed(p, sys_2(umount2, base, DETACH | NO_FOLLOW_LINK), "umount2", 0);
	sys_close(dir);
	return err;
}

int remount(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	int fd = open_in_root(p, slot_of(p, op->slot[0]), path, str_len(path), FOLLOW);

	if (fd < 0)
		return fd;
	long err = set_attributes(fd, op->num[0], op->num[1], op->num[2], op->flags & WIRE_FLAG_RECURSIVE);
	if (err < 0)
		note_evidence(p, fd);
	sys_close(fd);
	return failed(p, err, "mount_setattr", 0);
}

/*
 * pivot_root(2) with both arguments the new root stacks the old one on top of it, from where it is
 * detached. Made a slave first: otherwise, in a namespace with shared propagation, the detaching would
 * reach the host.
 */
int pivot_into(struct preamble *p, const struct wire_op *op)
{
	long err = sys_1(fchdir, slot_of(p, op->slot[0]));
	if (err < 0)
		return failed(p, err, "fchdir", 0);
	long old = sys_3(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old < 0)
		return failed(p, old, "openat", "/");
	if ((err = sys_2(pivot_root, ".", ".")) < 0)
		return failed(p, err, "pivot_root", 0);
	if ((err = set_attributes((int)old, 0, 0, 1u << 19 /* MS_SLAVE */, 1)) < 0)
		return failed(p, err, "mount_setattr", "the old root");
	if ((err = sys_1(fchdir, old)) < 0)
		return failed(p, err, "fchdir", "the old root");
	sys_close((int)old);
	if ((err = sys_2(umount2, ".", DETACH)) < 0)
		return failed(p, err, "umount2", "the old root");
	return failed(p, sys_1(chdir, "/"), "chdir", "/");
}

/* Over the namespace's root, which cannot be pivoted away from. A process that escapes from the chroot then
   finds the same mount. */
int move_root(struct preamble *p, const struct wire_op *op)
{
	int err = failed(p, sys_5(move_mount, slot_of(p, op->slot[0]), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH),
			 "move_mount", "/");

	return err ? err : enter_root(p, op);
}

int enter_root(struct preamble *p, const struct wire_op *op)
{
	long err = sys_1(fchdir, slot_of(p, op->slot[0]));
	if (err < 0)
		return failed(p, err, "fchdir", 0);
	if ((err = sys_1(chroot, ".")) < 0)
		return failed(p, err, "chroot", 0);
	return failed(p, sys_1(chdir, "/"), "chdir", "/");
}

/*
 * Covers target with the mount in slot. The first use attaches the mount itself; later ones attach clones
 * of it, which before Linux 6.15 can only be made of an attached mount.
 */
static int cover(struct preamble *p, int16_t slot, int target)
{
	int mount = slot_of(p, slot);
	long err;

	if (p->attached[slot]) {
		long clone = sys_3(open_tree, mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
		if (clone < 0)
			return failed(p, clone, "open_tree", 0);
		err = attach_to((int)clone, target);
		sys_close((int)clone);
	} else {
		err = attach_to(mount, target);
		p->attached[slot] = 1;
	}
	return failed(p, err, "move_mount", 0);
}

/* Opens a path that is to be restricted. -ENOENT, where there is nothing, is no error. */
static int open_restricted(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	int target = open_in_root(p, slot_of(p, op->slot[0]), path, str_len(path), FOLLOW);

	return target == -ENOTDIR ? -ENOENT : target;
}

int mask_path(struct preamble *p, const struct wire_op *op)
{
	int target = open_restricted(p, op);

	if (target < 0)
		return target == -ENOENT ? 0 : target;
	int err = cover(p, type_of(target) == 0040000 ? op->slot[2] : op->slot[1], target);
	sys_close(target);
	return err;
}

int readonly_path(struct preamble *p, const struct wire_op *op)
{
	int target = open_restricted(p, op);

	if (target < 0)
		return target == -ENOENT ? 0 : target;
	int err = 0;
	long clone = sys_3(open_tree, target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (clone < 0) {
		err = failed(p, clone, "open_tree", 0);
	} else {
		long ret = set_attributes((int)clone, MOUNT_ATTR_RDONLY, 0, 0, 1);
		if (ret < 0)
			err = failed(p, ret, "mount_setattr", 0);
		else
			err = failed(p, attach_to((int)clone, target), "move_mount", 0);
		sys_close((int)clone);
	}
	sys_close(target);
	return err;
}
