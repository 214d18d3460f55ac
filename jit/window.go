package jit

// Windows on guest memory.
//
// An inline TLB costs six operations and a load that the access waits for. A window
// is a range of host addresses in which pages of the guest are mapped where their
// linear addresses say, so that the host's MMU does what the TLB does. What is left to
// do is to see that an address is in the window at all, which takes a test of one
// bit for many accesses together (windowed.go).
//
// A page that is not mapped yet faults; the engine looks it up, maps it (host.Window), with
// what follows it if that is contiguous, and goes on at the same instruction. A page that
// the guest has not written to is mapped without the right to write, so that the
// first write faults, too. What is no memory, and stores to pages with code, are left to the
// interpreter; a region where that happens again and again is translated without.
//
// Mapping a page costs as much as thousands of lookups. So a window is for one
// program that has run for a while (its heat), sooner where that translates hardly anything any
// more: its address space is promoted, and its
// code is translated anew, as a variant of its own (interp.VariantWindow). When the
// CPU leaves the address space the window is closed, and opens again when it comes
// back: in between there is no such variant, and code of it is not found. (If some
// were to run nevertheless, it would fault: a closed window has deltas that lead
// nowhere.) Whatever drops a page from the TLB unmaps it; where the whole TLB goes,
// all pages are compared with the page tables, which costs less than faults would; where it
// costs too much, all are unmapped. A program that faults more than it works loses
// the window.
//
// The window has three parts. The high one holds the upper half of the linear addresses of
// programs, where Linux puts programs, libraries, heaps and stacks; the low one
// holds 16 TiB from zero on, for programs that are linked to fixed addresses; the middle
// one holds 16 TiB of what is between these, where the program has accessed memory
// first, or more often later: Go puts heaps anywhere. The host has no room for more.
//
// Code cannot reach beyond the window, whatever address the guest makes: windowed.go says why.

import (
	"math"
	"runtime"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/mmu"
)

// partSizes are the sizes of the parts in bytes.
var partSizes = [numParts]uint64{lowPart: 1 << lowBits, highPart: 1 << highBit, midPart: 1 << lowBits}

// noMid is WinMid while the middle part is nowhere.
const noMid = 1 << 32

const (
	windowPages = 24000 // mapped at a time; the host allows some 65000 mappings
	windowRun   = 16    // pages that are mapped at once

	windowHeat   = 18    // ticks before a space is promoted
	windowSoon   = 4     // the same where hardly anything is translated any more:
	windowCalm   = 16    // no more regions in a tick, for
	windowCalms  = 2     // ticks in a row
	windowCold   = -40   // heat of a space that lost its window for good reason
	windowBusy   = 100   // faults in a tick that are too many
	windowRest   = 10    // ticks that its owner has not run before another space may have it
	windowChecks = 50000 // pages compared in a tick that are too many
	windowBad    = 45    // how often too many, less the ticks without, before the window is taken away
	windowTries  = 8     // faults that the interpreter had to deal with before a region does without
)

// guestWindow is what an Engine knows of its window.
type guestWindow struct {
	parts  hostWindows
	failed bool // there is none to be had

	serial uint64 // counts its owners and times it was emptied
	open   bool   // the current space is its owner
	pages  winPages
	at     map[winKey][]uint64
	bounds [numParts]struct{ low, high uint64 } // of pages, by part
	mid    uint64                               // where the middle part begins, in its size, or noMid

	midCode  bool                          // there are regions made for the middle part
	strays   [1 << (highBit - lowBits)]int // accesses where the middle part could be, but is not
	patience int                           // how many it takes for it to go there

	after   int    // the heat that it takes
	calm    int    // ticks in a row in which hardly anything was translated
	regions uint64 // translated up to the last tick
	heat    int    // of the current space
	faults  int    // since the last tick
	checked int    // pages compared with the page tables since then
	bad     int    // see windowBad
	rest    int    // ticks since the owner ran
	owner   uint64 // its tables, or 0
	largest uint64 // size of the guest's largest page that has been mapped, or parts of it

	mixed   int               // accesses of its owner that did not pass their test
	without map[codeKey]bool  // blocks that are translated without
	seen    map[codeKey]uint8 // where accesses were that did not pass their test

	mapped, unmapped, promoted, faulted uint64
}

