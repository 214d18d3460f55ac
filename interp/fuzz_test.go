package interp

import (
	"flag"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"hotblock/mmu"
	"hotblock/x86"
)

// Random code in all modes: whatever a guest does, the interpreter must not
// panic, hang or leave its memory. What the code computes is not looked at.

var fuzzSteps = flag.Int("fuzzsteps", 300_000, "instructions that TestRandomCode runs")

// randomMachine is a CPU with a little memory, filled from a seed.
type randomMachine struct {
	cpu *CPU
	ram *mmu.Block
	rng *rand.Rand
}

const (
	fuzzRAM  = 1 << 20
	fuzzROM  = 0x200000 // after it, a page of ROM and one of MMIO
	fuzzMMIO = 0x201000
)

// noise is a device that answers with anything and takes everything.
type noise struct{ rng *rand.Rand }

func (n noise) ReadMMIO(off uint64, size int) uint64 { return n.rng.Uint64() }
func (n noise) WriteMMIO(uint64, int, uint64)        {}
func (n noise) In(port uint16, size int) uint32      { return n.rng.Uint32() }
func (n noise) Out(uint16, int, uint32)              {}

func newRandomMachine(t testing.TB) *randomMachine {
	t.Helper()
	model, err := x86.ParseModel("max", Supports)
	if err != nil {
		t.Fatal(err)
	}
	ram, err := mmu.NewBlock("RAM", fuzzRAM)
	if err != nil {
		t.Fatal(err)
	}
	rom, err := mmu.NewBlock("ROM", mmu.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	m := &randomMachine{ram: ram, rng: rand.New(rand.NewSource(1))}
	mem := &mmu.Memory{}
	mem.Map(mmu.Region{Name: "RAM", Base: 0, Size: fuzzRAM, Blk: ram})
	mem.Map(mmu.Region{Name: "ROM", Base: fuzzROM, Size: mmu.PageSize, Kind: mmu.ROM, Blk: rom})
	dev := noise{m.rng}
	mem.Map(mmu.Region{Name: "MMIO", Base: fuzzMMIO, Size: mmu.PageSize, Kind: mmu.IO, Dev: dev})
	m.cpu = New(mem, model)
	m.cpu.Ports = dev
	// A repeated string instruction may go on for ever; an interrupt request stops
	// it, as it would in a machine with a timer.
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				m.cpu.Kick()
			}
		}
	}()
	var tsc uint64
	m.cpu.TSC = func() uint64 { tsc += 17; return tsc }
	return m
}

