/*
 * Stage 0: joining what exists, and making the container's init.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>

/* Before any namespace is joined: processes in there may share our user ID and look into us. */
int not_dumpable(struct preamble *p, const struct wire_op *op)
{
	(void)op;
	return failed(p, sys_5(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)", 0);
}

int set_dumpable(struct preamble *p, const struct wire_op *op)
{
	return failed(p, sys_5(prctl, PR_SET_DUMPABLE, op->num[0], 0, 0, 0), "prctl(PR_SET_DUMPABLE)", 0);
}

int join_namespace(struct preamble *p, const struct wire_op *op)
{
	return failed(p, sys_2(setns, slot_of(p, op->slot[0]), op->num[0]), "setns", 0);
}

int join_container(struct preamble *p, const struct wire_op *op)
{
	return failed(p, sys_2(setns, slot_of(p, op->slot[0]), op->num[0]), "setns", 0);
}

int join_cgroup(struct preamble *p, const struct wire_op *op)
{
	long n = sys_3(write, slot_of(p, op->slot[0]), "0", 1);

	return failed(p, n < 0 ? n : 0, "write", "tasks");
}

/*
 * CLONE_PARENT: the init is bailey's child, not ours, so that `run` can wait for it and our own end goes unnoticed.
 * With CLONE_VM it takes our memory over: the kernel copies none, and nobody pays for a copy in page faults.
 */
int clone_init(struct preamble *p, const struct wire_op *op)
{
	struct clone_args args = {.flags = CLONE_PARENT | op->num[0]};
	int cgroup = slot_of(p, op->slot[0]);

	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	return failed(p, clone_and_exit(&args, sizeof args), "clone3", 0);
}
