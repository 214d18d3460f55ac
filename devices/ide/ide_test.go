package ide_test

import (
	"testing"

	"hotblock/devices"
	"hotblock/devices/ide"
)

type rig struct {
	bus  devices.PortBus
	irqs int
}

func newRig() *rig {
	r := &rig{}
	c := ide.New(devices.IRQFunc(func(l bool) {
		if l {
			r.irqs++
		}
	}), devices.NoIRQ)
	c.Attach(&r.bus)
	disk := &devices.MemDisk{Bytes: make([]byte, 128*512)}
	for i := range disk.Bytes {
		disk.Bytes[i] = byte(i/512 + i%512)
	}
	c.AddDisk(0, 0, disk, "1")
	return r
}

// read reads n sectors from lba on with READ SECTORS, by the data port, and returns
// the sum of the words.
func (r *rig) read(lba, n uint32) (sum uint64) {
	r.bus.Out(0x1f2, 1, n)
	r.bus.Out(0x1f3, 1, lba&0xff)
	r.bus.Out(0x1f4, 1, lba>>8&0xff)
	r.bus.Out(0x1f5, 1, lba>>16&0xff)
	r.bus.Out(0x1f6, 1, 0xe0|lba>>24)
	r.bus.Out(0x1f7, 1, 0x20)
	for range n {
		if r.bus.In(0x1f7, 1)&0x89 != 8 {
			return 0 // no data, or an error
		}
		for range 128 {
			sum += uint64(r.bus.In(0x1f0, 4))
		}
	}
	return sum
}

func TestReadSectors(t *testing.T) {
	r := newRig()
	want := uint64(0)
	for s := uint32(7); s < 11; s++ {
		for i := uint32(0); i < 512; i++ {
			want += uint64(byte(s+i)) << (8 * (i & 3))
		}
	}
	if got := r.read(7, 4); got != want {
		t.Errorf("the sum of four sectors is %#x, want %#x", got, want)
	}
	if r.irqs != 4 {
		t.Errorf("%d interrupts for four sectors", r.irqs)
	}
	if st := r.bus.In(0x1f7, 1); st&0x89 != 0 {
		t.Errorf("status %#x when all is read", st)
	}
}

// BenchmarkReadSectors is 4 KiB by programmed I/O, without a CPU.
func BenchmarkReadSectors(b *testing.B) {
	r := newRig()
	b.SetBytes(4096)
	for b.Loop() {
		if r.read(64, 8) == 0 {
			b.Fatal("no data")
		}
	}
}
