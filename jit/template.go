package jit

// The template back end: what a plain translator does, as the point of reference for
// what the direct one is worth.
//
// All guest registers are in the context, and the status flags too, in the form of
// packFlags. An instruction is a template: it loads its operands into host registers,
// does the operation, and stores the result and, if it changes them, the flags. Nothing
// is kept from one instruction to the next, and nothing is known of what the next ones
// need. A region is one basic block unless -jit region says otherwise. What has no
// template is the interpreter's: system and string instructions, and all that touches
// vector or x87 registers.
//
// Templates are assembled by golang-asm when they are first needed, one for an
// operation with a size and kinds of operands, with holes where the registers' places in
// the context and immediates go. To translate is then to copy and to fill the holes, so
// what golang-asm costs, half a microsecond an instruction, is paid some hundred times
// in the life of an Engine. Accesses to memory are checked as the memory strategy says,
// which leaves the host's address in two scratch registers; jumps and calls are written
// by hand.

import (
	"encoding/binary"

	"github.com/twitchyliquid64/golang-asm/obj"
	amd64 "github.com/twitchyliquid64/golang-asm/obj/x86"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/x86"
	"hotblock/x86/decode"
)

func init() {
	backendAxis.register("template", "registers and flags in memory, a block at a time, templates by golang-asm",
		func(e *Engine, _ *stubAsm) backend {
			if e.cfg.Region == "" {
				e.cfg.Region = "block"
			}
			return &templates{made: map[templateKey]*template{}}
		})
}

// templates is the back end.
type templates struct {
	made  map[templateKey]*template
	flags []byte // loads the status flags, by way of RAX
}

// A template is code with holes.
type template struct {
	code  []byte
	holes []templateHole
}

type templateHole struct {
	at   int
	what int32 // one of the hole constants
}

// What golang-asm sees in place of what fills a hole.
const (
	holeDst = 0x5a5a0001 + iota // displacement of the first operand's register
	holeSrc                     // and the second's
	holeLow                     // immediate, its low and high half
	holeHigh
	holeEnd
)

// operandKind is what a template's operand is.
type operandKind uint8

const (
	inNone   operandKind = iota
	inReg                // a register's slot
	inHigh               // bits 8 to 15 of it
	inMemory             // at s1+s2
	inImm
)

// templateKey is what templates differ in.
type templateKey struct {
	as        obj.As
	shape     shape
	dst, src  operandKind
	size      uint8 // of the first operand, or of the operation
	srcSize   uint8
	lock      bool
	reads     bool // the first operand is not written
	loadFlags bool
	saveFlags bool
}

// shape is how an operation takes its operands.
type shape uint8

const (
	noShape       shape = iota
	shapeBinary         // dst = dst op src
	shapeMove           // dst = src, all of it if it has 4 bytes or more
	shapeCompare        // flags of dst - src, which golang-asm has the other way around
	shapeUnary          // dst = op dst
	shapeImplicit       // RAX and RDX, and src if there is one
	shapeExchange       // dst and src both change
	shapeTriple         // dst = src * immediate
	shapeBit            // a bit of a register
	shapeFlags          // no operands
)

// A sized operation, for 1, 2, 4 and 8 bytes.
type templateOp struct {
	as    [4]obj.As
	shape shape
}

