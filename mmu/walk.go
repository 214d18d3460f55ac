package mmu

// The page walk (SDM volume 3, chapter 4).
//
// Walk reads the guest's paging structures from guest-physical memory for one
// linear address and one access, in 4-level, PAE or 32-bit form, checks reserved
// bits and permissions on the way, and sets accessed and dirty bits with
// compare-and-swap, so that CPUs that walk or write at once lose nothing. It knows no TLB:
// engines cache what it returns.

// Access is a kind of access to memory, and who makes it.
type Access uint8

// Bits of an Access. No bit means a supervisor's explicit data read.
const (
	Write    Access = 1 << iota // data write
	User                        // made at CPL 3
	Exec                        // instruction fetch
	Implicit                    // a supervisor access to a system structure, at any CPL
)

// Bits of a page-fault error code (SDM volume 3, 4.7).
const (
	FaultP    = 1 << 0
	FaultW    = 1 << 1
	FaultU    = 1 << 2
	FaultRsvd = 1 << 3
	FaultI    = 1 << 4
)

// Form is the form of paging in use.
type Form uint8

// Forms of paging.
const (
	NoPaging Form = iota
	Paging32
	PagingPAE
	Paging4
)

// Paging is the part of a CPU's state that the walk depends on.
type Paging struct {
	Form             Form
	CR3              uint64
	PDPTE            [4]uint64 // PAE: the registers that a load of CR3 fills
	WP, NXE, PSE     bool
	GB               bool // the CPU model has 1 GiB pages
	SMEP, SMAP, PGE  bool
	AC               bool  // EFLAGS.AC: lifts SMAP for explicit accesses
	PhysBits         uint8 // MAXPHYADDR
	SetAccessedDirty bool  // false for a debugger's look, which changes nothing
}

// Translation is the result of a walk.
type Translation struct {
	PA       uint64 // physical address of the linear address itself
	PageSize uint64 // bytes that the last entry maps
	Writable bool   // by supervisor or user as the access was made, so that a write would be allowed
	User     bool   // the page is a user page
	Global   bool
	Dirty    bool // the entry's dirty bit is set
	Accessed bool // and its accessed bit
}

const (
	pteP   = 1 << 0
	pteW   = 1 << 1
	pteU   = 1 << 2
	pteA   = 1 << 5
	pteD   = 1 << 6
	ptePS  = 1 << 7
	pteG   = 1 << 8
	pteNX  = 1 << 63
	addr52 = (1<<52 - 1) &^ 0xfff
)

