// Package lapic is the local APIC of each CPU: xAPIC registers in a page of
// memory, x2APIC registers as MSRs, timer, local vector table and
// inter-processor interrupts (SDM volume 3, chapter 11 "Advanced Programmable
// Interrupt Controller").
//
// The state is three 256-bit sets. A message that is accepted sets a bit of IRR
// and, by its trigger mode, sets or clears the bit of TMR. The CPU's Ack moves
// the highest bit of IRR to ISR, provided its class (the high four bits) is over
// that of the processor priority, which is the higher of TPR and the highest
// bit of ISR. EOI clears the highest bit of ISR and, where TMR has it, tells
// the I/O APICs. After each change update works out whether Ack would find
// something and puts the answer in one atomic word, which is all that a CPU
// reads between instructions; where the answer becomes yes, it kicks the CPU.
//
// Interrupts of the 8259 pair do not go through IRR: LINT0, set up as ExtINT,
// passes the PIC's INT pin on as long as it is high, and Ack fetches the vector
// from the PIC. That is done with the lock given up, since the PIC takes its
// own lock and calls LINT0.
package lapic

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"hotblock/devices"
	"hotblock/x86"
)

// Base is the address of the register page after reset.
const Base = 0xfee00000

// Version is the version register: 0x14, six LVT entries, no suppression of
// EOI broadcasts.
const Version = 0x00050014

// MSRs.
const (
	msrBase     = 0x1b
	msrDeadline = 0x6e0
	msrX2APIC   = 0x800

	baseBSP    = 1 << 8
	baseX2APIC = 1 << 10
	baseEnable = 1 << 11
)

// Register numbers: offset in the page / 16, MSR - 0x800.
const (
	regID      = 0x02
	regVersion = 0x03
	regTPR     = 0x08
	regAPR     = 0x09
	regPPR     = 0x0a
	regEOI     = 0x0b
	regRRD     = 0x0c
	regLDR     = 0x0d
	regDFR     = 0x0e
	regSVR     = 0x0f
	regISR     = 0x10
	regTMR     = 0x18
	regIRR     = 0x20
	regESR     = 0x28
	regICR     = 0x30
	regICR2    = 0x31
	regLVT     = 0x32 // timer, thermal, perf, LINT0, LINT1, error
	regInitial = 0x38
	regCurrent = 0x39
	regDivide  = 0x3e
	regSelfIPI = 0x3f
)

// Entries of the local vector table.
const (
	lvtTimer = iota
	lvtThermal
	lvtPerf
	lvtLINT0
	lvtLINT1
	lvtError
	lvtCount
)

// lvtMask has the bits that can be written in each entry.
var lvtMask = [lvtCount]uint32{0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff}

const (
	lvtMasked   = 1 << 16
	lvtLevel    = 1 << 15
	modeOneShot = 0
	modePeriod  = 1
	modeTSC     = 2

	esrSendIllegal = 1 << 5
	esrRecvIllegal = 1 << 6
	esrBadRegister = 1 << 7
	esrSendAccept  = 1 << 2
)

// minPeriod is the shortest time in ns between two interrupts of the periodic
// timer: below it the host would do nothing but interrupt.
const minPeriod = 10000

// Config says how a local APIC is built in.
type Config struct {
	ID    uint32 // APIC ID
	BSP   bool   // boot processor
	Clock devices.Clock
	// TSC reads this CPU's time stamp counter, offset included, and TSCHz is
	// its frequency.
	TSC   func() uint64
	TSCHz uint64
	// TimerHz is the frequency the timer divides: the crystal of CPUID leaf
	// 0x15. 0 means 1 GHz.
	TimerHz  uint64
	NoX2APIC bool // x2APIC is not in CPUID
	PhysBits uint // MAXPHYADDR; 0 means 40
	Signals  x86.Signals
}

type bitset [8]uint32

func (b *bitset) set(v uint8)      { b[v>>5] |= 1 << (v & 31) }
func (b *bitset) clear(v uint8)    { b[v>>5] &^= 1 << (v & 31) }
func (b *bitset) has(v uint8) bool { return b[v>>5]>>(v&31)&1 != 0 }

// highest returns the highest bit set, -1 for none.
func (b *bitset) highest() int {
	for i := 7; i >= 0; i-- {
		if b[i] != 0 {
			return i<<5 + bits.Len32(b[i]) - 1
		}
	}
	return -1
}