var templateOps = func() map[decode.Op]templateOp {
	m := map[decode.Op]templateOp{}
	add := func(name string, s shape, as ...obj.As) {
		t := templateOp{shape: s}
		copy(t.as[4-len(as):], as)
		m[decode.MustOp(name)] = t
	}
	add("add", shapeBinary, amd64.AADDB, amd64.AADDW, amd64.AADDL, amd64.AADDQ)
	add("or", shapeBinary, amd64.AORB, amd64.AORW, amd64.AORL, amd64.AORQ)
	add("adc", shapeBinary, amd64.AADCB, amd64.AADCW, amd64.AADCL, amd64.AADCQ)
	add("sbb", shapeBinary, amd64.ASBBB, amd64.ASBBW, amd64.ASBBL, amd64.ASBBQ)
	add("and", shapeBinary, amd64.AANDB, amd64.AANDW, amd64.AANDL, amd64.AANDQ)
	add("sub", shapeBinary, amd64.ASUBB, amd64.ASUBW, amd64.ASUBL, amd64.ASUBQ)
	add("xor", shapeBinary, amd64.AXORB, amd64.AXORW, amd64.AXORL, amd64.AXORQ)
	add("cmp", shapeCompare, amd64.ACMPB, amd64.ACMPW, amd64.ACMPL, amd64.ACMPQ)
	add("test", shapeBinary, amd64.ATESTB, amd64.ATESTW, amd64.ATESTL, amd64.ATESTQ)
	add("mov", shapeMove, amd64.AMOVB, amd64.AMOVW, amd64.AMOVL, amd64.AMOVQ)
	add("shl", shapeBinary, amd64.ASHLB, amd64.ASHLW, amd64.ASHLL, amd64.ASHLQ)
	add("shr", shapeBinary, amd64.ASHRB, amd64.ASHRW, amd64.ASHRL, amd64.ASHRQ)
	add("sar", shapeBinary, amd64.ASARB, amd64.ASARW, amd64.ASARL, amd64.ASARQ)
	add("rol", shapeBinary, amd64.AROLB, amd64.AROLW, amd64.AROLL, amd64.AROLQ)
	add("ror", shapeBinary, amd64.ARORB, amd64.ARORW, amd64.ARORL, amd64.ARORQ)
	add("inc", shapeUnary, amd64.AINCB, amd64.AINCW, amd64.AINCL, amd64.AINCQ)
	add("dec", shapeUnary, amd64.ADECB, amd64.ADECW, amd64.ADECL, amd64.ADECQ)
	add("neg", shapeUnary, amd64.ANEGB, amd64.ANEGW, amd64.ANEGL, amd64.ANEGQ)
	add("not", shapeUnary, amd64.ANOTB, amd64.ANOTW, amd64.ANOTL, amd64.ANOTQ)
	add("bswap", shapeUnary, amd64.ABSWAPL, amd64.ABSWAPQ)
	add("mul", shapeImplicit, amd64.AMULB, amd64.AMULW, amd64.AMULL, amd64.AMULQ)
	add("div", shapeImplicit, amd64.ADIVB, amd64.ADIVW, amd64.ADIVL, amd64.ADIVQ)
	add("idiv", shapeImplicit, amd64.AIDIVB, amd64.AIDIVW, amd64.AIDIVL, amd64.AIDIVQ)
	add("imul", shapeTriple, amd64.AIMULB, amd64.AIMULW, amd64.AIMULL, amd64.AIMULQ)
	add("cbw", shapeImplicit, amd64.ACBW, amd64.ACWDE, amd64.ACDQE)
	add("cwd", shapeImplicit, amd64.ACWD, amd64.ACDQ, amd64.ACQO)
	add("xchg", shapeExchange, amd64.AXCHGB, amd64.AXCHGW, amd64.AXCHGL, amd64.AXCHGQ)
	add("xadd", shapeExchange, amd64.AXADDB, amd64.AXADDW, amd64.AXADDL, amd64.AXADDQ)
	add("cmpxchg", shapeExchange, amd64.ACMPXCHGB, amd64.ACMPXCHGW, amd64.ACMPXCHGL, amd64.ACMPXCHGQ)
	add("bt", shapeBit, amd64.ABTW, amd64.ABTL, amd64.ABTQ)
	add("bts", shapeBit, amd64.ABTSW, amd64.ABTSL, amd64.ABTSQ)
	add("btr", shapeBit, amd64.ABTRW, amd64.ABTRL, amd64.ABTRQ)
	add("btc", shapeBit, amd64.ABTCW, amd64.ABTCL, amd64.ABTCQ)
	add("bsf", shapeBinary, amd64.ABSFW, amd64.ABSFL, amd64.ABSFQ)
	add("bsr", shapeBinary, amd64.ABSRW, amd64.ABSRL, amd64.ABSRQ)
	add("popcnt", shapeBinary, amd64.APOPCNTW, amd64.APOPCNTL, amd64.APOPCNTQ)
	add("tzcnt", shapeBinary, amd64.ATZCNTW, amd64.ATZCNTL, amd64.ATZCNTQ)
	add("lzcnt", shapeBinary, amd64.ALZCNTW, amd64.ALZCNTL, amd64.ALZCNTQ)
	add("stc", shapeFlags, amd64.ASTC, amd64.ASTC, amd64.ASTC, amd64.ASTC)
	add("clc", shapeFlags, amd64.ACLC, amd64.ACLC, amd64.ACLC, amd64.ACLC)
	add("cmc", shapeFlags, amd64.ACMC, amd64.ACMC, amd64.ACMC, amd64.ACMC)
	return m
}()

