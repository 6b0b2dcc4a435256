/*
 * attack: tries to get out of a container's confinement in every way that it knows, each in a process of its own, and
 * prints the outcome of each: its name, a tab, and "works" or an errno. It is C because new user namespaces take a
 * process of one thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

static int user_by_unshare(void)
{
	return unshare_(CLONE_NEWUSER);
}

static int user_by_clone(void)
{
	return in_child(CLONE_NEWUSER, 0);
}

static int user_by_clone3(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0)
		_exit(0);
	return TRY(pid);
}

#ifdef __x86_64__
static int user_by_x32(void)
{
	return TRY(syscall(0x40000000 | SYS_unshare, CLONE_NEWUSER));
}

static long int80(long number, long arg)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(number), "b"(arg) : "memory");
	return (int)ret;
}

/* A kernel without them may take the number for another call's. */
static int user_by_i386(void)
{
	if (int80(20 /* getpid */, 0) != getpid())
		return ENOSYS;
	long ret = int80(310 /* unshare */, CLONE_NEWUSER);
	return ret < 0 ? (int)-ret : 0;
}
#else
static int user_by_x32(void)
{
	return ENOSYS;
}

static int user_by_i386(void)
{
	return ENOSYS;
}
#endif

static int raise_limit(const char *file)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	THEN(TRY(write(fd, "100000", 6)));
	return unshare_(CLONE_NEWUSER);
}

static int user_by_limit(void)
{
	return raise_limit("/proc/sys/user/max_user_namespaces");
}

static int raise_in_other_procfs(void)
{
	THEN(mount_("proc", "/tmp", "proc", 0));
	return raise_limit("/tmp/sys/user/max_user_namespaces");
}

static int user_by_procfs(void)
{
	return in_child(CLONE_NEWNS | CLONE_NEWPID, raise_in_other_procfs);
}

/* Enters the user namespace that an ioctl on a namespace's file leads to. */
static int enter_related(const char *file, unsigned long request)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	int user = ioctl(fd, request);
	if (user < 0)
		return errno;
	return TRY(syscall(SYS_setns, user, CLONE_NEWUSER));
}

static int user_around(void)
{
	return enter_related("/proc/self/ns/user", NS_GET_PARENT);
}

static int user_of_network(void)
{
	return enter_related("/proc/self/ns/net", NS_GET_USERNS);
}

static int net_namespace(void)
{
	return unshare_(CLONE_NEWNET);
}

static int cgroup_namespace(void)
{
	return unshare_(CLONE_NEWCGROUP);
}

static int mount_proc(void)
{
	return mount_("proc", "/tmp", "proc", 0);
}

static int mount_sysfs(void)
{
	return mount_("sysfs", "/tmp", "sysfs", 0);
}

static int mount_cgroup(void)
{
	return mount_("cgroup2", "/tmp", "cgroup2", 0);
}

static int procfs(void)
{
	return in_child(CLONE_NEWNS, mount_proc);
}

static int procfs_of_pid_namespace(void)
{
	return in_child(CLONE_NEWNS | CLONE_NEWPID, mount_proc);
}

static int sysfs_of_net_namespace(void)
{
	return in_child(CLONE_NEWNS | CLONE_NEWNET, mount_sysfs);
}

static int cgroup_filesystem(void)
{
	return in_child(CLONE_NEWNS, mount_cgroup);
}

static int cgroup_filesystem_of_namespace(void)
{
	return in_child(CLONE_NEWNS | CLONE_NEWCGROUP, mount_cgroup);
}

static int mask_unmounted(void)
{
	return umount_("/proc/keys");
}

static int mask_in_namespace(void)
{
	THEN(unshare_(CLONE_NEWNS));
	return mask_unmounted();
}

static int mask_behind_bind(void)
{
	THEN(unshare_(CLONE_NEWNS));
	return mount_("/proc", "/tmp", "", MS_BIND);
}

static int mask_behind_open_tree(void)
{
	return TRY(syscall(SYS_open_tree, AT_FDCWD, "/proc", OPEN_TREE_CLONE));
}

static int mask_below_bind(void)
{
	THEN(unshare_(CLONE_NEWNS));
	THEN(mount_("/proc", "/tmp", "", MS_BIND | MS_REC));
	return umount_("/tmp/keys");
}

