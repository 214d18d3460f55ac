package mmu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// oracle translates as the manual says it, entry by entry, without regard to
// speed: first all entries, then rights. It returns the entries that were used,
// for the accessed bits.
type oracle struct {
	ram []byte
	p   *Paging
}

type used struct {
	pa   uint64
	leaf bool
}

func (o *oracle) read(pa uint64, n int) uint64 {
	if pa+uint64(n) > uint64(len(o.ram)) {
		return ^uint64(0) >> (64 - 8*n)
	}
	if n == 4 {
		return uint64(binary.LittleEndian.Uint32(o.ram[pa:]))
	}
	return binary.LittleEndian.Uint64(o.ram[pa:])
}

func bit(v uint64, n int) bool { return v>>n&1 != 0 }

func (o *oracle) walk(va uint64, acc Access) (pa, size uint64, code uint32, path []used, global, dirty bool) {
	p := o.p
	w, u, x, implicit := acc&Write != 0, acc&User != 0, acc&Exec != 0, acc&Implicit != 0
	fault := func(bits uint32) uint32 {
		if w {
			bits |= 2
		}
		if u {
			bits |= 4
		}
		if x && (p.SMEP || p.NXE && p.Form != Paging32) {
			bits |= 16
		}
		return bits | 1<<31 // to tell a fault without bits from none
	}
	bad := func(e uint64, level int, large bool) bool { // reserved bits
		for i := 40; i < 52; i++ {
			if bit(e, i) {
				return true
			}
		}
		if bit(e, 63) && !p.NXE {
			return true
		}
		if p.Form == PagingPAE {
			for i := 52; i < 63; i++ {
				if bit(e, i) {
					return true
				}
			}
		}
		if level == 4 && bit(e, 7) || level == 3 && large && !p.GB {
			return true
		}
		if large {
			for i := 13; i < map[int]int{2: 21, 3: 30}[level]; i++ {
				if bit(e, i) {
					return true
				}
			}
		}
		return false
	}
	var last uint64
	allW, allU, anyNX := true, true, false
	switch p.Form {
	case Paging32:
		at := p.CR3&^0xfff&0xffffffff + va>>22&1023*4
		e := o.read(at, 4)
		if !bit(e, 0) {
			return 0, 0, fault(0), path, false, false
		}
		allW, allU = bit(e, 1), bit(e, 2)
		if bit(e, 7) && p.PSE {
			if bit(e, 21) {
				return 0, 0, fault(9), path, false, false
			}
			last, size = e, 4<<20
			pa = e&0xffc00000 + e>>13&0xff<<32 + va&0x3fffff
			path = append(path, used{at, true})
			break
		}
		path = append(path, used{at, false})
		at = e&0xfffff000 + va>>12&1023*4
		e = o.read(at, 4)
		if !bit(e, 0) {
			return 0, 0, fault(0), path, false, false
		}
		allW, allU = allW && bit(e, 1), allU && bit(e, 2)
		last, size = e, 4096
		pa = e&0xfffff000 + va&0xfff
		path = append(path, used{at, true})
	default:
		level := 4
		table := p.CR3 &^ 0xfff & (1<<52 - 1)
		if p.Form == PagingPAE {
			e := p.PDPTE[va>>30&3]
			if !bit(e, 0) {
				return 0, 0, fault(0), path, false, false
			}
			level, table = 2, e&^0xfff&(1<<52-1)
		}
		for ; ; level-- {
			shift := 12 + 9*(level-1)
			at := table + va>>shift&511*8
			e := o.read(at, 8)
			if !bit(e, 0) {
				return 0, 0, fault(0), path, false, false
			}
			large := level > 1 && bit(e, 7)
			if bad(e, level, large) {
				return 0, 0, fault(9), path, false, false
			}
			allW, allU, anyNX = allW && bit(e, 1), allU && bit(e, 2), anyNX || bit(e, 63)
			table = e &^ (1 << 63) &^ 0xfff & (1<<52 - 1)
			if level == 1 || large {
				last, size = e, 1<<shift
				pa = table&^(size-1) + va&(size-1)
				path = append(path, used{at, true})
				break
			}
			path = append(path, used{at, false})
		}
	}
	deny := false
	switch {
	case u:
		deny = !allU || w && !allW || x && anyNX
	case x:
		deny = anyNX || allU && p.SMEP
	default:
		deny = allU && p.SMAP && (implicit || !p.AC) || w && !allW && p.WP
	}
	if deny {
		// The last entry is not marked.
		return 0, 0, fault(1), path[:len(path)-1], false, false
	}
	return pa, size, 0, path, bit(last, 8) && p.PGE, w || bit(last, 6)
}

