package interp

// TLBs and the slow side of memory access.
//
// A data TLB is two direct-mapped halves, for reads and for writes. An entry is
// the negated linear address of a page and what to add to a linear address to
// have the host's; one comparison finds both a hit and an access that leaves the
// page:
//
//	off := va + ntag; off <= 4096-size
//
// What may not be accessed directly has no entry at all and takes the slow path
// every time: MMIO, ROM and pages with decoded code for writing, pages with data
// breakpoints. There is a TLB for each kind of access, so that privilege and SMAP
// are not looked at on a hit: supervisor under SMAP, user, supervisor without
// SMAP, and one that is never filled, for CPL 3 code that checks alignment.
//
// TLBs are off the Go heap, in CPU.sh, where generated code finds them too. They
// are large because an entry is free until it is used, and the index is 16 bits
// because MOVZX is the one way to cut a field out of a register that leaves the
// flags alone.
//
// Entries that were filled are listed, so that a flush touches only those. A page that
// becomes code has to leave the write TLBs; for each page there is a note of the entry
// that it is in (writers), so that the lists need not be searched for it.

import (
	"math/bits"

	"hotblock/mmu"
	"hotblock/x86"
)

const (
	tlbBits = 16
	tlbSize = 1 << tlbBits
)

// A tlbHalf serves one kind of access. A host address is a number here: guest
// memory is not the collector's.
type tlbHalf struct {
	ntag [tlbSize]uint64 // minus the linear address of the page
	add  [tlbSize]uint64 // host address minus linear address
}

type tlbSet struct {
	r, w tlbHalf
	code codeTLB // for writing to pages with code
	// What is known of each entry beside: of r first, then of w.
	info [2 * tlbSize]tlbInfo
	// Lists of the entries that may be valid: of pages that are not global, and of
	// global ones. An entry may be in the wrong one too.
	filled [2]tlbList
	limit  int // of the length of a list, or 0: see SetTLBSize
	large  largePages
	clock  uint16 // CPU.spaceClock, for credits
}

// shared is what generated code may address beside its own: it holds no Go
// pointers. A new one is zero.
type shared struct {
	native [NativeSize]byte // the translator's own
	tlbs   [4]tlbSet
}

// largePages says where a TLB may hold pieces of large pages, so that INVLPG of a
// small page does not have to look at every entry: a bit for each 2 MiB of address
// space, modulo 128 GiB. The bits stay until all is flushed.
type largePages struct {
	at   [1024]uint64
	any  bool
	last uint64 // what add was called for last: the page's number, and shift
}

// add notes a piece at va of a page of 1<<shift bytes.
func (l *largePages) add(va uint64, shift uint8) {
	if shift <= 12 || l.any && l.last == va>>shift<<8|uint64(shift) {
		return
	}
	l.any, l.last = true, va>>shift<<8|uint64(shift)
	n := uint64(1) << (shift - 21) // 2 MiB, 4 MiB or 1 GiB
	for i := va >> 21 &^ (n - 1); n > 0; i, n = i+1, n-1 {
		l.at[i>>6&1023] |= 1 << (i & 63)
	}
}

// has reports whether a large page may hold va.
func (l *largePages) has(va uint64) bool {
	i := va >> 21
	return l.at[i>>6&1023]>>(i&63)&1 != 0
}

// clear forgets all.
func (l *largePages) clear() {
	if l.any {
		*l = largePages{}
	}
}

// A tlbList lists entries as indices into info.
type tlbList struct {
	n   [2 * tlbSize]uint32
	len int
}

type tlbInfo struct {
	listed uint8 // which lists it is in: a bit for each
	global bool
	shift  uint8 // log2 of the size of the guest's page
	credit Credit
}

// Indices into CPU.tlbs.
const (
	tlbSupervisor = iota // SMAP in force
	tlbUser
	tlbNoSMAP // supervisor, user pages accessible
	tlbChecked
)

