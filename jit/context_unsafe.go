package jit

import (
	"unsafe"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/x86"
)

// Unsafe is used here for offsets of fields, and to see the memory that a CPU
// shares with its translated code as the structs that lie in it.

// context is what translated code addresses through GS, in front of the TLBs. It
// holds no Go pointers.
type context struct {
	host.Frame

	R     [16]uint64 // the guest's registers; those without a host register live here
	RBase uint64     // linear address of the granule of code that runs: see region.go
	Seg   [6]uint64  // segment bases

	Flags      uint64 // the host's flags at an exit
	EntryFlags uint64 // for SAHF, and OF: see packFlags
	Target     uint64 // where to enter
	Site       uint64 // index of the exit taken
	Reason     uint64 // one of the exit reasons
	Indirect   uint64 // target of an indirect jump
	Tmp        uint64
	Tmp2       uint64
	Keep       [2]uint64 // registers that the stub for stores to code uses

	State    uint64    // address of the CPU's x86.State
	MapGen   [2]uint64 // generations of the mapping of code, of programs and of the system: see maps.go
	PageMask uint64    // for PEXT: all bits of a linear address above the page offset
	PageOff  uint64    // and those of the page offset
	NotIF    uint64    // for PEXT and PDEP: all bits but IF
	NotAC    uint64
	Arith    uint64 // the status flags

	Bits [3]uint64 // the bits of an offset of a bit in words of 2, 4 and 8 bytes

	// Descriptors of flat segments that have been accessed: code and data of CPL 0
	// and 3.
	DescCode0, DescData0, DescCode3, DescData3 uint64

	Spill  [maxSwaps]uint64 // see homes.go
	Resume uint64           // where to go on in a region, behind its swaps

	// Addends of coalesced accesses: see coalesce.go.
	Group [maxGroups]uint64

	VecDead   uint32 // vector registers are in State, not in the host's
	AVXDead   uint32 // or AVX may not be used
	VecOK     uint32 // SSE may be used
	AVXOK     uint32
	HostMXCSR uint32

	X87Dead  uint32        // the x87 registers are in State, not in the host's
	X87OK    uint32        // they may be used
	X87Saved uint32        // the exit stored them: see x87Pointers
	X87Base  uint64        // RBase of the last region with x87 instructions that was entered
	X87Tag   uint64        // for PEXT and PDEP: the low bits of the tags in X87
	X87      [x87Size]byte // image for FNSAVE and FRSTOR

	WinDelta [numParts]uint64 // from linear addresses in a part of the window to host addresses: see window.go
	WinAbove uint64           // for PEXT: the bits of an address above lowBits
	WinHigh  uint64           // and highBit
	WinUpper uint64           // and those above 2^32
	WinChunk uint64           // and those of counts that are more than a windowed REP does at once
	WinMid   uint64           // those bits of addresses in the middle part
	WinNeg   uint64           // and their negative
	WinTable [256]uint64      // the same, by bits lowBits and up: see windowed.go
	Scratch  [3]uint64        // s0, s1 and s2 where a fault was

	OtherStack uintptr // RSP of the native stack that is not in use: see returns.go
	StackKind  uint32  // whose stack is: see kind

	// For stores to pages with code: see smc.go.
	OffBytes uint64           // for PEXT: the bits of a page offset that select a byte of a bit map
	OffBit   uint64           // and those that select the bit
	Span     [maxStore]uint64 // the lowest n+1 bits

	IntWaiting uint32 // 1: an interrupt waits for IF
	Stale      uint32 // translated code changed the CPL or EFLAGS.AC

	// The guest's time stamp counter by the host's: see tsc.go.
	TSCDead uint32 // it is not known, or CR4.TSD is set
	TSCNeg  uint64 // what to add to the host's, for its ticks since
	TSCBase uint64 // the guest's counter was at this
	TSCMult uint64 // and its ticks in 2^64 of the host's
}

const maxGroups = 16