// TestWalk compares Walk with the oracle on random paging structures: the result,
// the error code, and accessed and dirty bits in all of memory.
func TestWalk(t *testing.T) {
	const pages = 16
	b := block(t, pages)
	m := new(Memory)
	m.Map(Region{Size: pages * PageSize, Blk: b})
	seen := map[string]int{}
	for round := range 400 {
		r := rand.New(rand.NewPCG(uint64(round), 7))
		p := &Paging{Form: Paging32 + Form(r.IntN(3)), PhysBits: 40, SetAccessedDirty: r.IntN(8) != 0}
		for _, f := range []*bool{&p.WP, &p.NXE, &p.PSE, &p.SMEP, &p.SMAP, &p.PGE, &p.AC, &p.GB} {
			*f = r.IntN(2) == 0
		}
		// Entries lead to one of the pages, mostly with all rights.
		entry := func() uint64 {
			e := uint64(r.IntN(pages))<<12 | 7
			if r.IntN(4) == 0 {
				e = uint64(r.IntN(4))<<30 | uint64(r.IntN(4))<<21 | 0x87 // large
			}
			e |= uint64(r.IntN(64)) << 6 &^ 0x80 & 0xf60
			for r.IntN(3) == 0 {
				e ^= 1 << r.IntN(9)
			}
			if r.IntN(6) == 0 {
				e ^= 1 << r.IntN(64)
			}
			if r.IntN(3) == 0 {
				e ^= 1 << 63
			}
			return e
		}
		for i := uint64(0); i < uint64(len(b.Bytes)); i += 8 {
			e := entry()
			if p.Form == Paging32 {
				e = e&0xffffffff | entry()<<32
			}
			binary.LittleEndian.PutUint64(b.Bytes[i:], e)
		}
		p.CR3 = uint64(r.IntN(pages)) << 12
		for i := range p.PDPTE {
			p.PDPTE[i] = uint64(r.IntN(pages))<<12 | uint64(r.IntN(4)+1)&1
		}
		for range 300 {
			va := r.Uint64()
			if p.Form == Paging4 {
				va = uint64(int64(va<<16) >> 16)
			} else {
				va &= 0xffffffff
			}
			acc := []Access{0, Write, Exec, Implicit, Implicit | Write}[r.IntN(5)]
			if acc&Implicit == 0 && r.IntN(2) == 0 {
				acc |= User
			}
			want := append([]byte(nil), b.Bytes...)
			o := oracle{want, p}
			pa, size, code, path, global, dirty := o.walk(va, acc)
			if p.SetAccessedDirty {
				for _, e := range path {
					if e.pa >= uint64(len(want)) {
						continue
					}
					want[e.pa] |= 1 << 5
					if e.leaf && acc&Write != 0 && code == 0 {
						want[e.pa] |= 1 << 6
					}
				}
			} else if code == 0 {
				dirty = bit(o.read(path[len(path)-1].pa&^7, 8)>>(8*(path[len(path)-1].pa&7)), 6)
			}
			tr, gotCode, ok := m.Walk(p, va, acc)
			if ok != (code == 0) || gotCode != code&^(1<<31) {
				t.Fatalf("round %d, form %d, %#x for %d with %+v: ok %v, code %#x; want %#x", round, p.Form, va, acc, *p, ok, gotCode, code)
			}
			if ok && (tr.PA != pa || tr.PageSize != size || tr.Global != global || tr.Dirty != dirty) {
				t.Fatalf("round %d, form %d, %#x: %+v; want %#x, %#x, global %v, dirty %v", round, p.Form, va, tr, pa, size, global, dirty)
			}
			if string(want) != string(b.Bytes) {
				for i := range want {
					if want[i] != b.Bytes[i] {
						t.Fatalf("round %d, form %d, %#x for %d: byte %#x is %#x, want %#x", round, p.Form, va, acc, i, b.Bytes[i], want[i])
					}
				}
			}
			seen[fmt.Sprintf("form %d, code %#x, page size %#x", p.Form, code, size)]++

			// A table says what a walk does.
			look := *p
			look.SetAccessedDirty = false
			tr, _, ok = m.Walk(&look, va, User)
			if table, is := m.Table(p, va); is {
				at, rights := table.Page(va)
				want := PageRights(0)
				if ok {
					want = rightsOf(tr.Writable, tr.Accessed, tr.Dirty)
				}
				if rights != want || ok && (at != tr.PA || table.PageSize != tr.PageSize) {
					t.Fatalf("round %d, %#x: the table says %#x, %b, size %#x; the walk %+v, %v", round, va, at, rights, table.PageSize, tr, ok)
				}
				seen[fmt.Sprintf("table, %v, page size %#x", ok, tr.PageSize)]++
			} else if ok && p.Form == Paging4 {
				t.Fatalf("round %d, %#x: there is a page, and no table", round, va)
			}
		}
	}
	// The tables must be such that everything happens.
	for _, k := range []string{"table, true, page size 0x1000", "table, true, page size 0x200000", "table, true, page size 0x40000000", "table, false, page size 0x0"} {
		if seen[k] == 0 {
			t.Errorf("never seen: %s", k)
		}
	}
	for form, sizes := range map[Form][]uint64{Paging32: {4 << 10, 4 << 20}, PagingPAE: {4 << 10, 2 << 20}, Paging4: {4 << 10, 2 << 20, 1 << 30}} {
		for _, s := range sizes {
			if k := fmt.Sprintf("form %d, code 0x0, page size %#x", form, s); seen[k] == 0 {
				t.Errorf("never seen: %s", k)
			}
		}
		for _, code := range []uint32{0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 16, 17, 20, 21, 25, 29} {
			if k := fmt.Sprintf("form %d, code %#x, page size 0x0", form, code|1<<31); seen[k] == 0 {
				t.Errorf("never seen: %s", k)
			}
		}
	}
}