// By condition code.
var (
	templateSet  = [16]obj.As{amd64.ASETOS, amd64.ASETOC, amd64.ASETCS, amd64.ASETCC, amd64.ASETEQ, amd64.ASETNE, amd64.ASETLS, amd64.ASETHI, amd64.ASETMI, amd64.ASETPL, amd64.ASETPS, amd64.ASETPC, amd64.ASETLT, amd64.ASETGE, amd64.ASETLE, amd64.ASETGT}
	templateMove = [3][16]obj.As{
		{amd64.ACMOVWOS, amd64.ACMOVWOC, amd64.ACMOVWCS, amd64.ACMOVWCC, amd64.ACMOVWEQ, amd64.ACMOVWNE, amd64.ACMOVWLS, amd64.ACMOVWHI, amd64.ACMOVWMI, amd64.ACMOVWPL, amd64.ACMOVWPS, amd64.ACMOVWPC, amd64.ACMOVWLT, amd64.ACMOVWGE, amd64.ACMOVWLE, amd64.ACMOVWGT},
		{amd64.ACMOVLOS, amd64.ACMOVLOC, amd64.ACMOVLCS, amd64.ACMOVLCC, amd64.ACMOVLEQ, amd64.ACMOVLNE, amd64.ACMOVLLS, amd64.ACMOVLHI, amd64.ACMOVLMI, amd64.ACMOVLPL, amd64.ACMOVLPS, amd64.ACMOVLPC, amd64.ACMOVLLT, amd64.ACMOVLGE, amd64.ACMOVLLE, amd64.ACMOVLGT},
		{amd64.ACMOVQOS, amd64.ACMOVQOC, amd64.ACMOVQCS, amd64.ACMOVQCC, amd64.ACMOVQEQ, amd64.ACMOVQNE, amd64.ACMOVQLS, amd64.ACMOVQHI, amd64.ACMOVQMI, amd64.ACMOVQPL, amd64.ACMOVQPS, amd64.ACMOVQPC, amd64.ACMOVQLT, amd64.ACMOVQGE, amd64.ACMOVQLE, amd64.ACMOVQGT},
	}
	// MOVZX and MOVSX by log2 of the source's size, then of the destination's.
	templateZero = [2][4]obj.As{{0, amd64.AMOVBWZX, amd64.AMOVBLZX, amd64.AMOVBLZX}, {0, 0, amd64.AMOVWLZX, amd64.AMOVWLZX}}
	templateSign = [3][4]obj.As{{0, amd64.AMOVBWSX, amd64.AMOVBLSX, amd64.AMOVBQSX}, {0, 0, amd64.AMOVWLSX, amd64.AMOVWQSX}, {0, 0, 0, amd64.AMOVLQSX}}

	opMovzx  = decode.MustOp("movzx")
	opMovsx  = decode.MustOp("movsx")
	opMovsxd = decode.MustOp("movsxd")
	opCmp    = decode.MustOp("cmp")
	opTest   = decode.MustOp("test")
	opBt     = decode.MustOp("bt")
	opXchg   = decode.MustOp("xchg")
)

