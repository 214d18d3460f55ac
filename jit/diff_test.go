package jit

// Every encoding that is not the system's, run by the interpreter and as
// translated code from the same state.

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"hotblock/internal/difftest"
	"hotblock/internal/native"
	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var diffTime = flag.Duration("difftime", 0, "how long each differential test runs, in place of a fixed number of cases")

// Linear addresses, all below 2 GiB so that every form of address reaches them.
const (
	diffCode  = 0x400000
	diffPages = 64 // of code
	diffSlot  = 512
	diffData  = 0x10001000 // two pages between two that are absent
)

// diffPair is a guest on the interpreter and one that translates at once.
type diffPair struct {
	*difftest.Source
	mode guestMode
	ref  *guest
	jit  *guest
	slot int
	call bool // the instruction is a CALL

	cases int
}

func newDiffPair(t testing.TB, seed uint64, mode guestMode, cfg Config) *diffPair {
	d := &diffPair{Source: difftest.New(seed, diffData), mode: mode, ref: newGuest(t, nil), jit: newGuest(t, &cfg)}
	d.Mode32 = mode.compat
	for _, g := range []*guest{d.ref, d.jit} {
		for i := uint64(0); i < diffPages; i++ {
			g.mapPage(diffCode+i*mmu.PageSize, guestCode+i*mmu.PageSize|7)
		}
		for o := uint64(0); o < difftest.Size; o += mmu.PageSize {
			g.mapPage(diffData+o, guestData+o|7|1<<63)
		}
	}
	d.slot = -1
	return d
}

// place finds room for the instruction in code and returns its address. All
// around it is INT3.
func (d *diffPair) place() (at uint64) {
	d.slot++
	if d.slot < 0 || d.slot == diffPages*mmu.PageSize/diffSlot || d.slot == 0 {
		d.slot = 0
		for _, g := range []*guest{d.ref, d.jit} {
			code := g.ram.Bytes[guestCode : guestCode+diffPages*mmu.PageSize]
			for i := range code {
				code[i] = 0xcc
			}
			g.cpu.DropCode()
		}
	}
	off := uint64(d.slot)*diffSlot + 160 + d.Uint64N(128)
	if d.IntN(16) == 0 && d.slot%8 == 7 && d.slot/8 != diffPages-1 {
		off = uint64(d.slot+1)*diffSlot - d.Uint64N(14) // up to the page's end, or over it
	}
	return diffCode + off
}

// state makes the CPU's state of what the differential tests use.
func (d *diffPair) state(g *guest, st *native.State, at, fs, gs uint64) x86.State {
	s := g.base
	d.mode.segments(&s, fs, gs)
	copy(s.R[:16], st.GPR[:])
	s.RIP = at
	s.MXCSR = st.MXCSR
	for i := range s.V {
		s.V[i] = st.YMM[i]
	}
	x := &st.X87
	s.FCW, s.FSW, s.FTW, s.FOP, s.FIP, s.FDP = x.FCW, x.FSW, x.FTW, x.FOP, x.FIP, x.FDP
	top := int(x.FSW >> 11 & 7)
	for i, v := range x.ST {
		s.FPFrac[(top+i)&7], s.FPExp[(top+i)&7] = v.Frac, v.SE
	}
	return s
}

