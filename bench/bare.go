// Package bench measures engines: small guest programs that run on a CPU and
// memory alone, one for each class of work.
package bench

import (
	"encoding/binary"
	"fmt"
	"time"

	"hotblock/interp"
	"hotblock/mmu"
	"hotblock/x86"
)

// Layout of a bare guest's memory: page tables, then code, then data. The first
// 64 MiB are mapped to themselves in 2 MiB pages, and again, in 4 KiB pages, from
// smallPages on.
const (
	bareRAM    = 64 << 20
	tables     = 0x1000
	codeAt     = 0x100000
	stackTop   = 0x200000
	dataAt     = 0x400000
	smallPages = 1 << 30
	exitPort   = 0xf4
)

// A Workload is a guest program of one class of work.
type Workload struct {
	Name string
	Doc  string
	// build writes the program; it runs with R15 as its number of rounds, RSI
	// pointing to data and a stack, and ends by falling out at the end.
	build func(p *program)
}

// Result is one run of a workload.
type Result struct {
	Instructions uint64
	Time         time.Duration
}

// MIPS is millions of guest instructions a second.
func (r Result) MIPS() float64 { return float64(r.Instructions) / r.Time.Seconds() / 1e6 }

// bare is a CPU with memory and nothing else: writing to exitPort stops it.
type bare struct {
	cpu *interp.CPU
	ram *mmu.Block
}

func (b *bare) In(uint16, int) uint32 { return 0xffffffff }

func (b *bare) Out(port uint16, _ int, _ uint32) {
	if port == exitPort {
		b.cpu.Stop()
	}
}

func newBare(code []byte) (*bare, error) {
	ram, err := mmu.NewBlock("RAM", bareRAM)
	if err != nil {
		return nil, err
	}
	mem := &mmu.Memory{}
	mem.Map(mmu.Region{Name: "RAM", Size: bareRAM, Blk: ram})
	put := func(at, v uint64) { binary.LittleEndian.PutUint64(ram.Bytes[at:], v) }
	const rw = 3
	pml4, pdpt, pd, pdSmall, pt := uint64(tables), uint64(tables+0x1000), uint64(tables+0x2000), uint64(tables+0x3000), uint64(tables+0x4000)
	put(pml4, pdpt|rw)
	put(pdpt, pd|rw)
	put(pdpt+8, pdSmall|rw)
	for i := range uint64(bareRAM >> 21) {
		put(pd+8*i, i<<21|0x80|rw)
		put(pdSmall+8*i, pt+i*0x1000|rw)
		for j := range uint64(512) {
			put(pt+i*0x1000+8*j, i<<21|j<<12|rw)
		}
	}
	copy(ram.Bytes[codeAt:], code)

	model, err := x86.ParseModel("max", interp.Supports)
	if err != nil {
		return nil, err
	}
	c := interp.New(mem, model)
	b := &bare{c, ram}
	c.Ports = b
	c.TSC = func() uint64 { return 0 }
	c.CR0 = x86.CR0PE | x86.CR0PG | x86.CR0ET | x86.CR0NE | x86.CR0MP | x86.CR0WP
	c.CR3 = pml4
	c.CR4 = x86.CR4PAE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT | x86.CR4OSXSAVE | x86.CR4PGE
	c.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERSCE
	c.XCR0 = model.XCR0Mask()
	c.FCW = 0x37f
	seg := x86.Segment{Sel: 0x10, Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | x86.SegWritable | x86.SegAccessed | x86.SegD | x86.SegG}
	for i := range c.Seg {
		c.Seg[i] = seg
	}
	c.Seg[x86.CS] = x86.Segment{Sel: 8, Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | x86.SegCode | x86.SegWritable | x86.SegAccessed | x86.SegL | x86.SegG}
	c.RIP = codeAt
	c.R[x86.RSP] = stackTop
	c.R[x86.RSI] = dataAt
	c.Refresh()
	return b, nil
}

// Run runs a workload for a number of rounds on a new CPU.
func (w *Workload) Run(rounds int) (Result, error) {
	p := newProgram()
	w.build(p)
	code := append(p.assemble(), 0xe6, exitPort, 0xeb, 0xfe) // out exitPort, al; jmp .
	b, err := newBare(code)
	if err != nil {
		return Result{}, err
	}
	defer b.ram.Free()
	b.cpu.R[x86.R15] = uint64(rounds)
	start := time.Now()
	if why := b.cpu.Run(); why != interp.ExitStop {
		return Result{}, fmt.Errorf("%s: the guest faulted\n%s", w.Name, b.cpu.Dump())
	}
	return Result{Instructions: b.cpu.Stats().Instructions, Time: time.Since(start)}, nil
}
