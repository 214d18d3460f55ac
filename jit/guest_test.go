package jit

// A guest for tests: one CPU, a little memory, and a supervisor of a few
// instructions. Code under test runs in it on the interpreter alone or with an
// Engine, and ends with an exception. Every vector leads to a stub that writes to
// the port of its number, where Go looks at what happened and either stops the CPU
// or changes the frame on the stack and has the stub return to the code. So the
// code goes through the same paths as in a machine: Run, blocks, translations,
// delivery, IRET.

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/mmu"
	"hotblock/x86"
)

// Physical memory.
const (
	guestRAM       = 8 << 20
	guestTables    = 0x1000 // of pages, up to guestTablesEnd
	guestTablesEnd = 0x36000
	guestIDT       = 0x40000
	guestGDT       = 0x41000
	guestTSS       = 0x42000
	guestStubs     = 0x43000 // 16 bytes for each vector
	guestCalls     = 0x44000 // where SYSCALL goes
	guestStack     = 0x46000 // end of the stack of exceptions
	guestCode      = 0x100000
	guestData      = 0x200000
	guestMMIO      = 0x1000000
	guestROM       = 0x1001000
	guestHole      = 0x1002000 // nothing is there
)

// Selectors, as the guest's GDT has them.
const (
	selCode64 = 0x08
	selData   = 0x10
	selUser32 = 0x23
	selUserDS = 0x2b
	selUser64 = 0x33
	selCode32 = 0x38
)

// guestLimit is how long code under test may run before it counts as hung.
const guestLimit = 20 * time.Second

// trap is an exception as the guest's stub has it on its stack.
type trap struct {
	vec                int
	err                uint64
	cr2                uint64
	rip, rsp, flags    uint64
	cs                 uint16
	frame              []byte // RIP, CS, RFLAGS, RSP, SS
	instructionsBefore uint64
}

func (t *trap) setRIP(v uint64)   { binary.LittleEndian.PutUint64(t.frame, v) }
func (t *trap) setFlags(v uint64) { binary.LittleEndian.PutUint64(t.frame[16:], v) }
func (t *trap) String() string {
	return fmt.Sprintf("exception %d, error %#x, at %#x, flags %#x, RSP %#x, CR2 %#x", t.vec, t.err, t.rip, t.flags, t.rsp, t.cr2)
}

// guest is a CPU with memory.
type guest struct {
	cpu  *interp.CPU
	eng  *Engine // nil: the interpreter alone
	ram  *mmu.Block
	rom  *mmu.Block
	base x86.State // to start from
	name string

	// onTrap is called for each exception; it reports whether the code goes on.
	onTrap func(t *trap) bool
	last   trap
	hung   atomic.Bool

	mayHang bool // code that does not end is no failure

	next   uint64 // free memory for tables
	mmio   []string
	random uint64 // what MMIO reads come from
	nops   bool   // they give NOPs, and INT3 at times, instead
	onMMIO func()
	tables []byte // of pages, as a test begins with them
}

var exceptionsWithCode = map[int]bool{8: true, 10: true, 11: true, 12: true, 13: true, 14: true, 17: true, 21: true}

// In implements x86.Ports.
func (g *guest) In(port uint16, size int) uint32 { return 0xffffffff >> (32 - 8*size) }

// Out implements x86.Ports: ports 0 to 255 are the stubs'.
func (g *guest) Out(port uint16, size int, v uint32) {
	c := g.cpu
	sp := c.R[x86.RSP]
	if port > 255 || sp > guestStack || sp < guestStack-48 {
		return // the code under test's own
	}
	b := g.ram.Bytes
	le := binary.LittleEndian
	t := trap{vec: int(port), cr2: c.CR2, instructionsBefore: c.Stats().Instructions}
	if t.vec != x86.ExcPF {
		t.cr2 = 0
	}
	if exceptionsWithCode[t.vec] {
		t.err = le.Uint64(b[sp:])
		sp += 8
	}
	t.frame = b[sp : sp+40]
	t.rip, t.cs, t.flags, t.rsp = le.Uint64(t.frame), le.Uint16(t.frame[8:]), le.Uint64(t.frame[16:]), le.Uint64(t.frame[24:])
	g.last = t
	if g.onTrap == nil || !g.onTrap(&t) {
		c.Stop()
	}
}

// ReadMMIO implements mmu.MMIO. Reads give numbers that depend on how many there
// have been.
func (g *guest) ReadMMIO(off uint64, size int) uint64 {
	g.random = g.random*6364136223846793005 + 1442695040888963407
	v := g.random >> 3 & (^uint64(0) >> (64 - 8*size))
	if g.nops {
		if v = 0x9090909090909090 >> (64 - 8*size); off%64 == 63 {
			v = 0xcc // INT3
		}
	}
	g.mmio = append(g.mmio, fmt.Sprintf("read %d at %#x: %#x", size, off, v))
	if g.onMMIO != nil {
		g.onMMIO()
	}
	return v
}

// WriteMMIO implements mmu.MMIO.
func (g *guest) WriteMMIO(off uint64, size int, v uint64) {
	g.mmio = append(g.mmio, fmt.Sprintf("write %d at %#x: %#x", size, off, v&(^uint64(0)>>(64-8*size))))
	if g.onMMIO != nil {
		g.onMMIO()
	}
}

