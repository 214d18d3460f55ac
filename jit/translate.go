package jit

// From guest code to host code.
//
// A region is the code that is translated as one: it starts at the head of a hot
// block and goes on through conditional branches that fall through, unconditional
// jumps and calls are its ends, until something ends it, or the page does. Branches
// out of it are edges: jumps that first lead to the engine, and once the target
// is translated directly there. What is out of the way of a region is in another part of the
// code cache (exits.go).
//
// Code is translated once for all the places where it may be mapped: nothing in
// it depends on its linear address. What does, RIP-relative operands and return
// addresses, adds to RBase in the context: the linear address of the granule
// that the code is in, the page or, in a large page, its 2 MiB. Edges inside a granule are
// plain jumps; all others go through the jump cache, which knows linear addresses. (The
// code of a program that has a window is an exception: placed.go.)
//
// The translation of an instruction never changes the guest's state before the
// last thing that may fault, so that leaving anywhere means to run the
// instruction again.

import (
	"errors"
	"slices"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/x86"
	"hotblock/x86/decode"
)

const (
	pageSize = 4096

	// maxRegion is how many instructions a region may have.
	maxRegion = 64

	granuleLarge = 2 << 20
)

// arith are the six status flags.
const arith = x86.FlagsArith

// A siteKind says why translated code leaves at a site.
type siteKind uint8

const (
	siteEdge     siteKind = iota // to the target, if it can be linked
	siteCallout                  // the interpreter is to run the instruction
	siteMiss                     // a memory access that the TLB does not answer
	siteIndirect                 // an indirect jump that the jump cache does not answer
	sitePoll                     // something is pending
	siteCross                    // an instruction on two pages, the second of which may be another
	siteOutside                  // a memory access outside of the part of the window that it was expected in
	numSites
)

// A site is a place where a region can be left.
type site struct {
	kind    siteKind
	variant interp.Variant // of the region
	write   bool
	grouped bool      // miss: the check is for a group, of which size is the span; outside: it is the index that was tested
	back    bool      // indirect: behind a call, see returns.go
	undo    int8      // what to add to RSP where the target of an indirect jump faults
	stack   stackPart // edge: what it knows
	sp      int8      // what is pending of RSP: see stackptr.go
	placed  bool      // the region is; an exit looks here first, not at the region
	size    int16
	region  int32  // index into Engine.regions
	goff    uint32 // guest offset in the granule: of the instruction; of an edge, of the target
	retry   int32  // miss: host offset of the check; edge: of the displacement to patch, or -1
	stub    int32  // edge: host offset of the stub; outside: offset of the access in the page
	gen     int32  // host offset of a generation to compare MapGen with, or 0; steady: of the target's negative
	steady  bool   // indirect: see placed.go
	linked  uint32 // entry of the region that an edge leads to, or 0
	ref     ref    // as translator.onHost has it
}

// A region is a piece of translated code.
type region struct {
	// What entering it needs comes first, so that this is in one line of the host's
	// cache.
	variant  interp.Variant
	dead     bool
	vec      bool
	x87      bool
	windowed bool       // it has accesses by the window, and must lie in
	part     windowPart // this part of it
	placed   bool       // it is for one linear address: see placed.go
	far      bool       // it is among the targets of its place
	bad      uint8      // faults in the window that the interpreter had to deal with
	crossed  uint8      // see splitAfter
	off      uint32     // in the page, of its first instruction
	goff     uint32     // of the same in the granule
	cold     int32      // what is out of the way of it, in the arena
	coldEnd  int32
	host     int32 // start in the arena
	end      int32
	indirect int32     // host offset of the entry with the linear address in s1
	direct   int32     // and of that for edges
	loop     int32     // and of that for its own edges, behind the prologues
	entry    uint64    // what the interpreter knows it by
	base     uint64    // placed: the linear address of its granule
	owner    uint64    // and the number of the program for which it was made or moved
	known    int32     // host offset of the entry for edges that know the stack, or 0: see stackpart.go
	stack    stackPart // what they know
	jumps    []uint32  // entries of jump caches that may lead to it: cache<<jumpBits | index
	in       []uint32  // edges that may be linked to it
	page     *interp.CodePage
	page2    *interp.CodePage // the next one, if an instruction continues there
	size     uint32           // in bytes of guest code
	inexact  bool             // it has instructions of x87Functions
	runs     uint64           // while verifying
	insts    []instMap
	checks   []instCheck   // of the same; only for verification
	holes    []interp.Hole // bytes of the page that it was not made of
	endLive  uint16        // status flags that the code keeps where it ends with a call of the interpreter
	swaps    []swap        // registers that are elsewhere in it: see homes.go
	resume   int32         // host offset of what brings them there and goes on at Resume
	split    *region       // the same without groups of accesses
	fixes    []int32       // placed: where linear addresses are in its code, or, as negatives, negatives of some

	firstSite, endSite uint32  // placed: its sites
	record             *Record // or nil: see profile.go
}