// init makes a set of zeroes empty. A zero entry matches the page at linear
// address 0, which only entry 0 is asked for, and the last bytes of the address
// space if an access wraps around it, for which the last entry is asked.
func (t *tlbSet) init() {
	for _, h := range []*tlbHalf{&t.r, &t.w} {
		h.ntag[0], h.ntag[tlbSize-1] = tlbInvalid(0), tlbInvalid(tlbSize-1)
	}
	t.code.any = true
	t.code.flush()
}

// tlbInvalid is a tag for entry i that no address which selects entry i hits.
func tlbInvalid(i uint64) uint64 {
	switch i {
	case 0:
		return 1 << 12
	case tlbSize - 1:
		return ^uint64(1<<12 - 1)
	}
	return 0
}

// half returns the half that holds entry n of info, and its index there.
func (t *tlbSet) half(n uint32) (*tlbHalf, uint64) {
	if n < tlbSize {
		return &t.r, uint64(n)
	}
	return &t.w, uint64(n - tlbSize)
}

func (t *tlbSet) invalidate(n uint32) {
	h, i := t.half(n)
	h.ntag[i] = tlbInvalid(i)
}

func (t *tlbSet) flush(all bool) {
	t.code.flush()
	lists := t.filled[:1]
	if all {
		lists = t.filled[:]
	}
	for i := range lists {
		l := &lists[i]
		for _, n := range l.n[:l.len] {
			t.info[n].listed &^= 1 << i
			if all || !t.info[n].global {
				t.invalidate(n)
			}
		}
		l.len = 0
	}
	if all {
		t.large.clear()
	}
}

// flushPage drops the page that holds va, of whatever size it is: one INVLPG
// invalidates all of a large page (SDM volume 3, 4.10.4.1).
func (t *tlbSet) flushPage(va uint64) {
	t.code.flush()
	i := va >> 12 & (tlbSize - 1)
	for _, h := range []*tlbHalf{&t.r, &t.w} {
		if va+h.ntag[i] < mmu.PageSize {
			h.ntag[i] = tlbInvalid(i)
		}
	}
	if !t.large.has(va) {
		return
	}
	for k := range t.filled {
		l := &t.filled[k]
		for _, n := range l.n[:l.len] {
			h, i := t.half(n)
			if s := t.info[n].shift; s > 12 && (-h.ntag[i]^va)>>s == 0 {
				t.invalidate(n)
			}
		}
	}
}

// dropHostWrites removes write entries that point at a page of host memory.
func (t *tlbSet) dropHostWrites(host hostPtr) {
	for k := range t.filled {
		l := &t.filled[k]
		for _, n := range l.n[:l.len] {
			if n >= tlbSize {
				t.dropHostWrite(uint64(n-tlbSize), host)
			}
		}
	}
}

// dropHostWrite removes write entry i if it points at a page of host memory.
func (t *tlbSet) dropHostWrite(i uint64, host hostPtr) {
	if page := -t.w.ntag[i]; t.w.add[i] == addend(page, host) {
		t.w.ntag[i] = tlbInvalid(i)
	}
}

// writers says for each page of a block in which entries of the write TLBs it may be: most
// pages that become code have been written through one linear address or two, if any. It is two of
// writer's numbers, the second in the upper half, or 0 for none, or manyWriters.
type writers []uint64

const manyWriters = ^uint64(0)

// writer is the number for entry i of the write half of a TLB: the entry below a set of TLBs, in bits.
func (c *CPU) writer(set *tlbSet, i uint64) uint32 {
	n := uint32(1) << tlbBits
	for k := 0; set != &c.sh.tlbs[k]; k++ {
		n <<= 1
	}
	return n + uint32(i)
}

// writersOf returns those of a block.
func (c *CPU) writersOf(b *mmu.Block) writers {
	if c.lastBlock != b {
		w := c.writers[b]
		if w == nil {
			w = make(writers, len(b.Bytes)/mmu.PageSize)
			c.writers[b] = w
		}
		c.lastBlock, c.lastWriters = b, w
	}
	return c.lastWriters
}