// A LAPIC is one CPU's local APIC. It implements x86.IntController for its CPU
// and mmu.MMIO for the page at Window.
type LAPIC struct {
	cfg    Config
	bus    *Bus
	sig    x86.Signals
	picAck func() uint8

	pending   atomic.Bool   // what HasInterrupt says
	pri       atomic.Uint32 // PPR, for arbitration
	swEnabled atomic.Bool
	base      atomic.Uint64 // IA32_APIC_BASE
	route     atomic.Uint64 // LDR and DFR, for matching

	mu       sync.Mutex
	irr      bitset
	isr      bitset
	tmr      bitset
	tpr      uint32
	svr      uint32
	ldr, dfr uint32
	esr      uint32 // as last latched
	errors   uint32 // since
	icr      uint64
	lvt      [lvtCount]uint32
	lint0    bool
	lint1    bool
	extMsg   bool // an ExtINT message from the I/O APIC waits
	onBase   func(base uint64, enabled bool)

	timer    devices.Timer
	timerAt  int64 // when it fires, 0 for not armed
	fired    bool  // the one-shot count has come to its end
	initial  uint32
	divide   uint32
	start    int64 // clock time at which the count began
	deadline uint64
}

// New adds a local APIC to the bus.
func New(bus *Bus, cfg Config) *LAPIC {
	if cfg.TimerHz == 0 {
		cfg.TimerHz = 1e9
	}
	if cfg.PhysBits == 0 {
		cfg.PhysBits = 40
	}
	if cfg.TSC == nil {
		cfg.TSC = func() uint64 { return uint64(cfg.Clock.Now()) }
		cfg.TSCHz = 1e9
	}
	l := &LAPIC{cfg: cfg, bus: bus, sig: cfg.Signals}
	if l.sig == nil {
		l.sig = deaf{}
	}
	l.timer = cfg.Clock.NewTimer(l.onTimer)
	bus.apics = append(bus.apics, l)
	l.Reset()
	return l
}

type deaf struct{}

func (deaf) Kick()         {}
func (deaf) NMI()          {}
func (deaf) Init()         {}
func (deaf) Startup(uint8) {}
func (deaf) Reset()        {}

// Connect sets the CPU that the APIC signals. Call it before the machine runs.
func (l *LAPIC) Connect(sig x86.Signals) { l.sig = sig }

// ConnectTSC sets the time stamp counter that deadlines are measured by. Call
// it before the machine runs.
func (l *LAPIC) ConnectTSC(tsc func() uint64, hz uint64) { l.cfg.TSC, l.cfg.TSCHz = tsc, hz }

// ConnectPIC sets the acknowledge cycle of the 8259 pair whose INT output
// drives LINT0. Call it before the machine runs.
func (l *LAPIC) ConnectPIC(ack func() uint8) { l.picAck = ack }

// OnBase sets a function that is called, with no lock held, when the page of
// registers moves or appears or goes.
func (l *LAPIC) OnBase(f func(base uint64, enabled bool)) { l.onBase = f }

// ID returns the APIC ID.
func (l *LAPIC) ID() uint32 { return l.cfg.ID }

// Window returns the address of the page of registers. ok is false where there
// is none: the APIC is off, or in x2APIC mode. It takes no lock.
func (l *LAPIC) Window() (base uint64, ok bool) {
	v := l.base.Load()
	return v &^ 0xfff, v&(baseEnable|baseX2APIC) == baseEnable
}

// Enabled reports whether IA32_APIC_BASE has the APIC on; CPUID leaf 1, EDX
// bit 9 shows it. It takes no lock.
func (l *LAPIC) Enabled() bool { return l.base.Load()&baseEnable != 0 }

// Reset brings the APIC to its power-on state. LINT0 of the boot processor
// passes the PIC on, as firmware sets it up (virtual wire mode).
func (l *LAPIC) Reset() {
	l.mu.Lock()
	base := uint64(Base | baseEnable)
	if l.cfg.BSP {
		base |= baseBSP
	}
	l.base.Store(base)
	l.clear()
	if l.cfg.BSP {
		l.lvt[lvtLINT0] = ExtINT << 8
	}
	l.update()
	l.mu.Unlock()
	l.moved()
}