// instMap says where an instruction's code is.
type instMap struct {
	host int32     // of its first byte, relative to the region's
	off  uint16    // in bytes of guest code, from the region's first
	fop  uint16    // of an x87 instruction that sets FOP: that, and followed
	rep  stringUse // of a REP by the window: see repWindowed
	sp   int8      // what is pending of RSP where it begins and at its accesses: see stackptr.go
}

// instCheck is what verification needs of an instruction: flags that the code keeps up
// to it, and what the instruction does to them.
type instCheck struct {
	live, defined, undefined uint16
	rep                      stringUse // with REP
	flags                    bool      // the flags go to memory or a register
}

// A ref is a guest memory reference: base + index<<scale + disp + segment base.
type ref struct {
	base, index uint8 // guest registers; noGuest, or ripBase: RBase
	scale       uint8
	seg         uint8 // x86.FS or x86.GS, or 0 for a base of zero
	bits        uint8 // width of the sum before the segment base is added: 64 or 32
	bit         uint8 // of a bit string: 1 + the register with the offset in bits; else 0
	bitSize     uint8 // and the size of the word that is accessed
	disp        int64
}

const (
	noGuest = decode.NoReg
	ripBase = decode.RIPReg
)

// ginst is a guest instruction of the region being translated.
type ginst struct {
	x      decode.Inst
	e      decode.Effects
	off    uint32 // in the page
	live   uint16 // status flags that are needed before it
	target int16  // of a jump that stays in the region: where it leads; else -1
	varies bool   // the immediate is data: see smc.go
	meet   bool   // such a jump leads here
	host   int32  // of its code
	sp     int8   // see instMap
	rep    stringUse
	latch  int16     // the last instruction that jumps back to this one
	ahead  bool      // one before it jumps to it
	stack  stackPart // where RSP is known to be behind it by an access
	spSame bool      // RSP is behind it what it was when the region was entered
	delta  int16     // what s2 holds here, where it is a loop's beginning: as coalescer.inS2

	// What study finds.
	jcc   bool   // a conditional jump by the flags
	mem   bool   // it has a memory operand:
	ref   ref    // this
	named uint32 // guest registers that it names in its encoding, but for its address
	hi    bool   // one of them is AH, CH, DH or BH
	addr  uint32 // those in its address
	regs  uint32 // all that its code has to do with
}

// translator holds what is needed while a region is translated.
type translator struct {
	asm
	e     *Engine
	r     *region
	v     interp.Variant // at cur: STAC and CLAC change it
	va    uint64         // of the block now, for dumps
	wide  bool           // 64-bit code
	goff  uint32         // of the page in the granule
	insts []ginst
	n     int
	cur   *ginst   // the instruction being translated
	next  uint32   // offset in the page behind the last instruction
	ends  bool     // control does not go on there
	cold  []func() // what is out of the way: see exits.go
	warm  []func() // and behind the instructions
	co    coalescer
	home  [16]int8 // host register of each guest register in the region, or noReg
	held  scratchHeld
	sp    int32 // what is to be added to RSP: see stackptr.go
	// The guest registers that have none: bits.
	homeless uint32
	regs     uint32 // guest registers that instructions of the region have to do with
	swaps    []swap
	// Swaps are in force: exits have to undo them.
	swapped bool
	// The first and the last instruction of the region's loops.
	loopLo, loopHi int
	index          int // of the instruction being translated
	fixups         []innerJump
	give           int         // see emit
	storing        *storeCheck // the check being written, of a store
	asked          check       // the check being written
	exits          []exitPart
	stores         []*storeCheck // the first stored are of this region
	stored         int
	began          coldMark // where the instruction being translated begins
	fixes          []int32
	near           []nearExit // that have no way out yet: see exits.go
	noNear         bool       // there must be none
	tooFar         bool       // one is out of reach
	later          int32      // see fitLoops; negative where it has been done
	cut            int        // how many instructions the region has if it ends where it was to end
	late           bool       // the region's instructions have been written: the current one is another
}

