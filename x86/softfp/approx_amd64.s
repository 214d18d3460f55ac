#include "textflag.h"

// func rcp(x uint32) uint32
TEXT ·rcp(SB), NOSPLIT, $0-12
	MOVSS x+0(FP), X0
	RCPSS X0, X0
	MOVSS X0, ret+8(FP)
	RET

// func rsqrt(x uint32) uint32
TEXT ·rsqrt(SB), NOSPLIT, $0-12
	MOVSS x+0(FP), X0
	RSQRTSS X0, X0
	MOVSS X0, ret+8(FP)
	RET
