package interp

// Tests of what the CPU keeps beside the architecture: lazy flags, TLBs, requests
// from other goroutines, bounds; and of system state that no instruction of user
// code shows.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"hotblock/mmu"
	"hotblock/x86"
)

// stopPort is a port of a small guest that stops the CPU.
const stopPort = 0xf4

// small is a CPU with 4 MiB of memory, one port, and nothing else.
type small struct {
	*CPU
	ram []byte
	out []uint32 // what was written to ports other than stopPort
}

func (s *small) In(uint16, int) uint32 { return 0xffffffff }

func (s *small) Out(port uint16, size int, v uint32) {
	if port == stopPort {
		s.Stop()
		return
	}
	s.out = append(s.out, v)
}

const smallCode = 0x7c00

// newSmall has a CPU in real mode, about to run code at 0:7c00 with a stack
// below it.
func newSmall(t testing.TB, cpu string, code ...byte) *small {
	t.Helper()
	blk, err := mmu.NewBlock("RAM", 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(blk.Free)
	mem := new(mmu.Memory)
	mem.Map(mmu.Region{Name: "RAM", Size: 4 << 20, Blk: blk})
	model, err := x86.ParseModel(cpu, Supports)
	if err != nil {
		t.Fatal(err)
	}
	s := &small{CPU: New(mem, model), ram: blk.Bytes}
	s.Ports = s
	s.TSC = func() uint64 { return 0 }
	s.setSeg(x86.CS, x86.Segment{Limit: 0xffff, Attr: 0x9b})
	s.RIP, s.R[x86.RSP] = smallCode, smallCode
	copy(s.ram[smallCode:], code)
	s.Refresh()
	return s
}

// protect puts the CPU into flat 32-bit protected mode at a privilege level, with
// paging by the directory at 0x1000 if it is not empty.
func (s *small) protect(cpl uint8) {
	flat := func(attr uint16, sel uint16) x86.Segment {
		return x86.Segment{Sel: sel | uint16(cpl), Limit: 0xffffffff, Attr: attr | uint16(cpl)<<5 | x86.SegG | x86.SegD}
	}
	for i := range s.Seg {
		s.Seg[i] = flat(0x93, 16)
	}
	s.Seg[x86.CS] = flat(0x9b, 8)
	s.CPL = cpl
	s.CR0 = x86.CR0PE | x86.CR0ET | x86.CR0NE
	s.CR3 = 0x1000
	if s.ram[0x1000] != 0 {
		s.CR0 |= x86.CR0PG
	}
	s.CR4 = x86.CR4PSE
	s.Refresh()
}

// long64 puts the CPU into 64-bit mode at level 0, all memory mapped to itself.
func (s *small) long64() {
	for i, e := range []uint64{0x2003, 0x3003, 0x83, 0x200083} {
		at := []int{0x1000, 0x2000, 0x3000, 0x3008}[i]
		binary.LittleEndian.PutUint64(s.ram[at:], e)
	}
	s.protect(0)
	s.Seg[x86.CS].Attr = 0x9b | x86.SegL | x86.SegG
	s.CR0 |= x86.CR0PG
	s.CR4 = x86.CR4PAE
	s.EFER = x86.EFERLME | x86.EFERLMA
	s.Refresh()
}

// faultOf runs f and returns the exception that it raises, or -1.
func (s *small) faultOf(f func()) (vec int) {
	defer func() {
		if r := recover(); r != nil {
			vec = int(r.(*fault).vec)
		}
	}()
	f()
	return -1
}

// TestLazyFlags compares all flags and conditions, for every kind of operation
// and size, with what the manual says of the operation.
func TestLazyFlags(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := &CPU{}
	for n := range 200000 {
		size := uint8(1) << r.IntN(4)
		mask := sizeMask(size)
		msb := 8*uint(size) - 1
		pick := func() uint64 {
			switch r.IntN(4) {
			case 0:
				return r.Uint64() & 3 & mask
			case 1:
				return (1<<msb - 2 + uint64(r.IntN(5))) & mask
			case 2:
				return -uint64(r.IntN(4)) & mask
			}
			return r.Uint64() & mask
		}
		a, b, cin := pick(), pick(), r.Uint64()&1
		kind := uint8(r.IntN(12)) << 2
		var res, src uint64
		var cf, of, af bool
		sign := func(v uint64) bool { return v>>msb&1 != 0 }
		sx := func(v uint64) int64 { return int64(v<<(63-msb)) >> (63 - msb) }
		add := func(b, cin uint64) {
			res = (a + b + cin) & mask
			lo, carry := bits.Add64(a, b, cin)
			cf = carry != 0 || lo > mask
			of = sign(a) == sign(b) && sign(a) != sign(res)
			af = a&15+b&15+cin > 15
			src = b
		}
		sub := func(b, cin uint64) {
			res = (a - b - cin) & mask
			_, borrow := bits.Sub64(a, b, cin)
			cf = borrow != 0
			of = sign(a) != sign(b) && sign(a) != sign(res)
			af = a&15 < b&15+cin
			src = b
		}
		switch kind {
		case ccFlags:
			src = r.Uint64() & x86.FlagsArith
		case ccAdd:
			add(b, 0)
		case ccAdc:
			add(b, cin)
		case ccSub:
			sub(b, 0)
		case ccSbb:
			sub(b, cin)
		case ccLogic:
			res, src = a&b, r.Uint64()
		case ccInc:
			add(1, 0)
			cf, src = cin != 0, cin
		case ccDec:
			sub(1, 0)
			cf, src = cin != 0, cin
		case ccShl:
			res, src = a<<1&mask, a
			cf = sign(a)
			of = sign(res) != cf
		case ccShr:
			src, cf = a, a&1 != 0
			if cin != 0 {
				res, of = a>>1, sign(a)
			} else {
				res = uint64(sx(a)>>1) & mask
			}
		case ccBlsr:
			res, src, cf = a&(a-1), cin, cin != 0
		case ccMul:
			res, src, cf, of = a, cin, cin != 0, cin != 0
		}
		want := b2u(cf) | b2u(bits.OnesCount8(uint8(res))&1 == 0)<<2 | b2u(af)<<4 | b2u(res == 0)<<6 | b2u(sign(res))<<7 | b2u(of)<<11
		if kind == ccFlags {
			want = src
		}
		c.setCC(kind, size, res, src)
		c.CCAux = cin
		if got := c.flags(); got != want {
			t.Fatalf("case %d: kind %d, %d bytes, %#x, %#x, carry %d: flags %#x, want %#x", n, kind>>2, size, a, b, cin, got, want)
		}
		flag := func(i int) bool { return want>>i&1 != 0 }
		for cc, v := range []bool{flag(11), flag(0), flag(6), flag(0) || flag(6), flag(7), flag(2), flag(7) != flag(11), flag(6) || flag(7) != flag(11)} {
			if c.cond(uint8(2*cc)) != v || c.cond(uint8(2*cc+1)) == v {
				t.Fatalf("case %d: kind %d, %d bytes, %#x, %#x, carry %d: condition %s is not %v", n, kind>>2, size, a, b, cin, ccNames[2*cc], v)
			}
		}
		// Flags taken out and put back are the same.
		c.setFlags(c.flags())
		if got := c.flags(); got != want {
			t.Fatalf("case %d: flags %#x after setFlags, want %#x", n, got, want)
		}
	}
}

// TestTLBInvalidMatchesNothing checks that the tag of an empty entry is hit by no
// address that selects the entry.
func TestTLBInvalidMatchesNothing(t *testing.T) {
	s := new(tlbSet)
	s.init()
	r := rand.New(rand.NewPCG(1, 3))
	for i := range uint64(tlbSize) {
		for range 100 {
			va := r.Uint64()>>r.IntN(64)&^((tlbSize-1)<<12) | i<<12
			if _, ok := s.load(va, 1); ok {
				t.Fatalf("entry %d: %#x is read through an empty TLB", i, va)
			}
			if s.store(va, 8, 0) {
				t.Fatalf("entry %d: %#x is written through an empty TLB", i, va)
			}
		}
	}
}

// TestInvalidationFromOutside changes the code that the CPU runs from another
// goroutine. The test ends because the CPU sees it.
func TestInvalidationFromOutside(t *testing.T) {
	s := newSmall(t, "max", 0x40, 0xeb, 0xfd) // inc ax; jmp back
	done := make(chan Exit)
	go func() { done <- s.Run() }()
	s.Mem.Write(smallCode+1, []byte{0xe6, stopPort})
	if e := <-done; e != ExitStop || s.RIP != smallCode+3 {
		t.Errorf("exit %d at %#x", e, s.RIP)
	}
}

// TestBoundChunks decodes code that is written over at once, page after page: few Ops are kept, but they may hold on
// to many more.
func TestBoundChunks(t *testing.T) {
	defer func(n int) { maxLiveOps = n }(maxLiveOps)
	maxLiveOps = 100
	s := newSmall(t, "max")
	s.protect(0)
	most := 0
	for page := range uint64(100) {
		at := (page + 2) << 12
		s.ram[at], s.ram[at+1] = 0x40, 0xf4 // inc ax; hlt
		s.RIP = at
		s.lookup()
		most = max(most, s.chunkedOps)
		s.invalidate(s.Mem.Find(at).Blk, at, 1)
	}
	if s.liveOps != 0 {
		t.Errorf("%d Ops are kept", s.liveOps)
	}
	if most < maxLiveOps || most > 2*maxLiveOps+maxBlock+2 {
		t.Errorf("%d Ops came out of chunks before all was forgotten", most)
	}
}

// TestBoundCode checks that decoded code stays within its bound, and that what
// is forgotten is decoded again.
func TestBoundCode(t *testing.T) {
	defer func(n int) { maxLiveOps = n }(maxLiveOps)
	maxLiveOps = 100
	// 40 times a jump to each of eight blocks of their own.
	code := []byte{0xb9, 40, 0}
	for range 8 {
		for range 20 {
			code = append(code, 0x40) // inc ax
		}
		code = append(code, 0xeb, 0) // jmp to the next
	}
	code = append(code, 0x49)                                       // dec cx
	code = append(code, 0x0f, 0x85)                                 // jnz
	code = binary.LittleEndian.AppendUint16(code, 0x10000-(8*22+5)) // to the first
	code = append(code, 0xe6, stopPort)
	s := newSmall(t, "max", code...)
	s.Run()
	if ax := s.R[x86.RAX]; ax != 40*8*20 {
		t.Errorf("AX is %d, want %d", ax, 40*8*20)
	}
	if s.liveOps > maxLiveOps+maxBlock+2 {
		t.Errorf("%d Ops are kept", s.liveOps)
	}
	if kept, _ := keptOps(s.CPU); kept != s.liveOps {
		t.Errorf("%d Ops are kept, %d are counted", kept, s.liveOps)
	}
	if n := s.Stats().Blocks; n < 20 {
		t.Errorf("%d blocks were decoded: nothing was forgotten", n)
	}
}

// TestMovsAliases is for a bug: REP MOVS between two linear pages that are one
// page of memory copied as if they were two.
func TestMovsAliases(t *testing.T) {
	s := newSmall(t, "max", 0xf3, 0xa4, 0xe6, stopPort) // rep movsb
	// The page table at 0x2000 maps 0x100000 and 0x101000 to one page.
	binary.LittleEndian.PutUint32(s.ram[0x1000:], 0x2007)
	for i := range 1024 {
		binary.LittleEndian.PutUint32(s.ram[0x2000+4*i:], uint32(i)<<12|7)
	}
	binary.LittleEndian.PutUint32(s.ram[0x2000+4*0x101:], 0x100007)
	s.protect(0)
	copy(s.ram[0x100000:], "abcdefgh")
	// Both pages into the TLBs, for the fast path.
	s.ld8(nilOp, 0x100000)
	s.st8(nilOp, 0x101fff, 0)
	s.R[x86.RSI], s.R[x86.RDI], s.R[x86.RCX] = 0x100000, 0x101003, 9
	s.Run()
	if got := string(s.ram[0x100000:0x10000c]); got != "abcabcabcabc" {
		t.Errorf("memory is %q", got)
	}
}

// recorder is a device that notes writes and reads as the offset.
type recorder struct{ writes [][3]uint64 }

func (r *recorder) ReadMMIO(off uint64, size int) uint64 { return off }
func (r *recorder) WriteMMIO(off uint64, size int, v uint64) {
	r.writes = append(r.writes, [3]uint64{off, uint64(size), v})
}

// newPlaces is a CPU in flat protected mode with RAM up to 0x20000, a page of
// ROM, a page of a device and a hole there, and RAM behind them.
func newPlaces(t *testing.T, code ...byte) (*small, *recorder, *mmu.Block) {
	s := newSmall(t, "max", append(code, 0xe6, stopPort, 0xeb, 0xfe)...)
	rom, err := mmu.NewBlock("ROM", mmu.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rom.Free)
	dev := &recorder{}
	s.Mem.Map(mmu.Region{Base: 0x20000, Size: mmu.PageSize, Kind: mmu.ROM, Blk: rom})
	s.Mem.Map(mmu.Region{Base: 0x21000, Size: mmu.PageSize, Kind: mmu.IO, Dev: dev})
	s.Mem.Unmap(0x22000, mmu.PageSize)
	s.protect(0)
	return s, dev, rom
}

// TestStringsOverEverything fills and copies over RAM, code, ROM, a device and
// nothing with one instruction each.
func TestStringsOverEverything(t *testing.T) {
	for _, down := range []bool{false, true} {
		s, dev, rom := newPlaces(t, 0xf3, 0xab) // rep stosd
		s.R[x86.RAX], s.R[x86.RCX], s.R[x86.RDI] = 0x11223344, 5*1024-2, 0x1f004
		if down {
			s.Flags |= x86.FlagDF
			s.R[x86.RDI] = 0x24000 - 8
		}
		// A page with decoded code among them.
		copy(s.ram[0x1f800:], []byte{0x90, 0xeb, 0xfd})
		s.RIP = 0x1f800
		s.RunSteps(4)
		s.RIP = smallCode
		s.Run()
		if s.R[x86.RCX] != 0 || s.RIP != smallCode+4 {
			t.Errorf("down %v: ECX %d at %#x", down, s.R[x86.RCX], s.RIP)
		}
		for at := 0x1f000; at < 0x24000; at += 4 {
			got, want := binary.LittleEndian.Uint32(s.ram[at:]), uint32(0x11223344)
			if at == 0x1f000 || at == 0x23ffc || at >= 0x20000 && at < 0x23000 {
				want = 0
			}
			if got != want {
				t.Fatalf("down %v: %#x at %#x, want %#x", down, got, at, want)
			}
		}
		if rom.Bytes[0] != 0 || rom.Bytes[0xffc] != 0 {
			t.Errorf("down %v: ROM was written", down)
		}
		if len(dev.writes) != 1024 {
			t.Fatalf("down %v: the device saw %d writes", down, len(dev.writes))
		}
		for i, w := range dev.writes {
			at := uint64(4 * i)
			if down {
				at = 0xffc - at
			}
			if w != [3]uint64{at, 4, 0x11223344} {
				t.Fatalf("down %v: write %d is %#x", down, i, w)
			}
		}
	}
	// From RAM, ROM, device and hole to RAM.
	s, _, rom := newPlaces(t, 0xf3, 0xa5) // rep movsd
	for i := range 0x1000 {
		s.ram[0x1f000+i], rom.Bytes[i] = 1, 2
	}
	s.R[x86.RSI], s.R[x86.RDI], s.R[x86.RCX] = 0x1f000, 0x100000, 4*1024
	s.Run()
	for i := 0; i < 0x4000; i += 4 {
		want := []uint32{0x01010101, 0x02020202, uint32(i & 0xfff), 0xffffffff}[i>>12]
		if got := binary.LittleEndian.Uint32(s.ram[0x100000+i:]); got != want {
			t.Fatalf("%#x was copied from %#x, want %#x", got, 0x1f000+i, want)
		}
	}
}

// TestLockedOverEverything does LOCK ADD on all kinds of places.
func TestLockedOverEverything(t *testing.T) {
	for _, c := range []struct {
		at   uint32
		old  uint32 // as it is read
		kept bool   // the place takes it
	}{
		{0x18000, 0x100, true}, {0x18001, 0x100, true}, {0x18ffe, 0x100, true},
		{0x20010, 0, false}, {0x21010, 0x10, true}, {0x22010, 0xffffffff, false},
	} {
		s, dev, _ := newPlaces(t, 0xf0, 0x81, 0x03, 5, 0, 0, 0) // lock add dword [ebx], 5
		if c.at < 0x20000 {
			binary.LittleEndian.PutUint32(s.ram[c.at:], c.old)
		}
		s.R[x86.RBX] = uint64(c.at)
		s.RunSteps(1)
		if cf := s.cf() != 0; cf != (c.old > 0xfffffffa) {
			t.Errorf("%#x: carry %v", c.at, cf)
		}
		switch {
		case c.at < 0x20000:
			if got := binary.LittleEndian.Uint32(s.ram[c.at:]); got != c.old+5 {
				t.Errorf("%#x is %#x", c.at, got)
			}
		case c.kept:
			if len(dev.writes) != 1 || dev.writes[0] != [3]uint64{0x10, 4, 0x15} {
				t.Errorf("%#x: the device saw %#x", c.at, dev.writes)
			}
		case s.Mem.ReadUint(uint64(c.at), 4) != uint64(c.old):
			t.Errorf("%#x was changed", c.at)
		}
	}
}

// TestLoopFaultsFirst is for a bug: LOOP with a 16-bit operand size counted
// before it raised #GP for a target outside of the segment, and LOOPE raised it
// where it does not jump.
func TestLoopFaultsFirst(t *testing.T) {
	for _, c := range []struct {
		code  []byte
		zf    bool
		fault bool
	}{
		{[]byte{0xe2, 0x70}, false, true}, // loop
		{[]byte{0xe1, 0x70}, true, true},  // loope
		{[]byte{0xe1, 0x70}, false, false},
		{[]byte{0x66, 0xe2, 0x70}, false, true},
		{[]byte{0x66, 0xe1, 0x70}, false, false},
	} {
		s := newSmall(t, "max", c.code...)
		s.protect(0)
		s.Seg[x86.CS].Limit = smallCode + 0x20
		s.setZF(c.zf)
		s.R[x86.RCX] = 5
		vec := s.faultOf(s.step)
		if (vec == x86.ExcGP) != c.fault || vec != x86.ExcGP && vec != -1 {
			t.Errorf("% x with ZF %v: exception %d", c.code, c.zf, vec)
		}
		want := uint64(4)
		if c.fault {
			want = 5
		}
		if s.R[x86.RCX] != want {
			t.Errorf("% x with ZF %v: ECX is %d, want %d", c.code, c.zf, s.R[x86.RCX], want)
		}
	}
}

// TestSystemSegmentPrivilegeFirst is for a bug: LLDT and LTR read their operand
// before they looked at the privilege level.
func TestSystemSegmentPrivilegeFirst(t *testing.T) {
	for _, modrm := range []byte{0x15, 0x1d} {
		s := newSmall(t, "max", 0x0f, 0x00, modrm, 0, 0, 0, 0x80)
		binary.LittleEndian.PutUint32(s.ram[0x1000:], 0x87) // the first 4 MiB only
		s.protect(3)
		if vec := s.faultOf(s.step); vec != x86.ExcGP {
			t.Errorf("0f 00 %x: exception %d", modrm, vec)
		}
	}
}

// TestA20CodeAcrossPages is for a bug: the first part of an instruction that
// crosses pages was fetched past a closed A20 gate.
func TestA20CodeAcrossPages(t *testing.T) {
	s := newSmall(t, "max")
	s.setSeg(x86.CS, x86.Segment{Sel: 0xffff, Base: 0xffff0, Limit: 0xffff, Attr: 0x9b})
	s.RIP = 0x200f // linear 0x101fff: 0x1fff with the gate closed
	copy(s.ram[0x1fff:], []byte{0xb8, 0x34, 0x12})
	copy(s.ram[0x101fff:], []byte{0xbb, 0x78, 0x56})
	s.Refresh()
	s.SetA20(false)
	if n, _ := s.RunSteps(1); n != 1 || s.R[x86.RAX] != 0x1234 || s.R[x86.RBX] != 0 {
		t.Errorf("closed: AX %#x, BX %#x", s.R[x86.RAX], s.R[x86.RBX])
	}
	s.SetA20(true)
	s.RIP = 0x200f
	s.RunSteps(1)
	if s.R[x86.RBX] != 0x5678 {
		t.Errorf("open: BX %#x", s.R[x86.RBX])
	}
}

// TestMSRReservedBits checks what WRMSR refuses, and that it changes nothing
// then.
func TestMSRReservedBits(t *testing.T) {
	s := newSmall(t, "max")
	for _, c := range []struct {
		msr      uint32
		good     []uint64
		bad      []uint64
		readBack uint64 // OR'ed into what is read
	}{
		{x86.MSRMTRRDefType, []uint64{0, 0xc06, 0x806, 0x400}, []uint64{2, 3, 7, 0x100, 0x200, 0x1000, 1 << 32}, 0},
		{x86.MSRMTRRVar, []uint64{0, 0xfffffff006, 0x1000}, []uint64{2, 7, 0x106, 0x806, 1 << 40}, 0},
		{x86.MSRMTRRVar + 15, []uint64{0, 0x800, 0xfffffff800}, []uint64{1, 0x400, 1 << 40}, 0},
		{x86.MSRMTRRFix64K, []uint64{0, 0x0606060606060606, 0x0001040506000000}, []uint64{2, 7 << 56, 0xff}, 0},
		{x86.MSRMTRRFix16K8, []uint64{6}, []uint64{3 << 8}, 0},
		{x86.MSRMTRRFix16KA, []uint64{5}, []uint64{0x10}, 0},
		{x86.MSRMTRRFix4K + 7, []uint64{4 << 32}, []uint64{2 << 32}, 0},
		{x86.MSRPAT, []uint64{0x0007040600070406, 0x0105040600070406}, []uint64{2, 3 << 16, 8, 0xff << 56}, 0},
		{x86.MSRMiscEnable, []uint64{0, 1, 1 | 3<<11}, []uint64{1 << 18, 1 << 22, 1 << 34, 1 << 63}, 3 << 11},
		{x86.MSRDebugCtl, []uint64{0, 1, 2}, []uint64{1 << 6, 1 << 14, 1 << 32}, 0},
		{x86.MSRMCGStatus, []uint64{0, 7}, []uint64{8, 1 << 63}, 0},
		{x86.MSREFER, []uint64{0, 1, 0x900, 0x901}, []uint64{2, 1 << 9, 1 << 12, 1 << 14, 1 << 63}, 0},
		{x86.MSRLSTAR, []uint64{0, 0xffff800000000000, 0x7fffffffffff}, []uint64{0x800000000000, 0xffff7fffffffffff}, 0},
		{x86.MSRCSTAR, []uint64{1}, []uint64{1 << 62}, 0},
		{x86.MSRSysenterEIP, []uint64{1}, []uint64{1 << 62}, 0},
		{x86.MSRSysenterESP, []uint64{1}, []uint64{1 << 62}, 0},
		{x86.MSRFSBase, []uint64{1 << 40}, []uint64{1 << 47}, 0},
		{x86.MSRGSBase, []uint64{1 << 40}, []uint64{1 << 47}, 0},
		{x86.MSRKernelGSBase, []uint64{1 << 40}, []uint64{1 << 47}, 0},
		{x86.MSRTSCAux, []uint64{0xffffffff}, []uint64{1 << 32}, 0},
		{x86.MSRXSS, []uint64{0}, []uint64{1, 1 << 8}, 0},
		{x86.MSRSpecCtrl, []uint64{0, 1, 4}, []uint64{8, 1 << 32}, 0},
	} {
		for _, v := range c.good {
			if !s.writeMSR(c.msr, v) {
				t.Errorf("MSR %#x: %#x is refused", c.msr, v)
			}
			if got, ok := s.readMSR(c.msr); !ok || got != v|c.readBack {
				t.Errorf("MSR %#x: %#x is read as %#x", c.msr, v, got)
			}
		}
		old, _ := s.readMSR(c.msr)
		for _, v := range c.bad {
			if s.writeMSR(c.msr, v) {
				t.Errorf("MSR %#x: %#x is taken", c.msr, v)
			}
			if now, _ := s.readMSR(c.msr); now != old {
				t.Fatalf("MSR %#x: %#x was refused but changed it to %#x", c.msr, v, now)
			}
		}
	}
	for _, n := range []uint32{x86.MSRArchCap, x86.MSRMTRRCap, x86.MSRMCGCap, x86.MSRFlushCmd, x86.MSRPlatformID, 0, 0x12345678} {
		if s.writeMSR(n, 0) {
			t.Errorf("MSR %#x can be written", n)
		}
	}
	for _, n := range []uint32{x86.MSRPredCmd, x86.MSRFlushCmd, x86.MSRBiosUpdTrig, x86.MSRAPICBase, 0x800, 0x12345678} {
		if _, ok := s.readMSR(n); ok { // this CPU has no local APIC
			t.Errorf("MSR %#x can be read", n)
		}
	}
}

// TestControlBitsNeedFeatures is for a bug: bits of CR4 and EFER could be set
// whatever the CPU model.
func TestControlBitsNeedFeatures(t *testing.T) {
	for feature, b := range map[string]uint64{"vme": x86.CR4VME, "de": x86.CR4DE, "pge": x86.CR4PGE, "fxsr": x86.CR4OSFXSR, "sse": x86.CR4OSXMMEXCPT,
		"umip": x86.CR4UMIP, "fsgsbase": x86.CR4FSGSBASE, "smep": x86.CR4SMEP, "smap": x86.CR4SMAP, "xsave": x86.CR4OSXSAVE} {
		for cpu, want := range map[string]int{"max": -1, "max,-" + feature: x86.ExcGP} {
			s := newSmall(t, cpu)
			if vec := s.faultOf(func() { s.setCR4(nil, b) }); vec != want {
				t.Errorf("-cpu %s, CR4 %#x: exception %d, want %d", cpu, b, vec, want)
			}
			if (s.CR4 != 0) != (want == -1) {
				t.Errorf("-cpu %s: CR4 is %#x", cpu, s.CR4)
			}
		}
	}
	for feature, b := range map[string]uint64{"nx": x86.EFERNXE, "lm": x86.EFERLME, "syscall": x86.EFERSCE} {
		if !newSmall(t, "max").writeMSR(x86.MSREFER, b) {
			t.Errorf("EFER %#x is refused", b)
		}
		if newSmall(t, "max,-"+feature).writeMSR(x86.MSREFER, b) {
			t.Errorf("EFER %#x is taken without %s", b, feature)
		}
	}
}

// TestInit compares what INIT and RESET leave (SDM volume 3, table 9-1).
func TestInit(t *testing.T) {
	for _, init := range []bool{false, true} {
		s := newSmall(t, "max")
		fill := func() {
			s.long64()
			for i := range 16 {
				s.R[i] = 0x1111
				s.V[i] = x86.Vec{1, 2, 3, 4}
			}
			s.FPFrac[3], s.FPExp[3], s.FCW, s.FSW, s.FTW, s.FOP, s.FIP, s.FDP, s.FCS, s.FDS = 1, 2, 0x27f, 0x3800, 8, 5, 6, 7, 8, 9
			s.MXCSR, s.XCR0, s.PAT, s.MTRRDefType, s.MTRRFix[4], s.MTRRVar[2] = 0x1fa0, 7, 6, 0xc06, 6, 0x1000
			s.STAR, s.LSTAR, s.CSTAR, s.FMASK, s.KernelGSBase, s.TSCAux, s.TSCAdjust, s.TSCOffset = 1, 2, 3, 4, 5, 6, 7, 7
			s.SysenterCS, s.SysenterESP, s.SysenterEIP, s.SpecCtrl = 8, 9, 10, 1
			s.CR0 &^= x86.CR0CD | x86.CR0NW
			s.CR2, s.DR[0], s.DR[7] = 1, 2, 0x401
			s.Halted, s.NMIMasked = true, true
			s.Refresh()
		}
		fill()
		kept := s.State
		if init {
			s.Init()
		} else {
			s.Reset()
		}
		s.service()
		var want x86.State
		want.PowerOn(s.Model.Signature)
		if init {
			want.CR0 = x86.CR0ET // CD and NW stay as they were
			want.FPFrac, want.FPExp, want.FCW, want.FSW, want.FTW, want.FOP = kept.FPFrac, kept.FPExp, kept.FCW, kept.FSW, kept.FTW, kept.FOP
			want.FIP, want.FDP, want.FCS, want.FDS = kept.FIP, kept.FDP, kept.FCS, kept.FDS
			want.V, want.MXCSR, want.XCR0 = kept.V, kept.MXCSR, kept.XCR0
			want.PAT, want.MTRRDefType, want.MTRRFix, want.MTRRVar = kept.PAT, kept.MTRRDefType, kept.MTRRFix, kept.MTRRVar
			want.STAR, want.LSTAR, want.CSTAR, want.FMASK, want.KernelGSBase = 1, 2, 3, 4, 5
			want.TSCAux, want.TSCAdjust, want.TSCOffset = 6, 7, 7
			want.SysenterCS, want.SysenterESP, want.SysenterEIP, want.SpecCtrl = 8, 9, 10, 1
		}
		if s.State != want {
			t.Errorf("INIT %v: %+v\nwant %+v", init, s.State, want)
		}
		if s.long || s.mode != mode16 || s.paging.Form != mmu.NoPaging {
			t.Errorf("INIT %v: mode %d, paging %d", init, s.mode, s.paging.Form)
		}
	}
	// Another processor than the first waits for its start-up IPI, and an NMI
	// that was held is forgotten: it once ended up in the base of CS.
	s := newSmall(t, "max")
	s.ID = 1
	s.NMIMasked = true
	s.NMI()
	s.service()
	s.Init()
	s.service()
	if !s.waiting {
		t.Error("INIT does not make it wait")
	}
	s.Startup(0x9a)
	s.sipiVec.Or(nmiPending)
	s.service()
	if s.waiting || s.RIP != 0 || s.Seg[x86.CS].Sel != 0x9a00 || s.Seg[x86.CS].Base != 0x9a000 {
		t.Errorf("after the start-up IPI: waiting %v, CS %+v, RIP %#x", s.waiting, s.Seg[x86.CS], s.RIP)
	}
}

// TestLog runs a few instructions and looks at what each item of -d writes.
func TestLog(t *testing.T) {
	for _, c := range []struct {
		items LogItem
		want  []string
		not   string
	}{
		{0, nil, "\n"},
		{LogInAsm, []string{"IN: 0x7c00", "0x0000000000007c00:", "mov $0x1234,%ax", "int $0x20", ".byte 0x0f"}, "v="},
		{LogInt, []string{"v=20 interrupt", "IP=0000:0000000000007c03", "v=06 #UD"}, "IN:"},
		{LogExec, []string{"Trace 0: 0000:0000000000007c00", "Trace 0: 0000:0000000000007c05"}, "v="},
		{LogExec | LogCPU, []string{"RIP=0000000000007c05", "CR0=60000010"}, "XMM"},
		{LogExec | LogCPU | LogFPU, []string{"FCW=0040 FSW=0000 FTW=ff", "MXCSR=00001f80", "YMM15="}, "v="},
		{LogGuestErrors, []string{"undefined instruction at 0x7c05"}, "v="},
	} {
		// mov ax, 1234; int 20, whose handler returns; nothing that there is, whose handler stops
		s := newSmall(t, "max", 0xb8, 0x34, 0x12, 0xcd, 0x20, 0x0f, 0x04)
		binary.LittleEndian.PutUint16(s.ram[4*0x20:], 0x600)
		binary.LittleEndian.PutUint16(s.ram[4*6:], 0x610)
		copy(s.ram[0x600:], []byte{0xcf})
		copy(s.ram[0x610:], []byte{0xe6, stopPort, 0xeb, 0xfe})
		var b bytes.Buffer
		s.CPU.Log = &Log{Items: c.items, Out: &b}
		s.Run()
		for _, w := range c.want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("items %#x: no %q in\n%s", c.items, w, &b)
			}
		}
		if c.not != "" && strings.Contains(b.String(), c.not) {
			t.Errorf("items %#x: %q in\n%s", c.items, c.not, &b)
		}
	}
}

