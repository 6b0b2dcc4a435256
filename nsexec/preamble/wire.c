/*
 * Validation of a plan. After wire_validate has returned null, every operation's code, flags, slots and
 * refs can be used without another check: strings end, lists have as many strings as they say, slots
 * have been filled by an earlier operation or come from bailey.
 */
#include "wire.h"

struct shape {
	const char *slots, *refs;
	uint16_t flags;
};

static const struct shape shapes[WIRE_CODE_END] = {
#define X(name, function, slots, refs, flags) [WIRE_OP_##name] = {slots, refs, flags},
    WIRE_CODES(X)
#undef X
};

static int is_string(const char *s, uint32_t len)
{
	if (len == 0 || s[len - 1] != '\0')
		return 0;
	for (uint32_t i = 0; i < len - 1; i++)
		if (s[i] == '\0')
			return 0;
	return 1;
}

static int is_list(const char *base, struct wire_ref r)
{
	if (r.off % 8 != 0 || r.len < 16)
		return 0;
	const struct wire_list *l = (const void *)(base + r.off);
	/* Every string takes a pointer and at least a NUL, so a count beyond that is a lie. */
	if (l->count > r.len / 9)
		return 0;
	uint64_t head = 8 + 8 * (l->count + 1);
	if (head > r.len)
		return 0;
	const char *s = base + r.off;
	uint64_t strings = 0;
	for (uint64_t i = head; i < r.len; i++)
		if (s[i] == '\0')
			strings++;
	return strings == l->count && (r.len == head || s[r.len - 1] == '\0');
}

/* cursor: where the last piece ended. Pieces stand in the order of their use and never overlap, so that
   filling in a list's pointers cannot change another piece after it was checked. */
static const char *check_ref(const char *base, const struct wire_header *h, struct wire_ref r, char use,
			     uint32_t *cursor)
{
	if (r.off == 0 && r.len == 0) {
		if (use == '-' || use == '?' || use == 'L' || use == 'B')
			return 0;
		return "a needed string, list or blob is missing";
	}
	if (use == '-')
		return "a string, list or blob that the operation has no use for";
	if (r.off < h->arena_off || r.len > h->arena_len || r.off - h->arena_off > h->arena_len - r.len)
		return "a string, list or blob outside the arena";
	if (r.off < *cursor)
		return "a string, list or blob that overlaps another";
	*cursor = r.off + r.len;
	if ((use == 's' || use == '?') && !is_string(base + r.off, r.len))
		return "a string without an end";
	if ((use == 'l' || use == 'L') && !is_list(base, r))
		return "a malformed list";
	if ((use == 'b' || use == 'B') && r.off % 8 != 0)
		return "an unaligned blob";
	return 0;
}

static const char *check_slot(const struct wire_header *h, int16_t slot, char use)
{
	if (slot == WIRE_NO_SLOT)
		return use == '-' || use == '?' ? 0 : "a needed descriptor is missing";
	if (use == '-')
		return "a descriptor that the operation has no use for";
	if (slot < 0 || (uint32_t)slot >= h->slot_count)
		return "a descriptor slot out of range";
	return 0;
}

/* Lengths and values that single operations rely on. */
static const char *check_op(const struct wire_op *op)
{
	switch (op->code) {
	case WIRE_OP_VERIFY:
		return op->ref[0].len == sizeof(struct wire_verify) ? 0 : "VERIFY of another size";
	case WIRE_OP_SET_IDS:
		return op->ref[0].len % 4 == 0 ? 0 : "groups that are not whole numbers";
	case WIRE_OP_SET_MEMORY_POLICY:
		return op->num[1] <= (uint64_t)op->ref[0].len * 8 ? 0 : "a node mask of another size";
	case WIRE_OP_LOAD_SECCOMP:
		return op->ref[0].len % 8 == 0 && op->ref[0].len / 8 <= 4096 ? 0 : "a filter of an impossible size";
	case WIRE_OP_ATTACH:
		return op->num[0] <= WIRE_CREATE_LIKE_SOURCE ? 0 : "an unknown way to create";
	case WIRE_OP_AWAIT_START:
		return op->num[0] < WIRE_MAX_SLOTS || op->num[0] == UINT64_MAX ? 0 : "a state slot out of range";
	default:
		return 0;
	}
}

const char *wire_validate(const void *plan, uint64_t size)
{
	const struct wire_header *h = plan;
	const char *base = plan;

	if (size < sizeof *h || size > WIRE_MAX_SIZE)
		return "impossible size";
	if (h->magic != WIRE_MAGIC || h->version != WIRE_VERSION)
		return "not a plan of this version";
	if (h->size != size)
		return "truncated or too long";
	if (h->op_size != sizeof(struct wire_op) || h->op_count == 0 || h->op_count > WIRE_MAX_OPS)
		return "impossible operation table";
	if (h->slot_count > WIRE_MAX_SLOTS)
		return "too many descriptor slots";
	uint64_t ops_end = sizeof *h + (uint64_t)h->op_count * sizeof(struct wire_op);
	if (h->arena_off < ops_end || h->arena_off % 8 != 0 || (uint64_t)h->arena_off + h->arena_len != size)
		return "impossible arena";

	const struct wire_op *ops = (const void *)(base + sizeof *h);
	uint32_t cursor = h->arena_off;
	for (uint32_t i = 0; i < h->op_count; i++) {
		const struct wire_op *op = &ops[i];
		const char *why;

		if (op->code == WIRE_CODE_NONE || op->code >= WIRE_CODE_END)
			return "an unknown operation";
		const struct shape *shape = &shapes[op->code];
		if (op->flags & ~shape->flags)
			return "an unknown flag";
		for (int k = 0; k < 4; k++)
			if ((why = check_slot(h, op->slot[k], shape->slots[k])))
				return why;
		for (int k = 0; k < 3; k++)
			if ((why = check_ref(base, h, op->ref[k], shape->refs[k], &cursor)))
				return why;
		if ((why = check_op(op)))
			return why;
	}
	/* One that is never started has done its work when it waits. */
	if (ops[h->op_count - 1].code != WIRE_OP_EXEC && ops[h->op_count - 1].code != WIRE_OP_AWAIT_START)
		return "the last operation is neither EXEC nor AWAIT_START";
	return 0;
}
