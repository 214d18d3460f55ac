package jit

// Bugs that were found, each with the shortest code that showed it.

import (
	"encoding/binary"
	"testing"
	"time"

	"hotblock/internal/native"
	"hotblock/x86"
)

func TestRegressions(t *testing.T) {
	mxcsr := func(d *diffPair, s *native.State) {
		s.GPR[x86.RBX] = diffData
		d.Data[0], d.Data[1], d.Data[2], d.Data[3] = 0x80, 0x1f, 2, 0
	}
	data := func(d *diffPair, s *native.State) {
		s.GPR[x86.RBX], s.GPR[x86.RCX] = diffData+pageSize-4, diffData+64
		clear(d.Data[:])
		d.Data[pageSize] = 1
		s.YMM[1] = [4]uint64{0x1111111111111111, 2, 3, 4}
	}
	for _, c := range []struct {
		name   string
		compat bool
		code   []byte
		set    func(d *diffPair, s *native.State)
	}{
		// RCX was not brought into place where it was in the address too.
		{"cmpxchg8b [rcx]", false, []byte{0x0f, 0xc7, 0x09}, data},
		{"pcmpistri xmm1, [rcx], 0", false, []byte{0x66, 0x0f, 0x3a, 0x63, 0x09, 0}, data},
		// Stores through CS went through.
		{"mov cs:[rcx], eax", true, []byte{0x2e, 0x89, 0x01}, data},
		// The host clears sixteen registers, 32-bit code eight.
		{"vzeroupper", true, []byte{0xc5, 0xf8, 0x77}, data},
		{"vzeroall", true, []byte{0xc5, 0xfc, 0x77}, data},
		// VEX.W has no effect in 32-bit code; on the host it doubled the operand,
		// beyond what had been checked.
		{"vmovd [ebx], xmm1", true, []byte{0xc4, 0xe1, 0xf9, 0x7e, 0x0b}, data},
		{"vmovd xmm1, [ebx]", true, []byte{0xc4, 0xe1, 0xf9, 0x6e, 0x0b}, data},
		{"blsmsk edx, esi", true, []byte{0xc4, 0xe2, 0xe8, 0xf3, 0xd6}, data},
		// A reserved bit of MXCSR that some hosts have.
		{"ldmxcsr [rbx]", false, []byte{0x0f, 0xae, 0x13}, mxcsr},
		{"vldmxcsr [rbx]", false, []byte{0xc5, 0xf8, 0xae, 0x13}, mxcsr},
		// Invalid entries of the jump cache had a tag that this address matched, and
		// led to the host's address 0.
		{"jmp rax, to 1<<63", false, []byte{0xff, 0xe0}, func(d *diffPair, s *native.State) { s.GPR[x86.RAX] = 1 << 63 }},
		{"jmp rax, to 1", false, []byte{0xff, 0xe0}, func(d *diffPair, s *native.State) { s.GPR[x86.RAX] = 1 }},
		{"jmp eax, to 1", true, []byte{0xff, 0xe0}, func(d *diffPair, s *native.State) { s.GPR[x86.RAX] = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDiffPair(t, 1, guestMode{cpl: 3, compat: c.compat}, diffConfig())
			s := native.NewState()
			for i := range s.YMM {
				s.YMM[i] = [4]uint64{uint64(i), 5, 6, 7}
			}
			s.GPR[x86.RSP] = diffData + 2048
			c.set(d, s)
			if msg := d.compare(c.code, s, d.place(), 0, 0, 0); msg != "" {
				t.Error(msg)
			}
		})
	}
}

