package jit

// Random programs that change themselves. They run on the interpreter, as translated
// code, and on the host itself, and all must end with the same registers and the same
// memory.
//
// A program is a main loop and functions in two pages. The functions are made of slots
// of eight bytes; the loop calls them and, between the calls, writes slots: another
// instruction, an immediate, a byte of one, several at once, the same again, data
// beside them, itself. The stack may be on a page with code, too. Half of the stores
// go to the pages by other linear addresses.

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hotblock/internal/native"
	"hotblock/x86"
)

const (
	smcSize      = 3 * pageSize
	smcData      = 0x1c00 // beside code
	smcStack     = 0x1f00 // the end of the stack, on a page with code
	smcStackSize = 0x100
	smcTemplates = 0x2000
)

// smcRegs are the registers that the slots compute in.
var smcRegs = [...]byte{x86.RAX, x86.RDX, x86.RBX, x86.RBP}

// slotKind says what may be in a slot.
type slotKind int

const (
	slotAny slotKind = iota
	slotImm          // instructions with an immediate of four bytes, from the third on
	slotALU          // of those, opcode 81
	numSlotKinds
)

type smcSlot struct {
	kind slotKind
	off  int
}

// smcProgram is a program being made.
type smcProgram struct {
	*rand.Rand
	b         []byte // the pages
	at        int    // end of the main loop so far
	slots     []smcSlot
	calls     []int // offsets of calls in the loop
	functions []int
	templates int
}

func (p *smcProgram) reg() byte { return smcRegs[p.IntN(len(smcRegs))] }

func (p *smcProgram) imm() []byte {
	v := p.Uint32()
	if p.IntN(2) == 0 {
		v = uint32(p.IntN(4))
	}
	return binary.LittleEndian.AppendUint32(nil, v)
}

// slot makes the contents of a slot.
func (p *smcProgram) slot(k slotKind) []byte {
	alu := func() []byte { return append([]byte{0x81, 0xc0 | byte(p.IntN(8))<<3 | p.reg()}, p.imm()...) }
	var s []byte
	switch k {
	case slotALU:
		s = alu()
	case slotImm:
		switch p.IntN(4) {
		case 0:
			s = alu()
		case 1:
			s = append([]byte{0xc7, 0xc0 | p.reg()}, p.imm()...) // mov
		case 2:
			s = append([]byte{0xf7, 0xc0 | p.reg()}, p.imm()...) // test
		default:
			s = append([]byte{0x48, byte(p.IntN(8))<<3 | 5}, p.imm()...) // RAX
		}
	default:
		switch p.IntN(9) {
		case 0:
			s = alu()
		case 1:
			s = append([]byte{byte(p.IntN(8))<<3 | 5}, p.imm()...)
		case 2:
			s = append([]byte{0xb8 | p.reg()}, p.imm()...)
		case 3:
			s = []byte{0x83, 0xc0 | byte(p.IntN(8))<<3 | p.reg(), byte(p.Uint32()), 0x83, 0xc0 | byte(p.IntN(8))<<3 | p.reg(), byte(p.Uint32())}
		case 4:
			for range 4 {
				s = append(s, byte(p.IntN(8))<<3|1, 0xc0|p.reg()<<3|p.reg())
			}
		case 5:
			s = []byte{0xeb, 6, 0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b} // over UD2
		case 6:
			s = []byte{0x70 | byte(p.IntN(16)), 3, 0x83, 0xc0 | p.reg(), byte(p.Uint32())}
		case 7:
			s = append(append([]byte{0x68}, p.imm()...), 0x58|p.reg()) // push, pop
		default:
			s = append([]byte{0xa9}, p.imm()...)
		}
	}
	for len(s) < 8 {
		s = append(s, 0x90)
	}
	return s
}

// template puts the contents of n slots where the loop can read them.
func (p *smcProgram) template(n int, k slotKind) (off int) {
	off = smcTemplates + p.templates
	for range n {
		copy(p.b[smcTemplates+p.templates:], p.slot(k))
		p.templates += 8
	}
	return off
}

