package smbios_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"hotblock/devices/smbios"
)

func TestTables(t *testing.T) {
	a, b := smbios.Build(smbios.Config{CPUs: 3, RAM: 64 << 30}, 0xf1000)
	sum := func(p []byte) (s byte) {
		for _, x := range p {
			s += x
		}
		return s
	}
	if len(a) != 31 || sum(a) != 0 || sum(a[16:]) != 0 || string(a[16:21]) != "_DMI_" {
		t.Errorf("entry point % x", a)
	}
	le := binary.LittleEndian
	if int(le.Uint16(a[22:])) != len(b) || le.Uint32(a[24:]) != 0xf1000 {
		t.Error("the entry point has another length or address")
	}
	n, largest := 0, 0
	types := map[byte]int{}
	lengths := map[byte]int{0: 24, 1: 27, 3: 21, 4: 42, 16: 23, 17: 40, 19: 31, 32: 11, 127: 4}
	for p := b; len(p) > 0; {
		if int(p[1]) != lengths[p[0]] {
			t.Errorf("type %d is %d bytes long, the specification has %d", p[0], p[1], lengths[p[0]])
		}
		types[p[0]]++
		n++
		end := int(p[1]) + bytes.Index(p[p[1]:], []byte{0, 0}) + 2
		largest = max(largest, end)
		p = p[end:]
	}
	if n != int(le.Uint16(a[28:])) || largest != int(le.Uint16(a[8:])) || types[4] != 3 || types[127] != 1 {
		t.Errorf("%d structures, largest %d: %v", n, largest, types)
	}
}
