//go:build linux && amd64

package host

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asm is machine code under construction.
type asm struct {
	a   *Arena
	off int
}

// emit appends bytes and returns the address of the first.
func (s *asm) emit(b ...byte) uintptr {
	pc := s.pc()
	s.off += copy(s.a.Write[s.off:], b)
	return pc
}

func (s *asm) pc() uintptr { return s.a.Base + uintptr(s.off) }

// gs appends an instruction whose operand is gs:[disp]: its opcode with the
// bytes before it, the reg field of ModRM, and an immediate.
func (s *asm) gs(op []byte, reg byte, disp int32, imm ...byte) uintptr {
	b := append([]byte{0x65}, op...)
	b = append(b, 4|reg<<3, 0x25)
	b = binary.LittleEndian.AppendUint32(b, uint32(disp))
	return s.emit(append(b, imm...)...)
}

// exit appends jmp gs:[Exit].
func (s *asm) exit() uintptr { return s.gs([]byte{0xff}, 4, OffExit) }

// movabs appends mov r64, v.
func (s *asm) movabs(reg int, v uint64) uintptr {
	b := []byte{0x48 | byte(reg>>3), 0xb8 | byte(reg&7)}
	return s.emit(binary.LittleEndian.AppendUint64(b, v)...)
}

// store appends mov gs:[disp], r64.
func (s *asm) store(reg int, disp int32) uintptr {
	return s.gs([]byte{0x48 | byte(reg>>3)<<2, 0x89}, byte(reg&7), disp)
}

// garbage appends code that fills all registers but RSP, with values that are
// no addresses, and sets the direction flag.
func (s *asm) garbage(seed uint64) {
	for r := range 16 {
		if r != 4 {
			s.movabs(r, 0xdead_0000_0000_0000|seed<<8|uint64(r))
		}
	}
	for x := range 8 { // pcmpeqb xmm, xmm
		m := byte(0xc0 | x<<3 | x)
		s.emit(0x66, 0x0f, 0x74, m)
		s.emit(0x66, 0x45, 0x0f, 0x74, m)
	}
	s.emit(0xfd) // std
}

// poll appends 1: cmp dword gs:[Pending], 0; je 1b.
func (s *asm) poll() uintptr {
	top := s.gs([]byte{0x83}, 7, OffPending, 0)
	s.emit(0x74, byte(int(top)-int(s.pc())-2))
	return top
}

func need(t testing.TB) {
	t.Helper()
	if !Available() {
		t.Skip("the host lacks BMI2")
	}
	if err := Install(); err != nil {
		t.Fatal(err)
	}
}

