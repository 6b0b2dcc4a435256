/*
 * The executor: receives a plan, checks it, and carries it out operation by operation.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/stat.h>
#include <signal.h>
#include <sys/mman.h>

int failed(struct preamble *p, long err, const char *syscall, const char *object)
{
	size_t n = 0;

	if (err >= 0)
		return (int)err;
	p->syscall = syscall;
	for (; object && object[n] && n < sizeof p->object - 1; n++)
		p->object[n] = object[n];
	p->object[n] = '\0';
	return (int)err;
}

/* To be called only when it is certain that the operation fails: that is the end of us, and of the copy. */
void note_evidence(struct preamble *p, int fd)
{
	long copy = sys_3(fcntl, fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return;
	if (p->evidence)
		sys_close(p->evidence);
	p->evidence = (int)copy;
}

/* wire_validate has counted the strings; the pointers go where the plan left room for them. */
char **list_of(const struct preamble *p, struct wire_ref r)
{
	struct wire_list *list = (void *)(p->base + r.off);
	char *s = (char *)&list->pointer[list->count + 1];
	for (uint64_t i = 0; i < list->count; i++) {
		list->pointer[i] = (uint64_t)(uintptr_t)s;
		s += str_len(s) + 1;
	}
	list->pointer[list->count] = 0;
	return (char **)list->pointer;
}

void set_slot(struct preamble *p, int16_t slot, int fd)
{
	if (p->slot[slot] >= 0)
		sys_close(p->slot[slot]);
	p->slot[slot] = fd;
}

/* Go does the actions from this operation on, and may send descriptors before its answer. */
int ask(struct preamble *p, const struct wire_op *op)
{
	send_message(p, WIRE_ASK, (int32_t)op->num[0], 0, 0, slot_of(p, op->slot[0]));
	return failed(p, await_message(p, WIRE_ANSWER), "recvmsg", 0);
}

static operation *const operations[WIRE_CODE_END] = {
#define X(name, function, slots, refs, flags) [WIRE_OP_##name] = (function),
    WIRE_CODES(X)
#undef X
};

#ifdef BAILEY_FAULTS
/* Test builds: end ourselves, or have bailey end itself, right before an operation. */
static void inject_fault(struct preamble *p, uint32_t at)
{
	if (p->plan->fault_op != at)
		return;
	if (p->plan->fault_kind == 1) {
		sys_2(kill, sys_0(getpid), 9);
		sys_exit(137); /* the init of a pid namespace survives its own SIGKILL */
	}
	if (p->plan->fault_kind == 2)
		send_message(p, WIRE_FAULT, 0, 0, 0, -1);
}
#endif

/*
 * Maps the plan. The seals make sure that nobody changes it after it was checked; the mapping is private
 * because lists get their pointers filled in.
 */
static const char *map_plan(struct preamble *p, int fd)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct statx st;

	long has = sys_3(fcntl, fd, F_GET_SEALS, 0);
	if (has < 0 || (has & seals) != seals)
		return "not sealed";
	if (sys_5(statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &st) < 0)
		return "cannot be examined";
	if (st.stx_size < sizeof *p->plan || st.stx_size > WIRE_MAX_SIZE)
		return "impossible size";
	long base = sys_6(mmap, 0, st.stx_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (base < 0 && base > -4096)
		return "cannot be mapped";
	sys_close(fd);
	const char *why = wire_validate((const void *)base, st.stx_size);
	if (why)
		return why;
	p->base = (char *)base;
	p->plan = (const void *)base;
	return 0;
}

/*
 * They were blocked until here; see become_preamble. A caller that ignores SIGCHLD would have the kernel reap
 * our hooks.
 */
static void take_signals(void)
{
	uint64_t none = 0;
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} by_default = {0};

	sys_4(rt_sigaction, SIGCHLD, &by_default, 0, 8);
	sys_4(rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
}

static struct preamble state; /* zero pages until touched */

void preamble_main(int socket)
{
	struct preamble *p = &state;
	struct wire_message m;
	int fds[WIRE_MESSAGE_FDS];
	uint32_t nfds;

	p->socket = socket;
	sys_3(fcntl, socket, F_SETFD, FD_CLOEXEC);
	take_signals();
	sys_5(prctl, PR_SET_NAME, PREAMBLE_NAME, 0, 0, 0);
	/* A command line that fails before it has a plan just hangs up. */
	int got = receive_message(p, &m, fds, &nfds);
	if (got == 0 || got == -ECONNRESET)
		sys_exit(0);
	if (got != WIRE_PLAN || nfds != 1) {
		failed(p, -EBADMSG, "recvmsg", "no plan came");
		give_up(p, -EBADMSG);
	}
	const char *why = map_plan(p, fds[0]);
	if (why) {
		failed(p, -EINVAL, "plan", why);
		give_up(p, -EINVAL);
	}
	for (uint32_t i = 0; i < p->plan->slot_count; i++)
		p->slot[i] = -1;
	sys_1(umask, 0); /* modes are what the plan says */
	int err = await_message(p, WIRE_ANSWER);
	if (err)
		give_up(p, err);

	const struct wire_op *ops = (const void *)(p->base + sizeof *p->plan);
	for (uint32_t i = 0; i < p->plan->op_count; i++) {
		p->op = &ops[i];
#ifdef BAILEY_FAULTS
		inject_fault(p, i);
#endif
		err = operations[p->op->code](p, p->op);
		if (err < 0)
			give_up(p, err);
	}
	sys_exit(1); /* reached by nobody but who was to wait for ever: EXEC does not return */
}