// TestWalkWithoutRAM walks structures that are in nothing, in ROM and in a
// device.
func TestWalkWithoutRAM(t *testing.T) {
	m := new(Memory)
	rom := block(t, 1)
	m.Map(Region{Base: 0x1000, Size: PageSize, Kind: ROM, Blk: rom})
	m.Map(Region{Base: 0x2000, Size: PageSize, Kind: IO, Dev: &device{}})
	for i := range 1024 {
		binary.LittleEndian.PutUint32(rom.Bytes[4*i:], 0x1007)
	}
	p := &Paging{Form: Paging32, PhysBits: 40, SetAccessedDirty: true}
	p.CR3 = 0x1000
	if tr, _, ok := m.Walk(p, 0x123456, Write); !ok || tr.PA != 0x1456 {
		t.Errorf("ROM: %+v, %v", tr, ok)
	}
	if rom.Bytes[0] != 7 {
		t.Error("a walk changed ROM")
	}
	p.CR3 = 0x2000 // entries 0x55667700 and so on: not present
	if _, code, ok := m.Walk(p, 0, 0); ok || code != 0 {
		t.Errorf("a device: code %#x, %v", code, ok)
	}
	p = &Paging{Form: Paging4, PhysBits: 40, SetAccessedDirty: true, CR3: 0x9000}
	if _, code, ok := m.Walk(p, 0, 0); ok || code != FaultP|FaultRsvd {
		t.Errorf("nothing, which reads as ones: code %#x, %v", code, ok)
	}
}

// TestWalkRacesWithUnmap is for a bug: a walk set the accessed and dirty bits of
// an entry that another CPU had cleared since the walk had read it.
func TestWalkRacesWithUnmap(t *testing.T) {
	m := new(Memory)
	b := block(t, 8)
	m.Map(Region{Size: 8 * PageSize, Blk: b})
	for i, e := range []uint64{0x1027, 0x2027, 0x3027} {
		m.WriteUint(uint64(i)<<12, 8, e)
	}
	p := &Paging{Form: Paging4, PhysBits: 40, SetAccessedDirty: true}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-done:
					return
				default:
					m.Walk(p, 0, Write)
				}
			}
		}()
	}
	const pte = 0x3000
	set := func(old, v uint64) {
		for !compareAndSwap(b.Bytes, pte, 8, old, v) {
			old = m.readPTE(pte, 8)
		}
	}
	for range 20000 {
		set(0, 0x5007)
		set(0x5007, 0)
		if e := m.readPTE(pte, 8); e != 0 {
			t.Errorf("the entry that was cleared is %#x", e)
			break
		}
	}
	close(done)
	wg.Wait()
}

func TestLoadPDPTEs(t *testing.T) {
	m := new(Memory)
	b := block(t, 1)
	m.Map(Region{Size: PageSize, Blk: b})
	for i, v := range []uint64{0x1001, 0x2000 | 1<<63 | 0x1e6, 0x12345001 | 0xe00, 1<<39 | 0x19} {
		m.WriteUint(0x40+8*uint64(i), 8, v)
	}
	e, ok := m.LoadPDPTEs(0x5f, 40) // bits 4:0 of CR3 are ignored
	if !ok || e[0] != 0x1001 || e[3] != 1<<39|0x19 {
		t.Errorf("%#x, %v", e, ok)
	}
	for _, i := range []int{1, 2, 5, 6, 7, 8, 40, 51, 52, 63} {
		m.WriteUint(0x48, 8, 0x2001|1<<i)
		if _, ok := m.LoadPDPTEs(0x40, 40); ok {
			t.Errorf("bit %d is reserved", i)
		}
	}
}
