package cpuid

import (
	"runtime"
	"testing"
)

func TestLeaf(t *testing.T) {
	for _, leaf := range []uint32{0x8fffffff, 0x7fffffff} {
		if a, b, c, d := Leaf(leaf, 0); a|b|c|d != 0 {
			t.Errorf("leaf %#x, which no processor has, gave %#x, %#x, %#x, %#x", leaf, a, b, c, d)
		}
	}
	if a, _, _, _ := Leaf(0, 0); a == 0 && runtime.GOARCH == "amd64" {
		t.Error("there is no leaf 1")
	}
}
