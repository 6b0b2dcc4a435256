/*
 * The wire format between bailey (Go) and its preamble (C): one sealed memfd with the plan, and short
 * messages over one SOCK_SEQPACKET socket pair. This header is its only definition; what the Go encoder
 * knows of it (nsexec/wire_generated.go) is generated from it.
 *
 * A plan is a header, a table of fixed-size operations and an arena of strings and blobs:
 *
 *     struct wire_header | struct wire_op [op_count] | arena
 *
 * Everything is in the machine's own byte order and aligned to 8 bytes. The preamble validates all of
 * it (wire_validate) before it executes the first operation.
 */
#ifndef BAILEY_WIRE_H
#define BAILEY_WIRE_H

#include <stdint.h>

#define WIRE_MAGIC     0x31594c42u /* "BLY1" */
#define WIRE_VERSION   1u
#define WIRE_MAX_SIZE  (64u << 20) /* bytes of a whole plan */
#define WIRE_MAX_OPS   8192u
#define WIRE_MAX_SLOTS 4096u /* descriptors that a plan can name */
#define WIRE_NO_SLOT   (-1)

/* A piece of the arena. A string's length counts its NUL. An absent piece is {0, 0}. */
struct wire_ref {
	uint32_t off, len;
};

/*
 * A list of strings in the arena, 8-aligned: the number of strings, room for that many pointers and a
 * null pointer (zero on the wire; the preamble fills it in), then the strings, each with its NUL.
 */
struct wire_list {
	uint64_t count;
	uint64_t pointer[];
};

struct wire_op {
	uint16_t code;	 /* enum wire_code */
	uint16_t flags;	 /* WIRE_FLAG_*, those that the code knows */
	int16_t slot[4]; /* descriptors, or WIRE_NO_SLOT */
	uint32_t index;	 /* the operation's place in the plan, for reports */
	uint64_t num[4];
	struct wire_ref ref[3];
};

struct wire_header {
	uint32_t magic, version;
	uint32_t size; /* of the whole plan */
	uint32_t op_count, op_size;
	uint32_t arena_off, arena_len;
	uint32_t slot_count;
	uint32_t fault_op, fault_kind; /* fault injection; ignored unless built with BAILEY_FAULTS */
};

/* What VERIFY compares. */
struct wire_verify {
	uint32_t uid, gid;
	uint64_t bounding, effective, permitted, inheritable, ambient;
	uint32_t no_new_privs, securebits;
};

#define WIRE_FLAG_RECURSIVE   1u    /* SET_MOUNT_ATTRIBUTES, REMOUNT */
#define WIRE_FLAG_NO_SYMLINKS 1u    /* ATTACH */
#define WIRE_FLAG_COPY_UP     2u    /* ATTACH */
#define WIRE_FLAG_KEEP_MODE   4u    /* ATTACH */
#define WIRE_FLAG_NO_FOLLOW   8u    /* ATTACH */
#define WIRE_FLAG_EXACT	      1u    /* MAKE_SYMLINK */
#define WIRE_FLAG_TAKE_LINK   2u    /* CLONE_TREE */
#define WIRE_FLAG_KEEP_GROUPS 1u    /* BECOME_ROOT, SET_IDS */
#define WIRE_SECUREBITS	      0xefu /* SET_CAPABILITIES: SECBIT_* themselves */

/* What ATTACH makes where its target does not exist (num[0]). */
enum wire_create { WIRE_CREATE_NOTHING, WIRE_CREATE_DIRECTORY, WIRE_CREATE_FILE, WIRE_CREATE_LIKE_SOURCE };

enum wire_lsm { WIRE_LSM_APPARMOR, WIRE_LSM_SELINUX };

/*
 * The operations: name, the preamble's function, use of the four slots, use of the three refs, known flags.
 * Slots: i = in, o = out, ? = in or none, - = none.
 * Refs: s = string, ? = string or none, l = list, L = list or none, b = blob, B = blob or none, - = none.
 */
