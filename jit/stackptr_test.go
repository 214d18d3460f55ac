package jit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"hotblock/x86"
)

// stackCode makes random code that moves RSP in all ways that there are and accesses
// memory relative to it, with jumps forward, loops and calls.
type stackCode struct {
	*rand.Rand
	b []byte
}

func (c *stackCode) put(b ...byte)   { c.b = append(c.b, b...) }
func (c *stackCode) slot() byte      { return byte(c.IntN(12)*8 - 24) } // a displacement
func (c *stackCode) of(n ...int) int { return n[c.IntN(len(n))] }

// reg is a register that holds nothing of consequence.
func (c *stackCode) reg() byte {
	return byte(c.of(x86.RAX, x86.RDX, x86.RBX, x86.RSI, x86.R8, x86.R9, x86.R11, x86.R12, x86.R15))
}

// with writes an instruction of 64 bits with a register and [rsp+slot].
func (c *stackCode) with(op byte, r byte) { c.put(0x48|r>>3<<2, op, 0x44|r&7<<3, 0x24, c.slot()) }

// pair writes one with a register in ModRM.rm and RSP in ModRM.reg.
func (c *stackCode) pair(op byte, r byte) { c.put(0x48|r>>3, op, 0xe0|r&7) }

func (c *stackCode) instruction() {
	r := c.reg()
	switch c.IntN(34) {
	case 0, 1, 2, 3, 4:
		c.put(0x40|r>>3, 0x50|r&7) // push r
	case 5, 6, 7, 8:
		c.put(0x40|r>>3, 0x58|r&7) // pop r
	case 9:
		c.put(0x6a, byte(c.Uint32())) // push imm
	case 10:
		c.put(0xff, 0x74, 0x24, c.slot()) // push [rsp+d]
	case 11, 12:
		c.put(0x48, 0x83, 0xec, byte(c.IntN(9)*8)) // sub rsp, n
	case 13, 14:
		c.put(0x48, 0x83, 0xc4, byte(c.IntN(9)*8)) // add rsp, n
	case 15:
		c.put(0x48, 0x81, 0xec, byte(c.IntN(32)*8), byte(c.IntN(2)), 0, 0) // sub rsp, n
	case 16:
		c.put(0x48, 0x8d, 0x64, 0x24, c.slot()) // lea rsp, [rsp+d]
	case 17:
		c.put(0x48, 0x8d, 0x64, 0x0c, c.slot()) // lea rsp, [rsp+rcx+d]
	case 18, 19:
		c.with(0x89, r) // mov [rsp+d], r
	case 20, 21:
		c.with(0x8b, r) // mov r, [rsp+d]
	case 22:
		c.with(byte(c.of(0x01, 0x03, 0x39, 0x13)), r) // add, add, cmp, adc
	case 23:
		c.with(0x8d, r) // lea r, [rsp+d]
	case 24:
		c.put(0x48|r>>3<<2, byte(c.of(0x89, 0x8b, 0x8d)), 0x44|r&7<<3, byte(c.of(0x0c, 0x4c, 0xcc)), c.slot()) // with [rsp+rcx*n+d]
	case 25:
		c.pair(byte(c.of(0x89, 0x39, 0x01, 0x31)), r) // mov, cmp, add, xor r, rsp
	case 26:
		c.put(0x48, 0x83, 0xe4, 0xf0) // and rsp, -16
	case 27:
		c.put(0x54) // push rsp
		if c.IntN(2) == 0 {
			c.put(0x5c) // pop rsp
		}
	case 28:
		c.put(0x55, 0x48, 0x89, 0xe5) // push rbp; mov rbp, rsp
		for range c.IntN(4) {
			c.instruction()
		}
		switch c.IntN(3) {
		case 0:
			c.put(0xc9) // leave
		case 1:
			c.put(0x48, 0x89, 0xec, 0x5d) // mov rsp, rbp; pop rbp
		default:
			c.put(0x48, 0x8d, 0x65, 0xf8, 0x58, 0x5d) // lea rsp, [rbp-8]; pop rax; pop rbp
		}
	case 29:
		c.put(0x48, 0x94) // xchg rax, rsp
		if c.IntN(2) == 0 {
			c.put(0x90)
		}
		c.put(0x48, 0x94)
	case 30:
		c.put(0x9c, 0x58|r&7&3) // pushf; pop r
	case 31:
		c.put(0x0f, byte(c.of(0x10, 0x11)), 0x44, 0x24, c.slot()) // movups xmm0, [rsp+d] or back
	case 32:
		c.put(0x67, 0x8b, 0x44, 0x24, c.slot()) // mov eax, [esp+d]
	case 33:
		switch c.IntN(5) {
		case 0:
			c.put(0x48, 0xff, byte(c.of(0xc4, 0xcc))) // inc rsp, dec rsp
		case 1:
			c.put(0x8d, 0x64, 0x24, c.slot()) // lea esp, [rsp+d]
		case 2:
			c.put(0x66, 0x8d, 0x64, 0x24, c.slot()) // lea sp, [rsp+d]
		case 3:
			c.put(0x48, 0x0f, 0xa3, 0x44, 0x24, c.slot()) // bt [rsp+d], rax
			c.put(0x48, 0x11, 0xc2)                       // adc rdx, rax, as bt leaves flags undefined
		default:
			c.put(0x54, 0x48, 0x8b, 0x24, 0x24) // push rsp; mov rsp, [rsp]
		}
	}
}