// Walk translates linear address va, which must be canonical. On a page fault
// ok is false and code is the error code.
func (m *Memory) Walk(p *Paging, va uint64, acc Access) (t Translation, code uint32, ok bool) {
	if p.Form == NoPaging {
		return Translation{PA: va, PageSize: PageSize, Writable: true, Dirty: true, Accessed: true, User: true}, 0, true
	}
	code = 0
	if acc&Write != 0 {
		code |= FaultW
	}
	if acc&User != 0 {
		code |= FaultU
	}
	if acc&Exec != 0 && (p.NXE || p.SMEP) && p.Form != Paging32 || acc&Exec != 0 && p.SMEP {
		code |= FaultI
	}
	denied := code // without what the walk adds
	rsvdHigh := uint64(addr52) &^ (1<<p.PhysBits - 1)
	var table, pte, pteAddr uint64
	width := 8
again: // where an entry changes under the walk, that begins anew
	code = denied
	user, writable, nx := true, true, false
	var shift uint
	switch p.Form {
	case Paging4:
		table, shift = p.CR3&addr52, 39
	case PagingPAE:
		e := p.PDPTE[va>>30&3]
		if e&pteP == 0 {
			return t, code, false
		}
		table, shift = e&addr52, 21
	case Paging32:
		table, shift, width = p.CR3&0xfffff000, 22, 4
	}
	for {
		if p.Form == Paging32 {
			pteAddr = table + (va>>shift&0x3ff)*4
		} else {
			pteAddr = table + (va>>shift&0x1ff)*8
		}
		pte = m.readPTE(pteAddr, width)
		if pte&pteP == 0 {
			return t, code, false
		}
		leaf := shift == 12
		switch {
		case p.Form == Paging32:
			if shift == 22 && pte&ptePS != 0 && p.PSE {
				leaf = true
				if pte>>21&1 != 0 || pte>>13&0xff&^(1<<(p.PhysBits-32)-1) != 0 {
					return t, code | FaultP | FaultRsvd, false
				}
			}
		default:
			rsvd := rsvdHigh
			if !p.NXE {
				rsvd |= pteNX
			}
			if p.Form == PagingPAE {
				rsvd |= 0x7ff << 52
			}
			if pte&ptePS != 0 && shift > 12 {
				leaf = true
				switch shift {
				case 39:
					rsvd |= ptePS
				case 30:
					rsvd |= (1<<30 - 1) &^ (1<<13 - 1)
					if !p.GB {
						rsvd |= ptePS
					}
				case 21:
					rsvd |= (1<<21 - 1) &^ (1<<13 - 1)
				}
			}
			if pte&rsvd != 0 {
				return t, code | FaultP | FaultRsvd, false
			}
			nx = nx || pte&pteNX != 0
		}
		user = user && pte&pteU != 0
		writable = writable && pte&pteW != 0
		if leaf {
			break
		}
		if pte&pteA == 0 && p.SetAccessedDirty && !m.orPTE(pteAddr, width, pte, pteA) {
			goto again
		}
		table = pte & addr52
		if p.Form == Paging32 {
			table, shift = pte&0xfffff000, 12
		} else {
			shift -= 9
		}
	}

	code |= FaultP
	if acc&User != 0 {
		if !user || acc&Write != 0 && !writable || acc&Exec != 0 && nx {
			return t, code, false
		}
	} else {
		if acc&Exec != 0 {
			if nx || user && p.SMEP {
				return t, code, false
			}
		} else if user && p.SMAP && (!p.AC || acc&Implicit != 0) {
			return t, code, false
		}
		writable = writable || !p.WP
		if acc&Write != 0 && !writable {
			return t, code, false
		}
	}
	want := uint64(pteA)
	if acc&Write != 0 {
		want |= pteD
	}
	if pte&want != want && p.SetAccessedDirty {
		if !m.orPTE(pteAddr, width, pte, want) {
			goto again
		}
		pte |= want
	}
	size := uint64(1) << shift
	base := pte & addr52
	if p.Form == Paging32 {
		base = pte & 0xfffff000
		if shift == 22 {
			base = pte&0xffc00000 | pte>>13&0xff<<32
		}
	}
	t = Translation{
		PA:       base&^(size-1) | va&(size-1),
		PageSize: size,
		Writable: writable,
		User:     user,
		Global:   pte&pteG != 0 && p.PGE,
		Dirty:    pte&pteD != 0,
		Accessed: pte&pteA != 0,
	}
	return t, 0, true
}

// A Table is what translates the 2 MiB around a linear address, to look at many pages there
// without a walk for each: the last level of the paging structures, or a large page. It is
// right until the guest's tables change.
type Table struct {
	PageSize uint64 // bytes that an entry maps
	entries  []byte // nil: all is a part of one page
	base     uint64 // which begins here
	rights   PageRights
	rsvd     uint64
}

// PageRights say what CPL 3 may do with a page.
type PageRights uint8

// Bits of PageRights.
const (
	MayRead     PageRights = 1 << iota
	MayWrite               // and the dirty bit may be clear
	WasAccessed            // the accessed bit of the entry is set
	WasWritten             // and the dirty bit
)

