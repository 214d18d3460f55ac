package interp

// Self-modifying code.
//
// A store to a page with code is common, and mostly harmless: a JIT writes the next
// function beside those that run, data and code share a page, a trampoline is on the
// stack. So what code was made of is known by the byte. The bytes in use are in a bit
// map for each physical page (usedMap), which all code sizes share. A store that hits
// none of them is done without more ado: the page has an entry in a small TLB of its
// own (codeTLB), with the map beside the address, for the interpreter and for
// translated code.
//
// One that hits drops all code of the page, as most pages lose their code once: they
// are freed, or patched when a kernel starts. Where it happens again and again, it
// drops no more than the blocks, and the regions of the translator, that have one of
// the bytes. Where then one store after the other hits, and nothing is decoded in
// between, the page is being made into something else, and all its code goes after all.
//
// Some programs change immediates of their instructions all the time: constants and
// call targets that a JIT patches, inline caches. Of a page that loses code again and
// again the past is kept (pastCode): the bytes of the instructions decoded since. Where one is decoded
// again and differs in nothing but its immediate, that immediate varies from then on:
// its bytes are data. They are not in the map, the interpreter looks at them each
// time (varying), and translated code loads them.
//
// The TLB for pages with code is for one CPU: with several, code that another CPU
// decoded is not in this one's maps, and every store to such a page is reported.

import (
	"math/bits"

	"hotblock/mmu"
	"hotblock/x86/decode"
)

// A usedMap has a bit for each byte of a page. The last word is padding, as generated
// code reads eight bytes from any byte of the map on.
type usedMap [mmu.PageSize/64 + 1]uint64

// mask is the bits from lo on, up to hi, that are in the word of lo, and the first bit
// after them.
func wordMask(lo, hi uint32) (mask uint64, next uint32) {
	n := min(64-lo&63, hi-lo)
	return ^uint64(0) >> (64 - n) << (lo & 63), lo + n
}

// mark sets the bits from lo up to hi.
func (u *usedMap) mark(lo, hi uint32) {
	for hi = min(hi, mmu.PageSize); lo < hi; {
		mask, next := wordMask(lo, hi)
		u[lo>>6] |= mask
		lo = next
	}
}

// clear clears them.
func (u *usedMap) clear(lo, hi uint32) {
	for hi = min(hi, mmu.PageSize); lo < hi; {
		mask, next := wordMask(lo, hi)
		u[lo>>6] &^= mask
		lo = next
	}
}

// has reports whether the bit of one byte is set.
func (u *usedMap) has(at uint32) bool { return u[at>>6&63]>>(at&63)&1 != 0 }

// any reports whether one of them is set.
func (u *usedMap) any(lo, hi uint32) bool {
	for hi = min(hi, mmu.PageSize); lo < hi; {
		mask, next := wordMask(lo, hi)
		if u[lo>>6]&mask != 0 {
			return true
		}
		lo = next
	}
	return false
}

// all reports whether all of them are set.
func (u *usedMap) all(lo, hi uint32) bool {
	for lo < hi {
		mask, next := wordMask(lo, hi)
		if u[lo>>6]&mask != mask {
			return false
		}
		lo = next
	}
	return true
}

// next returns the first of the bits from lo on that is set, or PageSize.
func (u *usedMap) next(lo uint32) uint32 {
	w := u[lo>>6] >> (lo & 63) << (lo & 63)
	for i := lo >> 6; ; w = u[i] {
		if w != 0 {
			return i<<6 + uint32(bits.TrailingZeros64(w))
		}
		if i++; i == mmu.PageSize/64 {
			return mmu.PageSize
		}
	}
}

// A Hole is the bytes from Lo up to Hi of a page: an immediate that code was not made
// of, in the middle of bytes that it was made of.
type Hole struct{ Lo, Hi uint32 }

// markBut sets the bits from lo up to hi but those of holes, which are in order.
func (u *usedMap) markBut(lo, hi uint32, holes []Hole) {
	for _, h := range holes {
		u.mark(lo, h.Lo)
		lo = h.Hi
	}
	u.mark(lo, hi)
}

// Hits reports whether a write to the bytes from lo up to hi hits code made of the
// bytes from start up to end but for holes.
func Hits(lo, hi, start, end uint32, holes []Hole) bool {
	if lo >= end || hi <= start {
		return false
	}
	for _, h := range holes {
		if lo >= h.Lo && hi <= h.Hi {
			return false
		}
	}
	return true
}

// A codeBlock is what was decoded at once: a basic block, or an instruction that was
// run by itself and has no head.
type codeBlock struct {
	op         *Op     // its head, or what stands for it in codePage.single
	holes      *[]Hole // bytes that it was not made of, or nil
	start, end uint16  // offsets of the bytes that it was made of
	single     bool
}

// but is the bytes that the block was not made of.
func (b *codeBlock) but() []Hole {
	if b.holes == nil {
		return nil
	}
	return *b.holes
}

