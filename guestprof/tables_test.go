package guestprof

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hotblock/mmu"
	"hotblock/x86"
)

var le = binary.LittleEndian

// kallsymsLayout is how a kernel version lays its tables out.
type kallsymsLayout struct {
	name     string
	late     bool // since 6.4: addresses behind the tokens
	seqs     bool // 6.2 on: a table by name
	absolute bool // up to 6.14: per-CPU variables are not negative
	compress bool
}

var kallsymsLayouts = []kallsymsLayout{
	{"5.10 and 6.1", false, false, true, true},
	{"6.2", false, true, true, true},
	{"6.4", true, true, true, true},
	{"6.15", true, true, false, false},
}

const testBase uint64 = 0xffffffff93000000

// testSymbols are names and addresses in a kernel of which the first few are per-CPU.
func testSymbols(absolute bool) (names []string, addrs []uint64) {
	for i := range 3000 {
		name := fmt.Sprintf("tsym_%d_%s", i, strings.Repeat("x", i%200))
		addr := testBase + uint64(16*i)
		if absolute && i < 40 {
			name, addr = fmt.Sprintf("Apcpu_%d", i), uint64(8*i)
		}
		names, addrs = append(names, name), append(addrs, addr)
	}
	names[100] = "T_text"
	return names, addrs
}

// makeKallsyms writes the tables as scripts/kallsyms.c of a kernel does, between other
// data.
func makeKallsyms(l kallsymsLayout) []byte {
	names, addrs := testSymbols(l.absolute)
	var tokens [256]string
	for i := range tokens {
		tokens[i] = "\x01"
		if i > ' ' && i < 0x7f {
			tokens[i] = string(rune(i))
		}
	}
	if l.compress {
		tokens[1], tokens[200] = "tsym_", "xxxx"
	}
	b := slices.Repeat([]byte("data 0\x001\x00\x00\x00\x00\x00"), 100)
	align := func() {
		for len(b)%8 != 0 {
			b = append(b, 0)
		}
	}
	var offsets, nameTable, markers []byte
	for i, name := range names {
		if i%256 == 0 {
			markers = le.AppendUint32(markers, uint32(len(nameTable)))
		}
		if l.compress {
			name = strings.ReplaceAll(strings.ReplaceAll(name, "tsym_", "\x01"), "xxxx", "\xc8")
		}
		if len(name) < 128 {
			nameTable = append(nameTable, byte(len(name)))
		} else {
			nameTable = append(nameTable, byte(len(name))|0x80, byte(len(name)>>7))
		}
		nameTable = append(nameTable, name...)
		off := uint32(addrs[i] - testBase)
		if l.absolute {
			off = uint32(addrs[i])
			if addrs[i] >= testBase {
				off = uint32(testBase - 1 - addrs[i])
			}
		}
		offsets = le.AppendUint32(offsets, off)
	}
	address := func() {
		align()
		b = append(b, offsets...)
		align()
		b = le.AppendUint64(b, testBase)
	}
	if !l.late {
		address()
	}
	align()
	b = le.AppendUint32(b, uint32(len(names)))
	align()
	b = append(b, nameTable...)
	align()
	b = append(b, markers...)
	if l.seqs && !l.late {
		align()
		b = append(b, make([]byte, 3*len(names))...)
	}
	align()
	var index []byte
	at := 0
	for _, t := range tokens {
		index = le.AppendUint16(index, uint16(at))
		b = append(append(b, t...), 0)
		at += len(t) + 1
	}
	align()
	b = append(b, index...)
	if l.late {
		address()
		b = append(b, make([]byte, 3*len(names))...)
	}
	return append(b, make([]byte, 100)...)
}

// TestKallsymsLayouts finds the tables of every version's layout.
func TestKallsymsLayouts(t *testing.T) {
	for _, l := range kallsymsLayouts {
		t.Run(l.name, func(t *testing.T) {
			s := findKallsyms(makeKallsyms(l))
			if s == nil {
				t.Fatal("not found")
			}
			names, addrs := testSymbols(l.absolute)
			if len(s.addr) != len(names) {
				t.Fatalf("%d symbols, want %d", len(s.addr), len(names))
			}
			for i := range names {
				if got := s.nameOf(i); got != names[i][1:] || s.addr[i] != addrs[i] {
					t.Fatalf("symbol %d is %s at %#x, want %s at %#x", i, got, s.addr[i], names[i][1:], addrs[i])
				}
			}
			if name, start, ok := s.lookup(addrs[500] + 3); !ok || name != names[500][1:] || start != addrs[500] {
				t.Errorf("lookup: %s, %#x", name, start)
			}
			if v, ok := s.value("_text"); !ok || v != addrs[100] {
				t.Errorf("_text is %#x", v)
			}
		})
	}
}