// windowed accesses by the window where there is one.
type windowed struct{ inlineTLB }

func newWindowed(e *Engine, heat int) windowed {
	e.win = &guestWindow{after: heat, pages: winPages{chunks: map[uint64]*winChunk{}}, at: map[winKey][]uint64{}, without: map[codeKey]bool{}, seen: map[codeKey]uint8{}}
	for i := range e.sh.context.WinTable {
		e.sh.context.WinTable[i] = awayDelta(i)
	}
	e.win.noPages()
	e.putMid(noMid)
	x := &e.sh.context
	x.WinAbove, x.WinHigh, x.WinUpper, x.WinChunk = ^uint64(1<<lowBits-1), 1<<highBit, ^uint64(1<<32-1), ^uint64(windowChunk-1)
	return windowed{inlineTLB{true}}
}

func (windowed) sharing(t *translator) sharing {
	r := t.r
	if t.v&interp.VariantWindow == 0 {
		return sharePage
	}
	p, ok := t.e.win.partOf(t.va - uint64(r.goff))
	if !ok || t.e.win.without[codeKey{r.page, r.off}] {
		return sharePage
	}
	r.windowed, r.part = true, p
	t.e.win.midCode = t.e.win.midCode || p == midPart
	return shareWindow
}

// withoutWindow has a region made anew, without the window.
func (e *Engine) withoutWindow(r *region) {
	e.win.without[codeKey{r.page, r.off}] = true
	e.remake(r)
}

// closedDelta makes all canonical addresses that are none.
const closedDelta = 1 << 62

// closeWindow makes all accesses fault.
func (e *Engine) closeWindow() {
	e.win.open = false
	e.setDeltas()
	e.cpu.SetWindow(false)
}

// openWindow makes the current space's pages accessible.
func (e *Engine) openWindow() {
	e.win.open = true
	e.setDeltas()
	e.cpu.SetWindow(true)
}

func (e *Engine) setDeltas() {
	w, x := e.win, &e.sh.context
	for i, p := range w.parts {
		switch {
		case p == nil:
			x.WinDelta[i] = closedDelta
		case !w.open:
			x.WinDelta[i] = uint64(p.Base) - w.start(windowPart(i)) + closedDelta
		default:
			x.WinDelta[i] = uint64(p.Base) - w.start(windowPart(i))
		}
	}
	for i := range x.WinTable[:1<<(47-lowBits)] { // the others never change
		x.WinTable[i] = awayDelta(i)
		if p, ok := w.partOf(uint64(i) << lowBits); ok && w.open && w.parts[p] != nil {
			x.WinTable[i] = x.WinDelta[p]
		}
	}
}

// awayDelta is the entry of WinTable for addresses that are in no part: one that leads to no
// address of the host's programs, whatever bits 52 and up of the address are, and
// neither do the host.WindowGuard bytes on both sides of it.
func awayDelta(i int) uint64 {
	switch n := i >> (47 - lowBits); { // bits 47 to 51
	case n < 16:
		return 1 << 48
	case n < 31:
		return 0
	default:
		return math.MaxUint64 - 1<<48 + 1
	}
}

// putMid puts the middle part at a multiple of its size, or nowhere.
func (e *Engine) putMid(n uint64) {
	if w := e.win; w.midCode && n != w.mid {
		// Code there makes no test for what is relative to RIP.
		w.midCode = false
		e.remakeAll(func(r *region) bool { return r.windowed && r.part == midPart })
	}
	e.win.mid = n
	e.sh.context.WinMid, e.sh.context.WinNeg = n, -n
	e.setDeltas()
}

// start is the linear address at which a part begins.
func (w *guestWindow) start(p windowPart) uint64 {
	switch p {
	case highPart:
		return 1 << highBit
	case midPart:
		return w.mid << lowBits
	}
	return 0
}

// partOf says in which part an address is.
func (w *guestWindow) partOf(va uint64) (p windowPart, ok bool) {
	switch {
	case va>>lowBits == 0:
		return lowPart, true
	case va>>highBit == 1:
		return highPart, true
	case va>>lowBits == w.mid:
		return midPart, true
	}
	return 0, false
}

