package jit

// Windows on guest memory.
//
// An inline TLB costs six operations and a load that the access waits for. A window
// is a range of host addresses in which pages of the guest are mapped where their
// linear addresses say, so that the host's MMU does what the TLB does:
//
//	lea s1, [address]
//	add s1, gs:[WinNeg]        less the window's first address
//	cmp s1, gs:[WinSize]
//	jae cold                   the inline TLB, for the rest
//	mov s2, gs:[WinDelta]
//
// and then the access at address+s2, which waits for none of these. A page that is
// not mapped yet faults; the engine looks it up, maps it (host.Window), with what
// follows it if that is contiguous, and goes on at the same instruction. A page that
// the guest has not written to is mapped without the right to write, so that the
// first write faults, too. What is no memory, and stores to pages with code, are left to the
// interpreter; a region where that happens again and again is translated without.
//
// Mapping a page costs as much as thousands of lookups. So a window is for one
// program that has run for a while (its heat): its address space is promoted, and its
// code is translated anew, as a variant of its own (interp.VariantWindow). When the
// CPU leaves the address space the window is closed: its size becomes zero, and code
// that meets it takes the cold way. It opens again when the CPU comes back. Whatever
// drops a page from the TLB unmaps it; where the whole TLB goes, all pages are compared
// with the page tables, which costs less than faults would. A program that faults more
// than it works loses the window.
//
// The window holds half of the linear addresses of programs, if the host has room for
// as many: the upper half, where
// Linux puts programs, libraries, heaps and stacks, or the lower one, for programs
// that are linked to fixed addresses. Which one is decided at promotion, by
// where the code runs.
//
// Code cannot reach beyond the window, whatever address the guest makes: WinDelta is
// always WinNeg plus the window's base, so that what passes the check lies in it, or
// less than a group's span behind it, where nothing is mapped (host.WindowGuard).

import (
	"math"
	"runtime"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/mmu"
)

// The size of a window in bits of an address: the host has room for one of the
// greatest size, beside others that are smaller.
const (
	windowMost  = 46
	windowLeast = 38
)

const (
	windowPages = 24000 // mapped at a time; the host allows some 65000 mappings
	windowRun   = 16    // pages that are mapped at once

	windowHeat   = 12    // ticks before a space is promoted
	windowCold   = -256  // heat of a space that lost its window for good reason
	windowBusy   = 1500  // faults that are too many: they count half as much at each tick
	windowRest   = 25    // ticks that its owner has not run before another space may have it
	windowChecks = 40000 // pages that were compared that are too many: they count half as much at each tick
	windowTries  = 8     // faults that the interpreter had to deal with before a region does without
)

// guestWindow is what an Engine knows of its window.
type guestWindow struct {
	w      *host.Window
	failed bool // there is none to be had

	lo     uint64             // linear address at its start
	serial uint64             // counts its owners and times it was emptied
	open   bool               // the current space is its owner
	pages  map[uint64]winPage // by number in the window
	at     map[winKey][]uint64
	low    uint64 // bounds of pages
	high   uint64

	after   int    // the heat that it takes
	heat    int    // of the current space
	faults  int    // lately
	checked int    // pages compared with the page tables, lately
	rest    int    // ticks since the owner ran
	owner   uint64 // its tables, or 0
	large   bool   // some pages are parts of large pages

	without map[blockKey]bool // blocks that are translated without

	mapped, unmapped, promoted, faulted uint64
}

type winPage struct {
	winKey
	write bool
}

type winKey struct {
	blk *mmu.Block
	off uint64
}

// windowed checks by the window where there is one.
type windowed struct{ inlineTLB }

func newWindowed(e *Engine, heat int) windowed {
	e.win = &guestWindow{after: heat, pages: map[uint64]winPage{}, at: map[winKey][]uint64{}, without: map[blockKey]bool{}, low: math.MaxUint64}
	e.sh.context.WinMask = ^uint64(0)
	return windowed{inlineTLB{true}}
}