// keyOf finds the template of an instruction of class Plain.
func keyOf(g *ginst) (k templateKey, ok bool) {
	x, e := &g.x, &g.e
	if e.Vector || e.X87 || e.BitString || x.Vex {
		return k, false
	}
	k.lock, k.reads = x.Lock, x.Op == opCmp || x.Op == opTest || x.Op == opBt
	k.loadFlags = e.FlagsRead&arith != 0 || e.FlagsWritten|e.FlagsUndefined|e.FlagsMaybe != 0 && (e.FlagsWritten|e.FlagsUndefined)&arith != arith
	k.saveFlags = (e.FlagsWritten|e.FlagsMaybe|e.FlagsUndefined)&arith != 0
	kind := func(i uint8) (operandKind, uint8) {
		if i >= x.NArgs {
			return inNone, 0
		}
		a := &x.Args[i]
		switch a.Kind {
		case decode.GPR:
			return inReg, a.Size
		case decode.GPRHi:
			return inHigh, 1
		case decode.Mem:
			return inMemory, a.Size
		case decode.Imm, decode.One:
			return inImm, a.Size
		}
		return inNone, 0
	}
	k.dst, k.size = kind(0)
	k.src, k.srcSize = kind(1)
	for i := range x.NArgs {
		if kind, size := kind(i); kind == inNone || size != 1 && size != 2 && size != 4 && size != 8 {
			return k, false
		}
	}
	sized := func(n uint8) int { return int(log2(int32(n))) }
	op, found := templateOps[x.Op]
	switch {
	case x.Map == 1 && x.Opcode&0xf0 == 0x40:
		k.as, k.shape = templateMove[sized(k.size)-1][x.Opcode&15], shapeBinary
	case x.Map == 1 && x.Opcode&0xf0 == 0x90:
		k.as, k.shape = templateSet[x.Opcode&15], shapeUnary
	case x.Op == opMovzx && k.srcSize <= 2:
		k.as, k.shape = templateZero[sized(k.srcSize)][sized(k.size)], shapeMove
	case x.Op == opMovsx && k.srcSize <= 2 || x.Op == opMovsxd && k.srcSize == 4:
		k.as, k.shape = templateSign[sized(k.srcSize)][sized(k.size)], shapeMove
	case !found:
		return k, false
	default:
		k.shape = op.shape
		switch op.shape {
		case shapeImplicit, shapeFlags:
			// The operand of multiplications and divisions is the source.
			k.src, k.srcSize, k.dst = k.dst, k.size, inNone
			if k.size = k.srcSize; k.size == 0 {
				k.size = x.OpSize
			}
		case shapeTriple:
			switch x.NArgs {
			case 1:
				k.shape, k.src, k.srcSize, k.dst = shapeImplicit, k.dst, k.size, inNone
			case 2:
				k.shape = shapeBinary
			case 3:
				if k.size == 2 {
					return k, false // the rest of the register would have to stay
				}
			}
		case shapeBit:
			k.shape = shapeBinary
			if k.dst != inReg {
				return k, false
			}
		case shapeMove, shapeBinary, shapeCompare, shapeExchange:
			if k.dst == inNone || k.src == inNone {
				return k, false
			}
		}
		k.as = op.as[sized(k.size)]
	}
	if k.shape == shapeUnary {
		k.src = inNone
	}
	return k, k.as != 0
}