// noteWriter notes that the page at linear address va has been entered into a write
// TLB; it is the one at off of a block.
func (c *CPU) noteWriter(set *tlbSet, va uint64, b *mmu.Block, off uint64) {
	w, n := &c.writersOf(b)[off/mmu.PageSize], c.writer(set, va>>12&(tlbSize-1))
	switch first, second := uint32(*w), uint32(*w>>32); {
	case *w == manyWriters:
	case first == 0 || (first^n)&(tlbSize-1) == 0: // the same address in another TLB, as a rule
		*w |= uint64(n)
	case second == 0 || (second^n)&(tlbSize-1) == 0:
		*w |= uint64(n) << 32
	default:
		*w = manyWriters
	}
}

// dropWriters removes a page of code from the write TLBs.
func (c *CPU) dropWriters(p *codePage) {
	w, host := &c.writersOf(p.key.blk)[p.key.off/mmu.PageSize], pageStart(p.bytes)
	many := *w == manyWriters
	for i := range c.sh.tlbs {
		switch set := &c.sh.tlbs[i]; {
		case many:
			set.dropHostWrites(host)
		default:
			for _, n := range [...]uint32{uint32(*w), uint32(*w >> 32)} {
				if n>>tlbBits>>i&1 != 0 {
					set.dropHostWrite(uint64(n&(tlbSize-1)), host)
				}
			}
		}
	}
	*w = 0
}

func (t *tlbSet) fill(page uint64, write bool, tr *mmu.Translation, host hostPtr) {
	if t.limit != 0 && t.filled[0].len+t.filled[1].len >= t.limit {
		t.flush(true)
	}
	n := uint32(page >> 12 & (tlbSize - 1))
	if write {
		n += tlbSize
	}
	t.info[n].credit.Missed(t.clock)
	t.put(n, -page, addend(page, host), tr.Global, uint8(bits.TrailingZeros64(tr.PageSize)))
}

// put sets an entry.
func (t *tlbSet) put(n uint32, ntag, add uint64, global bool, shift uint8) {
	h, i := t.half(n)
	h.ntag[i], h.add[i] = ntag, add
	info := &t.info[n]
	info.global, info.shift = global, shift
	t.large.add(-ntag, shift)
	k := 0
	if global {
		k = 1
	}
	if info.listed>>k&1 == 0 {
		info.listed |= 1 << k
		l := &t.filled[k]
		l.n[l.len] = n
		l.len++
	}
}

// A fetchTLB maps linear pages to decoded code. Its entries carry a number of the
// address space that they are for, so that those of several are there at a time.
type fetchTLB struct {
	e     [fetchSize]fetchEntry
	large largePages
	space uint64 // the number of the current one: see CPU.newSpace
}

const fetchSize = 512

type fetchEntry struct {
	tag   uint64 // linear page, and the number of its space, or 0 for a global page; or noFetch
	page  *codePage
	shift uint8 // log2 of the size of the guest's page
}

// noFetch is the tag of an empty entry, in a space that there is not.
const noFetch = firstSpace - 1

// find returns the entry of the page at va, or nil.
func (t *fetchTLB) find(va uint64) *fetchEntry {
	e := &t.e[va>>12&(fetchSize-1)]
	if d := e.tag ^ va&^pageMask; d == 0 || d == t.space {
		return e
	}
	return nil
}

// fill enters the page at va.
func (t *fetchTLB) fill(va uint64, p *codePage, global bool, shift uint8) {
	tag := va &^ pageMask
	if !global {
		tag |= t.space
	}
	t.e[va>>12&(fetchSize-1)] = fetchEntry{tag, p, shift}
	t.large.add(va, shift)
}

// flushPage drops the page at va, of whatever size it is.
func (t *fetchTLB) flushPage(va uint64) {
	if e := t.find(va); e != nil {
		e.tag = noFetch
	}
	if !t.large.has(va) {
		return
	}
	for i := range t.e {
		if e := &t.e[i]; e.shift > 12 && (e.tag^va)>>e.shift == 0 {
			e.tag, e.shift = noFetch, 0
		}
	}
}

func (t *fetchTLB) init() {
	for i := range t.e {
		t.e[i] = fetchEntry{tag: noFetch}
	}
	t.large.clear()
}