func TestDump(t *testing.T) {
	s := newSmall(t, "max")
	for i := range 16 {
		s.R[i] = uint64(i+1) * 0x0101010101010101
	}
	d := s.Dump()
	for i, n := range []string{"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"} {
		if w := fmt.Sprintf("%s=%016x", n, s.R[i]); !strings.Contains(d, w) {
			t.Errorf("no %q in\n%s", w, d)
		}
	}
	for _, w := range []string{"RIP=0000000000007c00 RFL=00000002 CPL=0 HLT=0", "CS =0000 0000000000000000 0000ffff 009b", "CR0=60000010"} {
		if !strings.Contains(d, w) {
			t.Errorf("no %q in\n%s", w, d)
		}
	}
}

func TestDisassemble(t *testing.T) {
	for _, c := range []struct {
		code []byte
		bits int
		want string
	}{
		{[]byte{0x48, 0x89, 0xd8}, 64, "mov %rbx,%rax"},
		{[]byte{0xeb, 0xfe}, 64, "jmp 0x1000"},
		{[]byte{0x0f, 0x04}, 64, ".byte 0x0f 0x04"},
		{[]byte{0x90, 0x90}, 32, ".byte 0x90 0x90"}, // two instructions
	} {
		if got := strings.Join(strings.Fields(Disassemble(c.code, c.bits, 0x1000)), " "); got != c.want {
			t.Errorf("% x: %q, want %q", c.code, got, c.want)
		}
	}
}

