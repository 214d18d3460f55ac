package machine

import (
	"io"
	"testing"

	"hotblock/devices"
)

func testBoard(t testing.TB, change func(*BoardConfig)) (*Board, *devices.ManualClock) {
	t.Helper()
	clock := devices.NewManualClock()
	cfg := BoardConfig{RAM: 16 << 20, CPUs: 2, Clock: clock, Serial: []io.Writer{io.Discard, io.Discard}}
	if change != nil {
		change(&cfg)
	}
	b, err := NewBoard(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b, clock
}

func TestDirectBoot(t *testing.T) {
	b, _ := testBoard(t, nil)
	rsdp, err := b.DirectBoot()
	if err != nil {
		t.Fatal(err)
	}
	if rsdp < 0xe0000 || rsdp >= 0x100000 {
		t.Errorf("RSDP at %#x, where no kernel looks", rsdp)
	}
	var sig [8]byte
	b.Mem.Read(rsdp, sig[:])
	if string(sig[:]) != "RSD PTR " {
		t.Errorf("at the RSDP is %q", sig)
	}
	var end uint64
	for _, r := range b.E820() {
		if r.Base < end || r.Size == 0 {
			t.Errorf("E820 range %#x+%#x overlaps the one before it or is empty", r.Base, r.Size)
		}
		end = r.Base + r.Size
	}
}
