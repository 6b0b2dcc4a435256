/*
 * The preamble's own declarations: its state, how an operation reports a failure, and who executes what.
 */
#ifndef BAILEY_PREAMBLE_H
#define BAILEY_PREAMBLE_H

#include "sys.h"
#include "wire.h"

/* argv[0] by which an execution of the binary is the preamble; argv[1] is the socket. */
#define PREAMBLE_NAME "bailey-init"

struct preamble {
	int socket; /* to bailey; later to `bailey start` */
	const struct wire_header *plan;
	char *base;		  /* of the plan */
	const struct wire_op *op; /* being executed */
	/* Of a failure: the system call, and what it was given besides what the operation names. */
	const char *syscall;
	char object[512];
	int evidence; /* a descriptor of what it was about, for bailey to look at, or 0 */
	int slot[WIRE_MAX_SLOTS];
	unsigned char attached[WIRE_MAX_SLOTS]; /* the mount in the slot is attached somewhere */
};

/* All operations return 0 or a negative errno, having named the system call through failed(). */
typedef int operation(struct preamble *p, const struct wire_op *op);

/* Notes the failing system call and its object (may be null) and returns err. */
int failed(struct preamble *p, long err, const char *syscall, const char *object);

/* Adds to a failure what it was about. The descriptor stays the caller's. */
void note_evidence(struct preamble *p, int fd);

/* A piece that validation has made sure of. */
static inline const char *string_of(const struct preamble *p, struct wire_ref r)
{
	return p->base + r.off;
}

/* A null-terminated array of the list's strings, in the plan's own memory. */
char **list_of(const struct preamble *p, struct wire_ref r);

static inline int slot_of(const struct preamble *p, int16_t slot)
{
	return slot == WIRE_NO_SLOT ? -1 : p->slot[slot];
}

void set_slot(struct preamble *p, int16_t slot, int fd);

/* message.c */
void send_message(struct preamble *p, uint32_t type, int32_t value, const char *data, uint32_t len, int fd);
int receive_message(struct preamble *p, struct wire_message *m, int *fds, uint32_t *nfds);
int await_message(struct preamble *p, uint32_t type);
__attribute__((noreturn)) void give_up(struct preamble *p, int err);

/* paths.c: files below a root directory, whatever symbolic links lie there */
enum links {
	FOLLOW,	      /* inside the root */
	NO_FOLLOW,    /* the last part of a path is meant itself, if it is a link */
	REFUSE_LINKS, /* anywhere in a path */
};

int open_in_root(struct preamble *p, int root, const char *path, size_t len, enum links links);
int create_in_root(struct preamble *p, int root, const char *path, size_t len, enum wire_create kind, unsigned mode,
		   enum links links);
int open_parent(struct preamble *p, int root, const char *path, const char **base);
int type_of(int fd);
/* Adds to a failure (EACCES) how far of the path this process gets */
void note_reached(struct preamble *p, int root, const char *path);

/* device.c */
unsigned device_number(unsigned major, unsigned minor);

/* copy.c: what is in the directory from, into the empty directory to */
int copy_tree(struct preamble *p, int from, int to);

/* own.c: a file of our own procfs; no part of the path may be a link or lie on another mount */
int open_proc_file(struct preamble *p, int proc, const char *path, int flags);

/* seal.c: a child that does something in our place, and whose failure is ours */
struct child {
	int pid, pipe;
};

int start_child(struct preamble *p, struct child *c);
__attribute__((noreturn)) void end_child(struct preamble *p, const struct child *c, int err);
int await_child(struct preamble *p, const struct child *c);

/* The operations: joining in join.c, namespaces in own.c, the seal in seal.c and prove.c, mounts in mount.c, devices and the terminal in
   device.c, hooks in hook.c, privileges in privilege.c, the way to the payload in payload.c. */
#define X(name, function, slots, refs, flags) operation function;
WIRE_CODES(X)
#undef X

/* preamble.c */
__attribute__((noreturn)) void preamble_main(int socket);

#endif