// placed is partOf, and puts the middle part where the address is if it is free.
func (e *Engine) placed(va uint64) (p windowPart, ok bool) {
	if w := e.win; w.mid == noMid && va>>highBit == 0 && va>>lowBits != 0 && w.parts[midPart] != nil {
		e.putMid(va >> lowBits)
	}
	return e.win.partOf(va)
}

// firstPatience is the first value of guestWindow.patience. It doubles each time.
const firstPatience = 64

// elsewhere moves the middle part to where an access was, at va, if there have been many. What the program
// accessed first need not be its heap: Go's has stacks elsewhere.
func (e *Engine) elsewhere(va uint64) {
	w := e.win
	n := va >> lowBits
	if n == 0 || n >= uint64(len(w.strays)) || n == w.mid {
		return
	}
	if w.strays[n]++; w.strays[n] < w.patience {
		return
	}
	w.patience *= 2
	clear(w.strays[:])
	if e.dropPages(); w.failed {
		e.emptyWindow()
		return
	}
	e.putMid(n)
	// What was made without the window is made anew.
	clear(w.without)
	e.remakeAll(func(r *region) bool { return r.placed && !r.windowed })
}

// make reserves the addresses.
func (w *guestWindow) make() bool {
	for _, i := range [...]windowPart{highPart, lowPart, midPart} {
		p, err := host.NewWindow(partSizes[i])
		switch {
		case err == nil:
			w.parts[i] = p
		case i != midPart: // which few need
			w.parts.free()
			return false
		}
	}
	return true
}

// WindowsFit reports whether the process has the addresses for a window, and keeps them for the first
// engine that wants one. Where it has not, programs are translated without.
func WindowsFit() bool {
	var w guestWindow
	ok := w.make()
	w.parts.free()
	return ok
}

// hostWindows are the host's addresses of the parts, or nil.
type hostWindows [numParts]*host.Window

// free gives the addresses back.
func (p *hostWindows) free() {
	for i, w := range p {
		if w != nil {
			w.Close()
			p[i] = nil
		}
	}
}

// giveUpWindow is for an Engine that is closed.
func (e *Engine) giveUpWindow() {
	w := e.win
	if w.open {
		e.closeWindow()
	}
	w.parts.free()
	w.failed, w.owner = true, 0
}

// tables is what identifies the current address space: where its page tables are.
func (e *Engine) tables() uint64 { return e.cpu.CR3 &^ 0xfff }

// windowTick is called a few hundred times a second of the running program's time.
func (e *Engine) windowTick() {
	w := e.win
	if w.failed {
		return
	}
	w.heat++
	if w.calm++; e.stats.Regions-w.regions > windowCalm {
		w.calm = 0
	}
	w.regions = e.stats.Regions
	if w.open {
		if n := max(w.faults/windowBusy, w.checked/windowChecks); n > 0 {
			w.bad += n
		} else if w.bad > 0 {
			w.bad--
		}
		if w.bad >= windowBad {
			e.withdrawWindow()
		} else if w.checked > windowChecks {
			if e.dropPages(); w.failed { // else those that are in use come back
				e.emptyWindow()
			}
		}
		w.faults, w.checked = 0, 0
		w.rest = 0
		return
	}
	after := w.after
	if w.calm >= windowCalms {
		after = min(after, windowSoon)
	}
	if w.rest++; w.heat < after || w.pages.n > 0 && w.rest < windowRest {
		return
	}
	if w.parts[0] == nil {
		if !w.make() {
			w.failed = true
			return
		}
		runtime.AddCleanup(e.cpu, func(p hostWindows) { p.free() }, w.parts)
	}
	e.emptyWindow()
	if _, ok := e.placed(e.cpu.RIP); !ok {
		return
	}
	w.owner = e.tables()
	w.promoted++
	w.faults, w.checked, w.bad = 0, 0, 0
	w.anotherProgram()
	e.openWindow()
	// Code of this space is to be found anew.
	e.flushJump(int(interp.TLBUser), true)
	e.newMap(0)
	e.checkPlaces()
}

// anotherProgram forgets what is known of the accesses of the owner.
func (w *guestWindow) anotherProgram() {
	w.mixed, w.patience = 0, firstPatience
	clear(w.strays[:])
}

