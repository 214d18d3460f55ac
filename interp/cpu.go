// Package interp is the baseline interpreter: it executes x86 code of every
// mode precisely, and counts how often each basic block runs.
//
// # How it works
//
// Code is decoded once, by physical page, into threaded form. An Op is one
// pre-decoded instruction: a handler function with register numbers,
// displacement and immediate beside it, and a pointer to the Op that follows. A
// handler does the instruction and returns the Op to run next, so that the inner
// loop is
//
//	for op != nil { op = op.fn(c, op) }
//
// A basic block starts with a head, an Op that counts the execution and looks
// whether the rest of the machine wants something; a jump inside the page links
// to the head of its target, other jumps look it up by page (block.go). Handlers
// come in two kinds: those that read operands as the instruction says, in any
// mode (alu.go and most others), and specialised ones for the common 64-bit
// forms (fast*.go). Flags are lazy (flags.go). Memory goes through TLBs of host
// pointers (tlb.go).
//
// Position is kept as the RIP of the page's start in R[x86.RPage]; an Op knows
// its offset in the page. State.RIP is only right between blocks and when a
// handler faults or leaves the loop. A fault in a handler unwinds to the loop as
// a Go panic of type *fault, before the handler has changed anything that the
// architecture can see.
package interp

import (
	"io"
	"sync/atomic"

	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
	"hotblock/x86/simd"
)

// Requests that other goroutines post in CPU.pending.
const (
	reqInterrupt uint32 = 1 << iota // look at the interrupt controller
	reqNMI
	reqInit
	reqStartup
	reqReset
	reqStop       // leave Run
	reqFlush      // the layout of memory changed: drop all translations
	reqInvalidate // drop the code pages in the invalidation list
	reqSample     // call OnSample
)

// CPU is one processor run by the interpreter. Its exported methods are for the
// goroutine that calls Run, unless they say otherwise.
type CPU struct {
	x86.State

	tlb *tlbSet // of the current privilege, SMAP and alignment-check state
	it  *fetchTLB

	pending *atomic.Uint32
	recheck bool // interrupts may have become deliverable without a request

	linMask uint64 // of linear addresses of code: 32 or 64 bits
	amask   [9]uint64
	mode    codeMode
	long    bool // in 64-bit mode
	limited bool // the code segment ends before the greatest instruction pointer
	apicHi  uint64

	a20Closed atomic.Bool
	physMask  uint64 // of what A20 lets through

	sh *shared
	// Address spaces that are not current, how often one has been left, the last number
	// that one was given, and how often a page that a write TLB may have held became code.
	spaces     [maxSpaces]space
	spaceClock uint64
	lastSpace  uint64
	codeMarks  uint64
	// Where pages are in the write TLBs, and the block that was asked for last.
	writers     map[*mmu.Block]writers
	lastBlock   *mmu.Block
	lastWriters writers
	its         [3]fetchTLB // of CPL 0 to 2, of CPL 3, and one that stays empty
	paging      mmu.Paging

	Mem   *mmu.Memory
	Ports x86.Ports
	Int   x86.IntController
	Model *x86.Model
	// TSC returns the machine's time stamp, before this CPU's offset.
	TSC func() uint64
	// HostTSC, where set, says how TSC follows from the host's time stamp counter, for
	// translated code to read it: while that is at host+n, TSC returns guest + n*mult/2^64.
	// With ok it stays so while the CPU runs. It is asked often, and must be quick.
	HostTSC func() (host, guest, mult uint64, ok bool)
	// LocalIO, where set, is this CPU's own view of one page of physical memory,
	// which others do not see: its local APIC. It returns nil for other pages.
	LocalIO func(page uint64) mmu.MMIO
	// FERR, where set, is the x87 error signal for systems that run with CR0.NE
	// clear; a PC makes it interrupt 13.
	FERR func()
	// OnTSCChange, where set, is told when the guest moves its TSC.
	OnTSCChange func()
	// OnSample, where set, is called at the first block boundary after a call of
	// RequestSample. It must change nothing of the CPU.
	OnSample func()
	// ID is the initial APIC ID, NumCPUs the number of processors.
	ID, NumCPUs uint32
	Log         *Log

	code    [numModes]map[pageKey]*codePage
	cross   map[crossKey]*crossing
	liveOps int // decoded and kept: see maxLiveOps
	tr      Translator
	window  bool   // see SetWindow
	hotAt   uint64 // times a block is entered before it is translated
	// For translated code: whether an interrupt waits for IF.
	intWaiting *uint32
	translated bool       // the last that ran was translated code
	rehearsal  *Rehearsal // while one goes on
	stats      Stats
	stepping   bool   // run string instructions one iteration at a time
	dbTrap     uint64 // DR6 bits to report after this instruction
	dbActive   bool   // DR7 or TF ask for stepping
	fault      fault  // storage for the fault being raised
	waiting    bool   // for a start-up IPI
	sipiVec    atomic.Uint32
	wake       chan struct{}
	invList    invalidations
	scratch    [maxBlock + 2]Op // a block that is being decoded: see freshOps
	opPool     []Op             // for the next ones
	instPool   []decode.Inst
	chunkedOps int                   // out of opPool, since the last dropAllCode
	insts      [maxBlock]decode.Inst // of the block being decoded
	ssOp       Op                    // see stackOp
	exitCode   Exit
	vec        uint8     // which vector instructions may run: see updateVec
	feats      []bool    // of the model, by decode's feature numbers
	runs       []bool    // mnemonics that Executes is true of, by number
	vtmp       simd.V256 // operands of vector instructions that are in memory
	shutdown   bool
}