// clear is what a reset and INIT have in common (SDM volume 3, 11.4.7).
func (l *LAPIC) clear() {
	l.irr, l.isr, l.tmr = bitset{}, bitset{}, bitset{}
	l.tpr, l.svr, l.ldr, l.dfr = 0, 0xff, 0, ^uint32(0)
	l.esr, l.errors, l.icr = 0, 0, 0
	for i := range l.lvt {
		l.lvt[i] = lvtMasked
	}
	l.extMsg = false
	l.initial, l.divide, l.deadline = 0, 0, 0
	if l.base.Load()&baseX2APIC != 0 {
		l.setX2LDR()
	}
	l.disarm()
}

func (l *LAPIC) moved() {
	if l.onBase != nil {
		base, ok := l.Window()
		l.onBase(base, ok)
	}
}

func (l *LAPIC) setX2LDR() { l.ldr = l.cfg.ID>>4<<16 | 1<<(l.cfg.ID&15) }

// matches reports whether m is for this APIC.
func (l *LAPIC) matches(m Message) bool {
	base := l.base.Load()
	if base&baseEnable == 0 {
		return false
	}
	x2 := base&baseX2APIC != 0
	if m.Dest == ^uint32(0) || m.Short && m.Dest == 0xff && (x2 || !m.Logical) {
		return true
	}
	if !m.Logical {
		if !x2 && !m.Short && m.Dest&0xff == 0xff {
			return true
		}
		return m.Dest == l.cfg.ID
	}
	r := l.route.Load()
	ldr, dfr := uint32(r), uint32(r>>32)
	if x2 {
		return m.Dest>>16 == ldr>>16 && m.Dest&ldr&0xffff != 0
	}
	ldr >>= 24
	if dfr>>28 == 0xf { // flat
		return m.Dest&ldr&0xff != 0
	}
	return (m.Dest>>4&15 == ldr>>4 || m.Dest>>4&15 == 15) && m.Dest&ldr&15 != 0
}

// accept takes a message that matches.
func (l *LAPIC) accept(m Message) {
	switch m.Mode {
	case Fixed, LowestPri:
		l.mu.Lock()
		l.request(m.Vector, m.Level)
		l.mu.Unlock()
	case NMI:
		l.sig.NMI()
	case INIT:
		l.mu.Lock()
		l.clear()
		l.update()
		l.mu.Unlock()
		l.sig.Init()
	case SIPI:
		l.sig.Startup(m.Vector)
	case ExtINT:
		l.mu.Lock()
		l.extMsg = true
		l.update()
		l.mu.Unlock()
	}
	// SMI: there is no system management mode.
}

// request sets a bit of IRR.
func (l *LAPIC) request(v uint8, level bool) {
	if v < 16 {
		l.fail(esrRecvIllegal)
		return
	}
	if l.svr&0x100 == 0 {
		return
	}
	l.irr.set(v)
	if level {
		l.tmr.set(v)
	} else {
		l.tmr.clear(v)
	}
	l.update()
}

// fail records an error and raises the error interrupt.
func (l *LAPIC) fail(bit uint32) {
	if l.errors&bit != 0 {
		return
	}
	l.errors |= bit
	if e := l.lvt[lvtError]; e&lvtMasked == 0 && uint8(e) >= 16 {
		l.request(uint8(e), false)
	}
}

func (l *LAPIC) ppr() uint32 {
	if s := l.isr.highest(); s >= 0 && uint32(s)&0xf0 > l.tpr&0xf0 {
		return uint32(s) & 0xf0
	}
	return l.tpr
}

// takesPIC reports whether the PIC's INT reaches the CPU.
func (l *LAPIC) takesPIC() bool {
	if l.base.Load()&baseEnable == 0 {
		return true // the pin is the CPU's INTR
	}
	e := l.lvt[lvtLINT0]
	return e&lvtMasked == 0 && e>>8&7 == ExtINT
}

// next returns the vector of IRR that Ack would take, -1 for none.
func (l *LAPIC) next() int {
	if l.base.Load()&baseEnable == 0 {
		return -1
	}
	v := l.irr.highest()
	if v < 0 || uint32(v)>>4 <= l.ppr()>>4 {
		return -1
	}
	return v
}

func (l *LAPIC) extPending() bool { return l.extMsg || l.lint0 && l.takesPIC() }

// update publishes what the lock-free readers see, and kicks the CPU.
func (l *LAPIC) update() {
	l.pri.Store(l.ppr())
	l.swEnabled.Store(l.svr&0x100 != 0)
	l.route.Store(uint64(l.dfr)<<32 | uint64(l.ldr))
	p := l.next() >= 0 || l.extPending()
	if was := l.pending.Swap(p); p && !was {
		l.sig.Kick()
	}
}

