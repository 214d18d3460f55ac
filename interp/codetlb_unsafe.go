package interp

// The TLB for stores to pages with code: see smc.go.

import (
	"unsafe"

	"hotblock/mmu"
)

// CodeTLBBits is the number of bits of an index into a TLB for pages with code.
const CodeTLBBits = 8

const codeTLBSize = 1 << CodeTLBBits

// A codeTLB has entries like those of a tlbHalf, and for each the address of the
// page's usedMap, which is kept by the page's codePage: when those go, the TLB is
// flushed.
type codeTLB struct {
	ntag [codeTLBSize]uint64
	add  [codeTLBSize]uint64
	used [codeTLBSize]uint64
	any  bool // there may be entries
}

// flush empties the TLB. The tags of empty entries are those of pages that other
// entries hold.
func (t *codeTLB) flush() {
	if !t.any {
		return
	}
	t.any = false
	for i := range t.ntag {
		t.ntag[i] = 1 << 12
	}
	t.ntag[codeTLBSize-1] = ^uint64(1<<12 - 1)
}

// has reports whether there is an entry for the page of va.
func (t *codeTLB) has(va uint64) bool {
	return t.any && va+t.ntag[va>>12&(codeTLBSize-1)] < mmu.PageSize
}

// store writes size bytes that lie in one page, if it is there and code was made of
// none of them.
func (t *codeTLB) store(va uint64, size uint, v uint64) bool {
	if !t.has(va) {
		return false
	}
	i := va >> 12 & (codeTLBSize - 1)
	off := uint32(va + t.ntag[i])
	if (*usedMap)(*(*unsafe.Pointer)(unsafe.Pointer(&t.used[i]))).any(off, off+uint32(size)) {
		return false
	}
	storeBytes(unsafe.Add(hostPtr(nil), va+t.add[i]), size, v)
	return true
}

// fillCodeTLB enters a page with code.
func (c *CPU) fillCodeTLB(set *tlbSet, page uint64, key pageKey, host hostPtr) {
	for m := range c.code {
		p := c.code[m][key]
		if p == nil {
			continue
		}
		t := &set.code
		i := page >> 12 & (codeTLBSize - 1)
		t.ntag[i], t.add[i], t.used[i] = -page, addend(page, host), uint64(uintptr(unsafe.Pointer(p.used)))
		t.any = true
		return
	}
}

// flushCodeTLBs empties all of them.
func (c *CPU) flushCodeTLBs() {
	for i := range c.sh.tlbs {
		c.sh.tlbs[i].code.flush()
	}
}