func newArena(t testing.TB, size int) *asm {
	t.Helper()
	a, err := NewArena(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return &asm{a: a}
}

const userSize = 4096

// The tests' own state behind the Frame: 16 registers and flags.
const (
	offRegs  = int32(FrameSize)
	offFlags = offRegs + 16*8
)

// onFrame calls f on a thread whose GS points at a new Frame.
func onFrame(t testing.TB, f func(*Frame)) {
	t.Helper()
	fr, err := NewFrame(userSize)
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	SetGS(fr.Self)
	defer func() {
		SetGS(0)
		runtime.UnlockOSThread()
		if err := fr.Free(); err != nil {
			t.Error(err)
		}
	}()
	f(fr)
}

// goState is what Enter must not disturb, checked by Go code that relies on it:
// variables, the direction flag (memmove backwards and forwards), X15 as zero,
// and g (a stack that grows, a map, a channel).
func goState(t testing.TB, round int) {
	var big [512]int
	for i := range big {
		if big[i] != 0 {
			t.Fatalf("round %d: a zeroed array holds %#x", round, big[i])
		}
		big[i] = i
	}
	copy(big[1:], big[:511])
	copy(big[:511], big[1:])
	for i := range 511 {
		if big[i] != i {
			t.Fatalf("round %d: copy left %d at %d", round, big[i], i)
		}
	}
	if n := deep(40); n != 820 {
		t.Fatalf("round %d: recursion gave %d", round, n)
	}
}

//go:noinline
func deep(n int) int {
	var pad [64]int
	pad[n%64] = n
	if n == 0 {
		return 0
	}
	return deep(n-1) + pad[n%64]
}

func TestEnter(t *testing.T) {
	need(t)
	s := newArena(t, 1)
	if len(s.a.Write) != 4096 || !s.a.Contains(s.a.Base+4095) || s.a.Contains(s.a.Base+4096) || s.a.Contains(s.a.Base-1) {
		t.Errorf("arena of %d bytes at %#x", len(s.a.Write), s.a.Base)
	}
	code := s.pc()
	s.gs([]byte{0x8b}, 0, OffInside)     // mov eax, gs:[Inside]
	s.store(0, offRegs)                  // Inside
	s.store(4, offRegs+8)                // RSP
	s.emit(0x9c)                         // pushfq
	s.gs([]byte{0x8f}, 0, offFlags)      // pop qword gs:[offFlags]
	s.emit(0x48, 0x8d, 0x44, 0x24, 0xf8) // lea rax, [rsp-8]
	s.store(0, offRegs+16)               //
	s.emit(0x68, 0x78, 0x56, 0x34, 0x12) // push 0x12345678: RSP need not be what it was
	s.garbage(1)
	s.exit()
	Serialize()
	onFrame(t, func(f *Frame) {
		if f.StackTop%16 != 0 {
			t.Errorf("stack top %#x is not aligned", f.StackTop)
		}
		for i := range 1000 {
			Enter(f, code)
			goState(t, i)
		}
		v := user(f)
		if v[0] != InsideCode || f.Inside != 0 {
			t.Errorf("Inside = %d in the code, %d after it", v[0], f.Inside)
		}
		if v[1] != uint64(f.StackTop) {
			t.Errorf("RSP = %#x, want %#x", v[1], f.StackTop)
		}
		if v[16]&0x400 != 0 {
			t.Errorf("DF is set at entry")
		}
		if GS() != f.Self {
			t.Errorf("GS = %#x, want %#x", GS(), f.Self)
		}
	})
}

// TestStackGuard runs the native stack out: the whole of it can be used, and the
// page below faults.
func TestStackGuard(t *testing.T) {
	need(t)
	s := newArena(t, 4096)
	b := []byte{0xb9, 0, 0, 1, 0, 0x50, 0xff, 0xc9, 0x75, 0xfb} // mov ecx, 65536; 1: push rax; dec ecx; jnz 1b
	b = append(b, 0x65, 0x48, 0x89, 0x24, 0x25)                 // mov gs:[StackTop], rsp
	b = binary.LittleEndian.AppendUint32(b, uint32(OffStackTop))
	exit := []byte{0x65, 0xff, 0x24, 0x25, 0, 0, 0, 0} // jmp gs:[Exit]
	binary.LittleEndian.PutUint32(exit[4:], uint32(OffExit))
	code := s.emit(append(b, exit...)...)
	ret := s.emit(0xc3)
	bottom := s.emit(append(b[10:len(b):len(b)], exit...)...)
	stub := s.exit()
	Serialize()
	onFrame(t, func(f *Frame) {
		f.FaultExit = stub
		f.SetBottoms(bottom)
		for i, top := range f.Stacks {
			f.StackTop = top
			Enter(f, code)
			// The stack is emptied where it is full.
			room := int(StackSize-stackSlack) / 8
			if want := top - 8*uintptr((65536-1)%room+1); f.FaultSig != 0 || f.StackTop != want {
				t.Errorf("stack %d: signal %d, RSP %#x, want %#x", i, f.FaultSig, f.StackTop, want)
			}
			f.StackTop = top
			Enter(f, ret)
			if f.StackTop != top+8 {
				t.Errorf("stack %d: RSP %#x behind the bottom %#x", i, f.StackTop, top)
			}
		}
	})
}

// TestWrongThread enters without GS set, and with GS at another Frame.
func TestWrongThread(t *testing.T) {
	need(t)
	s := newArena(t, 4096)
	code := s.exit()
	enter := func(f *Frame) (msg string) {
		defer func() {
			switch e := recover().(type) {
			case string:
				msg = e
			case error:
				msg = e.Error()
			}
		}()
		Enter(f, code)
		return "no panic"
	}
	onFrame(t, func(f *Frame) {
		g, err := NewFrame(FrameSize)
		if err != nil {
			t.Fatal(err)
		}
		if msg := enter(g); !strings.HasPrefix(msg, "host: Enter with frame") {
			t.Errorf("GS at another frame: %s", msg)
		}
		SetGS(0)
		if msg := enter(f); !strings.Contains(msg, "nil pointer") {
			t.Errorf("GS zero: %s", msg)
		}
		SetGS(f.Self)
		if msg := enter(f); msg != "no panic" {
			t.Error(msg)
		}
		if err := g.Free(); err != nil {
			t.Error(err)
		}
	})
}

// TestGSCall is the fall-back for hosts without FSGSBASE.
func TestGSCall(t *testing.T) {
	need(t)
	onFrame(t, func(f *Frame) {
		if gsCall() != f.Self {
			t.Errorf("arch_prctl reads %#x, want %#x", gsCall(), f.Self)
		}
		setGSCall(0x1234)
		if GS() != 0x1234 {
			t.Errorf("GS = %#x after arch_prctl", GS())
		}
	})
}

// resident is how many bytes of the mapping that starts at an address have pages.
func resident(t *testing.T, at uintptr) (bytes int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	_, rest, ok := strings.Cut("\n"+string(maps), fmt.Sprintf("\n%x-", at))
	if !ok {
		t.Fatalf("no mapping at %#x", at)
	}
	_, rest, _ = strings.Cut(rest, "\nRss:")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes << 10
}

func TestPopulate(t *testing.T) {
	need(t)
	a, err := NewArena(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if unix.Madvise(a.Write[:unix.Getpagesize()], unix.MADV_POPULATE_WRITE) != nil {
		t.Skip("this kernel does not know MADV_POPULATE_WRITE")
	}
	const part = 64 << 10
	a.Write[5000] = 0xc3
	a.Populate(100, part-1)
	if n := resident(t, a.Base); n != part {
		t.Errorf("%d bytes have pages, want %d", n, part)
	}
	if a.Write[5000] != 0xc3 {
		t.Error("what was written is gone")
	}
	a.Populate(part, len(a.Write))
	if n := resident(t, addrOf(a.Write)); n != len(a.Write) {
		t.Errorf("%d bytes have pages, want all", n)
	}
}

func TestArenas(t *testing.T) {
	need(t)
	for _, size := range []int{0, -1, MaxArena + 1} {
		if _, err := NewArena(size); err == nil {
			t.Errorf("an arena of %d bytes", size)
		}
	}
	for _, size := range []int{0, FrameSize - 1, -1} {
		if _, err := NewFrame(size); err == nil {
			t.Errorf("a frame of %d bytes", size)
		}
	}
	var as []*Arena
	for {
		a, err := NewArena(8192)
		if err != nil {
			if !strings.Contains(err.Error(), "64 arenas") {
				t.Error(err)
			}
			break
		}
		as = append(as, a)
	}
	if len(as) != MaxArenas {
		t.Fatalf("%d arenas, want %d", len(as), MaxArenas)
	}
	onFrame(t, func(f *Frame) {
		check := func(a *Arena) {
			t.Helper()
			s := &asm{a: a, off: 4096}
			code := s.emit(0x90, 0x0f, 0x0b) // nop; ud2
			f.FaultExit = s.exit()
			Serialize()
			Enter(f, code)
			if f.FaultRIP != code+1 || f.FaultSig != uint32(unix.SIGILL) {
				t.Errorf("signal %d at %#x, want SIGILL at %#x", f.FaultSig, f.FaultRIP, code+1)
			}
		}
		for _, a := range as {
			check(a)
		}
		for i := 0; i < MaxArenas; i += 3 {
			if err := as[i].Close(); err != nil {
				t.Error(err)
			}
			if err := as[i].Close(); err != nil {
				t.Errorf("closed again: %v", err)
			}
		}
		for i := 0; i < MaxArenas; i += 3 {
			a, err := NewArena(8192)
			if err != nil {
				t.Fatal(err)
			}
			as[i] = a
		}
		for _, a := range as {
			check(a)
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range arenaTable {
		if arenaTable[i].hi != 0 {
			t.Errorf("slot %d is not empty", i)
		}
	}
}

func TestFaults(t *testing.T) {
	need(t)
	const nonCanonical = 0x8000_0000_0000_0000
	hole, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(hole)
	unmapped := addrOf(hole) + 8
	for _, c := range []struct {
		name   string
		before []byte // up to the faulting instruction
		code   []byte
		rax    uint64
		sig    unix.Signal
		trap   uint32
		err    uint64
		addr   uintptr
		after  bool // FaultRIP is after the instruction
	}{
		{"load", nil, []byte{0x8a, 0x00}, uint64(unmapped), unix.SIGSEGV, 14, 4, unmapped, false},
		{"store", nil, []byte{0x88, 0x00}, uint64(unmapped), unix.SIGSEGV, 14, 6, unmapped, false},
		{"nil", nil, []byte{0x88, 0x00}, 0, unix.SIGSEGV, 14, 6, 0, false},
		{"non-canonical", nil, []byte{0x8a, 0x00}, nonCanonical, unix.SIGSEGV, 13, 0, 0, false},
		{"privileged", nil, []byte{0xf4}, 0, unix.SIGSEGV, 13, 0, 0, false},                                    // hlt
		{"division", []byte{0x31, 0xc9}, []byte{0x48, 0xf7, 0xf1}, 5, unix.SIGFPE, 0, 0, 1, false},             // xor ecx,ecx; div rcx
		{"undefined", nil, []byte{0x0f, 0x0b}, 0, unix.SIGILL, 6, 0, 1, false},                                 // ud2
		{"breakpoint", nil, []byte{0xcc}, 0, unix.SIGTRAP, 3, 0, 0, true},                                      // int3
		{"single step", nil, []byte{0x9c, 0x80, 0x4c, 0x24, 1, 1, 0x9d, 0x90}, 0, unix.SIGTRAP, 1, 0, 1, true}, // pushfq; or byte [rsp+1],1; popfq; nop
		// 1/0 with MXCSR zero: push 0; ldmxcsr [rsp]; pcmpeqd xmm0,xmm0; psrld xmm0,25;
		// pslld xmm0,23; xorps xmm1,xmm1; divss xmm0,xmm1
		{"SSE", []byte{0x6a, 0, 0x0f, 0xae, 0x14, 0x24, 0x66, 0x0f, 0x76, 0xc0, 0x66, 0x0f, 0x72, 0xd0, 25,
			0x66, 0x0f, 0x72, 0xf0, 23, 0x0f, 0x57, 0xc9}, []byte{0xf3, 0x0f, 0x5e, 0xc1}, 0, unix.SIGFPE, 19, 0, 1, false},
		// push 0; fldcw [rsp]; fldz; fld1; fdivrp; fwait
		{"x87", []byte{0x6a, 0, 0xd9, 0x2c, 0x24, 0xd9, 0xee, 0xd9, 0xe8, 0xde, 0xf1}, []byte{0x9b}, 0, unix.SIGFPE, 16, 0, 1, false},
		// pushfq; or byte [rsp+2],4; popfq; mov eax,[rsp+1]; AC is cleared in the stub
		{"alignment", []byte{0x9c, 0x80, 0x4c, 0x24, 2, 4, 0x9d}, []byte{0x8b, 0x44, 0x24, 1}, 0, unix.SIGBUS, 17, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newArena(t, 4096)
			entry := s.pc()
			for r := range 16 {
				if r != 4 {
					s.movabs(r, 0x1111*uint64(r))
				}
			}
			s.movabs(0, c.rax)
			s.emit(c.before...)
			s.emit(0xfd, 0xf9) // std; stc
			fault := s.emit(c.code...)
			if c.after {
				fault = s.pc()
			}
			s.emit(0x0f, 0x0b) // ud2: not reached
			stub := s.pc()
			for r := range 16 {
				s.store(r, offRegs+int32(r)*8)
			}
			s.gs([]byte{0x48, 0x8b}, 4, OffStackTop) // mov rsp, gs:[StackTop]
			s.emit(0x9c)                             // pushfq
			s.gs([]byte{0x8f}, 0, offFlags)          // pop qword gs:[offFlags]
			s.emit(0x68, 0x02, 0x02, 0, 0, 0x9d)     // push 0x202; popfq
			s.emit(0xdb, 0xe3)                       // fninit
			s.emit(0x68, 0x80, 0x1f, 0, 0)           // push 0x1f80
			s.emit(0x0f, 0xae, 0x14, 0x24)           // ldmxcsr [rsp]
			s.garbage(2)
			s.exit()
			Serialize()
			onFrame(t, func(f *Frame) {
				f.FaultExit = stub
				for i := range 3 {
					f.FaultRIP, f.FaultSig = 0, 0
					Enter(f, entry)
					goState(t, i)
					if f.FaultNested != 0 {
						t.Fatalf("fault in the stub: signal %d at stub%+d", f.FaultSig, int(f.FaultRIP-stub))
					}
					if f.FaultRIP != fault || f.FaultSig != uint32(c.sig) || f.FaultTrap != c.trap {
						t.Fatalf("signal %d, vector %d at entry%+d; want %d, %d at %+d", f.FaultSig, f.FaultTrap,
							int(f.FaultRIP-entry), c.sig, c.trap, int(fault-entry))
					}
					want := c.addr
					if want == 1 {
						want = fault
					}
					if f.FaultAddr != want || f.FaultErr != c.err {
						t.Errorf("address %#x, error code %#x; want %#x, %#x", f.FaultAddr, f.FaultErr, want, c.err)
					}
					v := user(f)
					for r := 1; r < 16; r++ {
						if r != 4 && r != 1 && v[r] != 0x1111*uint64(r) {
							t.Errorf("register %d = %#x", r, v[r])
						}
					}
					if v[16]&0x401 != 0x401 {
						t.Errorf("flags in the stub %#x, CF or DF lost", v[16])
					}
					if f.Inside != 0 {
						t.Errorf("Inside = %d after the fault", f.Inside)
					}
				}
			})
		})
	}
}

// TestNestedFault faults in the fault stub, and without a stub.
func TestNestedFault(t *testing.T) {
	need(t)
	s := newArena(t, 4096)
	code := s.emit(0x0f, 0x0b) // ud2
	stub := s.emit(0x90, 0x0f, 0x0b)
	// A stub that goes on in generated code may fault once more.
	again := s.gs([]byte{0xc7}, 0, OffInside, InsideCode, 0, 0, 0)
	s.gs([]byte{0xff}, 0, offRegs)              // inc dword gs:[offRegs]
	s.gs([]byte{0x83}, 7, offRegs, 10)          // cmp dword gs:[offRegs], 10
	s.emit(0x75, byte(int(code)-int(s.pc())-2)) // jne code
	s.exit()
	Serialize()
	onFrame(t, func(f *Frame) {
		for range 2 {
			f.FaultExit = stub
			Enter(f, code)
			if f.FaultNested != 1 || f.FaultRIP != stub+1 {
				t.Errorf("fault in the stub: nested %d, RIP code%+d", f.FaultNested, int(f.FaultRIP-code))
			}
			f.FaultExit = 0
			Enter(f, code)
			if f.FaultNested != 1 || f.FaultRIP != code {
				t.Errorf("no stub: nested %d, RIP code%+d", f.FaultNested, int(f.FaultRIP-code))
			}
		}
		f.FaultExit = again
		Enter(f, code)
		if f.FaultNested != 0 || uint32(user(f)[0]) != 10 {
			t.Errorf("nested %d, %d faults, want 10", f.FaultNested, user(f)[0])
		}
	})
}

// wait fails the test if c is not closed for a long time.
func wait(t *testing.T, c chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		panic(what + " has not come to an end")
	}
}

// testStop is the bit of Pending that ends the tests' loops.
const testStop = 1

// spin runs code on a thread of its own, again and again until testStop is set
// in Pending. It returns the Frame, and a channel that is closed when the loop
// has ended.
func spin(t *testing.T, code uintptr) (*Frame, chan struct{}) {
	f, err := NewFrame(userSize)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		SetGS(f.Self)
		defer SetGS(0)
		for f.Yield()&testStop == 0 {
			Enter(f, code)
		}
	}()
	t.Cleanup(func() {
		if err := f.Free(); err != nil {
			t.Error(err)
		}
	})
	return f, done
}

func TestPoll(t *testing.T) {
	need(t)
	s := newArena(t, 4096)
	code := s.poll()
	s.exit()
	Serialize()
	t.Run("store", func(t *testing.T) {
		f, done := spin(t, code)
		atomic.OrUint32(&f.Pending, testStop)
		wait(t, done, "a loop that polls")
	})
	t.Run("collector", func(t *testing.T) {
		f, done := spin(t, code)
		for range 20 {
			for atomic.LoadUint32(&f.Inside) == 0 {
				runtime.Gosched()
			}
			gc := make(chan struct{})
			go func() {
				runtime.GC()
				close(gc)
			}()
			wait(t, gc, "runtime.GC beside a loop that polls")
		}
		atomic.OrUint32(&f.Pending, testStop)
		wait(t, done, "a loop that polls")
	})
}

func TestYield(t *testing.T) {
	f := &Frame{Pending: PendingYield | 6}
	if v := f.Yield(); v != 6 || f.Pending != 6 {
		t.Errorf("Yield = %#x and leaves %#x, want 6 and 6", v, f.Pending)
	}
}
