#include "textflag.h"

// The ELF entry point (-E baileyentry): C that runs before Go.
TEXT baileyentry(SB), NOSPLIT|NOFRAME, $0
	MOVD RSP, R0
	MOVD $·early(SB), R1
	MOVD ·image(SB), R2
	MOVD ·image+8(SB), R3
	SUB  $64, RSP // room for lighten
	CALL entrycode<>(SB)
	// As _rt0_arm64 does, but for RSP: lighten may have moved argc to where RSP must not point, which has to be
	// aligned to 16 bytes.
	ADD  $8, R0, R1
	MOVD (R0), R0
	JMP  runtime·rt0_go(SB)

TEXT entrycode<>(SB), NOSPLIT|NOFRAME, $0
#include "entry_arm64.h"
