package jit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"hotblock/x86"
)

// TestPlacedCode runs code on four pages with calls between them, direct and through a
// pointer that changes, and an instruction that continues on the next page. Between
// runs the pages are exchanged for others and the code is run at other addresses, some in
// turn. What was linked before must not be where it is not right any more.
func TestPlacedCode(t *testing.T) {
	const (
		pages   = 4
		pointer = 0x8000 // from the code's first page
		kinds   = 3      // of each page of code
		stack   = 0x7f0000100000
	)
	bases := []uint64{0x550000400000, 0x7f0010000000, 0x7f0010080000, 0x10000000}
	rel := func(at, to uint64) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(to-at-4)) }
	// page is a kind of a page of code.
	page := func(n, kind uint64) []byte {
		b := make([]byte, pageSize)
		put := func(off uint64, parts ...[]byte) {
			for _, p := range parts {
				off += uint64(copy(b[off:], p))
			}
		}
		switch n {
		case 0:
			put(0,
				[]byte{0xe8}, rel(1, pageSize+0x100), // call page 1
				[]byte{0xff, 0x15}, rel(7, pointer), // call [rip+pointer]
				[]byte{0x48, 0x8d, 0x5c, 0x5b, byte(kind)}, // lea rbx, [rbx+rbx*2+kind]
				[]byte{0xe8}, rel(17, pageSize+0xff8), // call the end of page 1
				[]byte{0xff, 0xc9, 0x75, 0xe7},          // dec ecx; jnz 0
				[]byte{0xe9}, rel(26, 2*pageSize+0x200)) // jmp page 2
		case 1:
			put(0x100, []byte{0x48, 0x83, 0xc3, 3 + byte(kind), 0xc3}) // add rbx, 3+kind; ret
			put(0xff8, []byte{0x48, 0xff, 0xc3,                        // inc rbx
				0x48, 0x81, 0xc3, 1, 2}) // add rbx, ...
		case 2:
			put(0, []byte{5 + byte(kind), 0, 0xc3}) // ...; ret
			put(0x80, []byte{0x48, 0xf7, 0xd3},     // not rbx
				[]byte{0x48, 0x31, 0x15}, rel(2*pageSize+0x86, pointer), // xor [rip+pointer], rdx
				[]byte{0x48, 0x83, 0xc3, byte(kind), 0xc3}) // add rbx, kind; ret
			put(0x200, []byte{0x90, 0xcc})
		case 3:
			put(0x40, []byte{0x48, 0x0f, 0xcb}, // bswap rbx
				[]byte{0x48, 0x31, 0x15}, rel(3*pageSize+0x46, pointer),
				[]byte{0x48, 0x83, 0xc3, byte(kind), 0xc3})
		}
		return b
	}
	guests := []*guest{newGuest(t, nil)}
	guests = append(guests, newGuest(t, configOf(t, "threshold=1,memory=window-now")))
	physical := func(n, kind uint64) uint64 { return guestData + (n*kinds+kind)*pageSize }
	for _, g := range guests {
		for n := range uint64(pages) {
			for kind := range uint64(kinds) {
				copy(g.ram.Bytes[physical(n, kind):], page(n, kind))
			}
		}
		g.mapPage(stack, guestData+0x40000|7)
		g.cpu.DropCode()
	}
	r := rand.New(rand.NewPCG(11, 3))
	var kind [pages]uint64
	base, relied := bases[0], 0
	for n := range 400 {
		if r.IntN(4) == 0 {
			base = bases[r.IntN(len(bases)-n/200)] // the last is in another part of the window
		}
		if r.IntN(3) == 0 {
			kind[r.IntN(pages)] = r.Uint64N(kinds)
		}
		targets := [2]uint64{base + 2*pageSize + 0x80, base + 3*pageSize + 0x40}
		flip := uint64(0)
		if r.IntN(2) == 0 {
			flip = targets[0] ^ targets[1]
		}
		first := targets[r.IntN(2)]
		gone := r.IntN(10) == 0 // one page is not there
		var got [2]string
		for i, g := range guests {
			for p := range uint64(pages) {
				pte := physical(p, kind[p]) | 0x25 // accessed: else what relies on it is taken back
				if gone && p == uint64(n)%pages {
					pte = 0
				}
				g.mapPage(base+p*pageSize, pte)
			}
			g.mapPage(base+pointer, guestData+0x41000|7)
			binary.LittleEndian.PutUint64(g.ram.Bytes[guestData+0x41000:], first)
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			clear(s.R[:16])
			s.RIP, s.R[x86.RSP], s.R[x86.RBX], s.R[x86.RCX], s.R[x86.RDX] = base, stack+0x800, uint64(n), 1+uint64(n%60), flip
			end := g.run(&s, 2)
			got[i] = fmt.Sprintf("%v, at %#x, CR2 %#x, registers %x", &end, end.rip, end.cr2, g.cpu.R[:16])
		}
		relied = max(relied, len(guests[1].eng.places))
		if got[0] != got[1] {
			t.Fatalf("run %d at %#x, kinds %v, page gone: %v\n%s\nplaced: %s", n, base, kind, gone, got[0], got[1])
		}
	}
	if s := guests[1].eng.Stats(); s.Promoted == 0 || s.Moved == 0 || relied == 0 {
		t.Errorf("%d spaces promoted, %d regions moved, %d pages relied on", s.Promoted, s.Moved, relied)
	}
}

