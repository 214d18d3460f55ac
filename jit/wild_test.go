package jit

// Wild addresses: accesses that wrap around the end of the address space, touch
// addresses that are not canonical, or cross from one kind of page to another, and
// jumps to all such places. Every access is made by instructions of many kinds, in
// a loop, so that it is made by translated code, on pages that the TLB holds and on
// those it does not.

import (
	"fmt"
	"testing"

	"hotblock/internal/difftest"
	"hotblock/x86"
)

// wildAccesses use [rsi]; some use [rdi] as well. All exist in 32-bit code without
// their REX prefix.
var wildAccesses = [][]byte{
	{0x8a, 0x06},                   // mov al, [rsi]
	{0x66, 0x8b, 0x06},             // mov ax, [rsi]
	{0x8b, 0x06},                   // mov eax, [rsi]
	{0x48, 0x8b, 0x06},             // mov rax, [rsi]
	{0x88, 0x1e},                   // mov [rsi], bl
	{0x89, 0x1e},                   // mov [rsi], ebx
	{0x48, 0x89, 0x1e},             // mov [rsi], rbx
	{0x48, 0x89, 0x5e, 0x08},       // mov [rsi + 8], rbx
	{0x48, 0x8b, 0x46, 0xf8},       // mov rax, [rsi - 8]
	{0x01, 0x1e},                   // add [rsi], ebx
	{0xf0, 0x48, 0x0f, 0xc1, 0x1e}, // lock xadd [rsi], rbx
	{0x48, 0x87, 0x1e},             // xchg [rsi], rbx
	{0xf0, 0x48, 0x0f, 0xb1, 0x1e}, // lock cmpxchg [rsi], rbx
	{0xf0, 0x48, 0x0f, 0xc7, 0x0e}, // lock cmpxchg16b [rsi]
	{0x0f, 0x10, 0x06},             // movups xmm0, [rsi]
	{0x0f, 0x11, 0x0e},             // movups [rsi], xmm1
	{0x0f, 0x28, 0x06},             // movaps xmm0, [rsi]
	{0xc5, 0xfe, 0x6f, 0x16},       // vmovdqu ymm2, [rsi]
	{0xc5, 0xfe, 0x7f, 0x1e},       // vmovdqu [rsi], ymm3
	{0xdb, 0x2e}, {0xdd, 0xd8},     // fld tbyte [rsi]; fstp st0
	{0xd9, 0xe8}, {0xdb, 0x3e}, // fld1; fstp tbyte [rsi]
	{0x0f, 0xa3, 0x16},   // bt [rsi], edx
	{0x0f, 0xab, 0x16},   // bts [rsi], edx
	{0xff, 0x36}, {0x59}, // push [rsi]; pop rcx
	{0x50}, {0x8f, 0x06}, // push rax; pop [rsi]
	{0x56, 0xad, 0x5e},                                                   // push rsi; lodsd; pop rsi
	{0x57, 0x89, 0xf7, 0xab, 0x5f},                                       // push rdi; mov edi, esi; stosd; pop rdi
	{0x56, 0x57, 0xb9, 9, 0, 0, 0, 0xf3, 0xa4},                           // push rsi; push rdi; mov ecx, 9; rep movsb
	{0x5f, 0x5e},                                                         // pop rdi; pop rsi
	{0x56, 0x57, 0x87, 0xf7, 0xb9, 3, 0, 0, 0, 0xf3, 0xa5}, {0x5f, 0x5e}, // the other way, in doublewords
	{0x89, 0xe3}, {0x89, 0xf4}, {0x50}, {0x89, 0xdc}, // mov ebx, esp; mov esp, esi; push rax; mov esp, ebx
	{0x89, 0xe3}, {0x89, 0xf4}, {0x58}, {0x89, 0xdc}, // the same with a pop
	{0x64, 0x8b, 0x06}, {0x65, 0x89, 0x06}, // with FS and GS
	{0x67, 0x8b, 0x06}, // with a 32-bit address
}

func newSnippet(mode guestMode, seed uint64) *program {
	p := &program{Source: difftest.New(seed, progWindow), mode: mode}
	p.Fill()
	return p
}

// rexOff takes REX prefixes away for 32-bit code, and reports whether the
// instruction exists there.
func rexOff(code []byte) ([]byte, bool) {
	if code[0] == 0xf0 && code[1] == 0x48 {
		return append([]byte{0xf0}, code[2:]...), true
	}
	if code[0] == 0x48 {
		return code[1:], true
	}
	return code, code[0] != 0x67
}

