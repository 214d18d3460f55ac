package jit

import (
	"testing"

	"hotblock/x86"
	"hotblock/x86/decode"
)

// popfLoop changes flags of its choice by POPF, and notes what has become of them.
var popfLoop = []byte{
	0x9c,                   // top: pushf
	0x48, 0x31, 0x3c, 0x24, // xor [rsp], rdi
	0x4d, 0x8d, 0x5b, 0x01, // lea r11, [r11+1], and some more uses of it
	0x4d, 0x01, 0xdb, 0x4d, 0x01, 0xdb, 0x4d, 0x01, 0xdb, 0x4d, 0x01, 0xdb, 0x4d, 0x01, 0xdb,
	0x9d,       // popf
	0x9c, 0x5e, // pushf; pop rsi
	0x8d, 0x49, 0xff, // lea ecx, [rcx-1]
	0xe3, 0x02, // jrcxz out
	0xeb, 0xde, // jmp top
	0xcc, // out: int3
}

// Of POPF only what is rare is the interpreter's, and its result is that of the
// interpreter for all flags.
func TestPopfIsTranslated(t *testing.T) {
	const turns = 40
	var guests [2]*guest
	for i, cfg := range []*Config{nil, engineConfig(1, 4<<20)} {
		g := newGuest(t, cfg)
		g.mapPage(progCode, guestCode|7)
		for i := uint64(0); i < 2; i++ {
			g.mapPage(progStack+i*pageSize, physStack+i*pageSize|7)
		}
		copy(g.ram.Bytes[guestCode:], popfLoop)
		guests[i] = g
	}
	run := func(g *guest, cpl uint8, flags, change uint64) trap {
		s := g.base
		guestMode{cpl: cpl}.segments(&s, 0, 0)
		s.RIP, s.R[x86.RSP], s.R[x86.RDI], s.R[x86.RCX], s.R[x86.R11] = progCode, progStack+pageSize, change, turns, 0
		return g.run(&s, flags)
	}
	popf := decode.MustOp("popf")
	for _, c := range []struct {
		cpl           uint8
		flags, change uint64
		translated    bool
	}{
		{3, 0x202, 0, true},
		{3, 0x202, arith, true},
		{3, 0x202 | arith, x86.FlagCF | x86.FlagOF, true},
		{3, 0x202, x86.FlagIOPL | x86.FlagVIF | x86.FlagVM, true}, // which stay
		{3, 0x3202, x86.FlagIOPL | arith, true},
		{3, 0x202, x86.FlagIF, false}, // which stays, too
		{3, 0x3202, x86.FlagIF, false},
		{3, 0x202, x86.FlagDF, false},
		{3, 0x202, x86.FlagNT, false},
		{3, 0x202, x86.FlagAC, false},
		{3, 0x202, x86.FlagID, false},
		{0, 0x202, arith, true},
		{0, 0x202, x86.FlagIF, true},
		{0, 0x202, x86.FlagIOPL, false},
	} {
		want := run(guests[0], c.cpl, c.flags, c.change)
		guests[1].eng.stats.Callouts[popf] = 0
		got := run(guests[1], c.cpl, c.flags, c.change)
		if got.vec != x86.ExcBP || got.vec != want.vec || got.flags != want.flags || guests[0].cpu.R != guests[1].cpu.R {
			t.Errorf("CPL %d, flags %#x, change %#x: %v, the interpreter has %v; RSI %#x and %#x", c.cpl, c.flags, c.change, &got, &want, guests[1].cpu.R[x86.RSI], guests[0].cpu.R[x86.RSI])
		}
		if n := guests[1].eng.stats.Callouts[popf]; c.translated != (n == 0) {
			t.Errorf("CPL %d, flags %#x, change %#x: the interpreter ran POPF %d times", c.cpl, c.flags, c.change, n)
		}
	}
}