func (p *smcProgram) emit(b ...byte) { p.at += copy(p.b[p.at:], b) }

// mem emits an instruction with a register and [r12 + off], or [r13 + off] where it
// stores and chance says so.
func (p *smcProgram) mem(store bool, rex byte, op []byte, reg byte, off int) {
	rex |= 0x41 | reg>>3<<2
	if op[0] == 0x66 || op[0] == 0xf3 || op[0] == 0xf0 {
		p.emit(op[0])
		op = op[1:]
	}
	p.emit(rex)
	p.emit(op...)
	if store && p.IntN(2) == 0 {
		p.emit(0x80 | reg&7<<3 | 5)
	} else {
		p.emit(0x84|reg&7<<3, 0x24)
	}
	p.emit(binary.LittleEndian.AppendUint32(nil, uint32(off))...)
}

// byRound emits: ECX is one of four numbers, by the round.
func (p *smcProgram) byRound() {
	p.emit(0x44, 0x89, 0xf1) // mov ecx, r14d
	if n := byte(p.IntN(5)); n != 0 {
		p.emit(0xc1, 0xe9, n) // shr ecx, n: changes at times only
	}
	p.emit(0x83, 0xe1, 3) // and ecx, 3
}

// pick returns a slot of one of the kinds.
func (p *smcProgram) pick(kinds ...slotKind) smcSlot {
	for {
		if s := p.slots[p.IntN(len(p.slots))]; slices.Contains(kinds, s.kind) {
			return s
		}
	}
}

