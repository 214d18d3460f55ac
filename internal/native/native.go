// Package native runs machine code on the host CPU, one short block at a time,
// with a register state given by the caller. It is the oracle of differential
// tests: what the silicon does with an unprivileged instruction is what the
// emulator has to do.
//
// # How it works
//
// A block is copied into an arena that is mapped twice, writable and
// executable, and followed by a jump to an exit routine. A trampoline in Go
// assembly saves what the Go runtime relies on, loads all sixteen general
// registers, RFLAGS, the x87/MMX state, MXCSR and the vector registers from a
// save area at a fixed place, and jumps to the block. The exit routine finds
// the area through a global variable, so it needs no free register, stores
// everything back and returns to Go.
//
// A host fault whose RIP lies in the arena belongs to the block: a signal
// handler in front of Go's own notes the vector, the error code and the address,
// and sends the thread to the exit routine, so the state at the fault is
// reported like that of a block that ended. All other faults go on to Go's
// handler. Go's scheduler cannot preempt a block, but its signals are harmless:
// Go keeps g in thread-local storage and runs handlers on a stack of their own.
//
// # What a block may do
//
// Anything that is unprivileged, except system calls, writing FS or GS bases,
// jumping out of itself, and running for long: it cannot be interrupted.
package native

// F80 is an 80-bit x87 register as FXSAVE stores it: a 64-bit significand with
// an explicit integer bit, then sign and 15-bit exponent.
type F80 struct {
	Frac uint64
	SE   uint16
}

// X87 is the state that FXSAVE stores of the x87 unit. ST is in stack order
// (ST[0] is ST(0)); the low 64 bits of MMX register n are ST[(n-TOP)&7].Frac.
// FTW is the abridged tag word by physical register: bit n set means that
// register n is not empty.
type X87 struct {
	FCW, FSW uint16
	FTW      uint8
	FOP      uint16
	FIP, FDP uint64
	ST       [8]F80
}

// State is the register state that a block starts with and leaves behind.
type State struct {
	// GPR holds RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. With RSP zero
	// the block gets a stack of its own (64 KiB), else what is given.
	GPR [16]uint64
	// RFLAGS: CF, PF, AF, ZF, SF, DF and OF are loaded, everything is stored.
	RFLAGS uint64
	MXCSR  uint32 // reserved bits are cleared before loading
	X87    X87
	YMM    [16][4]uint64 // low quadword first; the upper halves only with AVX
}

// Result says how a block ended.
type Result struct {
	Vector int    // exception vector (SDM volume 3, table 7-1), or -1
	Error  uint64 // error code of the exception, as far as the host passes it on
	Addr   uint64 // CR2, with vector 14
	Off    int    // with a fault, offset in the block of the RIP reported
}

// NewState returns a state as after FNINIT and with MXCSR at its reset value:
// all exceptions masked, rounding to nearest.
func NewState() *State {
	s := &State{MXCSR: 0x1f80}
	s.X87.FCW = 0x37f
	return s
}
