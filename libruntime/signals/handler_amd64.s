#include "textflag.h"

// func handler() (handle, restorer uintptr)
TEXT ·handler(SB), NOSPLIT, $0-16
	LEAQ caught<>(SB), AX
	MOVQ AX, handle+0(FP)
	LEAQ restore<>(SB), AX
	MOVQ AX, restorer+8(FP)
	RET

// Called by the kernel, with the signal's number in DI. It is no Go code and needs none of Go's registers.
TEXT caught<>(SB), NOSPLIT|NOFRAME, $0
	PUSHQ DI
	MOVL  ·pipe(SB), DI
	MOVQ  SP, SI
	MOVL  $1, DX
	MOVL  $1, AX // write
	SYSCALL
	POPQ  DI
	RET

// What it returns to.
TEXT restore<>(SB), NOSPLIT|NOFRAME, $0
	MOVL $15, AX // rt_sigreturn
	SYSCALL
	INT  $3