// hit reports whether a write to the bytes from lo up to hi hits the block.
func (b *codeBlock) hit(lo, hi uint32) bool {
	return Hits(lo, hi, uint32(b.start), uint32(b.end), b.but())
}

// size is the number of its Ops.
func (b *codeBlock) size() (n int) {
	for o := b.op; o != nil; o = o.next {
		n++
	}
	return n
}

// mark sets the bits of the bytes that it was made of.
func (b *codeBlock) mark(u *usedMap) { u.markBut(uint32(b.start), uint32(b.end), b.but()) }

// drop makes references to the block's Ops lead back to the lookup, and says how many
// Ops there were that are not kept: the head is, if the page has a past.
func (b *codeBlock) drop(p *codePage) (dropped int) {
	h := b.op
	for o := h; o != nil; o = o.next {
		o.fn, o.tgt = opResync, nil
		dropped++
	}
	if b.single {
		return dropped
	}
	h.next = nil
	if h.entry() != 0 {
		h.lose()
	}
	if p.past != nil {
		p.past.heads[h.off] = h
		dropped--
	}
	return dropped
}

// keep adds a block to the page's code.
func (p *codePage) keep(b codeBlock) {
	p.blocks = append(p.blocks, b)
	b.mark(p.used)
	p.hits = 0
}

// pastCode is what is known of code that was on a page.
type pastCode struct {
	bytes  [mmu.PageSize]byte // as they were when they were last decoded
	known  usedMap            // which of them
	varies usedMap            // immediates that changed
	heads  map[uint16]*Op     // of blocks that were dropped, by offset
}

// pastWeight is how many Ops take as much memory as a pastCode.
const pastWeight = 64

// pastHead returns the head that the block at off had before it was dropped, or nil.
func (p *codePage) pastHead(off uint16) *Op {
	if p.past == nil {
		return nil
	}
	h := p.past.heads[off]
	if h != nil {
		delete(p.past.heads, off)
	}
	return h
}

// forget drops the past of a page that has no code any more.
func (c *CPU) forget(p *codePage) {
	if p.past != nil {
		c.liveOps -= pastWeight + len(p.past.heads)
		p.past = nil
	}
}

// compareWithPast compares the instruction at off of a page with what was there when
// it was last decoded, and remembers it. It reports false where it is another one now.
func (c *CPU) compareWithPast(p *codePage, off uint64, x *decode.Inst) (same bool) {
	if decode.Decode(p.bytes[off:], c.mode.decodeMode(), x) != nil {
		return true // it is not kept by its bytes
	}
	past := p.past
	lo, hi := uint32(off), uint32(off)+uint32(x.Len)
	imm := hi - uint32(x.ImmLen)
	same = true
	switch {
	case !past.known.all(lo, hi):
	case string(past.bytes[lo:imm]) != string(p.bytes[lo:imm]):
		past.varies.clear(lo, hi)
		same = false
	case string(past.bytes[imm:hi]) != string(p.bytes[imm:hi]):
		if mayVary(x) {
			past.varies.mark(imm, hi)
		} else {
			same = false
		}
	}
	past.known.mark(lo, hi)
	copy(past.bytes[lo:hi], p.bytes[lo:hi])
	return same
}

// mayVary reports whether the immediate of an instruction can be data: those of MOV,
// PUSH, CALL, JMP, TEST and the arithmetic instructions with two operands.
func mayVary(x *decode.Inst) bool {
	if x.Map != 0 || x.Vex || x.ImmLen == 0 {
		return false
	}
	switch op := x.Opcode; {
	case op < 0x40:
		return op&7 == 4 || op&7 == 5
	case op&0xf0 == 0xb0:
		return true
	case op == 0xf6 || op == 0xf7:
		return x.ModRM>>3&7 < 2
	case op == 0xc6 || op == 0xc7:
		return x.ModRM>>3&7 == 0
	default:
		return op == 0x80 || op == 0x81 || op == 0x83 || op == 0xa8 || op == 0xa9 || op == 0x68 || op == 0x6a || op == 0xe8 || op == 0xe9
	}
}

// Varies reports whether the immediate of the instruction at off of the page is data:
// it changes so often that code must not be made of its value.
func (p *codePage) Varies(off uint64, x *decode.Inst) bool {
	if p.past == nil || !mayVary(x) {
		return false
	}
	h := immediateOf(off, x)
	return p.past.varies.any(h.Lo, h.Hi)
}

// immediateOf is where the immediate of the instruction at off is: at its end.
func immediateOf(off uint64, x *decode.Inst) Hole {
	end := uint32(off) + uint32(x.Len)
	return Hole{end - uint32(x.ImmLen), end}
}

// A varyingInst is an instruction whose immediate varies.
type varyingInst struct {
	code  []byte // in the page
	bytes [decode.MaxLen]byte
	x     decode.Inst // of them
	op    Op
}