// differences compares the guests after a run of each.
func differences(ref, jit *guest, a, b *trap, undefined uint64) string {
	var out bytes.Buffer
	differ := func(format string, args ...any) { fmt.Fprintf(&out, "\n\t"+format, args...) }
	if a.vec != b.vec || a.err != b.err || a.cr2 != b.cr2 {
		differ("interpreter: %v\n\ttranslated: %v", a, b)
	}
	if a.rip != b.rip || a.cs != b.cs {
		differ("RIP %#x, translated %#x", a.rip, b.rip)
	}
	if a.rsp != b.rsp {
		differ("RSP %#x, translated %#x", a.rsp, b.rsp)
	}
	if (a.flags^b.flags)&^undefined != 0 {
		differ("flags %#x, translated %#x", a.flags&^undefined, b.flags&^undefined)
	}
	c, j := ref.cpu, jit.cpu
	for i := range 16 {
		if i != x86.RSP && c.R[i] != j.R[i] {
			differ("%s %#x, translated %#x", regNames[i], c.R[i], j.R[i])
		}
	}
	for i := range c.V {
		if c.V[i] != j.V[i] {
			differ("YMM%d %x\n\t   translated %x", i, c.V[i], j.V[i])
		}
	}
	if c.MXCSR != j.MXCSR {
		differ("MXCSR %#x, translated %#x", c.MXCSR, j.MXCSR)
	}
	if c.FSW != j.FSW || c.FCW != j.FCW || c.FTW != j.FTW || c.FPFrac != j.FPFrac || c.FPExp != j.FPExp {
		differ("x87 status %#x control %#x tags %#x registers %x %x\n\ttranslated  %#x control %#x tags %#x registers %x %x",
			c.FSW, c.FCW, c.FTW, c.FPFrac, c.FPExp, j.FSW, j.FCW, j.FTW, j.FPFrac, j.FPExp)
	}
	if c.CR0 != j.CR0 || c.CR3 != j.CR3 || c.CR4 != j.CR4 || c.KernelGSBase != j.KernelGSBase {
		differ("CR0 %#x CR3 %#x CR4 %#x KernelGSBase %#x, translated %#x %#x %#x %#x", c.CR0, c.CR3, c.CR4, c.KernelGSBase, j.CR0, j.CR3, j.CR4, j.KernelGSBase)
	}
	for i := range c.Seg {
		if c.Seg[i].Base != j.Seg[i].Base || i != x86.CS && i != x86.SS && c.Seg[i] != j.Seg[i] {
			differ("segment %d %+v, translated %+v", i, c.Seg[i], j.Seg[i])
		}
	}
	return out.String()
}

// memoryDiffers says where physical memory from lo to hi differs.
func memoryDiffers(ref, jit *guest, lo, hi int) string {
	a, b := ref.ram.Bytes[lo:hi], jit.ram.Bytes[lo:hi]
	if bytes.Equal(a, b) {
		return ""
	}
	for i := range a {
		if a[i] != b[i] {
			s, e := i&^15, min(i&^15+48, len(a))
			return fmt.Sprintf("\n\tmemory %#x % x\n\t   translated % x", lo+s, a[s:e], b[s:e])
		}
	}
	return ""
}

// compare runs an instruction on both.
func (d *diffPair) compare(code []byte, st *native.State, at, fs, gs uint64, undefined uint64) string {
	var traps [2]trap
	for i, g := range []*guest{d.ref, d.jit} {
		copy(g.ram.Bytes[guestData:], d.Data[:])
		off := guestCode + at - diffCode
		copy(g.ram.Bytes[off:], code)
		s := d.state(g, st, at, fs, gs)
		traps[i] = g.run(&s, st.RFLAGS&0xcd5|0x202)
	}
	d.cases++
	if d.call && traps[0].vec == x86.ExcGP {
		// What a call to an address that is not canonical leaves below RSP is not
		// looked at: translated code has pushed the return address by then.
		if o := traps[0].rsp - 8 - diffData; o <= difftest.Size-8 {
			copy(d.jit.ram.Bytes[guestData+o:][:8], d.ref.ram.Bytes[guestData+o:])
		}
	}
	return differences(d.ref, d.jit, &traps[0], &traps[1], undefined) +
		memoryDiffers(d.ref, d.jit, guestData, guestData+difftest.Size)
}

var (
	opMaskmov = map[string]bool{"maskmovq": true, "maskmovdqu": true, "vmaskmovdqu": true}
	// notHere leave the code under test, or depend on what differs.
	notHere = map[string]bool{"in": true, "out": true, "ins": true, "outs": true, "hlt": true, "rdtsc": true, "rdtscp": true, "rdrand": true, "rdseed": true,
		"fnstenv": true, "fnsave": true}
)

