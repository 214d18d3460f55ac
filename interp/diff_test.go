package interp

// Differential tests: the same instruction from the same state on the host CPU
// and in the interpreter. This file is the harness; it knows how to make
// instructions from the decode tables, registers and memory that suit them, and
// how to compare what comes out. Which instructions, and what is not compared,
// is the business of the tests that use it.
//
// Data pages have the same linear address in the guest as on the host, so that
// pointers need no translation; the pages around them are mapped in neither.

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"testing"
	"time"

	"hotblock/internal/difftest"
	"hotblock/internal/native"
	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var diffTime = flag.Duration("difftime", 0, "how long each differential test runs, in place of a fixed number of cases")

const (
	diffCodeVA = 0x400000
	diffCodePA = 0x20000
	diffDataPA = 0x30000
	diffArith  = x86.FlagsArith | x86.FlagDF
)

// diff is a guest with one CPU in 64-bit mode at CPL 3, ready to run one
// instruction at a time.
type diff struct {
	*difftest.Source
	c     *CPU
	guest []byte // the data pages as the guest has them
	host  []byte // and as the host has them
	code  []byte // the guest's page of code
}

var diffHost, diffHostLow struct {
	buf  []byte
	addr uint64
}

func newDiff(t testing.TB, seed uint64) *diff {
	t.Helper()
	if !native.Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
	if diffHost.buf == nil {
		diffHost.buf, diffHost.addr = native.Alloc(difftest.Size)
	}
	return newDiffAt(t, seed, diffHost.buf, diffHost.addr)
}

// newDiffCompat has the guest in compatibility mode, with flat 32-bit segments.
func newDiffCompat(t testing.TB, seed uint64) *diff {
	t.Helper()
	if !native.Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
	if diffHostLow.buf == nil {
		var err error
		if diffHostLow.buf, diffHostLow.addr, err = allocLow(difftest.Size); err != nil {
			t.Skipf("no memory below 4 GiB: %v", err)
		}
	}
	d := newDiffAt(t, seed, diffHostLow.buf, diffHostLow.addr)
	d.Compat = true
	d.c.Seg[x86.CS].Attr = d.c.Seg[x86.CS].Attr&^x86.SegL | x86.SegD
	d.c.Refresh()
	d.c.recheck = false
	return d
}

func newDiffAt(t testing.TB, seed uint64, host []byte, addr uint64) *diff {
	t.Helper()
	mem := new(mmu.Memory)
	blk, err := mmu.NewBlock("ram", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	mem.Map(mmu.Region{Name: "ram", Size: 1 << 20, Kind: mmu.RAM, Blk: blk})
	model, err := x86.ParseModel("max", Supports)
	if err != nil {
		t.Fatal(err)
	}
	c := New(mem, model)
	c.TSC = func() uint64 { return 0 }
	d := &diff{Source: difftest.New(seed, addr), c: c, host: host,
		guest: blk.Bytes[diffDataPA : diffDataPA+difftest.Size], code: blk.Bytes[diffCodePA : diffCodePA+mmu.PageSize]}
	next := uint64(0x2000)
	mapPage := func(va, pa uint64) {
		table := uint64(0x1000)
		for shift := 39; ; shift -= 9 {
			e := blk.Bytes[table+va>>shift&511*8:]
			if shift == 12 {
				binary.LittleEndian.PutUint64(e, pa|7)
				return
			}
			v := binary.LittleEndian.Uint64(e)
			if v == 0 {
				v = next | 7
				next += mmu.PageSize
				binary.LittleEndian.PutUint64(e, v)
			}
			table = v &^ 0xfff
		}
	}
	mapPage(diffCodeVA, diffCodePA)
	for o := uint64(0); o < difftest.Size; o += mmu.PageSize {
		mapPage(d.Addr+o, diffDataPA+o)
	}
	c.CR0 = x86.CR0PE | x86.CR0PG | x86.CR0WP | x86.CR0NE | x86.CR0MP | x86.CR0ET
	c.CR3 = 0x1000
	c.CR4 = x86.CR4PAE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT | x86.CR4OSXSAVE
	c.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERNXE | x86.EFERSCE
	c.XCR0 = model.XCR0Mask()
	c.CPL = 3
	for i := range c.Seg {
		c.Seg[i] = x86.Segment{Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | x86.SegDPL | x86.SegWritable | x86.SegAccessed | x86.SegD | x86.SegG}
	}
	c.Seg[x86.SS].Sel = 0x2b // as Linux has them
	c.Seg[x86.CS] = x86.Segment{Sel: 0x33, Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | x86.SegDPL | x86.SegCode | x86.SegWritable | x86.SegAccessed | x86.SegL | x86.SegG}
	c.Refresh()
	c.recheck = false
	return d
}

// step runs one instruction in the guest, repeated string instructions to their
// end, and returns the exception vector or -1.
func (d *diff) step() (vec int, code uint32) {
	c := d.c
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(*fault)
			if !ok {
				panic(r)
			}
			c.stepping = false
			vec, code = int(f.vec), f.code
		}
	}()
	for range 100_000 {
		c.step()
		if c.RIP != diffCodeVA {
			break
		}
	}
	return -1, 0
}