// Displacements from GS.
const (
	offR          = int32(unsafe.Offsetof(context{}.R))
	offRBase      = int32(unsafe.Offsetof(context{}.RBase))
	offSeg        = int32(unsafe.Offsetof(context{}.Seg))
	offFlags      = int32(unsafe.Offsetof(context{}.Flags))
	offEntryFlags = int32(unsafe.Offsetof(context{}.EntryFlags))
	offTarget     = int32(unsafe.Offsetof(context{}.Target))
	offSite       = int32(unsafe.Offsetof(context{}.Site))
	offReason     = int32(unsafe.Offsetof(context{}.Reason))
	offIndirect   = int32(unsafe.Offsetof(context{}.Indirect))
	offTmp        = int32(unsafe.Offsetof(context{}.Tmp))
	offKeep       = int32(unsafe.Offsetof(context{}.Keep))
	offTmp2       = int32(unsafe.Offsetof(context{}.Tmp2))
	offPageOff    = int32(unsafe.Offsetof(context{}.PageOff))
	offNotIF      = int32(unsafe.Offsetof(context{}.NotIF))
	offNotAC      = int32(unsafe.Offsetof(context{}.NotAC))
	offBits       = int32(unsafe.Offsetof(context{}.Bits))
	offArith      = int32(unsafe.Offsetof(context{}.Arith))
	offDescCode0  = int32(unsafe.Offsetof(context{}.DescCode0))
	offDescData0  = int32(unsafe.Offsetof(context{}.DescData0))
	offDescCode3  = int32(unsafe.Offsetof(context{}.DescCode3))
	offDescData3  = int32(unsafe.Offsetof(context{}.DescData3))
	offWinDelta   = int32(unsafe.Offsetof(context{}.WinDelta))
	offWinTable   = int32(unsafe.Offsetof(context{}.WinTable))
	offWinAbove   = int32(unsafe.Offsetof(context{}.WinAbove))
	offWinUpper   = int32(unsafe.Offsetof(context{}.WinUpper))
	offWinChunk   = int32(unsafe.Offsetof(context{}.WinChunk))
	offWinHigh    = int32(unsafe.Offsetof(context{}.WinHigh))
	offWinMid     = int32(unsafe.Offsetof(context{}.WinMid))
	offWinNeg     = int32(unsafe.Offsetof(context{}.WinNeg))
	offScratch    = int32(unsafe.Offsetof(context{}.Scratch))
	offOtherStack = int32(unsafe.Offsetof(context{}.OtherStack))
	offStackKind  = int32(unsafe.Offsetof(context{}.StackKind))
	offOffBytes   = int32(unsafe.Offsetof(context{}.OffBytes))
	offOffBit     = int32(unsafe.Offsetof(context{}.OffBit))
	offSpan       = int32(unsafe.Offsetof(context{}.Span))
	offIntWaiting = int32(unsafe.Offsetof(context{}.IntWaiting))
	offStale      = int32(unsafe.Offsetof(context{}.Stale))
	offTSCDead    = int32(unsafe.Offsetof(context{}.TSCDead))
	offTSCNeg     = int32(unsafe.Offsetof(context{}.TSCNeg))
	offTSCBase    = int32(unsafe.Offsetof(context{}.TSCBase))
	offTSCMult    = int32(unsafe.Offsetof(context{}.TSCMult))
	offState      = int32(unsafe.Offsetof(context{}.State))
	offMapGen     = int32(unsafe.Offsetof(context{}.MapGen))
	offPageMask   = int32(unsafe.Offsetof(context{}.PageMask))
	offSpill      = int32(unsafe.Offsetof(context{}.Spill))
	offResume     = int32(unsafe.Offsetof(context{}.Resume))
	offGroup      = int32(unsafe.Offsetof(context{}.Group))
	offVecDead    = int32(unsafe.Offsetof(context{}.VecDead))
	offAVXDead    = int32(unsafe.Offsetof(context{}.AVXDead))
	offVecOK      = int32(unsafe.Offsetof(context{}.VecOK))
	offAVXOK      = int32(unsafe.Offsetof(context{}.AVXOK))
	offHostMXCSR  = int32(unsafe.Offsetof(context{}.HostMXCSR))
	offX87Dead    = int32(unsafe.Offsetof(context{}.X87Dead))
	offX87OK      = int32(unsafe.Offsetof(context{}.X87OK))
	offX87Saved   = int32(unsafe.Offsetof(context{}.X87Saved))
	offX87Base    = int32(unsafe.Offsetof(context{}.X87Base))
	offX87Tag     = int32(unsafe.Offsetof(context{}.X87Tag))
	offX87        = int32(unsafe.Offsetof(context{}.X87))
)

