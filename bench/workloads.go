package bench

import (
	"github.com/twitchyliquid64/golang-asm/obj"
	"github.com/twitchyliquid64/golang-asm/obj/x86"
)

var (
	ax, bx, cx, dx = reg(x86.REG_AX), reg(x86.REG_BX), reg(x86.REG_CX), reg(x86.REG_DX)
	si, di         = reg(x86.REG_SI), reg(x86.REG_DI)
	r8, r9         = reg(x86.REG_R8), reg(x86.REG_R9)
	r15            = reg(x86.REG_R15)
	x0, x1, x2     = reg(x86.REG_X0), reg(x86.REG_X1), reg(x86.REG_X2)
)

// rounds repeats body R15 times.
func (p *program) rounds(body func()) {
	top := p.label()
	body()
	p.op(x86.ADECQ, none, r15)
	p.jump(x86.AJNE, top)
}

// Workloads are the classes of work, one program each.
var Workloads = []Workload{
	{"integer", "dependent arithmetic on registers: xorshift and multiply-add", func(p *program) {
		p.op(x86.AMOVQ, imm(88172645463325252), ax)
		p.op(x86.AMOVQ, imm(1), bx)
		p.rounds(func() {
			for _, s := range []struct {
				as obj.As
				n  int64
			}{{x86.ASHLQ, 13}, {x86.ASHRQ, 7}, {x86.ASHLQ, 17}} {
				p.op(x86.AMOVQ, ax, cx)
				p.op(s.as, imm(s.n), cx)
				p.op(x86.AXORQ, cx, ax)
			}
			p.op(x86.AADDQ, ax, bx)
			p.op(x86.ASUBQ, imm(3), bx)
			p.op(x86.ALEAQ, memx(x86.REG_BX, x86.REG_CX, 4), dx)
			p.op(x86.AANDL, imm(0xffff), dx)
			p.op(x86.AORQ, dx, bx)
			p.op(x86.ACMPQ, bx, imm(77))
		})
	}},
	{"memory", "loads and stores over 256 KiB, in 4 KiB pages", func(p *program) {
		p.op(x86.AMOVQ, imm(smallPages+dataAt), si)
		p.op(x86.AXORL, bx, bx)
		p.rounds(func() {
			p.op(x86.AMOVQ, memx(x86.REG_SI, x86.REG_BX, 1), ax)
			p.op(x86.AADDQ, imm(1), ax)
			p.op(x86.AMOVQ, ax, memx(x86.REG_SI, x86.REG_BX, 1))
			p.op(x86.AADDL, mem(x86.REG_SI, 64), cx)
			p.op(x86.AMOVBLZX, mem(x86.REG_SI, 7), dx)
			p.op(x86.AADDQ, dx, mem(x86.REG_SI, 128))
			p.op(x86.AADDQ, imm(264), bx)
			p.op(x86.AANDQ, imm(256<<10-8), bx)
		})
	}},
	{"branches", "calls and returns, conditional and indirect jumps", func(p *program) {
		p.op(x86.AXORL, bx, bx)
		p.rounds(func() {
			// The assembler has no calls inside of a function. f, which stands in
			// the middle, adds to RBX and, when that is even, to RCX.
			p.bytes(0xe8, 2, 0, 0, 0) // call f
			p.bytes(0xeb, 14)         // jmp over it
			p.op(x86.AADDQ, imm(1), bx)
			p.bytes(0xf6, 0xc3, 1) // test $1, %bl
			p.bytes(0x75, 4)       // jne to the ret
			p.op(x86.AADDQ, imm(3), cx)
			p.bytes(0xc3)
			p.bytes(0x48, 0x8d, 0x05, 3, 0, 0, 0) // lea 3(%rip), %rax
			p.bytes(0xff, 0xe0, 0xcc)             // jmp *%rax; int3
		})
	}},
	{"string", "REP MOVSB and REP STOSQ of 1 KiB each", func(p *program) {
		p.op(x86.AMOVQ, si, r8)
		p.rounds(func() {
			p.op(x86.AMOVQ, r8, si)
			p.op(x86.ALEAQ, mem(x86.REG_R8, 0x10000), di)
			p.op(x86.AMOVL, imm(1024), cx)
			p.bytes(0xf3, 0xa4)
			p.op(x86.AMOVL, imm(128), cx)
			p.bytes(0xf3, 0x48, 0xab)
		})
	}},
	{"sse", "packed integer and scalar double-precision arithmetic", func(p *program) {
		p.op(x86.AMOVL, imm(3), ax)
		p.op(x86.ACVTSL2SD, ax, x0)
		p.op(x86.ACVTSL2SD, ax, x1)
		p.rounds(func() {
			p.op(x86.AADDSD, x1, x0)
			p.op(x86.AMULSD, x1, x0)
			p.op(x86.ADIVSD, x0, x0)
			p.op(x86.AMOVOU, mem(x86.REG_SI, 0), x2)
			p.op(x86.APADDL, x2, x2)
			p.op(x86.APXOR, x1, x2)
			p.op(x86.AMOVOU, x2, mem(x86.REG_SI, 16))
		})
	}},
	{"x87", "extended-precision arithmetic on the register stack", func(p *program) {
		p.bytes(0xd9, 0xe8, 0xd9, 0xeb) // fld1; fldpi
		p.rounds(func() {
			p.bytes(0xd8, 0xc1) // fadd st1
			p.bytes(0xd8, 0xc9) // fmul st1
			p.bytes(0xdd, 0x16) // fst qword [rsi]
			p.bytes(0xd9, 0xfa) // fsqrt
			p.bytes(0xd8, 0xf1) // fdiv st1
		})
	}},
	{"pagetables", "INVLPG and a new mapping of the page, then a CR3 reload every 64", func(p *program) {
		p.op(x86.AMOVQ, imm(smallPages+dataAt), si)
		p.op(x86.AMOVQ, imm(tables+0x4000+dataAt>>12*8), r9) // its page-table entry
		p.rounds(func() {
			p.op(x86.AMOVQ, mem(x86.REG_R9, 0), ax)
			p.op(x86.AXORQ, imm(0x1000), ax)
			p.op(x86.AMOVQ, ax, mem(x86.REG_R9, 0))
			p.bytes(0x0f, 0x01, 0x3e) // invlpg [rsi]
			p.op(x86.AADDQ, imm(1), mem(x86.REG_SI, 0))
			p.op(x86.ATESTQ, imm(63), r15)
			skip := p.b.NewProg()
			skip.As = obj.ANOP
			p.jump(x86.AJNE, skip)
			p.bytes(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8) // mov cr3 through rax
			p.b.AddInstruction(skip)
		})
	}},
}