#define WIRE_CODES(X)                                                                                                  \
	X(NOT_DUMPABLE, not_dumpable, "----", "---", 0)                                                                \
	X(SET_DUMPABLE, set_dumpable, "----", "---", 0)	    /* num: 0 or 1 */                                          \
	X(JOIN_NAMESPACE, join_namespace, "i---", "---", 0) /* num: kind */                                            \
	X(JOIN_CONTAINER, join_container, "i---", "---", 0) /* num: kinds */                                           \
	X(JOIN_CGROUP, join_cgroup, "i---", "---", 0)                                                                  \
	X(CLONE, clone_init, "?---", "---", 0) /* slot: cgroup; num: CLONE_* */                                        \
	X(ASK, ask, "?---", "---", 0)	       /* slot: to send along; num: count of actions from index on */          \
	X(BECOME_ROOT, become_root, "----", "---", WIRE_FLAG_KEEP_GROUPS)                                              \
	X(UNSHARE, unshare_namespaces, "----", "---", 0)		/* num: kinds */                               \
	X(ENTER_TIME_NAMESPACE, enter_time_namespace, "i---", "---", 0) /* slot: proc */                               \
	X(OPEN_PROC, open_proc, "o---", "---", 0)                                                                      \
	X(LOOPBACK_UP, loopback_up, "----", "---", 0)                                                                  \
	X(SET_HOSTNAME, set_hostname, "----", "s--", 0)                                                                \
	X(SET_DOMAINNAME, set_domainname, "----", "s--", 0)                                                            \
	X(WRITE_SYSCTL, write_sysctl, "i---", "ss-", 0)	      /* slot: proc; ref: key, value */                        \
	X(SET_PROPAGATION, set_propagation, "----", "---", 0) /* num: type */                                          \
	X(ATTACH_ROOT, attach_root, "i---", "?--", 0)                                                                  \
	X(CLONE_TREE, clone_tree, "o---", "s--",                                                                       \
	  WIRE_FLAG_RECURSIVE |                                                                                        \
	      WIRE_FLAG_TAKE_LINK) /* num: file system's magic number, file type, device; each or 0 */                 \
	X(NEW_FILESYSTEM, new_filesystem, "o---", "s?L", 0) /* num: attributes; ref: type, source, options */          \
	X(SET_MOUNT_ATTRIBUTES, set_mount_attributes, "i---", "---",                                                   \
	  WIRE_FLAG_RECURSIVE) /* num: set, clear, propagation */                                                      \
	X(ATTACH, attach, "ii--", "s--",                                                                               \
	  WIRE_FLAG_NO_SYMLINKS | WIRE_FLAG_COPY_UP | WIRE_FLAG_KEEP_MODE |                                            \
	      WIRE_FLAG_NO_FOLLOW)				/* slot: source, root; num: create */                  \
	X(OPEN_MOUNT, open_mount, "o---", "s--", 0)		/* num: the filesystem's magic number, or 0 */         \
	X(UNMOUNT, unmount, "i---", "s--", 0)			/* slot: root */                                       \
	X(REMOUNT, remount, "i---", "s--", WIRE_FLAG_RECURSIVE) /* slot: root; num: set, clear, propagation */         \
	X(MAKE_DIRECTORY, make_directory, "i---", "s--", 0)	/* slot: root; num: mode */                            \
	X(MAKE_DEVICE, make_device, "i---", "s--", 0) /* slot: root; num: mode with type, device number, uid, gid */   \
	X(MAKE_SYMLINK, make_symlink, "i---", "ss-", WIRE_FLAG_EXACT) /* slot: root; ref: path, target */              \
	X(OPEN_CONSOLE, open_console, "?oo-", "---", 0)	    /* slot: devpts, slave, master; num: columns, rows, uid */ \
	X(ATTACH_CONSOLE, attach_console, "ii--", "s--", 0) /* slot: slave, root */                                    \
	X(PIVOT_ROOT, pivot_into, "i---", "---", 0)                                                                    \
	X(MOVE_ROOT, move_root, "i---", "---", 0)                                                                      \
	X(CHROOT, enter_root, "i---", "---", 0)                                                                        \
	X(MASK_PATH, mask_path, "iii-", "s--", 0)		/* slot: root, null, empty */                          \
	X(READONLY_PATH, readonly_path, "i---", "s--", 0)	/* slot: root */                                       \
	X(LIMIT_NAMESPACES, limit_namespaces, "i---", "l--", 0) /* slot: proc; ref: key, number, ... */                \
	X(SEAL, seal, "i---", "ssL", 0) /* slot: proc; num: kinds; ref: uid map, gid map, limits as above */           \
	X(PROVE_SEAL, prove_seal, "i---", "LL-", 0)	  /* slot: proc; ref: masked, read-only paths */               \
	X(RUN_HOOK, run_hook, "?---", "sll", 0)		  /* slot: state; num: timeout in ms; ref: path, args, env */  \
	X(DROP_BOUNDING, drop_bounding, "----", "---", 0) /* num: keep */                                              \
	X(JOIN_KEYRING, join_keyring, "----", "s--", 0)                                                                \
	X(SET_EXEC_LABEL, set_exec_label, "i---", "s--", 0) /* slot: proc; num: enum wire_lsm */                       \
	X(NEW_SESSION, new_session, "----", "---", 0)                                                                  \
	X(REOPEN_CONSOLE, reopen_console, "i---", "---", 0)                                                            \
	X(USE_CONSOLE, use_console, "i---", "---", 0)                                                                  \
	X(SET_MEMORY_POLICY, set_memory_policy, "----", "B--",                                                         \
	  0) /* num: mode with flags, bits of the mask; ref: the mask */                                               \
	X(SET_PERSONALITY, set_personality, "----", "---", 0)                                                          \
	X(SET_UMASK, set_umask, "----", "---", 0)                                                                      \
	X(SET_IDS, set_ids, "----", "B--", WIRE_FLAG_KEEP_GROUPS) /* num: uid, gid; ref: uint32_t groups */            \
	X(SET_CAPABILITIES, set_capabilities, "----", "---",                                                           \
	  WIRE_SECUREBITS) /* num: effective, permitted, inheritable, ambient */                                       \
	X(SET_NO_NEW_PRIVS, set_no_new_privs, "----", "---", 0)                                                        \
	X(CHANGE_DIRECTORY, change_directory, "----", "s--", 0)                                                        \
	X(RESOLVE_EXECUTABLE, resolve_executable, "----", "sl-", 0)                                                    \
	X(VERIFY, verify, "----", "b--", 0) /* ref: struct wire_verify */                                              \
	X(AWAIT_START, await_start, "?---", "---",                                                                     \
	  0) /* slot: listener; num: slot for the state, or -1; how many above 2 stay */                               \
	X(CLOSE_DESCRIPTORS, close_descriptors, "----", "---", 0) /* num: how many above 2 stay */                     \
	X(LOAD_SECCOMP, load_seccomp, "----", "b--", 0)		  /* num: flags; ref: struct sock_filter[] */          \
	X(EXEC, execute, "----", "lll", 0)			  /* ref: candidates, argv, env */