// TestUndefinedBecomesDefined has an undefined instruction run, and then its second
// byte changed. The interpreter did not see the change.
func TestUndefinedBecomesDefined(t *testing.T) {
	g := newGuest(t, nil)
	g.mapPage(progCode, guestCode|7)
	copy(g.ram.Bytes[guestCode:], []byte{0x0f, 0x04, 0xc0, 0xcc})                                                       // nothing; int3
	copy(g.ram.Bytes[guestCode+0x100:], []byte{0xc6, 0x05, 0xfa, 0xfe, 0xff, 0xff, 0x1f, 0xe9, 0xf4, 0xfe, 0xff, 0xff}) // mov byte [1], 0x1f; jmp 0
	s := g.base
	guestMode{cpl: 3}.segments(&s, 0, 0)
	for _, c := range []struct {
		start uint64
		vec   int
		rip   uint64
	}{{progCode, x86.ExcUD, progCode}, {progCode + 0x100, x86.ExcBP, progCode + 4}} {
		s.RIP = c.start
		if tr := g.run(&s, 2); tr.vec != c.vec || tr.rip != c.rip {
			t.Errorf("from %#x: %v", c.start, &tr)
		}
	}
}

// TestPrivileges32 has 32-bit code of CPL 0 and of CPL 3 call the same function in
// turn. The jump cache, which they share, led CPL 0 to the translation for CPL 3,
// which does not see pages of the system, and tried for ever.
func TestPrivileges32(t *testing.T) {
	g := newGuest(t, engineConfig(1, 4<<20))
	for i := uint64(0); i < 3; i++ {
		g.mapPage(progCode+i*pageSize, guestCode+i*pageSize|7)
	}
	g.mapPage(progStack, physStack|7)
	g.mapPage(progWindow, guestData|3)          // the system's
	g.mapPage(progWindow+pageSize, guestData|7) // and for all
	g.ram.Bytes[guestData] = 42
	copy(g.ram.Bytes[guestCode:], []byte{0xff, 0xd0, 0xff, 0xd0, 0xff, 0xd0, 0xcc})          // call eax, three times; int3
	copy(g.ram.Bytes[guestCode+pageSize:], []byte{0xff, 0xd0, 0xff, 0xd0, 0xff, 0xd0, 0xcc}) // the same
	copy(g.ram.Bytes[guestCode+2*pageSize:], []byte{0x0f, 0xb6, 0x1e, 0xc3})                 // movzx ebx, byte [esi]; ret
	s := g.base
	turn := func(cpl uint8, r *[x86.NumRegs]uint64) {
		r[x86.RAX], r[x86.RSI] = progCode+2*pageSize, progWindow+uint64(cpl&1)*pageSize
		r[x86.RBX] = 0
	}
	guestMode{3, true}.segments(&s, 0, 0)
	user := s.Seg
	guestMode{0, true}.segments(&s, 0, 0)
	s.Seg[x86.DS], s.Seg[x86.ES] = user[x86.DS], user[x86.ES] // which stay when the privilege changes
	s.RIP, s.R[x86.RSP] = progCode, progStack+pageSize
	turn(0, &s.R)
	n := 0
	g.onTrap = func(tr *trap) bool {
		if tr.vec != x86.ExcBP || g.cpu.R[x86.RBX] != 42 {
			t.Errorf("turn %d: %v, EBX %d", n, tr, g.cpu.R[x86.RBX])
			return false
		}
		n++
		cpl := uint8(n&1) * 3
		turn(cpl, &g.cpu.R)
		tr.setRIP(progCode + uint64(n&1)*pageSize)
		cs, ss := uint16(selCode32), uint16(selData)
		if cpl == 3 {
			cs, ss = selUser32, selUserDS
		}
		binary.LittleEndian.PutUint64(tr.frame[8:], uint64(cs))
		binary.LittleEndian.PutUint64(tr.frame[32:], uint64(ss))
		return n < 20
	}
	g.run(&s, 2)
}

