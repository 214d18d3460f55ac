// Package host is what translated code needs of the machine it runs on:
// executable memory, a way in and out of it, and the faults that happen in it.
// It knows nothing of guests, of translation or of instructions.
//
// # How it works
//
// An Arena is memory mapped twice, once writable and once executable. Enter, a
// few instructions of assembly, notes Go's stack pointer in a Frame, moves to a
// native stack and jumps into the arena. Generated code comes back with a jump
// to Frame.Exit, from wherever it is and with anything in its registers: the
// GS base of the thread points at the Frame, and Go leaves GS alone, so the way
// back needs no register. Generated code never calls Go and never looks like
// Go code to the runtime.
//
// Install puts one assembly routine in front of Go's handlers of six signals.
// It decides by the interrupted RIP:
//
//   - A fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP) in a registered arena
//     is noted in the Frame and execution goes on at Frame.FaultExit, with every
//     register and flag as the faulting instruction left it. Go must not see
//     such a fault: it would read the stack that RSP points to.
//   - SIGURG is how Go's scheduler asks a running goroutine to stop, for the
//     garbage collector and for a fair share of time. Code that Go does not know
//     is never a place to stop at, so the routine sets PendingYield in
//     Frame.Pending, which generated code polls, and lets Go's handler have the
//     signal too. Go asks again until it is heard.
//   - All else goes to Go's handler untouched: a nil dereference in Go is a
//     panic as ever. SIGPROF and the rest are not hooked; Go's handlers take an
//     unknown RIP for external code and do not follow its stack.
//
// The kernel runs these handlers on Go's signal stack, found through the
// thread, with Go's g in FS-based thread-local storage. So nothing that
// generated code keeps in registers matters to them, except two things. RSP
// must never point into a signal stack; on the native stack it does not. And
// EFLAGS.AC, alone of the flags that matter, stays set in a handler: the hook
// clears it for the signals above, but code that runs with AC set would meet the
// other signals' handlers with it.
//
// # How it is used
//
//	err := host.Install()          // once
//	a, err := host.NewArena(64 << 20)
//	copy(a.Write[off:], code)      // ends in jmp gs:[OffExit]
//	host.Serialize()
//
//	runtime.LockOSThread()         // for each CPU
//	f, err := host.NewFrame(size)  // a Frame and size-FrameSize bytes of one's own
//	f.FaultExit = a.Base + stub
//	host.SetGS(f.Self)
//	for {
//		host.Enter(f, a.Base+off)
//		pending := f.Yield()
//		...
//	}
//
// # The thread contract
//
// A goroutine that enters generated code has called runtime.LockOSThread and
// then SetGS(f.Self) on that thread, and calls SetGS(0) before it unlocks the
// thread or frees the Frame. Enter panics where GS is not that of the Frame. A
// Frame is entered by one thread at a time; Pending may be written by any, with
// atomic operations.
//
// Generated code must poll Pending in every loop, and leave when it is not
// zero: while it runs, the garbage collector waits. After Enter has returned the
// caller calls Frame.Yield, where Go gets its turn.
//
// # What the rest of the program must not do
//
// signal.Notify and signal.Stop for any signal, and runtime/pprof, leave the
// hook in place. signal.Ignore(SIGURG) replaces it; garbage collection then
// waits for generated code to leave for other reasons. Code that installs
// handlers of its own in front of this one has to pass on what is not its own.
package host

import (
	"runtime"
	"sync/atomic"
)

