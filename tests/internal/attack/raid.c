/*
 * raid: attacks in several steps: with capabilities won back in a nested user namespace, with programs of the image that
 * give privileges, on what the machine's kernel is ruled by. As attack, each is done in a process of its own, and prints its
 * name, a tab, and what has come of it: "works", an errno, "nothing gained" where a step was allowed and gives nothing, or
 * "not applicable".
 *
 * Nothing is changed by what works: files of the kernel are written with what they hold.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/nsfs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "attack.h"

/* Beside the errnos, as exit status of a process. */
enum { NOTHING = 200, NOT_APPLICABLE = 201 };

typedef uint64_t capset_t;

struct sets {
	capset_t effective, permitted, inheritable;
};

static int capabilities(int call, struct sets *s)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {
	    {(uint32_t)s->effective, (uint32_t)s->permitted, (uint32_t)s->inheritable},
	    {(uint32_t)(s->effective >> 32), (uint32_t)(s->permitted >> 32), (uint32_t)(s->inheritable >> 32)},
	};
	int err = TRY(syscall(call, &header, d));

	s->effective = d[0].effective | (capset_t)d[1].effective << 32;
	s->permitted = d[0].permitted | (capset_t)d[1].permitted << 32;
	s->inheritable = d[0].inheritable | (capset_t)d[1].inheritable << 32;
	return err;
}

static struct sets own(void)
{
	struct sets s = {0};

	if (capabilities(SYS_capget, &s))
		_exit(EIO);
	return s;
}

static int write_file(const char *file, const char *text, size_t size)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	return write(fd, text, size) == (ssize_t)size ? 0 : errno;
}

/*
 * Makes a user namespace, and others in it, and becomes root there. Where root around it may not be mapped (which takes
 * CAP_SETFCAP, user_namespaces(7)) the process stays without a number; its capabilities do not depend on one.
 */
static int nest(unsigned long kinds)
{
	char uids[32], gids[32];
	int u = snprintf(uids, sizeof uids, "0 %u 1", geteuid()), g = snprintf(gids, sizeof gids, "0 %u 1", getegid());

	THEN(unshare_(CLONE_NEWUSER | kinds));
	(void)write_file("/proc/self/setgroups", "deny", 4);
	(void)write_file("/proc/self/uid_map", uids, (size_t)u);
	(void)write_file("/proc/self/gid_map", gids, (size_t)g);
	return 0;
}

static int nested_capabilities(void)
{
	capset_t before = own().effective;

	THEN(unshare_(CLONE_NEWUSER));
	return own().effective & ~before ? 0 : NOTHING;
}

static int nested_tmpfs(void)
{
	THEN(nest(CLONE_NEWNS));
	return mount_("tmpfs", "/tmp", "tmpfs", 0);
}

static int proc_on_tmp(void)
{
	return mount_("proc", "/tmp", "proc", 0);
}

static int nested_procfs(void)
{
	THEN(nest(CLONE_NEWNS | CLONE_NEWPID));
	return in_child(0, proc_on_tmp);
}

static int nested_sysfs(void)
{
	THEN(nest(CLONE_NEWNS | CLONE_NEWNET));
	return mount_("sysfs", "/tmp", "sysfs", 0);
}

static int nested_cgroup(void)
{
	THEN(nest(CLONE_NEWNS | CLONE_NEWCGROUP));
	return mount_("cgroup2", "/tmp", "cgroup2", 0);
}

static int nested_mask(void)
{
	THEN(nest(CLONE_NEWNS));
	return umount_("/proc/keys");
}

static int nested_readonly(void)
{
	THEN(nest(CLONE_NEWNS));
	return mount_("", "/proc/sys", "", MS_REMOUNT | MS_BIND);
}

static int nested_packets(void)
{
	THEN(nest(CLONE_NEWNET));
	return TRY(socket(AF_PACKET, SOCK_RAW, ETH_P_ALL));
}

static int pid_namespace_around(void)
{
	int fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	int parent = ioctl(fd, NS_GET_PARENT);
	if (parent < 0)
		return errno;
	return TRY(syscall(SYS_setns, parent, CLONE_NEWPID));
}

