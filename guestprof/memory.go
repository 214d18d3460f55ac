package guestprof

import (
	"encoding/binary"

	"hotblock/mmu"
)

// view is guest memory by linear address in one address space. It reads RAM and
// ROM only, never a device. It remembers pages that it has found, so it is to be
// reset when mappings may have changed.
type view struct {
	mem    *mmu.Memory
	paging mmu.Paging
	// With KPTI, the tables of programs do not map the kernel, and those of the
	// kernel are in the page before.
	alt   mmu.Paging
	cache [64]viewPage
}

type viewPage struct {
	tag  uint64 // page address | 1, or 0
	page []byte // nil: not mapped
}

const pageSize = mmu.PageSize

// kptiBit is where the page tables of programs and of the kernel differ in CR3.
const kptiBit = 1 << 12

func (v *view) set(mem *mmu.Memory, p mmu.Paging) {
	v.mem, v.paging, v.alt = mem, p, p
	v.alt.CR3 ^= kptiBit
	clear(v.cache[:])
}

func kernelHalf(va uint64) bool { return va>>63 != 0 }

// page returns the bytes of the page that holds va, or nil.
func (v *view) page(va uint64) []byte {
	page := va &^ (pageSize - 1)
	c := &v.cache[page>>12&uint64(len(v.cache)-1)]
	if c.tag != page|1 {
		*c = viewPage{page | 1, nil}
		if b, _ := v.span(page); b != nil {
			c.page = b[:pageSize:pageSize]
		}
	}
	return c.page
}

// span returns the bytes of the mapping that holds page address va, from va to the
// mapping's end, or nil, and where they are in guest-physical memory.
func (v *view) span(va uint64) ([]byte, uint64) {
	if int64(va<<16)>>16 != int64(va) && v.paging.Form == mmu.Paging4 {
		return nil, 0
	}
	t, _, ok := v.mem.Walk(&v.paging, va, 0)
	if !ok && kernelHalf(va) && v.paging.Form == mmu.Paging4 {
		t, _, ok = v.mem.Walk(&v.alt, va, 0)
	}
	if !ok {
		return nil, 0
	}
	return physical(v.mem, t.PA, t.PageSize-va&(t.PageSize-1)), t.PA
}

// executable reports whether a program may execute the page at va.
func (v *view) executable(va uint64) bool {
	if int64(va<<16)>>16 != int64(va) {
		return false
	}
	_, _, ok := v.mem.Walk(&v.paging, va, mmu.Exec|mmu.User)
	return ok
}

// physical returns up to n bytes of guest-physical memory from page address pa on,
// at least a page, or nil where no memory is.
func physical(mem *mmu.Memory, pa, n uint64) []byte {
	r := mem.Find(pa)
	if r == nil || r.Kind == mmu.IO {
		return nil
	}
	off := pa - r.Base
	n = min(n, r.Size-off)
	return r.Blk.Bytes[r.Off+off : r.Off+off+n : r.Off+off+n]
}

// read fills p from va and reports whether all of it is mapped.
func (v *view) read(va uint64, p []byte) bool {
	for len(p) > 0 {
		b := v.page(va)
		if b == nil {
			return false
		}
		n := copy(p, b[va&(pageSize-1):])
		p = p[n:]
		va += uint64(n)
	}
	return true
}

// u64, u32 and so on read numbers; ok is false where they are not mapped.
func (v *view) u64(va uint64) (n uint64, ok bool) {
	if off := va & (pageSize - 1); off <= pageSize-8 {
		if b := v.page(va); b != nil {
			return binary.LittleEndian.Uint64(b[off:]), true
		}
		return 0, false
	}
	var b [8]byte
	ok = v.read(va, b[:])
	return binary.LittleEndian.Uint64(b[:]), ok
}

func (v *view) u32(va uint64) (uint32, bool) {
	var b [4]byte
	ok := v.read(va, b[:])
	return binary.LittleEndian.Uint32(b[:]), ok
}

func (v *view) u8(va uint64) (uint8, bool) {
	var b [1]byte
	ok := v.read(va, b[:])
	return b[0], ok
}

// str reads a string of at most n bytes that ends with a zero.
func (v *view) str(va uint64, n int) string {
	var out []byte
	for len(out) < n {
		b := v.page(va)
		if b == nil {
			break
		}
		b = b[va&(pageSize-1):]
		b = b[:min(len(b), n-len(out))]
		for i, c := range b {
			if c == 0 {
				return clean(append(out, b[:i]...))
			}
		}
		out = append(out, b...)
		va += uint64(len(b))
	}
	return clean(out)
}

// clean makes a name fit to be printed.
func clean(b []byte) string { return string(cleaned(b)) }

func cleaned(b []byte) []byte {
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return b
}
