package interp

// The interpreter's side of a translator: a second engine that runs hot basic
// blocks as host code, and hands whatever is rare back to the interpreter.
//
// The head of a block counts how often it is entered. When it is hot the
// translator is asked for the block; if it has one, the head's handler becomes
// opNative, which runs it. Translated code leaves with the State complete, at an
// instruction boundary, and the interpreter goes on there. So the interpreter
// raises all exceptions, takes all interrupts and does all I/O, and a translator
// does not have to cover what it does not find worth it.

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// NativeSize is the size in bytes of the memory that a CPU keeps for a
// translator's own use, beside its TLBs.
const NativeSize = 6 << 20

// A Translator runs blocks as host code. All methods but Poke are called on the
// CPU's goroutine.
type Translator interface {
	// Begin and End are called around a CPU's Run, on its goroutine.
	Begin()
	End()
	// Translate makes host code of the block, and returns what Run is to be
	// called with, or 0 if the block stays with the interpreter.
	Translate(b Block) (entry uint64)
	// Run executes host code from an entry on, with the CPU's State complete and
	// RIP at the entry's block. When it returns State is complete again. It may
	// panic as the interpreter's handlers do.
	Run(entry uint64)
	// Drop forgets what was made of a page whose code changed.
	Drop(p *CodePage)
	// Overwritten forgets what was made of the bytes from lo up to hi of a page. MarkUsed
	// calls MarkUsed of the page for what is left.
	Overwritten(p *CodePage, lo, hi uint32)
	MarkUsed(p *CodePage)
	// FlushTLB and FlushPage say that translations of linear addresses are stale:
	// all, all but global ones, or those of the page that holds va; large says that
	// it may be a large page.
	FlushTLB(all bool)
	FlushPage(va uint64, large bool)
	// Protect says that the page at off of a block has code from now on: stores to it
	// have to be seen.
	Protect(b *mmu.Block, off uint64)
	// LeaveSpace is called when the CPU leaves an address space, and returns what
	// EnterSpace is given when it comes back and nothing has changed there; nil if it
	// comes anew. Global pages stay. old is what an earlier call returned that is not
	// needed any more, for its memory, or nil; now is for Credits.
	LeaveSpace(old any, now uint16) any
	EnterSpace(saved any)
	// Poke says that the pending word was set. It may be called from any
	// goroutine.
	Poke()
}

// CodePage is a page of decoded code.
type CodePage = codePage

// Bytes is the page's memory.
func (p *codePage) Bytes() []byte { return p.bytes }

// MarkUsed says that bytes lo up to hi of the page have been translated, but for
// holes.
func (p *codePage) MarkUsed(lo, hi uint32, holes []Hole) { p.used.markBut(lo, hi, holes) }

// CodePageAt returns the page of code at linear address va, or nil where it
// cannot be executed or is no memory.
func (c *CPU) CodePageAt(va uint64) *CodePage {
	lin := va & c.linMask
	if c.long && !canonical(lin) {
		return nil
	}
	if e := c.it.find(lin); e != nil {
		return e.page
	}
	acc := mmu.Exec
	if c.CPL == 3 {
		acc |= mmu.User
	}
	t, _, ok := c.Mem.Walk(&c.paging, lin, acc)
	if !ok {
		return nil
	}
	pa := t.PA & c.physMask
	r := c.Mem.Find(pa)
	if r == nil || r.Kind == mmu.IO {
		return nil
	}
	return c.page(r, pa)
}

// MarkCode says that there is code of the page, so that writes to it are seen.
func (c *CPU) MarkCode(p *CodePage) { c.markCode(p) }

// Untranslate makes the block at off count again, after the translator has
// forgotten the entry that it gave for it.
func (p *codePage) Untranslate(off, entry uint64) {
	if o := p.head(off); o != nil && o.entry() == entry {
		o.disp, o.imm, o.fn = 0, 0, opHead
	}
}

// Lost is Untranslate for a block whose translation was written over: it has to be
// hotter to be translated again.
func (p *codePage) Lost(off, entry uint64) {
	if o := p.head(off); o != nil && entry != 0 && o.entry() == entry {
		o.lose()
		o.fn = opHead
	}
}

// Renew is Untranslate for a block that the translator is to be asked for again when it is next
// entered.
func (p *codePage) Renew(off, entry uint64) {
	if o := p.head(off); o != nil && entry != 0 && o.entry() == entry {
		o.disp, o.imm, o.fn = 0, math.MaxUint64>>1, opHead
	}
}

