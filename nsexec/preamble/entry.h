/*
 * What the entry point leaves for Go.
 */
#ifndef BAILEY_ENTRY_H
#define BAILEY_ENTRY_H

#include <stdint.h>

/* The system calls by which a process becomes the preamble. */
enum become_step {
	BECOME_MEMFD_CREATE,
	BECOME_WRITE,
	BECOME_SEAL,
	BECOME_EXECVEAT,
	BECOME_STEPS,
};

struct preamble_early {
	int32_t pid;	/* of a preamble that was started early, or 0 */
	int32_t socket; /* bailey's end, close-on-exec */
	/* The process's own timer slack in ns, 0 where it has been left as it was. */
	uint64_t timer_slack;
	/* Why it has not become the preamble, if it has ended with 127. */
	int32_t error; /* errno */
	uint32_t step; /* enum become_step */

	/* What follows is the new process's until it executes: it shares our memory, and needs a stack. */
	const char *image;
	uint64_t image_len;
	int64_t its_socket;
	char stack[2048];
};

#endif
