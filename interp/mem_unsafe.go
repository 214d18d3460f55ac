package interp

// Fast memory access.
//
// Every pointer here comes from a TLB entry or from hostPointer, both of which
// point into a page of an mmu.Block; the offset added to a TLB entry's pointer
// is checked against the page's end by the comparison that finds the hit.
// Blocks are never freed while a CPU runs.

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"hotblock/mmu"
)

const pageMask = mmu.PageSize - 1

// splitLock stands for the bus lock of locked accesses that are not aligned.
var splitLock sync.Mutex

// hostPtr points into the page of an mmu.Block.
type hostPtr = unsafe.Pointer

// at is the host's address of va, which entry i has been seen to hold.
func (h *tlbHalf) at(i, va uint64) hostPtr { return unsafe.Add(hostPtr(nil), va+h.add[i]) }

// addend is what an entry for the page at linear address page, whose host memory
// starts at host, adds to a linear address.
func addend(page uint64, host hostPtr) uint64 { return uint64(uintptr(host)) - page }

// newShared allocates what generated code may address, off the Go heap where the
// host has such memory: it holds no Go pointers, and guest memory that the TLBs
// point to is kept by the CPU's Mem.
func newShared(c *CPU) *shared {
	b, err := mmu.NewBlock("CPU", uint64(unsafe.Sizeof(shared{})))
	if err != nil {
		panic(err)
	}
	runtime.AddCleanup(c, func(b *mmu.Block) { b.Free() }, b)
	return (*shared)(unsafe.Pointer(unsafe.SliceData(b.Bytes)))
}

// pageStart is the address of a page of host memory.
func pageStart(page []byte) hostPtr { return unsafe.Pointer(unsafe.SliceData(page)) }

// pageOf is the start of the page that p, the host's address of va, lies in.
func pageOf(p hostPtr, va uint64) hostPtr { return unsafe.Add(p, -int(va&pageMask)) }

// hostAdd is the address n bytes behind p, which must be in the same page.
func hostAdd(p hostPtr, n uint64) hostPtr { return unsafe.Add(p, n) }

// hostPointer returns the host address of a physical address in a RAM or ROM
// region.
func hostPointer(r *mmu.Region, pa uint64) unsafe.Pointer {
	return unsafe.Pointer(&r.Host(pa)[pa&pageMask])
}

// bytesAt is the rest of the page from p on, which must point at offset off of
// a page.
func bytesAt(p unsafe.Pointer, off uint64) []byte {
	return unsafe.Slice((*byte)(p), mmu.PageSize-off)
}

// distance is how many bytes b starts after a in host memory; huge where it
// starts before it.
func distance(a, b []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(a))))
}

func loadBytes(p unsafe.Pointer, size uint) uint64 {
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(*(*uint32)(p))
	case 8:
		return *(*uint64)(p)
	}
	var v uint64
	for i := range size {
		v |= uint64(*(*uint8)(unsafe.Add(p, i))) << (8 * i)
	}
	return v
}