// flushTLB drops all translations; with all false global pages may stay.
func (c *CPU) flushTLB(all bool) {
	c.stats.Flushes++
	c.flushed(all)
	for i := range c.sh.tlbs {
		c.sh.tlbs[i].flush(all)
	}
	if all {
		c.dropSpaces()
		for i := range c.its {
			c.its[i].init()
		}
	}
	c.newSpace()
}

// SetTLBSize limits how many translations each TLB holds, so that tests see many
// misses; 0 takes the limit away.
func (c *CPU) SetTLBSize(n int) {
	for i := range c.sh.tlbs {
		c.sh.tlbs[i].limit = n
		c.sh.tlbs[i].flush(true)
	}
}

// flushPage drops the translations of one page.
func (c *CPU) flushPage(va uint64) {
	for i := range c.sh.tlbs {
		c.sh.tlbs[i].flushPage(va)
	}
	if c.tr != nil {
		c.tr.FlushPage(va, c.its[0].large.has(va) || c.its[1].large.has(va))
	}
	for i := range c.its {
		c.its[i].flushPage(va)
	}
}

// updatePaging recomputes what depends on CR0, CR3, CR4, EFER, CPL and
// EFLAGS.AC. It drops no translations.
func (c *CPU) updatePaging() {
	p := &c.paging
	p.Form = mmu.NoPaging
	if c.CR0&x86.CR0PG != 0 {
		switch {
		case c.EFER&x86.EFERLMA != 0:
			p.Form = mmu.Paging4
		case c.CR4&x86.CR4PAE != 0:
			p.Form = mmu.PagingPAE
		default:
			p.Form = mmu.Paging32
		}
	}
	p.CR3 = c.CR3
	p.WP = c.CR0&x86.CR0WP != 0
	p.NXE = c.EFER&x86.EFERNXE != 0
	p.PSE = c.CR4&x86.CR4PSE != 0
	p.GB = c.Model.Has("pdpe1gb")
	p.SMEP = c.CR4&x86.CR4SMEP != 0
	p.SMAP = c.CR4&x86.CR4SMAP != 0
	p.PGE = c.CR4&x86.CR4PGE != 0
	p.PhysBits = x86.PhysBits
	p.SetAccessedDirty = true
	c.updatePrivilege()
}

// updatePrivilege selects the TLBs for the current CPL, SMAP and alignment-check
// state. It must follow every change of CPL, EFLAGS.AC, CR0.AM and CR4.SMAP.
func (c *CPU) updatePrivilege() {
	ac := c.Flags&x86.FlagAC != 0
	c.paging.AC = ac
	i := tlbUser
	c.it = &c.its[1]
	switch {
	case c.CPL < 3:
		c.it = &c.its[0]
		i = tlbNoSMAP
		if c.CR4&x86.CR4SMAP != 0 && !ac {
			i = tlbSupervisor
		}
	case ac && c.CR0&x86.CR0AM != 0:
		i = tlbChecked
	}
	if c.rehearsal != nil {
		i = tlbChecked // the one that is never filled
	}
	c.tlb = &c.sh.tlbs[i]
	if c.limited {
		c.it = &c.its[2]
	}
}

// checksAlignment reports whether data accesses raise #AC.
func (c *CPU) checksAlignment() bool {
	return c.tlb == &c.sh.tlbs[tlbChecked] && c.rehearsal == nil
}

func canonical(va uint64) bool { return uint64(int64(va)<<(64-x86.LinBits)>>(64-x86.LinBits)) == va }

// checkCanonical raises #GP(0), or #SS(0) for an access through SS.
func (c *CPU) checkCanonical(o *Op, va uint64) {
	if c.long && !canonical(va) {
		if o.seg == x86.SS {
			c.raise(o, x86.ExcSS, 0)
		}
		c.raise(o, x86.ExcGP, 0)
	}
}

// place is where an access goes: host memory if host is not nil, else a device
// or nothing.
type place struct {
	host hostPtr // of the byte itself
	pa   uint64
	rgn  *mmu.Region
	dev  mmu.MMIO
	off  uint64 // in dev
}

// plus is the place n bytes further on, in the same page.
func (p place) plus(n uint64) place {
	p.pa += n
	p.off += n
	if p.host != nil {
		p.host = hostAdd(p.host, n)
	}
	return p
}

