#include "textflag.h"

// The ELF entry point (-E baileyentry): C that runs before Go. DX, which Go does not look at, is lost.
TEXT baileyentry(SB), NOSPLIT|NOFRAME, $0
	MOVQ SP, DI
	LEAQ ·early(SB), SI
	MOVQ ·image(SB), DX
	MOVQ ·image+8(SB), CX
	SUBQ $64, SP // room for lighten
	ANDQ $~15, SP
	CALL entrycode<>(SB)
	MOVQ AX, SP
	JMP  _rt0_amd64_linux(SB)

TEXT entrycode<>(SB), NOSPLIT|NOFRAME, $0
#include "entry_amd64.h"