// corrupt changes some bytes.
func corrupt(r *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + r.IntN(8) {
		i := r.IntN(len(b))
		switch r.IntN(3) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b[i] ^= 1 << r.IntN(8)
		default:
			for k := i; k < min(i+8, len(b)); k++ {
				b[k] = 0xff
			}
		}
	}
	return b[:len(b)-r.IntN(2)*r.IntN(len(b))]
}

// TestHostileKallsyms gives tables with errors: a find has to be consistent.
func TestHostileKallsyms(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, l := range kallsymsLayouts {
		good := makeKallsyms(l)
		for range 60 {
			s := findKallsyms(corrupt(r, good))
			if s == nil {
				continue
			}
			for i := range s.addr {
				if n := s.nameOf(i); len(n) > maxSymName {
					t.Fatalf("a name of %d bytes", len(n))
				}
			}
		}
	}
}

func FuzzKallsyms(f *testing.F) {
	for _, l := range kallsymsLayouts {
		f.Add(makeKallsyms(l))
	}
	f.Add([]byte(tokenDigits))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := findKallsyms(b); s != nil {
			s.lookup(testBase)
			s.value("_text")
		}
	})
}

// btfMaker puts type information together.
type btfMaker struct{ types, strs []byte }

func (m *btfMaker) str(s string) uint32 {
	if m.strs == nil {
		m.strs = []byte{0}
	}
	if s == "" {
		return 0
	}
	n := len(m.strs)
	m.strs = append(append(m.strs, s...), 0)
	return uint32(n)
}

func (m *btfMaker) add(name string, kind, n int, flag bool, size uint32, rest ...uint32) {
	info := uint32(kind)<<24 | uint32(n)
	if flag {
		info |= 1 << 31
	}
	for _, w := range append([]uint32{m.str(name), info, size}, rest...) {
		m.types = le.AppendUint32(m.types, w)
	}
}

func (m *btfMaker) bytes() []byte {
	b := le.AppendUint16(nil, btfMagic)
	b = append(b, 1, 0)
	for _, w := range []int{btfHeader, 0, len(m.types), len(m.types), len(m.strs)} {
		b = le.AppendUint32(b, uint32(w))
	}
	return append(append(b, m.types...), m.strs...)
}

// testBTF has a structure with a member in an anonymous union, a bit field, and a
// member of a named structure behind a typedef.
func testBTF() []byte {
	m := &btfMaker{}
	m.add("int", 1, 0, false, 4, 32)                                                                 // 1
	m.add("inner", kindStruct, 2, false, 16, m.str("a"), 1, 0, m.str("b"), 1, 64)                    // 2
	m.add("inner_t", kindTypedef, 0, false, 2)                                                       // 3
	m.add("", kindUnion, 2, false, 8, m.str("u1"), 1, 0, m.str("u2"), 1, 32)                         // 4
	m.add("", kindArray, 0, false, 0, 2, 1, 7)                                                       // 5
	m.add("outer", kindStruct, 5, true, 64, m.str("x"), 1, 0, 0, 4, 64, m.str("flag"), 1, 3<<24|131, // 6
		m.str("in"), 3, 192, m.str("list"), 5, 320)
	m.add("loop", kindTypedef, 0, false, 7) // 7: its own
	return m.bytes()
}

func TestBTF(t *testing.T) {
	b := parseBTF(testBTF())
	if b == nil {
		t.Fatal("not parsed")
	}
	if f := b.member("outer", "u2"); !f.ok || f.off != 12 {
		t.Errorf("u2: %+v", f)
	}
	if f := b.member("outer", "flag"); !f.ok || f.bit != 131 || f.bits != 3 || f.off != 16 {
		t.Errorf("flag: %+v", f)
	}
	if f := b.in(b.member("outer", "in"), "b"); !f.ok || f.off != 32 {
		t.Errorf("in.b: %+v", f)
	}
	if f := b.member("outer", "none"); f.ok {
		t.Errorf("a member that is not there: %+v", f)
	}
	if n := b.sizeOf("outer"); n != 64 {
		t.Errorf("size %d", n)
	}
	if e, n, ok := b.array(b.member("outer", "list").typ); !ok || n != 7 || b.sizeOfType(e) != 16 {
		t.Errorf("array of %d of %d", n, e)
	}
	if b.plain(7) != 0 {
		t.Error("a type that is its own has an end")
	}
}