// step emits one step of the loop.
func (p *smcProgram) step() {
	switch p.IntN(16) {
	case 0, 1, 2, 3:
		p.calls = append(p.calls, p.at)
		p.emit(0xe8)
		p.emit(binary.LittleEndian.AppendUint32(nil, uint32(p.functions[p.IntN(len(p.functions))]-p.at-4))...)
	case 4: // another instruction
		s := p.pick(slotAny, slotImm, slotALU)
		p.mem(false, 8, []byte{0x8b}, x86.R8, p.template(1, s.kind))
		p.mem(true, 8, []byte{0x89}, x86.R8, s.off)
	case 5: // one of four
		s := p.pick(slotAny, slotImm, slotALU)
		t := p.template(4, s.kind)
		p.byRound()
		p.emit(0x4d, 0x8b, 0x84, 0xcc) // mov r8, [r12 + rcx*8 + t]
		p.emit(binary.LittleEndian.AppendUint32(nil, uint32(t))...)
		p.mem(true, 8, []byte{0x89}, x86.R8, s.off)
	case 6, 7: // its immediate
		p.mem(true, 0, []byte{0x89}, p.reg(), p.pick(slotImm, slotALU).off+2)
	case 8: // a part of it
		s := p.pick(slotImm, slotALU)
		switch p.IntN(4) {
		case 0:
			p.mem(true, 0, []byte{0x88}, [...]byte{x86.RAX, x86.RDX, x86.RBX}[p.IntN(3)], s.off+2+p.IntN(4))
		case 1:
			p.mem(true, 0, []byte{0xc6}, 0, s.off+2+p.IntN(4))
			p.emit(byte(p.Uint32()))
		case 2:
			p.mem(true, 0, []byte{0x66, 0xc7}, 0, s.off+2+p.IntN(3))
			p.emit(byte(p.Uint32()), byte(p.Uint32()))
		default:
			p.mem(true, 0, []byte{0xc7}, 0, s.off+2)
			p.emit(p.imm()...)
		}
	case 9: // read, modify, write
		op := []byte{0x01}
		if p.IntN(2) == 0 {
			op = []byte{0xf0, 0x01}
		}
		p.mem(true, 0, op, p.reg(), p.pick(slotImm, slotALU).off+2)
	case 10: // data
		off := smcData + p.IntN(64)
		op := [][]byte{{0x89}, {0x01}, {0x88}, {0x66, 0x89}}[p.IntN(4)]
		p.mem(true, byte(p.IntN(2))*8, op, p.reg(), off)
		p.mem(false, 0, []byte{0x03}, p.reg(), smcData+p.IntN(64))
	case 11: // the register, or the operation
		p.mem(true, 0, []byte{0xc6}, 0, p.pick(slotALU).off+1)
		p.emit(0xc0 | byte(p.IntN(8))<<3 | p.reg())
	case 12: // several at once
		s := p.pick(slotAny)
		n := 1
		for slices.Contains(p.slots, smcSlot{slotAny, s.off + 8*n}) {
			n++
		}
		t := p.template(n, slotAny)
		p.mem(false, 8, []byte{0x8d}, x86.RSI, t)
		p.mem(true, 8, []byte{0x8d}, x86.RDI, s.off)
		p.emit(0xb9, byte(8*n), 0, 0, 0, 0xf3, 0xa4) // mov ecx, 8*n; rep movsb
	case 13: // two, with a vector register
		s := p.pick(slotAny)
		if !slices.Contains(p.slots, smcSlot{slotAny, s.off + 8}) {
			return
		}
		p.mem(false, 0, []byte{0xf3, 0x0f, 0x6f}, 0, p.template(2, slotAny)) // movdqu
		p.mem(true, 0, []byte{0xf3, 0x0f, 0x7f}, 0, s.off)
	case 14: // what comes next
		at := p.at + 8
		for range 2 {
			mark := p.at
			p.mem(true, 0, []byte{0x89}, p.reg(), at+2)
			if p.at == at {
				break
			}
			at = p.at // the length depends on the base
			p.at = mark
		}
		if p.at != at {
			p.emit(0x90)
			return
		}
		p.slots = append(p.slots, smcSlot{slotALU, p.at})
		p.emit(p.slot(slotALU)...)
	default: // where a call goes
		if len(p.calls) == 0 {
			return
		}
		c := p.calls[p.IntN(len(p.calls))]
		t := smcTemplates + p.templates
		for i := range 4 {
			f := p.functions[p.IntN(len(p.functions))]
			binary.LittleEndian.PutUint32(p.b[t+4*i:], uint32(f-c-5))
		}
		p.templates += 16
		p.byRound()
		p.emit(0x45, 0x8b, 0x84, 0x8c) // mov r8d, [r12 + rcx*4 + t]
		p.emit(binary.LittleEndian.AppendUint32(nil, uint32(t))...)
		p.mem(true, 0, []byte{0x89}, x86.R8, c+1)
	}
}

// newSMC makes a program. Its last instruction is at end.
func newSMC(seed uint64) (b []byte, end int) {
	p := &smcProgram{Rand: rand.New(rand.NewPCG(seed, 1)), b: make([]byte, smcSize)}
	for _, base := range []int{0x800, 0xa00, pageSize - 16 - p.IntN(8), 0x1100, 0x1200, 0x1400} {
		p.functions = append(p.functions, base)
		off := base
		for range 3 + p.IntN(10) {
			s := smcSlot{slotKind(p.IntN(int(numSlotKinds))), off}
			p.slots = append(p.slots, s)
			off += copy(p.b[off:], p.slot(s.kind))
		}
		p.b[off] = 0xc3
	}
	p.slots = append(p.slots, smcSlot{slotAny, 0x1500}, smcSlot{slotImm, 0x1508}, smcSlot{slotALU, 0x1510}) // never run
	for range 10 + p.IntN(24) {
		p.step()
	}
	p.emit(0x41, 0xff, 0xce, 0x0f, 0x85) // dec r14d; jnz 0
	p.emit(binary.LittleEndian.AppendUint32(nil, uint32(-p.at-4))...)
	if p.at >= 0x800 || p.templates > pageSize {
		panic("the program is too long")
	}
	return p.b, p.at
}

// smcResult is what a program ended with: registers, and the pages but for the stack.
type smcResult struct {
	regs [len(smcRegs)]uint64
	mem  []byte
}

