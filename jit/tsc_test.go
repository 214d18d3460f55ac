package jit

import (
	"testing"

	"hotblock/internal/hosttsc"
	"hotblock/x86"
)

// tscGuest is a guest whose time stamp counter is the host's, scaled, or stands still at
// tscDead while that is not known.
type tscGuest struct {
	*guest
	start uint64 // of the host's counter
	known bool
	asked int // how often the interpreter read it
}

const (
	tscBase = 5 << 32
	tscMult = 0xc000000000000000 // three quarters
	tscDead = 42
)

// at is what HostTSC promises for a value of the host's counter.
func (g *tscGuest) at(host uint64) uint64 { return tscBase + (host-g.start)/4*3 }

func newTSCGuest(t *testing.T) *tscGuest {
	g := &tscGuest{newGuest(t, engineConfig(1, 4<<20)), hosttsc.Read(), true, 0}
	g.cpu.TSC = func() uint64 {
		g.asked++
		if !g.known {
			return tscDead
		}
		return g.at(hosttsc.Read())
	}
	g.cpu.HostTSC = func() (host, guest, mult uint64, ok bool) {
		if !g.known {
			return 0, 0, 0, false
		}
		return g.start, tscBase, tscMult, true
	}
	g.mapPage(progCode, guestCode|7)
	for i := uint64(0); i < 2; i++ {
		g.mapPage(progStack+i*pageSize, physStack+i*pageSize|7)
	}
	return g
}

// run runs code from its start in a mode, with registers of which none is like another.
func (g *tscGuest) run(t *testing.T, mode guestMode, code []byte, set func(s *x86.State)) trap {
	t.Helper()
	copy(g.ram.Bytes[guestCode:], code)
	g.cpu.DropCode()
	s := g.base
	mode.segments(&s, 0, 0)
	for i := range s.R[:16] {
		s.R[i] = 0x01010101 * uint64(i+1)
	}
	s.RIP, s.R[x86.RSP] = progCode, progStack+2*pageSize
	s.TSCOffset, s.TSCAux = 1000, 0x12345678
	if set != nil {
		set(&s)
	}
	return g.guest.run(&s, 0x202|arith)
}

var (
	codeRdtsc  = []byte{0x0f, 0x31, 0xcc}       // rdtsc; int3
	codeRdtscp = []byte{0x0f, 0x01, 0xf9, 0xcc} // rdtscp; int3
)

// TestReadTSC runs each instruction by itself: its result is between what Go reads before
// and behind it, and nothing else changes.
func TestReadTSC(t *testing.T) {
	for _, mode := range []guestMode{{cpl: 3}, {cpl: 0}, {cpl: 3, compat: true}} {
		for i, code := range [][]byte{codeRdtsc, codeRdtscp} {
			g := newTSCGuest(t)
			for range 3 { // it is translated before it is hot
				before := g.at(hosttsc.Read()) + 1000
				tr := g.run(t, mode, code, nil)
				after := g.at(hosttsc.Read()) + 1000
				r := &g.cpu.R
				if tr.vec != x86.ExcBP || tr.flags&arith != arith {
					t.Fatalf("%+v, % x: %v", mode, code, &tr)
				}
				if r[x86.RAX]>>32 != 0 || r[x86.RDX]>>32 != 0 {
					t.Fatalf("%+v, % x: RAX %#x, RDX %#x", mode, code, r[x86.RAX], r[x86.RDX])
				}
				if v := r[x86.RDX]<<32 | r[x86.RAX]; v < before-3 || v > after+3 {
					t.Errorf("%+v, % x: %d, and Go reads %d before it and %d behind it", mode, code, v, before, after)
				}
				for n := range 16 {
					want := 0x01010101 * uint64(n+1)
					switch {
					case n == x86.RAX || n == x86.RDX || n == x86.RSP:
						continue
					case n == x86.RCX && i == 1:
						want = 0x12345678
					}
					if r[n] != want {
						t.Errorf("%+v, % x: %s is %#x, not %#x", mode, code, regNames[n], r[n], want)
					}
				}
			}
			if g.asked != 0 {
				t.Errorf("%+v, % x: the interpreter read the counter %d times", mode, code, g.asked)
			}
		}
	}
}

