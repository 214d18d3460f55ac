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
	t.invalidate(codeTLBSize - 1)
}

// invalidate empties an entry.
func (t *codeTLB) invalidate(i uint64) {
	t.ntag[i] = 1 << 12
	if i == codeTLBSize-1 {
		t.ntag[i] = ^uint64(1<<12 - 1)
	}
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

// stretch returns the host memory from va to the next byte that code was made of, or
// the end of the page; nil if there is none, or no entry.
func (t *codeTLB) stretch(va uint64) []byte {
	if !t.has(va) {
		return nil
	}
	i := va >> 12 & (codeTLBSize - 1)
	off := va + t.ntag[i]
	n := (*usedMap)(*(*unsafe.Pointer)(unsafe.Pointer(&t.used[i]))).next(uint32(off)) - uint32(off)
	if n == 0 {
		return nil
	}
	return bytesAt(unsafe.Add(hostPtr(nil), va+t.add[i]), off)[:n]
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

// dropCodeTLBs drops the entries of a page, which may be in the write TLBs from now on.
func (c *CPU) dropCodeTLBs(u *usedMap) {
	at := uint64(uintptr(unsafe.Pointer(u)))
	for k := range c.sh.tlbs {
		t := &c.sh.tlbs[k].code
		if !t.any {
			continue
		}
		for i := range t.used {
			if t.used[i] == at {
				t.used[i] = 0
				t.invalidate(uint64(i))
			}
		}
	}
}

// flushCodeTLBs empties all of them.
func (c *CPU) flushCodeTLBs() {
	for i := range c.sh.tlbs {
		c.sh.tlbs[i].code.flush()
	}
}
