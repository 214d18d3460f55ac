package interp

// Decoded code.
//
// A codePage is what is known of one physical page in one code size: the heads
// of the basic blocks decoded so far, by offset, and a bitmap of the bytes that
// their instructions occupy. A block ends at a control transfer, at the end of
// the page, before the head of a known block, or after maxBlock instructions.
//
// A page with decoded code has mmu.PageCode set, and no write TLB holds it. What
// becomes of a store to it is in smc.go: one that hits decoded bytes drops the
// blocks that they belong to. Their Ops get a handler that leaves the loop and
// decodes anew, so even the instruction that follows the store is seen as it is in
// memory then, as on silicon (SDM volume 3, 11.6). An instruction that
// continues on the next page is kept with its bytes, and compared with memory
// each time it runs.
//
// The head of a block that was dropped is kept for the next block at its place, so
// that what leads to it need not be found.

import (
	"errors"
	"math/bits"
	"slices"
	"sync"

	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

type opFunc func(c *CPU, o *Op) *Op

// An Op is one decoded instruction, or two that are executed as one.
type Op struct {
	fn      opFunc
	next    *Op          // the instruction that follows; of a head: the first instruction
	tgt     *Op          // head of the branch target, once it is known to be on this page
	disp    uint64       // displacement; RIP-relative ones count from the page's start; of a head: its translation's entry, or 0
	imm     uint64       // immediate; of a branch: target relative to the page's start; of a head: times entered
	x       *decode.Inst // for general handlers; nil where fast is set
	off     uint16       // of the instruction in its page
	n       uint16       // of a head: instructions in the block
	len     uint8
	dst     uint8 // of a head: times its translation was lost to a store, up to maxLost
	src     uint8
	base    uint8
	idx     uint8
	scl     uint8
	seg     uint8 // segment register of the memory operand
	sreg    uint8 // its base in CPU.R: RZero where it is always 0
	size    uint8
	cc      uint8
	fast    bool    // the handler needs nothing of x
	variant Variant // of a head: what its translation is for
}

// entry is that of a head's translation, or 0.
func (o *Op) entry() uint64 { return o.disp }

// maxLost bounds how much hotter a block has to be whose translations get lost.
const maxLost = 12

// lose forgets a head's translation, which was written over.
func (o *Op) lose() {
	o.disp, o.imm = 0, 0
	o.dst = min(o.dst+1, maxLost)
}

const maxBlock = 64

type codeMode uint8

const (
	mode16 codeMode = iota
	mode32
	mode64
	numModes
)

func (m codeMode) decodeMode() decode.Mode { return 16 << m }

type pageKey struct {
	blk *mmu.Block
	off uint64
}

type codePage struct {
	key    pageKey
	mode   codeMode
	bytes  []byte // the page
	heads  opTable
	single opTable     // of what was run by itself: an Op that does nothing, in front of it
	blocks []codeBlock // everything decoded, for invalidation
	used   *usedMap    // of all code sizes: bytes that code was made of
	past   *pastCode   // what is known of code that was written over, or nil
	hits   uint32      // stores that dropped code since some was last decoded
	quiet  uint32      // stores since there was code
	drops  uint32      // times the code was written lately
	// Translations is the translator's own; nil where it has none.
	Translations any
}

// An opTable finds Ops by their offset in the page. It is a hash table with linear
// probing, at most half full, so that a search touches one line of the host's cache
// and the Op not at all.
type opTable struct {
	slots []opSlot // a power of two of them, or none
	n     int
}

type opSlot struct {
	op  *Op // or nil
	off uint16
}

// slot is where the Op at off is, or is to be put.
func (t *opTable) slot(off uint16) *opSlot {
	mask := len(t.slots) - 1
	i := int(off^off>>4) & mask
	for t.slots[i].op != nil && t.slots[i].off != off {
		i = (i + 1) & mask
	}
	return &t.slots[i]
}

// get returns the Op at off, or nil.
func (t *opTable) get(off uint16) *Op {
	if len(t.slots) == 0 {
		return nil
	}
	return t.slot(off).op
}

// put adds an Op at whose offset there is none.
func (t *opTable) put(o *Op) {
	if 2*t.n >= len(t.slots) {
		t.resize(max(16, 2*len(t.slots)))
	}
	*t.slot(o.off) = opSlot{o, o.off}
	t.n++
}

// remove takes out the Op at off.
func (t *opTable) remove(off uint16) {
	if len(t.slots) == 0 || t.slot(off).op == nil {
		return
	}
	*t.slot(off) = opSlot{}
	t.n--
	t.resize(len(t.slots)) // what was put behind it may be found in front of it now
}

// resize moves the Ops to a table of n slots.
func (t *opTable) resize(n int) {
	old := t.slots
	t.slots = make([]opSlot, n)
	for _, s := range old {
		if s.op != nil {
			*t.slot(s.off) = s
		}
	}
}

func (p *codePage) head(off uint64) *Op { return p.heads.get(uint16(off)) }

// drop forgets a page's code, translations included.
func (c *CPU) drop(p *codePage) {
	for i := range p.blocks {
		c.liveOps -= p.blocks[i].drop(p)
	}
	p.blocks, p.single, p.heads = nil, opTable{}, opTable{}
	if p.Translations != nil {
		c.tr.Drop(p)
	}
}

// opResync leaves the loop before the instruction it stands for.
func opResync(c *CPU, o *Op) *Op {
	c.RIP = c.ripAt(o.off)
	return nil
}

// ripAt is the RIP of an offset in the current page.
func (c *CPU) ripAt(off uint16) uint64 { return c.maskIP(c.R[x86.RPage] + uint64(off)) }

// maskIP wraps an instruction pointer to the size of the current code.
func (c *CPU) maskIP(ip uint64) uint64 {
	switch c.mode {
	case mode64:
		return ip
	case mode32:
		return ip & 0xffffffff
	}
	return ip & 0xffff
}

// nextIP is the RIP of the instruction after o.
func (c *CPU) nextIP(o *Op) uint64 { return c.maskIP(c.R[x86.RPage] + uint64(o.off) + uint64(o.len)) }

// lookup returns the head of the block at RIP, decoding it if need be.
func (c *CPU) lookup() *Op {
	if h := c.goTo(c.RIP); h != nil {
		return h
	}
	c.boundCode()
	p, off := c.fetchPage()
	if p == nil {
		return c.uncached()
	}
	c.R[x86.RPage] = c.RIP - off
	if h := p.head(off); h != nil {
		return h
	}
	return c.decodeBlock(p, off)
}

// goTo returns the head of the block at ip if it is at hand; else it stores ip
// and returns nil, which makes the loop look it up.
func (c *CPU) goTo(ip uint64) *Op {
	lin := (ip + c.R[x86.RSeg+x86.CS]) & c.linMask
	if e := c.it.find(lin); e != nil {
		off := lin & pageMask
		if o := e.page.heads.get(uint16(off)); o != nil {
			c.R[x86.RPage] = ip - off
			return o
		}
	}
	c.RIP = ip
	return nil
}

// fetchPage translates RIP for execution and returns the code page, and RIP's
// offset in it. It returns nil where the code cannot be cached: in MMIO or
// nothing. It raises the faults of an instruction fetch.
func (c *CPU) fetchPage() (*codePage, uint64) {
	lin := c.fetchLin(c.RIP)
	off := lin & pageMask
	if e := c.it.find(lin); e != nil {
		return e.page, off
	}
	t := c.fetchTranslate(lin)
	pa := t.PA & c.physMask
	r := c.Mem.Find(pa)
	if r == nil || r.Kind == mmu.IO {
		return nil, off
	}
	p := c.page(r, pa)
	if !c.limited {
		shift := uint8(bits.TrailingZeros64(t.PageSize))
		c.it.fill(lin, p, t.Global, shift)
	}
	return p, off
}

// page returns the code page of a physical page in RAM or ROM, for the current
// code size.
func (c *CPU) page(r *mmu.Region, pa uint64) *codePage {
	key := pageKey{r.Blk, (r.Off + pa - r.Base) &^ pageMask}
	p := c.code[c.mode][key]
	if p == nil {
		if len(c.code[c.mode]) >= maxCodePages {
			c.dropAllCode()
		}
		p = &codePage{key: key, mode: c.mode, bytes: r.Host(pa), used: c.usedOf(key)}
		c.code[c.mode][key] = p
	}
	return p
}

// maxCodePages bounds the decoded code kept for each code size, in pages, and
// maxLiveOps all of it. A guest may jump to every byte of a page, and so has a
// page decoded that is sixty times the size of what honest code makes of it.
const maxCodePages = 16384

var maxLiveOps = 8 << 20 // about 1 GiB

// boundCode forgets all decoded code where it has become too much.
func (c *CPU) boundCode() {
	if c.liveOps > maxLiveOps || c.chunkedOps > 2*maxLiveOps {
		c.dropAllCode()
	}
}

// fetchLin is the linear address of ip, checked against CS.
func (c *CPU) fetchLin(ip uint64) uint64 {
	if c.long {
		if !canonical(ip) {
			c.raiseAt(ip, x86.ExcGP, 0)
		}
		return ip
	}
	if ip > uint64(c.Seg[x86.CS].Limit) {
		c.raiseAt(ip, x86.ExcGP, 0)
	}
	return (ip + c.R[x86.RSeg+x86.CS]) & c.linMask
}

func (c *CPU) fetchTranslate(lin uint64) mmu.Translation {
	acc := mmu.Exec
	if c.CPL == 3 {
		acc |= mmu.User
	}
	t, code, ok := c.Mem.Walk(&c.paging, lin, acc)
	if !ok {
		c.CR2 = lin
		c.stats.PageFaults++
		c.raiseAt(c.RIP, x86.ExcPF, code)
	}
	return t
}

// markCode sets PageCode for a page about to be decoded, and takes it out of
// the write TLBs.
func (c *CPU) markCode(p *codePage) {
	if p.key.blk.SetFlags(p.key.off, mmu.PageCode)&(mmu.PageCode|mmu.PageStored) == mmu.PageStored {
		if c.NumCPUs == 1 {
			p.key.blk.ClearFlags(p.key.off, mmu.PageStored)
		}
		c.codeMarks++
		c.dropWriters(p)
		if c.tr != nil {
			c.tr.Protect(p.key.blk, p.key.off)
		}
	}
}

// dropAllCode forgets all decoded code.
func (c *CPU) dropAllCode() {
	for m := range c.code {
		for k, p := range c.code[m] {
			c.drop(p)
			if c.NumCPUs == 1 {
				k.blk.ClearFlags(k.off, mmu.PageCode)
			}
		}
		clear(c.code[m])
	}
	c.liveOps, c.chunkedOps = 0, 0
	c.flushCodeTLBs() // they point at the maps of used bytes
	for i := range c.its {
		c.its[i].init()
	}
	c.dropSpaces()
}

// invalidations are writes by others to pages with code.
type invalidations struct {
	mu   sync.Mutex
	list []invalidation
}

type invalidation struct {
	blk       *mmu.Block
	off, size uint64
}

// postInvalidation notes a write to a page with code that came from elsewhere.
// It may be called from any goroutine.
func (c *CPU) postInvalidation(b *mmu.Block, off, size uint64) {
	c.invList.mu.Lock()
	c.invList.list = append(c.invList.list, invalidation{b, off, size})
	c.invList.mu.Unlock()
	c.request(reqInvalidate)
}

func (c *CPU) applyInvalidations() {
	c.invList.mu.Lock()
	l := c.invList.list
	c.invList.list = nil
	c.invList.mu.Unlock()
	for _, i := range l {
		c.invalidate(i.blk, i.off, i.size)
	}
}

// opHead begins a basic block: it counts, and leaves the loop when the machine
// wants something.
func opHead(c *CPU, o *Op) *Op {
	if c.pending.Load() != 0 {
		c.RIP = c.ripAt(o.off)
		return nil
	}
	if o.imm++; o.imm >= c.hotAt {
		return c.heated(o)
	}
	c.stats.Instructions += uint64(o.n)
	return o.next
}

// opHeadTrace is opHead while -d exec is on.
func opHeadTrace(c *CPU, o *Op) *Op {
	if c.pending.Load() == 0 {
		c.RIP = c.ripAt(o.off)
		c.Log.exec(c)
	}
	return opHead(c, o)
}

// opPageEnd goes on where a block stopped without a control transfer.
func opPageEnd(c *CPU, o *Op) *Op {
	h := c.goTo(c.ripAt(o.off))
	if h != nil && c.linkable(uint64(o.off)) {
		o.tgt, o.fn = h, opChain
	}
	return h
}

// linkable reports whether the block at offset off, as it counts from the
// current page, may be linked to directly: it must be on the page, so that it
// goes when the page's code goes. Sixteen-bit code is left out, because there
// the instruction pointer may wrap in the middle of a page.
func (c *CPU) linkable(off uint64) bool { return off < mmu.PageSize && c.mode != mode16 }

// noLink in Op.n keeps an instruction that crosses pages from being linked to its
// target: it is kept by linear address and so may run in another physical page.
const noLink = 1

// opChain goes on at the head of a block that was decoded before.
func opChain(c *CPU, o *Op) *Op { return o.tgt }

// decodeBlock decodes the block at off of p and returns its head. RPage must be
// set.
func (c *CPU) decodeBlock(p *codePage, off uint64) *Op {
	c.markCode(p)
	changing := p.drops > 0 || p.past != nil
	ops := c.freshOps(changing)
	start := off
	blk := codeBlock{start: uint16(off)}
	same := true
	n := 0 // instructions
	for last := false; ; n++ {
		o := &ops[n+1]
		o.off = uint16(off)
		if last || off >= mmu.PageSize || n == maxBlock {
			// Whatever follows is found by lookup, if it is reached at all.
			o.fn = opPageEnd
			break
		}
		if n > 0 && p.used.has(uint32(off)) {
			if h := p.head(off); h != nil {
				o.fn, o.tgt = opChain, h
				break
			}
		}
		if p.past != nil {
			same = c.compareWithPast(p, off, &c.insts[n]) && same
		}
		last = c.decodeOp(p, off, &c.insts[n], &blk, o)
		off += uint64(o.len)
	}
	ops = ops[:n+2]
	fuse(ops)
	ops[0].off = uint16(start)
	c.Log.inAsm(c, p, ops)
	c.keepInsts(ops)
	head, kept := c.keepOps(p, ops, changing, same)
	for i := range len(kept) - 1 {
		kept[i].next = &kept[i+1]
	}
	head.fn, head.next, head.n = opHead, &kept[0], uint16(n)
	if c.Log.has(LogExec) {
		head.fn = opHeadTrace
	}
	blk.op = head
	p.keep(blk)
	p.heads.put(head)
	c.stats.Blocks++
	c.stats.Decoded += uint64(n)
	return head
}

// opChunk is how many Ops are allocated at once. A chunk stays as long as one of them is in use, so
// code that is written over may hold on to more memory than liveOps says: pages of which code has been written
// over have Ops allocated by the block, and all Ops out of chunks are counted (chunkedOps).
const opChunk = 1024

// freshOps is where a block is to be decoded: zeroes, and room for all that a block may have.
func (c *CPU) freshOps(changing bool) []Op {
	if changing {
		return c.scratch[:]
	}
	if len(c.opPool) < len(c.scratch) {
		c.opPool = make([]Op, opChunk)
	}
	return c.opPool[:len(c.scratch)]
}

// keepOps gives a block that was decoded a place of its own, its head first. same says that it is what it
// was when it was decoded last.
func (c *CPU) keepOps(p *codePage, ops []Op, changing, same bool) (head *Op, kept []Op) {
	n := len(ops)
	if !changing {
		kept, c.opPool = c.opPool[:n:n], c.opPool[n:]
		c.chunkedOps += n
		c.liveOps += n
		return &kept[0], kept[1:]
	}
	defer clear(ops)
	if head = p.pastHead(ops[0].off); head == nil {
		kept = slices.Clone(ops)
		c.liveOps += n
		return &kept[0], kept[1:]
	}
	kept = slices.Clone(ops[1:])
	c.liveOps += n - 1
	entered := head.imm
	if !same {
		entered = 0
	}
	*head = Op{off: ops[0].off, imm: entered, dst: head.dst}
	return head, kept
}

// keepInsts gives the instructions of a block that general handlers execute a
// place of their own; they were decoded into storage that is used again. What
// has a specialised handler needs no more than its Op, and that is most.
func (c *CPU) keepInsts(blk []Op) {
	for i := range blk {
		switch o := &blk[i]; {
		case o.x == nil:
		case o.fast:
			o.x = nil
		default:
			if len(c.instPool) == 0 {
				c.instPool = make([]decode.Inst, instChunk)
			}
			x := &c.instPool[0]
			c.instPool = c.instPool[1:]
			*x = *o.x
			o.x = x
		}
	}
}

// instChunk is how many instructions are allocated at once.
const instChunk = 16

// decodeOp decodes one instruction of a block into x, and makes o, which must be zeroes, its Op. ends says that the
// block cannot go on after it.
func (c *CPU) decodeOp(p *codePage, off uint64, x *decode.Inst, b *codeBlock, o *Op) (ends bool) {
	if err := decode.Decode(p.bytes[off:], c.mode.decodeMode(), x); err != nil {
		if errors.Is(err, decode.ErrTruncated) {
			// It goes on behind the page. Whether there is anything matters only when
			// execution gets so far.
			b.end = mmu.PageSize
			*o = Op{fn: opCross, off: uint16(off), len: uint8(mmu.PageSize - off)}
			return true
		}
		b.end = uint16(min(off+decode.MaxLen, mmu.PageSize)) // any of them, changed, may make it an instruction
		return c.makeOp(x, err, uint16(off), o)
	}
	b.end = uint16(off) + uint16(x.Len)
	if p.Varies(off, x) {
		holes := append(b.but(), immediateOf(off, x))
		b.holes = &holes
		return c.varying(p, off, x, o)
	}
	return c.compile(x, uint16(off), o)
}

// makeOp makes o, which must be zeroes, the Op of what was decoded, or of the error that came of it.
func (c *CPU) makeOp(x *decode.Inst, err error, off uint16, o *Op) (ends bool) {
	switch {
	case err == nil:
		return c.compile(x, off, o)
	case errors.Is(err, decode.ErrTooLong):
		*o = Op{fn: opTooLong, off: off, len: 1, x: x}
	default:
		*o = Op{fn: opUndefined, off: off, len: 1, x: x}
	}
	return true
}

func opTooLong(c *CPU, o *Op) *Op {
	c.raise(o, x86.ExcGP, 0)
	return nil
}

func opUndefined(c *CPU, o *Op) *Op {
	c.Log.guestError("undefined instruction at %#x", c.ripAt(o.off))
	c.raise(o, x86.ExcUD, 0)
	return nil
}

// crossing is an instruction that continues on the next page.
type crossing struct {
	bytes [decode.MaxLen]byte
	n     int
	inner Op
}

// opCross executes an instruction that continues on the next page; it looks at
// the bytes again each time.
func opCross(c *CPU, o *Op) *Op {
	var buf [decode.MaxLen]byte
	c.RIP = c.ripAt(o.off)
	n := c.fetchBytes(buf[:])
	lin := (c.RIP + c.R[x86.RSeg+x86.CS]) & c.linMask
	key := crossKey{lin, c.mode}
	cr := c.cross[key]
	if cr == nil || cr.n != n || cr.bytes != buf {
		cr = &crossing{n: n, bytes: buf}
		x := new(decode.Inst)
		err := decode.Decode(buf[:n], c.mode.decodeMode(), x)
		if errors.Is(err, decode.ErrTruncated) {
			// Fewer bytes than it needs: the rest is not there.
			c.fetchFault(n)
		}
		c.makeOp(x, err, o.off, &cr.inner)
		cr.inner.n = noLink
		cr.inner.next = &Op{fn: opPageEnd, off: o.off + uint16(cr.inner.len)}
		if len(c.cross) >= maxCodePages {
			clear(c.cross)
		}
		c.cross[key] = cr
	}
	return cr.inner.fn(c, &cr.inner)
}

type crossKey struct {
	lin  uint64
	mode codeMode
}

// fetchBytes reads up to len(b) bytes of code at RIP, and says how many could
// be had; it raises the fault only if there are none.
func (c *CPU) fetchBytes(b []byte) int {
	lin := c.fetchLin(c.RIP)
	pa := c.fetchTranslate(lin).PA & c.physMask
	n := min(len(b), int(mmu.PageSize-lin&pageMask))
	if !c.long {
		n = int(min(uint64(n), uint64(c.Seg[x86.CS].Limit)-c.RIP+1))
	}
	c.readCode(pa, b[:n])
	if n == len(b) || lin&pageMask+uint64(n) != mmu.PageSize {
		return n
	}
	// The instruction may go on behind the page.
	acc := mmu.Exec
	if c.CPL == 3 {
		acc |= mmu.User
	}
	lin = (lin + uint64(n)) & c.linMask
	if c.long && !canonical(lin) || !c.long && c.RIP+uint64(n) > uint64(c.Seg[x86.CS].Limit) {
		return n
	}
	t, _, ok := c.Mem.Walk(&c.paging, lin, acc)
	if !ok {
		return n
	}
	m := len(b)
	if !c.long {
		m = int(min(uint64(m), uint64(c.Seg[x86.CS].Limit)-c.RIP+1))
	}
	c.readCode(t.PA&c.physMask, b[n:m])
	return m
}

func (c *CPU) readCode(pa uint64, b []byte) {
	if r := c.Mem.Find(pa); r != nil && r.Kind == mmu.IO {
		for i := range b {
			b[i] = byte(r.Dev.ReadMMIO(pa-r.Base+uint64(i), 1))
		}
		return
	}
	c.Mem.Read(pa, b)
}

// fetchFault raises the fault of fetching the byte n after RIP, with RIP as it
// is.
func (c *CPU) fetchFault(n int) {
	ip := c.RIP + uint64(n)
	if !c.long && ip > uint64(c.Seg[x86.CS].Limit) {
		c.raiseAt(c.RIP, x86.ExcGP, 0)
	}
	lin := (ip + c.R[x86.RSeg+x86.CS]) & c.linMask
	if c.long && !canonical(lin) {
		c.raiseAt(c.RIP, x86.ExcGP, 0)
	}
	c.fetchTranslate(lin)
	// It is there after all: it must have appeared meanwhile.
	c.raiseAt(c.RIP, x86.ExcGP, 0)
}

// single returns the instruction at RIP as an Op that is not part of a block.
func (c *CPU) single() *Op {
	c.boundCode()
	p, off := c.fetchPage()
	if p == nil {
		return c.uncached()
	}
	c.R[x86.RPage] = c.RIP - off
	c.stats.Instructions++
	if o := p.single.get(uint16(off)); o != nil {
		c.checkFetched(o.next)
		return o.next
	}
	c.markCode(p)
	b := codeBlock{start: uint16(off), single: true}
	ops := &[3]Op{{off: uint16(off)}}
	c.decodeOp(p, off, new(decode.Inst), &b, &ops[1])
	ops[2].fn, ops[2].off = opPageEnd, uint16(off)+uint16(ops[1].len)
	ops[0].next, ops[1].next = &ops[1], &ops[2]
	b.op = &ops[0]
	p.keep(b)
	c.liveOps += len(ops)
	p.single.put(&ops[0])
	c.checkFetched(&ops[1])
	return &ops[1]
}

// checkFetched raises #GP where an instruction reaches beyond the limit of CS.
func (c *CPU) checkFetched(o *Op) {
	if c.limited && c.RIP+uint64(o.len)-1 > uint64(c.Seg[x86.CS].Limit) {
		c.raise(nil, x86.ExcGP, 0)
	}
}

// uncached decodes the instruction at RIP from wherever it is, MMIO included,
// without keeping it.
func (c *CPU) uncached() *Op {
	var buf [decode.MaxLen]byte
	off := (c.RIP + c.R[x86.RSeg+x86.CS]) & pageMask
	c.R[x86.RPage] = c.RIP - off
	n := c.fetchBytes(buf[:])
	x := new(decode.Inst)
	err := decode.Decode(buf[:n], c.mode.decodeMode(), x)
	if errors.Is(err, decode.ErrTruncated) {
		c.fetchFault(n)
	}
	o := new(Op)
	c.makeOp(x, err, uint16(off), o)
	o.next = &Op{fn: opResync, off: uint16(off) + uint16(o.len)}
	c.stats.Instructions++
	return o
}