func FuzzBTF(f *testing.F) {
	good := testBTF()
	f.Add(good)
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		f.Add(corrupt(r, good))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bt := parseBTF(b)
		if bt == nil {
			return
		}
		for name := range bt.structs {
			for _, m := range []string{"a", "u2", "flag", "list"} {
				x := bt.member(name, m)
				bt.in(x, "b")
				bt.array(x.typ)
				bt.sizeOfType(x.typ)
			}
		}
		k := &kernel{btf: bt, syms: &symtab{}}
		k.findLayout()
	})
}

// orcTables makes tables of the two layouts for code of 16 bytes a function.
func orcTables(entries ...[3]int) (ips, orc []byte) {
	for i, e := range entries {
		ips = le.AppendUint32(ips, uint32(16*i)-uint32(4*i)+0x1000)
		orc = le.AppendUint16(orc, uint16(e[0]))
		orc = le.AppendUint16(orc, uint16(e[1]))
		orc = le.AppendUint16(orc, uint16(e[2]))
	}
	return ips, orc
}

func TestORC(t *testing.T) {
	const base = 0xffffffff81000000
	ips, orc := orcTables([3]int{8, -16, orcSP | orcPrevSP<<4 | 2<<8}, [3]int{0, 0, orcSP | 3<<8}, [3]int{0, 0, 1 << 8}, [3]int{})
	o := newORC(ips, orc, base, base+0x1000+64, nil)
	for i, want := range []orcEntry{{8, -16, orcSP, orcPrevSP, orcCall}, {0, 0, orcSP, 0, orcRegs}, {0, 0, 0, 0, orcEnd}, {0, 0, 0, 0, orcEnd}} {
		for range 2 { // the second from the cache
			if e, ok := o.find(base + 0x1000 + uint64(16*i) + 5); !ok || e != want {
				t.Errorf("entry %d: %+v, %v, want %+v", i, e, ok, want)
			}
		}
	}
	if _, ok := o.find(base + 0xfff); ok {
		t.Error("an address before the code has an entry")
	}
	if _, ok := o.find(base + 0x1000 + 64); ok {
		t.Error("an address behind the code has an entry")
	}
	if newORC(ips, orc[:len(orc)-1], base, base, nil) != nil {
		t.Error("tables of different lengths are taken")
	}
	// The layout up to 6.3 is known by a bit field.
	m := &btfMaker{}
	m.add("int", 1, 0, false, 4, 32)
	m.add("orc_entry", kindStruct, 1, true, 6, m.str("end"), 1, 1<<24|42)
	ips, orc = orcTables([3]int{8, 0, orcSP}, [3]int{0, 0, orcSP | 1<<8}, [3]int{0, 0, 1 << 10})
	o = newORC(ips, orc, base, base+0x1000+48, parseBTF(m.bytes()))
	for i, want := range []uint8{orcCall, orcRegs, orcEnd} {
		if e, _ := o.find(base + 0x1000 + uint64(16*i)); e.kind != want {
			t.Errorf("old entry %d: %+v, want kind %d", i, e, want)
		}
	}
}

