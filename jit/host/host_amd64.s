//go:build linux

#include "go_asm.h"
#include "textflag.h"

// func Enter(f *Frame, code uintptr)
//
// The comparison faults, and so panics, where GS is zero.
TEXT ·Enter(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ f+0(FP), AX
	MOVQ code+8(FP), CX
	CMPQ AX, Frame_Self(GS)
	JNE wrong
	JMP ·run(SB)
wrong:
	JMP ·onWrongGS(SB)

// run is the part of Enter in which GS is known to point at the Frame (AX), so
// that the signal handler may write to it. CX is the address to go to. As it
// writes SP, Go does not unwind from here.
TEXT ·run(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ SP, Frame_SavedSP(AX)
	MOVQ BP, Frame_SavedBP(AX)
	MOVQ R14, Frame_SavedG(AX)
	MOVL $0, Frame_FaultNested(AX)
	MOVL $const_InsideCode, Frame_Inside(AX)
	MOVQ Frame_StackTop(AX), SP
	JMP CX

// exit is what Frame.Exit points to. It returns from Enter.
TEXT ·exit(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ Frame_SavedSP(GS), SP
	PUSHQ Frame_SavedBP(GS) // a MOVQ to BP is what vet warns of
	POPQ BP
	MOVQ Frame_SavedG(GS), R14
	MOVL $0, Frame_Inside(GS)
	CLD
	XORPS X15, X15
	RET

// Offsets in the kernel's signal frame (arch/x86/include/uapi/asm/sigcontext.h,
// include/uapi/asm-generic/siginfo.h).
#define UC_RSP    160
#define UC_RIP    168
#define UC_EFL    176
#define UC_ERR    192
#define UC_TRAPNO 200
#define SI_CODE   8
#define SI_ADDR   16

#define SIGTRAP 5
#define SIGSEGV 11
#define SIGURG  23

#define EFLAGS_TF 0x100
#define EFLAGS_AC 0x40000

// onSignal is the signal handler: DI is the number, SI the siginfo, DX the
// ucontext. The kernel restores every register from the ucontext afterwards, and
// Go's handler saves those that the C convention asks for, so AX, CX and R8 are
// free. There is no g here, and GS is touched only once RIP has
// shown that it points at a Frame: threads that never set it have a zero there,
// or what they inherited.
TEXT ·onSignal(SB), NOSPLIT|NOFRAME, $0-0
	CLD
	PUSHFQ
	ANDQ $~EFLAGS_AC, 0(SP)
	POPFQ
	MOVQ UC_RIP(DX), AX
	LEAQ ·arenaTable(SB), R8
	MOVL $const_MaxArenas, CX
next:
	CMPQ AX, 0(R8)
	JCS other
	CMPQ AX, 8(R8)
	JCS inside
other:
	ADDQ $16, R8
	DECL CX
	JNE next

	// Not in generated code. On the way there or back a request to stop
	// counts too, or the code would run on until Go repeats it.
	CMPL DI, $SIGURG
	JNE chain
	MOVQ AX, R8
	SUBQ ·runLo(SB), R8
	CMPQ R8, ·runSize(SB)
	JCS yield
	SUBQ ·exitLo(SB), AX
	CMPQ AX, ·exitSize(SB)
	JCC chain
yield:
	LOCK
	ORL $const_PendingYield, Frame_Pending(GS)
	MOVQ $0, Frame_PollMask(GS)
chain:
	MOVL DI, AX
	LEAQ ·oldHandler(SB), CX
	MOVQ (CX)(AX*8), AX
	JMP AX

inside:
	CMPL DI, $SIGURG
	JEQ yield
	CMPL SI_CODE(SI), $0 // sent by kill: none of the code's doing
	JLE chain
	CMPL DI, $SIGSEGV
	JNE fault
	// A stack that is full is emptied.
	MOVQ SI_ADDR(SI), CX
	MOVQ CX, R8
	SUBQ Frame_guards(GS), R8
	CMPQ R8, $4096
	JCS full0
	SUBQ (Frame_guards+8)(GS), CX
	CMPQ CX, $4096
	JCC fault
	MOVQ (Frame_Stacks+8)(GS), CX
	MOVQ CX, UC_RSP(DX)
	RET
full0:
	MOVQ Frame_Stacks(GS), CX
	MOVQ CX, UC_RSP(DX)
	RET
fault:
	MOVQ AX, Frame_FaultRIP(GS)
	MOVQ SI_ADDR(SI), AX
	MOVQ AX, Frame_FaultAddr(GS)
	MOVQ UC_ERR(DX), AX
	MOVQ AX, Frame_FaultErr(GS)
	MOVL UC_TRAPNO(DX), AX
	MOVL AX, Frame_FaultTrap(GS)
	MOVL SI_CODE(SI), AX
	MOVL AX, Frame_FaultCode(GS)
	MOVL DI, Frame_FaultSig(GS)
	CMPL DI, $SIGTRAP
	JNE resume
	ANDQ $~EFLAGS_TF, UC_EFL(DX) // or the stub would trap in its turn
resume:
	CMPL Frame_Inside(GS), $const_InsideCode
	JNE nested
	MOVL $const_InsideFault, Frame_Inside(GS)
	MOVQ Frame_FaultExit(GS), AX
	TESTQ AX, AX
	JEQ nested
	MOVQ AX, UC_RIP(DX)
	RET
nested:
	MOVL $1, Frame_FaultNested(GS)
	LEAQ ·exit(SB), AX
	MOVQ AX, UC_RIP(DX)
	RET

// func addrs() (run, exit, handler uintptr)
//
// These are the routines' own addresses; a Go function value would give that of
// a wrapper.
TEXT ·addrs(SB), NOSPLIT, $0-24
	LEAQ ·run(SB), AX
	MOVQ AX, run+0(FP)
	LEAQ ·exit(SB), AX
	MOVQ AX, exit+8(FP)
	LEAQ ·onSignal(SB), AX
	MOVQ AX, handler+16(FP)
	RET

// func Serialize()
//
// IRETQ pops RIP, CS, RFLAGS, RSP and SS. It goes to a RET, so that the CPU's
// return predictor stays in step.
TEXT ·Serialize(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ SP, AX
	LEAQ ·return(SB), DX
	MOVW SS, CX
	MOVWQZX CX, CX
	PUSHQ CX
	PUSHQ AX
	PUSHFQ
	MOVW CS, CX
	MOVWQZX CX, CX
	PUSHQ CX
	PUSHQ DX
	IRETQ

TEXT ·return(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func setGSBase(base uintptr)
TEXT ·setGSBase(SB), NOSPLIT, $0-8
	MOVQ base+0(FP), AX
	WRGSBASEQ AX
	RET

// func gsBase() uintptr
TEXT ·gsBase(SB), NOSPLIT, $0-8
	RDGSBASEQ AX
	MOVQ AX, ret+0(FP)
	RET
