/*
 * Proof of the seal: a child of the init does what a payload would that wants out. It has every capability in the
 * sealed namespaces and no filter, more than any payload gets, so that what it cannot do no payload can. All of it is
 * done in the container itself; what works has damaged it, and it is not started.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <signal.h>

#define DETACH 2 /* MNT_DETACH; <sys/mount.h> cannot be had together with <linux/mount.h> */

/* That something worked which must not, as an errno that none of it gives. */
static int worked(struct preamble *p, const char *what, const char *path)
{
	return failed(p, -ENOTRECOVERABLE, what, path);
}

/* Whether something is mounted on the path: what the image does not have was not covered. */
static int is_mount(const char *path)
{
	struct statx st;

	return sys_5(statx, AT_FDCWD, path, 0, STATX_TYPE, &st) == 0 && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int try_mounts(struct preamble *p, char **paths, int readonly)
{
	struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};

	for (; *paths; paths++) {
		if (!is_mount(*paths))
			continue;
		if (readonly && sys_5(mount_setattr, AT_FDCWD, *paths, 0, &writable, sizeof writable) == 0)
			return worked(p, "making a read-only path writable", *paths);
		if (sys_2(umount2, *paths, DETACH) == 0)
			return worked(p, "unmounting what covers a path", *paths);
	}
	return 0;
}

/* Whether a procfs can be made in the pid namespace that we are in. */
static int makes_procfs(void)
{
	long fs = sys_2(fsopen, "proc", FSOPEN_CLOEXEC);

	if (fs < 0 || sys_5(fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0) < 0)
		return 0;
	return sys_3(fsmount, fs, FSMOUNT_CLOEXEC, 0) >= 0;
}

/*
 * A procfs is that of a pid namespace: of the one that the container has, and of a new one, which belongs to the
 * sealed user namespace. The kernel refuses the latter only where something would come to light by it.
 */
static int try_procfs(struct preamble *p, char **paths)
{
	static const char what[] = "mounting a new procfs";
	static const char below[] = "/proc/";
	struct clone_args args = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
	int status = 0;
	char **path = paths;

	while (*path &&
	       !(str_len(*path) > sizeof below && memcmp(*path, below, sizeof below - 1) == 0 && is_mount(*path)))
		path++;
	if (!*path)
		return 0;
	if (makes_procfs())
		return worked(p, what, *path);
	long pid = sys_2(clone3, &args, sizeof args);
	if (pid == 0)
		sys_exit(makes_procfs());
	if (pid < 0)
		return 0; /* not even a pid namespace */
	long err;
	while ((err = sys_4(wait4, pid, &status, 0, 0)) == -EINTR)
		;
	if (err < 0)
		return failed(p, err, "wait4", 0);
	return status ? worked(p, what, *path) : 0;
}

/* The limits of the namespace that we are in may be raised; those of the one around it hold all the same. */
static int try_namespace(struct preamble *p, int proc, const char *limit, int kind, const char *what)
{
	int fd = open_proc_file(p, proc, limit, O_WRONLY);

	if (fd >= 0) {
		sys_3(write, fd, "100000", 6);
		sys_close(fd);
	}
	return sys_1(unshare, kind) == 0 ? worked(p, what, "") : 0;
}

int prove_seal(struct preamble *p, const struct wire_op *op)
{
	static char *none;
	char **masked = op->ref[0].len ? list_of(p, op->ref[0]) : &none;
	char **readonly = op->ref[1].len ? list_of(p, op->ref[1]) : &none;
	int proc = slot_of(p, op->slot[0]);
	struct child c;
	int which = start_child(p, &c);

	if (which != 0)
		return which < 0 ? which : await_child(p, &c);
	int err = try_procfs(p, masked);
	if (!err)
		err = try_procfs(p, readonly);
	if (!err)
		err = try_mounts(p, masked, 0);
	if (!err)
		err = try_mounts(p, readonly, 1);
	if (!err)
		err = try_namespace(p, proc, "sys/user/max_cgroup_namespaces", CLONE_NEWCGROUP,
				    "making a cgroup namespace");
	if (!err)
		err = try_namespace(p, proc, "sys/user/max_user_namespaces", CLONE_NEWUSER, "making a user namespace");
	end_child(p, &c, err);
}