// restart fills memory and the CPU's state at random, within what the
// architecture can come to be.
func (m *randomMachine) restart(code []byte) {
	r := m.rng
	c := m.cpu
	b := m.ram.Bytes
	if code == nil {
		r.Read(b[:0x40000])
		m.flavour(b[:0x40000])
	} else {
		for n := 0; n < 0x40000; n += copy(b[n:0x40000], code) {
		}
	}
	c.DropCode()
	c.ResetState(true)
	for i := range 16 {
		switch r.Intn(3) {
		case 0:
			c.R[i] = uint64(r.Intn(fuzzRAM))
		case 1:
			c.R[i] = r.Uint64()
		default:
			c.R[i] = uint64(int64(int8(r.Uint32())))
		}
	}
	for i := range c.V {
		for k := range c.V[i] {
			c.V[i][k] = r.Uint64()
		}
	}
	c.R[x86.RSP] = uint64(0x20000 + r.Intn(0x10000))
	c.CR4 = r.Uint64() & c.cr4Mask() &^ x86.CR4PCIDE
	c.XCR0 = []uint64{1, 3, 7}[r.Intn(3)]
	c.EFER = r.Uint64() & (x86.EFERSCE | x86.EFERNXE)
	c.CR0 = x86.CR0ET | r.Uint64()&(x86.CR0MP|x86.CR0EM|x86.CR0TS|x86.CR0NE|x86.CR0WP|x86.CR0AM)
	if r.Intn(4) != 0 {
		c.CR0 &^= x86.CR0EM | x86.CR0TS
		c.CR4 |= x86.CR4OSFXSR
	}
	c.CPL = uint8([]int{0, 0, 3, 1}[r.Intn(4)])
	flags := r.Uint64() & 0x3c7fd7
	c.IDTR = x86.Table{Base: 0x8000, Limit: 0xfff}
	c.GDTR = x86.Table{Base: 0x9000, Limit: 0xfff}
	c.STAR, c.LSTAR = r.Uint64(), uint64(r.Intn(fuzzRAM))
	c.SysenterCS, c.SysenterEIP, c.SysenterESP = 8, uint64(r.Intn(fuzzRAM)), 0x30000
	code16 := uint16(x86.SegP | x86.SegS | x86.SegCode | x86.SegWritable | x86.SegAccessed)
	data := uint16(x86.SegP | x86.SegS | x86.SegWritable | x86.SegAccessed | x86.SegG | x86.SegD)
	limit := uint32(0xffffffff)
	switch mode := r.Intn(6); mode {
	case 0: // real
		c.CPL = 0
		limit, data = 0xffff, data&^(x86.SegG|x86.SegD)
	case 1, 2: // 16- and 32-bit protected
		c.CR0 |= x86.CR0PE
		if mode == 2 {
			code16 |= x86.SegD | x86.SegG
		}
	case 3: // virtual-8086
		c.CR0 |= x86.CR0PE
		flags |= x86.FlagVM
		c.CPL = 3
		limit, data = 0xffff, 0xf3
	default: // 64-bit and compatibility
		c.CR0 |= x86.CR0PE | x86.CR0PG
		c.CR4 |= x86.CR4PAE
		c.EFER |= x86.EFERLME | x86.EFERLMA
		code16 |= x86.SegG
		if mode == 4 {
			code16 |= x86.SegL
		} else {
			code16 |= x86.SegD
		}
	}
	if c.CR0&x86.CR0PE != 0 && r.Intn(2) == 0 {
		c.CR0 |= x86.CR0PG
	}
	m.tables()
	for i := range c.Seg {
		c.Seg[i] = x86.Segment{Limit: limit, Attr: data | uint16(c.CPL)<<5, Sel: uint16(c.CPL)}
		if r.Intn(8) == 0 {
			c.Seg[i].Limit = uint32(r.Intn(0x40000))
		}
	}
	c.Seg[x86.CS].Attr = code16 | uint16(c.CPL)<<5
	c.TR = x86.Segment{Base: 0xa000, Limit: 0x1fff, Attr: x86.SegP | 11, Sel: 0x40}
	c.LDTR = x86.Segment{Base: 0xc000, Limit: 0xfff, Attr: x86.SegP | 2, Sel: 0x48}
	c.SetRFLAGS(flags)
	c.RIP = uint64(r.Intn(0x10000))
	if r.Intn(8) == 0 {
		for i := range 4 {
			c.DR[i] = uint64(r.Intn(0x40000))
		}
		c.DR[7] = r.Uint64()&0xffff03ff | 0x400
	}
	if c.CR0&x86.CR0PG != 0 && c.CR4&x86.CR4PAE != 0 && c.EFER&x86.EFERLMA == 0 {
		c.paging.PDPTE, _ = c.Mem.LoadPDPTEs(c.CR3, x86.PhysBits)
	}
	c.Refresh()
}

// flavour strews what random bytes rarely form: prefixes and escapes.
func (m *randomMachine) flavour(b []byte) {
	for range len(b) / 8 {
		b[m.rng.Intn(len(b))] = []byte{0x0f, 0x66, 0xf0, 0xf2, 0xf3, 0xc4, 0xc5, 0x48, 0xcf, 0xcd, 0x8e, 0x9d}[m.rng.Intn(12)]
	}
}

