package jit

// LOOP, LOOPE, LOOPNE and JRCXZ with its shorter forms: jumps by RCX, which leave
// the flags alone.

import "hotblock/x86/decode"

var (
	opLoop   = decode.MustOp("loop")
	opLoope  = decode.MustOp("loope")
	opLoopne = decode.MustOp("loopne")
	opJcxz   = decode.MustOp("jcxz")
)

func isLoop(x *decode.Inst) bool {
	return x.Op == opLoop || x.Op == opLoope || x.Op == opLoopne || x.Op == opJcxz
}

// loopInst translates a jump by RCX to a guest offset.
func (t *translator) loopInst(g *ginst, target uint32) {
	x := &g.x
	narrow := x.AddrSize == 4
	lea := t.lea
	if narrow {
		lea = t.lea32
	}
	if x.Op != opJcxz {
		lea(hostRCX, based(hostRCX, -1))
	}
	if narrow {
		t.mov32(s0, hostRCX)
	} else {
		t.mov(s0, hostRCX)
	}
	zero := t.jrcxz()
	var over []int
	switch x.Op {
	case opJcxz:
		over = append(over, t.jmp())
		t.here(zero)
	case opLoope:
		over = append(over, t.jcc(ccNE))
	case opLoopne:
		over = append(over, t.jcc(ccE))
	}
	t.backward(target, true)
	t.exit(target)
	if x.Op != opJcxz {
		t.here(zero)
	}
	for _, at := range over {
		t.patchRel32(at, t.pos())
	}
}