/*
 * Since Linux 6.18 namespaces have file handles, which need no path. The first network namespace has a known inode
 * (PROC_NET_INIT_INO), and its identifier is one of the first that there are.
 */
static int network_by_handle(void)
{
	enum { NSFS_ROOT = -10003, FILEID_NSFS = 0xf1, FIRST_IDS = 1 << 15 };
	struct {
		struct file_handle head;
		struct {
			uint64_t id;
			uint32_t kind, inode;
		} ns;
	} h = {.head = {.handle_bytes = sizeof h.ns, .handle_type = FILEID_NSFS}, .ns = {1, CLONE_NEWNET, 0xEFFFFFF9}};

	for (; h.ns.id < FIRST_IDS; h.ns.id++) {
		int fd = open_by_handle_at(NSFS_ROOT, &h.head, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return TRY(syscall(SYS_setns, fd, CLONE_NEWNET));
		if (errno == EBADF)
			return NOT_APPLICABLE;
		if (errno != ESTALE)
			return errno;
	}
	return ESTALE;
}

/* Executes this program, under another name of its, in a child that is to find out whether it has gained something. */
static int gained(const char *file, const char *what)
{
	char had[32];
	int status;

	snprintf(had, sizeof had, "%llu", (unsigned long long)own().permitted);
	pid_t pid = fork();
	if (pid == 0) {
		execl(file, "raid", what, had, (char *)0);
		_exit(errno);
	}
	if (waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : ESRCH;
}

static int set_uid_root(void)
{
	return geteuid() ? gained("/raid-setuid", "root") : NOT_APPLICABLE;
}

static int set_uid_capabilities(void)
{
	return gained("/raid-setuid", "capabilities");
}

static int file_capabilities(void)
{
	return gained("/raid-filecap", "capabilities");
}

static int inherited_capabilities(void)
{
	struct sets s = own();

	s.inheritable = s.permitted | 1ULL << CAP_SYS_MODULE;
	if (capabilities(SYS_capset, &s)) {
		s = own();
		s.inheritable = s.permitted;
		THEN(capabilities(SYS_capset, &s));
	}
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	return gained("/raid-inherit", "capabilities");
}

/* Opens a file for writing; where a read-only mount is in the way, after it was made writable. */
static int opened(const char *file, const char *mount, int *fd)
{
	*fd = open(file, O_WRONLY | O_CLOEXEC);
	if (*fd < 0 && errno == EROFS) {
		THEN(unshare_(CLONE_NEWNS));
		THEN(mount_("", mount, "", MS_REMOUNT | MS_BIND));
		*fd = open(file, O_WRONLY | O_CLOEXEC);
	}
	return TRY(*fd);
}

/* Writes what a file holds already. */
static int written(const char *file, const char *mount)
{
	char text[4096];
	int fd;

	THEN(opened(file, mount, &fd));
	int in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return errno;
	ssize_t size = read(in, text, sizeof text);
	return size >= 0 && write(fd, text, (size_t)size) == size ? 0 : errno;
}

static int core_pattern(void)
{
	return written("/proc/sys/kernel/core_pattern", "/proc/sys");
}

static int kernel_sysctl(void)
{
	return written("/proc/sys/kernel/panic_on_oops", "/proc/sys");
}

/* What is written there is done, so nothing is. */
static int sysrq(void)
{
	const char *file = "/proc/sysrq-trigger";
	int fd;

	return access(file, F_OK) ? NOT_APPLICABLE : opened(file, file, &fd);
}

/* Mounts the cgroup v1 hierarchy of the memory controller anew, and writes a file of it. */
static int cgroup_v1(const char *file)
{
	char text[4096];
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (size < 0)
		return errno;
	text[size] = 0;
	if (!strstr(text, ":memory:"))
		return NOT_APPLICABLE;
	THEN(unshare_(CLONE_NEWNS));
	THEN(TRY(syscall(SYS_mount, "cgroup", "/tmp", "cgroup", 0, "memory")));
	return written(file, "/tmp");
}

static int release_agent(void)
{
	return cgroup_v1("/tmp/release_agent");
}

static int own_limit(void)
{
	return cgroup_v1("/tmp/memory.limit_in_bytes");
}

/* Of a device that no container of the table is allowed, and which opening does nothing to. */
static int device(void)
{
	unlink("/tmp/fuse");
	THEN(TRY(mknod("/tmp/fuse", S_IFCHR | 0666, makedev(10, 229))));
	return TRY(open("/tmp/fuse", O_RDWR | O_CLOEXEC));
}

/* What lies under a mask, by a path that does not name the mask. It is one that has been put there if it is a device. */
static int mask_avoided(void)
{
	struct stat st;

	THEN(TRY(stat("/proc/self/../keys", &st)));
	return S_ISCHR(st.st_mode) ? NOTHING : 0;
}

/* Whether a directory is another one than our root. */
static int is_outside(const char *directory)
{
	struct stat st, root;

	THEN(TRY(stat(directory, &st)));
	THEN(TRY(stat("/", &root)));
	return st.st_ino == root.st_ino && st.st_dev == root.st_dev ? NOTHING : 0;
}

static int root_of_init(void)
{
	return is_outside("/proc/1/root/../..");
}

static int directory_of_init(void)
{
	return is_outside("/proc/1/cwd/../..");
}

/* The first descriptor beyond the standard streams, when we were executed. */
static int leaked_descriptor = -1;

static int descriptor(void)
{
	return leaked_descriptor < 0 ? NOTHING : 0;
}

static const struct {
	const char *name;
	int (*try)(void);
} attacks[] = {
    {"nested user namespace: capabilities won back", nested_capabilities},
    {"nested user namespace: tmpfs mounted", nested_tmpfs},
    {"nested user namespace: procfs mounted", nested_procfs},
    {"nested user namespace: sysfs mounted", nested_sysfs},
    {"nested user namespace: cgroup filesystem mounted", nested_cgroup},
    {"nested user namespace: mask unmounted", nested_mask},
    {"nested user namespace: read-only path made writable", nested_readonly},
    {"nested user namespace: packet socket in a network of its own", nested_packets},
    {"pid namespace: the one around", pid_namespace_around},
    {"network of the machine, by file handle", network_by_handle},
    {"set-uid-root program: another user becomes root", set_uid_root},
    {"set-uid-root program: capabilities beyond those granted", set_uid_capabilities},
    {"file capabilities: CAP_SYS_MODULE", file_capabilities},
    {"inheritable and ambient capabilities, over an exec", inherited_capabilities},
    {"core_pattern written", core_pattern},
    {"sysctl of the machine written", kernel_sysctl},
    {"sysrq-trigger opened for writing", sysrq},
    {"release_agent written (cgroup v1)", release_agent},
    {"own memory limit written (cgroup v1)", own_limit},
    {"device node made, and opened", device},
    {"mask avoided by another path", mask_avoided},
    {"root left by way of /proc/1/root", root_of_init},
    {"root left by way of /proc/1/cwd", directory_of_init},
    {"descriptors of the runtime's left open", descriptor},
};

static int check_gained(const char *what, const char *had)
{
	if (!strcmp(what, "root"))
		return geteuid() ? NOTHING : 0;
	return own().permitted & ~strtoull(had, 0, 10) ? 0 : NOTHING;
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return check_gained(argv[1], argv[2]);
	if (!is_contained()) {
		fprintf(stderr, "raid: not in a container, and so not done\n");
		return 2;
	}
	for (int fd = 3; fd < 1024 && leaked_descriptor < 0; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			leaked_descriptor = fd;
	for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
		int err = in_child(0, attacks[i].try);
		printf("%s\t%s\n", attacks[i].name,
		       err == 0		       ? "works"
		       : err == NOTHING	       ? "nothing gained"
		       : err == NOT_APPLICABLE ? "not applicable"
					       : strerrorname_np(err));
		fflush(stdout);
	}
	return 0;
}
