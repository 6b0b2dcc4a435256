#include "textflag.h"

// The ELF entry point (-E baileyentry): C that runs before Go.
TEXT baileyentry(SB), NOSPLIT|NOFRAME, $0
	MOVD RSP, R0
	MOVD $·early(SB), R1
	MOVD ·image(SB), R2
	MOVD ·image+8(SB), R3
	SUB  $64, RSP // room for lighten
	CALL entrycode<>(SB)
	MOVD R0, RSP
	JMP  _rt0_arm64_linux(SB)

TEXT entrycode<>(SB), NOSPLIT|NOFRAME, $0
#include "entry_arm64.h"