// begin makes the translator ready for a block.
func (e *Engine) begin(b interp.Block) *translator {
	t := &e.t
	t.backTo(coldMark{})
	t.stored, t.noNear, t.tooFar, t.later = 0, false, false, 0
	t.e, t.v, t.va, t.sp = e, b.Variant, b.VA, 0
	t.wide = b.Variant&interp.Variant64 != 0
	r := e.newRegion()
	if r == t.r {
		*r = region{} // the last attempt left it
	}
	r.page, r.variant, r.off, r.goff, r.host, r.cold = b.Page, b.Variant, uint32(b.Off), goffOf(b), int32(e.hot.used), int32(e.cold.used)
	t.r, t.goff = r, r.goff-r.off
	return t
}

// translateDirect is backend.translate.
func (e *Engine) translateDirect(b interp.Block, whole *region) *region {
	t := e.begin(b)
	if b.Variant&interp.VariantWindow != 0 {
		t.r.placed, t.r.base, t.r.owner = true, b.VA-uint64(t.r.goff), e.win.promoted
	}
	if !t.collect(b, whole) {
		return nil
	}
	for {
		t.findLoops()
		e.use.flags.liveness(t)
		if t.assignHomes(); whole == nil && t.cutAtLoop() {
			continue
		}
		if whole != nil && (t.n != len(whole.insts) || !slices.Equal(t.swaps, whole.swaps)) {
			return nil
		}
		t.planAccesses(whole != nil)
		if t.emit() {
			return t.r
		}
		switch {
		case t.later > 0:
			t.r.host += t.later
			e.hot.used += int(t.later)
			t.later = -1
		case t.tooFar:
			t.tooFar, t.noNear = false, true
		case t.give == 0:
			return nil
		default:
			t.n, t.ends, t.next = t.give, false, t.insts[t.give].off
		}
		t.backTo(coldMark{})
		t.stored = 0
	}
}

// collect decodes the region's instructions, as many as whole has unless that is nil. It reports
// false where there is nothing to translate.
func (t *translator) collect(b interp.Block, whole *region) bool {
	mode := decode.Mode64
	if !t.wide {
		mode = decode.Mode32
	}
	code := b.Page.Bytes()
	off := uint32(b.Off)
	if t.insts == nil {
		t.insts = make([]ginst, maxRegion)
	}
	t.n, t.ends, t.cut, t.regs = 0, false, t.e.use.region.limit(), 0
	if whole != nil {
		t.cut = len(whole.insts)
	}
	for t.n < t.cut && off < pageSize {
		g := &t.insts[t.n]
		err := decode.Decode(code[off:], mode, &g.x)
		if err != nil && errors.Is(err, decode.ErrTruncated) && t.crossing(b, off, mode, &g.x) {
			err = nil
		}
		if err != nil || !t.e.cpu.Executes(&g.x) {
			break
		}
		g.off = off
		g.x.EffectsTo(&g.e)
		t.study(g)
		if !t.canDo(g) {
			break
		}
		if g.varies = err == nil && g.off+uint32(g.x.Len) <= pageSize && b.Page.Varies(uint64(off), &g.x); g.varies {
			if !t.canLoad(g) {
				break
			}
		}
		if g.x.Op == opIret || g.x.Op == opSysret {
			g.e.FlagsRead = 0 // they are those of the frame
		}
		t.n++
		t.regs |= g.regs
		off += uint32(g.x.Len)
		if g.e.Vector {
			t.r.vec = true
		}
		if g.e.X87 {
			t.r.x87 = true
			t.r.inexact = t.r.inexact || x87Functions[g.x.Op]
		}
		if g.e.Class == decode.ClassBranch && !g.jcc && !isLoop(&g.x) || endsRegion(&g.x) {
			t.ends = true
			break
		}
		if g.e.Class == decode.ClassBranch && whole == nil && off < pageSize && !t.e.use.region.through(t.follows(b, off)) {
			t.cut = t.n
		}
	}
	t.next = off
	return t.n > 0
}