// HasInterrupt implements x86.IntController.
func (l *LAPIC) HasInterrupt() bool { return l.pending.Load() }

// Ack implements x86.IntController.
func (l *LAPIC) Ack() (uint8, bool) {
	l.mu.Lock()
	if v := l.next(); v >= 0 {
		l.irr.clear(uint8(v))
		l.isr.set(uint8(v))
		l.update()
		l.mu.Unlock()
		return uint8(v), true
	}
	if !l.extPending() || l.picAck == nil {
		l.extMsg = false
		l.update()
		l.mu.Unlock()
		return 0, false
	}
	l.extMsg = false
	l.update()
	l.mu.Unlock()
	return l.picAck(), true
}

// LINT0 is the pin that the PIC's INT output drives.
func (l *LAPIC) LINT0(level bool) {
	l.mu.Lock()
	rise := level && !l.lint0
	l.lint0 = level
	e := l.lvt[lvtLINT0]
	nmi := false
	if l.base.Load()&baseEnable != 0 && e&lvtMasked == 0 {
		switch e >> 8 & 7 {
		case Fixed:
			if rise {
				l.request(uint8(e), e&lvtLevel != 0)
			}
		case NMI:
			nmi = rise
		}
	}
	l.update()
	l.mu.Unlock()
	if nmi {
		l.sig.NMI()
	}
}

// LINT1 is the pin that the board's NMI drives.
func (l *LAPIC) LINT1(level bool) {
	l.mu.Lock()
	rise := level && !l.lint1
	l.lint1 = level
	nmi := false
	if rise {
		if l.base.Load()&baseEnable == 0 {
			nmi = true
		} else {
			nmi = l.local(lvtLINT1)
		}
	}
	l.mu.Unlock()
	if nmi {
		l.sig.NMI()
	}
}

// local raises an entry of the LVT; it reports true where that means an NMI.
func (l *LAPIC) local(i int) (nmi bool) {
	e := l.lvt[i]
	if e&lvtMasked != 0 {
		return false
	}
	switch e >> 8 & 7 {
	case Fixed:
		l.request(uint8(e), (i == lvtLINT0 || i == lvtLINT1) && e&lvtLevel != 0)
	case NMI:
		return true
	case ExtINT:
		l.extMsg = true
		l.update()
	}
	return false
}

// PerfInterrupt raises the performance counter entry of the LVT, which masks
// itself as on silicon (SDM volume 3, 20.6.3.5.8).
func (l *LAPIC) PerfInterrupt() {
	l.mu.Lock()
	nmi := l.local(lvtPerf)
	l.lvt[lvtPerf] |= lvtMasked
	l.mu.Unlock()
	if nmi {
		l.sig.NMI()
	}
}

// EnableVirtualWire sets the APIC up as firmware leaves it to a kernel on the
// boot processor: enabled, LINT0 for the PIC, LINT1 for NMI.
func (l *LAPIC) EnableVirtualWire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.svr = 0x1ff
	l.lvt[lvtLINT0] = ExtINT<<8 | lvtLevel
	l.lvt[lvtLINT1] = NMI << 8
	l.update()
}

// TPR implements x86.IntController.
func (l *LAPIC) TPR() uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint8(l.tpr >> 4)
}

// SetTPR implements x86.IntController.
func (l *LAPIC) SetTPR(v uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tpr = uint32(v&15) << 4
	l.update()
}

// eoi ends the service of the highest interrupt. It returns the vector to
// broadcast, or -1.
func (l *LAPIC) eoi() int {
	v := l.isr.highest()
	if v < 0 {
		return -1
	}
	l.isr.clear(uint8(v))
	level := l.tmr.has(uint8(v))
	l.update()
	if level {
		return v
	}
	return -1
}

// after is what a register write leads to once the lock is given up.
type after struct {
	eoi  int // vector to broadcast, -1 for none
	send bool
	icr  uint64
}

func (l *LAPIC) finish(a after) {
	if a.eoi >= 0 && l.bus.eoi != nil {
		l.bus.eoi(uint8(a.eoi))
	}
	if a.send {
		l.ipi(a.icr)
	}
}

