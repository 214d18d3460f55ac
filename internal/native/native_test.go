package native

import (
	"runtime"
	"testing"
)

func need(t *testing.T) {
	if !Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
}

// TestRegisters sends distinct values through every register.
func TestRegisters(t *testing.T) {
	need(t)
	s := NewState()
	for i := range s.GPR {
		s.GPR[i] = uint64(i+1) * 0x1111_0000_2222_0001
	}
	s.RFLAGS = 0x8d5
	for i := range s.YMM {
		for j := range s.YMM[i] {
			s.YMM[i][j] = uint64(i<<8 | j + 1)
		}
	}
	s.MXCSR = 0x1f80 | 3<<13
	s.X87.FTW = 0xff
	for i := range s.X87.ST {
		s.X87.ST[i] = F80{1<<63 | uint64(i), 0x3fff}
	}
	want := *s
	r := Run([]byte{0x90}, s)
	if r.Vector != -1 {
		t.Fatalf("fault %+v", r)
	}
	s.RFLAGS &= 0xcd5
	if s.GPR != want.GPR || s.RFLAGS != want.RFLAGS || s.MXCSR != want.MXCSR || s.X87 != want.X87 {
		t.Errorf("state changed:\n%x\n%x", s, want)
	}
	for i := range s.YMM {
		if s.YMM[i] != want.YMM[i] {
			t.Errorf("YMM%d = %x, want %x", i, s.YMM[i], want.YMM[i])
		}
	}
}

func TestFaults(t *testing.T) {
	need(t)
	_, addr := Alloc(4096)
	for _, c := range []struct {
		name string
		code []byte
		want Result
		rax  uint64
	}{
		{"#DE", []byte{0x90, 0x48, 0xf7, 0xf1}, Result{Vector: 0, Off: 1}, 1},                     // div rcx
		{"#BP", []byte{0xcc}, Result{Vector: 3, Off: 1}, 0},                                       // int3
		{"#UD", []byte{0x0f, 0x0b}, Result{Vector: 6}, 0},                                         // ud2
		{"#GP", []byte{0xf4}, Result{Vector: 13}, 0},                                              // hlt
		{"#GP address", []byte{0x8a, 0x00}, Result{Vector: 13}, 1 << 62},                          // mov al,[rax]
		{"#PF", []byte{0x88, 0x00}, Result{Vector: 14, Error: 6, Addr: addr + 4096}, addr + 4096}, // mov [rax],al
		{"#XM", []byte{0xf3, 0x0f, 0x5e, 0xc1}, Result{Vector: 19}, 0},                            // divss xmm0,xmm1
		{"#MF", []byte{0xd9, 0xee, 0xd9, 0xe8, 0xde, 0xf1, 0x9b}, Result{Vector: 16, Off: 6}, 0},  // 1/0; fwait
		{"none", []byte{0x48, 0xff, 0xc0}, Result{Vector: -1}, 0},                                 // inc rax
	} {
		s := NewState()
		s.GPR[0] = c.rax
		s.MXCSR = 0 // all unmasked
		s.X87.FCW = 0x340
		r := Run(c.code, s)
		if r.Vector != 14 {
			r.Addr, r.Error = 0, 0
		}
		if r != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, r, c.want)
		}
	}
}

// TestGoFaults checks that Go's own handling of faults still works.
func TestGoFaults(t *testing.T) {
	need(t)
	Run([]byte{0x90}, NewState())
	defer func() {
		if e, ok := recover().(runtime.Error); !ok {
			t.Errorf("no runtime error: %v", e)
		}
	}()
	var p *int
	*p = 1
}

// TestCollector runs blocks beside a garbage collector at work.
func TestCollector(t *testing.T) {
	need(t)
	done := make(chan bool)
	go func() {
		for range 20 {
			runtime.GC()
		}
		close(done)
	}()
	for i := 0; ; i++ {
		s := NewState()
		s.GPR[0], s.GPR[14] = uint64(i), 0x1234
		if r := Run([]byte{0x4c, 0x01, 0xf0}, s); r.Vector != -1 || s.GPR[0] != uint64(i)+0x1234 { // add rax,r14
			t.Fatalf("%+v %x", r, s.GPR[0])
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func BenchmarkRun(b *testing.B) {
	if !Available {
		b.Skip("the host does not run x86-64 Linux code")
	}
	s := NewState()
	for b.Loop() {
		Run([]byte{0x90}, s)
	}
}