// TestStats checks the counters on a program whose counts are known.
func TestStats(t *testing.T) {
	// mov cx, 100; again: inc ax; loop again; out
	s := newSmall(t, "max", 0xb9, 100, 0, 0x40, 0xe2, 0xfd, 0xe6, stopPort)
	s.Run()
	st := s.Stats()
	// The block after the loop goes on behind OUT; Stop is seen at its end.
	if n := st.Instructions; n < 202 || n > 202+maxBlock {
		t.Errorf("%d instructions", n)
	}
	if st.Invalidated != 0 || st.PageFaults != 0 || st.Interrupts != 0 {
		t.Errorf("%+v", st)
	}
	if st.Blocks < 3 || st.Decoded < 5 {
		t.Errorf("%+v", st)
	}
	flushes := st.Flushes
	s.flushTLB(false)
	if got := s.Stats().Flushes; got != flushes+1 {
		t.Errorf("%d flushes, want %d", got, flushes+1)
	}
}

// BenchmarkFault is what raising and catching an exception costs the host.
func BenchmarkFault(b *testing.B) {
	s := newSmall(b, "max")
	for b.Loop() {
		s.faultOf(func() { s.raise(nilOp, x86.ExcGP, 0) })
	}
}

// BenchmarkTLBRefill is a load that misses the TLB, under 2 MiB pages.
func BenchmarkTLBRefill(b *testing.B) {
	s := newSmall(b, "max")
	s.long64()
	for b.Loop() {
		s.tlb.invalidate(5)
		s.ld8(nilOp, 0x5000)
	}
}

// BenchmarkModes runs one loop of five instructions in 64-bit and in 32-bit
// mode; an operation is a round.
func BenchmarkModes(b *testing.B) {
	for _, bits := range []int{64, 32} {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			// add eax, ebx; xor ecx, eax; mov [rbx], ecx; dec edx; jnz; out
			s := newSmall(b, "max", 0x01, 0xd8, 0x31, 0xc1, 0x89, 0x0b, 0xff, 0xca, 0x75, 0xf6, 0xe6, stopPort, 0xeb, 0xfe)
			if bits == 64 {
				s.long64()
			} else {
				s.protect(0)
			}
			s.R[x86.RBX], s.R[x86.RDX] = 0x9000, uint64(b.N)
			b.ResetTimer()
			s.Run()
		})
	}
}