// Known says how often the block at off has been entered without a translation, and whether there is one
// of it for a variant.
func (p *codePage) Known(off uint64, v Variant) (entered uint64, translated bool) {
	o := p.head(off)
	if o == nil {
		return 0, false
	}
	return o.imm, o.entry() != 0 && o.variant == v
}

// Block is what a translator is asked for.
type Block struct {
	Page    *CodePage
	Off     uint64 // of the first instruction in the page, in bytes
	VA      uint64 // its linear address now
	Variant Variant
}

// Variant is what of the CPU's state translated code depends on. Code translated
// for one variant runs only while the CPU is in it. In all of them DF, TF, RF, VM and
// debug registers are inactive, the CPL is 0 or 3, and segments but FS and GS are
// flat. CR4's FSGSBASE, OSXSAVE and SMAP and EFER.SCE do not change either: when they
// do all code is dropped.
type Variant uint8

// Values of the part of a Variant that is the index of the TLB.
const (
	TLBSupervisor Variant = tlbSupervisor // CPL 0, SMAP in force
	TLBUser       Variant = tlbUser
	TLBNoSMAP     Variant = tlbNoSMAP // CPL 0, user pages accessible
)

// Parts of a Variant.
const (
	VariantTLB   Variant = 3      // index of the TLB
	Variant64    Variant = 1 << 2 // 64-bit code; else 32-bit
	VariantLarge Variant = 1 << 3 // the code's page is a large one, of at least 2 MiB
	VariantUser  Variant = 1 << 4 // CPL 3
	VariantFS    Variant = 1 << 5 // in 32-bit code, FS has no limit and may be written
	VariantGS    Variant = 1 << 6 // the same of GS

	// VariantWindow says that the translator wants 64-bit code of CPL 3 apart from other such
	// code: see CPU.SetWindow.
	VariantWindow Variant = 1 << 7
)

// Variant returns the variant of the CPU's state, without VariantLarge; ok is
// false where translated code may not run.
func (c *CPU) Variant() (v Variant, ok bool) {
	if c.mode == mode16 || c.CPL == 1 || c.CPL == 2 || c.Flags&(x86.FlagDF|x86.FlagTF|x86.FlagVM|x86.FlagRF) != 0 || c.dbActive || c.limited || c.tlb == &c.sh.tlbs[tlbChecked] {
		return 0, false
	}
	v = Variant(c.tlbIndex())
	if c.CPL == 3 {
		v |= VariantUser
	}
	if c.mode == mode64 {
		if c.window && c.CPL == 3 {
			v |= VariantWindow
		}
		return v | Variant64, true
	}
	for i := x86.ES; i <= x86.DS; i++ {
		if s := &c.Seg[i]; s.Base != 0 || s.Limit != 0xffffffff || s.Attr&(x86.SegCode|x86.SegDown) == x86.SegDown {
			return 0, false
		}
	}
	const plain = x86.SegP | x86.SegS | x86.SegWritable
	if c.Seg[x86.SS].Attr&(plain|x86.SegD) != plain|x86.SegD || c.Seg[x86.DS].Attr&(plain|x86.SegCode) != plain || c.Seg[x86.ES].Attr&(plain|x86.SegCode) != plain {
		return 0, false
	}
	for i, bit := range [2]Variant{VariantFS, VariantGS} {
		if s := &c.Seg[x86.FS+i]; s.Limit == 0xffffffff && s.Attr&(plain|x86.SegCode|x86.SegDown) == plain {
			v |= bit
		}
	}
	return v, true
}

func (c *CPU) tlbIndex() int {
	switch c.tlb {
	case &c.sh.tlbs[tlbSupervisor]:
		return tlbSupervisor
	case &c.sh.tlbs[tlbUser]:
		return tlbUser
	}
	return tlbNoSMAP
}

// SharedSize is the size in bytes of what translated code may address: the
// translator's own NativeSize bytes, then the TLBs.
const SharedSize = int(unsafe.Sizeof(shared{}))

// SetTranslator puts a translator beside the interpreter, for blocks that were
// entered threshold times (at least 1). mem is SharedSize bytes of zeroes that
// stay where they are and hold no Go pointers; pending is where in them the CPU's
// pending word is to be, which translated code polls, and waiting a word that is 1
// while an interrupt waits for IF and 0 while none does. It must be called before
// anything else knows the CPU.
func (c *CPU) SetTranslator(t Translator, threshold uint64, mem unsafe.Pointer, pending, waiting *uint32) {
	c.tr, c.hotAt, c.intWaiting = t, threshold, waiting
	c.pending = (*atomic.Uint32)(unsafe.Pointer(pending))
	c.sh = (*shared)(mem)
	for i := range c.sh.tlbs {
		c.sh.tlbs[i].init()
	}
	c.Refresh()
}