// make assembles a template. Operands are in RBX and RCX, or the memory at s1+s2. It
// returns nil where golang-asm does not know the instruction.
func (k *templateKey) make() (p *template) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(goasmError); !ok {
				panic(r)
			}
			p = nil
		}
	}()
	a := &goasm{}
	const dstReg, srcReg = int8(hRBX), int8(hRCX)
	if k.loadFlags {
		a.load32(hRAX, gs(offEntryFlags))
		a.sahf()
	}
	implicit := k.shape == shapeImplicit || k.as >= amd64.ACMPXCHGB && k.as <= amd64.ACMPXCHGW && k.shape == shapeExchange
	if implicit {
		a.load(hRAX, slot(x86.RAX))
		a.load(hRDX, slot(x86.RDX))
	}
	memory := goMem(mem{base: s1, index: s2})
	load := func(kind operandKind, r int8, hole int32) obj.Addr {
		switch kind {
		case inReg:
			a.load(r, gs(hole))
		case inHigh:
			a.loadU8(r, gs(hole))
		case inImm:
			a.add(amd64.AMOVL, goImm(holeLow), goReg(r))
			if k.size == 8 {
				a.add(amd64.AMOVLQSX, goReg(r), goReg(r))
			}
		case inMemory:
			return memory
		}
		return goReg(r)
	}
	store := func(kind operandKind, r int8, hole int32) {
		switch kind {
		case inReg:
			a.store(gs(hole), r)
		case inHigh:
			a.store8(gs(hole), r)
		}
	}
	if k.shape == shapeMove && k.dst == inReg && k.src == inImm && k.size >= 4 {
		// The upper half is zero, or that of an immediate of 64 bits.
		a.storeImm32(gs(holeDst), holeLow)
		a.add(amd64.AMOVL, goImm(holeHigh), goMem(gs(holeEnd)))
		return a.template()
	}
	var dst, src obj.Addr
	if k.src != inNone {
		src = load(k.src, srcReg, holeSrc)
	}
	switch {
	case k.shape == shapeTriple:
		dst = load(inImm, dstReg, 0)
	case k.dst == inMemory:
		dst = memory
	case k.dst != inNone:
		dst = load(k.dst, dstReg, holeDst)
	}
	if k.lock {
		a.add(amd64.ALOCK, goNone, goNone)
	}
	switch k.shape {
	case shapeFlags:
		a.add(k.as, goNone, goNone)
	case shapeImplicit:
		if k.src == inNone {
			a.add(k.as, goNone, goNone)
		} else {
			a.add(k.as, src, goNone)
		}
	case shapeUnary:
		a.add(k.as, goNone, dst)
	case shapeCompare:
		a.add(k.as, dst, src)
	default:
		a.add(k.as, src, dst)
	}
	// Operands may be the same register: what the processor writes last counts.
	if implicit {
		a.store(slot(x86.RAX), hRAX)
		a.store(slot(x86.RDX), hRDX)
	}
	source := k.shape == shapeExchange && !implicit
	first := k.src != inHigh || k.dst == inHigh
	if source && first {
		store(k.src, srcReg, holeSrc)
	}
	if !k.reads {
		store(k.dst, dstReg, holeDst)
	}
	if source && !first {
		store(k.src, srcReg, holeSrc)
	}
	if k.saveFlags {
		a.add(amd64.ALAHF, goNone, goNone)
		a.add(amd64.ASETOS, goNone, goReg(hRAX))
		a.store32(gs(offEntryFlags), hRAX)
	}
	return a.template()
}

// template assembles the code and finds its holes.
func (a *goasm) template() *template {
	p := &template{code: a.assemble()}
	for i := 0; i+4 <= len(p.code); i++ {
		if v := int32(binary.LittleEndian.Uint32(p.code[i:])); v >= holeDst && v <= holeEnd {
			p.holes = append(p.holes, templateHole{i, v})
		}
	}
	return p
}

// stubs implements backend. Entering is a jump; leaving turns the flags into what the
// Engine expects.
func (s *templates) stubs(e *Engine, a *stubAsm) {
	a.mark(&e.enter)
	a.mark(&e.enterVec)
	a.mark(&e.enterX87)
	a.mark(&e.enterBoth)
	a.jmpMem(gs(offTarget))
	var common, fromFault goLabel
	a.here(&common)
	a.popMem(gs(offSite))
	a.here(&fromFault)
	a.load32(hRAX, gs(offEntryFlags))
	a.sahf()
	a.pushf()
	a.popMem(gs(offFlags))
	a.jmpMem(gs(host.OffExit))
	a.exits(e, &common)
	a.mark(&e.fault)
	a.storeImm32(gs(offReason), int32(reasonFault))
	a.jmp(&fromFault)

	f := &goasm{}
	f.load32(hRAX, gs(offEntryFlags))
	f.sahf()
	s.flags = f.assemble()
}

