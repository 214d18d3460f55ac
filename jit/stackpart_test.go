package jit

import (
	"testing"

	"hotblock/x86"
)

// TestEdgesKnowTheStack looks at what edges of regions know of where RSP is: what an access off RSP has shown that was made
// on the way, if RSP is close to that still, or what the region knew when it was entered, if RSP is the same.
func TestEdgesKnowTheStack(t *testing.T) {
	const stack = 0x7f0020000000
	jmp := []byte{0xe9, 0xfb, 0x0f, 0, 0}       // a page ahead, where there is INT3 everywhere
	je := []byte{0x0f, 0x84, 0xfa, 0x0f, 0, 0}  // not taken
	push := []byte{0x50}                        // push rax
	pop := []byte{0x59}                         // pop rcx
	add8 := []byte{0x48, 0x83, 0xc4, 8}         // add rsp, 8
	lea := []byte{0x48, 0x8d, 0xa4, 0x24, 0, 0} // lea rsp, [rsp+...], with the upper half of the displacement to follow
	test := []byte{0x85, 0xd2}                  // test edx, edx
	r := newProgramRig(t, "threshold=1,memory=window-now,region=eager")
	for _, c := range []struct {
		name  string
		code  [][]byte
		knows string // of each edge
	}{
		{"push", [][]byte{push, jmp}, "y"},
		{"moved", [][]byte{add8, jmp}, "n"},
		{"moved far", [][]byte{push, lea, {0xe0, 0xff}, jmp}, "n"},
		{"moved and back", [][]byte{lea, {0xe0, 0xff}, push, lea, {0x20, 0}, jmp}, "n"},
		{"moved a little", [][]byte{push, lea, {0xff, 0xff}, jmp}, "y"},
		{"replaced", [][]byte{push, {0x48, 0x89, 0xfc}, jmp}, "n"},                             // mov rsp, rdi
		{"index", [][]byte{{0xb9, 1, 0, 0, 0, 0x48, 0x03, 0x04, 0xcc}, add8, jmp}, "n"},        // mov ecx, 1; add rax, [rsp+rcx*8]
		{"vector", [][]byte{{0x0f, 0x10, 0x04, 0x24}, add8, jmp}, "n"},                         // movups xmm0, [rsp]: others are masked, and may access nothing
		{"frame", [][]byte{{0x48, 0x89, 0xe5, 0x48, 0x03, 0x45, 8, 0xc9}, jmp}, "y"},           // mov rbp, rsp; add rax, [rbp+8]; leave
		{"other frame", [][]byte{{0x48, 0x03, 0x47, 8, 0x48, 0x89, 0xec}, jmp}, "n"},           // add rax, [rdi+8]; mov rsp, rbp
		{"before", [][]byte{test, je, pop, jmp}, "yy"},                                         // it was tested, and has not moved
		{"before and moved", [][]byte{test, je, add8, test, je, pop, test, je}, "yny"},         // then it has moved, then it is accessed
		{"nothing", [][]byte{test, je, {0x48, 0xff, 0xc0}, jmp}, "nn"},                         // inc rax
		{"call", [][]byte{{0xe8, 0xfb, 0x0f, 0, 0}}, "y"},                                      // call
		{"loop", [][]byte{push, {0x58, 0xff, 0xc9, 0x75, 0xfb}, jmp}, "y"},                     // pop rax in a loop
		{"around", [][]byte{push, {0x90, 0x48, 0xff, 0xc0, 0xff, 0xc9, 0x75, 0xf9}, jmp}, "n"}, // a loop after it: paths meet
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, g := range r.guests {
				b := g.ram.Bytes[guestCode:]
				for n := range 3 * pageSize {
					b[n] = 0xcc
				}
				at := b
				for _, part := range c.code {
					at = at[copy(at, part):]
				}
				for n := range uint64(3) {
					g.mapPage(progCode+n*pageSize, (guestCode+n*pageSize)|0x25)
				}
				for n := range uint64(4) {
					g.mapPage(stack+n*pageSize, (guestData+n*pageSize)|0x67)
				}
				g.cpu.DropCode()
				for range 3 {
					s := g.base
					guestMode{cpl: 3}.segments(&s, 0, 0)
					clear(s.R[:16])
					s.RIP, s.R[x86.RSP], s.R[x86.RDI], s.R[x86.RBP], s.R[x86.RDX] = progCode, stack+2*pageSize, stack, stack, 1
					s.R[x86.RCX] = 2
					g.run(&s, 2)
				}
				if i == 0 {
					continue
				}
				got := ""
				for _, r := range g.eng.regions {
					if r.dead || !r.placed || r.base+uint64(r.goff) != progCode {
						continue
					}
					got = ""
					for id := r.firstSite; id < r.endSite; id++ {
						if s := g.eng.sites.at(id); s.kind == siteEdge {
							got += map[bool]string{false: "n", true: "y"}[s.stack != 0]
						}
					}
				}
				if got != c.knows {
					t.Errorf("edges know: %q, want %q", got, c.knows)
				}
			}
		})
	}
}

// TestSwappedRegionWithStackElsewhere has a region that keeps R10 and R11 in host registers of others, with the stack in
// one part of the window and then in another: it is left before these are exchanged.
func TestSwappedRegionWithStackElsewhere(t *testing.T) {
	const high, low = 0x7f0020000000, 0x20000000
	code := []byte{
		0x4c, 0x03, 0x14, 0x24, // 0: add r10, [rsp]
		0x4d, 0x01, 0xd3, // add r11, r10
		0x4d, 0x8d, 0x54, 0x13, 1, // lea r10, [r11+rdx+1]
		0x4d, 0x31, 0xd3, // xor r11, r10
		0x49, 0xff, 0xc2, // inc r10
		0x4d, 0x01, 0xda, // add r10, r11
		0xff, 0xc9, 0x75, 0xe8, // dec ecx; jnz 0
		0xcc,
	}
	r := newProgramRig(t, "threshold=1,memory=window-now,region=eager")
	for n := range 16 {
		var first [16]uint64
		if n == 8 {
			code[1] = 0x13 // adc: flags are live in front of the region
		}
		for i, g := range r.guests {
			if n%8 == 0 {
				copy(g.ram.Bytes[guestCode:], code)
				g.mapPage(progCode, guestCode|0x25)
				g.mapPage(high, guestData|0x67)
				g.mapPage(low, (guestData+pageSize)|0x67)
				g.cpu.DropCode()
			}
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			for k := range uint64(16) {
				s.R[k] = 0x1111 * k
			}
			s.RIP, s.R[x86.RSP], s.R[x86.RCX] = progCode, []uint64{high, low}[n/2%2]+0x100, 50
			end := g.run(&s, 2)
			if i == 0 {
				first = [16]uint64(g.cpu.R[:16])
			}
			if end.vec != x86.ExcBP || first != [16]uint64(g.cpu.R[:16]) {
				t.Fatalf("run %d: %v, registers\n%x, by the interpreter\n%x", n, &end, g.cpu.R[:16], first)
			}
			if i == 0 || n%8 != 0 {
				continue
			}
			swapped := false
			for _, r := range g.eng.regions {
				swapped = swapped || r.swaps != nil && r.known != 0
			}
			if !swapped {
				t.Error("no region has registers elsewhere and a test of RSP in front of it")
			}
		}
	}
}
