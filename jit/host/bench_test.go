//go:build linux && amd64

package host

import (
	"testing"

	"hotblock/internal/cpuid"
)

// BenchmarkEnter is a round trip into generated code that only leaves.
func BenchmarkEnter(b *testing.B) {
	need(b)
	s := newArena(b, 4096)
	code := s.exit()
	Serialize()
	onFrame(b, func(f *Frame) {
		b.ReportAllocs()
		for b.Loop() {
			Enter(f, code)
		}
	})
}

// BenchmarkFault is a round trip with a fault in it: the signal, the stub, the
// way out.
func BenchmarkFault(b *testing.B) {
	need(b)
	s := newArena(b, 4096)
	code := s.emit(0x0f, 0x0b)
	stub := s.exit()
	Serialize()
	onFrame(b, func(f *Frame) {
		f.FaultExit = stub
		for b.Loop() {
			Enter(f, code)
		}
	})
}

func BenchmarkSerialize(b *testing.B) {
	need(b)
	for b.Loop() {
		Serialize()
	}
}

// BenchmarkCPUID is what Serialize avoids.
func BenchmarkCPUID(b *testing.B) {
	need(b)
	for b.Loop() {
		cpuid.Exec(0x80000001, 0)
	}
}

func BenchmarkSetGS(b *testing.B) {
	need(b)
	onFrame(b, func(f *Frame) {
		for b.Loop() {
			SetGS(f.Self)
		}
	})
}

// BenchmarkSetGSCall is SetGS on a host without FSGSBASE.
func BenchmarkSetGSCall(b *testing.B) {
	need(b)
	onFrame(b, func(f *Frame) {
		for b.Loop() {
			setGSCall(f.Self)
		}
	})
}