// translate implements backend.
func (s *templates) translate(e *Engine, b interp.Block, _ *region) *region {
	t := e.begin(b)
	if !t.collect(b, nil) {
		return nil
	}
	t.homeless = 1<<len(t.home) - 1
	for i := range t.home {
		t.home[i] = noReg
	}
	t.swaps, t.swapped, t.fixups, t.co.inS2 = t.swaps[:0], false, t.fixups[:0], -1
	t.loopLo, t.loopHi = maxRegion, -1
	r := t.r
	r.vec, r.x87, r.inexact = false, false, false
	r.endLive = arith
	r.indirect = r.host
	t.lea(s1, based(s1, -int32(r.goff)))
	t.store(gs(offRBase), s1)
	r.direct = t.hostAt(t.pos())
	r.loop = r.direct
	for i := range t.n {
		g := &t.insts[i]
		g.host, g.live, g.target, g.meet = int32(t.pos()), arith, -1, false
		t.cur, t.index = g, i
		mark := t.mark()
		if g.off+uint32(g.x.Len) > pageSize {
			t.guard(g)
		}
		if !s.instruction(t, g) {
			if i == 0 {
				return nil
			}
			t.backTo(mark)
			t.n, t.ends, t.next = i, false, g.off
			break
		}
	}
	t.finish()
	return r
}

// instruction translates one instruction. It reports false where there is no
// template.
func (s *templates) instruction(t *translator, g *ginst) bool {
	x, e := &g.x, &g.e
	if g.varies {
		return false // templates have immediates as they were
	}
	switch e.Class {
	case decode.ClassBranch:
		return s.branch(t, g)
	case decode.ClassStack:
		return s.stack(t, g)
	case decode.ClassPlain:
	default:
		return false
	}
	switch {
	case t.skips(x) || x.Op == opXchg && x.Opcode == 0x90 && x.Args[0].Reg == x86.RAX:
		return true
	case x.Op == opLea:
		return t.leaInst(g)
	case e.Mem == decode.AccessAddress:
		return !e.Vector // prefetches
	}
	k, ok := keyOf(g)
	if !ok {
		return false
	}
	p, ok := s.made[k]
	if !ok {
		p = k.make()
		s.made[k] = p
	}
	if p == nil {
		return false
	}
	if e.Mem != decode.AccessNone {
		s.operand(t, t.refOf(g), int32(e.MemSize), e.Mem&decode.AccessWrite != 0)
	}
	place := func(i uint8) int32 {
		if i >= x.NArgs {
			return 0
		}
		a := &x.Args[i]
		d := offR + 8*int32(a.Reg)
		if a.Kind == decode.GPRHi {
			d++
		}
		return d
	}
	dst, src := place(0), place(1)
	if k.shape == shapeImplicit {
		src = dst
	}
	imm := x.Imm
	if k.size < 8 {
		imm = uint64(uint32(imm))
	}
	at := t.pos()
	t.b = append(t.b, p.code...)
	for _, h := range p.holes {
		v := int32(0)
		switch h.what {
		case holeDst:
			v = dst
		case holeSrc:
			v = src
		case holeLow:
			v = int32(uint32(imm))
		case holeHigh:
			v = int32(uint32(imm >> 32))
		case holeEnd:
			v = dst + 4
		}
		t.put32(at+h.at, v)
	}
	return true
}

// operand checks an access and makes the operand s1+s2.
func (s *templates) operand(t *translator, r ref, size int32, write bool) {
	m := t.ungrouped(r, size, write, false)
	if m.base != s1 || m.index != s2 {
		panic("jit: a memory strategy gave a template another operand")
	}
	if m.disp != 0 {
		t.lea(s1, based(s1, m.disp))
	}
}