static int mask_moved(void)
{
	THEN(unshare_(CLONE_NEWNS));
	THEN(mount_("tmpfs", "/tmp", "tmpfs", 0));
	THEN(TRY(mknod("/tmp/keys", S_IFREG | 0600, 0)));
	return mount_("/proc/keys", "/tmp/keys", "", MS_MOVE);
}

static int procfs_unmounted(void)
{
	THEN(unshare_(CLONE_NEWNS));
	return umount_("/proc");
}

static int mask_below_root(void)
{
	THEN(unshare_(CLONE_NEWNS));
	THEN(mount_("tmpfs", "/tmp", "tmpfs", 0));
	THEN(TRY(mkdir("/tmp/old", 0700)));
	THEN(TRY(syscall(SYS_pivot_root, "/tmp", "/tmp/old")));
	return umount_("/old/proc/keys");
}

static int remount(void)
{
	return mount_("", "/proc/sys", "", MS_REMOUNT | MS_BIND);
}

static int remount_in_namespace(void)
{
	THEN(unshare_(CLONE_NEWNS));
	return remount();
}

static int set_attributes(void)
{
	struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};

	THEN(unshare_(CLONE_NEWNS));
	return TRY(syscall(SYS_mount_setattr, AT_FDCWD, "/proc/sys", 0, &writable, sizeof writable));
}

static int readonly_unmounted(void)
{
	THEN(unshare_(CLONE_NEWNS));
	return umount_("/proc/sys");
}

static int host_name(void)
{
	return TRY(sethostname("conquered", 9));
}

static int set_capabilities(uint32_t low, uint32_t high, uint32_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{.effective = low, .permitted = low, .inheritable = inheritable},
						 {.effective = high, .permitted = high}};

	return TRY(syscall(SYS_capset, &header, sets));
}

static int all_capabilities(void)
{
	return set_capabilities(~0U, 0x1ff, 0);
}

static int inheritable_capability(void)
{
	return set_capabilities(0, 0, 1U << CAP_SYS_MODULE);
}

static int ambient_capability(void)
{
	return TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_MODULE, 0, 0));
}

/* In an order in which none is spoilt by those before it that work. */
static const struct {
	const char *name;
	int (*try)(void);
} attacks[] = {
    {"user namespace: unshare", user_by_unshare},
    {"user namespace: clone", user_by_clone},
    {"user namespace: clone3", user_by_clone3},
    {"user namespace: x32", user_by_x32},
    {"user namespace: i386", user_by_i386},
    {"user namespace: limit raised", user_by_limit},
    {"user namespace: limit raised by another procfs", user_by_procfs},
    {"user namespace: the one around", user_around},
    {"user namespace: the network's", user_of_network},
    {"net namespace", net_namespace},
    {"cgroup namespace", cgroup_namespace},
    {"procfs", procfs},
    {"procfs of a new pid namespace", procfs_of_pid_namespace},
    {"sysfs of a new net namespace", sysfs_of_net_namespace},
    {"cgroup filesystem", cgroup_filesystem},
    {"cgroup filesystem of a new cgroup namespace", cgroup_filesystem_of_namespace},
    {"mask unmounted in a new mount namespace", mask_in_namespace},
    {"mask left behind by a bind mount", mask_behind_bind},
    {"mask left behind by open_tree", mask_behind_open_tree},
    {"mask unmounted below a recursive bind mount", mask_below_bind},
    {"mask moved away", mask_moved},
    {"procfs unmounted", procfs_unmounted},
    {"mask unmounted below another root", mask_below_root},
    {"read-only path: remount in a new mount namespace", remount_in_namespace},
    {"read-only path: mount_setattr", set_attributes},
    {"read-only path: unmounted", readonly_unmounted},
    {"host name", host_name},
    {"capabilities: all of them", all_capabilities},
    {"capabilities: inheritable", inheritable_capability},
    {"capabilities: ambient", ambient_capability},
    {"mask unmounted", mask_unmounted},
    {"read-only path: remount", remount},
};

int main(void)
{
	if (!is_contained()) {
		fprintf(stderr, "attack: not in a container, and so not done\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
		int err = in_child(0, attacks[i].try);
		printf("%s\t%s\n", attacks[i].name, err ? strerrorname_np(err) : "works");
		fflush(stdout);
	}
	return 0;
}
