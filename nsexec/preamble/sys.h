/*
 * System calls without a C library: the preamble is linked with none, which is what makes it start in a quarter
 * of the time of a static C program, and small.
 *
 * Every call returns the kernel's own result: a negative errno on failure.
 */
#ifndef BAILEY_SYS_H
#define BAILEY_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

/* clone3(2) and the instructions that follow it in parent and child, with further operands of theirs. */
#define CLONE3_THEN(then, args, size, ...)                                            \
	({                                                                            \
		long ret;                                                             \
		__asm__ volatile("syscall\n\t" then                                   \
				 : "=a"(ret)                                          \
				 : "a"(SYS_clone3), "D"(args), "S"(size), __VA_ARGS__ \
				 : "rcx", "r11", "memory");                           \
		ret;                                                                  \
	})
#define PARENT_EXITS             \
	"test %%rax, %%rax\n\t"  \
	"jle 1f\n\t"             \
	"xor %%edi, %%edi\n\t"   \
	"mov %[exit], %%eax\n\t" \
	"syscall\n\t"            \
	"ud2\n"                  \
	"1:"
#define CHILD_RUNS              \
	"test %%rax, %%rax\n\t" \
	"jnz 1f\n\t"            \
	"xor %%ebp, %%ebp\n\t"  \
	"mov %[arg], %%rdi\n\t" \
	"call *%[run]\n\t"      \
	"ud2\n"                 \
	"1:"
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

#define CLONE3_THEN(then, args, size, ...)                                                                       \
	({                                                                                                       \
		register long x8 __asm__("x8") = SYS_clone3;                                                     \
		register long x0 __asm__("x0") = (long)(args);                                                   \
		register long x1 __asm__("x1") = (long)(size);                                                   \
		__asm__ volatile("svc #0\n\t" then : "+r"(x0) : "r"(x8), "r"(x1), __VA_ARGS__ : "cc", "memory"); \
		x0;                                                                                              \
	})
#define PARENT_EXITS          \
	"cmp x0, #0\n\t"      \
	"b.le 1f\n\t"         \
	"mov x0, #0\n\t"      \
	"mov x8, %[exit]\n\t" \
	"svc #0\n\t"          \
	"brk #1\n"            \
	"1:"
#define CHILD_RUNS           \
	"cbnz x0, 1f\n\t"    \
	"mov x29, #0\n\t"    \
	"mov x0, %[arg]\n\t" \
	"blr %[run]\n\t"     \
	"brk #1\n"           \
	"1:"
#else
#error "the preamble knows x86_64 and aarch64"
#endif

/*
 * clone3(2), and the end of who calls it. A child that shares our memory (CLONE_VM) goes on with our stack, which we
 * must not touch again; so all of it is done in registers. Returns in the child, or an error.
 */
static inline long clone_and_exit(const void *args, size_t size)
{
	return CLONE3_THEN(PARENT_EXITS, args, size, [exit] "i"(SYS_exit_group));
}

/* clone3(2) of a child with a stack of its own, which does nothing but call run. */
static inline long clone_and_run(const void *args, size_t size, void (*run)(void *), void *arg)
{
	return CLONE3_THEN(CHILD_RUNS, args, size, [run] "r"(run), [arg] "r"(arg));
}

#define SYS_ARG(x)		   ((long)(x))
#define sys_0(n)		   sys6(SYS_##n, 0, 0, 0, 0, 0, 0)
#define sys_1(n, a)		   sys6(SYS_##n, SYS_ARG(a), 0, 0, 0, 0, 0)
#define sys_2(n, a, b)		   sys6(SYS_##n, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define sys_3(n, a, b, c)	   sys6(SYS_##n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define sys_4(n, a, b, c, d)	   sys6(SYS_##n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define sys_5(n, a, b, c, d, e)	   sys6(SYS_##n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), 0)
#define sys_6(n, a, b, c, d, e, f) sys6(SYS_##n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), SYS_ARG(f))

static inline void sys_close(int fd)
{
	sys_1(close, fd);
}

/* A payload's filter may refuse even this; it cannot refuse a fault. */
static inline __attribute__((noreturn)) void sys_exit(int status)
{
	sys_1(exit_group, status);
	__builtin_trap();
}

static inline size_t str_len(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

static inline int str_equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

#endif