// tables writes descriptor tables and page tables, mostly sound.
func (m *randomMachine) tables() {
	r, b := m.rng, m.ram.Bytes
	put := func(at int, v uint64) {
		for i := range 8 {
			b[at+i] = byte(v >> (8 * i))
		}
	}
	for i := range 512 {
		attr := uint64(r.Intn(256)) | 0x80
		if i%3 == 0 {
			attr = []uint64{0x9b, 0x93, 0xfb, 0xf3, 0x89, 0x82, 0x8c, 0x85}[r.Intn(8)]
		}
		put(0x9000+8*i, 0x000f00000000ffff|attr<<40|uint64(r.Intn(16))<<52|uint64(r.Intn(0x30000))<<16)
		gate := uint64([]int{0x8e, 0xee, 0xef, 0x85, 0x8f, 0xe6}[r.Intn(6)])
		put(0x8000+8*i, uint64(r.Intn(0x10000))|uint64(r.Intn(64)*8)<<16|gate<<40|uint64(r.Intn(4))<<48)
	}
	// Page tables at 0x80000: every entry points at some table or page.
	for i := range 4 * 512 {
		v := uint64(0x80000+r.Intn(8)*0x1000) | uint64(r.Intn(0x200)) | 7
		if i >= 3*512 || r.Intn(4) == 0 {
			v = uint64(r.Intn(fuzzRAM/0x1000))<<12 | uint64(r.Intn(0x200)) | 7
		}
		switch r.Intn(64) {
		case 0:
			v = r.Uint64()
		case 1:
			v = fuzzROM + uint64(r.Intn(2))*0x1000 | 7
		case 2:
			v |= 1 << 63
		}
		put(0x80000+8*i, v)
	}
	// A way that works for low addresses.
	put(0x80000, 0x81007)
	put(0x81000, 0x82007)
	if r.Intn(2) == 0 {
		put(0x82000, 0x83007)
		for i := range 256 {
			put(0x83000+8*i, uint64(i)<<12|7)
		}
	} else {
		put(0x82000, 0x87)
	}
	m.cpu.CR3 = 0x80000
	if r.Intn(4) == 0 {
		m.cpu.CR3 = uint64(r.Intn(fuzzRAM)) &^ 0xfff
	}
}

// run steps up to n instructions from a new state and returns how many ran.
func (m *randomMachine) run(n int) int {
	c := m.cpu
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Sprintf("%v\nmode %d RIP %#x CR0 %#x CR4 %#x EFER %#x CPL %d flags %#x", r, c.mode, c.RIP, c.CR0, c.CR4, c.EFER, c.CPL, c.RFLAGS()))
		}
	}()
	done := 0
	for done < n {
		k, exit := c.RunSteps(1)
		done += k
		if exit == ExitShutdown || c.Halted || k == 0 {
			break
		}
		if m.rng.Intn(64) == 0 {
			// A request in the middle, and blocks in place of steps.
			c.NMI()
		}
	}
	return max(done, 1)
}

// blocks runs whole blocks, as Run does, with a bound.
func (m *randomMachine) blocks(n int) {
	c := m.cpu
	for range n {
		if c.shutdown || c.Halted || c.waiting {
			return
		}
		c.Shadow, c.ShadowSS = false, false
		c.pending.Store(0)
		m.oneBlock()
	}
}

// oneBlock runs up to the next block's head.
func (m *randomMachine) oneBlock() {
	c := m.cpu
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(*fault)
			if !ok {
				panic(r)
			}
			c.stepping, c.dbTrap = false, 0
			c.deliverFault(f)
		}
	}()
	if c.dbActive {
		c.step()
		return
	}
	op := c.lookup()
	for i := 0; op != nil && i < 200; i++ {
		if op = op.fn(c, op); op != nil && op.len == 0 {
			c.RIP = c.ripAt(op.off) // a head or a block's end
		}
	}
	c.takeTraps()
}

func TestRandomCode(t *testing.T) {
	m := newRandomMachine(t)
	for done, round := 0, int64(0); done < *fuzzSteps; round++ {
		m.rng.Seed(round)
		m.restart(nil)
		done += m.run(400)
		m.rng.Seed(round)
		m.restart(nil)
		m.blocks(50)
		done += 50
	}
}

// FuzzCode runs the fuzzer's bytes as code, in a mode by the seed.
func FuzzCode(f *testing.F) {
	for i := range 12 {
		f.Add(int64(i), []byte{0x90, 0x0f, 0x0b, 0xcd, 0x80, 0xf4})
	}
	m := newRandomMachine(f)
	f.Fuzz(func(t *testing.T, seed int64, code []byte) {
		if len(code) == 0 {
			return
		}
		m.rng.Seed(seed)
		m.restart(code)
		m.run(200)
		m.rng.Seed(seed)
		m.restart(code)
		m.blocks(50)
	})
}