// Stats counts what a CPU did.
type Stats struct {
	Instructions uint64 // executed, string iterations not counted
	Decoded      uint64 // instructions decoded
	Blocks       uint64 // basic blocks decoded
	Invalidated  uint64 // code pages dropped because they were written
	TLBMisses    uint64
	PageFaults   uint64
	Interrupts   uint64
	Flushes      uint64 // of the TLB
}

// Exit says why Run returned.
type Exit uint8

// Reasons for Run to return.
const (
	ExitStop     Exit = iota // Stop was called
	ExitShutdown             // triple fault
)

// New returns a CPU in its reset state. The caller fills the exported fields
// before it calls Run; Mem, Ports, Int, Model and TSC are needed.
func New(mem *mmu.Memory, model *x86.Model) *CPU {
	c := &CPU{Mem: mem, Model: model, NumCPUs: 1, pending: new(atomic.Uint32), intWaiting: new(uint32), hotAt: ^uint64(0), wake: make(chan struct{}, 1), cross: map[crossKey]*crossing{}, writers: map[*mmu.Block]writers{}, Log: &Log{Out: io.Discard}}
	for i := range c.code {
		c.code[i] = map[pageKey]*codePage{}
	}
	c.physMask = ^uint64(0)
	c.amask = [9]uint64{2: 0xffff, 4: 0xffffffff, 8: ^uint64(0)}
	c.sh = newShared(c)
	for i := range c.sh.tlbs {
		c.sh.tlbs[i].init()
	}
	for i := range c.its {
		c.its[i].init()
	}
	c.newSpace()
	mem.OnRemap(func() { c.request(reqFlush) })
	mem.OnCodeWrite(c.postInvalidation)
	c.ResetState(true)
	return c
}

// Supports reports whether the interpreter executes a CPU feature.
func Supports(feature string) bool { return !unsupported[feature] }

// unsupported are the features that CPUID must not show.
var unsupported = map[string]bool{}

// DropCode forgets all decoded code, after memory was changed without telling
// anyone.
func (c *CPU) DropCode() { c.dropAllCode() }

// Stats returns the counters so far.
func (c *CPU) Stats() Stats { return c.stats }

// ResetState brings the CPU to its reset state: running at the reset vector if
// it is the boot processor, else waiting for a start-up IPI.
func (c *CPU) ResetState(boot bool) {
	c.PowerOn(c.Model.Signature)
	c.waiting = !boot
	c.shutdown = false
	c.dbTrap, c.recheck = 0, false
	c.sipiVec.And(^uint32(nmiPending))
	c.codeDependsOn(1)
	c.Refresh()
}