// follows says what is known of the block at off, which follows a conditional jump.
func (t *translator) follows(b interp.Block, off uint32) follow {
	entered, translated := b.Page.Known(uint64(off), b.Variant)
	return follow{entered, t.e.cfg.Threshold, translated}
}

func isJcc(x *decode.Inst) bool {
	return x.Map == 0 && x.Opcode&0xf0 == 0x70 || x.Map == 1 && x.Opcode&0xf0 == 0x80
}

// study finds what is asked of an instruction more than once.
func (t *translator) study(g *ginst) {
	x := &g.x
	g.jcc = g.e.Class == decode.ClassBranch && isJcc(x)
	var named uint32
	hi, mem, absolute := false, false, false
	for i := range x.NArgs & 7 {
		switch a := &x.Args[i&3]; a.Kind {
		case decode.GPR:
			if a.Slot != decode.SlotNone {
				named |= 1 << (a.Reg & 15)
			}
		case decode.GPRHi:
			named |= 1 << (a.Reg & 15)
			hi = true
		case decode.Mem:
			mem = true
			absolute = a.Slot == decode.SlotImm
		}
	}
	g.named, g.hi, g.mem, g.addr = named, hi, mem, 0
	if mem {
		g.addr = (1<<(x.Base&31) | 1<<(x.Index&31)) & 0xffff // NoReg and RIPReg are 16 and 17
		t.memoryRef(g, absolute)
	}
	g.regs = g.e.GPRRead | g.e.GPRWritten | g.addr | named // XCHG EAX, EAX is NOP, and uses nothing
}

// liveness finds the status flags that are needed before each instruction.
func (t *translator) liveness() {
	for i := range t.n {
		t.insts[i].live = 0
	}
	for changed := true; changed; {
		changed = false
		live := uint16(arith)
		for i := t.n - 1; i >= 0; i-- {
			g := &t.insts[i]
			switch {
			case g.e.Class != decode.ClassBranch:
			case g.target < 0:
				live = arith
			case g.jcc:
				live |= t.insts[g.target].live
			default:
				live = t.insts[g.target].live
			}
			live = live&^(g.e.FlagsWritten|g.e.FlagsUndefined) | g.e.FlagsRead&arith
			if g.live != live {
				g.live = live
				changed = changed || t.loopHi >= 0
			}
		}
	}
}

// emit writes the region's code. It reports false where the region has to be
// shorter, t.give instructions long.
func (t *translator) emit() bool {
	r := t.r
	r.endLive = arith
	r.indirect = r.host
	r.firstSite = t.e.sites.n // those of an attempt before are of no code
	if !r.placed {
		t.lea(s1, based(s1, -int32(r.goff)))
		t.store(gs(offRBase), s1)
	}
	r.direct = t.hostAt(t.pos())
	t.swapped, t.late = false, false
	t.sp = 0
	t.held = nothingHeld
	t.stackEntry()
	if r.vec || r.x87 {
		t.co.inS2 = -1
	}
	if r.vec {
		t.vecPrologue()
	}
	if r.x87 {
		t.x87Prologue()
	}
	r.loop = t.hostAt(t.pos())
	t.fixups = t.fixups[:0]
	r.swaps = nil // an attempt that was given up may have left some
	if t.swapped = len(t.swaps) > 0; t.swapped {
		r.swaps = append([]swap(nil), t.swaps...)
		t.swapIn()
	}
	for i := range t.n {
		g := &t.insts[i]
		t.cur, t.index = g, i
		t.nearRoom(g)
		t.readySP(g)
		if g.meet { // what is tested in front of a loop
			t.hoisted()
			t.deltaAhead(g)
		}
		g.host, g.sp, g.rep = int32(t.pos()), int8(t.sp), 0
		if !g.meet {
			t.hoisted()
		}
		if g.meet {
			t.co.inS2 = g.delta
			t.held = nothingHeld
		}
		t.markTo(&t.began)
		if g.off+uint32(g.x.Len) > pageSize {
			t.guard(g)
			t.held = nothingHeld
		}
		if !t.instruction(g) {
			if t.loopHi >= 0 || t.swapped {
				// What was decided for the whole region does not hold for a part.
				t.give = i
				return false
			}
			// It turned out not to be possible.
			t.backTo(t.began)
			t.sp = int32(g.sp)
			t.n, t.ends, t.late = i, false, true
			t.next = g.off
			r.endLive = g.live
			break
		}
		t.wrote(g.e.GPRWritten)
	}
	t.finish()
	return !t.tooFar && t.later <= 0
}

