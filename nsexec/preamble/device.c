/*
 * Directories, device nodes, links and the terminal.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <asm/ioctls.h>
#include <asm/termios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <linux/tty.h>

int make_directory(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	int fd = create_in_root(p, slot_of(p, op->slot[0]), path, str_len(path), WIRE_CREATE_DIRECTORY,
				(unsigned)op->num[0], FOLLOW);

	if (fd < 0)
		return fd;
	sys_close(fd);
	return 0;
}

/* The device number as mknod(2) takes it. */
unsigned device_number(unsigned major, unsigned minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

static int existing_device(struct preamble *p, int dir, const char *base, const struct wire_op *op)
{
	struct statx st;
	long err = sys_5(statx, dir, base, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st);

	if (err < 0)
		return failed(p, err, "statx", 0);
	if ((st.stx_mode & 0170000) != (op->num[0] & 0170000) || st.stx_rdev_major != op->num[1] >> 32 ||
	    st.stx_rdev_minor != (uint32_t)op->num[1])
		return failed(p, -EEXIST, "mknodat", "another file of that name");
	return 0;
}

int make_device(struct preamble *p, const struct wire_op *op)
{
	const char *base;
	int dir = open_parent(p, slot_of(p, op->slot[0]), string_of(p, op->ref[0]), &base);

	if (dir < 0)
		return dir;
	long err =
	    sys_4(mknodat, dir, base, op->num[0], device_number((unsigned)(op->num[1] >> 32), (unsigned)op->num[1]));
	int ret;
	if (err == -EEXIST) {
		ret = existing_device(p, dir, base, op);
	} else {
		if (err < 0)
			note_evidence(p, dir);
		ret = failed(p, err, "mknodat", 0);
	}
	if (!ret && !err && (op->num[2] || op->num[3]))
		ret = failed(p, sys_5(fchownat, dir, base, op->num[2], op->num[3], AT_SYMLINK_NOFOLLOW), "fchownat", 0);
	sys_close(dir);
	return ret;
}

/* Whether base in dir is a symbolic link to target. */
static int is_link_to(int dir, const char *base, const char *target)
{
	char is[4096];
	long n = sys_4(readlinkat, dir, base, is, sizeof is);

	return n >= 0 && (size_t)n == str_len(target) && memcmp(is, target, (size_t)n) == 0;
}

int make_symlink(struct preamble *p, const struct wire_op *op)
{
	const char *base, *target = string_of(p, op->ref[1]);
	int dir = open_parent(p, slot_of(p, op->slot[0]), string_of(p, op->ref[0]), &base);

	if (dir < 0)
		return dir;
	long err = sys_3(symlinkat, target, dir, base);
	if (err == -EEXIST && (!(op->flags & WIRE_FLAG_EXACT) || is_link_to(dir, base, target)))
		err = 0;
	sys_close(dir);
	return failed(p, err, "symlinkat", err == -EEXIST ? "another file of that name" : 0);
}

/*
 * The container's own devpts, where it has one, was made by this plan and is reached by descriptor; its
 * peer is opened by the kernel (TIOCGPTPEER), not by the name of a file in the container (CVE-2025-52565).
 */
int open_console(struct preamble *p, const struct wire_op *op)
{
	int devpts = slot_of(p, op->slot[0]), unlock = 0;
	long master = devpts >= 0 ? sys_3(openat, devpts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
				  : sys_3(openat, AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0)
		return failed(p, master, "openat", "ptmx");
	set_slot(p, op->slot[2], (int)master);
	long err = sys_3(ioctl, master, TIOCSPTLCK, &unlock);
	if (err < 0)
		return failed(p, err, "ioctl(TIOCSPTLCK)", 0);
	long slave = sys_3(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return failed(p, slave, "ioctl(TIOCGPTPEER)", 0);
	set_slot(p, op->slot[1], (int)slave);
	if (op->num[0] || op->num[1]) {
		struct winsize size = {.ws_col = (uint16_t)op->num[0], .ws_row = (uint16_t)op->num[1]};
		if ((err = sys_3(ioctl, master, TIOCSWINSZ, &size)) < 0)
			return failed(p, err, "ioctl(TIOCSWINSZ)", 0);
	}
	/* -1 leaves the group, which devpts has set (gid=5). */
	return failed(p, sys_3(fchown, slave, op->num[2], -1), "fchown", "the terminal");
}

int attach_console(struct preamble *p, const struct wire_op *op)
{
	const char *path = string_of(p, op->ref[0]);
	long clone = sys_3(open_tree, slot_of(p, op->slot[0]), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (clone < 0)
		return failed(p, clone, "open_tree", "the terminal");
	int target = create_in_root(p, slot_of(p, op->slot[1]), path, str_len(path), WIRE_CREATE_FILE, 0644, FOLLOW);
	int err = target;
	if (target >= 0) {
		err = failed(
		    p, sys_5(move_mount, clone, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
		    "move_mount", 0);
		sys_close(target);
	}
	sys_close((int)clone);
	return err;
}

/* A terminal's number is that of its device. The image can have put anything there, so the two are compared. */
int reopen_console(struct preamble *p, const struct wire_op *op)
{
	struct open_how how = {.flags = O_RDWR | O_NOCTTY | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	struct statx is, found;
	char path[24] = "/dev/pts/", digits[12];
	size_t n = str_len(path), len = 0;
	long err = sys_5(statx, slot_of(p, op->slot[0]), "", AT_EMPTY_PATH, STATX_INO, &is);

	if (err < 0)
		return failed(p, err, "statx", 0);
	uint32_t number = is.stx_rdev_minor;
	do
		digits[len++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (len)
		path[n++] = digits[--len];
	path[n] = '\0';
	long fd = sys_4(openat2, AT_FDCWD, path, &how, sizeof how);
	if (fd < 0)
		return 0;
	if (sys_5(statx, fd, "", AT_EMPTY_PATH, STATX_INO, &found) == 0 && found.stx_ino == is.stx_ino &&
	    found.stx_dev_major == is.stx_dev_major && found.stx_dev_minor == is.stx_dev_minor)
		set_slot(p, op->slot[0], (int)fd);
	else
		sys_close((int)fd);
	return 0;
}

int use_console(struct preamble *p, const struct wire_op *op)
{
	int slave = slot_of(p, op->slot[0]);
	long err = sys_3(ioctl, slave, TIOCSCTTY, 0);

	if (err < 0)
		return failed(p, err, "ioctl(TIOCSCTTY)", 0);
	for (int fd = 0; fd < 3; fd++)
		if (slave != fd && (err = sys_3(dup3, slave, fd, 0)) < 0)
			return failed(p, err, "dup3", 0);
	return 0;
}