// TestAVXDisabledKeepsSSE is of a region with AVX instructions, while AVX may not be
// used, behind one that has changed vector registers: it loaded the old ones.
func TestAVXDisabledKeepsSSE(t *testing.T) {
	code := []byte{
		0x66, 0x0f, 0xd4, 0xc1, // paddq xmm0, xmm1
		0xff, 0xe0, // jmp rax
		0xc5, 0xf9, 0xd4, 0xc1, // vpaddq xmm0, xmm0, xmm1
		0xcc,
	}
	run := func(cfg *Config) [4]uint64 {
		g := newGuest(t, cfg)
		g.mapPage(progCode, guestCode|7)
		for i := uint64(0); i < 2; i++ {
			g.mapPage(progStack+i*pageSize, physStack+i*pageSize|7)
		}
		copy(g.ram.Bytes[guestCode:], code)
		s := g.base
		guestMode{}.segments(&s, 0, 0)
		s.RIP, s.R[x86.RSP], s.R[x86.RAX] = progCode, progStack+2*pageSize, progCode+6
		s.V[0], s.V[1] = [4]uint64{1, 2, 3, 4}, [4]uint64{10, 20, 30, 40}
		for range 3 { // until it is translated
			if tr := g.run(&s, 2); tr.vec != x86.ExcBP {
				t.Fatalf("%s: it ended with %v", g.name, &tr)
			}
		}
		s.CR4 &^= x86.CR4OSXSAVE
		again := 3 // so that the jump is linked
		g.onTrap = func(tr *trap) bool {
			tr.setRIP(progCode)
			again--
			return again > 0
		}
		g.run(&s, 2)
		if again != 0 {
			t.Fatalf("%s: %d exceptions are missing", g.name, again)
		}
		return g.cpu.V[0]
	}
	if got, want := run(engineConfig(1, 4<<20)), run(nil); got != want {
		t.Errorf("XMM0 %v, interpreter %v", got, want)
	}
}

// TestSplitFormHasTheSameRegisters has a region that gives a register another's place for its loop, and
// ends behind the loop, because what follows has not run. When a group of accesses of it then meets
// the end of a page, what follows has run, and uses the other register. The split form was
// made with that, and lost its value.
func TestSplitFormHasTheSameRegisters(t *testing.T) {
	code := []byte{
		0x48, 0x8b, 0x06, // mov rax, [rsi]
		0x49, 0x01, 0xc1, // add r9, rax
		0x48, 0x8b, 0x56, 0x08, // mov rdx, [rsi+8]
		0x49, 0x01, 0xd1, // add r9, rdx
		0x48, 0x83, 0xc6, 0x08, // add rsi, 8
		0xff, 0xc9, // dec ecx
		0x75, 0xeb, // jnz the start
		0x48, 0xff, 0xc3, // inc rbx
		0x49, 0x01, 0xd8, // add r8, rbx
		0xcc,
	}
	run := func(cfg *Config) (r [x86.NumRegs]uint64) {
		g := newGuest(t, cfg)
		g.mapPage(progCode, guestCode|7)
		for i := range uint64(2) {
			g.mapPage(progWindow+i*pageSize, guestData+i*pageSize|7)
		}
		copy(g.ram.Bytes[guestCode:], code)
		for i := range uint64(2 * pageSize / 8) {
			binary.LittleEndian.PutUint64(g.ram.Bytes[guestData+8*i:], i*i)
		}
		s := g.base
		guestMode{cpl: 3}.segments(&s, 0, 0)
		s.RIP, s.R[x86.RBX] = progCode, 5
		for n := range 20 { // more than splitAfter times
			s.R[x86.RSI], s.R[x86.RCX] = progWindow, 20
			if n >= 10 {
				s.R[x86.RSI] = progWindow + pageSize - 80 // across the end of the page
			}
			if tr := g.run(&s, 2); tr.vec != x86.ExcBP {
				t.Fatalf("%s: it ended with %v", g.name, &tr)
			}
			s.R = g.cpu.R
			s.RIP = progCode
		}
		return g.cpu.R
	}
	want := run(nil)
	for _, memory := range []string{"tlb", "window-now"} {
		if got := run(configOf(t, "memory="+memory)); got != want {
			t.Errorf("%s: registers %x, interpreter %x", memory, got, want)
		}
	}
}

