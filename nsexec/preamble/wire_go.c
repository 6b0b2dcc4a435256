/*
 * Prints what the Go encoder knows of the wire format: a program for the machine that builds, never part of
 * bailey. Constants, and structs whose layout is checked to be C's (no padding on either side).
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "wire.h"

/* Without the W that would export it. */
#define CONSTANT(name) printf("\twire_%s = %lld\n", #name + strlen("WIRE_"), (long long)(name))

static size_t offset; /* of the next field, as Go lays it out */

static void field(const char *name, const char *type, size_t at, size_t size, size_t element)
{
	if (at != offset) {
		fprintf(stderr, "wire.h: padding before %s\n", name);
		exit(1);
	}
	offset += size;
	if (size == element)
		printf("\t%s %s\n", name, type);
	else
		printf("\t%s [%zu]%s\n", name, size / element, type);
}

/* An array is a pointer to its elements by the time that _Generic sees it. */
#define GO_TYPE(x)                             \
	_Generic((x), uint16_t                 \
		 : "uint16", int16_t *         \
		 : "int16", uint32_t           \
		 : "uint32", int32_t           \
		 : "int32", uint64_t           \
		 : "uint64", uint64_t *        \
		 : "uint64", struct wire_ref * \
		 : "wireRef")
#define ELEMENT(x)                                     \
	_Generic((x), int16_t *                        \
		 : sizeof(int16_t), uint64_t *         \
		 : sizeof(uint64_t), struct wire_ref * \
		 : sizeof(struct wire_ref), default    \
		 : sizeof(x))
#define STRUCT(go) (offset = 0, printf("\ntype " go " struct {\n"))
#define FIELD(type, name)                                                                                              \
	field(#name, GO_TYPE(((struct type *)0)->name), offsetof(struct type, name), sizeof(((struct type *)0)->name), \
	      ELEMENT(((struct type *)0)->name))
#define END(type)                                                                          \
	do {                                                                               \
		if (offset != sizeof(struct type)) {                                       \
			fprintf(stderr, "wire.h: a field of " #type " is missing here\n"); \
			exit(1);                                                           \
		}                                                                          \
		printf("}\n");                                                             \
	} while (0)

int main(void)
{
	puts("// Code generated from preamble/wire.h by preamble/wire_go.c; DO NOT EDIT.\n\npackage nsexec\n\nconst (");
	CONSTANT(WIRE_MAGIC);
	CONSTANT(WIRE_VERSION);
	CONSTANT(WIRE_MAX_SIZE);
	CONSTANT(WIRE_MAX_OPS);
	CONSTANT(WIRE_MAX_SLOTS);
	CONSTANT(WIRE_NO_SLOT);
	CONSTANT(WIRE_FLAG_RECURSIVE);
	CONSTANT(WIRE_FLAG_NO_SYMLINKS);
	CONSTANT(WIRE_FLAG_COPY_UP);
	CONSTANT(WIRE_FLAG_KEEP_MODE);
	CONSTANT(WIRE_FLAG_NO_FOLLOW);
	CONSTANT(WIRE_FLAG_EXACT);
	CONSTANT(WIRE_FLAG_TAKE_LINK);
	CONSTANT(WIRE_FLAG_KEEP_GROUPS);
	CONSTANT(WIRE_CREATE_NOTHING);
	CONSTANT(WIRE_CREATE_DIRECTORY);
	CONSTANT(WIRE_CREATE_FILE);
	CONSTANT(WIRE_CREATE_LIKE_SOURCE);
	CONSTANT(WIRE_LSM_APPARMOR);
	CONSTANT(WIRE_LSM_SELINUX);
#define X(name, function, slots, refs, flags) CONSTANT(WIRE_OP_##name);
	WIRE_CODES(X)
#undef X
	CONSTANT(WIRE_MESSAGE_DATA);
	CONSTANT(WIRE_MESSAGE_FDS);
	CONSTANT(WIRE_PLAN);
	CONSTANT(WIRE_DESCRIPTORS);
	CONSTANT(WIRE_ANSWER);
	CONSTANT(WIRE_START);
	CONSTANT(WIRE_ASK);
	CONSTANT(WIRE_FAILED);
	CONSTANT(WIRE_FAULT);
	CONSTANT(WIRE_LISTENER);
	printf("\t// how many bytes of struct preamble_early do not concern Go\n\tearlyRest = %zu\n",
	       sizeof(struct preamble_early) - offsetof(struct preamble_early, image));
	puts(")");

	STRUCT("wireRef");
	FIELD(wire_ref, off);
	FIELD(wire_ref, len);
	END(wire_ref);
	STRUCT("wireOp");
	FIELD(wire_op, code);
	FIELD(wire_op, flags);
	FIELD(wire_op, slot);
	FIELD(wire_op, index);
	FIELD(wire_op, num);
	FIELD(wire_op, ref);
	END(wire_op);
	STRUCT("wireHeader");
	FIELD(wire_header, magic);
	FIELD(wire_header, version);
	FIELD(wire_header, size);
	FIELD(wire_header, op_count);
	FIELD(wire_header, op_size);
	FIELD(wire_header, arena_off);
	FIELD(wire_header, arena_len);
	FIELD(wire_header, slot_count);
	FIELD(wire_header, fault_op);
	FIELD(wire_header, fault_kind);
	END(wire_header);
	STRUCT("wireVerify");
	FIELD(wire_verify, uid);
	FIELD(wire_verify, gid);
	FIELD(wire_verify, bounding);
	FIELD(wire_verify, effective);
	FIELD(wire_verify, permitted);
	FIELD(wire_verify, inheritable);
	FIELD(wire_verify, ambient);
	FIELD(wire_verify, no_new_privs);
	FIELD(wire_verify, securebits);
	END(wire_verify);
	STRUCT("wireMessage");
	FIELD(wire_message, kind);
	FIELD(wire_message, index);
	FIELD(wire_message, value);
	FIELD(wire_message, len);
	END(wire_message);
	return 0;
}
