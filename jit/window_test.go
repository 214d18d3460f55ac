package jit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hotblock/jit/host"
	"hotblock/mmu"
	"hotblock/x86"
)

// TestWindow runs random programs of CPL 3 with their memory in windows, which must
// have been of use. One at a time: the host has room for one.
func TestWindow(t *testing.T) {
	for _, opts := range []string{"threshold=1,memory=window-now", "threshold=2,verify=all,memory=window-now"} {
		r := newProgramRig(t, opts)
		r.run(t, 9_000_000, 400)
		g := r.guests[1]
		s := g.eng.Stats()
		if s.Promoted == 0 || s.WindowFaults == 0 || s.Mapped == 0 || s.Unmapped == 0 {
			t.Errorf("%s: %d spaces promoted, %d faults, %d pages mapped, %d unmapped", g.name, s.Promoted, s.WindowFaults, s.Mapped, s.Unmapped)
		}
		g.eng.Close()
	}
}

// TestIndexOfUngroupedAccess has an index used twice: with a displacement that no test
// allows for, and then off a base that has been tested. The second access must not take the
// index for small, and reach what the host has where the sum leads.
func TestIndexOfUngroupedAccess(t *testing.T) {
	g := newGuest(t, configOf(t, "threshold=1,memory=window-now"))
	const data = 0x10000000
	code := []byte{
		0x48, 0x8b, 0x07, // mov rax, [rdi]
		0x48, 0x8b, 0x04, 0x0d, 0x00, 0xf0, 0xff, 0xff, // mov rax, [rcx-0x1000]
		0x48, 0x8b, 0x04, 0x0f, // mov rax, [rdi+rcx]
		0xcc,
	}
	secret, err := mmu.NewBlock("secret", pageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Free()
	g.mapPage(progCode, guestCode|7)
	g.mapPage(data, guestData|7)
	copy(g.ram.Bytes[guestCode:], code)
	g.cpu.DropCode()
	run := func(rcx uint64) trap {
		s := g.base
		guestMode{cpl: 3}.segments(&s, 0, 0)
		clear(s.R[:16])
		s.RIP, s.R[x86.RDI], s.R[x86.RCX] = progCode, data, rcx
		return g.run(&s, 2)
	}
	for range 4 { // promoted, and translated
		if tr := run(0x1000 + data - data); tr.vec != x86.ExcPF && tr.vec != x86.ExcBP {
			t.Fatal(&tr)
		}
	}
	rcx := uint64(hostAddress(secret.Bytes)) - g.eng.sh.context.WinDelta[lowPart] - data
	g.mapPage((rcx-0x1000)&^(pageSize-1), guestData|7)
	g.mapPage(0, guestData|7)
	for range 4 {
		if tr := run(rcx); tr.vec != x86.ExcPF && tr.vec != x86.ExcGP || tr.rip == progCode {
			t.Fatalf("an index led out of the window: %v, RAX %#x", &tr, g.cpu.R[x86.RAX])
		}
	}
	if g.eng.Stats().Promoted == 0 {
		t.Error("there was no window")
	}
}

// TestWindowParts has a loop access memory through pointers into all parts of a window
// and out of it, with its code and stack in different parts. A pointer that leads
// nowhere ends a run, at the same instruction in both CPUs, and must not lead
// into the host's memory.
func TestWindowParts(t *testing.T) {
	const (
		low, high       = 0x10000000, 0x7f0010000000
		mid, mid2, mid3 = 0x300010000000, 0x200010000000, 0x3f0000000000
		pages           = 4
		table           = 0x12000000
	)
	code := []byte{
		0x48, 0x8b, 0x04, 0xce, // 0: mov rax, [rsi+rcx*8]
		0x48, 0x83, 0x40, 0x08, 0x01, // add qword [rax+8], 1
		0x48, 0x8b, 0x10, // mov rdx, [rax]
		0x48, 0x01, 0xd3, // add rbx, rdx
		0x0f, 0xb6, 0x50, 0x10, // movzx edx, byte [rax+0x10]
		0x48, 0x03, 0x1c, 0xd0, // add rbx, [rax+rdx*8]
		0x4c, 0x8d, 0x40, 0x20, // lea r8, [rax+0x20]
		0x49, 0x03, 0x58, 0xe8, // add rbx, [r8-0x18]
		0x4b, 0x03, 0x1c, 0x10, // add rbx, [r8+r10]
		0x64, 0x48, 0x03, 0x1c, 0x25, 0x28, 0, 0, 0, // add rbx, fs:[0x28]
		0x48, 0x03, 0x1d, 0x40, 0, 0, 0, // add rbx, [rip+0x40]
		0x53,             // push rbx
		0x48, 0x39, 0xd3, // cmp rbx, rdx
		0x48, 0x8b, 0x78, 0x18, // mov rdi, [rax+0x18]
		0x48, 0x11, 0xfb, // adc rbx, rdi
		0x5f,       // pop rdi
		0xff, 0xc1, // inc ecx
		0x83, 0xe1, 0x0f, // and ecx, 15
		0x49, 0xff, 0xcd, // dec r13
	}
	code = append(code, 0x75, byte(-len(code)-2), 0xcc)

	guests := []*guest{newGuest(t, nil)}
	guests = append(guests, newGuest(t, configOf(t, "threshold=1,memory=window-now")))
	bases := []uint64{low, high, mid, mid2, mid3}
	codes := []uint64{progCode, 0x550000400000, 0x280000400000}
	for _, g := range guests {
		for i, b := range bases {
			for p := range uint64(pages) {
				g.mapPage(b+p*pageSize, guestData+(uint64(i)*pages+p)*pageSize|7)
			}
		}
		g.mapPage(table, guestData+0x40000|7)
		for _, va := range codes {
			g.mapPage(va, guestCode|7)
		}
		copy(g.ram.Bytes[guestCode:], code)
		g.cpu.DropCode()
	}
	wild := []uint64{0x150010000000, 0x500000000000, 1 << 47, 0xffff800010000000, 1<<62 | high, 1<<46 - 8, 1<<47 - 8, 0x4000_0000_0000_0000, ^uint64(7)}
	r := rand.New(rand.NewPCG(7, 7))
	ends := map[int]int{}
	for n := range 300 {
		data := make([]byte, len(bases)*pages*pageSize+0x40000)
		for i := range data[:len(bases)*pages*pageSize] {
			data[i] = byte(r.Uint32())
		}
		few := 1 + r.IntN(len(bases))
		var list [16]uint64
		for i := range list {
			list[i] = bases[r.IntN(few)] + r.Uint64N((pages-1)*pageSize)&^7
		}
		if n%4 == 3 {
			list[r.IntN(16)] = wild[r.IntN(len(wild))]
		}
		var end [2]trap
		var regs [2][16]uint64
		var flags [2]uint64
		for i, g := range guests {
			copy(g.ram.Bytes[guestData:], data)
			for k, va := range list {
				binary.LittleEndian.PutUint64(g.ram.Bytes[guestData+0x40000+8*k:], va)
			}
			s := g.base
			guestMode{cpl: 3}.segments(&s, bases[n%len(bases)]+64, 0)
			clear(s.R[:16])
			s.RIP, s.R[x86.RSP], s.R[x86.RSI], s.R[x86.R13] = codes[n%len(codes)], bases[n/5%len(bases)]+pageSize, table, 200
			end[i] = g.run(&s, 2)
			regs[i] = [16]uint64(g.cpu.R[:16])
			flags[i] = g.cpu.ArithFlags()
		}
		ends[end[0].vec]++
		same := end[0].vec == end[1].vec && end[0].err == end[1].err && end[0].cr2 == end[1].cr2 && end[0].rip == end[1].rip && end[0].rsp == end[1].rsp
		if !same || regs[0] != regs[1] || end[0].vec == x86.ExcBP && flags[0] != flags[1] {
			t.Fatalf("program %d: %v\n%x\nwith a window %v\n%x", n, &end[0], regs[0], &end[1], regs[1])
		}
		for i := range data {
			if a, b := guests[0].ram.Bytes[guestData+i], guests[1].ram.Bytes[guestData+i]; a != b {
				t.Fatalf("program %d: byte %#x is %#x, with a window %#x", n, i, a, b)
			}
		}
	}
	if ends[x86.ExcBP] < 100 || ends[x86.ExcPF] < 10 || ends[x86.ExcGP] < 10 {
		t.Errorf("runs ended by exceptions: %v", ends)
	}
	if s := guests[1].eng.Stats(); s.Promoted == 0 || s.Mapped == 0 {
		t.Errorf("%d spaces promoted, %d pages mapped", s.Promoted, s.Mapped)
	}
}

// TestWindowTable looks at where accesses by the table go, in the window and beside it, with all kinds
// of upper bits and at all distances that there are.
func TestWindowTable(t *testing.T) {
	const reach = host.WindowGuard
	offsets := [...]uint64{0, 1, reach - 1, math.MaxUint64, math.MaxUint64 - reach + 2}
	for i := range 256 {
		type target struct{ delta, low, high uint64 } // where an access may lead to
		targets := []target{{awayDelta(i), 0, 0}}
		for p, size := range partSizes {
			start := uint64(i) << lowBits
			switch windowPart(p) {
			case highPart:
				if start = 1 << highBit; i>>(highBit-lowBits) != 1 {
					continue
				}
			case lowPart:
				if i != 0 {
					continue
				}
			case midPart:
				if i == 0 || i >= 1<<(highBit-lowBits) {
					continue
				}
			}
			for _, h := range [...]uint64{reach, 1<<47 - size - reach} {
				targets = append(targets, target{h - start, h - reach, h + size + reach})
			}
		}
		for upper := range uint64(1 << 12) {
			for _, lower := range [...]uint64{0, 1, 1 << 43, 1<<lowBits - 1} {
				va := upper<<52 | uint64(i)<<lowBits | lower
				for _, off := range offsets {
					for _, d := range targets {
						if at := va + d.delta + off; at < 1<<47 && (at < d.low || at >= d.high) {
							t.Fatalf("address %#x with offset %#x leads to %#x", va, off, at)
						}
					}
				}
			}
		}
	}
}

// TestWindowOfPageThatComesAndGoes has the system take a page away in each turn, which the program then accesses: mapping
// it again each time is worse than no window.
func TestWindowOfPageThatComesAndGoes(t *testing.T) {
	const data, turns = 0x7f0010000000, 4 * windowBusy * windowBad
	r := newProgramRig(t, "threshold=1,memory=window-now")
	for i, g := range r.guests {
		copy(g.ram.Bytes[guestCalls:], []byte{0x0f, 0x01, 0x3f, 0x48, 0x0f, 0x07}) // invlpg [rdi]; sysretq
		copy(g.ram.Bytes[guestCode:], []byte{
			0x48, 0x03, 0x37, // 0: add rsi, [rdi]
			0x0f, 0x05, // syscall
			0xff, 0xcb, 0x75, 0xf7, // dec ebx; jnz 0
			0xcc,
		})
		g.mapPage(progCode, guestCode|0x25)
		g.mapPage(data, guestData|0x67)
		binary.LittleEndian.PutUint64(g.ram.Bytes[guestData:], 3)
		g.cpu.DropCode()
		s := g.base
		guestMode{cpl: 3}.segments(&s, 0, 0)
		clear(s.R[:16])
		s.RIP, s.R[x86.RDI], s.R[x86.RBX] = progCode, data, turns
		if end := g.run(&s, 2); end.vec != x86.ExcBP || g.cpu.R[x86.RSI] != 3*turns {
			t.Fatalf("%s: %v, RSI is %d", g.name, &end, g.cpu.R[x86.RSI])
		}
		if i == 0 {
			continue
		}
		if n := g.eng.Stats().WindowFaults; n == 0 || n > turns/2 {
			t.Errorf("%d faults in %d turns", n, turns)
		}
	}
}

// TestCodeInMovedPart has code in the middle part of a window, which is entered by a steady jump.
// When the middle part is somewhere else, what that code accesses relative to RIP must not be taken
// to be in it.
func TestCodeInMovedPart(t *testing.T) {
	const (
		far, other, data = 0x280000400000, 0x180000400000, 0x10000000
	)
	code := []byte{
		0x48, 0x8b, 0x07, // 0: mov rax, [rdi]
		0xff, 0x14, 0x25, 0, 0, 0, 0x10, // call [data]
		0xff, 0xcb, 0x75, 0xf2, // dec ebx; jnz 0
		0xcc,
	}
	function := []byte{
		0x48, 0x03, 0x2d, 0xf9, 0, 0, 0, // add rbp, [rip+0xf9]
		0xc3,
	}
	r := newProgramRig(t, "threshold=1,memory=window-now")
	for i, g := range r.guests {
		b := g.ram.Bytes
		copy(b[guestCode:], code)
		copy(b[guestCode+0x40:], []byte{0x48, 0x8b, 0x07, 0xcc}) // mov rax, [rdi]; int3
		copy(b[guestData:], function)
		binary.LittleEndian.PutUint64(b[guestData+0x100:], 3)
		binary.LittleEndian.PutUint64(b[guestData+pageSize:], far)
		g.mapPage(progCode, guestCode|0x25)
		g.mapPage(far, guestData|0x27)
		g.mapPage(data, (guestData+pageSize)|0x67)
		g.mapPage(other, (guestData+2*pageSize)|0x67)
		g.mapPage(data+pageSize, (guestData+3*pageSize)|0x67)
		g.cpu.DropCode()
		for n := range 12 {
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			clear(s.R[:16])
			s.RIP, s.R[x86.RSP], s.R[x86.RBX], s.R[x86.RDI] = progCode, data+2*pageSize, 30, far
			if n%4 >= 2 {
				s.R[x86.RDI] = other // is accessed first
			}
			if n%4 == 1 {
				g.cpu.DropCode() // to translate it when the middle part is there
			}
			if i > 0 && n%2 == 0 && n > 0 {
				g.eng.emptyWindow()
			}
			want := uint64(90)
			if n%4 == 2 {
				s.RIP, want = progCode+0x40, 0
			}
			if end := g.run(&s, 2); end.vec != x86.ExcBP || g.cpu.R[x86.RBP] != want {
				t.Fatalf("guest %d, run %d: %v, RBP is %d", i, n, &end, g.cpu.R[x86.RBP])
			}
			if i == 0 {
				continue
			}
			for _, r := range g.eng.regions {
				// The host's memory may be where it would lead.
				if !r.dead && r.windowed && r.part == midPart && r.base>>lowBits != g.eng.win.mid {
					t.Fatalf("run %d: code at %#x is for the middle part, which is at %#x", n, r.base, g.eng.win.mid<<lowBits)
				}
			}
		}
	}
	if s := r.guests[1].eng.Stats(); s.Promoted < 3 {
		t.Errorf("%d spaces promoted", s.Promoted)
	}
}

// TestLoopOverTheEndOfAPart has loops that go through memory by a constant step, tested once in front of
// the loop, across the ends of the parts of a window, where the guest has memory on both sides or on
// one. What they do and where they end has to be as in the interpreter.
func TestLoopOverTheEndOfAPart(t *testing.T) {
	const (
		pages = 6 // on each side
		table = guestData
	)
	centres := []uint64{1 << 44, 1 << 46, 1<<47 - pages*pageSize, 0x7f0010000000, 0x10000000, 3 << 44}
	loops := []func(step int32) []byte{
		func(step int32) []byte { // add qword [rsi], 1; add rsi, step; inc ebx; dec ecx; jnz
			b := append([]byte{0x48, 0x83, 0x06, 1, 0x48, 0x81, 0xc6}, le32(step)...)
			return append(b, 0xff, 0xc3, 0xff, 0xc9, 0x75, 0xef, 0xcc)
		},
		func(step int32) []byte { // mov rax, [rsi+8]; add [rsi], rax; lea rsi, [rsi+step]; adc rbx, 3; dec ecx; jnz
			b := append([]byte{0x48, 0x8b, 0x46, 8, 0x48, 0x01, 0x06, 0x48, 0x8d, 0xb6}, le32(step)...)
			return append(b, 0x48, 0x83, 0xd3, 3, 0xff, 0xc9, 0x75, 0xea, 0xcc)
		},
		func(step int32) []byte { // movzx eax, byte [rsi]; add rbx, rax; inc rsi or dec rsi; dec ecx; jnz
			op := byte(0xc6)
			if step < 0 {
				op = 0xce
			}
			return []byte{0x0f, 0xb6, 0x06, 0x48, 0x01, 0xc3, 0x48, 0xff, op, 0xff, 0xc9, 0x75, 0xf3, 0xcc}
		},
		func(step int32) []byte { // the same, with a way around the access: mov eax, esi; and eax, 64; jz; or byte [rsi], 1; add rsi, step
			b := append([]byte{0x89, 0xf0, 0x83, 0xe0, 64, 0x74, 3, 0x80, 0x0e, 1, 0x48, 0x81, 0xc6}, le32(step)...)
			return append(b, 0xff, 0xc9, 0x75, 0xeb, 0xcc)
		},
		func(step int32) []byte { // dec ecx; jz out; add rsi, step; test ecx, 0x3ffff; jnz; add qword [rsi], 1; jmp
			step = step>>31<<21 | 1<<20 // a megabyte, this way or that
			b := append([]byte{0xff, 0xc9, 0x74, 21, 0x48, 0x81, 0xc6}, le32(step)...)
			return append(b, 0xf7, 0xc1, 0xff, 0xff, 3, 0, 0x75, 0xed, 0x48, 0x83, 0x06, 1, 0xeb, 0xe7, 0xcc)
		},
		func(step int32) []byte { // mov edx, 50; (add qword [rsi], 1; add rsi, step; dec edx; jnz); dec ecx; jnz
			b := append([]byte{0xba, 50, 0, 0, 0, 0x48, 0x83, 0x06, 1, 0x48, 0x81, 0xc6}, le32(step)...)
			return append(b, 0xff, 0xca, 0x75, 0xf1, 0xff, 0xc9, 0x75, 0xe8, 0xcc)
		},
		func(step int32) []byte { // mov edx, 50; (mov rax, [rdi]; add [rsi], rax; jc over; inc rbx; add rsi, step; dec edx; jnz); dec ecx; jnz
			b := append([]byte{0xba, 50, 0, 0, 0, 0x48, 0x8b, 0x07, 0x48, 0x01, 0x06, 0x72, 3, 0x48, 0xff, 0xc3, 0x48, 0x81, 0xc6}, le32(step)...)
			return append(b, 0xff, 0xca, 0x75, 0xea, 0xff, 0xc9, 0x75, 0xe1, 0xcc)
		},
	}
	// One machine of a process has a window.
	for _, settings := range []string{"threshold=1", "threshold=4", "threshold=4,region=eager"} {
		t.Run(settings, func(t *testing.T) {
			guests := []*guest{newGuest(t, nil), newGuest(t, configOf(t, settings+",memory=window-now"))}
			for _, g := range guests {
				for i, c := range centres {
					for n := range uint64(2 * pages) {
						if i == 5 && n >= pages {
							continue // nothing there
						}
						if va := c + (n-pages)*pageSize; va < 1<<47 {
							g.mapPage(va, table+(uint64(i)*2*pages+n)*pageSize|7)
						}
					}
				}
				for _, va := range []uint64{progCode, 0x550000400000} {
					g.mapPage(va, guestCode|7)
				}
			}
			r := rand.New(rand.NewPCG(5, 8))
			steps := []int32{8, -8, 1, -1, 64, -64, 1000, -1000, pageSize, -pageSize, 3 * pageSize, -3 * pageSize, 1 << 20, -1 << 20, 1 << 21}
			ends := map[int]int{}
			for n := range 800 {
				code := loops[n%len(loops)](steps[r.IntN(len(steps))])
				start := centres[r.IntN(len(centres))] + r.Uint64N(2*pages*pageSize) - pages*pageSize
				count := 1 + r.Uint64N(20000)
				switch n % len(loops) {
				case 4:
					count = 420000 // farther than a guard is long
				case 5, 6:
					count = count/50 + 1
				}
				at := r.Uint64N(pageSize - 64) // a place where code has kept off the window stays without it
				other := centres[r.IntN(len(centres))] - pageSize + r.Uint64N(pageSize-8)
				data := make([]byte, len(centres)*2*pages*pageSize)
				for i := range data {
					data[i] = byte(r.Uint32())
				}
				var first string
				var after []byte
				for i, g := range guests {
					copy(g.ram.Bytes[guestCode+at:], code)
					g.cpu.DropCode()
					var tr trap
					for range 2 { // what has run is known the second time, and the window is there
						copy(g.ram.Bytes[guestData:], data)
						s := g.base
						guestMode{cpl: 3}.segments(&s, 0, 0)
						s.RIP, s.R[x86.RSI], s.R[x86.RDI], s.R[x86.RCX] = []uint64{progCode, 0x550000400000}[n/len(loops)%2]+at, start, other, count
						tr = g.run(&s, 2)
					}
					tr.flags &^= arith // dead ones may be anything in a fault's frame
					out := fmt.Sprintf("%v; RAX %#x RBX %#x RCX %#x RSI %#x", &tr, g.cpu.R[x86.RAX], g.cpu.R[x86.RBX], g.cpu.R[x86.RCX], g.cpu.R[x86.RSI])
					if i == 0 {
						first, after = out, bytes.Clone(g.ram.Bytes[guestData:][:len(data)])
						ends[tr.vec]++
					} else if out != first {
						t.Fatalf("%d, % x, RSI %#x, RCX %d: %s:\n%s\ninterpreter:\n%s", n, code, start, count, g.name, out, first)
					} else if !bytes.Equal(after, g.ram.Bytes[guestData:][:len(data)]) {
						t.Fatalf("%d, % x, RSI %#x, RCX %d: %s: memory differs", n, code, start, count, g.name)
					}
				}
			}
			if ends[x86.ExcBP] < 50 || ends[x86.ExcPF] < 50 || ends[x86.ExcGP] < 5 || guests[1].eng.Stats().Promoted == 0 {
				t.Errorf("ends %v", ends)
			}
		})
	}
}

func le32(v int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