// A Frame is where generated code and Go meet: the start of the memory that GS
// points to while generated code runs. It is made by NewFrame, off the Go heap;
// the translator's own state follows it at offset FrameSize. The Off constants
// are the fields' displacements from GS.
type Frame struct {
	Self uintptr // the Frame's own address, what SetGS takes

	// Set by Enter: what Go needs back.
	SavedSP uintptr
	SavedBP uintptr
	SavedG  uintptr

	Exit      uintptr // where generated code jumps to leave; set by NewFrame
	StackTop  uintptr // RSP of code that Enter jumps to, 16-byte aligned; NewFrame makes it Stacks[0]
	FaultExit uintptr // where to go on after a fault; set by the translator, inside an arena

	// Set when generated code faults.
	FaultRIP  uintptr // the saved RIP: the faulting instruction; after it for a trap (int3)
	FaultAddr uintptr // si_addr: the address for #PF, RIP for #DE and #UD, 0 for a non-canonical one
	FaultErr  uint64  // the error code that the CPU pushed; see SDM volume 3, 6.13 and 4.7
	FaultSig  uint32  // the signal's number
	FaultTrap uint32  // the exception's vector: SDM volume 3, table 6-1
	FaultCode int32   // si_code

	// FaultNested is set when generated code faulted with Inside not
	// InsideCode, or with FaultExit zero: control then goes to Exit at once. It
	// means a fault in the translator's own fault stub. Enter clears it.
	FaultNested uint32

	// Pending is polled by generated code, which leaves when it is not zero.
	// PendingYield is this package's; the other bits are the translator's.
	Pending uint32

	// Inside is InsideCode from Enter on, InsideFault from a fault on, and 0
	// from Exit on. A fault stub that goes on in generated code instead of
	// leaving stores InsideCode.
	Inside uint32

	// PollMask is all ones while generated code may go on. Who sets a bit in
	// Pending clears it as well, so that code can poll by taking the index into a
	// table of its own through this mask, at no cost. The translator sets it before
	// it looks at Pending, and then enters.
	PollMask uint64

	// Native stacks. Code that pushes where there is no room goes on, at the same
	// instruction, with RSP = Stacks[i]: what was on the stack is lost.
	Stacks [NumStacks]uintptr // their upper ends; there is a word at the address itself: see SetBottoms
	guards [NumStacks]uintptr // the page below each, which faults

	_ [48]byte
}

// PendingYield in Frame.Pending asks generated code to return to Go.
const PendingYield uint32 = 1 << 31

// Values of Frame.Inside.
const (
	InsideCode  = 1
	InsideFault = 2
)

// NumStacks is how many native stacks a Frame has.
const NumStacks = 2

// StackSize is the size in bytes of each native stack of a Frame. Below it is a
// page that faults.
const StackSize = 64 << 10

// WindowGuard is how many bytes in front of a Window and behind it fault.
const WindowGuard = 64 << 30

// MaxArenas is how many arenas there can be at a time.
const MaxArenas = 64

// MaxArena is the largest size of an arena in bytes: within it a signed 32-bit
// displacement reaches everything.
const MaxArena = 1 << 30

// Yield gives Go the turn that PendingYield in Pending asks for, if it is set,
// clears it, and returns the other bits, which stay set. It is called after each
// Enter that may have ended because of Pending.
//
// The turn has to be given: a loop of Enter and a few inlined instructions has
// no place where Go could take it, as it finds the thread in generated code
// nearly every time.
func (f *Frame) Yield() uint32 {
	v := atomic.LoadUint32(&f.Pending)
	if v&PendingYield != 0 {
		v = atomic.AndUint32(&f.Pending, ^PendingYield)
		runtime.Gosched()
	}
	return v &^ PendingYield
}

// Features are those of the host that a translator may want to know of.
type Features struct {
	FSGSBASE bool // SetGS is an instruction; else it is a system call
	BMI1     bool
	BMI2     bool
	ADX      bool
	POPCNT   bool
	LZCNT    bool
	MOVBE    bool
	SHA      bool
	F16C     bool // only where AVX is
	AVX      bool // AVX and AVX2 only where the system saves YMM registers
	AVX2     bool
	FMA      bool
	ERMS     bool
}

// An Arena is memory for generated code, mapped twice.
type Arena struct {
	Write []byte  // the writable view
	Base  uintptr // address of the executable view

	exec []byte // the executable view, for unmapping
	slot int    // in arenaTable
}

// Contains reports whether pc is an address in the executable view of a.
func (a *Arena) Contains(pc uintptr) bool { return pc-a.Base < uintptr(len(a.Write)) }