// Displacements in x86.State.
const (
	stateV      = int32(unsafe.Offsetof(x86.State{}.V))
	stateMXCSR  = int32(unsafe.Offsetof(x86.State{}.MXCSR))
	stateFPFrac = int32(unsafe.Offsetof(x86.State{}.FPFrac))
	stateFPExp  = int32(unsafe.Offsetof(x86.State{}.FPExp))
	stateFCW    = int32(unsafe.Offsetof(x86.State{}.FCW))
	stateFSW    = int32(unsafe.Offsetof(x86.State{}.FSW))
	stateFTW    = int32(unsafe.Offsetof(x86.State{}.FTW))
	stateFlags  = int32(unsafe.Offsetof(x86.State{}.Flags))

	stateR            = int32(unsafe.Offsetof(x86.State{}.R))
	stateCPL          = int32(unsafe.Offsetof(x86.State{}.CPL))
	stateNMIMasked    = int32(unsafe.Offsetof(x86.State{}.NMIMasked))
	stateGDTBase      = int32(unsafe.Offsetof(x86.State{}.GDTR) + unsafe.Offsetof(x86.Table{}.Base))
	stateGDTLimit     = int32(unsafe.Offsetof(x86.State{}.GDTR) + unsafe.Offsetof(x86.Table{}.Limit))
	stateSTAR         = int32(unsafe.Offsetof(x86.State{}.STAR))
	stateLSTAR        = int32(unsafe.Offsetof(x86.State{}.LSTAR))
	stateFMASK        = int32(unsafe.Offsetof(x86.State{}.FMASK))
	stateKernelGSBase = int32(unsafe.Offsetof(x86.State{}.KernelGSBase))
	stateXCR0         = int32(unsafe.Offsetof(x86.State{}.XCR0))
	stateTSCAux       = int32(unsafe.Offsetof(x86.State{}.TSCAux))

	segBase  = int32(unsafe.Offsetof(x86.Segment{}.Base))
	segLimit = int32(unsafe.Offsetof(x86.Segment{}.Limit))
	segSel   = int32(unsafe.Offsetof(x86.Segment{}.Sel))
	segAttr  = int32(unsafe.Offsetof(x86.Segment{}.Attr))
)

// stateSeg is the displacement of a segment register.
func stateSeg(i uint8) int32 {
	return int32(unsafe.Offsetof(x86.State{}.Seg)) + int32(i)*int32(unsafe.Sizeof(x86.Segment{}))
}

// A jump cache maps linear addresses of code to translations: jumpEntries pairs
// of a negated address and a host address. It has two ways: the low 15 bits of the address select a
// set of two entries, which takes one instruction. Code looks into the first, and a stub, where that is another's, into the second. So
// two targets in one set cost each other little. There is one cache for each TLB in 64-bit
// mode, and one for 32-bit code.
//
// While something is pending all look into set 0, of which the first entry never leads anywhere, and the stub leaves. An
// entry of zeroes is for address 0, which is in set 0: elsewhere it leads nowhere.
const (
	jumpBits    = 16
	jumpEntries = 1 << jumpBits
	jumpWays    = 2
	jumpCaches  = 4
	jumpMask    = 2 * (jumpEntries - jumpWays) // PollMask: where PDEP puts the set, as a number of 8 bytes
	offJump     = 1 << 16
)

type jumpEntry struct{ ntag, host uint64 }

type jumpCache [jumpEntries]jumpEntry

// sharedMem is the translator's part of a CPU's shared memory.
type sharedMem struct {
	context
	_    [offJump - unsafe.Sizeof(context{})]byte
	jump [jumpCaches]jumpCache
}

const _ = interp.NativeSize - unsafe.Sizeof(sharedMem{}) // it fits

// sharedOf is the memory behind a Frame of interp.SharedSize bytes.
func sharedOf(f *host.Frame) *sharedMem { return (*sharedMem)(unsafe.Pointer(f)) }

// stateAddr is the address of a CPU's State, which stays where it is: Go does
// not move what is on its heap.
func stateAddr(c *interp.CPU) uint64 { return uint64(uintptr(unsafe.Pointer(&c.State))) }

func framePtr(f *host.Frame) unsafe.Pointer { return unsafe.Pointer(f) }

// hostAddress is where a page of the guest's memory is.
func hostAddress(page []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(page))) }