// TestLoopOverPagesThatCollide has a loop on two pages that have the same entry of the fetch TLB, with
// jumps that have the same set of the jump cache. Each left translated code every time: the
// page was not at hand, and so the jump was not linked; or the two threw each other out.
func TestLoopOverPagesThatCollide(t *testing.T) {
	const (
		far   = 1 << 27 // a multiple of what the caches' indices are made of
		turns = 10000
	)
	a, b := uint64(0x550000400000), uint64(0x550000400000+far)
	for _, c := range []struct {
		name string
		at   uint64 // of the code in its page
		code func(at, to uint64) []byte
	}{
		{"jmp", 0, func(at, to uint64) []byte {
			return binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(to-at-5))
		}},
		{"jmp rax", 0x80, func(_, to uint64) []byte { // mov rax, to; jmp rax
			return append(binary.LittleEndian.AppendUint64([]byte{0x48, 0xb8}, to), 0xff, 0xe0)
		}},
	} {
		for _, settings := range []string{"memory=tlb", "memory=window-now", "indirect=shared"} {
			g := newGuest(t, configOf(t, settings))
			g.mapPage(a, guestCode|7)
			g.mapPage(b, guestCode+pageSize|7)
			if jumpSlot(a+c.at) != jumpSlot(b+c.at) {
				t.Fatal("the jumps do not collide")
			}
			// a: dec edi; jz out; jump to b. b: jump to a.
			copy(g.ram.Bytes[guestCode+c.at:], append([]byte{0xff, 0xcf, 0x74, 0x20}, c.code(a+c.at+4, b+c.at)...))
			g.ram.Bytes[guestCode+c.at+0x24] = 0xcc
			copy(g.ram.Bytes[guestCode+pageSize+c.at:], c.code(b+c.at, a+c.at))
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			s.RIP, s.R[x86.RDI] = a+c.at, turns
			if tr := g.run(&s, 2); tr.vec != x86.ExcBP {
				t.Fatalf("%s, %s: it ended with %v", c.name, settings, &tr)
			}
			if n := g.eng.Stats().Entries; n > turns/10 {
				t.Errorf("%s, %s: %d turns entered translated code %d times", c.name, settings, turns, n)
			}
		}
	}
}

// TestJumpToSetZero jumps through a register to an address of the set of the jump cache that lookups go to while
// something is pending: it must be found there, and a loop of such jumps must end when the CPU is to stop.
func TestJumpToSetZero(t *testing.T) {
	const at, turns = 0x550000400000, 10000
	for _, settings := range []string{"memory=tlb", "memory=window-now", "indirect=shared"} {
		g := newGuest(t, configOf(t, settings))
		g.mapPage(at, guestCode|7)
		if jumpSlot(at) != 0 {
			t.Fatal("it is another set")
		}
		copy(g.ram.Bytes[guestCode:], []byte{0xff, 0xcf, 0x74, 2, 0xff, 0xe0, 0xcc}) // dec edi; jz out; jmp rax; out: int3
		s := g.base
		guestMode{cpl: 3}.segments(&s, 0, 0)
		s.RIP, s.R[x86.RAX], s.R[x86.RDI] = at, at, turns
		if tr := g.run(&s, 2); tr.vec != x86.ExcBP {
			t.Fatalf("%s: it ended with %v", settings, &tr)
		}
		if n := g.eng.Stats().Entries; n > turns/10 {
			t.Errorf("%s: %d turns entered translated code %d times", settings, turns, n)
		}
		g.mayHang = true
		copy(g.ram.Bytes[guestCode:], []byte{0xff, 0xe0}) // jmp rax
		g.cpu.DropCode()
		start := time.Now()
		g.run(&s, 2)
		if d := time.Since(start); !g.hung.Load() || d > 20*time.Second {
			t.Errorf("%s: a loop without end ended by itself, or after %v", settings, d)
		}
	}
}

