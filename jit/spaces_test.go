package jit

// Address spaces: programs that switch between three of them, with and without
// PCIDs, and change the mappings of data and of code in the current one and in
// others. A program always does what the SDM asks for before it relies on a change
// (volume 3, 4.10.4), so that there is one right result.

import (
	"encoding/binary"
	"testing"
	"time"

	"hotblock/internal/difftest"
	"hotblock/x86"
)

const (
	numSpaces   = 3
	spaceTables = 0x36000    // physical, up to guestIDT: five tables for each space but the first
	spaceViews  = 0x32000000 // the page tables of the window and of code, for each space
	spaceGlobal = 13         // a page of the window that is global
)

// spaceRoot is CR3 of a space, without a PCID.
func spaceRoot(i int) uint64 {
	if i == 0 {
		return guestTables
	}
	return spaceTables + uint64(i-1)*5*pageSize
}

// makeSpaces makes the other spaces out of the first: the window has its pages in
// another order there, and the third and fourth page of code are exchanged.
func makeSpaces(g *guest) {
	defer func(n uint64) { g.next = n }(g.next) // the tables are those of this run
	b, le := g.ram.Bytes, binary.LittleEndian
	copyTable := func(to, from uint64) { copy(b[to:to+pageSize], b[from&^(pageSize-1)&(1<<40-1):][:pageSize]) }
	entry := func(table, i uint64) uint64 { return le.Uint64(b[table+8*i:]) &^ (pageSize - 1) }
	set := func(table, i, v uint64) { le.PutUint64(b[table+8*i:], v|7) }
	for i := range uint64(numSpaces) {
		root := spaceRoot(int(i))
		if i != 0 {
			old := uint64(guestTables)
			copyTable(root, old)
			pdpt := root + pageSize
			copyTable(pdpt, entry(old, 0))
			set(root, 0, pdpt)
			pd := root + 2*pageSize
			copyTable(pd, entry(pdpt, 0))
			set(pdpt, 0, pd)
			for k, va := range []uint64{progWindow, progCode} {
				pt := root + uint64(3+k)*pageSize
				copyTable(pt, entry(pd, va>>21))
				set(pd, va>>21, pt)
			}
		}
		pdpt := entry(root, 0)
		pd := entry(pdpt, 0)
		window, code := entry(pd, progWindow>>21), entry(pd, progCode>>21)
		for k := range uint64(16) {
			pte := guestData + (k*5+i*3)%16*pageSize | 0x67
			if k == spaceGlobal {
				pte = guestData + 16*pageSize | 0x167
			}
			le.PutUint64(b[window+8*k:], pte)
		}
		if i != 0 {
			x, y := le.Uint64(b[code+16:]), le.Uint64(b[code+24:])
			le.PutUint64(b[code+16:], y)
			le.PutUint64(b[code+24:], x)
		}
		g.mapPage(spaceViews+2*i*pageSize, window|0x63)
		g.mapPage(spaceViews+(2*i+1)*pageSize, code|0x63)
	}
	for i := 1; i < numSpaces; i++ { // which share the tables that the views are in, or not
		root := spaceRoot(i)
		pd, first := entry(entry(root, 0), 0), entry(entry(guestTables, 0), 0)
		set(pd, spaceViews>>21, entry(first, spaceViews>>21))
	}
}

