#include "textflag.h"

// func handler() (handle, restorer uintptr)
TEXT ·handler(SB), NOSPLIT, $0-16
	MOVD $caught<>(SB), R0
	MOVD R0, handle+0(FP)
	MOVD ZR, restorer+8(FP) // the kernel's own, in the vDSO
	RET

// Called by the kernel, with the signal's number in R0. It is no Go code and needs none of Go's registers.
TEXT caught<>(SB), NOSPLIT|NOFRAME, $0
	SUB  $16, RSP
	MOVB R0, (RSP)
	MOVW ·pipe(SB), R0
	MOVD RSP, R1
	MOVD $1, R2
	MOVD $64, R8 // write
	SVC
	ADD  $16, RSP
	RET