// emptyWindow unmaps everything and closes the window.
func (e *Engine) emptyWindow() {
	w := e.win
	if w.open {
		e.closeWindow()
		w.heat = 0
	}
	if w.owner != 0 {
		// Its code would go the cold way from now on.
		e.flushJump(int(interp.TLBUser), true)
		e.newMap(0)
	}
	w.serial++
	w.owner = 0
	e.dropPages()
	e.putMid(noMid)
}

// dropPages unmaps all pages. Where the host does not, the window must be closed, and stays
// so.
func (e *Engine) dropPages() {
	w := e.win
	if w.pages.n == 0 {
		return
	}
	for i, b := range w.bounds {
		if b.low < b.high && w.parts[i].Unmap(b.low-w.start(windowPart(i)), b.high-b.low) != nil {
			w.failed = true // there are pages in it
		}
	}
	w.unmapped += uint64(w.pages.n)
	w.noPages()
}

// withdrawWindow takes the window from a program that it is not good for, for a while.
func (e *Engine) withdrawWindow() {
	e.emptyWindow()
	e.win.heat = windowCold
}

// noPages forgets all pages.
func (w *guestWindow) noPages() {
	w.pages.clear()
	clear(w.at)
	w.largest = 0
	for i := range w.bounds {
		w.bounds[i].low, w.bounds[i].high = math.MaxUint64, 0
	}
}

// host is where a linear address is in the window.
func (w *guestWindow) host(va uint64) (p *host.Window, off uint64, ok bool) {
	i, ok := w.partOf(va)
	if !ok {
		return nil, 0, false
	}
	return w.parts[i], va - w.start(i), true
}

// checkWindow opens the window if the current space owns it, after it has compared
// all its pages with the page tables; else it closes it.
func (e *Engine) checkWindow() {
	w := e.win
	if w == nil {
		return
	}
	if w.owner == 0 || w.owner != e.tables() {
		if w.open {
			e.closeWindow()
		}
		return
	}
	n := w.pages.n
	e.compareWindow()
	if w.pages.n < n/8 {
		w.anotherProgram() // its tables are where those of one that has ended were
	}
	w.serial++
	if w.owner != 0 && !w.open {
		e.openWindow()
	}
}

// unmapPage unmaps the page at a linear address of the current space.
func (e *Engine) unmapPage(va uint64, large bool) {
	w := e.win
	if w == nil || !w.open {
		return
	}
	if large || w.largest > mmu.PageSize {
		e.compareAround(va, max(w.largest, 1<<21))
		return
	}
	va &^= mmu.PageSize - 1
	if _, ok := w.pages.at(va); ok {
		e.unmap(va, mmu.PageSize)
	}
}

// unmap unmaps size bytes of pages from va on, which are all mapped and in one part; everything,
// where the host cannot split its mapping any more.
func (e *Engine) unmap(va, size uint64) {
	w := e.win
	if h, off, ok := w.host(va); !ok || h.Unmap(off, size) != nil {
		e.emptyWindow()
		return
	}
	for end := va + size; va < end; va += mmu.PageSize {
		w.unmapped++
		w.forget(va)
	}
}

// forget drops the page at va, which must be there.
func (w *guestWindow) forget(va uint64) {
	p, _ := w.pages.at(va)
	w.pages.remove(va)
	l := w.at[p.winKey]
	for i := range l {
		if l[i] == va {
			l[i] = l[len(l)-1]
			l = l[:len(l)-1]
			break
		}
	}
	if len(l) == 0 {
		delete(w.at, p.winKey)
	} else {
		w.at[p.winKey] = l
	}
}

// Protect implements interp.Translator.
func (e *Engine) Protect(b *mmu.Block, off uint64) {
	w := e.win
	if w == nil || len(w.at) == 0 {
		return
	}
	for _, va := range w.at[winKey{b, off}] {
		if p, _ := w.pages.at(va); p.write {
			fd, _ := b.File()
			if h, at, ok := w.host(va); !ok || h.Map(at, mmu.PageSize, fd, off, false) != nil {
				e.emptyWindow()
				return
			}
			p.write = false
			w.pages.set(va, p)
		}
	}
}