// some adds instructions, some of them behind jumps.
func (c *stackCode) some(n int) {
	for range n {
		switch c.IntN(10) {
		case 0:
			c.put(0x70|byte(c.IntN(16)), 0) // jcc
			at := len(c.b)
			c.some(1 + c.IntN(2))
			if d := len(c.b) - at; d < 128 {
				c.b[at-1] = byte(d)
			}
		case 1:
			c.put(0xe8, 0, 0, 0, 0) // call of what follows the next jump
			c.put(0xeb, 0)
			at := len(c.b)
			c.b[at-6] = 2
			c.some(c.IntN(3))
			if c.IntN(4) == 0 {
				c.put(0xc2, byte(c.IntN(3)*8), 0) // ret n
			} else {
				c.put(0xc3)
			}
			if d := len(c.b) - at; d < 128 {
				c.b[at-1] = byte(d)
			}
		default:
			c.instruction()
		}
	}
}

// newStackCode is a loop, with a loop in it, and INT3.
func newStackCode(seed uint64) []byte {
	c := &stackCode{Rand: rand.New(rand.NewPCG(seed, 1))}
	loop := func(counter byte, body func()) {
		c.put(0x41, 0xbd+counter, 1+byte(c.IntN(4)), 0, 0, 0) // mov r13d or r14d, n
		top := len(c.b)
		body()
		c.put(0x49, 0xff, 0xcd+counter) // dec
		c.put(0x0f, 0x85, 0, 0, 0, 0)   // jne
		binary.LittleEndian.PutUint32(c.b[len(c.b)-4:], uint32(top-len(c.b)))
	}
	loop(0, func() {
		c.some(c.IntN(8))
		loop(1, func() { c.some(1 + c.IntN(6)) })
		c.some(c.IntN(8))
	})
	c.put(0xcc)
	return c.b
}