// resolve translates an access that lies in one page, with all checks; a fault
// is raised with the context of o. It fills the TLB where the page may be
// accessed directly.
func (c *CPU) resolve(o *Op, va uint64, size uint, acc mmu.Access) place {
	c.checkCanonical(o, va)
	if c.CPL == 3 {
		acc |= mmu.User
		if c.checksAlignment() && size > 1 && size <= 8 && va&uint64(size-1) != 0 && acc&mmu.Implicit == 0 {
			c.raise(o, x86.ExcAC, 0)
		}
	}
	if acc&mmu.Implicit != 0 {
		acc &^= mmu.User
	}
	c.stats.TLBMisses++
	t, code, ok := c.Mem.Walk(&c.paging, va, acc)
	if !ok {
		c.raisePF(o, va, code)
	}
	t.PA &= c.physMask
	p := c.placeOf(t.PA)
	if c.rehearsal != nil {
		c.rehearse(va, size, acc, p)
		return p
	}
	watched := false
	if c.DR[7]&0xff != 0 {
		watched = c.checkDataBreakpoint(va, size, acc)
	}
	set := c.tlb
	if acc&mmu.Implicit != 0 {
		set = c.sysTLB()
	}
	if p.host != nil && !watched && set != &c.sh.tlbs[tlbChecked] {
		c.fillFrom(set, va, acc&mmu.Write != 0, &t, p)
	}
	return p
}

// placeOf finds what is at a physical address.
func (c *CPU) placeOf(pa uint64) place {
	if c.LocalIO != nil && pa>>12 == c.apicHi {
		if d := c.LocalIO(pa &^ (mmu.PageSize - 1)); d != nil {
			return place{pa: pa, dev: d, off: pa & (mmu.PageSize - 1)}
		}
	}
	r := c.Mem.Find(pa)
	switch {
	case r == nil:
		return place{pa: pa}
	case r.Kind == mmu.IO:
		return place{pa: pa, rgn: r, dev: r.Dev, off: pa - r.Base}
	}
	return place{pa: pa, rgn: r, host: hostPointer(r, pa)}
}

// accessMask is the width of a linear address. Descriptor tables and task state
// segments have 64-bit addresses in compatibility mode too.
func (c *CPU) accessMask(acc mmu.Access) uint64 {
	if acc&mmu.Implicit != 0 && c.lma() {
		return ^uint64(0)
	}
	return c.linMask
}

// loadSlow is a load of 1, 2, 4 or 8 bytes that the TLB did not answer. intent
// adds the check that a store to the same place would pass.
func (c *CPU) loadSlow(o *Op, va uint64, size uint, acc mmu.Access) uint64 {
	mask := c.accessMask(acc)
	va &= mask
	if va&(mmu.PageSize-1)+uint64(size) > mmu.PageSize {
		if c.checksAlignment() && acc&mmu.Implicit == 0 {
			c.raise(o, x86.ExcAC, 0)
		}
		n := uint(mmu.PageSize - va&(mmu.PageSize-1))
		p := c.resolve(o, va, n, acc)
		q := c.resolve(o, (va+uint64(n))&mask, size-n, acc)
		return c.readPlace(p, n) | c.readPlace(q, size-n)<<(8*n)
	}
	return c.readPlace(c.resolve(o, va, size, acc), size)
}

// readPlace reads 1 to 8 bytes that lie in one page.
func (c *CPU) readPlace(p place, size uint) uint64 {
	switch {
	case p.host != nil:
		return loadBytes(p.host, size)
	case p.dev != nil:
		if size&(size-1) == 0 {
			return p.dev.ReadMMIO(p.off, int(size)) & (^uint64(0) >> (64 - 8*size))
		}
		var v uint64
		for i := range size {
			v |= p.dev.ReadMMIO(p.off+uint64(i), 1) & 0xff << (8 * i)
		}
		return v
	}
	c.Log.guestError("read of %d bytes at unassigned physical address %#x", size, p.pa)
	return ^uint64(0) >> (64 - 8*size)
}