// A TLBLayout says where a TLB's halves are, in bytes from the start of the shared memory. Entry i of a
// half is a tag, 8 bytes at Tag + 8*i, and an addend, 8 bytes at Add + 8*i. Bits
// 12 to 12+TLBBits-1 of a linear address select an entry. It holds the address if
// address plus tag is the offset in the page; address plus addend is then the
// host's.
//
// A third half is for writing to pages with code. Its index has bits 12 to
// 12+CodeTLBBits-1 of the address, and beside the addend there is at CodeUsed the
// host address of a bit for each byte of the page, where those that code was made
// of are set; 8 bytes may be read from there behind the last.
type TLBLayout struct{ ReadTag, ReadAdd, WriteTag, WriteAdd, CodeTag, CodeAdd, CodeUsed uintptr }

// TLBBits is the number of bits of an index into a TLB.
const TLBBits = tlbBits

// TLB returns the layout of the TLB with an index of VariantTLB.
func TLB(index Variant) TLBLayout {
	base := unsafe.Offsetof(shared{}.tlbs) + uintptr(index)*unsafe.Sizeof(tlbSet{})
	r, w := base+unsafe.Offsetof(tlbSet{}.r), base+unsafe.Offsetof(tlbSet{}.w)
	add := unsafe.Offsetof(tlbHalf{}.add)
	code := base + unsafe.Offsetof(tlbSet{}.code)
	return TLBLayout{r, r + add, w, w + add, code + unsafe.Offsetof(codeTLB{}.ntag), code + unsafe.Offsetof(codeTLB{}.add), code + unsafe.Offsetof(codeTLB{}.used)}
}

// PrivilegeChanged tells the CPU that translated code changed State.CPL or
// EFLAGS.AC.
func (c *CPU) PrivilegeChanged() { c.updatePrivilege() }

// codeDependsOn drops all code if bits of a control register changed on which
// translated code depends.
func (c *CPU) codeDependsOn(changed uint64) {
	if changed != 0 && c.tr != nil {
		c.pending.Or(reqFlush)
	}
}

// FillTLB brings the page at linear address va into the current TLB, for reads
// or writes, if it is memory that may be accessed directly. Otherwise it returns
// false and changes nothing that the guest could see.
func (c *CPU) FillTLB(va uint64, write bool) bool {
	acc := mmu.Access(0)
	if write {
		acc = mmu.Write
	}
	if c.CPL == 3 {
		acc |= mmu.User
	}
	if c.long && !canonical(va) || c.DR[7]&0xff != 0 {
		return false
	}
	c.stats.TLBMisses++
	t, _, ok := c.Mem.Walk(&c.paging, va, acc)
	if !ok {
		return false
	}
	t.PA &= c.physMask
	p := c.placeOf(t.PA)
	if p.host == nil {
		return false
	}
	return c.fillFrom(c.tlb, va, write, &t, p)
}

// SetWindow makes Variant say VariantWindow of 64-bit code of CPL 3, or not.
func (c *CPU) SetWindow(on bool) { c.window = on }

// A DirectPage is host memory behind a page of the guest.
type DirectPage struct {
	Block *mmu.Block
	Off   uint64 // of the page in Block
	Write bool   // it may be written, too
	Size  uint64 // of the guest's page, of which it may be a part
}

// Direct finds the page at linear address va for a read or a write by CPL 3, if it is
// memory that may be accessed directly. Otherwise it returns false and changes
// nothing that the guest could see. With ahead, it is for an access that is only
// expected: false too where the accessed bit is not set.
func (c *CPU) Direct(va uint64, write, ahead bool) (p DirectPage, ok bool) {
	acc := mmu.User
	if write {
		acc |= mmu.Write
	}
	if !canonical(va) || c.DR[7]&0xff != 0 || c.NumCPUs > 1 {
		return p, false
	}
	paging := &c.paging
	if ahead {
		look := c.paging
		look.SetAccessedDirty = false
		paging = &look
	}
	t, _, ok := c.Mem.Walk(paging, va, acc)
	if !ok || ahead && !t.Accessed {
		return p, false
	}
	pa := t.PA & c.physMask
	at := c.placeOf(pa)
	if at.host == nil || at.rgn.Kind != mmu.RAM {
		return p, false
	}
	p = DirectPage{at.rgn.Blk, (at.rgn.Off + pa - at.rgn.Base) &^ pageMask, false, t.PageSize}
	if write || t.Writable && t.Dirty {
		p.Write = p.Block.SetFlags(p.Off, mmu.PageDirty|mmu.PageStored)&mmu.PageCode == 0
	}
	return p, p.Write || !write
}