func storeBytes(p unsafe.Pointer, size uint, v uint64) {
	switch size {
	case 1:
		*(*uint8)(p) = uint8(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	case 4:
		*(*uint32)(p) = uint32(v)
	case 8:
		*(*uint64)(p) = v
	default:
		for i := range size {
			*(*uint8)(unsafe.Add(p, i)) = uint8(v >> (8 * i))
		}
	}
}

func (c *CPU) ld8(o *Op, va uint64) uint64 {
	t, i := &c.tlb.r, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off < mmu.PageSize {
		return uint64(*(*uint8)(t.at(i, va)))
	}
	return c.loadSlow(o, va, 1, 0)
}

func (c *CPU) ld16(o *Op, va uint64) uint64 {
	t, i := &c.tlb.r, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-2 {
		return uint64(*(*uint16)(t.at(i, va)))
	}
	return c.loadSlow(o, va, 2, 0)
}

func (c *CPU) ld32(o *Op, va uint64) uint64 {
	t, i := &c.tlb.r, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-4 {
		return uint64(*(*uint32)(t.at(i, va)))
	}
	return c.loadSlow(o, va, 4, 0)
}

func (c *CPU) ld64(o *Op, va uint64) uint64 {
	t, i := &c.tlb.r, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-8 {
		return *(*uint64)(t.at(i, va))
	}
	return c.loadSlow(o, va, 8, 0)
}

func (c *CPU) st8(o *Op, va, v uint64) {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off < mmu.PageSize {
		*(*uint8)(t.at(i, va)) = uint8(v)
		return
	}
	c.storeSlow(o, va, 1, v, 0)
}

func (c *CPU) st16(o *Op, va, v uint64) {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-2 {
		*(*uint16)(t.at(i, va)) = uint16(v)
		return
	}
	c.storeSlow(o, va, 2, v, 0)
}

func (c *CPU) st32(o *Op, va, v uint64) {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-4 {
		*(*uint32)(t.at(i, va)) = uint32(v)
		return
	}
	c.storeSlow(o, va, 4, v, 0)
}

func (c *CPU) st64(o *Op, va, v uint64) {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-8 {
		*(*uint64)(t.at(i, va)) = v
		return
	}
	c.storeSlow(o, va, 8, v, 0)
}

// ldw8, ldw32 and ldw64 load with the intent to store to the same place: they fault
// as the store would.
func (c *CPU) ldw8(o *Op, va uint64) uint64 {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off < mmu.PageSize {
		return uint64(*(*uint8)(t.at(i, va)))
	}
	return c.loadSlow(o, va, 1, mmu.Write)
}

func (c *CPU) ldw32(o *Op, va uint64) uint64 {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-4 {
		return uint64(*(*uint32)(t.at(i, va)))
	}
	return c.loadSlow(o, va, 4, mmu.Write)
}

func (c *CPU) ldw64(o *Op, va uint64) uint64 {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-8 {
		return *(*uint64)(t.at(i, va))
	}
	return c.loadSlow(o, va, 8, mmu.Write)
}

// load and store answer from the TLB alone, or report false.

func (t *tlbSet) load(va uint64, size uint) (uint64, bool) {
	h, i := &t.r, va>>12&(tlbSize-1)
	if off := va + h.ntag[i]; off <= mmu.PageSize-uint64(size) {
		return loadBytes(h.at(i, va), size), true
	}
	return 0, false
}

func (t *tlbSet) store(va uint64, size uint, v uint64) bool {
	h, i := &t.w, va>>12&(tlbSize-1)
	if off := va + h.ntag[i]; off <= mmu.PageSize-uint64(size) {
		storeBytes(h.at(i, va), size, v)
		return true
	}
	return false
}

// ld loads size (1, 2, 4 or 8) bytes.
func (c *CPU) ld(o *Op, va uint64, size uint8) uint64 {
	switch size {
	case 1:
		return c.ld8(o, va)
	case 2:
		return c.ld16(o, va)
	case 4:
		return c.ld32(o, va)
	}
	return c.ld64(o, va)
}

// ldw is ld with the intent to store.
func (c *CPU) ldw(o *Op, va uint64, size uint8) uint64 {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-uint64(size) {
		return loadBytes(t.at(i, va), uint(size))
	}
	return c.loadSlow(o, va, uint(size), mmu.Write)
}

// st stores size (1, 2, 4 or 8) bytes.
func (c *CPU) st(o *Op, va uint64, size uint8, v uint64) {
	switch size {
	case 1:
		c.st8(o, va, v)
	case 2:
		c.st16(o, va, v)
	case 4:
		c.st32(o, va, v)
	default:
		c.st64(o, va, v)
	}
}

// writable reports whether the write TLB holds va's page.
func (c *CPU) writable(va uint64) bool {
	return va+c.tlb.w.ntag[va>>12&(tlbSize-1)] < mmu.PageSize
}

// hostRead and hostWrite return the host memory from va to the end of its page,
// or nil when the access has to take the slow path. For writing it may end earlier:
// at a byte that code was made of.
func (c *CPU) hostRead(o *Op, va uint64) []byte {
	t, i := &c.tlb.r, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off < mmu.PageSize {
		return bytesAt(t.at(i, va), off)
	}
	return nil
}

func (c *CPU) hostWrite(o *Op, va uint64) []byte {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off < mmu.PageSize {
		return bytesAt(t.at(i, va), off)
	}
	return c.tlb.code.stretch(va)
}

// ld128 and st128 move 16 bytes; a store that crosses pages checks both first.
func (c *CPU) ld128(o *Op, va uint64) (lo, hi uint64) {
	t, i := &c.tlb.r, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-16 {
		p := t.at(i, va)
		return *(*uint64)(p), *(*uint64)(unsafe.Add(p, 8))
	}
	lo = c.ld64(o, va)
	return lo, c.ld64(o, va+8)
}

func (c *CPU) st128(o *Op, va, lo, hi uint64) {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-16 {
		p := t.at(i, va)
		*(*uint64)(p) = lo
		*(*uint64)(unsafe.Add(p, 8)) = hi
		return
	}
	c.probeWrite(o, va, 16)
	c.st64(o, va, lo)
	c.st64(o, va+8, hi)
}

// atomicUpdate replaces the size bytes at p by f of them, atomically with
// respect to all other CPUs, and returns the old value. p must not cross the end
// of its page. What is not naturally aligned takes a lock that other split
// accesses take as well, as silicon takes the bus lock.
func atomicUpdate(p unsafe.Pointer, size uint8, f func(old uint64) (new uint64)) (old uint64) {
	if uintptr(p)&uintptr(size-1) != 0 {
		splitLock.Lock()
		defer splitLock.Unlock()
		old = loadBytes(p, uint(size))
		storeBytes(p, uint(size), f(old))
		return old
	}
	switch size {
	case 8:
		for {
			old = atomic.LoadUint64((*uint64)(p))
			if atomic.CompareAndSwapUint64((*uint64)(p), old, f(old)) {
				return old
			}
		}
	case 4:
		for {
			o := atomic.LoadUint32((*uint32)(p))
			if atomic.CompareAndSwapUint32((*uint32)(p), o, uint32(f(uint64(o)))) {
				return uint64(o)
			}
		}
	}
	// One or two bytes: through the aligned word that holds them.
	sh := uint(uintptr(p)&3) * 8
	w := (*uint32)(unsafe.Add(p, -int(uintptr(p)&3)))
	m := uint32(1)<<(8*size) - 1
	for {
		o := atomic.LoadUint32(w)
		old = uint64(o >> sh & m)
		n := o&^(m<<sh) | uint32(f(old))&m<<sh
		if atomic.CompareAndSwapUint32(w, o, n) {
			return old
		}
	}
}
