package jit

import (
	"cmp"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// Engine is the translator of one CPU.
type Engine struct {
	cpu   *interp.CPU
	arena *host.Arena
	sh    *sharedMem
	cfg   Config

	hostHas, hostOps []bool // decode's features, and mnemonics, that the host executes
	hostAVX          bool

	// Host offsets in the arena.
	enter, enterVec, enterX87, enterBoth         int32
	fault, afterFault, loadVec, loadX87, nowhere int32
	stubs                                        [numSites]int32
	secondWays                                   [jumpCaches]int32 // of the jump caches; then as stubs[siteIndirect]
	storeStubs                                   [3]int32          // by TLB: see smc.go
	hot, cold                                    codeArea

	sites     siteTable
	instMaps  pool[instMap]
	fixes     pool[int32]
	noJump    jumpEntry // an entry of a jump cache that leads to no region
	regions   []*region // by rising address
	fresh     []region  // where the next ones will be
	t         translator
	use       strategies
	win       *guestWindow            // or nil
	filled    [jumpCaches][2][]uint32 // entries of the jump caches that may be valid: of local pages, and of global ones
	jumpInfo  [jumpCaches][jumpEntries]jumpInfo
	mode32    interp.Variant // what the jump cache of 32-bit code is for
	resume    int32          // where to go on after an exit inside of a region
	resumeIn  *region        // the region of it
	maps      [2]*mapping
	switches  uint16            // of address spaces, for credits
	lastGen   uint64            // the greatest in use
	places    map[uint64]*place // by linear address: see placed.go
	placesGen uint64            // the generation for which they are known to be right
	epoch     uint64            // counts what makes saved address spaces stale
	stats     Stats
	rec       *recorder // nil: nobody asked for records
	readsTSC  bool      // there was a region that reads the time stamp counter
}

// reasonFault is the reason of an exit by a fault; the others are the kinds of
// site.
const reasonFault = uint64(numSites)

// Stats counts what an Engine did.
type Stats struct {
	Regions                                  uint64 // translated
	Instructions                             uint64 // translated
	GuestBytes                               uint64
	HostBytes                                uint64
	Entries                                  uint64 // from Go
	Exits                                    [numSites + 1]uint64
	Filled                                   uint64 // misses that a page walk answered
	Links                                    uint64
	Moved                                    uint64 // regions, to other linear addresses
	Splits                                   uint64 // regions translated again without groups of accesses
	Dropped                                  uint64 // regions, because their code was written
	Flushes                                  uint64 // of the code cache
	Promoted, WindowFaults, Mapped, Unmapped uint64 // of windows
	Verified                                 uint64 // runs of regions that were compared

	TranslateTime time.Duration // by one region in timedRegions
	Callouts      []uint64      // instructions that the interpreter ran for a region, by decode.Op
}

// New makes a CPU translate. It must be called before anything else knows the
// CPU. It fails where the host cannot run translated code.
func New(c *interp.CPU, cfg Config) (*Engine, error) {
	if !host.Available() {
		return nil, fmt.Errorf("this host's CPU lacks BMI2, which translated code needs: use -accel interp")
	}
	if err := host.Install(); err != nil {
		return nil, err
	}
	arena, err := host.NewArena(cfg.CacheSize)
	if err != nil {
		return nil, err
	}
	frame, err := host.NewFrame(interp.SharedSize)
	if err != nil {
		arena.Close()
		return nil, err
	}
	runtime.AddCleanup(c, func(f *host.Frame) { f.Free() }, frame)
	runtime.AddCleanup(c, func(a *host.Arena) { a.Close() }, arena)
	e := &Engine{cpu: c, arena: arena, sh: sharedOf(frame), cfg: cfg, places: map[uint64]*place{}}
	e.hostHas, e.hostOps = hostFeatures(c.Model)
	e.hostAVX = host.HostFeatures().AVX
	x := &e.sh.context
	x.State = stateAddr(c)
	x.PageMask = ^uint64(pageSize - 1)
	x.PageOff = pageSize - 1
	x.Bits = [3]uint64{15, 31, 63}
	x.OffBytes, x.OffBit = pageSize-8, 7
	for i := range x.Span {
		x.Span[i] = 2<<i - 1
	}
	x.NotIF, x.NotAC, x.Arith = ^uint64(x86.FlagIF), ^uint64(x86.FlagAC), arith
	x.DescCode0, x.DescData0 = 0x00af9b000000ffff, 0x00cf93000000ffff
	x.DescCode3, x.DescData3 = 0x00affb000000ffff, 0x00cff3000000ffff
	x.VecDead, x.AVXDead, x.X87Dead, x.TSCDead = 1, 1, 1, 1
	x.X87Tag = x87Tag
	x.HostMXCSR = 0x1f80
	x.MapGen = [2]uint64{firstGen, firstGen}
	e.lastGen = firstGen
	e.maps = [2]*mapping{{}, {}}
	e.stats.Callouts = make([]uint64, decode.NumOps())
	if err := e.makeStubs(); err != nil {
		return nil, err // the cleanups free what there is
	}
	e.noRegions()
	e.noJump = jumpEntry{invalidJump, uint64(arena.Base) + uint64(e.nowhere)}
	for i := range e.sh.jump {
		for n := range jumpWays { // the others are never looked into for address 0
			e.sh.jump[i][n] = e.noJump
		}
	}
	frame.FaultExit = arena.Base + uintptr(e.fault)
	c.SetTranslator(e, cfg.Threshold, framePtr(frame), &frame.Pending, &x.IntWaiting)
	return e, nil
}

// Close frees the code cache. The CPU must not run any more; what it shares with
// other goroutines stays as long as it does.
func (e *Engine) Close() {
	if e.win != nil {
		e.giveUpWindow()
	}
	if e.arena != nil {
		e.arena.Close()
		e.arena = nil
	}
}

// Stats returns the counters so far.
func (e *Engine) Stats() Stats {
	s := e.stats
	if w := e.win; w != nil {
		s.Promoted, s.WindowFaults, s.Mapped, s.Unmapped = w.promoted, w.faulted, w.mapped, w.unmapped
	}
	return s
}

// Begin and End implement interp.Translator.
func (e *Engine) Begin() {
	runtime.LockOSThread()
	host.SetGS(e.sh.Self)
}

// End undoes Begin.
func (e *Engine) End() {
	host.SetGS(0)
	runtime.UnlockOSThread()
}

// Poke implements interp.Translator.
func (e *Engine) Poke() { atomic.StoreUint64(&e.sh.PollMask, 0) }

// jumpSlot is the first entry of a jump cache for a linear address.
func jumpSlot(va uint64) uint32 {
	return jumpWays * (uint32(va) & (jumpEntries/jumpWays - 1))
}

// jumpIndex is the jump cache of a variant.
func jumpIndex(v interp.Variant) int {
	if v&interp.Variant64 == 0 {
		return jumpCaches - 1
	}
	return int(v & interp.VariantTLB)
}

// setMode32 makes the jump cache of 32-bit code that of a variant, before its code
// runs or is translated.
func (e *Engine) setMode32(v interp.Variant) {
	if v &^= interp.VariantLarge; v&interp.Variant64 == 0 && v != e.mode32 {
		e.mode32 = v
		e.flushJump(jumpCaches-1, true)
	}
}

// jumpOffset is the displacement of a variant's jump cache from GS.
func (e *Engine) jumpOffset(v interp.Variant) int32 {
	return offJump + int32(jumpIndex(v))*jumpEntries*16
}

// timedRegions is how many regions are translated for each of which the time is taken, which
// takes time itself.
const timedRegions = 8

// Translate implements interp.Translator.
func (e *Engine) Translate(b interp.Block) uint64 {
	e.setMode32(b.Variant)
	if r := regionsOf(b.Page).find(b); r != nil && !e.misplaced(r) {
		return r.entry
	}
	e.rec.begin()
	if e.stats.Regions%timedRegions == 0 {
		start := time.Now()
		defer func() { e.stats.TranslateTime += timedRegions * time.Since(start) }()
	}
	r := e.use.backend.translate(e, b, nil)
	if r == nil {
		return 0
	}
	if !e.fits() {
		e.flush()
		if r = e.use.backend.translate(e, b, nil); r == nil || !e.fits() {
			return 0
		}
	}
	e.place(r)
	r.entry = uint64(len(e.regions))
	return r.entry
}

// makeSplit translates a region without groups of accesses. It returns nil where
// there is no room, and where what the translator knows of the code has changed so that it
// would be another region.
func (e *Engine) makeSplit(r *region) *region {
	e.rec.begin()
	s := e.use.backend.translate(e, interp.Block{Page: r.page, Off: uint64(r.off), VA: e.sh.RBase + uint64(r.goff), Variant: r.variant}, r)
	if s == nil {
		e.remake(r)
		return nil
	}
	if !e.fits() {
		return nil
	}
	e.place(s)
	e.stats.Splits++
	return s
}

// A codeArea is a part of the code cache: the regions' code, or what is out of its way.
type codeArea struct {
	first, used, end int
	ready            int // up to here the host has pages for it
}

// divide makes the areas of what is behind the stubs.
func (e *Engine) divide(first int) {
	mid := first + (len(e.arena.Write)-first)/100*hotPercent&^63
	e.hot = codeArea{first: first, used: first, end: mid}
	e.cold = codeArea{first: mid, used: mid, end: len(e.arena.Write)}
}

// hotPercent is the part of the code cache that is for code that is not out of the way.
const hotPercent = 50

// populateStep is for how many bytes of the code cache the host is to find pages at once.
const populateStep = 256 << 10

// fits reports whether there is room for what was just translated.
func (e *Engine) fits() bool {
	n := e.t.coldAt
	return e.hot.used+n <= e.hot.end && e.cold.used+len(e.t.b)-n <= e.cold.end
}

// put adds code to an area, and returns where it ends.
func (a *codeArea) put(m *host.Arena, b []byte) int32 {
	if end := a.used + len(b); end > a.ready {
		to := min(end+populateStep, a.end)
		a.ready = m.Populate(max(a.ready, a.first), to)
	}
	a.used += copy(m.Write[a.used:], b)
	return int32(a.used)
}

// place puts the region that was just translated into the code cache.
func (e *Engine) place(r *region) {
	n := len(e.t.b)
	r.end = e.hot.put(e.arena, e.t.b[:e.t.coldAt])
	e.hot.used = (e.hot.used + regionAlign - 1) &^ (regionAlign - 1)
	r.coldEnd = e.cold.put(e.arena, e.t.b[e.t.coldAt:])
	if e.cfg.Dump != nil {
		fmt.Fprint(e.cfg.Dump, e.listing(r, e.t.va))
	}
	e.regions = append(e.regions, r)
	e.fresh = e.fresh[1:]
	for _, p := range []*interp.CodePage{r.page, r.page2} {
		if p == nil {
			continue
		}
		list := regionsOf(p)
		if list == nil {
			list = &pageRegions{}
			p.Translations = list
		}
		list.add(r)
	}
	if r.placed && r.page2 != nil {
		e.continues(r)
	}
	e.stats.Regions++
	e.stats.Instructions += uint64(e.t.n)
	e.stats.GuestBytes += uint64(e.t.next - r.off)
	e.stats.HostBytes += uint64(n)
	e.rec.placed(r, e.t.va, e.t.n, e.t.next-r.off)
}

// goffOf is the offset of a block in its granule.
func goffOf(b interp.Block) uint32 {
	if b.Variant&interp.VariantLarge != 0 {
		return uint32(b.VA & (granuleLarge - 1))
	}
	return uint32(b.VA & (pageSize - 1))
}

// pageRegions is what CodePage.Translations holds. The keys are for finding a region
// without looking at all of them, of which there may be hundreds.
type pageRegions struct {
	regions []*region
	keys    []uint32 // of each: regionKey
}

func regionKey(off uint32, v interp.Variant) uint32 { return off | uint32(v)<<16 }

func (l *pageRegions) add(r *region) {
	l.regions = append(l.regions, r)
	l.keys = append(l.keys, regionKey(r.off, r.variant))
}

// find returns the region that has been made of a block, or nil.
func (l *pageRegions) find(b interp.Block) *region {
	if l == nil {
		return nil
	}
	key := regionKey(uint32(b.Off), b.Variant)
	for i, k := range l.keys {
		if k != key {
			continue
		}
		if r := l.regions[i]; !r.dead && r.entry != 0 && r.page == b.Page && r.goff == goffOf(b) {
			return r
		}
	}
	return nil
}

func regionsOf(p *interp.CodePage) *pageRegions {
	l, _ := p.Translations.(*pageRegions)
	return l
}

// kill makes a region unreachable of which the code has changed.
func (e *Engine) kill(r *region) {
	if !r.dead {
		r.page.Lost(uint64(r.off), r.entry)
		e.bury(r)
	}
}

// remake makes a region unreachable, to be translated anew when it is next entered.
func (e *Engine) remake(r *region) {
	if !r.dead {
		r.page.Renew(uint64(r.off), r.entry)
		e.bury(r)
	}
}

// remakeAll remakes the regions that which says, their split forms with them.
func (e *Engine) remakeAll(which func(*region) bool) {
	for _, r := range e.regions[1:] {
		if r.entry != 0 && which(r) {
			e.remake(r)
		}
	}
}

func (e *Engine) bury(r *region) {
	r.dead = true
	if r.split != nil {
		e.kill(r.split)
	}
	e.detach(r)
}

// detach takes back all ways into a region.
func (e *Engine) detach(r *region) {
	for _, id := range r.in {
		// A region that is dead may still be returned to.
		if e.sites.at(id).linked == uint32(r.entry) {
			e.unlink(id)
		}
	}
	for _, j := range r.jumps {
		if info := &e.jumpInfo[j>>jumpBits][j&(jumpEntries-1)]; info.to == uint32(r.entry) {
			info.to = 0
		}
		if je := &e.sh.jump[j>>jumpBits][j&(jumpEntries-1)]; je.host-uint64(e.arena.Base)-uint64(r.host) < uint64(r.end-r.host) {
			*je = e.noJump
		}
	}
	r.in, r.jumps = nil, nil
}

// invalidJump is the tag of an entry that leads to no region. There is no tag that
// no address matches, as a guest may jump to any number; this one is for address 1,
// and such an entry leads to a stub that leaves as from a site, number 0.
const invalidJump = ^uint64(0)

// noRegions forgets all regions and sites but number 0 of each, which is never run.
func (e *Engine) noRegions() {
	clear(e.regions)
	e.regions = append(e.regions[:0], &region{variant: interp.Variant64, dead: true})
	e.sites.truncate(0)
	e.sites.add(&site{kind: siteIndirect})
}

// flush forgets all translations.
func (e *Engine) flush() {
	for _, r := range e.regions[1:] {
		r.dead = true
		r.page.Untranslate(uint64(r.off), r.entry)
		r.page.Translations = nil
		if r.page2 != nil {
			r.page2.Translations = nil
		}
	}
	e.noRegions()
	for i := range e.filled {
		e.flushJump(i, true)
	}
	e.emptyStack(0)
	e.emptyStack(1)
	clear(e.places)
	if e.win != nil {
		clear(e.win.without)
		clear(e.win.seen)
	}
	e.epoch++
	e.hot.used, e.cold.used = e.hot.first, e.cold.first
	e.stats.Flushes++
}

// patch makes the displacement at an offset in the arena lead to another.
func (e *Engine) patch(at, to int32) {
	b := asm{b: e.arena.Write}
	b.put32(int(at), to-at-4)
}

// flushJump empties a jump cache, all or but for what is global.
func (e *Engine) flushJump(i int, all bool) {
	for k := range e.filled[i] {
		if k == 1 && !all {
			break
		}
		for _, n := range e.filled[i][k] {
			e.sh.jump[i][n] = e.noJump
		}
		e.filled[i][k] = e.filled[i][k][:0]
	}
}

// fillJump enters a region into the jump cache under a linear address.
func (e *Engine) fillJump(va uint64, r *region) {
	n := jumpSlot(va)
	if n == 0 {
		n++ // the first way of set 0 is what a lookup finds while something is pending
	}
	i := jumpIndex(r.variant)
	e.relied(va, r.variant)
	first, info := &e.sh.jump[i][n], &e.jumpInfo[i][n]
	if n > 1 && first.ntag != -va && first.ntag != invalidJump && first.ntag != 0 {
		e.sh.jump[i][n+1], e.jumpInfo[i][n+1] = *first, *info
		e.noteJump(i, n+1)
	}
	*first = jumpEntry{-va, uint64(e.arena.Base) + uint64(r.indirect)}
	info.to, info.global = uint32(r.entry), e.cpu.Global()
	info.credit.Missed(e.switches)
	e.noteJump(i, n)
}

// noteJump notes that an entry of a jump cache is in use.
func (e *Engine) noteJump(cache int, n uint32) {
	info := &e.jumpInfo[cache][n]
	k := 0
	if info.global {
		k = 1
	}
	f := &e.filled[cache][k]
	*f = append(*f, n)
	e.mayJump(e.regions[info.to-1], uint32(cache)<<jumpBits|n)
	if len(*f) > 4*jumpEntries {
		e.flushJump(cache, true)
	}
}

// jumpInfo is what is known of an entry of a jump cache beside.
type jumpInfo struct {
	to     uint32 // entry of the region that it led to last
	credit interp.Credit
	global bool // it is for all address spaces
}

// mayJump notes that an entry of a jump cache may lead to a region. The note is kept for
// as long as jumpInfo says that the entry led there last.
func (e *Engine) mayJump(r *region, entry uint32) {
	const many = 64
	if slices.Contains(r.jumps, entry) {
		return
	}
	if len(r.jumps) >= many {
		r.jumps = slices.DeleteFunc(r.jumps, func(j uint32) bool { return e.jumpInfo[j>>jumpBits][j&(jumpEntries-1)].to != uint32(r.entry) })
	}
	r.jumps = append(r.jumps, entry)
}

// packFlags puts the status flags into the form that the enter stub takes: AH as
// SAHF has it, AL the overflow flag.
func packFlags(f uint64) uint64 { return f&0xff<<8 | f>>11&1 }

// in brings the CPU's State to the context.
func (e *Engine) in() {
	c, x := e.cpu, &e.sh.context
	copy(x.R[:], c.R[:16])
	copy(x.Seg[:], c.R[x86.RSeg:x86.RSeg+6])
	x.EntryFlags = packFlags(c.ArithFlags())
	x.VecOK, x.AVXOK, x.X87OK = 0, 0, 0
	if e.x87Usable() {
		x.X87OK = 1
	}
	if c.SSEEnabled() {
		x.VecOK = 1
	}
	if c.AVXEnabled() {
		x.AVXOK = 1
	}
	if e.readsTSC {
		e.tscIn()
	}
}

// out brings the context back to the State, with ip as the instruction pointer.
func (e *Engine) out(ip uint64) {
	c, x := e.cpu, &e.sh.context
	copy(c.R[:16], x.R[:])
	c.SetArithFlags(x.Flags)
	c.RIP = ip
}

// Run implements interp.Translator.
func (e *Engine) Run(entry uint64) {
	if e.win != nil && e.win.after == 0 && !e.win.open && e.cpu.CPL == 3 {
		e.windowTick()
	}
	r := e.regions[entry-1]
	if e.misplaced(r) {
		return
	}
	if e.cfg.Verify != VerifyOff {
		e.runVerified(r)
		return
	}
	c, x := e.cpu, &e.sh.context
	e.setMode32(r.variant)
	e.relied(c.RIP, r.variant)
	e.in()
	target := r.direct
	x.RBase = c.RIP - uint64(r.goff)
	for {
		e.useStack(r.variant)
		e.call(e.enter, target)
		ip, interpret := e.exit()
		for ip == retryIP {
			ip, interpret = e.retry()
		}
		e.settle()
		switch {
		case interpret:
			e.out(ip)
			e.stats.Callouts[c.Interpret()]++
			if c.Attention() {
				return
			}
			if r = e.region(); r == nil {
				return
			}
			e.setMode32(r.variant)
			e.in()
		default:
			c.RIP = ip
			if r = e.region(); r == nil || !e.goOn() {
				e.out(ip)
				return
			}
			switch siteKind(x.Reason) {
			case siteEdge:
				e.link(uint32(x.Site), r)
			case siteIndirect:
				e.fillJump(ip, r)
				switch s := e.sites.at(uint32(x.Site)); {
				case s.steady:
					e.linkSteady(uint32(x.Site), r, ip)
				case s.gen != 0:
					e.linkFar(uint32(x.Site), r, x.RBase)
				case s.back:
					e.linkBack(uint32(x.Site), r)
				}
			}
			x.EntryFlags = packFlags(x.Flags)
		}
		e.relied(c.RIP, r.variant)
		target = r.direct
		x.RBase = c.RIP - uint64(r.goff)
	}
}

// retry goes on inside of a region, at e.resume, with the vector and x87 registers
// loaded if the region uses them.
func (e *Engine) retry() (ip uint64, interpret bool) {
	r, target := e.resumeIn, e.resume
	if r.swaps != nil {
		// The split form of a region has the same swaps.
		e.sh.Resume = uint64(e.arena.Base) + uint64(target)
		target = r.resume
	}
	switch {
	case r.vec && r.x87:
		e.call(e.enterBoth, target)
	case r.vec:
		e.call(e.enterVec, target)
	case r.x87:
		e.call(e.enterX87, target)
	default:
		e.call(e.enter, target)
	}
	return e.exit()
}

// call runs translated code by an entry stub, with the guest's state in the
// context, until it leaves. target is a host offset.
func (e *Engine) call(stub, target int32) {
	x := &e.sh.context
	e.stats.Entries++
	x.Target = uint64(e.arena.Base) + uint64(target)
	atomic.StoreUint64(&x.PollMask, jumpMask)
	if atomic.LoadUint32(&x.Pending) != 0 {
		atomic.StoreUint64(&x.PollMask, 0)
	}
	host.Enter(&x.Frame, e.arena.Base+uintptr(stub))
	e.stats.Exits[x.Reason]++
	if e.rec != nil {
		e.recordExit()
	}
	if x.X87Saved != 0 {
		e.x87Pointers()
	}
	if x.Stale != 0 {
		x.Stale = 0
		e.cpu.PrivilegeChanged()
	}
}

// retryIP stands for no instruction pointer: the access is to be tried again.
const retryIP = 1 << 63

// exit says where the guest is after an exit, and whether the interpreter is to
// run the instruction there.
func (e *Engine) exit() (ip uint64, interpret bool) {
	x := &e.sh.context
	if x.Reason == reasonFault {
		r, m := e.instAt(int32(x.FaultRIP - e.arena.Base))
		if r != nil && r.placed {
			x.RBase = r.base
		}
		if e.inWindow() {
			if r != nil && e.windowFault(r) {
				e.unswap(r)
				x.EntryFlags = packFlags(x.Flags)
				e.resume, e.resumeIn = e.afterFault, r
				return retryIP, false
			}
		}
		return e.faultIP(r, m), true
	}
	s := e.sites.at(uint32(x.Site))
	if s.placed {
		x.RBase = e.owner(s).base
	}
	v := s.variant
	ip = x.RBase + uint64(int64(int32(s.goff)))
	if v&interp.Variant64 == 0 {
		ip = uint64(uint32(ip))
	}
	switch siteKind(x.Reason) {
	case siteCallout:
		return ip, true
	case siteIndirect:
		va := x.Indirect
		if v&interp.Variant64 != 0 && uint64(int64(va)<<16>>16) != va {
			// The jump itself faults.
			x.R[x86.RSP] += uint64(int64(s.undo))
			return ip, true
		}
		return va, false
	case siteCross:
		if e.recheck(s, ip) {
			x.EntryFlags = packFlags(x.Flags)
			e.resume, e.resumeIn = s.retry, e.owner(s)
			return retryIP, false
		}
		return ip, true
	case siteOutside:
		e.outsideWindow(s, e.address(&s.ref, v))
		return ip, true
	case siteMiss:
		// While something is pending the interpreter goes on, so that no sequence of
		// misses keeps the CPU.
		va := e.address(&s.ref, v)
		if s.grouped && va&(pageSize-1)+uint64(s.size) > pageSize {
			x.EntryFlags = packFlags(x.Flags)
			if target, ok := e.split(s); ok {
				e.resume, e.resumeIn = target, e.owner(s)
				return retryIP, false
			}
			return ip, true
		}
		if va&(pageSize-1)+uint64(s.size) > pageSize || atomic.LoadUint32(&x.Pending) != 0 {
			return ip, true
		}
		e.resume, e.resumeIn = s.retry, e.owner(s)
		switch {
		case s.write && e.cpu.InCodeTLB(va):
			// It hits code, or may.
			if !s.grouped {
				return ip, true
			}
			target, ok := e.split(s)
			if !ok {
				return ip, true
			}
			e.resume = target
		case e.cpu.FillTLB(va, s.write):
			e.stats.Filled++
		case !s.write || !e.cpu.InCodeTLB(va):
			return ip, true
		}
		x.EntryFlags = packFlags(x.Flags)
		return retryIP, false
	}
	return ip, false
}

// goOn gives Go's scheduler its turn if it asked, and reports whether nothing
// else is pending.
func (e *Engine) goOn() bool {
	p := atomic.LoadUint32(&e.sh.Pending)
	if p&host.PendingYield != 0 {
		p = e.sh.Yield()
	}
	if p != 0 && e.win != nil && e.cpu.CPL == 3 {
		e.windowTick()
	}
	return p == 0
}

// region returns the region at the CPU's RIP for its present state, or nil.
func (e *Engine) region() *region {
	if n := e.cpu.Entry(); n != 0 {
		if r := e.regions[n-1]; !e.misplaced(r) {
			return r
		}
	}
	return nil
}

// link makes an edge lead directly to a region.
func (e *Engine) link(id uint32, r *region) {
	s := e.sites.at(id)
	o := e.owner(s)
	if o.dead || o.placed != r.placed {
		return
	}
	e.patch(s.retry, r.entryFor(s, o == r))
	e.linked(id, r)
}

// address computes a reference from the registers in the context.
func (e *Engine) address(r *ref, v interp.Variant) uint64 {
	x := &e.sh.context
	va := uint64(r.disp)
	switch {
	case r.base == ripBase:
		va += x.RBase
	case r.base != noGuest:
		va += x.R[r.base]
	}
	if r.index != noGuest {
		va += x.R[r.index] << r.scale
	}
	if r.bits == 32 {
		va = uint64(uint32(va))
	}
	if r.seg != 0 {
		va += x.Seg[r.seg]
	}
	if r.bit != 0 {
		n := int64(x.R[r.bit-1])
		switch r.bitSize {
		case 2:
			n = int64(int16(n))
		case 4:
			n = int64(int32(n))
		}
		va += uint64(n>>bits.Len8(4*r.bitSize)) * uint64(r.bitSize)
	}
	if v&interp.Variant64 == 0 {
		va = uint64(uint32(va))
	}
	return va
}

// faultIP is the guest's instruction at which translated code faulted, which was at m in r.
func (e *Engine) faultIP(r *region, m *instMap) uint64 {
	x := &e.sh.context
	if x.FaultNested != 0 || r == nil {
		panic(fmt.Sprintf("jit: fault %d at %#x, address %#x, in no translated instruction", x.FaultTrap, x.FaultRIP, x.FaultAddr))
	}
	e.unswap(r)
	if m.rep != 0 {
		e.leaveRep(m.rep)
	}
	const protection = 13 // SDM volume 3, 6.15
	if r.windowed && x.FaultTrap == protection {
		e.beyondWindow(r, m)
	}
	return x.RBase + uint64(r.goff) + uint64(m.off)
}

// Counters are the Stats that comparisons look at, with names for JSON.
type Counters struct {
	Regions       uint64  `json:"regions"`
	Instructions  uint64  `json:"instructions"`
	GuestBytes    uint64  `json:"guest_bytes"` // of guest code that was translated
	HostBytes     uint64  `json:"host_bytes"`  // of host code
	TranslateTime float64 `json:"translate_s"` // seconds
	Entries       uint64  `json:"entries"`
	Edges         uint64  `json:"exits_edge"`
	Callouts      uint64  `json:"exits_interpreter"`
	Misses        uint64  `json:"tlb_misses"`
	Filled        uint64  `json:"tlb_filled"`
	Indirect      uint64  `json:"exits_indirect"`
	Polls         uint64  `json:"exits_poll"`
	Faults        uint64  `json:"exits_fault"`
	Exits         uint64  `json:"exits"` // all of them
	Links         uint64  `json:"links"`
	Splits        uint64  `json:"splits"`
	Dropped       uint64  `json:"dropped"`
	Flushes       uint64  `json:"flushes"`
}

// Counters returns the sums.
func (s *Stats) Counters() Counters {
	c := Counters{Regions: s.Regions, Instructions: s.Instructions, GuestBytes: s.GuestBytes, HostBytes: s.HostBytes,
		TranslateTime: s.TranslateTime.Seconds(), Entries: s.Entries, Edges: s.Exits[siteEdge], Callouts: s.Exits[siteCallout],
		Misses: s.Exits[siteMiss], Filled: s.Filled, Indirect: s.Exits[siteIndirect], Polls: s.Exits[sitePoll],
		Faults: s.Exits[reasonFault], Links: s.Links, Splits: s.Splits, Dropped: s.Dropped, Flushes: s.Flushes}
	for _, n := range s.Exits {
		c.Exits += n
	}
	return c
}

// Fprint writes the counters for people.
func (s *Stats) Fprint(w io.Writer) {
	fmt.Fprintf(w, "translated %d regions, %d instructions, %d bytes of guest code to %d of host code\n", s.Regions, s.Instructions, s.GuestBytes, s.HostBytes)
	fmt.Fprintf(w, "translation took %v\n", s.TranslateTime)
	fmt.Fprintf(w, "window: %d spaces promoted, %d faults, %d pages mapped, %d unmapped, %d regions moved\n", s.Promoted, s.WindowFaults, s.Mapped, s.Unmapped, s.Moved)
	fmt.Fprintf(w, "entered %d times, linked %d edges, split %d regions, dropped %d, flushed the code cache %d times\n", s.Entries, s.Links, s.Splits, s.Dropped, s.Flushes)
	fmt.Fprintf(w, "left: %d edges, %d for the interpreter, %d TLB misses (%d filled), %d indirect jumps, %d polls, %d faults\n",
		s.Exits[siteEdge], s.Exits[siteCallout], s.Exits[siteMiss], s.Filled, s.Exits[siteIndirect], s.Exits[sitePoll], s.Exits[reasonFault])
	type count struct {
		name string
		n    uint64
	}
	var by []count
	for op, n := range s.Callouts {
		if n > 0 {
			by = append(by, count{decode.Op(op).String(), n})
		}
	}
	slices.SortFunc(by, func(a, b count) int { return cmp.Compare(b.n, a.n) })
	for i, c := range by {
		if i == 24 {
			break
		}
		fmt.Fprintf(w, "  %10d %s\n", c.n, c.name)
	}
}

// owner is the region of a site.
func (e *Engine) owner(s *site) *region { return e.regions[s.region] }
