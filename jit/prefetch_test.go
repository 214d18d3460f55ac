package jit

import (
	"fmt"
	"strings"
	"testing"

	"hotblock/x86"
)

// TestPrefetch runs prefetches of all forms, of addresses of all kinds, between instructions whose flags are
// read behind them. They must change nothing, and be there on the host.
func TestPrefetch(t *testing.T) {
	const data, stack = 0x7f0010000000, 0x7f0020000000
	code := []byte{
		0x48, 0x39, 0xd8, // cmp rax, rbx
		0x0f, 0x18, 0x0e, // prefetcht0 [rsi]
		0x41, 0x0f, 0x18, 0x51, 0x40, // prefetcht1 [r9+0x40]
		0x43, 0x0f, 0x18, 0x84, 0xd7, 0x00, 0x10, 0x00, 0x00, // prefetchnta [r15+r10*8+0x1000]
		0x0f, 0x18, 0x1c, 0x8e, // prefetcht2 [rsi+rcx*4]
		0x0f, 0x0d, 0x0d, 0x00, 0x10, 0x00, 0x00, // prefetchw [rip+0x1000]
		0x0f, 0x18, 0x0c, 0x25, 0x00, 0x00, 0x00, 0x10, // prefetcht0 [0x10000000]
		0x67, 0x0f, 0x18, 0x0e, // prefetcht0 [esi]
		0x64, 0x0f, 0x18, 0x0e, // prefetcht0 fs:[rsi]
		0x53,                         // push rbx
		0x0f, 0x18, 0x4c, 0x24, 0x08, // prefetcht0 [rsp+8]
		0x58,             // pop rax
		0x48, 0x11, 0xda, // adc rdx, rbx
		0x49, 0x01, 0xf1, // add r9, rsi
		0xcc,
	}
	addresses := []uint64{data, data + pageSize - 1, 0x10000000, 0, 1 << 46, 1 << 47, 0x300000000000, 1 << 63, ^uint64(0), 0xffffffff81000000}
	guests := []*guest{newGuest(t, nil)}
	var dumps []*strings.Builder
	for _, settings := range []string{"memory=tlb", "memory=window-now", "memory=window-now,verify=all", "memory=tlb-single"} {
		c, dump := configOf(t, "threshold=1,"+settings), &strings.Builder{}
		c.Dump = dump
		guests, dumps = append(guests, newGuest(t, c)), append(dumps, dump)
	}
	for _, at := range []uint64{progCode, 0x550000400000} {
		for _, a := range addresses {
			var first string
			for i, g := range guests {
				g.mapPage(at, guestCode|7)
				g.mapPage(data, guestData|7)
				g.mapPage(stack, guestData+pageSize|7)
				copy(g.ram.Bytes[guestCode:], code)
				s := g.base
				guestMode{cpl: 3}.segments(&s, data, 0)
				s.RIP = at
				for r := range 16 {
					s.R[r] = a + uint64(r)
				}
				s.R[x86.RBX], s.R[x86.RSP] = 5, stack+pageSize
				tr := g.run(&s, 2)
				if out := fmt.Sprintf("%v %x", &tr, g.cpu.R[:16]); i == 0 {
					first = out
				} else if out != first || tr.vec != x86.ExcBP {
					t.Fatalf("%s: code at %#x, addresses %#x: %s\ninterpreter: %s", g.name, at, a, out, first)
				}
			}
		}
	}
	for i, dump := range dumps {
		for _, op := range []string{"prefetcht0", "prefetcht1", "prefetchnta", "prefetcht2", "prefetchw"} {
			// Once in the listing of the guest's code, and once in that of the host's.
			if n, regions := strings.Count(dump.String(), op+" "), strings.Count(dump.String(), "guest:"); n < 2*regions || regions == 0 {
				t.Errorf("%s: %s is %d times in %d listings", guests[1+i].name, op, n, regions)
			}
		}
	}
}
