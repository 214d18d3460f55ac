package jit

// Translated code under stress: much garbage collection, signals and profiling,
// interrupts, a code cache and TLBs that hold nothing for long, and guests that do
// not want to be stopped. What the guest computes has to stay the same. -stresstime
// makes them run for long.

import (
	"encoding/binary"
	"flag"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hotblock/interp"
	"hotblock/x86"
)

var stressTime = flag.Duration("stresstime", 0, "how long each of the tests under stress runs, in place of a fixed number of rounds")

// rounds counts the rounds of a test under stress: n of them, or more where there is
// time left of -stresstime.
func rounds(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		start := time.Now()
		for i := 0; i < n || time.Since(start) < *stressTime; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// workload is a program that computes for a number of rounds, in R14: integer and
// vector arithmetic, calls, indirect jumps, the stack, memory over five pages that
// accesses cross, and now and then a change of its own code. It runs at CPL 3.
func workload() (code []byte) {
	p := &program{mode: guestMode{cpl: 3}}
	top, f, skip, patch, end, smc := p.newLabel(), p.newLabel(), p.newLabel(), p.newLabel(), p.newLabel(), p.newLabel()
	p.mark(top)
	p.emit([]byte{0x4c, 0x89, 0xf0})                         // mov rax, r14
	p.emit([]byte{0x48, 0x69, 0xc0, 0xb1, 0x79, 0x37, 0x5e}) // imul rax, rax, 0x5e3779b1
	p.emit([]byte{0x48, 0x31, 0xc3})                         // xor rbx, rax
	p.emit([]byte{0x48, 0xc1, 0xc3, 0x0d})                   // rol rbx, 13
	p.emit([]byte{0x89, 0xd9})                               // mov ecx, ebx
	p.emit([]byte{0x81, 0xe1, 0xff, 0x3f, 0, 0})             // and ecx, 0x3fff
	p.emit([]byte{0x48, 0x01, 0x1c, 0x0e})                   // add [rsi + rcx], rbx
	p.emit([]byte{0x48, 0x8b, 0x54, 0x0e, 0x08})             // mov rdx, [rsi + rcx + 8]
	p.emit([]byte{0x49, 0x11, 0xd1})                         // adc r9, rdx
	p.emit([]byte{0x66, 0x48, 0x0f, 0x6e, 0xc3})             // movq xmm0, rbx
	p.emit([]byte{0x66, 0x0f, 0xd4, 0xc8})                   // paddq xmm1, xmm0
	p.emit([]byte{0xf2, 0x0f, 0x2a, 0xd1})                   // cvtsi2sd xmm2, ecx
	p.emit([]byte{0xf2, 0x0f, 0x58, 0xda})                   // addsd xmm3, xmm2
	p.emit([]byte{0xe8, 0, 0, 0, 0}, fixup{pos: 1, size: 4, to: f})
	p.emit([]byte{0xf6, 0xc3, 3})                             // test bl, 3
	p.emit([]byte{0x75, 0}, fixup{pos: 1, size: 1, to: skip}) // jnz
	p.emit([]byte{0x49, 0x83, 0xc2, 7})                       // add r10, 7
	e := &p.elems[len(p.elems)-1]
	e.inner, e.at = patch, 3
	p.mark(skip)
	p.emit([]byte{0x53, 0x41, 0x5f})                         // push rbx; pop r15
	p.emit([]byte{0x48, 0x8d, 0x05, 2, 0, 0, 0, 0xff, 0xe0}) // lea rax, [rip + 2]; jmp rax
	p.emit([]byte{0x41, 0xf7, 0xc6, 0xff, 3, 0, 0})          // test r14d, 0x3ff
	p.emit([]byte{0x0f, 0x84, 0, 0, 0, 0}, fixup{pos: 2, size: 4, to: smc})
	p.mark(end)
	p.emit([]byte{0x49, 0xff, 0xce}) // dec r14
	p.emit([]byte{0x0f, 0x85, 0, 0, 0, 0}, fixup{pos: 2, size: 4, to: top})
	p.emit([]byte{0xcc})
	p.mark(smc)
	p.emit([]byte{0x88, 0x1d, 0, 0, 0, 0}, fixup{pos: 2, size: 4, to: patch}) // mov [patch], bl
	p.emit([]byte{0xe9, 0, 0, 0, 0}, fixup{pos: 1, size: 4, to: end})
	p.mark(f)
	p.emit([]byte{0x48, 0x0f, 0xcb, 0x4c, 0x01, 0xd3, 0xc3}) // bswap rbx; add rbx, r10; ret
	code, _, _ = p.assemble(slices.Repeat([]bool{true}, len(p.elems)), 64)
	return code
}

// worker runs the workload.
type worker struct {
	*guest
	code   []byte
	rounds uint64
}

const workerData = progWindow + 32*pageSize

func newWorker(t testing.TB, cfg *Config) *worker {
	w := &worker{guest: newGuest(t, cfg), code: workload(), rounds: 60_000}
	for i := uint64(0); i < 2; i++ {
		w.mapPage(progCode+i*pageSize, guestCode+i*pageSize|7)
		w.mapPage(progStack+i*pageSize, physStack+i*pageSize|7)
	}
	for i := uint64(0); i < 6; i++ {
		w.mapPage(workerData+i*pageSize, guestData+(5-i)*pageSize|7)
	}
	return w
}

// work runs the workload from the start and returns a digest of its result.
func (w *worker) work() string {
	b := w.ram.Bytes
	clear(b[guestData : guestData+6*pageSize])
	if !slices.Equal(b[guestCode:guestCode+len(w.code)], w.code) {
		copy(b[guestCode:], w.code)
		w.cpu.DropCode()
	}
	s := w.base
	guestMode{cpl: 3}.segments(&s, 0, 0)
	s.RIP = progCode
	s.R[x86.R14] = w.rounds
	s.R[x86.RSI] = workerData
	s.R[x86.RSP] = progStack + 2*pageSize
	t := w.run(&s, 0x202)
	c := w.cpu
	h := uint64(14695981039346656037)
	add := func(v uint64) { h = (h ^ v) * 1099511628211; h ^= h >> 29 }
	for i, v := range c.R[:16] {
		if i != x86.RSP {
			add(v)
		}
	}
	for i := range c.V {
		for _, v := range c.V[i] {
			add(v)
		}
	}
	for o := 0; o < 6*pageSize; o += 8 {
		add(binary.LittleEndian.Uint64(b[guestData+o:]))
	}
	add(uint64(c.MXCSR))
	return fmt.Sprintf("vector %d at %#x flags %#x RSP %#x, %x", t.vec, t.rip, t.flags, t.rsp, h)
}

// expected is what the interpreter computes.
func (w *worker) expected(t testing.TB) string {
	ref := newWorker(t, nil)
	ref.rounds = w.rounds
	return ref.work()
}

func engineConfig(threshold uint64, cache int) *Config {
	c := DefaultConfig
	c.Threshold, c.CacheSize = threshold, cache
	return &c
}

// TestSmallCache has the code cache flushed again and again.
func TestSmallCache(t *testing.T) {
	w := newWorker(t, engineConfig(1, minCache))
	want := w.expected(t)
	for i := range rounds(40) {
		for range 2 {
			if got := w.work(); got != want {
				t.Fatalf("run %d: %s, interpreter: %s", i, got, want)
			}
		}
		w.cpu.DropCode() // what is translated again goes elsewhere in the cache
	}
	if w.eng.Stats().Flushes == 0 {
		t.Error("the cache was never flushed")
	}
}

// TestSmallTLB has eight translations in each TLB.
func TestSmallTLB(t *testing.T) {
	for _, threshold := range []uint64{1, 16} {
		w := newWorker(t, engineConfig(threshold, 4<<20))
		want := w.expected(t)
		w.cpu.SetTLBSize(8)
		w.rounds = 60_000
		for range rounds(2) {
			if got := w.work(); got != want {
				t.Fatalf("threshold %d: %s, interpreter: %s", threshold, got, want)
			}
		}
		if s := w.eng.Stats(); s.Filled < 1000 {
			t.Errorf("only %d misses", s.Filled)
		}
	}
}

// TestProgramsSmallTLB runs random programs with eight translations in each TLB.
func TestProgramsSmallTLB(t *testing.T) {
	r := newProgramRig(t, "threshold=1", "threshold=1,verify=all")
	for _, g := range r.guests[1:] {
		g.cpu.SetTLBSize(8)
	}
	r.run(t, 2_000_000, 100)
}

// ticker is an interrupt controller with one interrupt, vector 0x40.
type ticker struct{ pending atomic.Bool }

func (i *ticker) HasInterrupt() bool { return i.pending.Load() }
func (i *ticker) Ack() (uint8, bool) {
	return 0x40, i.pending.Swap(false)
}
func (*ticker) ReadMSR(uint32) (uint64, bool)     { return 0, false }
func (*ticker) WriteMSR(uint32, uint64) (ok bool) { return false }
func (*ticker) TPR() uint8                        { return 0 }
func (*ticker) SetTPR(uint8)                      {}

// TestInterrupts interrupts a computing guest every 50 us.
func TestInterrupts(t *testing.T) {
	w := newWorker(t, engineConfig(2, 4<<20))
	want := w.expected(t)
	tick := &ticker{}
	w.cpu.Int = tick
	count := 0
	w.onTrap = func(t *trap) bool {
		if t.vec == 0x40 {
			count++
			return true
		}
		return false
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Microsecond):
				tick.pending.Store(true)
				w.cpu.Kick()
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	for range rounds(1) {
		deadline := time.Now().Add(guestLimit)
		for n, before := 0, count; count-before < 300; n++ {
			if got := w.work(); got != want {
				t.Fatalf("run %d, after %d interrupts: %s, interpreter: %s", n, count, got, want)
			}
			if time.Now().After(deadline) {
				t.Fatalf("only %d interrupts in %d runs", count-before, n)
			}
		}
	}
}

// endless are guests that go on for ever, with interrupts off.
var endless = []struct {
	name string
	mode guestMode
	code []byte
	set  func(s *x86.State)
}{
	{"jmp to itself", guestMode{}, []byte{0xeb, 0xfe}, nil},
	{"jmp to itself, 32-bit", guestMode{3, true}, []byte{0xeb, 0xfe}, nil},
	{"jz to itself", guestMode{cpl: 3}, []byte{0x74, 0xfe}, nil},
	{"jmp rax", guestMode{cpl: 3}, []byte{0xff, 0xe0}, func(s *x86.State) { s.R[x86.RAX] = progCode }},
	{"jmp [mem]", guestMode{}, []byte{0xff, 0x26}, func(s *x86.State) { s.R[x86.RSI] = progWindow }},
	{"ret", guestMode{cpl: 3}, []byte{0xc3}, func(s *x86.State) { s.R[x86.RSP] = progWindow }},
	{"push and ret", guestMode{cpl: 3}, []byte{0x50, 0xc3}, func(s *x86.State) { s.R[x86.RAX] = progCode }},
	{"call and pop", guestMode{cpl: 3}, []byte{0x5a, 0xe8, 0xfa, 0xff, 0xff, 0xff}, func(s *x86.State) { s.R[x86.RSP] -= 64 }},
	{"call rax", guestMode{}, []byte{0xff, 0xd0}, func(s *x86.State) { s.R[x86.RAX] = progCode; s.R[x86.RSP] = endlessTop }},
	{"call", guestMode{}, []byte{0xe8, 0xfb, 0xff, 0xff, 0xff}, func(s *x86.State) { s.R[x86.RSP] = endlessTop }},
	{"loop", guestMode{}, []byte{0xe2, 0xfe}, func(s *x86.State) { s.R[x86.RCX] = 0 }},
	{"forward and back", guestMode{}, []byte{0xeb, 2, 0x90, 0x90, 0x48, 0xff, 0xc0, 0xeb, 0xf7}, nil},
	{"far and back", guestMode{}, append(append([]byte{0xe9, 0xfb, 0x0f, 0, 0}, make([]byte, 4091)...), 0xe9, 0xfb, 0xef, 0xff, 0xff), nil},
	{"a store to itself", guestMode{}, []byte{0xc6, 0x05, 0xf9, 0xff, 0xff, 0xff, 0xc6, 0xeb, 0xf7}, nil},
	{"rep movsb", guestMode{}, []byte{0xf3, 0xa4}, func(s *x86.State) { s.R[x86.RCX] = 1 << 38 }},
	{"rep movsb of bytes that overlap", guestMode{}, []byte{0xf3, 0xa4}, func(s *x86.State) { s.R[x86.RCX], s.R[x86.RDI] = 1<<37, s.R[x86.RSI]+1 }},
	{"rep stosq", guestMode{cpl: 3}, []byte{0xf3, 0x48, 0xab}, func(s *x86.State) { s.R[x86.RCX] = 1 << 35 }},
	{"rep lodsb", guestMode{cpl: 3}, []byte{0xf3, 0xac}, func(s *x86.State) { s.R[x86.RCX] = 1 << 38 }},
	{"repe cmpsb", guestMode{cpl: 3}, []byte{0xf3, 0xa6}, func(s *x86.State) { s.R[x86.RCX], s.R[x86.RDI] = 1<<37, s.R[x86.RSI] }},
	{"repe scasq", guestMode{cpl: 3}, []byte{0xf3, 0x48, 0xaf}, func(s *x86.State) { s.R[x86.RCX], s.R[x86.RAX] = 1<<35, progCode }},
	{"an undefined instruction, again and again", guestMode{cpl: 3}, []byte{0x0f, 0x0b}, nil},
}

// In the test of endless guests the upper half of the lower addresses is one page,
// over and over.
const (
	endlessBase = 0x400000000000
	endlessTop  = endlessBase + 1<<46 - 64
)

// TestStop stops guests that never end.
func TestStop(t *testing.T) {
	for _, c := range endless {
		for _, cfg := range []*Config{nil, engineConfig(1, 4<<20), engineConfig(16, 4<<20)} {
			g := newGuest(t, cfg)
			t.Run(c.name+"/"+g.name, func(t *testing.T) {
				for i := uint64(0); i < 2; i++ {
					g.mapPage(progCode+i*pageSize, guestCode+i*pageSize|7)
					g.mapPage(progStack+i*pageSize, physStack+i*pageSize|7)
				}
				g.mapPage(endlessBase, guestData|7)
				g.fold(endlessBase)
				g.mapPage(progWindow, (guestData+pageSize)|7)
				for _, o := range []int{0, pageSize} {
					for i := 0; i < pageSize; i += 8 {
						binary.LittleEndian.PutUint64(g.ram.Bytes[guestData+o+i:], progCode)
					}
				}
				if c.name == "ret" {
					// RSP goes up through all of it.
					g.base.R[x86.RSP] = endlessBase
				}
				copy(g.ram.Bytes[guestCode:], c.code)
				s := g.base
				c.mode.segments(&s, 0, 0)
				s.RIP = progCode
				s.R[x86.RSP] = progStack + 2*pageSize
				s.R[x86.RSI], s.R[x86.RDI] = endlessBase, endlessBase+1<<45
				if c.set != nil {
					c.set(&s)
				}
				if c.name == "ret" {
					s.R[x86.RSP] = endlessBase
				}
				traps := 0
				g.onTrap = func(tr *trap) bool {
					traps++
					g.last = *tr
					return c.code[0] == 0x0f
				}
				g.cpu.State = s
				flags := uint64(2)
				if c.code[0] == 0x74 {
					flags |= x86.FlagZF
				}
				g.cpu.SetRFLAGS(flags)
				g.cpu.Refresh()
				done := make(chan interp.Exit, 1)
				go func() { done <- g.cpu.Run() }()
				time.Sleep(20 * time.Millisecond)
				runtime.GC() // it waits for the guest, too
				g.cpu.Stop()
				select {
				case why := <-done:
					if why != interp.ExitStop || traps != 0 && c.code[0] != 0x0f {
						t.Errorf("it ended with %d, after %d exceptions, the last %v", why, traps, &g.last)
					}
				case <-time.After(guestLimit):
					t.Fatal("it cannot be stopped")
				}
			})
		}
	}
}

// fold makes all of the 2^46 bytes from va on, which is a multiple of that, the page
// that is mapped at va.
func (g *guest) fold(va uint64) {
	b, le := g.ram.Bytes, binary.LittleEndian
	table := uint64(guestTables)
	for shift := 39; shift >= 12; shift -= 9 {
		i := va >> shift & 511
		v := le.Uint64(b[table+8*i:])
		n := uint64(512)
		if shift == 39 {
			n = 1 << 46 >> 39
		}
		for k := range n {
			if shift == 39 {
				le.PutUint64(b[table+8*(i+k):], v)
			} else {
				le.PutUint64(b[table+8*k:], v)
			}
		}
		table = v &^ 0xfff
	}
}
