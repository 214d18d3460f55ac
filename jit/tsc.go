package jit

// RDTSC and RDTSCP.
//
// The guest's time stamp counter follows from the host's by a subtraction, a
// multiplication and an addition (interp.CPU.HostTSC), which LEA and MULX do without
// changing flags. The parameters are brought to the context each time that
// State is, because they change with what the interpreter does: a write of IA32_TSC
// moves the guest's counter, and with CR4.TSD set the context says that it is not
// known, so that the interpreter decides about privilege.
//
// RDTSC does not wait for earlier instructions (SDM volume 2B), neither the guest's
// nor the host's. RDTSCP does.

import (
	"hotblock/internal/hosttsc"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var (
	opRdtsc  = decode.MustOp("rdtsc")
	opRdtscp = decode.MustOp("rdtscp")
)

// tscIn brings to the context how the guest's time stamp counter follows from the
// host's.
func (e *Engine) tscIn() {
	c, x := e.cpu, &e.sh.context
	x.TSCDead = 1
	if c.CR4&x86.CR4TSD != 0 {
		return
	}
	host, guest, mult, ok := c.HostTSC()
	if !ok {
		return
	}
	x.TSCNeg, x.TSCBase, x.TSCMult = -host, guest+c.TSCOffset, mult
	x.TSCDead = 0
}

// canReadTSC reports whether translated code may read the time stamp counter. A
// rehearsal would see another time.
func (t *translator) canReadTSC() bool {
	return t.e.cpu.HostTSC != nil && t.e.cfg.Verify == VerifyOff
}

// rdtscInst is RDTSC and RDTSCP.
func (t *translator) rdtscInst(g *ginst) {
	t.e.readsTSC = true
	t.load32(s0, gs(offTSCDead))
	ok := t.jrcxz()
	t.callout(t.goff + g.off)
	t.here(ok)

	p := g.x.Op == opRdtscp
	switch {
	case p && hosttsc.HasRDTSCP():
		t.byte(0x0f, 0x01, 0xf9) // rdtscp, which changes s0 too
	case p:
		t.byte(0x0f, 0xae, 0xe8) // lfence
		fallthrough
	default:
		t.byte(0x0f, 0x31) // rdtsc
	}
	t.rorx(hRDX, hRDX, 32)
	t.lea(hRDX, mem{base: hRDX, index: hRAX})
	t.load(s0, gs(offTSCNeg))
	t.lea(hRDX, mem{base: hRDX, index: s0})
	t.mulx(s1, s2, gs(offTSCMult))
	t.load(s0, gs(offTSCBase))
	t.lea(s1, mem{base: s1, index: s0})
	t.mov32(hRAX, s1)
	t.rorx(hRDX, s1, 32)
	t.mov32(hRDX, hRDX)
	if p {
		t.load(s0, gs(offState))
		t.load32(hostRCX, based(s0, stateTSCAux))
	}
}
