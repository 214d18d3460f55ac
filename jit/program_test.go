package jit

// Random programs. A program is a list of elements: instructions of all kinds out
// of the decoder's tables, loops, calls, jumps of every form, stores into its own
// code, and, at CPL 0, changes of its own page tables. Memory operands hit, cross
// pages, wrap around, and hit pages that are absent, read-only, ROM, a device's or
// nothing at all. An exception handler notes what happened and goes on behind the
// instruction, or makes the page present and has it run again.
//
// The same program runs on the interpreter and on engines of several
// configurations. All must note the same exceptions and accesses to the device and
// end with the same registers and memory. A program that does not is shortened,
// element by element, while it still fails.

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/arch/x86/x86asm"

	"hotblock/internal/difftest"
	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var (
	programTime = flag.Duration("programtime", 0, "how long each test of random programs runs, in place of a fixed number of them")
	programSeed = flag.Uint64("programseed", 0, "the one random program to run, with what is compared at each exception")
)

// Linear addresses and what is there. The page tables of the window are mapped for
// programs at CPL 0.
const (
	progCode   = 0x400000 // pages of code, writable, and a second view of them
	progAlias  = 0x600000
	progPages  = 4
	progWindow = 0x10000000
	progStack  = 0x20000000
	otherStack = progStack | 1<<46 // the same, in another part of a window
	progCount  = 0x30000000        // loop counters
	progTable  = 0x31000000        // the page table of progWindow
	progFirst  = 0                 // page 0, and the last page of the address space
	progLast   = ^uint64(pageSize - 1)

	physCount = guestData + 0x40000
	physStack = guestData + 0x41000
	physFirst = guestData + 0x44000
	physEnd   = guestData + 0x46000
)

// window says what the pages from progWindow on are.
var window = []uint64{
	0: 0,
	1: guestData | 7, 2: guestData + 0x1000 | 7,
	3: guestData + 0x2000 | 5,                        // read-only
	4: guestData + 0x3000 | 7, 5: guestData + 0x4000, // absent until it faults
	6: guestData + 0x5000 | 7,
	7: guestMMIO | 7,
	8: guestData + 0x6000 | 7,
	9: guestROM | 7, 10: guestHole | 7,
	11: guestData + 0x7000 | 7,
	12: guestData | 7, // page 1 again
	13: guestData + 0x8000 | 7, 14: guestData + 0x9000 | 7,
	15: 0,
}

const windowHits = 1<<1 | 1<<2 | 1<<4 | 1<<6 | 1<<8 | 1<<11 | 1<<12 | 1<<13 | 1<<14

// A label is a place in a program.
type label int

// fixup is a number in an element's code that depends on where a label comes to be:
// relative to the number's end plus tail, or absolute.
type fixup struct {
	pos, size, tail int
	abs             bool
	neg             bool // add minus the label's address
	to              label
	add             uint64
}

// element is what a program is made of: it is kept or left out as a whole.
type element struct {
	labels []label // that are here
	inner  label   // a label inside, at innerAt, or 0
	at     int
	code   []byte
	fix    []fixup
	stays  bool // it is not left out
}

// program is a generator and what it has made.
type program struct {
	*difftest.Source
	mode     guestMode
	elems    []element
	pending  []label
	labels   label
	reserved uint32  // registers that instructions must not write
	ptrs     []uint8 // registers that point to data
	counters int
	undef    uint16 // flags that are undefined here
	patches  []label
	st       native.State
	resume   []label // where to go on after a wild jump; the last is the end
	prepare  func(g *guest, s *x86.State)
	runsData bool   // data may be executed; it would use flags that are undefined
	flags    uint64 // that it starts with, beside IF
}

func (p *program) newLabel() label { p.labels++; return p.labels }
func (p *program) mark(l label)    { p.pending = append(p.pending, l) }

func (p *program) emit(code []byte, fix ...fixup) {
	p.elems = append(p.elems, element{labels: p.pending, code: code, fix: fix})
	p.pending = nil
}

func (p *program) wide() bool { return !p.mode.compat }

// word is the size of an address.
func (p *program) word() int {
	if p.wide() {
		return 8
	}
	return 4
}

// rexed is an instruction with register r in the low bits of ModRM or opcode, and
// REX.W in 64-bit code.
func (p *program) rexed(r uint8, b ...byte) []byte {
	if p.wide() {
		return append([]byte{0x48 | r>>3}, b...)
	}
	return b
}