// windowFault deals with a fault at an address in the window. It reports whether the
// instruction is to be tried again.
func (e *Engine) windowFault(r *region) bool {
	w, x := e.win, &e.sh.context
	const write = 1 << 1 // in the error code
	va := e.windowAddress()
	wr := x.FaultErr&write != 0
	w.faults++
	w.faulted++
	h, off, ok := w.host(va)
	if !ok {
		e.leftToInterpreter(r)
	}
	if !w.open || !ok {
		return false
	}
	// Without a tick in so many faults the program is hardly ever seen running.
	if w.faults >= windowBusy*windowBad || w.pages.n >= windowPages {
		e.withdrawWindow()
		return false
	}
	va &^= mmu.PageSize - 1
	off &^= mmu.PageSize - 1
	p, ok := e.cpu.Direct(va, wr, false)
	w.largest = max(w.largest, p.Size)
	if !ok {
		if e.cpu.Present(va, wr) {
			e.leftToInterpreter(r)
		}
		return false
	}
	fd, ok := p.Block.File()
	if !ok {
		// Memory that cannot be mapped twice.
		e.emptyWindow()
		w.failed = true
		return false
	}
	if old, ok := w.pages.at(va); ok {
		if old.winKey == (winKey{p.Block, p.Off}) && (old.write || !wr) {
			return false // it is there: something else is wrong
		}
		w.forget(va)
	}
	size := uint64(mmu.PageSize)
	for size < windowRun*mmu.PageSize && (va+size)&(windowRun*mmu.PageSize-1) != 0 {
		if _, ok := w.pages.at(va + size); ok {
			break
		}
		q, ok := e.cpu.Direct(va+size, false, true)
		if !ok || q.Block != p.Block || q.Off != p.Off+size || q.Write != p.Write {
			break
		}
		size += mmu.PageSize
	}
	if h.Map(off, size, fd, p.Off, p.Write) != nil {
		// The host has no room for more mappings.
		e.withdrawWindow()
		return false
	}
	for n := uint64(0); n < size; n += mmu.PageSize {
		k := winKey{p.Block, p.Off + n}
		w.pages.set(va+n, winPage{k, p.Write})
		w.at[k] = append(w.at[k], va+n)
		w.mapped++
	}
	i, _ := w.partOf(va)
	b := &w.bounds[i]
	b.low, b.high = min(b.low, va), max(b.high, va+size)
	return true
}

// inWindow reports whether a fault was at an address in the window, or beside it.
func (e *Engine) inWindow() bool {
	w := e.win
	if w == nil || w.parts[0] == nil {
		return false
	}
	for _, p := range w.parts {
		if p == nil {
			continue
		}
		if uint64(e.sh.FaultAddr)-uint64(p.Base)+host.WindowGuard < p.Size+2*host.WindowGuard {
			return true
		}
	}
	return false
}

// windowAddress is the linear address of such a fault.
func (e *Engine) windowAddress() uint64 {
	w := e.win
	for i, p := range w.parts {
		if p == nil {
			continue
		}
		if off := uint64(e.sh.FaultAddr) - uint64(p.Base); off+host.WindowGuard < p.Size+2*host.WindowGuard {
			return off + w.start(windowPart(i))
		}
	}
	panic("jit: the fault is not in the window")
}

// leftToInterpreter counts faults that mapping a page does not help with.
func (e *Engine) leftToInterpreter(r *region) {
	if r.bad++; r.bad == windowTries && !r.dead && r.entry != 0 {
		e.withoutWindow(r)
	}
}

// codeKey is a place in the code.
type codeKey struct {
	page *interp.CodePage
	off  uint32
}

// leaveWindow closes the window when the CPU leaves an address space.
func (e *Engine) leaveWindow() (serial uint64, heat int) {
	w := e.win
	if w == nil {
		return 0, 0
	}
	if w.open {
		e.closeWindow()
		serial = w.serial
	}
	return serial, w.heat
}

// enterWindow opens it again if the space that is entered is its owner. It reports
// whether the space's code is of the same variant as when it was left.
func (e *Engine) enterWindow(s *savedSpace) (same bool) {
	w := e.win
	if w == nil {
		return true
	}
	w.heat = 0
	if s != nil {
		w.heat = s.heat
		if s.window != 0 && s.window == w.serial {
			e.openWindow()
			return true
		}
	}
	e.checkWindow()
	return s == nil || w.open == (s.window != 0)
}
