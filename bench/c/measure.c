/*
 * measure COMMAND [ARG...]
 *
 * Runs COMMAND and writes to descriptor 3: wall clock in ns, user and system time in µs (of it and of the
 * children it waited for), peak resident set in KiB, wait status. In C and static because a process's
 * peak includes what its parent had resident when it forked: a Go program's would hide a small runtime's.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long micro(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	long long begin, end;
	int status;
	pid_t pid;

	if (argc < 2)
		errx(2, "usage: measure COMMAND [ARG...]");
	if (fcntl(3, F_SETFD, FD_CLOEXEC) < 0)
		err(1, "descriptor 3");
	begin = now();
	errno = posix_spawn(&pid, argv[1], NULL, NULL, argv + 1, environ);
	if (errno)
		err(1, "%s", argv[1]);
	if (wait4(pid, &status, 0, &usage) < 0)
		err(1, "wait4");
	end = now();
	if (dprintf(3, "%lld %lld %lld %ld %d\n", end - begin, micro(usage.ru_utime), micro(usage.ru_stime),
		    usage.ru_maxrss, status) < 0)
		err(1, "write to descriptor 3");
	return 0;
}
