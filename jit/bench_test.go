package jit

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"hotblock/interp"
	"hotblock/x86"
)

// runLoop runs code, which counts RCX down and ends in INT3, b.N times through. RSI
// is at memory of 16 pages.
func runLoop(b *testing.B, cfg *Config, m guestMode, prepare func(g *guest), code ...byte) {
	g := newGuest(b, cfg)
	g.mapPage(progCode, guestCode|7)
	for i := uint64(0); i < 16; i++ {
		g.mapPage(progWindow+i*pageSize, guestData+i*pageSize|0x67)
	}
	for i := uint64(0); i < 2; i++ {
		g.mapPage(progStack+i*pageSize, physStack+i*pageSize|7)
	}
	copy(g.ram.Bytes[guestCode:], append(code, 0xcc))
	if prepare != nil {
		prepare(g)
	}
	s := g.base
	m.segments(&s, 0, 0)
	s.RIP, s.R[x86.RSP] = progCode, progStack+2*pageSize
	s.R[x86.RSI], s.R[x86.RDX] = progWindow, 0
	s.R[x86.RCX] = 1000 // warms up
	g.run(&s, 2)
	s.R[x86.RCX] = uint64(b.N)
	b.ResetTimer()
	if t := g.run(&s, 2); t.vec != 3 {
		b.Fatalf("it ended with %v", &t)
	}
}

// benchEngines are the interpreter and translators that benchmarks compare.
var benchEngines = []struct {
	name string
	cfg  func() *Config
}{
	{"interp", func() *Config { return nil }},
	{"tlb", func() *Config { return memoryConfig("tlb") }},
	{"window", func() *Config { return memoryConfig("window-now") }},
}

func memoryConfig(name string) *Config {
	c := DefaultConfig
	c.Choices.Memory = name
	return &c
}

// BenchmarkLoad is a load from one page; in nanoseconds, with the loop around it.
func BenchmarkLoad(b *testing.B) {
	for _, e := range benchEngines {
		b.Run(e.name, func(b *testing.B) {
			runLoop(b, e.cfg(), guestMode{cpl: 3}, nil,
				0x48, 0x8b, 0x06, // 1: mov rax, [rsi]
				0x48, 0xff, 0xc9, // dec rcx
				0x75, 0xf8) // jnz 1b
		})
	}
}

// BenchmarkTLBMiss is a load that misses in a TLB of one entry, a page walk included.
func BenchmarkTLBMiss(b *testing.B) {
	for _, e := range benchEngines[:2] {
		b.Run(e.name, func(b *testing.B) {
			runLoop(b, e.cfg(), guestMode{cpl: 3}, func(g *guest) { g.cpu.SetTLBSize(1) },
				0x48, 0x8b, 0x04, 0x16, // 1: mov rax, [rsi+rdx]
				0x48, 0x81, 0xf2, 0, 0x10, 0, 0, // xor rdx, 0x1000
				0x48, 0xff, 0xc9, // dec rcx
				0x75, 0xf0) // jnz 1b
		})
	}
}

// BenchmarkPortIO is an OUT: out of translated code, the interpreter, the device, and
// back.
func BenchmarkPortIO(b *testing.B) {
	for _, e := range benchEngines[:2] {
		b.Run(e.name, func(b *testing.B) {
			runLoop(b, e.cfg(), guestMode{}, nil,
				0x66, 0xba, 0x00, 0x02, // 1: mov dx, 0x200
				0xee,             // out dx, al
				0x48, 0xff, 0xc9, // dec rcx
				0x75, 0xf6) // jnz 1b
		})
	}
}

// A latencyMeter is an interrupt controller that measures how long the CPU takes.
type latencyMeter struct {
	ticker
	asked atomic.Int64
	took  chan time.Duration
}

func (m *latencyMeter) Ack() (uint8, bool) {
	v, ok := m.ticker.Ack()
	m.took <- time.Duration(time.Now().UnixNano() - m.asked.Load())
	return v, ok
}

// BenchmarkInterruptLatency is from another goroutine's request to the acknowledge
// cycle, while the guest computes.
func BenchmarkInterruptLatency(b *testing.B) {
	for _, e := range benchEngines[:2] {
		b.Run(e.name, func(b *testing.B) {
			g := newGuest(b, e.cfg())
			g.mapPage(progCode, guestCode|7)
			copy(g.ram.Bytes[guestCode:], []byte{0x48, 0xff, 0xc0, 0xeb, 0xfb}) // 1: inc rax; jmp 1b
			m := &latencyMeter{took: make(chan time.Duration, 1)}
			g.cpu.Int = m
			g.onTrap = func(t *trap) bool { return t.vec == 0x40 }
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			s.RIP = progCode
			g.cpu.State = s
			g.cpu.SetRFLAGS(2 | x86.FlagIF)
			g.cpu.Refresh()
			done := make(chan interp.Exit)
			go func() { done <- g.cpu.Run() }()
			var sum, most time.Duration
			for b.Loop() {
				time.Sleep(20 * time.Microsecond) // the guest computes again
				m.asked.Store(time.Now().UnixNano())
				m.pending.Store(true)
				g.cpu.Kick()
				d := <-m.took
				sum, most = sum+d, max(most, d)
			}
			g.cpu.Stop()
			if why := <-done; why != interp.ExitStop {
				b.Fatal(fmt.Sprint("the guest ended with ", why))
			}
			b.ReportMetric(float64(sum.Nanoseconds())/float64(b.N), "ns/interrupt")
			b.ReportMetric(float64(most.Nanoseconds()), "ns/most")
		})
	}
}

// BenchmarkCompareWindow is the comparison of one page of a window with the page tables.
func BenchmarkCompareWindow(b *testing.B) {
	const pages = 2048
	g := newGuest(b, memoryConfig("window-now"))
	g.mapPage(progCode, guestCode|7)
	for i := range uint64(pages) {
		g.mapPage(progWindow+i*pageSize, guestData+i%16*pageSize|0x67)
	}
	copy(g.ram.Bytes[guestCode:], []byte{
		0x48, 0x8b, 0x06, // 1: mov rax, [rsi]
		0x48, 0x81, 0xc6, 0, 0x10, 0, 0, // add rsi, 0x1000
		0x48, 0xff, 0xc9, // dec rcx
		0x75, 0xf1, 0xcc}) // jnz 1b; int3
	s := g.base
	guestMode{cpl: 3}.segments(&s, 0, 0)
	s.RIP = progCode
	for range 20 { // until all of it is in the window
		s.R[x86.RCX], s.R[x86.RSI] = pages, progWindow
		if tr := g.run(&s, 2); tr.vec != x86.ExcBP {
			b.Fatal(&tr)
		}
	}
	e := g.eng
	if n := e.win.pages.n; n < pages {
		b.Fatalf("%d pages are in the window, want %d", n, pages)
	}
	before := e.win.unmapped
	for b.Loop() {
		e.compareWindow()
	}
	if e.win.unmapped != before {
		b.Fatal("pages were unmapped that have not changed")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(e.win.pages.n), "ns/page")
}