// finish writes what follows a region's instructions, and makes the region's map.
func (t *translator) finish() {
	r, end := t.r, t.pos()
	if !t.ends {
		if t.next < pageSize && t.n != t.cut {
			t.callout(t.goff + t.next)
		} else {
			t.bringSP()
			t.exit(t.goff + t.next)
		}
	}
	t.sp = 0
	t.island()
	if t.tooFar {
		return
	}
	if t.later == 0 {
		if t.later = t.fitLoops(end); t.later > 0 {
			return
		}
	}
	t.noNear = true
	for _, f := range t.fixups {
		t.patchRel32(f.at, int(t.insts[f.to].host))
	}
	if t.swapped {
		r.resume = t.hostAt(t.pos())
		t.swapIn()
		t.jmpMem(gs(offResume))
	}
	t.writeCold()
	if r.placed {
		r.fixes = t.e.fixes.take(len(t.fixes))
		copy(r.fixes, t.fixes)
		r.endSite = t.e.sites.n
	}
	r.size = t.next - r.off
	for i := range t.n {
		if g := &t.insts[i]; g.varies {
			end := g.off + uint32(g.x.Len)
			r.holes = append(r.holes, interp.Hole{Lo: end - uint32(g.x.ImmLen), Hi: end})
		}
	}
	if t.next <= pageSize {
		r.page2 = nil
	} else {
		t.e.cpu.MarkCode(r.page2)
	}
	r.markUsed()
	r.insts = t.e.instMaps.take(t.n)
	for i := range t.n {
		g := &t.insts[i]
		r.insts[i] = instMap{host: g.host, off: uint16(g.off - r.off), sp: g.sp, rep: g.rep}
		if r.x87 {
			r.insts[i].fop = fopOf(&g.x)
		}
	}
	if t.e.cfg.Verify != VerifyOff {
		t.addChecks()
	}
}

// newSite makes a site of the region and returns its index.
func (t *translator) newSite(s site) uint32 {
	s.region, s.variant, s.sp, s.placed = int32(len(t.e.regions)), t.r.variant, int8(t.sp), t.r.placed
	return t.e.sites.add(&s)
}

// leave writes the exit for a site.
func (t *translator) leave(id uint32, kind siteKind) { t.leaveBy(id, t.e.stubs[kind]) }

// leaveBy is leave by another stub.
func (t *translator) leaveBy(id uint32, stub int32) {
	if t.swapped {
		t.swapOut()
	}
	t.emitDisp(word{0x68 | uint64(id)<<8 | 0xe9<<40, 48}, 0) // push imm32; jmp
	t.jumpTo(t.pos()-4, stub)
}

// hostAt is the host offset of a position in the region's code.
func (t *translator) hostAt(pos int) int32 { return t.r.host + t.where(pos) }

// jumpTo makes the displacement at at, in the region's code, lead to an offset
// in the arena.
func (t *translator) jumpTo(at int, target int32) {
	t.put32(at, target-(t.hostAt(at)+4))
}

