package boot

import "encoding/binary"

// Where the loaders of this package put their own structures: below 64 KiB,
// which kernels leave alone until they have read them (Linux reserves the
// whole of it).
const (
	gdtAt      = 0x6000
	structAt   = 0x7000 // boot_params, hvm_start_info or multiboot information
	pml4At     = 0x9000
	pdptAt     = 0xa000
	pdAt       = 0xb000 // four pages, one for each GiB
	stackTop   = 0x6000 // grows down from the GDT
	cmdlineAt  = 0x10000
	listsAt    = 0x20000 // module lists, memory maps, strings
	listsEnd   = 0x80000
	lowUsedLo  = 0x1000
	lowUsedEnd = listsEnd
)

// Bits of CR0, CR4, EFER and RFLAGS that an entry state sets.
const (
	cr0PE   = 1 << 0
	cr0ET   = 1 << 4
	cr0NW   = 1 << 29
	cr0CD   = 1 << 30
	cr0PG   = 1 << 31
	cr4PAE  = 1 << 5
	eferLME = 1 << 8
	eferLMA = 1 << 10
	flags1  = 1 << 1 // always set
)

// Access rights of the segments that are used (see Segment).
const (
	accCode64  = 0xa09b // execute/read, accessed, present, L, G
	accCode32  = 0xc09b // execute/read, accessed, present, D, G
	accData32  = 0xc093 // read/write, accessed, present, B, G
	accReal    = 0x0093
	accRealCS  = 0x009b
	accBusyTSS = 0x008b
	accLDT     = 0x0082
)

// descriptor is the GDT form of s (SDM volume 3, "Segment Descriptors").
func descriptor(s Segment) uint64 {
	limit := uint64(s.Limit)
	if s.Access&0x8000 != 0 {
		limit >>= 12
	}
	return limit&0xffff | (s.Base&0xffffff)<<16 | uint64(s.Access)<<40 |
		(limit>>16)<<48 | (s.Base>>24&0xff)<<56
}

// afterReset is the state of the boot processor after reset (SDM volume 3, table
// "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT").
// The processor's signature in EDX is left to the machine.
func afterReset() *Entry {
	return &Entry{
		Protocol: "reset vector",
		Mode:     Real16,
		IP:       0xfff0,
		Flags:    flags1,
		CR0:      cr0CD | cr0NW | cr0ET,
		GDT:      Table{0, 0xffff},
		IDT:      Table{0, 0xffff},
		CS:       Segment{0xf000, 0xffff0000, 0xffff, accRealCS},
		Data:     Segment{0, 0, 0xffff, accReal},
		TR:       Segment{0, 0, 0xffff, accBusyTSS},
		LDT:      Segment{0, 0, 0xffff, accLDT},
	}
}

// flatEntry is a state with flat segments, interrupts off, and a GDT in guest
// memory that holds them as __BOOT_CS (0x10) and __BOOT_DS (0x18), the
// selectors that the Linux boot protocol asks for. For Long64 it builds page
// tables that map the first 4 GiB to themselves in pages of 2 MiB, which need
// no CPU feature.
func flatEntry(pl *placer, mode Mode, protocol string) *Entry {
	e := afterReset()
	e.Protocol = protocol
	e.Mode = mode
	e.CS = Segment{0x10, 0, 0xffffffff, accCode32}
	e.Data = Segment{0x18, 0, 0xffffffff, accData32}
	e.TR = Segment{0x20, 0, 0x67, accBusyTSS}
	e.LDT = Segment{0, 0, 0, accLDT}
	e.CR0 = cr0PE | cr0ET
	e.GPR[SP] = stackTop
	e.IDT = Table{0, 0}
	if mode == Long64 {
		e.CS.Access = accCode64
		e.CR0 |= cr0PG
		e.CR3 = pml4At
		e.CR4 = cr4PAE
		e.EFER = eferLME | eferLMA

		const present, write, large = 1, 2, 0x80
		table := make([]byte, 0, 4096*4)
		for pa := uint64(0); pa < fourGiB; pa += 2 << 20 {
			table = binary.LittleEndian.AppendUint64(table, pa|present|write|large)
		}
		pl.mem.Write(pdAt, table)
		pl.zero(pml4At, 4096)
		pl.zero(pdptAt, 4096)
		pl.mem.WriteUint(pml4At, 8, pdptAt|present|write)
		for i := uint64(0); i < 4; i++ {
			pl.mem.WriteUint(pdptAt+8*i, 8, (pdAt+4096*i)|present|write)
		}
	}
	gdt := []uint64{0, 0, descriptor(e.CS), descriptor(e.Data), descriptor(e.TR), 0}
	for i, d := range gdt {
		pl.mem.WriteUint(gdtAt+8*uint64(i), 8, d)
	}
	e.GDT = Table{gdtAt, uint16(8*len(gdt) - 1)}
	return e
}

// takeLow claims the area of the loaders' own structures.
func takeLow(p *Params, pl *placer) error {
	if !pl.take(lowUsedLo, lowUsedEnd-lowUsedLo) {
		return fail(p.Kernel, ErrMemory, "needs at least 1 MiB of guest memory to be booted; give more with -m")
	}
	return nil
}
