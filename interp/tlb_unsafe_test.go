package interp

import (
	"slices"
	"testing"
	"unsafe"

	"hotblock/mmu"
	"hotblock/x86"
)

// valid lists the entries of a TLB that some address hits.
func (t *tlbSet) valid() (n int) {
	for i := range uint32(2 * tlbSize) {
		if t.hit(i) {
			n++
		}
	}
	return n
}

// hit reports whether some address hits entry n of info.
func (t *tlbSet) hit(n uint32) bool {
	h, i := t.half(n)
	return -h.ntag[i]>>12&(tlbSize-1) == i
}

// A page that was read and then written has two entries; after thousands of
// fills a flush left one of them behind.
func TestFlushAfterManyFills(t *testing.T) {
	s := new(tlbSet)
	s.init()
	var page [mmu.PageSize]byte
	host := unsafe.Pointer(&page[0])
	for i := range uint64(20_000) {
		va := i * 7919 % 5000 << 12
		tr := &mmu.Translation{PageSize: mmu.PageSize, Global: i%5 == 0}
		s.fill(va, false, tr, host)
		s.fill(va, true, tr, host)
	}
	s.flush(false)
	for n := range uint32(2 * tlbSize) {
		if s.hit(n) && !s.info[n].global {
			t.Fatalf("entry %d outlived a flush", n)
		}
	}
	s.flush(true)
	if n := s.valid(); n != 0 {
		t.Errorf("%d entries outlived a flush of all", n)
	}
}

// INVLPG dropped only 4 KiB of a large page.
func TestFlushPageDropsLargePage(t *testing.T) {
	var page [mmu.PageSize]byte
	host := unsafe.Pointer(&page[0])
	for _, size := range []uint64{2 << 20, 4 << 20, 1 << 30} {
		s := new(tlbSet)
		s.init()
		base := uint64(0xffff888000000000)
		other := base + size
		tr := &mmu.Translation{PageSize: size}
		s.fill(base, false, tr, host)
		s.fill(base+0x5000, true, tr, host)
		s.fill(base+size-0x1000, false, tr, host)
		s.fill(other+0x7000, false, tr, host)
		s.flushPage(base + 0x3000)
		if n := s.valid(); n != 1 {
			t.Errorf("page of %#x bytes: %d entries are left, want the one of the next page", size, n)
		}
		if _, ok := s.load(other+0x7000, 8); !ok {
			t.Errorf("page of %#x bytes: its neighbour was dropped", size)
		}
	}
}

// RunSteps never looked at an interrupt again that had waited for STI's shadow.
func TestRunStepsInterruptAfterShadow(t *testing.T) {
	m := newRandomMachine(t)
	c := m.cpu
	code := []byte{0xfb, 0x90, 0x90, 0x90, 0x90} // sti; nops
	copy(m.ram.Bytes[0x1000:], code)
	m.ram.Bytes[0x40*4+1] = 0x20 // vector 0x40 at 0:0x2000
	m.ram.Bytes[0x2000] = 0xf4
	c.Int = onePending{new(bool)}
	c.setSeg(x86.CS, segmentAt(0))
	c.RIP = 0x1000
	c.R[x86.RSP] = 0x8000
	c.Refresh()
	for range 8 {
		c.RunSteps(1)
	}
	if !c.Halted {
		t.Fatalf("the interrupt was not taken: RIP %#x", c.RIP)
	}
	if ret := uint64(m.ram.Bytes[0x7ffa]) | uint64(m.ram.Bytes[0x7ffb])<<8; ret != 0x1002 {
		t.Errorf("the interrupt came before %#x, want 0x1002: one instruction after STI", ret)
	}
}

// onePending is an interrupt controller with vector 0x40 pending, once.
type onePending struct{ taken *bool }

func (o onePending) HasInterrupt() bool { return !*o.taken }
func (o onePending) Ack() (uint8, bool) {
	was := *o.taken
	*o.taken = true
	return 0x40, !was
}
func (o onePending) ReadMSR(uint32) (uint64, bool) { return 0, false }
func (o onePending) WriteMSR(uint32, uint64) bool  { return false }
func (o onePending) TPR() uint8                    { return 0 }
func (o onePending) SetTPR(uint8)                  {}

func segmentAt(base uint64) x86.Segment {
	return x86.Segment{Base: base, Limit: 0xffff, Attr: x86.SegP | x86.SegS | x86.SegCode | x86.SegWritable | x86.SegAccessed}
}

// writable lists the pages, by number, that a TLB holds for writing.
func (t *tlbSet) writable(pages ...uint64) (held []uint64) {
	for _, p := range pages {
		if -t.w.ntag[p&(tlbSize-1)] == p<<12 {
			held = append(held, p)
		}
	}
	return held
}

// Pages around one of the same large page are entered with it, with the addresses that they
// have. Those with code are not, and what becomes code is taken out, at all its addresses.
func TestLargePageIsEnteredAround(t *testing.T) {
	c := newRandomMachine(t).cpu
	set := &c.sh.tlbs[tlbSupervisor]
	const pa, base = 0x10000, uint64(0xffff888000000000)
	pages := func(va uint64) (n []uint64) {
		for i := range uint64(aroundPages + 2) {
			n = append(n, va>>12+i-1)
		}
		return n
	}
	code := c.page(c.Mem.Find(pa+0x2000), pa+0x2000)
	c.markCode(code)
	enter := func(va uint64, size uint64, global bool) {
		at := pa + va&0xffff
		c.fillFrom(set, va, true, &mmu.Translation{PA: at, PageSize: size, Global: global}, c.placeOf(at))
	}
	va := base + pa
	enter(va+0x3000, 2<<20, true)
	if got := set.writable(pages(va)...); len(got) != aroundPages-1 || slices.Contains(got, va>>12+2) || got[0] != va>>12 {
		t.Fatalf("the TLB holds pages %#x, want %d from %#x on but for %#x", got, aroundPages, va>>12, va>>12+2)
	}
	for i := range uint64(aroundPages) {
		if i != 2 && !set.store(va+i<<12+8, 8, i+1) {
			t.Fatalf("page %d cannot be stored to", i)
		}
		if v := c.Mem.ReadUint(pa+i<<12+8, 8); i != 2 && v != i+1 {
			t.Errorf("a store to page %d wrote another: %#x", i, v)
		}
	}
	// The second address of a page, and the code on it.
	second := base + 1<<30 + 0x50000
	enter(second+0x4000, mmu.PageSize, true)
	if got := set.writable(pages(second)...); len(got) != 1 {
		t.Errorf("around a small page: %#x", got)
	}
	for _, at := range []uint64{pa + 0x4000, pa + 0x5000} {
		c.markCode(c.page(c.Mem.Find(at), at))
	}
	if got := set.writable(va>>12+4, va>>12+5, second>>12+4); len(got) != 0 {
		t.Errorf("pages with code may be written: %#x", got)
	}
	if got := set.writable(pages(va)...); len(got) != aroundPages-3 {
		t.Errorf("%#x are left, want %d pages", got, aroundPages-3)
	}
	set.flush(true)
	enter(va, 2<<20, false)
	if got := set.writable(pages(va)...); len(got) != 1 {
		t.Errorf("around a page that is not global: %#x", got)
	}
}
