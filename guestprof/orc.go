package guestprof

// ORC, the unwind tables of x86 Linux (arch/x86/kernel/unwind_orc.c): for each
// range of code, where the caller's stack pointer is relative to a register, and
// where the caller's RBP was saved. The ranges are in one table, sorted, as offsets
// from the table entry itself, and what holds in them in another.

import (
	"encoding/binary"
	"sort"
)

// Registers in ORC entries.
const (
	orcUndefined = iota
	orcPrevSP
	orcDX
	orcDI
	orcBP
	orcSP
	orcR10
	orcR13
	orcBPIndirect
	orcSPIndirect
)

// Kinds of frame.
const (
	orcEnd     = iota // there is no caller
	orcCall           // a return address
	orcRegs           // struct pt_regs
	orcPartial        // the frame that the processor pushes for an interrupt
)

// orcEntry says how to unwind from an address.
type orcEntry struct {
	spOff, bpOff int16
	spReg, bpReg uint8
	kind         uint8
}

// orcTable is a copy of the tables. The zero value knows no address.
type orcTable struct {
	ips     []byte // 32 bits each
	entries []byte // 6 bytes each
	base    uint64 // linear address of ips
	end     uint64 // of the last range
	// Kernels up to 6.3 have a type of two bits and a bit of its own for the end.
	old    bool
	endBit uint32
	cache  map[uint64]orcEntry
}

const orcSize = 6

// newORC makes a table of the kernel's, or returns nil where they are not sane.
// end is the end of the code that they cover.
func newORC(ips, entries []byte, base, end uint64, t *btf) *orcTable {
	n := len(ips) / 4
	if n == 0 || len(entries)/orcSize < n {
		return nil
	}
	o := &orcTable{ips: ips[:4*n], entries: entries[:orcSize*n], base: base, end: end, cache: map[uint64]orcEntry{}}
	if f := t.member("orc_entry", "end"); f.ok {
		o.old, o.endBit = true, f.bit%16
	}
	for i := 1; i < n; i++ {
		if o.ip(i) < o.ip(i-1) {
			return nil
		}
	}
	return o
}

func (o *orcTable) ip(i int) uint64 {
	return o.base + 4*uint64(i) + uint64(int64(int32(binary.LittleEndian.Uint32(o.ips[4*i:]))))
}

// find returns the entry for an address.
func (o *orcTable) find(ip uint64) (e orcEntry, ok bool) {
	if o == nil || ip >= o.end {
		return e, false
	}
	if e, ok = o.cache[ip]; ok {
		return e, true
	}
	i := sort.Search(len(o.ips)/4, func(i int) bool { return o.ip(i) > ip }) - 1
	if i < 0 {
		return e, false
	}
	b := o.entries[orcSize*i:]
	bits := uint32(binary.LittleEndian.Uint16(b[4:]))
	e = orcEntry{
		spOff: int16(binary.LittleEndian.Uint16(b)), bpOff: int16(binary.LittleEndian.Uint16(b[2:])),
		spReg: uint8(bits & 15), bpReg: uint8(bits >> 4 & 15),
	}
	if o.old {
		e.kind = uint8(bits>>8&3) + orcCall
		if bits>>o.endBit&1 != 0 {
			e.kind = orcEnd
		}
	} else {
		// Zero is code that nothing is known of.
		e.kind = uint8(max(bits>>8&7, 1)) - 1
	}
	if len(o.cache) > 1<<16 {
		clear(o.cache)
	}
	o.cache[ip] = e
	return e, true
}