func (s windowed) check(t *translator, c *check) mem {
	if c.whole || t.v&interp.VariantWindow == 0 || t.e.win.without[blockKey{t.r.page, t.r.off}] {
		return t.inlineCheck(c)
	}
	r := c.ref
	low := r
	low.disp += int64(c.before)
	simple := t.simpleRef(&r)
	m := mem{base: s1, index: s2, disp: -c.before}
	if simple {
		m = mem{base: t.home[r.base], index: s2, disp: int32(r.disp)}
	}
	if !simple || !c.live {
		t.address(low)
	}
	var miss int
	switch {
	case c.live:
		t.load(s0, gs(offWinNeg))
		if simple {
			t.lea(s0, mem{base: s0, index: t.home[r.base], disp: int32(low.disp)})
		} else {
			t.lea(s0, mem{base: s0, index: s1})
		}
		t.pext(s0, s0, gs(offWinMask))
		hit := t.jrcxz()
		miss = t.jmp()
		t.here(hit)
	case simple:
		t.add(s1, gs(offWinNeg))
		t.opMem(rexW, false, 0x3b, s1, gs(offWinSize)) // cmp
		miss = t.jcc(ccAE)
	default:
		t.load(s0, gs(offWinNeg))
		t.addReg(s0, s1)
		t.opMem(rexW, false, 0x3b, s0, gs(offWinSize)) // cmp
		miss = t.jcc(ccAE)
	}
	t.load(s2, gs(offWinDelta))
	back := t.pos()
	k, cur, v, storing := *c, t.cur, t.v, t.storing
	t.cold = append(t.cold, func() {
		t.patchRel32(miss, t.pos())
		t.cur, t.v, t.storing = cur, v, storing
		t.inlineCheck(&k)
		t.storing = nil
		t.patchRel32(t.jmp(), back)
	})
	return m
}

// closeWindow makes all checks fail.
func (e *Engine) closeWindow() {
	w, x := e.win, &e.sh.context
	w.open = false
	x.WinSize, x.WinMask = 0, ^uint64(0)
	e.cpu.SetWindow(false)
}

// openWindow makes the current space's pages accessible.
func (e *Engine) openWindow() {
	w, x := e.win, &e.sh.context
	w.open = true
	x.WinNeg = -w.lo
	x.WinDelta = uint64(w.w.Base) - w.lo
	x.WinSize, x.WinMask = w.w.Size, ^(w.w.Size - 1)
	e.cpu.SetWindow(true)
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
	if w.open {
		if w.faults > windowBusy || w.checked > windowChecks {
			e.emptyWindow()
			w.heat = windowCold
		}
		w.faults /= 2
		w.checked /= 2
		w.rest = 0
		return
	}
	if w.rest++; w.heat < w.after || len(w.pages) > 0 && w.rest < windowRest {
		return
	}
	if w.w == nil {
		for n := windowMost; w.w == nil; n-- {
			if n < windowLeast {
				w.failed = true
				return
			}
			w.w, _ = host.NewWindow(1 << n)
		}
		runtime.AddCleanup(e.cpu, func(w *host.Window) { w.Close() }, w.w)
	}
	e.emptyWindow()
	w.lo = e.cpu.RIP &^ (w.w.Size - 1)
	if w.lo>>47 != 0 {
		return
	}
	w.owner = e.tables()
	w.promoted++
	w.faults, w.checked = 0, 0
	e.openWindow()
	// Code of this space is to be found anew.
	e.flushJump(int(interp.TLBUser), true)
	e.newMap(0)
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
	if len(w.pages) == 0 {
		return
	}
	if w.w.Unmap(w.low<<12, (w.high-w.low+1)<<12) != nil {
		w.failed = true // it stays closed: there are pages in it
	}
	w.unmapped += uint64(len(w.pages))
	clear(w.pages)
	clear(w.at)
	w.low, w.high, w.large = math.MaxUint64, 0, false
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
	for n, p := range w.pages {
		q, ok := e.cpu.Direct(w.lo+n<<12, false, true)
		if !ok || q.Block != p.blk || q.Off != p.off || p.write && !q.Write {
			e.unmapNumber(n, p)
		}
	}
	w.checked += len(w.pages)
	w.serial++
	if w.owner != 0 && !w.open {
		e.openWindow()
	}
}