// A PageLook answers Direct(va, false, true) for one address after another, quickest for those
// in the same 2 MiB, with one difference: a page may be written only where it has been,
// by a TLB or as Direct said. The guest must not run meanwhile.
type PageLook struct {
	c     *CPU
	at    uint64 // number of the 2 MiB that table is for
	table mmu.Table
	has   bool // there is a table
	slow  bool // Direct has to say
	rgn   *mmu.Region
}

// Look begins to look at pages.
func (c *CPU) Look() PageLook {
	return PageLook{c: c, at: ^uint64(0), slow: c.DR[7]&0xff != 0 || c.NumCPUs > 1}
}

// Direct is described above.
func (l *PageLook) Direct(va uint64) (p DirectPage, ok bool) {
	c := l.c
	if n := va >> 21; n != l.at {
		l.at = n
		l.has = false
		if !l.slow && canonical(va) {
			l.table, l.has = c.Mem.Table(&c.paging, va)
		}
	}
	if !l.has {
		return c.Direct(va, false, true)
	}
	const read, written = mmu.MayRead | mmu.WasAccessed, mmu.MayWrite | mmu.WasWritten
	pa, rights := l.table.Page(va)
	if rights&read != read {
		return p, false
	}
	pa &= c.physMask
	if c.LocalIO != nil && pa>>12 == c.apicHi {
		return c.Direct(va, false, true)
	}
	r := l.rgn
	if r == nil || pa-r.Base >= r.Size {
		if r = c.Mem.Find(pa); r == nil || r.Kind != mmu.RAM {
			return p, false
		}
		l.rgn = r
	}
	p = DirectPage{Block: r.Blk, Off: (r.Off + pa - r.Base) &^ pageMask, Size: l.table.PageSize}
	p.Write = rights&written == written && p.Block.Flags(p.Off)&(mmu.PageCode|mmu.PageStored) == mmu.PageStored
	return p, true
}

// look is a page walk that changes nothing.
func (c *CPU) look(va uint64, acc mmu.Access) (t mmu.Translation, ok bool) {
	p := c.paging
	p.SetAccessedDirty = false
	t, _, ok = c.Mem.Walk(&p, va, acc)
	return t, ok
}

// MapsProgram reports whether CPL 3 could execute a page of code at linear address va without
// a page walk that the guest can see.
func (c *CPU) MapsProgram(va uint64, p *CodePage) bool {
	t, ok := c.look(va, mmu.User|mmu.Exec)
	if !ok || !t.Accessed {
		return false
	}
	pa := t.PA & c.physMask
	r := c.Mem.Find(pa)
	return r != nil && r.Kind != mmu.IO && p.key == pageKey{r.Blk, (r.Off + pa - r.Base) &^ pageMask}
}

// InCodeTLB reports whether the current TLB holds the page at va as one with code
// that may be written.
func (c *CPU) InCodeTLB(va uint64) bool { return c.tlb.code.has(va) }

// Present reports whether an access by CPL 3 would not fault. It changes nothing.
func (c *CPU) Present(va uint64, write bool) bool {
	acc := mmu.User
	if write {
		acc |= mmu.Write
	}
	_, ok := c.look(va, acc)
	return canonical(va) && ok
}

// Peek reads 8 bytes of memory as CPL 3 would, if they are in one page of RAM. It changes nothing.
func (c *CPU) Peek(va uint64) (v uint64, ok bool) {
	t, ok := c.look(va, mmu.User)
	if !ok || !canonical(va) || va&pageMask > mmu.PageSize-8 {
		return 0, false
	}
	pa := t.PA & c.physMask
	r := c.Mem.Find(pa)
	if r == nil || r.Kind != mmu.RAM {
		return 0, false
	}
	return binary.LittleEndian.Uint64(r.Host(pa)[pa&pageMask:]), true
}