// request posts requests and wakes the CPU. It may be called from any
// goroutine.
func (c *CPU) request(r uint32) {
	c.pending.Or(r)
	if c.tr != nil {
		c.tr.Poke()
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Kick, NMI, Init, Startup and Reset implement x86.Signals; with Stop they may
// be called from any goroutine.
func (c *CPU) Kick() { c.request(reqInterrupt) }

// NMI posts a non-maskable interrupt.
func (c *CPU) NMI() { c.request(reqNMI) }

// Init posts an INIT.
func (c *CPU) Init() { c.request(reqInit) }

// Startup posts a start-up IPI with its vector.
func (c *CPU) Startup(vec uint8) {
	c.sipiVec.Store(uint32(vec))
	c.request(reqStartup)
}

// Reset posts a reset.
func (c *CPU) Reset() { c.request(reqReset) }

// SetA20 opens or closes the A20 gate: while it is closed, bit 20 of every
// physical address that the CPU sends out is zero. It may be called from any
// goroutine; it takes effect at the next basic block.
func (c *CPU) SetA20(open bool) {
	c.a20Closed.Store(!open)
	c.request(reqFlush)
}

// Stop makes Run return ExitStop at the next basic block.
func (c *CPU) Stop() { c.request(reqStop) }

// Refresh recomputes what the CPU keeps beside State, after State was changed
// from outside: modes, TLBs, derived masks.
func (c *CPU) Refresh() {
	c.R[x86.RZero] = 0
	for i := range c.Seg {
		c.R[x86.RSeg+i] = c.Seg[i].Base
	}
	c.updateMode()
	c.updatePaging()
	c.flushTLB(true)
	c.updateDebug()
	c.recheck = true
}

// Run executes until the CPU is stopped or shuts down.
func (c *CPU) Run() Exit {
	if c.tr != nil {
		c.tr.Begin()
		defer c.tr.End()
	}
	for {
		if c.Shadow && !c.Halted && !c.waiting && c.pending.Load()&(reqStop|reqReset) == 0 {
			// One more instruction before interrupts are looked at, whether or
			// not there are any now: one might come meanwhile.
			c.Shadow = false
			c.guarded(1)
			c.recheck = true
		}
		if c.pending.Load() != 0 || c.recheck {
			if c.guarded(0) {
				return c.exitCode
			}
		}
		if c.shutdown {
			return ExitShutdown
		}
		if c.Halted || c.waiting {
			<-c.wake
			c.recheck = true
			continue
		}
		if !c.Shadow {
			c.guarded(2)
		}
	}
}

// RunSteps executes at most n instructions, one at a time, and serves requests
// in between. It returns early when the CPU halts, stops or shuts down, and
// says how many it ran.
func (c *CPU) RunSteps(n int) (done int, exit Exit) {
	for done < n {
		if c.pending.Load() != 0 || c.recheck {
			if c.guarded(0) {
				return done, c.exitCode
			}
		}
		if c.shutdown {
			return done, ExitShutdown
		}
		if c.Halted || c.waiting {
			return done, ExitStop
		}
		c.recheck = c.recheck || c.Shadow
		c.Shadow = false
		c.guarded(1)
		done++
	}
	return done, ExitStop
}

// guarded does one of three things and delivers the exceptions that come of it:
// 0 serves requests, 1 runs one instruction, 2 runs blocks until a request. It
// reports whether Run should return.
func (c *CPU) guarded(what int) (leave bool) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(*fault)
			if !ok {
				panic(r)
			}
			c.stepping = false
			c.dbTrap = 0 // the instruction did not complete
			c.deliverFault(f)
		}
	}()
	switch what {
	case 0:
		return c.service()
	case 1:
		c.step()
	default:
		c.runBlocks()
	}
	return false
}

func (c *CPU) runBlocks() {
	for {
		c.translated = false
		if c.dbActive || c.limited && c.nearLimit() {
			c.step()
		} else {
			op := c.lookup()
			for op != nil {
				op = op.fn(c, op)
			}
			c.takeTraps()
		}
		if c.pending.Load() != 0 || c.recheck || c.Shadow || c.Halted || c.shutdown {
			return
		}
	}
}

// step runs one instruction and then takes the debug traps that it caused.
func (c *CPU) step() {
	traced := c.Flags&x86.FlagTF != 0
	shadowSS := c.ShadowSS
	c.ShadowSS = false
	if c.dbActive && !shadowSS {
		c.checkExecBreakpoint()
	}
	c.stepping = true
	rf := c.Flags & x86.FlagRF
	ip := c.RIP
	op := c.single()
	next := op.fn(c, op)
	if next != nil {
		c.RIP = c.ripAt(next.off)
	}
	c.stepping = false
	if rf != 0 && !op.keepsRF() && !(c.RIP == ip && op.x != nil && op.x.Rep != 0) {
		c.Flags &^= x86.FlagRF
	}
	switch op.trace() {
	case traceAfter:
		traced = c.Flags&x86.FlagTF != 0
	case traceNot:
		traced = false
	}
	if traced {
		c.dbTrap |= 1 << 14
	}
	c.takeTraps()
}

// takeTraps delivers the debug traps of the instruction that just ended.
func (c *CPU) takeTraps() {
	if c.dbTrap != 0 && !c.ShadowSS {
		bits := c.dbTrap
		c.dbTrap = 0
		c.DR[6] |= bits
		c.deliverTrapDB()
	}
}