// unmapPage unmaps the page at a linear address of the current space.
func (e *Engine) unmapPage(va uint64, large bool) {
	w := e.win
	if w == nil || !w.open || va-w.lo >= w.w.Size {
		return
	}
	if large || w.large {
		e.checkWindow()
		return
	}
	n := (va - w.lo) >> 12
	if p, ok := w.pages[n]; ok {
		e.unmapNumber(n, p)
	}
}

// unmapNumber unmaps a page by its number; everything, where the host cannot split its
// mapping any more.
func (e *Engine) unmapNumber(n uint64, p winPage) {
	if e.win.w.Unmap(n<<12, mmu.PageSize) != nil {
		e.emptyWindow()
		return
	}
	e.win.unmapped++
	e.win.forget(n, p)
}

func (w *guestWindow) forget(n uint64, p winPage) {
	delete(w.pages, n)
	l := w.at[p.winKey]
	for i := range l {
		if l[i] == n {
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
	for _, n := range w.at[winKey{b, off}] {
		if p := w.pages[n]; p.write {
			fd, _ := b.File()
			if w.w.Map(n<<12, mmu.PageSize, fd, off, false) != nil {
				e.emptyWindow()
				return
			}
			p.write = false
			w.pages[n] = p
		}
	}
}

// windowFault deals with a fault at an address in the window. It reports whether the
// instruction is to be tried again.
func (e *Engine) windowFault(r *region) bool {
	w, x := e.win, &e.sh.context
	const write = 1 << 1 // in the error code
	off := uint64(x.FaultAddr) - uint64(w.w.Base)
	va := w.lo + off
	wr := x.FaultErr&write != 0
	w.faults++
	w.faulted++
	if !w.open || off >= w.w.Size || off < mmu.PageSize {
		return false
	}
	n := off >> 12
	if len(w.pages) >= windowPages {
		e.emptyWindow()
		w.heat = windowCold
		return false
	}
	p, ok := e.cpu.Direct(va, wr, false)
	w.large = w.large || p.Large
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
	if old, ok := w.pages[n]; ok {
		if old.winKey == (winKey{p.Block, p.Off}) && (old.write || !wr) {
			return false // it is there: something else is wrong
		}
		w.forget(n, old)
	}
	run := uint64(1)
	for run < windowRun && n+run < w.w.Size>>12 && (va+run<<12)&(mmu.PageSize<<4-1)>>12 != 0 {
		if _, ok := w.pages[n+run]; ok {
			break
		}
		q, ok := e.cpu.Direct(va+run<<12, false, true)
		if !ok || q.Block != p.Block || q.Off != p.Off+run<<12 || q.Write != p.Write {
			break
		}
		run++
	}
	if w.w.Map(n<<12, run<<12, fd, p.Off, p.Write) != nil {
		// The host has no room for more mappings.
		e.emptyWindow()
		w.heat = windowCold
		return false
	}
	for i := range run {
		k := winKey{p.Block, p.Off + i<<12}
		w.pages[n+i] = winPage{k, p.Write}
		w.at[k] = append(w.at[k], n+i)
	}
	w.low, w.high = min(w.low, n), max(w.high, n+run-1)
	w.mapped += run
	return true
}

// inWindow reports whether a fault was at an address in the window.
func (e *Engine) inWindow() bool {
	w := e.win
	return w != nil && w.w != nil && uint64(e.sh.FaultAddr)-uint64(w.w.Base) < w.w.Size+host.WindowGuard
}

// leftToInterpreter counts faults that mapping a page does not help with.
func (e *Engine) leftToInterpreter(r *region) {
	if r.bad++; r.bad == windowTries && !r.dead && r.entry != 0 {
		e.win.without[blockKey{r.page, r.off}] = true
		e.kill(r)
	}
}

type blockKey struct {
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

// enterWindow opens it again if the space that is entered is its owner.
func (e *Engine) enterWindow(s *savedSpace) {
	w := e.win
	if w == nil {
		return
	}
	w.heat = 0
	if s != nil {
		w.heat = s.heat
		if s.window != 0 && s.window == w.serial {
			e.openWindow()
			return
		}
	}
	e.checkWindow()
}
