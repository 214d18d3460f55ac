package jit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"hotblock/x86"
)

// TestRepByWindow has REP MOVS and REP STOS of all sizes run in a window, with operands that overlap, cross
// pages that are not mapped on the host yet, may not be written, are not there, hold code, or are
// in other parts of the window or in none. Registers, memory and the trap at the end have to be those of the
// interpreter.
func TestRepByWindow(t *testing.T) {
	const (
		high  = 0x7f0010000000
		low   = 0x10000000
		pages = 24 // of which some are missing
		data  = guestData
		code  = 0x550000400000
	)
	missing := map[uint64]bool{9: true, 17: true}
	readOnly := map[uint64]bool{13: true, 21: true}
	const alias = 5 // the same memory as page 2
	frame := func(n uint64) uint64 {
		if n == alias {
			n = 2
		}
		return data + (n*7%pages)*pageSize
	}
	const codePage = 15 // the code is in it as well
	guests := []*guest{newGuest(t, nil)}
	for _, settings := range []string{"threshold=1,memory=window-now", "threshold=1,memory=window-now,flags=save"} {
		guests = append(guests, newGuest(t, configOf(t, settings)))
	}
	for _, g := range guests {
		for n := range uint64(pages) {
			for _, base := range []uint64{high, low} {
				pte := frame(n) | 7
				if readOnly[n] {
					pte &^= 2
				}
				if n == codePage {
					pte = guestCode | 7
				}
				if !missing[n] {
					g.mapPage(base+n*pageSize, pte)
				}
			}
		}
		g.mapPage(code, guestCode|7)
	}
	r := rand.New(rand.NewPCG(3, 4))
	variants := [][]byte{{0xf3, 0xa4}, {0xf3, 0x66, 0xa5}, {0xf3, 0xa5}, {0xf3, 0x48, 0xa5}, {0xf2, 0xa4}, {0xf3, 0xaa}, {0xf3, 0x66, 0xab}, {0xf3, 0xab}, {0xf3, 0x48, 0xab}}
	wild := []uint64{1 << 47, 1<<47 - 16, 1<<46 - 40, 0xffff800000000000, 1<<62 | high, 0, 0x150000000000}
	ends := map[int]int{}
	for i := range 1500 {
		// The flags are live behind it every second time.
		at := uint64(i % 40 * 64)
		b := append([]byte{0x48, 0x39, 0xd8}, variants[i%len(variants)]...) // cmp rax, rbx
		if i%2 == 0 {
			b = append(b, 0x0f, 0x92, 0xc2) // setc dl
		} else {
			b = append(b, 0x48, 0x31, 0xd2) // xor rdx, rdx
		}
		b = append(b, 0xcc)
		address := func() uint64 {
			switch base := uint64(high); r.IntN(20) {
			case 0:
				return wild[r.IntN(len(wild))]
			case 1:
				base = low
				fallthrough
			default:
				return base + r.Uint64N(pages*pageSize)
			}
		}
		var regs [x86.NumRegs]uint64
		for k := range regs[:16] {
			regs[k] = r.Uint64()
		}
		regs[x86.RSI], regs[x86.RDI] = address(), address()
		switch r.IntN(6) {
		case 0:
			regs[x86.RCX] = 0
		case 1:
			regs[x86.RCX] = r.Uint64N(16)
		case 2:
			regs[x86.RCX] = 1<<16 + r.Uint64N(1<<18)
		case 3:
			regs[x86.RCX] = r.Uint64() >> r.IntN(30)
		default:
			regs[x86.RCX] = r.Uint64N(3 * pageSize)
		}
		if r.IntN(3) == 0 { // close to one another
			regs[x86.RDI] = regs[x86.RSI] + r.Uint64N(200) - 100
		}
		memory := make([]byte, pages*pageSize)
		for k := range memory {
			memory[k] = byte(r.Uint32())
		}
		filler := bytes.Repeat([]byte{0xcc}, pageSize)
		copy(filler[at:], b)
		var first string
		var memoryAfter, codeAfter []byte
		for k, g := range guests {
			copy(g.ram.Bytes[data:], memory)
			copy(g.ram.Bytes[guestCode:], filler)
			g.cpu.DropCode()
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			s.R, s.RIP = regs, code+at
			s.R[x86.RSP] = high + 4*pageSize
			tr := g.run(&s, 2)
			c := g.cpu
			out := fmt.Sprintf("%v; RCX %#x RSI %#x RDI %#x DL %#x", &tr, c.R[x86.RCX], c.R[x86.RSI], c.R[x86.RDI], byte(c.R[x86.RDX]))
			if k == 0 {
				first = out
				ends[tr.vec]++
				memoryAfter, codeAfter = bytes.Clone(g.ram.Bytes[data:][:len(memory)]), bytes.Clone(g.ram.Bytes[guestCode:][:pageSize])
				continue
			}
			if out != first {
				t.Fatalf("%d, % x, RCX %#x RSI %#x RDI %#x: %s:\n%s\ninterpreter:\n%s", i, b, regs[x86.RCX], regs[x86.RSI], regs[x86.RDI], g.name, out, first)
			}
			if !bytes.Equal(memoryAfter, g.ram.Bytes[data:][:len(memory)]) || !bytes.Equal(codeAfter, g.ram.Bytes[guestCode:][:pageSize]) {
				t.Fatalf("%d, % x, RCX %#x RSI %#x RDI %#x: %s: memory differs", i, b, regs[x86.RCX], regs[x86.RSI], regs[x86.RDI], g.name)
			}
		}
	}
	if s := guests[1].eng.Stats(); s.Promoted == 0 || s.Mapped == 0 || ends[x86.ExcBP] < 100 || ends[x86.ExcPF] < 100 || ends[x86.ExcGP] < 5 {
		t.Errorf("ends %v, %d promoted, %d pages mapped", ends, s.Promoted, s.Mapped)
	}
}