// service acts on the requests, and takes an NMI or interrupt if one can be
// taken now. It reports whether Run should return.
func (c *CPU) service() bool {
	req := c.pending.Swap(0)
	if req&reqSample != 0 && c.OnSample != nil {
		c.OnSample()
	}
	c.recheck = false
	*c.intWaiting = 0
	if c.Int != nil && c.Int.HasInterrupt() {
		*c.intWaiting = 1
	}
	if req&reqFlush != 0 {
		c.physMask = ^uint64(0)
		if c.a20Closed.Load() {
			c.physMask &^= 1 << 20
		}
		c.dropAllCode()
		c.flushTLB(true)
	}
	if req&reqInvalidate != 0 {
		c.applyInvalidations()
	}
	if req&reqStop != 0 {
		c.pending.Or(req &^ (reqStop | reqFlush | reqInvalidate))
		c.recheck = true
		c.exitCode = ExitStop
		return true
	}
	if req&reqReset != 0 {
		c.ResetState(c.ID == 0)
	}
	if req&reqInit != 0 {
		c.initReset()
	}
	if req&reqStartup != 0 && c.waiting {
		vec := c.sipiVec.Load() & 0xff
		c.waiting = false
		c.RIP = 0
		c.setSeg(x86.CS, x86.Segment{Sel: uint16(vec << 8), Base: uint64(vec) << 12, Limit: 0xffff, Attr: c.Seg[x86.CS].Attr})
		c.updateMode()
	}
	if c.waiting || c.shutdown {
		c.pending.Or(req & reqNMI)
		return false
	}
	if req&reqNMI != 0 {
		if c.NMIMasked {
			c.pending.Or(reqNMI)
			c.nmiHeld()
		} else {
			c.Halted = false
			c.NMIMasked = true
			c.stats.Interrupts++
			c.recheck = true // an ordinary interrupt may be next
			c.interrupt(x86.VecNMI, evExternal)
			return false
		}
	}
	if c.Flags&x86.FlagIF != 0 && !c.Shadow && c.Int != nil && c.Int.HasInterrupt() {
		if vec, ok := c.Int.Ack(); ok {
			c.Halted = false
			c.stats.Interrupts++
			c.recheck = true
			c.interrupt(vec, evExternal)
		}
	}
	return false
}

// nmiHeld takes the request for an NMI that is masked out of the requests, so
// that it does not make the CPU look at them at every block; the IRET that
// unmasks NMIs puts it back.
func (c *CPU) nmiHeld() {
	c.pending.And(^reqNMI)
	c.sipiVec.Or(nmiPending)
}

const nmiPending = 1 << 31

// unmaskNMI is what IRET does to NMIs.
func (c *CPU) unmaskNMI() {
	if c.NMIMasked {
		if c.rehearsal != nil {
			panic(stopRehearsal{})
		}
		c.NMIMasked = false
		if c.sipiVec.And(^uint32(nmiPending))&nmiPending != 0 {
			c.pending.Or(reqNMI)
		}
	}
}

// initReset is INIT: like a reset, but caches, x87, SSE and AVX state, and the
// MSRs but for EFER stay (SDM volume 3, table 9-1).
func (c *CPU) initReset() {
	old := c.State
	c.PowerOn(c.Model.Signature)
	c.CR0 = x86.CR0ET | old.CR0&(x86.CR0CD|x86.CR0NW)
	c.FPFrac, c.FPExp, c.FCW, c.FSW, c.FTW = old.FPFrac, old.FPExp, old.FCW, old.FSW, old.FTW
	c.FOP, c.FCS, c.FDS, c.FIP, c.FDP = old.FOP, old.FCS, old.FDS, old.FIP, old.FDP
	c.MXCSR, c.V, c.XCR0, c.XSS = old.MXCSR, old.V, old.XCR0, old.XSS
	c.MTRRDefType, c.MTRRFix, c.MTRRVar, c.PAT = old.MTRRDefType, old.MTRRFix, old.MTRRVar, old.PAT
	c.TSCOffset, c.TSCAdjust, c.TSCAux = old.TSCOffset, old.TSCAdjust, old.TSCAux
	c.STAR, c.LSTAR, c.CSTAR, c.FMASK, c.KernelGSBase = old.STAR, old.LSTAR, old.CSTAR, old.FMASK, old.KernelGSBase
	c.SysenterCS, c.SysenterESP, c.SysenterEIP = old.SysenterCS, old.SysenterESP, old.SysenterEIP
	c.MiscEnable, c.SpecCtrl, c.MCGStatus = old.MiscEnable, old.SpecCtrl, old.MCGStatus
	c.shutdown = false
	c.dbTrap = 0
	c.sipiVec.And(^uint32(nmiPending))
	c.waiting = c.ID != 0
	c.codeDependsOn(1)
	c.Refresh()
}