// Executes reports whether the CPU model has the features that an instruction
// needs, so that it is not undefined.
func (c *CPU) Executes(x *decode.Inst) bool {
	if c.runs == nil {
		c.runs = make([]bool, len(handlers))
		for op := range c.runs {
			h := &handlers[op]
			c.runs[op] = (h.fn != nil || h.vec != nil) && (h.feat == "" || c.Model.Has(h.feat))
		}
	}
	return c.runs[x.Op] && c.enabled(x.Feature)
}

// OpFeature is the CPUID feature that a mnemonic needs beside that of its
// encoding, or "".
func OpFeature(op decode.Op) string { return handlers[op].feat }

// DecodeMode is the size of the current code.
func (c *CPU) DecodeMode() decode.Mode { return c.mode.decodeMode() }

// SSEEnabled and AVXEnabled report whether SSE and VEX-encoded vector
// instructions can run without an exception for the state of the control
// registers.
func (c *CPU) SSEEnabled() bool { return c.vec&vecSSE != 0 }

// AVXEnabled is like SSEEnabled.
func (c *CPU) AVXEnabled() bool { return c.vec&vecAVX != 0 }

// ArithFlags computes the six status flags.
func (c *CPU) ArithFlags() uint64 { return c.flags() }

// SetArithFlags makes the six status flags those of f.
func (c *CPU) SetArithFlags(f uint64) { c.setFlags(f) }

// Attention reports whether something has to be looked at before the next
// instruction: a request, an interrupt shadow, HLT, a shutdown.
func (c *CPU) Attention() bool {
	return c.pending.Load() != 0 || c.recheck || c.Shadow || c.Halted || c.shutdown || c.dbTrap != 0
}

// Interpret executes the instruction at RIP and says what it was, if that is
// known. It panics where that faults.
func (c *CPU) Interpret() (what decode.Op) {
	op := c.single()
	if op.x != nil {
		what = op.x.Op
	}
	if next := op.fn(c, op); next != nil {
		c.RIP = c.ripAt(next.off)
	}
	return what
}

// Entry returns the entry of the block at RIP, or 0 where there is none for the
// CPU's present state or it is not at hand.
func (c *CPU) Entry() uint64 {
	o := c.goTo(c.RIP)
	if o == nil && c.refetch() {
		o = c.goTo(c.RIP)
	}
	if o == nil || o.entry() == 0 {
		return 0
	}
	v, ok := c.variantHere()
	if !ok || v != o.variant {
		return 0
	}
	return o.entry()
}

// refetch enters the page at RIP into the fetch TLB if it is not there, it may be executed and there
// is decoded code of it. It reports whether it did. Otherwise two pages that have the same
// entry, where code of one goes to code of the other, would never be found.
func (c *CPU) refetch() bool {
	lin := (c.RIP + c.R[x86.RSeg+x86.CS]) & c.linMask
	if c.it.find(lin) != nil || c.limited || c.long && !canonical(c.RIP) {
		return false
	}
	acc := mmu.Exec
	if c.CPL == 3 {
		acc |= mmu.User
	}
	t, _, ok := c.Mem.Walk(&c.paging, lin, acc)
	if !ok {
		return false
	}
	pa := t.PA & c.physMask
	r := c.Mem.Find(pa)
	if r == nil || r.Kind == mmu.IO {
		return false
	}
	p := c.code[c.mode][pageKey{r.Blk, (r.Off + pa - r.Base) &^ pageMask}]
	if p == nil {
		return false
	}
	c.it.fill(lin, p, t.Global, uint8(bits.TrailingZeros64(t.PageSize)))
	return true
}

// variantHere is Variant with VariantLarge as the page at RIP has it, which must
// be in the fetch TLB.
func (c *CPU) variantHere() (Variant, bool) {
	v, ok := c.Variant()
	if !ok {
		return 0, false
	}
	lin := (c.RIP + c.R[x86.RSeg+x86.CS]) & c.linMask
	e := c.it.find(lin)
	if e == nil {
		return 0, false
	}
	if e.shift >= 21 {
		v |= VariantLarge
	}
	return v, true
}

// Global reports whether the page at RIP, which must be in the fetch TLB, is the same
// in all address spaces.
func (c *CPU) Global() bool {
	lin := (c.RIP + c.R[x86.RSeg+x86.CS]) & c.linMask
	e := c.it.find(lin)
	return e != nil && e.tag&pageMask == 0
}

