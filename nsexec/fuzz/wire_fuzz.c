/*
 * libFuzzer on the validation of plans: nothing that it lets through may lead the executor outside the
 * plan's memory. What the executor does with a plan's pieces (walk strings, fill in lists, read numbers)
 * is done here with every piece of an accepted plan, under AddressSanitizer.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../preamble/preamble.h"

static volatile uint64_t sink;

static void use_string(const struct preamble *p, struct wire_ref r)
{
	if (r.len)
		sink += strlen(string_of(p, r));
}

static void use_list(const struct preamble *p, struct wire_ref r)
{
	for (char **list = r.len ? list_of(p, r) : 0; list && *list; list++)
		sink += strlen(*list);
}

static void use_blob(const struct preamble *p, struct wire_ref r)
{
	for (uint32_t i = 0; i < r.len; i++)
		sink += (unsigned char)p->base[r.off + i];
}

static const char *const refs[WIRE_CODE_END] = {
#define X(name, function, slots, refs, flags) [WIRE_OP_##name] = (refs),
    WIRE_CODES(X)
#undef X
};

static void use(struct preamble *p)
{
	const struct wire_op *ops = (const void *)(p->base + sizeof *p->plan);
	for (uint32_t i = 0; i < p->plan->op_count; i++) {
		for (int k = 0; k < 4; k++)
			if (ops[i].slot[k] != WIRE_NO_SLOT)
				sink += (uint64_t)p->slot[ops[i].slot[k]];
		for (int k = 0; k < 3; k++) {
			switch (refs[ops[i].code][k]) {
			case 's':
			case '?':
				use_string(p, ops[i].ref[k]);
				break;
			case 'l':
			case 'L':
				use_list(p, ops[i].ref[k]);
				break;
			case 'b':
			case 'B':
				use_blob(p, ops[i].ref[k]);
				break;
			}
		}
	}
	/* Filling in one list must not have spoilt another piece: a second time over all of them. */
	for (uint32_t i = 0; i < p->plan->op_count; i++)
		for (int k = 0; k < 3; k++)
			if (refs[ops[i].code][k] == 's')
				use_string(p, ops[i].ref[k]);
}

/* Makes the fixed fields right in half of the inputs, so that the fuzzer gets to what lies behind them. */
static void mend(char *plan, size_t size)
{
	struct wire_header *h = (void *)plan;

	h->magic = WIRE_MAGIC;
	h->version = WIRE_VERSION;
	h->size = (uint32_t)size;
	h->op_size = sizeof(struct wire_op);
	h->op_count %= 8;
	h->arena_off = (uint32_t)(sizeof *h + h->op_count * sizeof(struct wire_op));
	if (h->arena_off > size)
		return;
	h->arena_len = (uint32_t)size - h->arena_off;
	struct wire_op *ops = (void *)(plan + sizeof *h);
	for (uint32_t i = 0; i < h->op_count; i++) {
		ops[i].code = ops[i].code % (WIRE_CODE_END + 1);
		ops[i].flags &= 3;
	}
	if (h->op_count)
		ops[h->op_count - 1].code = WIRE_OP_EXEC;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct preamble p;

	if (size < 1 + sizeof(struct wire_header) || size > 1 << 16)
		return 0;
	char *plan = malloc(size - 1); /* of the exact size, so that a byte too far is found */
	if (!plan)
		return 0;
	memcpy(plan, data + 1, size - 1);
	if (data[0] & 1)
		mend(plan, size - 1);
	if (!wire_validate(plan, size - 1)) {
		p.base = plan;
		p.plan = (const void *)plan;
		use(&p);
	}
	free(plan);
	return 0;
}
