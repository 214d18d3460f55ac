package bench

import (
	asm "github.com/twitchyliquid64/golang-asm"
	"github.com/twitchyliquid64/golang-asm/obj"
	"github.com/twitchyliquid64/golang-asm/obj/x86"
)

// program is guest code under construction. Operands are in Go's order: source
// first.
type program struct{ b *asm.Builder }

func newProgram() *program {
	b, err := asm.NewBuilder("amd64", 64)
	if err != nil {
		panic(err) // the architecture is a constant
	}
	return &program{b}
}

func (p *program) op(as obj.As, from, to obj.Addr) {
	i := p.b.NewProg()
	i.As, i.From, i.To = as, from, to
	p.b.AddInstruction(i)
}

// label marks a place for jumps.
func (p *program) label() *obj.Prog {
	i := p.b.NewProg()
	i.As = obj.ANOP
	p.b.AddInstruction(i)
	return i
}

func (p *program) jump(as obj.As, to *obj.Prog) {
	i := p.b.NewProg()
	i.As = as
	i.To.Type = obj.TYPE_BRANCH
	i.To.Val = to
	p.b.AddInstruction(i)
}

// bytes puts in what the assembler has no name for.
func (p *program) bytes(code ...byte) {
	for _, c := range code {
		p.op(x86.ABYTE, imm(int64(c)), none)
	}
}

func (p *program) assemble() []byte { return p.b.Assemble() }

var none = obj.Addr{}

func reg(r int16) obj.Addr { return obj.Addr{Type: obj.TYPE_REG, Reg: r} }

func imm(v int64) obj.Addr { return obj.Addr{Type: obj.TYPE_CONST, Offset: v} }

func mem(base int16, off int64) obj.Addr {
	return obj.Addr{Type: obj.TYPE_MEM, Reg: base, Offset: off}
}

func memx(base, index, scale int16) obj.Addr {
	return obj.Addr{Type: obj.TYPE_MEM, Reg: base, Index: index, Scale: scale}
}