enum wire_code {
	WIRE_CODE_NONE = 0,
#define X(name, function, slots, refs, flags) WIRE_OP_##name,
	WIRE_CODES(X)
#undef X
	    WIRE_CODE_END
};

/* Messages. `data` follows the struct in the same packet. */
#define WIRE_MESSAGE_DATA 1024u
#define WIRE_MESSAGE_FDS  64u

struct wire_message {
	uint32_t kind;	/* enum wire_type */
	uint32_t index; /* ASK, FAILED: the operation's place in the plan */
	int32_t value;	/* FAILED, ANSWER: errno, or 0 */
	uint32_t len;	/* of data */
};

enum wire_type {
	/* bailey → preamble */
	WIRE_PLAN = 1,	  /* one descriptor: the plan */
	WIRE_DESCRIPTORS, /* descriptors; data: a uint16_t slot for each */
	WIRE_ANSWER,	  /* go on (value 0), or give up */
	WIRE_START,	  /* let the payload go */
	/* preamble → bailey */
	WIRE_ASK,      /* do the actions from index on (value: how many); a descriptor may come along */
	WIRE_FAILED,   /* data: the system call, NUL, the object, NUL; perhaps a descriptor of what it was about */
	WIRE_FAULT,    /* fault injection: end yourself */
	WIRE_LISTENER, /* the filter is loaded now; value: the number that its listener's descriptor will have */
};

/* Returns 0, or the reason why the plan is refused. Pure: it reads nothing but the plan. */
const char *wire_validate(const void *plan, uint64_t size);

#endif
