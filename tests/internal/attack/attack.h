/* What the programs that attack have in common. */
#ifndef BAILEY_TESTS_ATTACK_H
#define BAILEY_TESTS_ATTACK_H

#include <errno.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/mount.h> and <sched.h> cannot be had together with the kernel's. */
#define DETACH	 2 /* MNT_DETACH */
#define TRY(...) ((__VA_ARGS__) < 0 ? errno : 0)
#define THEN(...)                         \
	do {                              \
		int err_ = (__VA_ARGS__); \
		if (err_)                 \
			return err_;      \
	} while (0)

static inline int unshare_(unsigned long kinds)
{
	return TRY(syscall(SYS_unshare, kinds));
}

static inline int mount_(const char *source, const char *target, const char *type, unsigned long flags)
{
	return TRY(syscall(SYS_mount, source, target, type, flags, 0));
}

static inline int umount_(const char *target)
{
	return TRY(syscall(SYS_umount2, target, DETACH));
}

/* A child in new namespaces that tries something, and what has come of it. */
static inline int in_child(unsigned long kinds, int (*try)(void))
{
	int status;
	long pid = syscall(SYS_clone, kinds | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(try ? try() : 0);
	while (waitpid((pid_t)pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : ESRCH;
}

/* Whether we are in namespaces of a container: what works elsewhere is done to the machine. */
static inline int is_contained(void)
{
	static const struct {
		const char *file;
		ino_t
		    initial; /* PROC_UTS_INIT_INO and kin of linux/proc_ns.h, which the kernel promises not to change */
	} namespaces[] = {{"/proc/self/ns/uts", 0xEFFFFFFE}, {"/proc/self/ns/pid", 0xEFFFFFFC}};
	struct stat st, mounts, init;

	for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++)
		if (stat(namespaces[i].file, &st) < 0 || st.st_ino == namespaces[i].initial)
			return 0;
	/* The first process is the container's, and lives in the same mounts. */
	return stat("/proc/self/ns/mnt", &mounts) == 0 &&
	       (stat("/proc/1/ns/mnt", &init) < 0 || init.st_ino == mounts.st_ino);
}

#endif