// ipi sends what the ICR asks for (SDM volume 3, 11.6.1).
func (l *LAPIC) ipi(icr uint64) {
	x2 := l.base.Load()&baseX2APIC != 0
	m := Message{
		Dest:    uint32(icr >> 32),
		Logical: icr>>11&1 != 0,
		Mode:    uint8(icr >> 8 & 7),
		Vector:  uint8(icr),
		Level:   icr>>15&1 != 0,
	}
	if !x2 {
		m.Dest >>= 24
		m.Short = true
	}
	if m.Mode == INIT && m.Level && icr>>14&1 == 0 {
		return // INIT level de-assert only sets arbitration IDs
	}
	if m.Mode == 3 || m.Mode == ExtINT {
		return // reserved
	}
	m.Level = false // IPIs are edges, whatever the bit says
	if (m.Mode == Fixed || m.Mode == LowestPri) && m.Vector < 16 {
		l.mu.Lock()
		l.fail(esrSendIllegal)
		l.mu.Unlock()
		return
	}
	switch icr >> 18 & 3 {
	case 0:
		if !l.bus.Send(m) {
			l.mu.Lock()
			l.fail(esrSendAccept)
			l.mu.Unlock()
		}
	case 1:
		if m.Mode == Fixed {
			l.accept(m)
		}
	case 2, 3:
		for _, o := range l.bus.apics {
			if o.Enabled() && (o != l || icr>>18&3 == 2) {
				if m.Mode == LowestPri {
					m.Mode = Fixed
				}
				o.accept(m)
			}
		}
	}
}

// read returns register r, by its number. ok is false where there is none.
func (l *LAPIC) read(r uint32) (v uint32, ok bool) {
	switch {
	case r >= regISR && r < regISR+8:
		return l.isr[r-regISR], true
	case r >= regTMR && r < regTMR+8:
		return l.tmr[r-regTMR], true
	case r >= regIRR && r < regIRR+8:
		return l.irr[r-regIRR], true
	case r >= regLVT && r < regLVT+lvtCount:
		return l.lvt[r-regLVT], true
	}
	switch r {
	case regVersion:
		return Version, true
	case regTPR:
		return l.tpr, true
	case regPPR:
		return l.ppr(), true
	case regLDR:
		return l.ldr, true
	case regSVR:
		return l.svr, true
	case regESR:
		return l.esr, true
	case regInitial:
		if l.mode() == modeTSC {
			return 0, true
		}
		return l.initial, true
	case regCurrent:
		return l.current(), true
	case regDivide:
		return l.divide, true
	}
	return 0, false
}

// write sets register r, by its number, to v.
func (l *LAPIC) write(r, v uint32, a *after) (ok bool) {
	if r >= regLVT && r < regLVT+lvtCount {
		l.setLVT(int(r-regLVT), v)
		return true
	}
	switch r {
	case regTPR:
		l.tpr = v & 0xff
	case regEOI:
		a.eoi = l.eoi()
	case regSVR:
		l.svr = v & 0x3ff
		if v&0x100 == 0 {
			for i := range l.lvt {
				l.lvt[i] |= lvtMasked
			}
			l.arm()
		}
	case regESR:
		l.esr = l.errors
		l.errors = 0
	case regInitial:
		if l.mode() != modeTSC {
			l.initial, l.fired = v, false
			l.start = l.cfg.Clock.Now()
			l.arm()
		}
	case regDivide:
		done := uint64(l.initial - l.current())
		l.divide = v & 0xb
		l.start = l.cfg.Clock.Now() - l.countNS(done)
		l.arm()
	default:
		return false
	}
	l.update()
	return true
}

func (l *LAPIC) setLVT(i int, v uint32) {
	old := l.lvt[i]
	v &= lvtMask[i]
	if l.svr&0x100 == 0 {
		v |= lvtMasked
	}
	l.lvt[i] = v
	switch i {
	case lvtTimer:
		switch was, is := old>>17&3, v>>17&3; {
		case was == is:
		case was == modeTSC || is == modeTSC:
			l.initial, l.deadline = 0, 0
		case was == modePeriod && l.initial != 0:
			// The count that is under way is the last.
			p := max(l.countNS(uint64(l.initial)), 1)
			l.start += max(l.cfg.Clock.Now()-l.start, 0) / p * p
			l.fired = false
		}
		l.arm()
	case lvtLINT0:
		// A level that is there when the entry is unmasked counts.
		if l.lint0 && v&lvtMasked == 0 && v>>8&7 == Fixed && v&lvtLevel != 0 {
			l.request(uint8(v), true)
		}
	}
	l.update()
}