// movImm is MOV of a word to a register.
func (p *program) movImm(r uint8, v uint64) []byte {
	b := p.rexed(r, 0xb8|r&7)
	for i := range p.word() {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

// reg is a register that may be written.
func (p *program) reg() uint8 {
	for {
		if r := uint8(p.IntN(p.registers())); r != x86.RSP && p.reserved>>r&1 == 0 {
			return r
		}
	}
}

func (p *program) registers() int {
	if p.wide() {
		return 16
	}
	return 8
}

// defineFlags gives all flags a value, if some have none that is defined.
func (p *program) defineFlags() {
	if p.undef != 0 {
		r := uint8(p.IntN(p.registers()))
		p.emit(p.rexed(r, 0x83, 0xf8|r&7, byte(p.Uint32()))) // cmp r, imm8
		p.setUndef(0)
	}
}

// setUndef says which flags are undefined after the last element. One that gives a
// value to some stays.
func (p *program) setUndef(f uint16) {
	if p.undef&^f != 0 {
		p.elems[len(p.elems)-1].stays = true
	}
	p.undef = f
}

// target is an address in the window, for an access of size bytes.
func (p *program) target(size int) uint64 {
	page := p.IntN(len(window))
	if p.IntN(8) != 0 {
		for windowHits>>page&1 == 0 {
			page = p.IntN(len(window))
		}
	}
	va := progWindow + uint64(page)*pageSize
	switch p.IntN(24) {
	case 0, 1: // across the end
		return va + pageSize - p.Uint64N(uint64(size)+1)
	case 2:
		if p.wide() {
			return -p.Uint64N(uint64(2*size) + 1) // around the end of the address space
		}
		return -p.Uint64N(uint64(2*size)+1) & 0xffffffff
	case 3:
		if p.wide() {
			return 0x0000800000000000 - p.Uint64N(uint64(2*size)+1) // and of the canonical half
		}
	case 4:
		return progStack + p.Uint64N(2*pageSize)
	}
	off := p.Uint64N(pageSize - 64)
	if p.IntN(4) != 0 {
		off &^= 31
	}
	return va + off
}

var (
	commonOps = strings.Fields(`mov mov mov mov mov add sub cmp test and or xor inc dec lea push pop push pop movzx movsx movsxd imul shl shr sar rol
		adc sbb cmova cmovb cmove seta setb sete xchg bt neg not cdq mul div movaps movups movdqu movdqa movq movd paddd pxor addsd mulsd cvtsi2sd ucomisd vmovdqu vpaddd vpxor`)
	commonEncodings, allEncodings = func() (common, all []decode.Encoding) {
		want := map[string]bool{}
		for _, n := range commonOps {
			want[n] = true
		}
		for _, e := range decode.Encodings() {
			n := e.Op.String()
			if want[n] {
				common = append(common, e)
			}
			all = append(all, e)
		}
		return common, all
	}()
	// notInPrograms have results that the manuals leave undefined, or other
	// reasons not to be compared.
	notInPrograms = map[string]bool{"shld": true, "shrd": true, "leave": true, "enter": true, "popf": true, "ud0": true, "ud1": true, "ud2": true,
		"ldmxcsr": true, "vldmxcsr": true, "fldcw": true, "fldenv": true, "frstor": true}
)

// instruction adds a random instruction.
func (p *program) instruction() {
	for {
		list := allEncodings
		if p.IntN(3) != 0 {
			list = commonEncodings
		}
		if p.tryInstruction(&list[p.IntN(len(list))]) {
			return
		}
	}
}

func (p *program) tryInstruction(e *decode.Encoding) bool {
	wrong := decode.Not64
	if p.mode.compat {
		wrong = decode.Only64
	}
	if e.Attr&wrong != 0 {
		return false
	}
	how := p.IntN(12)
	for range 40 {
		code, x, ok := p.Encode(e)
		if !ok {
			continue
		}
		n := x.Op.String()
		eff := x.Effects()
		if eff.Class != decode.ClassPlain && eff.Class != decode.ClassStack && eff.Class != decode.ClassString || notInPrograms[n] || notHere[n] || x.AddrSize == 2 ||
			strings.HasPrefix(n, "f") && eff.X87 && transcendentals[n] {
			return false
		}
		written := eff.GPRWritten
		if eff.Class == decode.ClassStack {
			written &^= 1 << x86.RSP
			if x.NArgs > 0 && x.Args[0].Kind == decode.GPR && x.Args[0].Reg == x86.RSP && n == "pop" || n == "popa" {
				return false
			}
		}
		if written&(p.reserved|1<<x86.RSP) != 0 {
			continue
		}
		if x.HasMem() && strings.HasPrefix(n, "sha") {
			continue
		}
		var pre [][]byte
		if x.HasMem() && eff.Mem != decode.AccessAddress {
			size := int(max(eff.MemSize, 1))
			switch {
			case how < 8: // off one of the pointers
				if x.Index != decode.NoReg || !slices.Contains(p.ptrs, x.Base) || x.SegOver && x.Seg >= x86.FS {
					continue
				}
				if d := len(code) - int(x.ImmLen) - 4; x.Disp != int64(int8(x.Disp)) && d > 0 {
					binary.LittleEndian.PutUint32(code[d:], uint32(int32(p.IntN(1200)-600)))
				}
			case how < 11:
				segBase := uint64(0)
				if x.VIndex.Kind != decode.None {
					return false
				}
				if p.IntN(6) == 0 && !x.Vex {
					code = append([]byte{0x64 + byte(p.IntN(2))}, code...)
					if decode.Decode(append(slices.Clone(code), make([]byte, 15)...), x.Mode, &x) != nil || int(x.Len) != len(code) {
						return false
					}
				}
				if x.Seg >= x86.FS {
					segBase = progBases[x.Seg-x86.FS]
				}
				if x.Base == decode.RIPReg {
					continue
				}
				p.st = native.State{}
				if !p.Place(code, &x, &p.st, 0, p.target(size), segBase) {
					continue
				}
				if (1<<x.Base|1<<x.Index)&0xffff&(p.reserved|1<<x86.RSP) != 0 {
					continue
				}
				for _, r := range []uint8{x.Base, x.Index} {
					if r < 16 {
						pre = append(pre, p.movImm(r, p.st.GPR[r]))
					}
				}
			default:
				if !p.wide() && x.Base == decode.RIPReg {
					continue
				}
			}
		}
		if eff.Class == decode.ClassString && x.Rep != 0 && p.reserved&(1<<x86.RCX) == 0 {
			pre = append(pre, p.movImm(x86.RCX, p.Uint64N(20)))
		}
		if eff.Class == decode.ClassString && p.IntN(2) == 0 && p.reserved&(1<<x86.RSI|1<<x86.RDI) == 0 {
			pre = append(pre, p.movImm(x86.RSI, p.target(8)), p.movImm(x86.RDI, p.target(8)))
		}
		if eff.FlagsRead&p.undef != 0 {
			p.defineFlags()
		}
		for _, b := range pre {
			p.emit(b)
		}
		p.emit(code)
		p.setUndef(p.undef&^eff.FlagsWritten | eff.FlagsUndefined&arith | eff.FlagsMaybe&arith)
		return true
	}
	return false
}

var transcendentals = map[string]bool{"f2xm1": true, "fyl2x": true, "fyl2xp1": true, "fpatan": true, "fsin": true, "fcos": true, "fsincos": true, "fptan": true, "fprem": true, "fprem1": true}

// progBases are the bases of FS and GS.
var progBases = [2]uint64{0x1234, progWindow - 0x777}

// pointer changes one of the pointers.
func (p *program) pointer() {
	r := p.ptrs[p.IntN(len(p.ptrs))]
	rr := r & 7
	switch p.IntN(6) {
	case 0:
		p.emit(p.movImm(r, p.target(16)))
	case 1: // add r, imm8
		p.emit(p.rexed(r, 0x83, 0xc0|rr, byte(p.Uint32())))
		p.setUndef(0)
	case 2: // sub r, imm8
		p.emit(p.rexed(r, 0x83, 0xe8|rr, byte(p.Uint32())))
		p.setUndef(0)
	case 3: // lea r, [r + disp8]
		b := []byte{0x8d, 0x40 | rr<<3 | rr}
		if rr == 4 {
			b = append(b, 0x24)
		}
		b = append(b, byte(p.Uint32()))
		if p.wide() {
			b = append([]byte{0x48 | r>>3 | r>>3<<2}, b...)
		}
		p.emit(b)
	case 4: // mov r, s
		s := p.ptrs[p.IntN(len(p.ptrs))]
		b := []byte{0x89, 0xc0 | s&7<<3 | rr}
		if p.wide() {
			b = append([]byte{0x48 | r>>3 | s>>3<<2}, b...)
		}
		p.emit(b)
	default: // inc r
		p.emit(p.rexed(r, 0xff, 0xc0|rr))
		p.setUndef(p.undef & x86.FlagCF)
	}
}

// branchTo adds a jump of some form.
func (p *program) branchTo(to label) {
	p.defineFlags()
	switch p.IntN(6) {
	case 0, 1, 2:
		p.emit([]byte{0x0f, 0x80 | byte(p.IntN(16)), 0, 0, 0, 0}, fixup{pos: 2, size: 4, to: to})
	case 3:
		p.emit([]byte{0xe9, 0, 0, 0, 0}, fixup{pos: 1, size: 4, to: to})
	case 4: // mov r, to; jmp r
		r := p.reg()
		b := p.movImm(r, 0)
		f := fixup{pos: len(b) - p.word(), size: p.word(), abs: true, to: to}
		if r >= 8 {
			b = append(b, 0x41)
		}
		p.emit(append(b, 0xff, 0xe0|r&7), f)
	default: // mov r, to; push r; ret
		r := p.reg()
		b := p.movImm(r, 0)
		f := fixup{pos: len(b) - p.word(), size: p.word(), abs: true, to: to}
		if r >= 8 {
			b = append(b, 0x41)
		}
		p.emit(append(b, 0x50|r&7, 0xc3), f)
	}
}

// loopTo adds a jump back that is taken a limited number of times in all.
func (p *program) loopTo(to label) {
	p.defineFlags() // DEC leaves CF
	at := uint32(progCount + 8*p.counters)
	p.counters++
	b := []byte{0xff, 0x0c, 0x25, 0, 0, 0, 0} // dec dword [at]
	if !p.wide() {
		b = []byte{0xff, 0x0d, 0, 0, 0, 0}
	}
	binary.LittleEndian.PutUint32(b[len(b)-4:], at)
	cc := byte(0x8f) // jg
	if p.IntN(2) == 0 {
		cc = 0x89 // jns
	}
	p.emit(append(b, 0x0f, cc, 0, 0, 0, 0), fixup{pos: len(b) + 2, size: 4, to: to})
	p.setUndef(p.undef & x86.FlagCF)
}

// call adds a call of some form.
func (p *program) call(to label) {
	switch p.IntN(3) {
	case 0, 1:
		p.emit([]byte{0xe8, 0, 0, 0, 0}, fixup{pos: 1, size: 4, to: to})
	default:
		r := p.reg()
		b := p.movImm(r, 0)
		f := fixup{pos: len(b) - p.word(), size: p.word(), abs: true, to: to}
		if r >= 8 {
			b = append(b, 0x41)
		}
		p.emit(append(b, 0xff, 0xd0|r&7), f)
	}
}

// modify adds a store into the program's own code: into the immediate of a MOV that
// the program has somewhere.
func (p *program) modify() {
	if len(p.patches) < 8 && p.IntN(2) == 0 {
		r := p.reg()
		for r >= 8 {
			r = p.reg()
		}
		l := p.newLabel()
		p.emit([]byte{0xb8 | r&7, byte(p.Uint32()), byte(p.Uint32()), 0, 0}) // mov r, imm32
		e := &p.elems[len(p.elems)-1]
		e.inner, e.at = l, 1
		p.patches = append(p.patches, l)
	}
	if len(p.patches) == 0 {
		return
	}
	l := p.patches[p.IntN(len(p.patches))]
	imm := byte(p.Uint32())
	alias := uint64(p.IntN(2)) * (progAlias - progCode)
	b := []byte{0xc6, 0x04, 0x25, 0, 0, 0, 0, imm} // mov byte [abs], imm8
	switch {
	case !p.wide():
		b = []byte{0xc6, 0x05, 0, 0, 0, 0, imm}
	case p.IntN(2) == 0: // [rip + disp]
		b = []byte{0xc6, 0x05, 0, 0, 0, 0, imm}
		p.emit(b, fixup{pos: 2, size: 4, tail: 1, to: l, add: uint64(p.IntN(4)) + alias})
		return
	}
	p.emit(b, fixup{pos: len(b) - 5, size: 4, abs: true, to: l, add: uint64(p.IntN(4)) + alias})
}

// remap adds a change of the window's page table, and what makes it count.
func (p *program) remap() {
	a, b := uint64(p.IntN(len(window))), uint64(p.IntN(len(window)))
	r := p.reg()
	abs := func(op []byte, reg uint8, va uint64) []byte { // op reg, [va]
		c := p.rexed(0, op...)
		if p.wide() {
			c[0] |= reg >> 3 << 2
			c = append(c, reg&7<<3|4, 0x25)
		} else {
			c = append(c, reg&7<<3|5)
		}
		return binary.LittleEndian.AppendUint32(c, uint32(va))
	}
	pte := func(i uint64) uint64 { return progTable + 8*i }
	invlpg := func(i uint64) []byte {
		c := []byte{0x0f, 0x01, 0x3d}
		if p.wide() {
			c = []byte{0x0f, 0x01, 0x3c, 0x25}
		}
		return binary.LittleEndian.AppendUint32(c, uint32(progWindow+i*pageSize+p.Uint64N(pageSize)))
	}
	if !p.wide() || p.IntN(2) == 0 {
		// Flip present, writable or user.
		c := abs([]byte{0x80}, 6, pte(a)) // xor byte [pte], bit
		if p.wide() {
			c = c[1:]
		}
		c = append(c, 1<<p.IntN(2))
		p.emit(append(c, invlpg(a)...))
		p.setUndef(x86.FlagAF)
		return
	}
	c := abs([]byte{0x8b}, r, pte(a))
	c = append(c, abs([]byte{0x87}, r, pte(b))...)
	c = append(c, abs([]byte{0x89}, r, pte(a))...)
	if p.IntN(3) == 0 {
		c = append(c, 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8) // mov rax, cr3; mov cr3, rax
		if p.reserved&1 != 0 {
			return
		}
	} else {
		c = append(c, invlpg(a)...)
		c = append(c, invlpg(b)...)
	}
	p.emit(c)
}

// system adds what is between plain instructions and the interpreter's business:
// flags and the instructions that change them, returns from interrupts, system
// calls, and, at CPL 0, control registers that decide what other code may do.
func (p *program) system() {
	free := func(regs ...uint8) bool {
		for _, r := range regs {
			if p.reserved>>r&1 != 0 {
				return false
			}
		}
		return true
	}
	p.defineFlags()
	switch n := p.IntN(14); {
	case n >= 12:
		if p.wide() {
			p.emit([]byte{0x48, 0x0f, 0xba, 0xfc, 46}) // btc rsp, 46: to otherStack, or back
			p.setUndef(x86.FlagOF | x86.FlagSF | x86.FlagAF | x86.FlagPF)
		}
	case n < 3: // pushf; xor [rsp], flags; popf
		flags := uint32(arith)
		for _, f := range []uint32{x86.FlagDF, x86.FlagIF, x86.FlagAC, x86.FlagNT, x86.FlagID, x86.FlagTF, x86.FlagRF, x86.FlagIOPL} {
			if p.IntN(6) == 0 {
				flags |= f
			}
		}
		b := append([]byte{0x9c}, p.rexed(0, 0x81, 0x34, 0x24)...)
		b = binary.LittleEndian.AppendUint32(b, p.Uint32()&flags)
		p.emit(append(b, 0x9d))
	case n == 3:
		p.emit([]byte{0x9c, 0x58 | p.regs8()}) // pushf; pop r
	case n == 4:
		p.emit([]byte{[]byte{0xfa, 0xfb, 0xfc, 0xfc, 0xfd}[p.IntN(5)]}) // cli, sti, cld, std
	case n == 5 && p.wide() && p.mode.cpl == 3 && free(x86.RCX, x86.R11):
		p.emit([]byte{0x0f, 0x05}) // syscall
	case n == 6 && p.wide() && free(x86.RAX): // iretq to what follows
		ss, cs := byte(selData), byte(selCode64)
		if p.mode.cpl == 3 {
			ss, cs = selUserDS, selUser64
		}
		p.emit([]byte{0x48, 0x89, 0xe0, 0x6a, ss, 0x50, 0x9c, 0x6a, cs, 0x48, 0x8d, 0x05, 3, 0, 0, 0, 0x50, 0x48, 0xcf})
	case n == 7 && p.wide(): // {rd,wr}{fs,gs}base
		r := p.reg()
		b := []byte{0xf3, 0x48 | r>>3, 0x0f, 0xae, 0xc0 | byte(p.IntN(2))<<3 | r&7}
		if p.IntN(4) == 0 {
			m := p.movImm(r, progBases[p.IntN(2)])
			p.emit(append(m, 0xf3, 0x48|r>>3, 0x0f, 0xae, 0xd0|byte(p.IntN(2))<<3|r&7))
			return
		}
		p.emit(b)
	case n == 8 && p.mode.cpl == 0: // clac, stac
		p.emit([]byte{0x0f, 0x01, 0xca | byte(p.IntN(2))})
	case n == 9 && p.mode.cpl == 0 && p.wide():
		p.emit([]byte{0x0f, 0x01, 0xf8}) // swapgs
	case n == 10 && p.mode.cpl == 0 && free(x86.RAX): // flip CR0.TS, or CR4.OSXSAVE, OSFXSR or SMAP
		cr, bit := byte(0xe0), []uint32{x86.CR4OSXSAVE, x86.CR4OSFXSR, x86.CR4SMAP, x86.CR4OSXMMEXCPT}[p.IntN(4)]
		if p.IntN(2) == 0 {
			cr, bit = 0xc0, x86.CR0TS
		}
		b := append([]byte{0x0f, 0x20, cr}, p.rexed(0, 0x35)...)
		p.emit(append(binary.LittleEndian.AppendUint32(b, bit), 0x0f, 0x22, cr))
		p.setUndef(x86.FlagAF)
	case n == 11 && p.mode.cpl == 0:
		p.emit([]byte{0x0f, 0x06}) // clts
	}
}

// regs8 is one of the first eight registers that may be written.
func (p *program) regs8() byte {
	for {
		if r := p.reg(); r < 8 {
			return r
		}
	}
}

// generate makes a program.
func generate(seed uint64) *program {
	s := difftest.New(seed, progWindow)
	p := &program{Source: s, mode: guestMode{cpl: 3}}
	switch s.IntN(6) {
	case 0, 1:
		p.mode.cpl = 0
	case 2:
		p.mode.compat = true
	case 3:
		p.mode = guestMode{0, true}
	}
	if seed%4 == 0 {
		p.flags = x86.FlagIOPL // programs may change IF, and do I/O
	}
	s.Mode32 = p.mode.compat
	for len(p.ptrs) < 3 {
		if r := uint8(p.IntN(p.registers())); r != x86.RSP && r != x86.RAX && p.reserved>>r&1 == 0 {
			p.ptrs = append(p.ptrs, r)
			p.reserved |= 1 << r
		}
	}
	p.undef = 0
	nfunc := p.IntN(4)
	funcs := make([]label, nfunc)
	for i := range funcs {
		funcs[i] = p.newLabel()
	}
	nblocks := 2 + p.IntN(8)
	blocks := make([]label, nblocks+1)
	for i := range blocks {
		blocks[i] = p.newLabel()
	}
	p.resume = blocks
	body := func(n, f int) {
		for range n {
			switch r := p.IntN(40); {
			case r < 4:
				p.pointer()
			case r < 6 && f < nfunc:
				p.call(funcs[f+p.IntN(nfunc-f)])
				p.undef = arith
			case r == 6:
				p.modify()
			case r == 7 && p.mode.cpl == 0:
				p.remap()
			case r == 12:
				p.system()
			case r < 11: // over some instructions
				l := p.newLabel()
				p.defineFlags()
				p.emit([]byte{0x70 | byte(p.IntN(16)), 0}, fixup{pos: 1, size: 1, to: l})
				for range 1 + p.IntN(4) {
					p.instruction()
				}
				p.defineFlags()
				p.mark(l)
			case r == 11: // a stack frame
				if p.reserved&(1<<x86.RBP) != 0 {
					continue
				}
				p.emit([]byte{0x55})
				p.emit(p.rexed(0, 0x89, 0xe5))                      // mov rbp, rsp
				p.emit(p.rexed(0, 0x83, 0xec, byte(p.IntN(16))<<3)) // sub rsp, n
				p.reserved, p.ptrs = p.reserved|1<<x86.RBP, append(p.ptrs, x86.RBP)
				for range 1 + p.IntN(6) {
					p.instruction()
				}
				p.reserved, p.ptrs = p.reserved&^(1<<x86.RBP), p.ptrs[:len(p.ptrs)-1]
				p.emit([]byte{0xc9}) // leave
			default:
				p.instruction()
			}
		}
	}
	for i := range nblocks {
		p.defineFlags()
		p.mark(blocks[i])
		body(2+p.IntN(20), 0)
		switch p.IntN(4) {
		case 0:
			p.branchTo(blocks[i+1+p.IntN(nblocks-i)])
		case 1, 2:
			p.loopTo(blocks[p.IntN(i+1)])
		}
	}
	p.defineFlags()
	p.mark(blocks[nblocks])
	p.emit([]byte{0xcc})
	p.elems[len(p.elems)-1].stays = true
	for i := range funcs {
		p.undef = arith
		p.mark(funcs[i])
		body(1+p.IntN(10), i+1)
		if p.IntN(6) == 0 {
			p.emit([]byte{0xc2, byte(p.IntN(3)) * 8, 0})
		} else {
			p.emit([]byte{0xc3})
		}
	}
	return p
}

// assemble is the code of the elements that keep says, and where labels are.
func (p *program) assemble(keep []bool, seed uint64) (code []byte, at map[label]uint64, ok bool) {
	at = map[label]uint64{}
	pos := uint64(progCode) + seed%64
	if seed%3 == 0 {
		pos += pageSize - 200 // soon across pages
	}
	start := pos
	where := make([]uint64, len(p.elems))
	for i := range p.elems {
		e := &p.elems[i]
		for _, l := range e.labels {
			at[l] = pos
		}
		where[i] = pos
		at[e.inner] = pos + uint64(e.at)
		if keep[i] {
			pos += uint64(len(e.code))
		}
	}
	for i := range p.elems {
		e := &p.elems[i]
		if !keep[i] {
			continue
		}
		b := slices.Clone(e.code)
		for _, f := range e.fix {
			v := at[f.to] + f.add
			if f.neg {
				v = f.add - at[f.to]
			}
			if !f.abs {
				v -= where[i] + uint64(f.pos+f.size+f.tail)
				if f.size == 1 && v != uint64(int64(int8(v))) {
					return nil, nil, false
				}
			}
			for k := range f.size {
				b[f.pos+k] = byte(v >> (8 * k))
			}
		}
		code = append(code, b...)
	}
	at[0] = start
	return code, at, pos < progCode+progPages*pageSize
}

// outcome is what a program did.
type outcome struct {
	end    trap
	events []string
	mmio   []string
	reason string // why it cannot be compared
}

// runProgram runs a program on a guest.
func (g *guest) runProgram(p *program, code []byte, at map[label]uint64) (out outcome) {
	b := g.ram.Bytes
	copy(b[:guestIDT], g.tables)
	for i := range window {
		e := window[i]
		if e != 0 {
			// Accessed and dirty from the start: processors may be early with that.
			e |= 0x60
			if !p.runsData {
				e |= 1 << 63
			}
		}
		g.mapPage(progWindow+uint64(i)*pageSize, e)
	}
	clear(b[guestCode : guestCode+progPages*pageSize])
	copy(b[guestCode+at[0]-progCode:], code)
	clear(b[guestData:physEnd])
	for o := 0; o < 0xa000; o += difftest.Size {
		copy(b[guestData+o:], p.Data[:])
	}
	for i := range p.counters {
		binary.LittleEndian.PutUint32(b[physCount+8*i:], uint32(p.Seed>>i&15)+2)
	}
	g.cpu.DropCode()
	g.mmio, g.random = nil, p.Seed

	s := g.base
	p.mode.segments(&s, progBases[0], progBases[1])
	st := difftest.New(p.Seed^0x5555, progWindow)
	for i := range 16 {
		s.R[i] = st.GPR()
	}
	for i := range s.V {
		s.V[i] = st.Vec()
	}
	if st.IntN(3) == 0 {
		s.MXCSR = st.MXCSR()
	}
	for i, r := range p.ptrs {
		s.R[r] = progWindow + uint64([]int{1, 4, 11}[i%3])*pageSize + st.Uint64N(pageSize)
	}
	s.R[x86.RSP] = progStack + pageSize + st.Uint64N(64)*8
	if p.mode.compat {
		for i := range 16 {
			s.R[i] &= 0xffffffff
		}
	}
	s.RIP = at[0]
	if p.prepare != nil {
		p.prepare(g, &s)
	}
	last := at[p.resume[len(p.resume)-1]]
	resumed := 0
	inCode := func(rip uint64) bool { return rip-progCode < progPages*pageSize }
	g.onTrap = func(t *trap) bool {
		if t.vec == x86.ExcBP && t.rip == last+1 {
			return false
		}
		h := uint64(14695981039346656037)
		for i := range 16 {
			if i != x86.RSP {
				h = (h ^ g.cpu.R[i]) * 1099511628211
			}
		}
		ev := fmt.Sprintf("%d error %#x at %#x RSP %#x CR2 %#x registers %x", t.vec, t.err, t.rip, t.rsp, t.cr2, h)
		if *programSeed != 0 {
			ev += fmt.Sprintf(" %x", g.cpu.R[:16])
			if o := t.rip - progCode; o < progPages*pageSize-16 {
				ev += fmt.Sprintf(" code % x", b[guestCode+o:][:16])
			}
		}
		out.events = append(out.events, ev)
		if len(out.events) > 400 {
			return false
		}
		if t.vec == x86.ExcPF && t.cr2&^(pageSize-1) == progWindow+5*pageSize && t.err&1 == 0 && t.err&16 == 0 && b[g.pte(progWindow+5*pageSize)]&7 == 0 {
			b[g.pte(progWindow+5*pageSize)] |= 7
			return true
		}
		next := at[p.resume[resumed%len(p.resume)]]
		if inCode(t.rip) {
			var x decode.Inst
			mode := decode.Mode64
			if p.mode.compat {
				mode = decode.Mode32
			}
			if decode.Decode(b[guestCode+t.rip-progCode:][:32], mode, &x) == nil {
				next = t.rip + uint64(x.Len)
			} else {
				resumed++
			}
		} else {
			resumed++
		}
		if resumed > 20 {
			return false
		}
		t.setRIP(next)
		t.setFlags(0x202 | p.flags)
		return true
	}
	func() {
		defer func() {
			if r := recover(); r != nil {
				d, ok := r.(*Difference)
				if !ok {
					panic(r)
				}
				out.reason = d.Text
			}
		}()
		out.end = g.run(&s, 0x202|p.flags)
	}()
	out.mmio = g.mmio
	return out
}

// pte is where the guest's page table entry of a page is in memory.
func (g *guest) pte(va uint64) uint64 {
	table := uint64(guestTables)
	for shift := 39; ; shift -= 9 {
		at := table + va>>shift&511*8
		if shift == 12 {
			return at
		}
		table = binary.LittleEndian.Uint64(g.ram.Bytes[at:]) &^ 0xfff
	}
}

// programRig is the guests that run the same programs.
type programRig struct{ guests []*guest }

// configOf is the default with settings as -jit has them.
func configOf(t testing.TB, settings string) *Config {
	c := DefaultConfig
	for kv := range strings.SplitSeq(settings, ",") {
		k, v, _ := strings.Cut(kv, "=")
		if err := c.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	return &c
}

func newProgramRig(t testing.TB, configs ...string) *programRig {
	r := &programRig{}
	for i := range len(configs) + 1 {
		var cfg *Config
		if i > 0 {
			cfg = configOf(t, configs[i-1])
		}
		g := newGuest(t, cfg)
		for i := uint64(0); i < progPages; i++ {
			g.mapPage(progCode+i*pageSize, guestCode+i*pageSize|7)
			g.mapPage(progAlias+i*pageSize, guestCode+i*pageSize|7)
		}
		for i := range window {
			g.mapPage(progWindow+uint64(i)*pageSize, 0)
		}
		g.mapPage(progTable, g.pte(progWindow)&^(pageSize-1)|7)
		g.mapPage(progCount, physCount|7)
		for i := uint64(0); i < 2; i++ {
			g.mapPage(progStack+i*pageSize, physStack+i*pageSize|7|1<<63)
			g.mapPage(otherStack+i*pageSize, physStack+i*pageSize|7|1<<63)
		}
		g.mapPage(progFirst, physFirst|7|1<<63)
		g.mapPage(progLast, (physFirst+pageSize)|7|1<<63)
		g.mapPage(progLast&0xffffffff, (physFirst+pageSize)|7|1<<63)
		// System calls return at once.
		copy(g.ram.Bytes[guestCalls:], []byte{0x0f, 0x01, 0xf8, 0x0f, 0x01, 0xf8, 0x48, 0x0f, 0x07}) // swapgs twice; sysretq
		g.base.LSTAR, g.base.STAR, g.base.FMASK = guestCalls, selCode64<<32|selUser32<<48, 0x47700
		g.base.CR4 |= x86.CR4FSGSBASE
		g.base.KernelGSBase = progBases[0]
		g.tables = bytes.Clone(g.ram.Bytes[:guestIDT])
		for i := range g.rom.Bytes {
			g.rom.Bytes[i] = byte(i * 7)
		}
		r.guests = append(r.guests, g)
	}
	return r
}

// compare runs a program on all guests and says how they differ.
func (r *programRig) compare(p *program, keep []bool) string {
	code, at, ok := p.assemble(keep, p.Seed)
	if !ok {
		return ""
	}
	ref := r.guests[0]
	ref.mayHang = true
	want := ref.runProgram(p, code, at)
	if ref.hung.Load() {
		return "" // it wrote itself into a loop without end
	}
	for _, g := range r.guests[1:] {
		got := g.runProgram(p, code, at)
		var out strings.Builder
		if got.reason != "" {
			fmt.Fprintf(&out, "\n%s", got.reason)
		}
		for what, l := range map[string][2][]string{"exception": {want.events, got.events}, "access to the device": {want.mmio, got.mmio}} {
			for i := range max(len(l[0]), len(l[1])) {
				a, b := "none", "none"
				if i < len(l[0]) {
					a = l[0][i]
				}
				if i < len(l[1]) {
					b = l[1][i]
				}
				if a != b {
					fmt.Fprintf(&out, "\n\t%s %d: %s\n\t translated: %s", what, i, a, b)
					break
				}
			}
		}
		undefined := uint64(0)
		if want.end.vec != x86.ExcBP || want.end.rip != at[p.resume[len(p.resume)-1]]+1 {
			undefined = arith
		}
		out.WriteString(differences(ref, g, &want.end, &got.end, undefined))
		out.WriteString(memoryDiffers(ref, g, guestCode, guestCode+progPages*pageSize))
		out.WriteString(memoryDiffers(ref, g, guestData, physEnd))
		if out.Len() != 0 {
			return g.name + ":" + out.String()
		}
	}
	return ""
}

// shorten compares a program and, if the guests differ, finds fewer elements with
// which they still do.
func (r *programRig) shorten(p *program) (keep []bool, msg string) {
	keep = slices.Repeat([]bool{true}, len(p.elems))
	msg = r.compare(p, keep)
	if msg == "" {
		return keep, ""
	}
	start := time.Now()
	for n := len(keep) / 2; n > 0; n /= 2 {
		for again := true; again && time.Since(start) < 20*time.Second; {
			again = false
			for i := 0; i < len(keep); i += n {
				try := slices.Clone(keep)
				for k := i; k < min(i+n, len(keep)); k++ {
					try[k] = p.elems[k].stays
				}
				if slices.Equal(try, keep) {
					continue
				}
				if m := r.compare(p, try); m != "" {
					keep, msg, again = try, m, true
				}
			}
		}
	}
	return keep, msg
}

// listing disassembles a program.
func (p *program) listing(keep []bool) string {
	code, at, _ := p.assemble(keep, p.Seed)
	var out strings.Builder
	mode, m := 64, decode.Mode64
	if p.mode.compat {
		mode, m = 32, decode.Mode32
	}
	for pos := at[0]; len(code) > 0; {
		in, err := x86asm.Decode(code, mode)
		n := max(in.Len, 1)
		var x decode.Inst
		if decode.Decode(append(slices.Clone(code), make([]byte, 16)...), m, &x) == nil {
			n = min(int(x.Len), len(code))
		}
		text := x.Op.String()
		if err == nil && in.Len == n {
			text = x86asm.IntelSyntax(in, pos, nil)
		}
		fmt.Fprintf(&out, "\t%#x: %-30x %s\n", pos, code[:n], text)
		code = code[n:]
		pos += uint64(n)
	}
	return out.String()
}

// check generates a program and compares it.
func (r *programRig) check(t *testing.T, seed uint64) {
	p := generate(seed)
	p.Fill()
	if keep, msg := r.shorten(p); msg != "" {
		t.Errorf("program %d, %+v, pointers %d, differs on %s\n%s", seed, p.mode, p.ptrs, msg, p.listing(keep))
	}
}

// run checks programs.
func (r *programRig) run(t *testing.T, first uint64, n int) {
	if *programSeed != 0 {
		r.check(t, *programSeed)
		return
	}
	start := time.Now()
	done, bad := 0, 0
	for i := 0; i < n || time.Since(start) < *programTime; i++ {
		failed := t.Failed()
		r.check(t, first+uint64(i))
		if done++; !failed && t.Failed() || failed {
			if bad++; bad > 2 {
				break
			}
		}
	}
	for _, g := range r.guests[1:] {
		s := g.eng.Stats()
		t.Logf("%s: %d programs, %d regions, %d entries, %d flushes, %d faults, %d misses", g.name, done, s.Regions, s.Entries, s.Flushes, s.Exits[reasonFault], s.Exits[siteMiss])
		if s.Regions < uint64(done) {
			t.Errorf("%s: translated %d regions of %d programs", g.name, s.Regions, done)
		}
	}
}

// TestPrograms compares random programs on the interpreter and on engines.
func TestPrograms(t *testing.T) {
	newProgramRig(t, "threshold=1", "threshold=2", "threshold=16", "threshold=1,cache=256K").run(t, 1, 600)
}

// TestProgramsVerified has engines verify themselves as well.
func TestProgramsVerified(t *testing.T) {
	newProgramRig(t, "threshold=1,verify=all").run(t, 1_000_000, 300)
}

// TestShorterRegionWithoutSwaps is for a bug: a region that was translated again with
// fewer instructions kept the swaps of the first attempt. After a miss it was resumed
// by code that it did not have, and never came back.
func TestShorterRegionWithoutSwaps(t *testing.T) {
	newProgramRig(t, "threshold=1", "threshold=2", "threshold=16", "threshold=1,cache=256K").check(t, 1431)
}