// branchCase makes a near branch lead somewhere.
func (d *diffPair) branchCase(code []byte, x *decode.Inst, st *native.State, at uint64) {
	mask := ^uint64(0)
	if d.mode.compat {
		mask = 0xffffffff
	}
	target := func() uint64 {
		switch d.IntN(12) {
		case 0:
			return 0x00007fffffffffff & mask // the last canonical address, and absent
		case 1:
			return 0x0000800000000000 & mask
		case 2:
			return d.Uint64() & mask
		case 3:
			return diffData + d.Uint64N(difftest.Size)
		case 4:
			return -d.Uint64N(3) & mask
		}
		return (at + 150 + d.Uint64N(150)) & mask
	}
	word := uint64(8)
	if d.mode.compat {
		word = 4
	}
	put := func(b []byte, v uint64) {
		for i := range word {
			b[i] = byte(v >> (8 * i))
		}
	}
	for i := range x.NArgs {
		switch a := &x.Args[i]; a.Kind {
		case decode.Rel:
			if rel := int64(x.Imm); x.ImmLen == 1 && rel < 0 && rel >= -int64(x.Len) && !strings.HasPrefix(x.Op.String(), "loop") {
				code[len(code)-1] = 0x10 // it would go on for ever
			}
			if x.ImmLen == 4 {
				v := target() - at - uint64(len(code))
				for k := range 4 {
					code[len(code)-4+k] = byte(v >> (8 * k))
				}
			}
		case decode.GPR:
			st.GPR[a.Reg] = target()
		case decode.Mem:
			v := target()
			for o := 0; o < len(d.Data); o += int(word) {
				put(d.Data[o:], v)
			}
		}
	}
	if x.Op == opRet {
		if o := st.GPR[x86.RSP] - d.Addr; o < difftest.Size-8 {
			put(d.Data[o:], target())
		}
	}
	if strings.HasPrefix(x.Op.String(), "loop") {
		st.GPR[x86.RCX] = d.Uint64N(3) + 1
	} else if d.IntN(2) == 0 {
		st.GPR[x86.RCX] = d.Uint64N(3)
	}
}

// try makes and compares one instruction from a few states; ok is false where
// chance did not find one that can be run.
func (d *diffPair) try(e *decode.Encoding) (msg string, ok bool) {
	code, x, ok := d.Encode(e)
	if !ok {
		return "", false
	}
	mode := x.Mode
	// Prefixes that Encode does not make.
	var prefix []byte
	if x.HasMem() && d.IntN(6) == 0 {
		prefix = append(prefix, 0x64+byte(d.IntN(2)))
	}
	if x.HasMem() && !d.mode.compat && d.IntN(10) == 0 {
		prefix = append(prefix, 0x67)
	}
	if len(prefix) != 0 {
		longer := append(append([]byte(nil), prefix...), code...)
		var y decode.Inst
		if decode.Decode(append(longer, make([]byte, 15)...), mode, &y) == nil && y.Op == x.Op && int(y.Len) == len(longer) {
			code, x = longer, y
		}
	}
	eff := x.Effects()
	name := x.Op.String()
	if notHere[name] || opMaskmov[name] || d.mode.cpl == 0 && eff.Class == decode.ClassSystem {
		return "", false
	}
	d.call = x.Op == opCall
	at := d.place()
	st := d.State()
	d.Fill()
	if d.mode.compat {
		for i := range st.GPR {
			st.GPR[i] &= 0xffffffff
		}
	}
	var bases [2]uint64
	if d.IntN(2) == 0 {
		bases = [2]uint64{d.Uint64N(1 << 24), d.Uint64N(1 << 24)}
	}
	segBase := uint64(0)
	if x.Seg >= x86.FS {
		segBase = bases[x.Seg-x86.FS]
	}
	var o difftest.Opts
	if x.HasMem() && eff.Mem != decode.AccessAddress {
		if x.VIndex.Kind != decode.None {
			if !d.Aim(&x, st) {
				return "", false
			}
		} else if !d.Place(code, &x, st, at, d.Target(uint64(max(eff.MemSize, 1))), segBase) {
			return "", false
		}
		if decode.Decode(append(append([]byte(nil), code...), make([]byte, 15)...), mode, &x) != nil {
			return "", false
		}
	}
	switch {
	case eff.X87 && !eff.Vector:
		if !d.X87Case(&x, st, &o) {
			return "", false
		}
	case eff.Vector || eff.X87:
		if !d.VectorCase(&x, st, &o) {
			return "", false
		}
	default:
		if eff.Class == decode.ClassBranch {
			d.branchCase(code, &x, st, at)
		} else if !d.IntegerCase(&x, st, &o) {
			return "", false
		}
	}
	if d.mode.compat {
		for i := range st.GPR {
			st.GPR[i] &= 0xffffffff
		}
	}
	if strings.HasPrefix(name, "sha") && x.HasMem() {
		// Intel's processors want the operand aligned, as the SDM says, AMD's do not.
		for i := range st.GPR {
			if x.Base == uint8(i) && x.Index == decode.NoReg {
				st.GPR[i] -= (st.GPR[i] + uint64(x.Disp) + segBase) & 15
			}
		}
		if x.Base >= decode.NoReg || x.Index != decode.NoReg {
			return "", false
		}
	}
	// An instruction that is run again by the interpreter may find the flags that
	// it is to overwrite overwritten already.
	undefined := o.Undefined | uint64(eff.FlagsUndefined)
	for range 3 {
		if msg = d.compare(code, st, at, bases[0], bases[1], undefined); msg != "" {
			if v := d.ref.last.vec; v != 3 && v != 1 {
				undefined |= uint64(eff.FlagsWritten | eff.FlagsMaybe)
				if msg = d.compare(code, st, at, bases[0], bases[1], undefined); msg == "" {
					continue
				}
			}
			return fmt.Sprintf("%s [% x] at %#x, %+v: %s", name, code, at, eff, msg), true
		}
		// The same code, which is translated now, from another state.
		for i := range st.GPR {
			if eff.GPRRead>>i&1 == 0 {
				st.GPR[i] = d.GPR()
				if d.mode.compat {
					st.GPR[i] &= 0xffffffff
				}
			}
		}
		if eff.GPRRead>>x86.RSP&1 == 0 {
			st.GPR[x86.RSP] = diffData + difftest.Size/2
		}
		st.RFLAGS = st.RFLAGS&x86.FlagDF | d.Uint64()&x86.FlagsArith
	}
	return "", true
}