// ReadMMIO implements mmu.MMIO for the page of registers.
func (l *LAPIC) ReadMMIO(off uint64, size int) uint64 {
	if _, ok := l.Window(); !ok {
		return ^uint64(0)
	}
	if off&0xf >= 4 || off >= 0x1000 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var v uint32
	switch r := uint32(off >> 4); r {
	case regID:
		v = l.cfg.ID << 24
	case regAPR, regRRD, regEOI:
	case regDFR:
		v = l.dfr
	case regICR:
		v = uint32(l.icr)
	case regICR2:
		v = uint32(l.icr >> 32)
	default:
		var ok bool
		if v, ok = l.read(r); !ok {
			l.fail(esrBadRegister)
		}
	}
	return uint64(v >> (8 * (off & 3)))
}

// WriteMMIO implements mmu.MMIO for the page of registers. Registers are 32
// bits wide and aligned to 16 bytes; other writes do nothing.
func (l *LAPIC) WriteMMIO(off uint64, size int, val uint64) {
	if _, ok := l.Window(); !ok || off&0xf != 0 || size < 4 || off >= 0x1000 {
		return
	}
	a := after{eoi: -1}
	v := uint32(val)
	l.mu.Lock()
	switch r := uint32(off >> 4); r {
	case regID, regVersion, regAPR, regPPR, regRRD, regCurrent: // read-only
	case regLDR:
		l.ldr = v & 0xff000000
		l.update()
	case regDFR:
		l.dfr = v | 0x0fffffff
		l.update()
	case regICR:
		l.icr = l.icr&^0xffffffff | uint64(v&0xccfff&^0x1000)
		a.send, a.icr = true, l.icr
	case regICR2:
		l.icr = l.icr&0xffffffff | uint64(v&0xff000000)<<32
	default:
		if !l.write(r, v, &a) {
			l.fail(esrBadRegister)
		}
	}
	l.mu.Unlock()
	l.finish(a)
}