// push checks the slot below RSP, stores what value loads into s0 there and moves
// RSP.
func (s *templates) push(t *translator, value func()) {
	w := t.word()
	m := t.ungrouped(t.stackRef(-w), w, true, false)
	value()
	t.storeWord(m, s0)
	s.moveSP(t, -w)
}

// pop loads the slot at RSP into s1, and moves RSP by n.
func (s *templates) pop(t *translator, n int32) {
	m := t.ungrouped(t.stackRef(0), t.word(), false, false)
	t.loadWord(s1, m)
	s.moveSP(t, n)
}

func (s *templates) moveSP(t *translator, n int32) {
	t.load(s0, slot(x86.RSP))
	t.leaWord(s0, based(s0, n))
	t.store(slot(x86.RSP), s0)
}

func (s *templates) stack(t *translator, g *ginst) bool {
	x := &g.x
	w := t.word()
	switch x.Op {
	case opPush:
		switch arg := &x.Args[0]; arg.Kind {
		case decode.GPR:
			s.push(t, func() { t.load(s0, slot(arg.Reg)) })
		case decode.Imm:
			s.push(t, func() { t.constant(s0, x.Imm) })
		default:
			s.operand(t, t.refOf(g), w, false)
			t.loadWord(s0, mem{base: s1, index: s2})
			t.store(gs(offTmp), s0)
			s.push(t, func() { t.load(s0, gs(offTmp)) })
		}
	case opPop:
		s.pop(t, w)
		t.store(slot(x.Args[0].Reg), s1)
	case opLeave:
		r := t.stackRef(0)
		r.base = x86.RBP
		m := t.ungrouped(r, w, false, false)
		t.loadWord(s1, m)
		t.load(s0, slot(x86.RBP))
		t.leaWord(s0, based(s0, w))
		t.store(slot(x86.RSP), s0)
		t.store(slot(x86.RBP), s1)
	default:
		return false
	}
	return true
}

// branch translates a near control transfer. Flags are in memory, so polls may change
// those of the host.
func (s *templates) branch(t *translator, g *ginst) bool {
	x := &g.x
	next := t.goff + g.off + uint32(x.Len)
	target := next + uint32(x.Imm)
	rel := x.NArgs > 0 && x.Args[0].Kind == decode.Rel
	ret := func() {
		t.load(s0, gs(offRBase))
		t.leaRIP(s0, s0, int32(next))
	}
	switch {
	case isLoop(x):
		return false
	case isJcc(x):
		cc := x.Opcode & 15
		if target == next {
			return true
		}
		t.byte(s.flags...)
		if int32(target) > int32(t.goff+g.off) {
			t.exitIf(cc, target)
			return true
		}
		over := t.jcc(cc ^ 1)
		t.poll(target, false)
		t.exit(target)
		t.patchRel32(over, t.pos())
	case x.Op == opRet:
		n := t.word()
		if x.NArgs != 0 {
			n += int32(uint16(x.Imm))
		}
		if n > 127 {
			return false // undo does not hold it
		}
		s.pop(t, n)
		t.indirect(int8(-n))
	case x.Op == opJmp && rel:
		t.backward(target, false)
		t.exit(target)
	case x.Op == opCall && rel:
		s.push(t, ret)
		t.backward(target, false)
		t.exit(target)
	default:
		if a := &x.Args[0]; a.Kind == decode.GPR {
			t.load(s0, slot(a.Reg))
			t.movWord(s1, s0)
		} else {
			s.operand(t, t.refOf(g), t.word(), false)
			t.loadWord(s1, mem{base: s1, index: s2})
		}
		if x.Op == opJmp {
			t.indirect(0)
			return true
		}
		t.store(gs(offTmp), s1)
		s.push(t, ret)
		t.load(s1, gs(offTmp))
		t.indirect(int8(t.word()))
	}
	return true
}