func TestWildAccesses(t *testing.T) {
	r := newProgramRig(t, "threshold=1", "threshold=1,verify=all")
	var addrs []uint64
	for i := range window {
		va := progWindow + uint64(i)*pageSize
		addrs = append(addrs, va+16, va-1, va-3, va-8, va-15, va-31)
	}
	for _, d := range []uint64{0, 1, 3, 7, 8, 9, 15, 16, 31, 64} {
		addrs = append(addrs, -d, 1<<47-d, ^uint64(1<<47-1)-d, 1<<32-d, 1<<63-d)
	}
	for _, mode := range []guestMode{{cpl: 3}, {0, false}, {3, true}} {
		for _, va := range addrs {
			if mode.compat {
				if va>>32 != 0 && va>>32 != 0xffffffff {
					continue
				}
				va &= 0xffffffff
			}
			p := newSnippet(mode, va)
			end := p.newLabel()
			p.resume = []label{end}
			top := p.newLabel()
			p.mark(top)
			for _, code := range wildAccesses {
				ok := true
				if mode.compat {
					code, ok = rexOff(code)
				}
				if !ok {
					continue
				}
				p.emit(p.movImm(x86.RSI, va))
				p.emit(p.movImm(x86.RDI, progWindow+8*pageSize+64))
				p.emit(code)
				p.emit(p.rexed(0, 0x83, 0xf8, 5)) // cmp rax, 5: all flags are defined
				p.elems[len(p.elems)-1].stays = true
			}
			p.loopTo(top)
			p.mark(end)
			p.emit([]byte{0xcc})
			p.elems[len(p.elems)-1].stays = true
			if msg := r.fails(p); msg != "" {
				t.Errorf("address %#x, %+v: %s", va, mode, msg)
				return
			}
		}
	}
}

func TestWildJumps(t *testing.T) {
	r := newProgramRig(t, "threshold=1", "threshold=1,verify=all")
	for _, g := range r.guests {
		for i := range g.rom.Bytes {
			g.rom.Bytes[i] = []byte{0x90, 0xff, 0xc0}[i%3] // nop; inc eax
		}
		copy(g.rom.Bytes[pageSize-4:], []byte{0x90, 0x90, 0x48, 0xb8}) // the start of a mov rax, imm64
		g.mapPage(1<<47-pageSize, guestROM|5)
		g.mapPage(1<<47-2*pageSize, guestROM|5)
		g.mapPage(progFirst, physFirst|7)
		g.mapPage(progLast, (physFirst+pageSize)|7)
		g.mapPage(progLast&0xffffffff, (physFirst+pageSize)|7)
		g.tables = append(g.tables[:0:0], g.ram.Bytes[:guestIDT]...)
	}
	var targets []uint64
	for i := range window {
		va := progWindow + uint64(i)*pageSize
		targets = append(targets, va, va-1, va+64)
	}
	targets = append(targets, 1<<47-pageSize-3, 1<<47-64, 1<<47-4, 1<<47-2, 1<<47-1, 1<<47, 1<<47+1, 1<<63, ^uint64(1<<47-1), ^uint64(1<<47), 0, 1, ^uint64(0), ^uint64(3),
		guestStubs, progStack, 0xffffffff, 1<<32, 0xfffffffe)
	for _, mode := range []guestMode{{cpl: 3}, {3, true}} {
		for _, va := range targets {
			if mode.compat {
				if va>>32 != 0 && va>>32 != 0xffffffff {
					continue
				}
				va &= 0xffffffff
			}
			p := newSnippet(mode, va)
			p.runsData = true
			for i := range p.Data {
				p.Data[i] = []byte{0x90, 0xff, 0xc0}[i%3] // as in the ROM
			}
			end := p.newLabel()
			p.resume = nil
			top := p.newLabel()
			p.mark(top)
			// Each jump is followed by a place to resume at.
			for _, code := range [][]byte{
				{0xff, 0xe0},             // jmp rax
				{0xff, 0xd0},             // call rax
				{0x50, 0xc3},             // push rax; ret
				{0x50, 0xc2, 16, 0},      // push rax; ret 16
				{0x50, 0xff, 0x24, 0x24}, // push rax; jmp [rsp]
				{0x50, 0xff, 0x14, 0x24}, // push rax; call [rsp]
				{0x85, 0xc0, 0xff, 0xe0}, // test eax, eax; jmp rax
				{0xe9}, {0xe8}, {0x0f, 0x85}, {0x0f, 0x84},
			} {
				if (code[0] == 0xff && code[1] == 0xd0 || len(code) == 4 && code[2] == 0x14) && !mode.compat && uint64(int64(va)<<16>>16) != va {
					continue // translated code has pushed the return address when such a call faults
				}
				rel := code[0] == 0xe9 || code[0] == 0xe8 || code[0] == 0x0f
				p.emit(p.movImm(x86.RSP, progStack+pageSize+256))
				p.emit(p.movImm(x86.RAX, va))
				if rel {
					l := p.newLabel()
					p.mark(l)
					n := len(code)
					// The distance from the label to the address, less what the number's
					// own place adds.
					p.emit(append(code, 0, 0, 0, 0), fixup{pos: n, size: 4, abs: true, to: l, neg: true, add: va - uint64(n) - 4})
				} else {
					p.emit(code)
				}
				next := p.newLabel()
				p.resume = append(p.resume, next)
				p.mark(next)
			}
			p.loopTo(top)
			p.mark(end)
			p.resume = append(p.resume, end)
			p.emit([]byte{0xcc})
			p.elems[len(p.elems)-1].stays = true
			if msg := r.fails(p); msg != "" {
				t.Errorf("target %#x, %+v: %s", va, mode, msg)
				return
			}
		}
	}
}

// fails is compare for all of a program, shortened where it differs.
func (r *programRig) fails(p *program) string {
	keep, msg := r.shorten(p)
	if msg == "" {
		return ""
	}
	return fmt.Sprintf("%s\n%s", msg, p.listing(keep))
}
