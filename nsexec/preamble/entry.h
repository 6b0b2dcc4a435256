/*
 * What the entry point leaves for Go.
 */
#ifndef BAILEY_ENTRY_H
#define BAILEY_ENTRY_H

#include <stdint.h>

struct preamble_early {
	int32_t pid;	/* of a preamble that was started early, or 0 */
	int32_t socket; /* bailey's end, close-on-exec */
	/* The process's own timer slack in ns, 0 where it has been left as it was. */
	uint64_t timer_slack;
	/* Why the new process has not become the preamble: errno, or 0, and the name of the system call. */
	int32_t error;
	const char *syscall;

	/* What follows is the new process's until it executes: it shares our memory, and needs a stack. */
	const char *image;
	uint64_t image_len;
	int32_t its_socket;
	char stack[2048];
};

#endif