func (r *smcResult) finish(mem []byte, end int) {
	r.mem = slices.Clone(mem)
	r.mem[end] = 0
	clear(r.mem[smcStack-smcStackSize : smcStack])
}

func (r *smcResult) difference(t *testing.T, name string, want *smcResult) {
	t.Helper()
	if r.regs != want.regs {
		t.Errorf("%s: RAX, RDX, RBX, RBP are %#x, want %#x", name, r.regs, want.regs)
	}
	for i := range r.mem {
		if r.mem[i] != want.mem[i] {
			t.Errorf("%s: byte %#x is %#x, want %#x", name, i, r.mem[i], want.mem[i])
			return
		}
	}
}

const smcAlias = progCode + 0x100000

// runSMC runs a program in a guest.
func runSMC(t *testing.T, g *guest, code []byte, end int, rounds uint64) (r smcResult) {
	t.Helper()
	for i := uint64(0); i < 3; i++ {
		g.mapPage(progCode+i*pageSize, guestCode+i*pageSize|7)
		g.mapPage(smcAlias+i*pageSize, guestCode+i*pageSize|7)
	}
	mem := g.ram.Bytes[guestCode : guestCode+smcSize]
	copy(mem, code)
	mem[end] = 0xcc
	g.cpu.DropCode()
	s := g.base
	guestMode{cpl: 3}.segments(&s, 0, 0)
	clear(s.R[:16])
	s.RIP, s.R[x86.RSP], s.R[x86.R12], s.R[x86.R13], s.R[x86.R14] = progCode, progCode+smcStack, progCode, smcAlias, rounds
	if tr := g.run(&s, 2); tr.vec != x86.ExcBP || tr.rip != progCode+uint64(end)+1 {
		t.Fatalf("%s: %v", g.name, &tr)
	}
	for i, reg := range smcRegs {
		r.regs[i] = g.cpu.R[reg]
	}
	r.finish(mem, end)
	return r
}

func TestSelfModifying(t *testing.T) {
	programs, rounds := uint64(60), uint64(70)
	if testing.Short() {
		programs = 15
	}
	guests := []*guest{newGuest(t, nil)}
	for _, n := range []uint64{1, 3, 16} {
		guests = append(guests, newGuest(t, engineConfig(n, 1<<20)))
	}
	verified := engineConfig(1, 1<<20)
	verified.Verify = VerifyAll
	guests = append(guests, newGuest(t, verified))
	usual := len(guests) - 1
	for _, choice := range Single() {
		cfg := engineConfig(2, 1<<20)
		if key, val, _ := strings.Cut(choice, "="); cfg.Set(key, val) != nil {
			t.Fatalf("%s is no choice", choice)
		}
		guests = append(guests, newGuest(t, cfg))
	}
	onHost := hostSMC(t)
	for seed := range programs {
		code, end := newSMC(seed)
		want := runSMC(t, guests[0], code, end, rounds)
		for i, g := range guests[1:] {
			if i >= usual && seed%4 != 0 {
				continue
			}
			r := runSMC(t, g, code, end, rounds)
			r.difference(t, g.name, &want)
		}
		if onHost != nil {
			r := onHost(code, end, rounds)
			want.difference(t, "interpreter, as against the host", &r)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, g := range guests[1 : 1+usual] {
		if s := g.eng.Stats(); s.Dropped == 0 {
			t.Errorf("%s: no region was dropped", g.name)
		}
	}
}

// runHost calls the program at addr on the host.
func runHost(addr, rounds uint64) (regs [len(smcRegs)]uint64) {
	s := native.NewState()
	s.GPR[x86.R12], s.GPR[x86.R13], s.GPR[x86.R14], s.GPR[x86.R15] = addr, addr, rounds, addr+smcStack
	// xchg rsp, r15; call r12; xchg rsp, r15
	code := []byte{0x4c, 0x87, 0xfc, 0x41, 0xff, 0xd4, 0x4c, 0x87, 0xfc}
	native.Run(code, s)
	for i, reg := range smcRegs {
		regs[i] = s.GPR[reg]
	}
	return regs
}
