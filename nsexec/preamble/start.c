/*
 * The preamble's own ELF entry point. argv is its name and the number of its socket.
 */
#include "preamble.h"

__attribute__((used, noreturn)) void preamble_start(long *stack)
{
	char **argv = (char **)(stack + 1);
	int socket = 0;

	/* A container can execute us as the interpreter of a script (/proc/self/exe); there is nothing to gain. */
	if (stack[0] != 2 || !str_equal(argv[0], PREAMBLE_NAME))
		sys_exit(1);
	for (const char *s = argv[1]; *s >= '0' && *s <= '9' && socket < 1 << 20; s++)
		socket = socket * 10 + (*s - '0');
	preamble_main(socket);
}

#if defined(__x86_64__)
__asm__(".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call preamble_start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl preamble_start\n");
#endif