// newGuest makes a guest on the interpreter, or with a translator where cfg says
// how, in 64-bit mode at CPL 3.
func newGuest(t testing.TB, cfg *Config) *guest {
	t.Helper()
	if cfg != nil && !host.Available() {
		t.Skip("the host does not run translated code")
	}
	ram, err := mmu.NewBlock("RAM", guestRAM)
	if err != nil {
		t.Fatal(err)
	}
	rom, err := mmu.NewBlock("ROM", mmu.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	model, err := x86.ParseModel("max", interp.Supports)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{ram: ram, rom: rom, next: guestTables + mmu.PageSize, name: "interpreter"}
	mem := new(mmu.Memory)
	mem.Map(mmu.Region{Name: "RAM", Size: guestRAM, Blk: ram})
	mem.Map(mmu.Region{Name: "MMIO", Base: guestMMIO, Size: mmu.PageSize, Kind: mmu.IO, Dev: g})
	mem.Map(mmu.Region{Name: "ROM", Base: guestROM, Size: mmu.PageSize, Kind: mmu.ROM, Blk: rom})
	c := interp.New(mem, model)
	g.cpu = c
	c.Ports = g
	c.TSC = func() uint64 { return 0 }
	if cfg != nil {
		if g.eng, err = New(c, *cfg); err != nil {
			t.Fatal(err)
		}
		g.name = fmt.Sprintf("threshold=%d,cache=%dK,verify=%d %v", cfg.Threshold, cfg.CacheSize>>10, cfg.Verify, cfg.Choices)
	}
	t.Cleanup(func() {
		if g.eng != nil {
			g.eng.Close()
		}
		ram.Free()
		rom.Free()
	})

	b, le := ram.Bytes, binary.LittleEndian
	for v := range uint64(256) {
		at := guestStubs + 16*v
		stub := []byte{0xe6, byte(v), 0x48, 0xcf} // out v, al; iretq
		if exceptionsWithCode[int(v)] {
			stub = []byte{0xe6, byte(v), 0x48, 0x83, 0xc4, 8, 0x48, 0xcf} // with add rsp, 8
		}
		copy(b[at:], stub)
		attr := uint64(0x8e)
		if v == 3 || v == 4 {
			attr = 0xee // software may raise it
		}
		le.PutUint64(b[guestIDT+16*v:], at&0xffff|selCode64<<16|1<<32|attr<<40|at>>16&0xffff<<48)
	}
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0x00cf9b000000ffff} {
		le.PutUint64(b[guestGDT+8*i:], d)
	}
	le.PutUint64(b[guestTSS+4:], guestStack)
	le.PutUint64(b[guestTSS+0x24:], guestStack) // IST1
	le.PutUint16(b[guestTSS+0x66:], 0xffff)     // no ports for CPL 3
	for pa := uint64(guestIDT); pa < guestStack; pa += mmu.PageSize {
		g.mapPage(pa, pa|3)
	}

	c.CR0 = x86.CR0PE | x86.CR0PG | x86.CR0WP | x86.CR0NE | x86.CR0MP | x86.CR0ET
	c.CR3 = guestTables
	c.CR4 = x86.CR4PAE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT | x86.CR4OSXSAVE
	c.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERNXE | x86.EFERSCE
	c.XCR0 = model.XCR0Mask()
	c.GDTR = x86.Table{Base: guestGDT, Limit: 0x3f}
	c.IDTR = x86.Table{Base: guestIDT, Limit: 0xfff}
	c.TR = x86.Segment{Base: guestTSS, Limit: 0x67, Attr: x86.SegP | 11, Sel: 0x40}
	c.FCW, c.MXCSR = 0x37f, 0x1f80
	g.base = c.State
	return g
}

// mapPage makes a linear page lead where a page table entry says.
func (g *guest) mapPage(va, pte uint64) {
	b, le := g.ram.Bytes, binary.LittleEndian
	table := uint64(guestTables)
	for shift := 39; ; shift -= 9 {
		e := b[table+va>>shift&511*8:]
		if shift == 12 {
			le.PutUint64(e, pte)
			return
		}
		v := le.Uint64(e)
		if v == 0 {
			if g.next == guestTablesEnd {
				panic("no memory for page tables")
			}
			v = g.next | 7
			g.next += mmu.PageSize
			le.PutUint64(e, v)
		}
		table = v &^ 0xfff
	}
}

// modes of the code under test.
type guestMode struct {
	cpl    uint8
	compat bool
}

// segments makes the segments of s those of a mode, with bases of FS and GS.
func (m guestMode) segments(s *x86.State, fs, gs uint64) {
	dpl := uint16(m.cpl) << 5
	data, code, sel := uint16(selData), uint16(selCode64), uint16(x86.SegL)
	if m.compat {
		code, sel = selCode32, x86.SegD
	}
	if m.cpl == 3 {
		data, code = selUserDS, selUser64
		if m.compat {
			code = selUser32
		}
	}
	s.CPL = m.cpl
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Sel: data, Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | dpl | x86.SegWritable | x86.SegAccessed | x86.SegD | x86.SegG}
	}
	s.Seg[x86.CS] = x86.Segment{Sel: code, Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | dpl | x86.SegCode | x86.SegWritable | x86.SegAccessed | sel | x86.SegG}
	s.Seg[x86.FS].Base, s.Seg[x86.GS].Base = fs, gs
}

// run starts the code at a state until a trap ends it, and returns that trap.
func (g *guest) run(s *x86.State, flags uint64) trap {
	c := g.cpu
	c.State = *s
	c.SetRFLAGS(flags)
	c.Refresh()
	g.last = trap{vec: -1}
	limit := guestLimit
	if g.mayHang {
		limit /= 20
	}
	g.hung.Store(false)
	timer := time.AfterFunc(limit, func() { g.hung.Store(true); c.Stop() })
	why := c.Run()
	timer.Stop()
	if g.hung.Load() && !g.mayHang {
		panic(fmt.Sprintf("%s: the guest did not end within %v: %s", g.name, guestLimit, c.Dump()))
	}
	if why == interp.ExitShutdown {
		g.last.vec = -2
	}
	return g.last
}