// varying makes o an Op of the instruction at off that looks at its bytes each time.
func (c *CPU) varying(p *codePage, off uint64, x *decode.Inst, o *Op) (ends bool) {
	v := &varyingInst{code: p.bytes[off : off+uint64(x.Len)], x: *x}
	copy(v.bytes[:], v.code)
	ends = c.compile(&v.x, uint16(off), &v.op)
	v.op.n = noLink
	*o = Op{fn: v.run, off: uint16(off), len: x.Len, x: &v.x, n: noLink}
	return ends
}

func (v *varyingInst) run(c *CPU, o *Op) *Op {
	if n := len(v.code); string(v.code) != string(v.bytes[:n]) {
		var buf [decode.MaxLen]byte
		var x decode.Inst
		copy(buf[:], v.code)
		// Other bytes of it change only if the writer is not this CPU, which will
		// hear of it; until then the instruction may be the old one.
		if decode.Decode(buf[:n], c.mode.decodeMode(), &x) == nil && int(x.Len) == n {
			v.x, v.bytes = x, buf
			v.op = Op{}
			c.compile(&v.x, o.off, &v.op)
			v.op.n = noLink
		}
	}
	v.op.next = o.next
	return v.op.fn(c, &v.op)
}

// usedOf returns the map of a physical page.
func (c *CPU) usedOf(key pageKey) *usedMap {
	for m := range c.code {
		if p := c.code[m][key]; p != nil {
			return p.used
		}
	}
	return new(usedMap)
}

// wroteCode is called after this CPU stored to a page that has PageCode set.
func (c *CPU) wroteCode(b *mmu.Block, off, size uint64) {
	c.invalidate(b, off, size)
	if c.NumCPUs > 1 {
		c.Mem.Touched(b, off, size)
	}
}

// patience is how often the code of a page may change before the page is expected to
// go on like that: it has a past, and stays out of the write TLBs for some stores after
// it has lost all its code. maxHits is how many stores in a row may hit code of such a
// page before it does.
const (
	patience = 4
	maxHits  = 8
)

// invalidate drops the code that a write hits, in every code size. When
// none is left the page may be written directly again.
func (c *CPU) invalidate(b *mmu.Block, off, size uint64) {
	key := pageKey{b, off &^ pageMask}
	lo := uint32(off & pageMask)
	hi := lo + uint32(size)
	left := false
	for m := range c.code {
		p := c.code[m][key]
		if p == nil {
			continue
		}
		if p.used.any(lo, hi) {
			c.hitCode(key, lo, hi)
		}
		left = left || len(p.blocks) > 0 || p.Translations != nil
	}
	if !left && c.NumCPUs == 1 && !c.restless(key) {
		b.ClearFlags(off, mmu.PageCode)
		for m := range c.code {
			if p := c.code[m][key]; p != nil {
				c.forget(p)
				c.dropCodeTLBs(p.used)
			}
		}
	}
}

// hitCode drops the code of a page that was made of the bytes from lo up to hi.
func (c *CPU) hitCode(key pageKey, lo, hi uint32) {
	c.stats.Invalidated++
	var used *usedMap
	for m := range c.code {
		p := c.code[m][key]
		if p == nil {
			continue
		}
		if used = p.used; p.hits == 0 {
			p.drops++
		}
		p.quiet = 0
		p.hits++
		if p.drops > patience && p.past == nil {
			p.past = &pastCode{heads: map[uint16]*Op{}}
			c.liveOps += pastWeight
		}
		switch {
		case p.past == nil:
			c.drop(p)
		case p.hits > maxHits:
			c.drop(p)
			p.drops = 0 // what comes has nothing to do with what was
		default:
			c.dropRange(p, lo, hi)
		}
	}
	*used = usedMap{}
	for m := range c.code {
		p := c.code[m][key]
		if p == nil {
			continue
		}
		for i := range p.blocks {
			b := &p.blocks[i]
			b.mark(used)
		}
		if p.Translations != nil {
			c.tr.MarkUsed(p)
		}
	}
}

// dropRange drops the blocks that were made of the bytes from lo up to hi.
func (c *CPU) dropRange(p *codePage, lo, hi uint32) {
	left := p.blocks[:0]
	for i := range p.blocks {
		b := &p.blocks[i]
		switch {
		case !b.hit(lo, hi):
			left = append(left, *b)
			continue
		case b.single:
			p.single.remove(b.start)
		default:
			p.heads.remove(b.start)
		}
		c.liveOps -= b.drop(p)
	}
	clear(p.blocks[len(left):])
	p.blocks = left
	if p.Translations != nil {
		c.tr.Overwritten(p, lo, hi)
	}
}

// restless reports whether a page that has no code is
// likely to have code again soon: taking it out of the write TLBs anew each time
// costs more than the stores that pass through here meanwhile. After some stores
// without code it is not.
func (c *CPU) restless(key pageKey) bool {
	for m := range c.code {
		if p := c.code[m][key]; p != nil && p.drops > patience {
			if p.quiet++; p.quiet < patience*16 {
				return true
			}
			p.drops, p.quiet = 0, 0
		}
	}
	return false
}
