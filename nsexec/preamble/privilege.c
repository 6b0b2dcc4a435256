/*
 * Giving up privilege: capabilities, IDs, labels, the filter; and proof that it is gone.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#define ALL_CAPABILITIES 64 /* the kernel answers EINVAL from the first that it does not know */

/* Asks for each of the capabilities in mask whether a set has it. */
static uint64_t read_set(int option, int argument, uint64_t mask)
{
	uint64_t set = 0;

	for (int cap = 0; cap < ALL_CAPABILITIES; cap++) {
		if (!(mask >> cap & 1))
			continue;
		long has = argument ? sys_5(prctl, option, argument, cap, 0, 0) : sys_5(prctl, option, cap, 0, 0, 0);
		if (has < 0)
			break;
		set |= (uint64_t)(has > 0) << cap;
	}
	return set;
}

/* Drops all but the capabilities to keep. Those that are gone already need no CAP_SETPCAP. VERIFY reads back. */
int drop_bounding(struct preamble *p, const struct wire_op *op)
{
	for (int cap = 0; cap < ALL_CAPABILITIES; cap++) {
		if (op->num[0] >> cap & 1)
			continue;
		long err = sys_5(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
		if (err == -EPERM && sys_5(prctl, PR_CAPBSET_READ, cap, 0, 0, 0) <= 0)
			continue;
		if (err == -EINVAL)
			break;
		if (err < 0)
			return failed(p, err, "prctl(PR_CAPBSET_DROP)", 0);
	}
	return 0;
}

/* KEEPCAPS: the permitted set outlives the change of user, so that SET_CAPABILITIES can choose from it. */
int set_ids(struct preamble *p, const struct wire_op *op)
{
	long err;

	if (!(op->flags & WIRE_FLAG_KEEP_GROUPS) &&
	    (err = sys_2(setgroups, op->ref[0].len / 4, string_of(p, op->ref[0]))) < 0)
		return failed(p, err, "setgroups", 0);
	if ((err = sys_3(setresgid, op->num[1], op->num[1], op->num[1])) < 0)
		return failed(p, err, "setresgid", 0);
	if ((err = sys_5(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0)) < 0)
		return failed(p, err, "prctl(PR_SET_KEEPCAPS)", 0);
	if ((err = sys_3(setresuid, op->num[0], op->num[0], op->num[0])) < 0)
		return failed(p, err, "setresuid", 0);
	return failed(p, sys_5(prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)", 0);
}

/* capset(2) of the operation's sets and, beyond them, of what more permits and makes effective. */
static long set_sets(const struct wire_op *op, uint64_t more)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	for (int i = 0; i < 2; i++)
		d[i] = (struct __user_cap_data_struct){.effective = (uint32_t)((op->num[0] | more) >> 32 * i),
						       .permitted = (uint32_t)((op->num[1] | more) >> 32 * i),
						       .inheritable = (uint32_t)(op->num[2] >> 32 * i)};
	return sys_2(capset, &h, d);
}

/*
 * Securebits take CAP_SETPCAP, which the sets need not have, so that it is dropped last; and they come after the
 * ambient set, which one of them forbids to raise.
 */
int set_capabilities(struct preamble *p, const struct wire_op *op)
{
	uint64_t more = op->flags ? 1ULL << CAP_SETPCAP : 0;
	long err = set_sets(op, more);

	if (err < 0)
		return failed(p, err, "capset", 0);
	err = sys_5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (err < 0)
		return failed(p, err, "prctl(PR_CAP_AMBIENT_CLEAR_ALL)", 0);
	for (int cap = 0; cap < ALL_CAPABILITIES; cap++) {
		if (!(op->num[3] >> cap & 1))
			continue;
		err = sys_5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
		if (err < 0)
			return failed(p, err, "prctl(PR_CAP_AMBIENT_RAISE)", 0);
	}
	if (!op->flags)
		return 0;
	/* Those that bailey was started with, under a service manager for one, stay; locked ones would have to. */
	long bits = sys_5(prctl, PR_GET_SECUREBITS, 0, 0, 0, 0);
	if (bits < 0)
		return failed(p, bits, "prctl(PR_GET_SECUREBITS)", 0);
	if ((err = sys_5(prctl, PR_SET_SECUREBITS, bits | op->flags, 0, 0, 0)) < 0)
		return failed(p, err, "prctl(PR_SET_SECUREBITS)", 0);
	return failed(p, set_sets(op, 0), "capset", 0);
}

int set_no_new_privs(struct preamble *p, const struct wire_op *op)
{
	(void)op;
	return failed(p, sys_5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)", 0);
}

/* Reads back what the kernel holds; a runtime that only asks cannot know what it got. */
int verify(struct preamble *p, const struct wire_op *op)
{
	const struct wire_verify *want = (const void *)string_of(p, op->ref[0]);
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	uint32_t id[3];

	long err = sys_3(getresuid, &id[0], &id[1], &id[2]);
	if (err < 0 || id[0] != want->uid || id[1] != want->uid || id[2] != want->uid)
		return failed(p, err < 0 ? err : -EIO, "getresuid", "another user ID than was set");
	err = sys_3(getresgid, &id[0], &id[1], &id[2]);
	if (err < 0 || id[0] != want->gid || id[1] != want->gid || id[2] != want->gid)
		return failed(p, err < 0 ? err : -EIO, "getresgid", "another group ID than was set");
	if ((err = sys_2(capget, &h, d)) < 0)
		return failed(p, err, "capget", 0);
	if ((d[0].effective | (uint64_t)d[1].effective << 32) != want->effective)
		return failed(p, -EIO, "capget", "another effective set than was set");
	if ((d[0].permitted | (uint64_t)d[1].permitted << 32) != want->permitted)
		return failed(p, -EIO, "capget", "another permitted set than was set");
	if ((d[0].inheritable | (uint64_t)d[1].inheritable << 32) != want->inheritable)
		return failed(p, -EIO, "capget", "another inheritable set than was set");
	if (read_set(PR_CAPBSET_READ, 0, ~0ULL) != want->bounding)
		return failed(p, -EIO, "prctl(PR_CAPBSET_READ)", "another bounding set than was set");
	/* The kernel keeps no other capability in it (capabilities(7)). */
	uint64_t could = want->permitted & want->inheritable;
	if (read_set(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, could) != want->ambient)
		return failed(p, -EIO, "prctl(PR_CAP_AMBIENT)", "another ambient set than was set");
	long bits = sys_5(prctl, PR_GET_SECUREBITS, 0, 0, 0, 0);
	if (bits < 0 || (want->securebits & ~(uint64_t)bits))
		return failed(p, bits < 0 ? bits : -EIO, "prctl(PR_GET_SECUREBITS)", "fewer securebits than were set");
	long nnp = sys_5(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	if (nnp < 0 || (want->no_new_privs && !nnp))
		return failed(p, -EIO, "prctl(PR_GET_NO_NEW_PRIVS)", "no_new_privs is not set");
	return 0;
}

/* The payload's user must be able to find the keyring that root made: KEY_USR_SEARCH. */
int join_keyring(struct preamble *p, const struct wire_op *op)
{
	char text[256];
	long ring = sys_2(keyctl, KEYCTL_JOIN_SESSION_KEYRING, string_of(p, op->ref[0]));

	if (ring == -ENOSYS) /* a kernel without keyrings has none to protect either */
		return 0;
	if (ring < 0)
		return failed(p, ring, "keyctl(KEYCTL_JOIN_SESSION_KEYRING)", 0);
	long n = sys_4(keyctl, KEYCTL_DESCRIBE, ring, text, sizeof text);
	if (n < 0)
		return failed(p, n, "keyctl(KEYCTL_DESCRIBE)", 0);
	/* type;uid;gid;permissions in hexadecimal;name */
	uint32_t permissions = 0;
	int field = 0;
	for (long i = 0; i < n && i < (long)sizeof text && text[i] && field < 4; i++) {
		char c = text[i];
		if (c == ';')
			field++;
		else if (field == 3)
			permissions = permissions << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return failed(p, sys_3(keyctl, KEYCTL_SETPERM, ring, permissions | 0x080000), "keyctl(KEYCTL_SETPERM)", 0);
}

static int write_label(struct preamble *p, int proc, const char *path, const char *label, size_t len)
{
	struct open_how how = {.flags = O_RDWR | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
	long fd = sys_4(openat2, proc, path, &how, sizeof how);

	if (fd < 0)
		return failed(p, fd, "openat2", path);
	long n = sys_3(write, fd, label, len);
	sys_close((int)fd);
	return failed(p, n < 0 ? n : 0, "write", path);
}

/* AppArmor has a directory of its own since Linux 5.8; SELinux the plain file. */
int set_exec_label(struct preamble *p, const struct wire_op *op)
{
	const char *label = string_of(p, op->ref[0]);
	int proc = slot_of(p, op->slot[0]);
	size_t len = str_len(label);
	char text[512] = "exec ", got[512];
	static const char apparmor[] = "thread-self/attr/apparmor/exec", plain[] = "thread-self/attr/exec";
	const char *path = plain;

	if (len > sizeof text - 6)
		return failed(p, -ENAMETOOLONG, "write", label);
	if (op->num[0] == WIRE_LSM_SELINUX) {
		int err = write_label(p, proc, plain, label, len);
		if (err)
			return err;
	} else {
		memcpy(text + 5, label, len);
		int err = write_label(p, proc, path = apparmor, text, len + 5);
		if (err == -ENOENT)
			err = write_label(p, proc, path = plain, text, len + 5);
		if (err)
			return err;
	}
	long fd = sys_3(openat, proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(p, fd, "openat", path);
	long n = sys_3(read, fd, got, sizeof got - 1);
	sys_close((int)fd);
	if (n < 0)
		return failed(p, n, "read", path);
	/* AppArmor adds " (enforce)" or another mode, both a newline or a NUL. */
	if ((size_t)n < len || memcmp(got, label, len) != 0)
		return failed(p, -EIO, "read back", path);
	return 0;
}

/* The number that the next descriptor gets. */
static long next_descriptor(struct preamble *p)
{
	long fd = sys_3(fcntl, p->socket, F_DUPFD_CLOEXEC, 0);

	if (fd >= 0)
		sys_close((int)fd);
	return fd;
}

/*
 * The listener's descriptor ends with exec, and the filter may send any system call to the listener, which nobody
 * serves yet. So bailey is told beforehand where it will be, and takes it out of this process (pidfd_getfd); until
 * then this waits in the one system call that has to be made under the filter, a read. If that is sent to the
 * listener, too, bailey answers it.
 */
static int load_with_listener(struct preamble *p, uint64_t flags, const struct sock_fprog *program)
{
	struct wire_message m;
	long fd = next_descriptor(p);

	if (fd < 0)
		return failed(p, fd, "fcntl(F_DUPFD_CLOEXEC)", 0);
	send_message(p, WIRE_LISTENER, (int32_t)fd, 0, 0, -1);
	long got = sys_3(seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
	if (got < 0)
		return failed(p, got, "seccomp", 0);
	if (got != fd)
		return failed(p, -EBADFD, "seccomp", "the listener");
	got = sys_3(read, p->socket, &m, sizeof m);
	if (got == 0)
		return failed(p, -ECONNRESET, "read", 0);
	if (got != (long)sizeof m || m.kind != WIRE_ANSWER || m.value)
		return failed(p, got < 0 ? got : -ECANCELED, "read", "the filter must allow it");
	return 0;
}

int load_seccomp(struct preamble *p, const struct wire_op *op)
{
	struct sock_fprog program = {.len = (unsigned short)(op->ref[0].len / sizeof(struct sock_filter)),
				     .filter = (void *)(p->base + op->ref[0].off)};

	if (op->num[0] & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		return load_with_listener(p, op->num[0], &program);
	long err = sys_3(seccomp, SECCOMP_SET_MODE_FILTER, op->num[0], &program);
	if (err > 0) /* TSYNC: a thread that could not be synchronised; there is only one here */
		err = -ESRCH;
	return failed(p, err, "seccomp", 0);
}
