/*
 * floor: what the kernel itself charges for a container. It does by hand, without checks, parsing or
 * policy, what a runtime's `run` does for the two bundles of this benchmark: cgroups, namespaces, mounts,
 * devices, pivot_root, masks, limits, capabilities, seccomp, exec, wait, remove. A runtime cannot be
 * quicker; how far it is from this is its own overhead. Not a runtime: the bundles' content is built in.
 *
 *   floor [-p] bare|realistic ROOTFS CGROUP BPF MEMORY COMMAND
 *
 * CGROUP is a path below every v1 hierarchy, BPF a file with a compiled filter, MEMORY a limit in bytes.
 * -p enters the cgroups through cgroup.procs, as runc and crun do, where the default is for the child to
 * write 0 to `tasks`: a thread that moves itself does not make the kernel wait for all other forks.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const hierarchies[] = {"cpu",     "cpuacct", "cpuset", "memory", "devices",
					  "freezer", "blkio",	"pids",	  "systemd"};

static bool realistic, by_procs;
static const char *rootfs, *cgroup, *memory;
static struct sock_fprog filter;

static void must(long result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd, path);
	must(write(fd, text, strlen(text)), path);
	close(fd);
}

static const char *in_cgroup(const char *hierarchy, const char *file)
{
	static char path[4096];

	snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/%s", hierarchy, cgroup, file);
	return path;
}

static void limit(const char *hierarchy, const char *file, const char *value)
{
	put(in_cgroup(hierarchy, file), value);
}

/* A new cpuset is empty and takes no process until it has what its parent has. */
static void inherit_cpuset(const char *file)
{
	char path[4096], value[256];
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "/sys/fs/cgroup/cpuset%s/../%s", cgroup, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd, path);
	n = read(fd, value, sizeof value - 1);
	must(n, path);
	value[n] = '\0';
	close(fd);
	limit("cpuset", file, value);
}

static void make_cgroups(void)
{
	/* Docker's rules: nothing, but mknod of everything and use of the harmless devices. */
	static const char *const devices[] = {"c *:* m",   "b *:* m",	"c 1:3 rwm",  "c 1:5 rwm",
					      "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",  "c 5:0 rwm",
					      "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};

	for (size_t i = 0; i < COUNT(hierarchies); i++)
		must(mkdir(in_cgroup(hierarchies[i], ""), 0755), "mkdir cgroup");
	inherit_cpuset("cpuset.cpus");
	inherit_cpuset("cpuset.mems");
	limit("devices", "devices.deny", "a");
	for (size_t i = 0; i < COUNT(devices); i++)
		limit("devices", "devices.allow", devices[i]);
	if (strcmp(memory, "0") != 0)
		limit("memory", "memory.limit_in_bytes", memory);
	if (!realistic)
		return;
	limit("cpu", "cpu.shares", "512");
	limit("cpu", "cpu.cfs_period_us", "100000");
	limit("cpu", "cpu.cfs_quota_us", "200000");
	limit("pids", "pids.max", "100");
}

static void remove_cgroups(void)
{
	for (size_t i = 0; i < COUNT(hierarchies); i++)
		must(rmdir(in_cgroup(hierarchies[i], "")), "rmdir cgroup");
}

static void enter_cgroups(const char *file, const char *pid)
{
	for (size_t i = 0; i < COUNT(hierarchies); i++)
		limit(hierarchies[i], file, pid);
}

static void fresh(const char *type, const char *target, unsigned long flags, const char *data)
{
	if (mkdir(target, 0755) < 0 && errno != EEXIST)
		err(1, "mkdir %s", target);
	must(mount(type, target, type, flags, data), target);
}

static void bind(const char *source, const char *target, unsigned long flags)
{
	must(mount(source, target, NULL, MS_BIND | MS_REC, NULL), target);
	if (flags)
		must(mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | flags, NULL), target);
}