// testView is memory of the given bytes at an address, without paging.
func testView(t testing.TB, at uint64, b []byte) *view {
	t.Helper()
	blk, err := mmu.NewBlock("test", uint64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	copy(blk.Bytes, b)
	m := &mmu.Memory{}
	m.Map(mmu.Region{Name: "test", Base: at, Size: uint64(len(blk.Bytes)), Kind: mmu.RAM, Blk: blk})
	v := &view{}
	v.set(m, mmu.Paging{})
	return v
}

// TestUnwindKernel goes through a call, an interrupt in the kernel, and a system
// call's registers to a program.
func TestUnwindKernel(t *testing.T) {
	const base, stack = 0xffffffff81000000, 0xffff888000000000
	code := func(i int) uint64 { return base + uint64(0x1000+16*i+5) }
	ips, orc := orcTables([3]int{24, -16, orcSP | orcPrevSP<<4 | 2<<8}, // 0: 16 bytes of its own, RBP saved
		[3]int{0, 0, orcSP | 3<<8},            // 1: registers at SP
		[3]int{8, 0, orcBP | orcBP<<4 | 2<<8}) // 2: by RBP
	o := newORC(ips, orc, base, base+0x1000+48, nil)
	mem := make([]byte, 8192)
	put := func(off int, v uint64) { le.PutUint64(mem[off:], v) }
	put(8, stack+0x700)     // RBP of function 0's caller, as bpOff says
	put(16, code(1)+1)      // return address
	regs := 24              // registers of the interrupt
	put(regs+ptIP, code(2)) // in function 2
	put(regs+ptCS, 0x10)
	put(regs+ptSP, stack+0x300)
	put(regs+ptBP, stack+0x400)
	put(0x400, code(1)+1) // its return address
	put(0x408+ptIP, 0x401234)
	put(0x408+ptCS, 0x33)
	put(0x408+ptSP, 0x7ffe0000)
	put(0x408+ptBP, 0x7ffe1000)
	v := testView(t, stack, mem)
	var r [16]uint64
	r[x86.RSP], r[x86.RBP] = stack, 1
	pcs, user := unwindKernel(v, func(uint64) *orcTable { return o }, code(0), &r, nil)
	if want := []uint64{code(0), code(1), code(2), code(1)}; !slices.Equal(pcs, want) {
		t.Errorf("got %x, want %x", pcs, want)
	}
	if want := (userRegs{0x401234, 0x7ffe0000, 0x7ffe1000, true}); user != want {
		t.Errorf("program at %+v, want %+v", user, want)
	}
}

// TestUnwindHostile unwinds stacks of random words that point at each other.
func TestUnwindHostile(t *testing.T) {
	const base, stack = 0xffffffff81000000, 0xffff888000000000
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var entries [][3]int
		for range 64 {
			entries = append(entries, [3]int{int(r.Uint32N(256)) * 8, int(r.Uint32N(256)) * 8, int(r.Uint32N(1 << 12))})
		}
		ips, orc := orcTables(entries...)
		o := newORC(ips, orc, base, base+0x1000+64*16, nil)
		mem := make([]byte, 8192)
		for i := 0; i < len(mem); i += 8 {
			v := uint64(stack) + uint64(r.Uint32N(1000))*8
			if r.IntN(2) == 0 {
				v = base + 0x1000 + uint64(r.Uint32N(64*16))
			}
			if r.IntN(50) == 0 {
				v = r.Uint64()
			}
			le.PutUint64(mem[i:], v)
		}
		v := testView(t, stack, mem)
		var regs [16]uint64
		for i := range regs {
			regs[i] = stack + uint64(r.Uint32N(1024))*8
		}
		pcs, _ := unwindKernel(v, func(uint64) *orcTable { return o }, base+0x1000, &regs, nil)
		if len(pcs) > maxDepth {
			t.Fatalf("%d frames", len(pcs))
		}
		low := testView(t, 0x10000, mem)
		for i := 0; i < len(mem); i += 8 {
			le.PutUint64(mem[i:], 0x10000+uint64(r.Uint32N(8192)))
		}
		if pcs := unwindUser(low, userRegs{0x10000, 0x10000, 0x10000 + uint64(r.Uint32N(1024))*8, true}, r.IntN(2) == 0, nil); len(pcs) > maxDepth {
			t.Fatalf("%d user frames", len(pcs))
		}
		mapleFind(v, stack+uint64(r.Uint32N(1000))*8, r.Uint64())
		c := &cachedFile{v: v, l: &layout{nodeShift: field{off: 0}, nodeSlots: field{off: 40}, pageStruct: 64}, root: stack + uint64(r.Uint32N(1000))*8, size: 1 << 40}
		c.page(uint64(r.Uint32()))
		k := &kernel{syms: &symtab{}}
		k.path(v, stack+uint64(r.Uint32N(1000))*8)
	}
}

func FuzzELF(f *testing.F) {
	b := make([]byte, 512)
	copy(b, "\x7fELF\x02\x01\x01")
	b[18] = 62
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	le.PutUint32(b[64:], 1)
	le.PutUint64(b[64+32:], 512)
	le.PutUint32(b[120:], 2)
	le.PutUint64(b[120+8:], 200)
	le.PutUint64(b[120+32:], 96)
	for i, w := range []uint64{5, 400, 6, 300, 10, 50, 4, 460} {
		le.PutUint64(b[200+8*i:], w)
	}
	f.Add(b)
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		f.Add(corrupt(r, b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := readELF(func(off, size uint64) []byte {
			if off > uint64(len(b)) || size > uint64(len(b))-off {
				return nil
			}
			return slices.Clone(b[off : off+size])
		})
		if e != nil {
			e.syms.lookup(100)
		}
	})
}

// TestSearchIsBounded searches memory that looks like the tables everywhere.
func TestSearchIsBounded(t *testing.T) {
	b := makeKallsyms(kallsymsLayouts[0])
	start := strings.Index(string(b), tokenDigits) - 1000
	fake := make([]byte, 8<<20)
	for i := 0; i < len(fake); i += 16 {
		le.PutUint32(fake[i+4:], 0x20000)
		le.PutUint32(fake[i+8:], 0x300)
	}
	b = append(fake, b[start&^7:]...)
	work := 1 << 20
	if searchKallsyms(b, &work) != nil {
		t.Error("something was found")
	}
	if work > 0 || work < -1<<20 {
		t.Errorf("the search ended with %d steps to go", work)
	}
}