// heated is what the head of a block does when it has been entered hotAt times.
func (c *CPU) heated(o *Op) *Op {
	c.RIP = c.ripAt(o.off)
	v, ok := c.variantHere()
	if !ok {
		// Not now; perhaps when it is next looked up.
		o.imm = 0
		return o.next
	}
	lin := (c.RIP + c.R[x86.RSeg+x86.CS]) & c.linMask
	p := c.it.e[lin>>12&(fetchSize-1)].page
	if o.imm < c.hotAt<<o.dst {
		// Its code changes so often that translating it may not pay.
		c.stats.Instructions += uint64(o.n)
		return o.next
	}
	o.disp = c.tr.Translate(Block{p, lin & pageMask, lin, v})
	if o.entry() == 0 {
		o.fn = opHeadKept
		return o.next
	}
	if p.head(lin&pageMask) != o {
		return nil // all code was dropped to make room
	}
	o.variant = v
	o.fn = opNative
	c.tr.Run(o.entry())
	c.translated = true
	return nil
}

// opHeadKept is the head of a block that the translator leaves to the
// interpreter.
func opHeadKept(c *CPU, o *Op) *Op {
	if c.pending.Load() != 0 {
		c.RIP = c.ripAt(o.off)
		return nil
	}
	c.stats.Instructions += uint64(o.n)
	return o.next
}

// opNative begins a block that has been translated.
func opNative(c *CPU, o *Op) *Op {
	c.RIP = c.ripAt(o.off)
	if c.pending.Load() != 0 {
		return nil
	}
	v, ok := c.variantHere()
	if !ok {
		c.stats.Instructions += uint64(o.n)
		return o.next
	}
	if v != o.variant {
		return c.heated(o)
	}
	c.tr.Run(o.entry())
	c.translated = true
	return nil
}

// flushed tells the translator of a flush of the TLB.
func (c *CPU) flushed(all bool) {
	if c.tr != nil {
		c.tr.FlushTLB(all)
	}
}

// fillFrom enters a translation into a TLB where the page may be
// accessed directly, and reports whether it did.
func (c *CPU) fillFrom(set *tlbSet, va uint64, write bool, t *mmu.Translation, p place) bool {
	page := va &^ (mmu.PageSize - 1)
	base := pageOf(p.host, va)
	if !write {
		set.fill(page, false, t, base)
		c.fillAround(set, page, false, t, p)
		return true
	}
	if p.rgn.Kind != mmu.RAM {
		return false
	}
	off := p.rgn.Off + t.PA - p.rgn.Base
	if c.NumCPUs == 1 && p.rgn.Blk.Flags(off)&mmu.PageCode != 0 {
		p.rgn.Blk.SetFlags(off, mmu.PageDirty)
		c.fillCodeTLB(set, page, pageKey{p.rgn.Blk, off &^ pageMask}, base)
		return false
	}
	if p.rgn.Blk.SetFlags(off, mmu.PageDirty|mmu.PageStored)&mmu.PageCode != 0 {
		return false
	}
	set.fill(page, true, t, base)
	c.noteWriter(set, page, p.rgn.Blk, off)
	c.fillAround(set, page, true, t, p)
	return true
}

// aroundPages is how many pages are entered into a TLB together, as parts of one large page.
const aroundPages = 8

// fillAround enters what lies around a page that has just been entered, of the same large
// page, where there is nothing else in the TLB. Systems map all memory by
// large pages that are global, and use what follows what they have used.
func (c *CPU) fillAround(set *tlbSet, page uint64, write bool, t *mmu.Translation, p place) {
	if t.PageSize == mmu.PageSize || !t.Global || set.limit != 0 || c.NumCPUs > 1 || c.DR[7]&0xff != 0 {
		return
	}
	r := p.rgn
	const size = aroundPages * mmu.PageSize
	pa := t.PA &^ (size - 1)
	if pa < r.Base || r.Size-(pa-r.Base) < size || c.LocalIO != nil && (c.apicHi<<12^pa)&^(size-1) == 0 {
		return
	}
	h := &set.r
	if write {
		h = &set.w
	}
	host := hostPointer(r, pa)
	for i := range uint64(aroundPages) {
		off := i * mmu.PageSize
		va := page&^(size-1) + off
		n := va >> 12 & (tlbSize - 1)
		if h.ntag[n] != tlbInvalid(n) {
			continue
		}
		if at := r.Off + pa - r.Base + off; write {
			if r.Blk.Flags(at)&mmu.PageCode != 0 || r.Blk.SetFlags(at, mmu.PageDirty|mmu.PageStored)&mmu.PageCode != 0 {
				continue
			}
			c.noteWriter(set, va, r.Blk, at)
		}
		set.fill(va, write, t, hostAdd(host, off))
	}
}