static void make_devices(void)
{
	static const struct {
		const char *name;
		int major, minor;
	} nodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},	  {"dev/full", 1, 7},
		     {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
	static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
					       {"/proc/self/fd/0", "dev/stdin"},
					       {"/proc/self/fd/1", "dev/stdout"},
					       {"/proc/self/fd/2", "dev/stderr"},
					       {"pts/ptmx", "dev/ptmx"}};

	for (size_t i = 0; i < COUNT(nodes); i++)
		must(mknod(nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].name);
	for (size_t i = 0; i < COUNT(links); i++)
		must(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void mount_cgroups(void)
{
	char source[512], target[64];

	fresh("tmpfs", "sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755");
	for (size_t i = 0; i < COUNT(hierarchies); i++) {
		bool named = strcmp(hierarchies[i], "systemd") == 0;

		snprintf(target, sizeof target, "sys/fs/cgroup/%s", hierarchies[i]);
		snprintf(source, sizeof source, "%s%s", named ? "none,name=" : "", hierarchies[i]);
		must(mkdir(target, 0755), target);
		must(mount("cgroup", target, "cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, source), target);
	}
	must(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		   NULL),
	     "remount sys/fs/cgroup");
}

static void enter_root(void)
{
	static const unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "propagation");
	must(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), rootfs);
	must(chdir(rootfs), rootfs);
	fresh("proc", "proc", safe, NULL);
	fresh("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	if (realistic) {
		fresh("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
		fresh("mqueue", "dev/mqueue", safe, NULL);
		fresh("tmpfs", "dev/shm", safe, "mode=1777,size=67108864");
		fresh("sysfs", "sys", safe | MS_RDONLY, NULL);
		mount_cgroups();
		bind("../etc/resolv.conf", "etc/resolv.conf", 0);
		bind("../etc/hostname", "etc/hostname", 0);
		bind("../etc/hosts", "etc/hosts", 0);
	}
	make_devices();
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "detach the old root");
	must(chdir("/"), "chdir");
}

/* As Docker has them; what this kernel does not have is passed over, as the specification says. */
static void hide_paths(void)
{
	static const char *const masked[] = {"/proc/acpi",	  "/proc/asound",     "/proc/interrupts",
					     "/proc/kcore",	  "/proc/keys",	      "/proc/latency_stats",
					     "/proc/scsi",	  "/proc/timer_list", "/proc/timer_stats",
					     "/proc/sched_debug", "/sys/firmware",    "/sys/devices/virtual/powercap"};
	static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
					       "/proc/sysrq-trigger"};
	struct stat st;

	for (size_t i = 0; i < COUNT(masked); i++) {
		if (stat(masked[i], &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			must(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL), masked[i]);
		else
			must(mount("/dev/null", masked[i], NULL, MS_BIND, NULL), masked[i]);
	}
	for (size_t i = 0; i < COUNT(readonly); i++)
		if (stat(readonly[i], &st) == 0)
			bind(readonly[i], readonly[i], MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

static void confine(void)
{
	static const uint64_t docker_capabilities = 0xa80425fb;
	static const struct rlimit nofile = {1024, 1024};
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{docker_capabilities, docker_capabilities, 0}, {0, 0, 0}};

	must(setrlimit(RLIMIT_NOFILE, &nofile), "RLIMIT_NOFILE");
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (c >= 32 || !(docker_capabilities >> c & 1))
			must(prctl(PR_CAPBSET_DROP, c, 0, 0, 0), "bounding set");
	must(syscall(SYS_setgroups, 0, NULL), "setgroups");
	must(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
	must(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(syscall(SYS_capset, &header, data), "capset");
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
}

static void load_filter(const char *path)
{
	static struct sock_filter code[BPF_MAXINSNS];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	must(fd, path);
	n = read(fd, code, sizeof code);
	must(n, path);
	close(fd);
	filter = (struct sock_fprog){(unsigned short)((size_t)n / sizeof *code), code};
}

static void child(int ready, char *command)
{
	char *argv[] = {command, NULL};
	char *envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	char byte;

	if (by_procs)
		must(read(ready, &byte, 1) == 1 ? 0 : -1, "wait for the cgroup");
	else
		enter_cgroups("tasks", "0");
	must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
	must(sethostname("bench", 5), "sethostname");
	enter_root();
	if (realistic) {
		hide_paths();
		confine();
	}
	must(syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC), "close_range");
	execve(command, argv, envp);
	err(127, "%s", command);
}

int main(int argc, char **argv)
{
	struct clone_args args = {
	    .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	    .exit_signal = SIGCHLD,
	};
	char pid_text[24];
	int ready[2], status;
	long pid;

	if (argc > 1 && strcmp(argv[1], "-p") == 0) {
		by_procs = true;
		argv++, argc--;
	}
	if (argc != 7)
		errx(2, "usage: floor [-p] bare|realistic ROOTFS CGROUP BPF MEMORY COMMAND");
	realistic = strcmp(argv[1], "realistic") == 0;
	rootfs = argv[2];
	cgroup = argv[3];
	memory = argv[5];
	if (realistic)
		load_filter(argv[4]);

	make_cgroups();
	must(pipe2(ready, O_CLOEXEC), "pipe");
	pid = syscall(SYS_clone3, &args, sizeof args);
	must(pid, "clone3");
	if (pid == 0)
		child(ready[0], argv[6]);
	if (by_procs) {
		snprintf(pid_text, sizeof pid_text, "%ld", pid);
		enter_cgroups("cgroup.procs", pid_text);
		must(write(ready[1], "", 1), "let the child go");
	}
	must(waitpid((pid_t)pid, &status, 0), "waitpid");
	remove_cgroups();
	if (!WIFEXITED(status))
		errx(1, "killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}
