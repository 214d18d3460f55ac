package jit

import (
	"encoding/binary"
	"testing"

	"hotblock/x86"
)

// TestGuessFollowsPointers has code in the high part of a window follow pointers that lead to the low one, and on from
// there. Nothing it does tells where but what is in memory: no access may be outside of the part that it was
// tested for.
func TestGuessFollowsPointers(t *testing.T) {
	const code, table, node = 0x7f0000400000, 0x7f0010000000, 0x10000000
	g := newGuest(t, configOf(t, "threshold=4,memory=window-now"))
	g.mapPage(code, guestCode|0x25)
	g.mapPage(table, guestData|0x27)
	g.mapPage(node, (guestData+pageSize)|0x67)
	b := g.ram.Bytes
	copy(b[guestCode:], []byte{
		0x48, 0x8b, 0x04, 0xce, // 0: mov rax, [rsi+rcx*8]
		0x48, 0x8b, 0x50, 0x08, // mov rdx, [rax+8]
		0x48, 0x03, 0x5a, 0x10, // add rbx, [rdx+0x10]
		0xff, 0xc9, // dec ecx
		0x74, 0x02, // jz end
		0xff, 0xe7, // jmp rdi
		0xcc, // end
	})
	for i := range uint64(pageSize / 8) {
		binary.LittleEndian.PutUint64(b[guestData+8*i:], node+0x100)
	}
	binary.LittleEndian.PutUint64(b[guestData+pageSize+0x108:], node+0x200)
	binary.LittleEndian.PutUint64(b[guestData+pageSize+0x210:], 3)
	s := g.base
	guestMode{cpl: 3}.segments(&s, 0, 0)
	clear(s.R[:16])
	s.RIP, s.R[x86.RSP], s.R[x86.RSI], s.R[x86.RDI], s.R[x86.RCX] = code, table+pageSize, table, code, 500
	if end := g.run(&s, 2); end.vec != x86.ExcBP || g.cpu.R[x86.RBX] != 1500 {
		t.Fatalf("%v, RBX is %d", &end, g.cpu.R[x86.RBX])
	}
	if st := g.eng.Stats(); st.Promoted == 0 || st.Exits[siteOutside] != 0 {
		t.Errorf("%d spaces promoted, %d accesses outside of their part", st.Promoted, st.Exits[siteOutside])
	}
}

// TestIndexedAccesses has accesses with an index off a base that changes between them, by instructions of all kinds, and
// with registers of all kinds as base and index.
func TestIndexedAccesses(t *testing.T) {
	const data, stack = 0x7f0010000000, 0x7f0020000000
	var code []byte
	add := func(base, index byte) { // add rbx, [base+index*8+16]
		code = append(code, 0x48|base>>3|index>>3<<1, 0x03, 0x5c, 3<<6|index&7<<3|base&7, 16)
	}
	plain := func() {
		code = append(code, 0x48, 0x03, 0x58, 24, 0x49, 0x03, 0x59, 24) // add rbx, [rax+24]; add rbx, [r9+24]
	}
	for _, change := range [][]byte{
		{0x48, 0x83, 0xc0, 0x08},       // add rax, 8
		{0x48, 0x8d, 0x40, 0x08},       // lea rax, [rax+8]
		{0x48, 0x8d, 0x04, 0x08},       // lea rax, [rax+rcx]
		{0x48, 0xff, 0xc0},             // inc rax
		{0x48, 0x89, 0xf0},             // mov rax, rsi
		{0x50, 0x48, 0xff, 0xc0, 0x58}, // push rax; inc rax; pop rax
		{0x48, 0x97, 0x48, 0x97},       // xchg rax, rdi; xchg rax, rdi
		{0x48, 0x97},                   // xchg rax, rdi
		{0x48, 0x0f, 0x44, 0xc6},       // cmovz rax, rsi
		{0xb0, 0x40},                   // mov al, 0x40
		{0x48, 0x8b, 0x06},             // mov rax, [rsi]
		{0x4c, 0x89, 0xc8},             // mov rax, r9
		{0x49, 0x89, 0xc1},             // mov r9, rax
		{0x4d, 0x8d, 0x49, 0x08},       // lea r9, [r9+8]
		{0x49, 0xff, 0xc1},             // inc r9
		{0x48, 0x89, 0xf0},             // mov rax, rsi
		{0x48, 0x8b, 0x40, 0x20},       // mov rax, [rax+0x20]
	} {
		plain() // what is tested for these does for those with an index
		for _, r := range [][2]byte{{x86.RAX, x86.RDX}, {x86.RAX, x86.RDX}, {x86.R9, x86.RDX}, {x86.R9, x86.R10}, {x86.RAX, x86.R10}} {
			add(r[0], r[1])
		}
		code = append(code, change...)
		plain()
		add(x86.RAX, x86.RDX)
		add(x86.R9, x86.RDX)
		add(x86.RAX, x86.RDX)
	}
	code = append(code, 0x44, 0x01, 0xd2, 0x83, 0xe2, 0x3f) // add edx, r10d; and edx, 63
	code = append(code, 0x41, 0xff, 0xcd, 0x0f, 0x85)       // dec r13d; jnz to the beginning
	code = binary.LittleEndian.AppendUint32(code, uint32(-len(code)-4))
	code = append(code, 0xcc)
	var first [16]uint64
	for i, g := range []*guest{newGuest(t, nil), newGuest(t, configOf(t, "threshold=4,memory=window-now"))} {
		g.mapPage(progCode, guestCode|0x25)
		g.mapPage(data, guestData|0x67)
		g.mapPage(stack, (guestData+pageSize)|0x67)
		b := g.ram.Bytes
		copy(b[guestCode:], code)
		for n := range uint64(pageSize / 8) {
			binary.LittleEndian.PutUint64(b[guestData+8*n:], data+n*0x10%0x400)
		}
		s := g.base
		guestMode{cpl: 3}.segments(&s, 0, 0)
		clear(s.R[:16])
		s.RIP, s.R[x86.RSP], s.R[x86.R13], s.R[x86.R10], s.R[x86.RCX] = progCode, stack+pageSize, 300, 5, 8
		s.R[x86.RAX], s.R[x86.RSI], s.R[x86.RDI], s.R[x86.R9] = data+0x40, data+0x80, data+0xc0, data+0x100
		end := g.run(&s, 2)
		if i == 0 {
			first = [16]uint64(g.cpu.R[:16])
		}
		if end.vec != x86.ExcBP || first != [16]uint64(g.cpu.R[:16]) {
			t.Fatalf("%s: %v, registers\n%x, by the interpreter\n%x", g.name, &end, g.cpu.R[:16], first)
		}
		if i > 0 && g.eng.Stats().Promoted == 0 {
			t.Error("there was no window")
		}
	}
}