// sweep tries n instructions of each encoding.
func (d *diffPair) sweep(t *testing.T, n int) {
	bad := map[decode.Op]int{}
	start := time.Now()
	tried := 0
	for first := true; first || time.Since(start) < *diffTime; first = false {
		for _, e := range decode.Encodings() {
			wrong := decode.Not64
			if d.mode.compat {
				wrong = decode.Only64
			}
			if e.Attr&wrong != 0 {
				continue
			}
			for k, fails := 0, 0; k < n && bad[e.Op] < 3; k++ {
				msg, ok := d.try(&e)
				if !ok {
					if fails++; fails > 8*n {
						break
					}
					k--
					continue
				}
				tried++
				if msg != "" {
					t.Errorf("seed %d: %s", d.Seed, msg)
					bad[e.Op]++
				}
			}
			if len(bad) > 30 {
				t.Fatal("too many instructions differ")
			}
		}
	}
	s := d.jit.eng.Stats()
	t.Logf("%d cases, %d regions, %d entries, %d left for the interpreter, %d faults", d.cases, s.Regions, s.Entries, s.Exits[siteCallout], s.Exits[reasonFault])
	if s.Regions < uint64(tried)/8 {
		t.Errorf("only %d regions were translated for %d instructions", s.Regions, tried)
	}
}

func diffConfig() Config {
	cfg := DefaultConfig
	cfg.Threshold, cfg.CacheSize = 1, 4<<20
	return cfg
}

// TestDiff64 compares all encodings in 64-bit mode at CPL 3.
func TestDiff64(t *testing.T) { newDiffPair(t, 1, guestMode{cpl: 3}, diffConfig()).sweep(t, 10) }

// TestDiffSupervisor compares them at CPL 0.
func TestDiffSupervisor(t *testing.T) {
	newDiffPair(t, 2, guestMode{}, diffConfig()).sweep(t, 3)
}

// TestDiff32 compares them in compatibility mode, where instructions mean what
// they do in 32-bit mode.
func TestDiff32(t *testing.T) {
	newDiffPair(t, 3, guestMode{cpl: 3, compat: true}, diffConfig()).sweep(t, 6)
}
