/*
 * bpf: compiles a seccomp profile for floor. Reads "ACTION ERRNO" (the default), then one rule per line,
 * "ACTION ERRNO SYSCALL [INDEX OPERATOR VALUE VALUE2]...", writes the BPF program to standard output.
 * System calls that libseccomp does not know are left out, as runtimes do.
 */
#include <err.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint32_t action(const char *name, unsigned errno_value)
{
	if (strcmp(name, "SCMP_ACT_ALLOW") == 0)
		return SCMP_ACT_ALLOW;
	if (strcmp(name, "SCMP_ACT_ERRNO") == 0)
		return SCMP_ACT_ERRNO(errno_value);
	errx(1, "unknown action %s", name);
}

static enum scmp_compare operator_of(const char *name)
{
	static const struct {
		const char *name;
		enum scmp_compare value;
	} all[] = {
	    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(name, all[i].name) == 0)
			return all[i].value;
	errx(1, "unknown operator %s", name);
}

/* NOLINTBEGIN(cert-err34-c): the numbers come from the same program a pipe away */
int main(void)
{
	char line[1024], act[64], name[64], op[64];
	unsigned errno_value;
	scmp_filter_ctx ctx;
	int n, at, rc;

	if (!fgets(line, sizeof line, stdin) || sscanf(line, "%63s %u", act, &errno_value) != 2)
		errx(1, "no default action");
	ctx = seccomp_init(action(act, errno_value));
	if (!ctx)
		errx(1, "seccomp_init");
#ifdef __x86_64__
	/* The profile names the 32-bit and x32 calls too. */
	if (seccomp_arch_add(ctx, SCMP_ARCH_X86) < 0 || seccomp_arch_add(ctx, SCMP_ARCH_X32) < 0)
		errx(1, "seccomp_arch_add");
#endif
	/* A search tree, which the kernel loads much more quickly than one test after the other. */
	if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
		errx(1, "seccomp_attr_set");
	while (fgets(line, sizeof line, stdin)) {
		struct scmp_arg_cmp args[6];
		unsigned count = 0;
		int call;

		if (sscanf(line, "%63s %u %63s%n", act, &errno_value, name, &at) != 3)
			errx(1, "malformed rule: %s", line);
		while (count < 6 && sscanf(line + at, "%u %63s %" SCNu64 " %" SCNu64 "%n", &args[count].arg, op,
					   &args[count].datum_a, &args[count].datum_b, &n) == 4) {
			args[count++].op = operator_of(op);
			at += n;
		}
		call = seccomp_syscall_resolve_name(name);
		if (call == __NR_SCMP_ERROR)
			continue;
		rc = seccomp_rule_add_array(ctx, action(act, errno_value), call, count, args);
		if (rc < 0)
			errx(1, "%s: %s", name, strerror(-rc));
	}
	rc = seccomp_export_bpf(ctx, STDOUT_FILENO);
	if (rc < 0)
		errx(1, "seccomp_export_bpf: %s", strerror(-rc));
	return 0;
}
/* NOLINTEND(cert-err34-c) */