// generateSpaces makes a program of switches, changes and accesses.
func generateSpaces(seed uint64) *program {
	p := &program{Source: difftest.New(seed, progWindow), mode: guestMode{}}
	p.Fill()
	pcids := p.IntN(4) != 0
	end, top := p.newLabel(), p.newLabel()
	p.resume = []label{end}
	abs := func(op []byte, reg uint8, va uint64) []byte { // op reg, [va], with REX.W
		return binary.LittleEndian.AppendUint32(append(append([]byte{0x48}, op...), reg<<3|4, 0x25), uint32(va))
	}
	const desc = progCount + 0x100 // of INVPCID
	invlpg := func(va uint64) []byte {
		return binary.LittleEndian.AppendUint32([]byte{0x0f, 0x01, 0x3c, 0x25}, uint32(va))
	}
	invpcid := func(kind, pcid, va uint64) (b []byte) {
		b = append(p.movImm(x86.RAX, pcid), abs([]byte{0x89}, 0, desc)...)
		b = append(append(b, p.movImm(x86.RAX, va)...), abs([]byte{0x89}, 0, desc+8)...)
		b = append(b, p.movImm(x86.RCX, kind)...)
		return binary.LittleEndian.AppendUint32(append(b, 0x66, 0x0f, 0x38, 0x82, 0x0c, 0x25), desc)
	}
	load := func(space int, keep bool) []byte {
		v := spaceRoot(space)
		if pcids {
			v |= uint64(space + 1)
			if keep {
				v |= 1 << 63
			}
		}
		return append(p.movImm(x86.RAX, v), 0x0f, 0x22, 0xd8)
	}
	cur := 0
	var stale [numSpaces]bool
	p.mark(top)
	for range 30 + p.IntN(40) {
		switch n := p.IntN(12); {
		case n < 5: // use the window
			va := progWindow + p.Uint64N(16)*pageSize + p.Uint64N(64)*64
			if p.IntN(4) == 0 {
				va += pageSize - va%pageSize - p.Uint64N(8)
				va = min(va, progWindow+15*pageSize)
			}
			p.emit(append(abs([]byte{0x03}, x86.RBX, va), abs([]byte{0x01}, x86.RBX, va)...))
		case n < 8: // call what the third page of code has
			target := uint64(progCode + 2*pageSize + 0x10)
			if p.IntN(2) == 0 {
				target = progCode + 2*pageSize - 3
			}
			if p.IntN(2) == 0 {
				p.emit(append(p.movImm(x86.RAX, target), 0xff, 0xd0))
				break
			}
			l := p.newLabel()
			p.mark(l)
			p.emit([]byte{0xe8, 0, 0, 0, 0}, fixup{pos: 1, size: 4, abs: true, neg: true, to: l, add: target - 5})
		case n < 10:
			cur = p.IntN(numSpaces)
			p.emit(load(cur, !stale[cur] && p.IntN(4) != 0))
			stale[cur] = false
		default: // exchange two pages somewhere
			space, code := p.IntN(numSpaces), p.IntN(3) == 0
			view, first := uint64(spaceViews+2*space*pageSize), uint64(progWindow)
			i, j := p.Uint64N(spaceGlobal), p.Uint64N(spaceGlobal)
			if code {
				view, first, i, j = view+pageSize, progCode, 2, 3
			}
			b := abs([]byte{0x8b}, 0, view+8*i)
			b = append(b, abs([]byte{0x87}, 0, view+8*j)...)
			b = append(b, abs([]byte{0x89}, 0, view+8*i)...)
			pcid := uint64(space + 1)
			switch k := p.IntN(4); {
			case !pcids && space != cur:
			case space == cur && (k < 2 || !pcids):
				b = append(append(b, invlpg(first+i*pageSize)...), invlpg(first+j*pageSize)...)
			case k == 0:
				b = append(b, invpcid(1, pcid, 0)...)
			case k == 1:
				b = append(b, invpcid(uint64(2+p.IntN(2)), 0, 0)...)
			case k == 2 && space != cur:
				stale[space] = true
			default:
				b = append(append(b, invpcid(0, pcid, first+i*pageSize)...), invpcid(0, pcid, first+j*pageSize)...)
			}
			p.emit(b)
			if p.IntN(4) == 0 { // and the global page, in all
				b = nil
				for s := range numSpaces {
					b = append(b, 0x48, 0x81, 0x34, 0x25)
					b = binary.LittleEndian.AppendUint32(b, uint32(spaceViews+2*s*pageSize+8*spaceGlobal))
					b = binary.LittleEndian.AppendUint32(b, pageSize)
				}
				p.emit(append(b, invlpg(progWindow+spaceGlobal*pageSize)...))
			}
		}
	}
	b := load(0, false)
	if pcids {
		b = append(b, invpcid(2, 0, 0)...)
	}
	p.emit(b)
	p.counters = 1
	p.loopTo(top)
	p.mark(end)
	p.emit([]byte{0xcc})
	for i := range p.elems {
		p.elems[i].stays = i >= len(p.elems)-3
	}
	p.prepare = func(g *guest, s *x86.State) {
		makeSpaces(g)
		b := g.ram.Bytes
		// Two functions, and an instruction across pages with two immediates.
		copy(b[guestCode+2*pageSize-3:], []byte{0x48, 0x81, 0xc3})
		copy(b[guestCode+2*pageSize:], []byte{1, 2, 3, 4, 0xc3})
		copy(b[guestCode+2*pageSize+0x10:], []byte{0x48, 0x83, 0xc3, 3, 0xc3})
		copy(b[guestCode+3*pageSize:], []byte{5, 4, 3, 2, 0xc3})
		copy(b[guestCode+3*pageSize+0x10:], []byte{0x48, 0x6b, 0xdb, 7, 0xc3})
		binary.LittleEndian.PutUint32(b[physCount+8:], 30)
		for i := range 18 * 512 {
			binary.LittleEndian.PutUint64(b[guestData+8*i:], uint64(i)*0x9e3779b97f4a7c15)
		}
		if s.CR4 |= x86.CR4PGE; pcids {
			s.CR4 |= x86.CR4PCIDE
			s.CR3 |= 1
		}
	}
	return p
}

func TestAddressSpaces(t *testing.T) {
	r := newProgramRig(t, "threshold=1", "threshold=4", "threshold=1,verify=all")
	start := time.Now()
	for seed := uint64(1); seed <= 120 || time.Since(start) < *programTime; seed++ {
		if *programSeed != 0 {
			seed = *programSeed
		}
		if msg := r.fails(generateSpaces(seed)); msg != "" {
			t.Errorf("program %d: %s", seed, msg)
			return
		}
		if end := &r.guests[0].last; end.vec != x86.ExcBP {
			t.Fatalf("program %d ends with %v", seed, end)
		}
		if *programSeed != 0 {
			break
		}
	}
	for _, g := range r.guests {
		t.Logf("%s: %d flushes of the TLB", g.name, g.cpu.Stats().Flushes)
	}
}