// TestShortLoopsInOneLine has loops of different lengths behind different beginnings, each of which has to
// lie in as few lines of the host's cache as its length allows for. One of four additions that lay in
// two took half as long again.
func TestShortLoopsInOneLine(t *testing.T) {
	g := newGuest(t, configOf(t, "threshold=4,memory=tlb"))
	g.mapPage(progCode, guestCode|7)
	short := 0
	for n := range 200 {
		var code []byte
		for range n % 7 {
			code = append(code, 0x48, 0x01, 0xd8) // add rax, rbx
		}
		loop := len(code)
		for range 1 + n%11 {
			code = append(code, 0x48, 0x11, 0xda) // adc rdx, rbx
		}
		code = append(code, 0xff, 0xc9)                         // dec ecx
		code = append(code, 0x75, byte(loop-len(code)-2), 0xcc) // jnz the loop
		copy(g.ram.Bytes[guestCode:], code)
		g.cpu.DropCode()
		s := g.base
		guestMode{cpl: 3}.segments(&s, 0, 0)
		s.RIP, s.R[x86.RCX] = progCode, 100
		before := len(g.eng.regions)
		if tr := g.run(&s, 2); tr.vec != x86.ExcBP {
			t.Fatalf("%d: it ended with %v", n, &tr)
		}
		if g.cpu.R[x86.RCX] != 0 {
			t.Fatalf("%d: RCX %#x", n, g.cpu.R[x86.RCX])
		}
		for _, r := range g.eng.regions[min(before, len(g.eng.regions)):] {
			last := r.insts[len(r.insts)-1]
			for _, m := range r.insts {
				if int(r.off)+int(m.off) != loop || int(r.off)+int(last.off) != len(code)-3 {
					continue
				}
				from, to := r.host+m.host, r.host+last.host+26 // the jump back, with the look at what is pending
				if to-from > hostLine-regionAlign {
					continue
				}
				short++
				if from/hostLine != (to-1)/hostLine {
					t.Errorf("%d: a loop of %d bytes from %#x to %#x", n, to-from, from, to)
				}
			}
		}
	}
	if short < 50 {
		t.Errorf("%d short loops", short)
	}
}

// TestSavedFlagsOverSTAC has STAC and CLAC in front of an instruction that replaces the flags, and faults. With
// flags=save they are in the fault's frame as they were before it; they were what STAC and CLAC left of them.
func TestSavedFlagsOverSTAC(t *testing.T) {
	code := []byte{
		0x83, 0xc8, 0xff, // or eax, -1
		0x0f, 0x01, 0xcb, // stac
		0x0f, 0x01, 0xca, // clac
		0x48, 0x03, 0x0b, // add rcx, [rbx]
		0xcc,
	}
	run := func(settings string) (flags uint64) {
		var cfg *Config
		if settings != "" {
			cfg = configOf(t, settings)
		}
		g := newGuest(t, cfg)
		g.mapPage(progCode, guestCode|3)
		g.mapPage(progWindow, guestData|3)
		copy(g.ram.Bytes[guestCode:], code)
		s := g.base
		guestMode{cpl: 0}.segments(&s, 0, 0)
		s.CR4 |= x86.CR4SMAP
		for n := range 8 {
			s.RIP, s.R[x86.RBX] = progCode, progWindow
			want := x86.ExcBP
			if n == 7 {
				s.R[x86.RBX], want = 1<<63, x86.ExcGP
			}
			tr := g.run(&s, 2)
			if tr.vec != want {
				t.Fatalf("%s: it ended with %v", g.name, &tr)
			}
			flags = tr.flags
		}
		return flags & arith
	}
	if want, got := run(""), run("flags=save,threshold=2"); got != want {
		t.Errorf("flags %#x, interpreter %#x", got, want)
	}
}
