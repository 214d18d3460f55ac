package interp

import (
	"testing"
	"unsafe"

	"hotblock/mmu"
)

// TestTLBFlushForgetsNothing is for a bug: when the list of filled entries was
// compacted, the read entry of the page that was just being made writable fell
// out of it, and outlived every flush.
func TestTLBFlushForgetsNothing(t *testing.T) {
	var page [4096]byte
	host := unsafe.Pointer(&page)
	var s tlbSet
	s.init()
	tr := &mmu.Translation{PageSize: 4096}
	const va = 0x7000
	s.fill(va, false, tr, host)
	for i := range 5 * tlbSize {
		s.fill(uint64(i)<<22|0x1000, false, tr, host) // all in one slot
		if i > 3*tlbSize {
			s.fill(va, true, tr, host)
		}
	}
	s.flush(false)
	for i := range s.r {
		if s.r[i] != (tlbEntry{tag: tlbInvalid(i)}) || s.w[i] != (tlbEntry{tag: tlbInvalid(i)}) {
			t.Errorf("entry %d survives a flush: %#x, %#x", i, s.r[i].tag, s.w[i].tag)
		}
	}
}
