#include "textflag.h"

// func int80raw(nr, arg uintptr) uintptr
TEXT ·int80raw(SB), NOSPLIT, $0-24
	MOVQ nr+0(FP), AX
	MOVQ arg+8(FP), BX
	INT  $0x80
	MOVLQSX AX, AX
	MOVQ AX, ret+16(FP)
	RET