// callTo calls a stub at an offset in the arena.
func (t *translator) callTo(stub int32) {
	t.byte(0xe8)
	t.imm32(0)
	t.jumpTo(t.pos()-4, stub)
}

// exit jumps to a guest offset outside of the region.
func (t *translator) exit(goff uint32) {
	if t.swapped {
		t.swapOut()
	}
	t.edge(t.jmp(), goff)
}

// exitIf is exit on a condition.
func (t *translator) exitIf(cc byte, goff uint32) {
	at := t.jcc(cc)
	if !t.swapped {
		t.edge(at, goff)
		return
	}
	cur := t.cur
	t.behind(func() {
		t.patchRel32(at, t.pos())
		t.cur = cur
		t.exit(goff)
	})
}

// outside writes code of a cold part that has left the region's swaps.
func (t *translator) outside(f func()) {
	was := t.swapped
	t.swapped = false
	f()
	t.swapped = was
}

// edge makes the displacement at at, where the region's swaps have been undone, an
// edge to a guest offset in the granule.
func (t *translator) edge(at int, goff uint32) {
	if goff >= t.granule() && !t.r.placed {
		// Out of the granule: what lies there depends on where the code is mapped.
		t.behind(t.wayTo(at, func() { t.farEdge(goff) }))
		return
	}
	t.leaveFrom(at, t.newSite(site{kind: siteEdge, goff: goff, retry: t.hostAt(at), stack: t.knownHere()}), siteEdge)
}

// granule is the size of the granule in bytes.
func (t *translator) granule() uint32 {
	if t.v&interp.VariantLarge != 0 {
		return granuleLarge
	}
	return pageSize
}

// leaRIP adds to an instruction pointer, in the width of the code.
func (t *translator) leaRIP(d, s int8, n int32) {
	t.leaWord(d, based(s, n))
}

// indirect jumps to the linear address in s1. undo is what RSP is off by if the
// target is one that faults.
func (t *translator) indirect(undo int8) (id uint32) {
	if t.swapped {
		t.swapOut()
		defer func() { t.swapped = true }()
		t.swapped = false
	}
	id = t.newSite(site{kind: siteIndirect, undo: undo, goff: t.goff + t.cur.off})
	t.e.use.indirect.lookup(t, id)
	return id
}

// jumpLookup looks into the jump cache for the linear address in s1, and goes there or
// leaves at a site.
func (t *translator) jumpLookup(id uint32) {
	jump := t.e.jumpOffset(t.v)
	t.pdep(s2, s1, gs(host.OffPollMask))
	t.load(s0, gsx(s2, jump))
	t.lea(s0, mem{base: s0, index: s1})
	hit := t.jrcxz()
	t.leaveBy(id, t.e.secondWays[jumpIndex(t.v)])
	t.here(hit)
	t.jmpMem(gsx(s2, jump+8))
}

// callout leaves for the interpreter to run the instruction at goff.
func (t *translator) callout(goff uint32) {
	t.leave(t.newSite(site{kind: siteCallout, goff: goff}), siteCallout)
}

// poll leaves for goff where something is pending. It may change flags if they
// are not live.
func (t *translator) poll(goff uint32, live bool) {
	id := t.newSite(site{kind: sitePoll, goff: goff})
	if live {
		t.load(s0, gs(host.OffPollMask))
		t.leaveIfZero(id, sitePoll)
		return
	}
	t.cmpMem32(gs(host.OffPending), 0)
	t.leaveFrom(t.jcc(ccNE), id, sitePoll)
}

// Condition codes.
const (
	ccC  = 2
	ccAE = 3
	ccE  = 4
	ccNE = 5
	ccA  = 7
)

// vecPrologue sees to it that the vector registers are the host's.
func (t *translator) vecPrologue() {
	dead := gs(offVecDead)
	for i := range t.n {
		if t.insts[i].e.AVX {
			dead = gs(offAVXDead)
		}
	}
	t.load32(s0, dead)
	ok := t.jrcxz()
	t.callTo(t.e.loadVec)
	t.load32(s0, dead)
	loaded := t.jrcxz()
	t.callout(t.r.goff)
	t.here(ok)
	t.here(loaded)
}