// compare runs code, one instruction, from state in with memory d.Data on both
// sides, and returns what differs, or "".
func (d *diff) compare(code []byte, in *native.State, o *difftest.Opts) string {
	copy(d.host, d.Data[:])
	copy(d.guest, d.Data[:])
	host := *in
	r := native.Run(code, &host)

	c := d.c
	if !bytes.Equal(d.code[:len(code)], code) {
		copy(d.code, code)
		c.DropCode()
	}
	copy(c.R[:16], in.GPR[:])
	c.RIP = diffCodeVA
	c.SetRFLAGS(in.RFLAGS&0xcd5 | 0x202)
	c.MXCSR = in.MXCSR
	for i := range c.V {
		c.V[i] = in.YMM[i]
	}
	x := &in.X87
	c.FCW, c.FSW, c.FTW, c.FOP, c.FIP, c.FDP = x.FCW, x.FSW, x.FTW, x.FOP, x.FIP, x.FDP
	top := int(x.FSW >> 11 & 7)
	for i, s := range x.ST {
		c.FPFrac[(top+i)&7], c.FPExp[(top+i)&7] = s.Frac, s.SE
	}
	c.CR2 = 0
	vec, errCode := d.step()

	if o.Skip != nil && o.Skip(code, in, &host, vec, r) {
		return ""
	}
	var out bytes.Buffer
	differ := func(format string, a ...any) { fmt.Fprintf(&out, "\n\t"+format, a...) }
	if vec != r.Vector {
		differ("exception %d, host %d (address %#x)", vec, r.Vector, r.Addr)
	} else if vec == x86.ExcPF {
		if c.CR2 != r.Addr {
			differ("page fault at %#x, host %#x", c.CR2, r.Addr)
		}
		if uint64(errCode)&7 != r.Error&7 {
			differ("page fault code %#x, host %#x", errCode, r.Error)
		}
	} else if vec < 0 && c.RIP != diffCodeVA+uint64(len(code)) {
		differ("RIP +%#x after %d bytes", c.RIP-diffCodeVA, len(code))
	}
	for i := range host.GPR {
		if c.R[i] != host.GPR[i] {
			differ("%s = %#x, host %#x, before %#x", regNames[i], c.R[i], host.GPR[i], in.GPR[i])
		}
	}
	m := diffArith &^ o.Undefined
	if f := c.RFLAGS(); (f^host.RFLAGS)&m != 0 {
		differ("flags %#x, host %#x, before %#x", f&m, host.RFLAGS&m, in.RFLAGS&m)
	}
	if c.MXCSR != host.MXCSR {
		differ("MXCSR = %#x, host %#x, before %#x", c.MXCSR, host.MXCSR, in.MXCSR)
	}
	for i := range host.YMM {
		if c.V[i] != host.YMM[i] {
			differ("YMM%d = %x\n\t\thost %x\n\t\twas  %x", i, c.V[i], host.YMM[i], in.YMM[i])
		}
	}
	if !bytes.Equal(d.guest, d.host) {
		for i := range d.guest {
			if d.guest[i] != d.host[i] {
				e := min(i&^15+32, len(d.guest))
				b := i &^ 15
				differ("memory +%#x = % x\n\t\thost % x\n\t\twas  % x", b, d.guest[b:e], d.host[b:e], d.Data[b:e])
				break
			}
		}
	}
	if o.X87 {
		h := &host.X87
		if c.FSW != h.FSW || c.FCW != h.FCW || c.FTW != h.FTW {
			differ("x87 status %#x control %#x tags %#x, host %#x %#x %#x, before %#x %#x %#x", c.FSW, c.FCW, c.FTW, h.FSW, h.FCW, h.FTW, x.FSW, x.FCW, x.FTW)
		}
		top := int(h.FSW >> 11 & 7)
		for i, s := range h.ST {
			p := (top + i) & 7
			if c.FPFrac[p] != s.Frac || c.FPExp[p] != s.SE {
				differ("R%d = %x:%x, host %x:%x", p, c.FPExp[p], c.FPFrac[p], s.SE, s.Frac)
			}
		}
	}
	if out.Len() == 0 {
		return ""
	}
	var inst decode.Inst
	name := "(undecodable)"
	if decode.Decode(append(append([]byte(nil), code...), make([]byte, 15)...), decode.Mode64, &inst) == nil {
		name = inst.Op.String()
	}
	return fmt.Sprintf("%s [% x]: %s", name, code, out.String())
}

var regNames = [16]string{"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

// sweep compares n random instructions of each encoding that pick takes, each
// from several states.
func (d *diff) sweep(t *testing.T, n int, pick func(e *decode.Encoding) bool, prepare func(x *decode.Inst, st *native.State, o *difftest.Opts) bool) {
	t.Helper()
	start := time.Now()
	bad := map[decode.Op]int{}
	tried := map[decode.Op]int{}
	all := 0
	for first := true; first || *diffTime > 0 && time.Since(start) < *diffTime; first = false {
		for _, e := range decode.Encodings() {
			if !pick(&e) || e.Attr&decode.Not64 != 0 || bad[e.Op] > 2 {
				continue
			}
			for k, fails := 0, 0; k < n && bad[e.Op] < 3; k++ {
				code, x, ok := d.Encode(&e)
				if !ok {
					if fails++; fails > 20*n {
						break
					}
					k--
					continue
				}
				for range 4 {
					st := d.State()
					d.Fill()
					var o difftest.Opts
					if !d.Aim(&x, st) || !prepare(&x, st, &o) {
						break
					}
					if d.Compat && !d.Lower(&x, st) {
						continue
					}
					all++
					tried[e.Op]++
					if msg := d.compare(code, st, &o); msg != "" {
						t.Errorf("seed %d: %s", d.Seed, msg)
						if bad[e.Op]++; bad[e.Op] > 2 {
							break
						}
					}
				}
				if len(bad) > 40 {
					t.Fatal("too many instructions differ")
				}
			}
			if tried[e.Op] == 0 && *diffTime == 0 && !d.Compat {
				t.Errorf("%v (map %s, %02x) was not tried", e.Op, e.Map, e.Opcode)
				tried[e.Op] = 1
			}
		}
	}
	t.Logf("%d cases", all)
}