// ReadMSR implements x86.IntController.
func (l *LAPIC) ReadMSR(msr uint32) (uint64, bool) {
	switch msr {
	case msrBase:
		return l.base.Load(), true
	case msrDeadline:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.deadline, true
	}
	if l.base.Load()&(baseEnable|baseX2APIC) != baseEnable|baseX2APIC || msr < msrX2APIC || msr > msrX2APIC+0xff {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r := msr - msrX2APIC; r {
	case regID:
		return uint64(l.cfg.ID), true
	case regICR:
		return l.icr, true
	default:
		v, ok := l.read(r)
		return uint64(v), ok
	}
}

// WriteMSR implements x86.IntController.
func (l *LAPIC) WriteMSR(msr uint32, v uint64) bool {
	switch msr {
	case msrBase:
		return l.setBase(v)
	case msrDeadline:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.mode() == modeTSC {
			l.deadline = v
			l.arm()
		}
		return true
	}
	if l.base.Load()&(baseEnable|baseX2APIC) != baseEnable|baseX2APIC || msr < msrX2APIC || msr > msrX2APIC+0xff {
		return false
	}
	r := msr - msrX2APIC
	a := after{eoi: -1}
	if r == regICR {
		if v&0xffffffff&^0xcdfff != 0 {
			return false
		}
		l.mu.Lock()
		l.icr = v &^ 0x1000
		l.mu.Unlock()
		a.send, a.icr = true, v
		l.finish(a)
		return true
	}
	if v>>32 != 0 {
		return false
	}
	w := uint32(v)
	ok := true
	switch {
	case r == regTPR:
		ok = w <= 0xff
	case r == regEOI, r == regESR:
		ok = w == 0
	case r == regSVR:
		ok = w&^0x3ff == 0
	case r >= regLVT && r < regLVT+lvtCount:
		ok = w&^(lvtMask[r-regLVT]|0x5000) == 0
	case r == regDivide:
		ok = w&^0xb == 0
	case r == regSelfIPI:
		if w > 0xff {
			return false
		}
		a.send, a.icr = true, uint64(w)|1<<18
		l.finish(a)
		return true
	case r == regInitial:
	default:
		ok = false
	}
	if !ok {
		return false
	}
	l.mu.Lock()
	ok = l.write(r, w, &a)
	l.mu.Unlock()
	l.finish(a)
	return ok
}

// setBase writes IA32_APIC_BASE (SDM volume 3, 11.4.4 and, for the transitions
// that fault, 11.12.5).
func (l *LAPIC) setBase(v uint64) bool {
	allowed := uint64(1)<<l.cfg.PhysBits - 1
	allowed &^= 0xfff
	allowed |= baseBSP | baseEnable
	if !l.cfg.NoX2APIC {
		allowed |= baseX2APIC
	}
	if v&^allowed != 0 {
		return false
	}
	l.mu.Lock()
	old := l.base.Load()
	const mode = baseEnable | baseX2APIC
	from, to := old&mode, v&mode
	switch {
	case to == baseX2APIC, // x2APIC without enable
		from == mode && to == baseEnable, // x2APIC to xAPIC
		from == 0 && to == mode:          // off to x2APIC
		l.mu.Unlock()
		return false
	}
	l.base.Store(v)
	switch {
	case to == 0 && from != 0:
		l.clear() // off loses all state
	case to == mode && from == baseEnable:
		l.setX2LDR()
		l.icr &= 0xffffffff
	}
	l.update()
	l.mu.Unlock()
	if old != v {
		l.moved()
	}
	return true
}

// --- timer (SDM volume 3, 11.5.4) ---

func (l *LAPIC) mode() uint32 { return l.lvt[lvtTimer] >> 17 & 3 }

// shift is the divider as a power of two.
func (l *LAPIC) shift() uint {
	return uint((l.divide&3|l.divide>>1&4)+1) & 7
}

// countNS is the time in ns that n counts take.
func (l *LAPIC) countNS(n uint64) int64 {
	return int64(devices.MulDiv(n<<l.shift(), 1e9, l.cfg.TimerHz))
}

// current is the current count register.
func (l *LAPIC) current() uint32 {
	if l.initial == 0 || l.mode() == modeTSC {
		return 0
	}
	n := devices.MulDiv(uint64(max(l.cfg.Clock.Now()-l.start, 0)), l.cfg.TimerHz, 1e9) >> l.shift()
	if l.mode() == modePeriod {
		return l.initial - uint32(n%uint64(l.initial))
	}
	if n >= uint64(l.initial) {
		return 0
	}
	return l.initial - uint32(n)
}

func (l *LAPIC) disarm() {
	l.timerAt = 0
	l.timer.Stop()
}

// arm sets the host timer for the timer's next interrupt. A masked timer
// counts but needs none.
func (l *LAPIC) arm() {
	now := l.cfg.Clock.Now()
	at := int64(0)
	switch l.mode() {
	case modeTSC:
		if l.deadline != 0 {
			at = now
			if tsc := l.cfg.TSC(); l.deadline > tsc {
				at = later(now, devices.MulDiv(l.deadline-tsc, 1e9, l.cfg.TSCHz))
			}
		}
	case modePeriod:
		if l.initial != 0 && l.lvt[lvtTimer]&lvtMasked == 0 {
			p := max(l.countNS(uint64(l.initial)), minPeriod)
			at = l.start + (max(now-l.start, 0)/p+1)*p
		}
	case modeOneShot:
		if l.initial != 0 && !l.fired {
			at = l.start + l.countNS(uint64(l.initial))
		}
	}
	if at == 0 {
		l.disarm()
		return
	}
	if at <= now && l.mode() == modeTSC {
		l.fire()
		return
	}
	l.timerAt = at
	l.timer.Set(at)
}

// later is now + d, kept in range.
func later(now int64, d uint64) int64 {
	const far = 1 << 62
	if d > far || now+int64(d)+1 > far {
		return far
	}
	return now + int64(d) + 1
}

func (l *LAPIC) fire() {
	l.timerAt = 0
	switch l.mode() {
	case modeTSC:
		l.deadline = 0
	case modePeriod:
		l.arm()
	default:
		l.fired = true
	}
	l.local(lvtTimer)
}

func (l *LAPIC) onTimer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timerAt == 0 || l.cfg.Clock.Now() < l.timerAt {
		return
	}
	if l.mode() == modeTSC && l.cfg.TSC() < l.deadline {
		l.arm() // the counter was set back
		return
	}
	l.fire()
}

// TSCChanged tells the APIC that the time stamp counter jumped (a write to
// IA32_TSC or IA32_TSC_ADJUST).
func (l *LAPIC) TSCChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mode() == modeTSC {
		l.arm()
	}
}