func (c *CPU) storeSlow(o *Op, va uint64, size uint, v uint64, acc mmu.Access) {
	mask := c.accessMask(acc)
	va &= mask
	acc |= mmu.Write
	if va&(mmu.PageSize-1)+uint64(size) > mmu.PageSize {
		if c.checksAlignment() && acc&mmu.Implicit == 0 {
			c.raise(o, x86.ExcAC, 0)
		}
		n := uint(mmu.PageSize - va&(mmu.PageSize-1))
		p := c.resolve(o, va, n, acc)
		q := c.resolve(o, (va+uint64(n))&mask, size-n, acc)
		c.writePlace(p, n, v)
		c.writePlace(q, size-n, v>>(8*n))
		return
	}
	if acc == mmu.Write && c.tlb.code.store(va, size, v) {
		return
	}
	c.writePlace(c.resolve(o, va, size, acc), size, v)
}

func (c *CPU) writePlace(p place, size uint, v uint64) {
	switch {
	case p.host != nil:
		r := p.rgn
		if r.Kind == mmu.ROM {
			if r.WriteDev != nil {
				r.WriteDev.WriteMMIO(p.pa-r.Base, int(size), v&(^uint64(0)>>(64-8*size)))
				return
			}
			c.Log.guestError("write of %d bytes to ROM at %#x", size, p.pa)
			return
		}
		off := r.Off + p.pa - r.Base
		if r.Blk.SetFlags(off, mmu.PageDirty)&mmu.PageCode != 0 && c.NumCPUs == 1 {
			if v &= ^uint64(0) >> (64 - 8*size); loadBytes(p.host, size) == v {
				return // code stays what it is
			}
		}
		storeBytes(p.host, size, v)
		if r.Blk.Flags(off)&mmu.PageCode != 0 {
			c.wroteCode(r.Blk, off, uint64(size))
		}
	case p.dev != nil:
		if size&(size-1) == 0 {
			p.dev.WriteMMIO(p.off, int(size), v&(^uint64(0)>>(64-8*size)))
			return
		}
		for i := range size {
			p.dev.WriteMMIO(p.off+uint64(i), 1, v>>(8*i)&0xff)
		}
	default:
		c.Log.guestError("write of %d bytes at unassigned physical address %#x", size, p.pa)
	}
}

// probeWrite checks that a store of size bytes at va would not fault.
func (c *CPU) probeWrite(o *Op, va uint64, size uint) {
	va &= c.linMask
	if va&(mmu.PageSize-1)+uint64(size) > mmu.PageSize {
		n := uint(mmu.PageSize - va&(mmu.PageSize-1))
		c.probeWrite(o, va, n)
		c.probeWrite(o, va+uint64(n), size-n)
		return
	}
	if !c.writable(va) {
		c.resolve(o, va, size, mmu.Write)
	}
}

// probeRead checks that a load of size bytes at va would not fault.
func (c *CPU) probeRead(o *Op, va uint64, size uint) {
	va &= c.linMask
	if va&(mmu.PageSize-1)+uint64(size) > mmu.PageSize {
		n := uint(mmu.PageSize - va&(mmu.PageSize-1))
		c.probeRead(o, va, n)
		c.probeRead(o, va+uint64(n), size-n)
		return
	}
	c.resolve(o, va, size, 0)
}

// Reads and writes of system structures (descriptor tables, TSS), which are
// supervisor accesses at any CPL.

func (c *CPU) sysTLB() *tlbSet {
	if c.CR4&x86.CR4SMAP != 0 {
		return &c.sh.tlbs[tlbSupervisor]
	}
	return &c.sh.tlbs[tlbNoSMAP]
}

func (c *CPU) sysLoad(o *Op, va uint64, size uint) uint64 {
	if v, ok := c.sysTLB().load(va, size); ok {
		return v
	}
	return c.loadSlow(o, va, size, mmu.Implicit)
}

func (c *CPU) sysStore(o *Op, va uint64, size uint, v uint64) {
	if c.sysTLB().store(va, size, v) {
		return
	}
	c.storeSlow(o, va, size, v, mmu.Implicit)
}