// TestStackPointer runs such code with stacks at the ends of pages, some of them absent or
// read-only, or beside the code. The exceptions must find the same registers as the
// interpreter's.
func TestStackPointer(t *testing.T) {
	const stackPages = 6 // two that are writable, one that is not, two, and one that is absent
	guests := []*guest{newGuest(t, nil)}
	for _, s := range []string{"", "memory=window-now", "memory=tlb-single", "memory=out-of-line", "flags=save", "return=indirect", "region=straight", "verify=all"} {
		cfg := DefaultConfig
		cfg.Threshold = 1
		if k, v, ok := strings.Cut(s, "="); ok {
			if err := cfg.Set(k, v); err != nil {
				t.Fatal(err)
			}
		}
		guests = append(guests, newGuest(t, &cfg))
	}
	for _, g := range guests {
		for i := range uint64(2) {
			g.mapPage(progCode+i*pageSize, guestCode+i*pageSize|7)
		}
		for i, attr := range [stackPages - 1]uint64{7, 7, 5, 7, 7} {
			g.mapPage(progStack+uint64(i)*pageSize, guestData+uint64(i)*pageSize|attr|1<<63)
		}
		g.mayHang = true
	}
	data := make([]byte, stackPages*pageSize)
	r := rand.New(rand.NewPCG(3, 3))
	for i := 0; i < len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], progStack+uint64(r.IntN(5*pageSize))&^7)
	}
	ends := map[int]int{}
	for seed := range uint64(250) {
		code := newStackCode(seed)
		mode := guestMode{cpl: uint8(seed&1) * 3}
		start := uint64(progCode) + seed*61%pageSize
		pages := make([]byte, 2*pageSize)
		copy(pages[start-progCode:], code)
		for n := range 8 {
			rsp := uint64(progStack) + uint64(1+r.IntN(5))*pageSize + uint64(r.IntN(80)-40)*8
			if n == 5 {
				rsp = start&^(pageSize-1) + (start+pageSize/2)%pageSize&^7 // beside the code
			}
			var ref *guest
			var want trap
			for _, g := range guests {
				if at := g.ram.Bytes[guestCode:][:2*pageSize]; !bytes.Equal(at, pages) {
					copy(at, pages)
					g.cpu.DropCode()
				}
				copy(g.ram.Bytes[guestData:], data)
				s := g.base
				mode.segments(&s, 0, 0)
				for i := range 16 {
					s.R[i] = uint64(i) * 0x1111
				}
				s.RIP, s.R[x86.RSP], s.R[x86.RCX] = start, rsp, 16
				got := g.run(&s, 2)
				if ref == nil {
					ref, want = g, got
					ends[got.vec]++
					if g.hung.Load() {
						break
					}
					continue
				}
				undefined := uint64(arith)
				if want.vec == x86.ExcBP {
					undefined = 0
				}
				msg := differences(ref, g, &want, &got, undefined)
				msg += memoryDiffers(ref, g, guestData, guestData+stackPages*pageSize)
				msg += memoryDiffers(ref, g, guestCode, guestCode+2*pageSize)
				if msg != "" {
					t.Fatalf("%s: program %d, run %d with RSP %#x at CPL %d:%s\n%s", g.name, seed, n, rsp, mode.cpl, msg, stackListing(code, start))
				}
			}
		}
	}
	if ends[x86.ExcBP] < 400 || ends[x86.ExcPF] < 200 {
		t.Errorf("runs ended by exceptions: %v", ends)
	}
	if s := guests[1].eng.Stats(); s.Splits == 0 || s.Exits[siteMiss] == 0 {
		t.Errorf("%d regions were split, %d misses", s.Splits, s.Exits[siteMiss])
	}
	if s := guests[2].eng.Stats(); s.Mapped == 0 || s.Exits[reasonFault] == 0 {
		t.Errorf("%d pages were mapped, %d faults", s.Mapped, s.Exits[reasonFault])
	}
}

func stackListing(code []byte, at uint64) string {
	var out strings.Builder
	for len(code) > 0 {
		in, err := x86asm.Decode(code, 64)
		n, text := max(in.Len, 1), "?"
		if err == nil {
			text = x86asm.IntelSyntax(in, at, nil)
		}
		fmt.Fprintf(&out, "\t%#x: %-24x %s\n", at, code[:n], text)
		code = code[n:]
		at += uint64(n)
	}
	return out.String()
}