// Table returns what translates the 2 MiB around va, which must be canonical, in 4-level
// paging; ok is false in other forms, and where CPL 3 can read nothing, or a table is not
// in RAM.
func (m *Memory) Table(p *Paging, va uint64) (t Table, ok bool) {
	if p.Form != Paging4 {
		return t, false
	}
	t = Table{PageSize: PageSize, rights: MayRead | MayWrite | WasAccessed | WasWritten, rsvd: addr52 &^ (1<<p.PhysBits - 1)}
	if !p.NXE {
		t.rsvd |= pteNX
	}
	table := p.CR3 & addr52
	for shift := 39; shift > 12; shift -= 9 {
		e := m.readPTE(table+(va>>shift&0x1ff)*8, 8)
		if e&pteP != 0 && e&ptePS != 0 {
			look := *p
			look.SetAccessedDirty = false
			w, _, ok := m.Walk(&look, va&^(1<<21-1), User)
			t.PageSize, t.base, t.rights = w.PageSize, w.PA, rightsOf(w.Writable, w.Accessed, w.Dirty)
			return t, ok
		}
		if e&(pteP|pteU) != pteP|pteU || e&t.rsvd != 0 {
			return t, false
		}
		if e&pteW == 0 {
			t.rights &^= MayWrite
		}
		table = e & addr52
	}
	r := m.Find(table)
	if r == nil || r.Kind != RAM || r.Size-(table-r.Base) < PageSize {
		return t, false
	}
	off := r.Off + (table - r.Base)
	t.entries = r.Blk.Bytes[off : off+PageSize]
	return t, true
}

// rightsOf is the rights to a page that may be read.
func rightsOf(write, accessed, dirty bool) PageRights {
	r := MayRead
	for i, b := range [...]bool{write, accessed, dirty} {
		if b {
			r |= MayWrite << i
		}
	}
	return r
}

// Page translates an address in the 2 MiB. Without MayRead pa says nothing.
func (t *Table) Page(va uint64) (pa uint64, rights PageRights) {
	if t.entries == nil {
		return t.base + va&(1<<21-1), t.rights
	}
	e := load(t.entries, va>>12&0x1ff*8, 8)
	if e&(pteP|pteU) != pteP|pteU || e&t.rsvd != 0 {
		return 0, 0
	}
	const bits = (pteA | pteD) / pteA * WasAccessed // they are in this order
	rights = MayRead | PageRights(e&pteW) | PageRights(e/pteA)*WasAccessed&bits
	return e&addr52 | va&(PageSize-1), rights & t.rights
}

// readPTE reads the paging-structure entry at pa, of width bytes, in one step.
func (m *Memory) readPTE(pa uint64, width int) uint64 {
	if r := m.Find(pa); r != nil && r.Kind != IO {
		return load(r.Blk.Bytes, r.Off+(pa-r.Base), width)
	}
	return m.ReadUint(pa, width)
}

// orPTE sets bits in the low byte of the paging-structure entry at pa, of width
// bytes, if it still is old; else it returns false. Bits set in an entry that
// another CPU has just cleared would make it one that a system takes for its own
// notes on a page that is not present.
func (m *Memory) orPTE(pa uint64, width int, old, bits uint64) bool {
	r := m.Find(pa)
	if r == nil || r.Kind != RAM {
		return true // the entry is not in RAM: nothing to set
	}
	off := r.Off + (pa - r.Base)
	if !compareAndSwap(r.Blk.Bytes, off, width, old, old|bits) {
		return false
	}
	m.Touched(r.Blk, off, 1)
	return true
}

// LoadPDPTEs reads the four PDPTE registers as a load of CR3 does in PAE paging;
// ok is false where reserved bits are set, which is #GP(0).
func (m *Memory) LoadPDPTEs(cr3 uint64, physBits uint8) (e [4]uint64, ok bool) {
	rsvd := uint64(addr52)&^(1<<physBits-1) | 0xfff<<52 | 0x1e6
	for i := range e {
		e[i] = m.ReadUint(cr3&0xffffffe0+uint64(i)*8, 8)
		if e[i]&pteP != 0 && e[i]&rsvd != 0 {
			return e, false
		}
	}
	return e, true
}
