/*
 * What the Go side sees of the preamble: how to start one, and the one that was started early.
 */
#ifndef BAILEY_ENTRY_H
#define BAILEY_ENTRY_H

struct preamble_process {
	int pid;	  /* or 0 */
	int socket;	  /* bailey's end, close-on-exec */
	int error;	  /* errno, or 0 */
	const char *step; /* that failed */
};

/* Started by the ELF entry point, when the command line looked like one that needs a preamble. */
extern struct preamble_process preamble_early;

/*
 * The signals that the entry point has blocked for a command that passes them on to a payload (bit n-1:
 * signal n). Every thread inherits that, so that signalfd(2) gets them all; Go's own way to catch signals
 * costs two context switches for each of them.
 */
extern unsigned long preamble_held_signals;

/* Starts a preamble. suspend: the caller is held until the exec, so that no page tables are copied. */
void preamble_spawn(struct preamble_process *pre, int suspend);

#endif