// TestTSCRises has a loop read the counter by both instructions and, in an instruction
// that the engine hands to the interpreter, by Go.
func TestTSCRises(t *testing.T) {
	code := []byte{
		0x0f, 0x31, // rdtsc
		0x48, 0xc1, 0xe2, 0x20, // shl rdx, 32
		0x48, 0x09, 0xc2, // or rdx, rax
		0x49, 0x89, 0xd0, // mov r8, rdx
		0x4c, 0x8b, 0x36, // mov r14, [rsi]: MMIO
		0x0f, 0x01, 0xf9, // rdtscp
		0x48, 0xc1, 0xe2, 0x20, // shl rdx, 32
		0x48, 0x09, 0xc2, // or rdx, rax
		0xcc, // int3
	}
	g := newTSCGuest(t)
	g.mapPage(progWindow, guestMMIO|7)
	var between uint64
	g.onMMIO = func() { between = g.cpu.TSC() + 1000 }
	var last uint64
	rounds := 0
	g.onTrap = func(tr *trap) bool {
		if tr.vec != x86.ExcBP {
			t.Errorf("round %d: %v", rounds, tr)
			return false
		}
		rdtsc, rdtscp := g.cpu.R[x86.R8], g.cpu.R[x86.RDX]
		// Go cuts to whole ticks of the host before it multiplies.
		if rdtsc < last || between+3 < rdtsc || rdtscp+3 < between || g.cpu.R[x86.RCX] != 0x12345678 {
			t.Errorf("round %d: RDTSC %d behind %d; MMIO %d; RDTSCP %d, RCX %#x", rounds, rdtsc, last, between, rdtscp, g.cpu.R[x86.RCX])
			return false
		}
		last = rdtscp
		rounds++
		tr.setRIP(progCode)
		return rounds < 2000
	}
	g.run(t, guestMode{cpl: 3}, code, func(s *x86.State) { s.R[x86.RSI] = progWindow })
	if rounds != 2000 {
		t.Errorf("%d rounds", rounds)
	}
	if want := 2000; g.asked != want {
		t.Errorf("Go read the counter %d times, not %d", g.asked, want)
	}
}

// TestTSCDisabled has CR4.TSD keep programs, and nobody else, from reading the counter.
func TestTSCDisabled(t *testing.T) {
	for _, code := range [][]byte{codeRdtsc, codeRdtscp} {
		g := newTSCGuest(t)
		disabled := func(s *x86.State) { s.CR4 |= x86.CR4TSD }
		if tr := g.run(t, guestMode{cpl: 3}, code, nil); tr.vec != x86.ExcBP {
			t.Errorf("% x: %v", code, &tr)
		}
		for range 3 {
			if tr := g.run(t, guestMode{cpl: 3}, code, disabled); tr.vec != x86.ExcGP || tr.err != 0 || tr.rip != progCode {
				t.Errorf("% x at CPL 3: %v", code, &tr)
			}
			if tr := g.run(t, guestMode{cpl: 0}, code, disabled); tr.vec != x86.ExcBP {
				t.Errorf("% x at CPL 0: %v", code, &tr)
			}
		}
	}
}

// TestTSCUnknown has the host's counter not be known, at first and again later: the
// interpreter then reads the guest's.
func TestTSCUnknown(t *testing.T) {
	for _, code := range [][]byte{codeRdtsc, codeRdtscp} {
		g := newTSCGuest(t)
		for _, known := range []bool{false, true, false, true} {
			g.known, g.asked = known, 0
			tr := g.run(t, guestMode{cpl: 3}, code, nil)
			if tr.vec != x86.ExcBP || tr.flags&arith != arith {
				t.Fatalf("% x: %v", code, &tr)
			}
			want := 1
			if known {
				want = 0
			}
			if g.asked != want {
				t.Errorf("% x, known %v: Go read the counter %d times", code, known, g.asked)
			}
			if v := g.cpu.R[x86.RDX]<<32 | g.cpu.R[x86.RAX]; (v == tscDead+1000) == known {
				t.Errorf("% x, known %v: %d", code, known, v)
			}
		}
	}
}

// TestTSCMoves has the guest write IA32_TSC between two readings.
func TestTSCMoves(t *testing.T) {
	code := []byte{
		0x0f, 0x31, // rdtsc
		0x41, 0x89, 0xd0, // mov r8d, edx
		0xb9, 0x10, 0, 0, 0, // mov ecx, IA32_TSC
		0xba, 0x00, 0x10, 0, 0, // mov edx, 0x1000
		0x31, 0xc0, // xor eax, eax
		0x0f, 0x30, // wrmsr
		0x0f, 0x31, // rdtsc
		0xcc, // int3
	}
	g := newTSCGuest(t)
	for range 3 {
		tr := g.run(t, guestMode{}, code, nil)
		if tr.vec != x86.ExcBP {
			t.Fatal(&tr)
		}
		if first, second := g.cpu.R[x86.R8], g.cpu.R[x86.RDX]; first >= 0x1000 || second != 0x1000 {
			t.Errorf("the upper half was %#x, and %#x after it was set to 0x1000", first, second)
		}
	}
}

// TestTSCNotVerified has verification leave the instructions to the interpreter.
func TestTSCNotVerified(t *testing.T) {
	cfg := engineConfig(1, 4<<20)
	cfg.Verify = VerifyAll
	g := &tscGuest{guest: newGuest(t, cfg), known: true}
	g.cpu.TSC = func() uint64 { g.asked++; return tscDead }
	g.cpu.HostTSC = func() (host, guest, mult uint64, ok bool) { return 0, 0, tscMult, true }
	g.mapPage(progCode, guestCode|7)
	for range 3 {
		tr := g.run(t, guestMode{cpl: 3}, codeRdtsc, nil)
		if v := g.cpu.R[x86.RAX]; tr.vec != x86.ExcBP || v != tscDead+1000 {
			t.Errorf("%v, %d", &tr, v)
		}
	}
}