// TestPlacedCodeFollowsINVLPG has a program call a function on another page before and after a
// system call that maps another page there.
func TestPlacedCodeFollowsINVLPG(t *testing.T) {
	const (
		base  = 0x550000400000
		stack = 0x7f0000100000
		view  = 0x31000000 // the page table with the function's page
	)
	user := []byte{
		0xe8, 0xfb, 0x0f, 0, 0, // 0: call page 1
		0xff, 0xcb, 0x75, 0xf7, // dec ebx; jnz 0
		0x0f, 0x05, // syscall
		0xe8, 0xf0, 0x0f, 0, 0, // b: call page 1
		0x41, 0xff, 0xcc, 0x75, 0xf6, // dec r12d; jnz b
		0xcc,
	}
	system := []byte{
		0x48, 0x89, 0x07, // mov [rdi], rax
		0x0f, 0x01, 0x3e, // invlpg [rsi]
		0x48, 0x0f, 0x07, // sysretq
	}
	r := newProgramRig(t, "threshold=1,memory=window-now")
	for i, g := range r.guests {
		b := g.ram.Bytes
		copy(b[guestCode:], user)
		copy(b[guestCalls:], system)
		for k := range uint64(2) {
			copy(b[guestData+k*pageSize:], []byte{0x48, 0x83, 0xc5, 1 + byte(k)*16, 0xc3}) // add rbp, ...; ret
		}
		g.mapPage(base, guestCode|0x25)
		g.mapPage(stack, guestData+2*pageSize|7)
		g.cpu.DropCode()
		for n := range 20 {
			old, next := uint64(n%2), uint64(n+1)%2
			g.mapPage(base+pageSize, guestData+old*pageSize|0x25)
			pte := g.pte(base + pageSize)
			g.mapPage(view, pte&^(pageSize-1)|3)
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			clear(s.R[:16])
			s.RIP, s.R[x86.RSP], s.R[x86.RBX], s.R[x86.R12] = base, stack+0x800, 30, 20
			s.R[x86.RAX], s.R[x86.RDI], s.R[x86.RSI] = guestData+next*pageSize|0x25, view+pte%pageSize, base+pageSize
			end := g.run(&s, 2)
			if want := 30*(1+old*16) + 20*(1+next*16); end.vec != x86.ExcBP || g.cpu.R[x86.RBP] != want {
				t.Fatalf("guest %d, run %d: %v, RBP is %d, want %d", i, n, &end, g.cpu.R[x86.RBP], want)
			}
			if i > 0 && n > 0 && len(g.eng.places) == 0 {
				t.Fatal("nothing relies on the page")
			}
		}
	}
}
