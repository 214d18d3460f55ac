package boot

import (
	"encoding/binary"
	"sort"

	"hotblock/mmu"
)

// Types of an E820Entry (ACPI specification, "System Address Map Interfaces").
const (
	E820RAM      = 1
	E820Reserved = 2
	E820ACPI     = 3 // reclaimable after the tables are read
	E820NVS      = 4
)

// E820Entry is a range of guest-physical addresses and what it may be used for.
type E820Entry struct {
	Addr, Size uint64 // bytes
	Type       uint32
}

// The PC's conventional map: RAM stops for the PCI hole below 4 GiB, and goes
// on above it.
const (
	lowTop  = 0x9fc00     // end of conventional memory; the EBDA follows
	highRAM = 1 << 20     // RAM goes on here after the legacy hole
	holeAt  = 0xc000_0000 // RAM below 4 GiB ends here at the latest
	fourGiB = 1 << 32
)

// DefaultE820 is the memory map of a PC with ram bytes of memory: up to 3 GiB
// below the PCI hole, the rest from 4 GiB.
func DefaultE820(ram uint64) []E820Entry {
	below := min(ram, holeAt)
	m := []E820Entry{{0, min(below, lowTop), E820RAM}}
	if below > lowTop {
		m = append(m, E820Entry{lowTop, 0xa0000 - lowTop, E820Reserved}, E820Entry{0xf0000, 0x10000, E820Reserved})
	}
	if below > highRAM {
		m = append(m, E820Entry{highRAM, below - highRAM, E820RAM})
	}
	if ram > below {
		m = append(m, E820Entry{fourGiB, ram - below, E820RAM})
	}
	return m
}

func appendE820(b []byte, e E820Entry) []byte {
	b = binary.LittleEndian.AppendUint64(b, e.Addr)
	b = binary.LittleEndian.AppendUint64(b, e.Size)
	return binary.LittleEndian.AppendUint32(b, e.Type)
}

// span is the addresses from lo up to, not including, hi.
type span struct{ lo, hi uint64 }

// placer hands out guest RAM. It starts with what E820 calls RAM; what is
// taken is taken once. All writes of a loader go to ranges it gave.
type placer struct {
	mem  *mmu.Memory
	free []span // by rising address, apart
	ram  []span // as free was at first
}

func newPlacer(mem *mmu.Memory, m []E820Entry) *placer {
	var in []span
	for _, e := range m {
		if e.Type == E820RAM && e.Size > 0 && e.Addr+e.Size > e.Addr {
			in = append(in, span{e.Addr, e.Addr + e.Size})
		}
	}
	sort.Slice(in, func(i, j int) bool { return in[i].lo < in[j].lo })
	var out []span
	for _, s := range in {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi {
			out[n-1].hi = max(out[n-1].hi, s.hi)
		} else {
			out = append(out, s)
		}
	}
	pl := &placer{mem: mem, free: out, ram: append([]span(nil), out...)}
	// What is not RAM wins over RAM that the map declares over it.
	for _, e := range m {
		if e.Type != E820RAM && e.Size > 0 && e.Addr+e.Size > e.Addr {
			pl.cut(span{e.Addr, e.Addr + e.Size})
		}
	}
	return pl
}

func (pl *placer) cut(c span) {
	var out []span
	for _, s := range pl.free {
		if c.hi <= s.lo || c.lo >= s.hi {
			out = append(out, s)
			continue
		}
		if s.lo < c.lo {
			out = append(out, span{s.lo, c.lo})
		}
		if c.hi < s.hi {
			out = append(out, span{c.hi, s.hi})
		}
	}
	pl.free = out
}

// take claims size bytes at addr; false where they are not all free RAM.
func (pl *placer) take(addr, size uint64) bool {
	if size == 0 {
		return true
	}
	if addr+size < addr {
		return false
	}
	for _, s := range pl.free {
		if s.lo <= addr && addr+size <= s.hi {
			pl.cut(span{addr, addr + size})
			return true
		}
	}
	return false
}

// high claims size bytes as high as possible with the last below limit.
func (pl *placer) high(size, align, limit uint64) (uint64, bool) {
	for i := len(pl.free) - 1; i >= 0; i-- {
		s := pl.free[i]
		top := min(s.hi, limit)
		if top < s.lo || top-s.lo < size {
			continue
		}
		if at := (top - size) &^ (align - 1); at >= s.lo {
			pl.cut(span{at, at + size})
			return at, true
		}
	}
	return 0, false
}

// low claims size bytes as low as possible, not below floor, ending at limit at
// the latest.
func (pl *placer) low(size, align, floor, limit uint64) (uint64, bool) {
	for _, s := range pl.free {
		at := max(s.lo, floor)
		if at+align-1 < at {
			continue
		}
		at = (at + align - 1) &^ (align - 1)
		if top := min(s.hi, limit); at <= top && top-at >= size {
			pl.cut(span{at, at + size})
			return at, true
		}
	}
	return 0, false
}

// largest is the size of the largest free range.
func (pl *placer) largest() uint64 {
	var n uint64
	for _, s := range pl.free {
		n = max(n, s.hi-s.lo)
	}
	return n
}

// total is the amount of RAM there is, taken or not.
func (pl *placer) total() uint64 {
	var n uint64
	for _, s := range pl.ram {
		n += s.hi - s.lo
	}
	return n
}

// zero clears n bytes at pa. Pages that read as zero are left alone, so that
// fresh memory stays untouched on the host.
func (pl *placer) zero(pa, n uint64) {
	var page, none [mmu.PageSize]byte
	for n > 0 {
		c := min(n, mmu.PageSize-pa%mmu.PageSize)
		pl.mem.Read(pa, page[:c])
		if string(page[:c]) != string(none[:c]) {
			pl.mem.Write(pa, none[:c])
		}
		pa += c
		n -= c
	}
}

// mib is a size for messages, rounded up to MiB.
func mib(n uint64) uint64 {
	return n>>20 + min(n&(1<<20-1), 1)
}
