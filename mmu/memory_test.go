package mmu

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func block(t testing.TB, pages uint64) *Block {
	t.Helper()
	b, err := NewBlock("test", pages*PageSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Free)
	return b
}

// access is one access that a device saw.
type access struct {
	write bool
	off   uint64
	size  int
	v     uint64
}

// device answers with the offset, and notes what it is asked.
type device struct{ seen []access }

func (d *device) ReadMMIO(off uint64, size int) uint64 {
	d.seen = append(d.seen, access{false, off, size, 0})
	return 0x1122334455667700 + off
}

func (d *device) WriteMMIO(off uint64, size int, v uint64) {
	d.seen = append(d.seen, access{true, off, size, v})
}

func (d *device) expect(t *testing.T, want ...access) {
	t.Helper()
	if !slices.Equal(d.seen, want) {
		t.Errorf("the device saw %v, want %v", d.seen, want)
	}
	d.seen = nil
}

// TestMapModel maps and unmaps ranges at random and compares Find, page by page,
// with an array that says what was put where last.
func TestMapModel(t *testing.T) {
	const pages = 64
	b := block(t, pages)
	type page struct {
		name string
		off  uint64 // in the block or the device
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		m := new(Memory)
		var model [pages]page
		for step := range 30 {
			first := uint64(r.IntN(pages))
			n := 1 + uint64(r.IntN(int(pages-first)))
			reg := Region{Name: string(rune('a' + step)), Base: first * PageSize, Size: n * PageSize, Kind: Kind(r.IntN(3))}
			if reg.Kind == IO {
				reg.Dev = &device{}
			} else {
				reg.Blk, reg.Off = b, uint64(r.IntN(int(pages-n+1)))*PageSize
			}
			gen := m.Generation()
			if r.IntN(4) == 0 {
				m.Unmap(reg.Base, reg.Size)
				reg.Name = ""
			} else {
				m.Map(reg)
			}
			if m.Generation() == gen {
				t.Fatal("a change of the layout that Generation does not count")
			}
			for i := range n {
				model[first+i] = page{reg.Name, reg.Off + i*PageSize}
				if reg.Name == "" {
					model[first+i].off = 0
				}
			}
			end := uint64(0)
			for _, x := range m.Regions() {
				if x.Base < end || x.Size == 0 {
					t.Fatalf("regions overlap or are out of order: %+v", m.Regions())
				}
				end = x.Base + x.Size
			}
			for i, want := range model {
				pa := uint64(i)*PageSize + uint64(r.IntN(PageSize))
				x := m.Find(pa)
				var got page
				if x != nil {
					got = page{x.Name, x.Off + (pa-x.Base)&^(PageSize-1)}
					if x.Kind == IO {
						var d *device
						switch v := x.Dev.(type) {
						case *device:
							d = v
						case offsetDev:
							for inner := MMIO(v); d == nil; {
								switch w := inner.(type) {
								case offsetDev:
									inner = w.dev
								case *device:
									d = w
								}
							}
						}
						x.Dev.ReadMMIO((pa-x.Base)&^(PageSize-1), 1)
						got.off = d.seen[len(d.seen)-1].off
					}
				}
				if got != want {
					t.Fatalf("page %d is %+v, want %+v", i, got, want)
				}
			}
		}
	}
}

// TestMapRefuses checks that ranges which are no ranges of pages are bugs of the
// caller.
func TestMapRefuses(t *testing.T) {
	for _, r := range [][2]uint64{{1, PageSize}, {0, 100}, {0, 0}, {^uint64(0) &^ 0xfff, 2 * PageSize}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Unmap(%#x, %#x) did not panic", r[0], r[1])
				}
			}()
			new(Memory).Unmap(r[0], r[1])
		}()
	}
	m := new(Memory)
	m.Map(Region{Base: ^uint64(0) &^ 0xfff, Size: PageSize, Kind: IO, Dev: &device{}}) // the last page
	if m.Find(^uint64(0)) == nil || m.Find(0) != nil {
		t.Error("the last page of the address space is not found")
	}
}

// TestSplitROMKeepsWriteOffset is for a bug: the tail of a ROM region that
// another region had cut in two passed writes on with offsets from its own start.
func TestSplitROMKeepsWriteOffset(t *testing.T) {
	m := new(Memory)
	var d device
	m.Map(Region{Size: 4 * PageSize, Kind: ROM, Blk: block(t, 4), WriteDev: &d})
	m.Unmap(PageSize, PageSize)
	r := m.Find(3 * PageSize)
	r.WriteDev.WriteMMIO(3*PageSize-r.Base, 4, 7)
	d.expect(t, access{true, 3 * PageSize, 4, 7})
}

func TestReadWrite(t *testing.T) {
	m := new(Memory)
	ram, rom := block(t, 2), block(t, 1)
	var d device
	for i := range rom.Bytes {
		rom.Bytes[i] = byte(i)
	}
	// RAM, RAM, ROM, a hole, a device.
	m.Map(Region{Size: 2 * PageSize, Blk: ram})
	m.Map(Region{Base: 2 * PageSize, Size: PageSize, Kind: ROM, Blk: rom})
	m.Map(Region{Base: 4 * PageSize, Size: PageSize, Kind: IO, Dev: &d})

	data := []byte("0123456789abcdef")
	m.Write(2*PageSize-8, data) // half in RAM, half in ROM
	m.Write(3*PageSize-4, data[:8])
	if got := string(ram.Bytes[2*PageSize-8:]); got != "01234567" {
		t.Errorf("RAM has %q", got)
	}
	if rom.Bytes[0] != 0 || rom.Bytes[7] != 7 || rom.Bytes[PageSize-1] != 0xff {
		t.Error("a write changed ROM")
	}
	p := make([]byte, 12)
	m.Read(2*PageSize-4, p)
	if !bytes.Equal(p, []byte{'4', '5', '6', '7', 0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("read %v over the end of RAM", p)
	}
	m.Read(3*PageSize-2, p[:4])
	if !bytes.Equal(p[:4], []byte{0xfe, 0xff, 0xff, 0xff}) {
		t.Errorf("read %v into a hole", p[:4])
	}
	if len(d.seen) != 0 {
		t.Errorf("the device saw %v", d.seen)
	}

	for _, size := range []int{1, 2, 4, 8} {
		mask := ^uint64(0) >> (64 - 8*size)
		for _, pa := range []uint64{0x10, 0x11, PageSize - 1, PageSize - 3} {
			const v = 0x8877665544332211
			m.WriteUint(pa, size, v)
			if got := m.ReadUint(pa, size); got != v&mask {
				t.Errorf("%d bytes at %#x: read %#x", size, pa, got)
			}
			if got := uint64(ram.Bytes[pa]); got != 0x11 {
				t.Errorf("%d bytes at %#x: first byte %#x", size, pa, got)
			}
		}
		if got := m.ReadUint(3*PageSize+8, size); got != mask {
			t.Errorf("a hole reads %#x in %d bytes", got, size)
		}
		if got := m.ReadUint(4*PageSize+8, size); got != 0x1122334455667708&mask {
			t.Errorf("the device reads %#x in %d bytes", got, size)
		}
		m.WriteUint(4*PageSize+8, size, ^uint64(0))
		d.expect(t, access{false, 8, size, 0}, access{true, 8, size, mask})
	}
	// What leaves the device's window reaches it in bytes.
	m.WriteUint(5*PageSize-1, 4, 0x04030201)
	d.expect(t, access{true, PageSize - 1, 1, 1})
	m.Read(4*PageSize, p[:2])
	d.expect(t, access{false, 0, 1, 0}, access{false, 1, 1, 0})
}

// TestTouched checks that a write marks its pages dirty, and is reported exactly
// where a page has code.
func TestTouched(t *testing.T) {
	m := new(Memory)
	b := block(t, 4)
	m.Map(Region{Base: 0x10000, Size: 3 * PageSize, Blk: b, Off: PageSize})
	type write struct{ off, size uint64 }
	var got []write
	m.OnCodeWrite(func(blk *Block, off, size uint64) {
		if blk != b {
			t.Error("a block that was not written")
		}
		got = append(got, write{off, size})
	})
	b.SetFlags(2*PageSize, PageCode)
	m.Write(0x10000+PageSize-2, make([]byte, PageSize+5))
	if want := []write{{2 * PageSize, PageSize}}; !slices.Equal(got, want) {
		t.Errorf("reported %v, want %v", got, want)
	}
	for i, want := range []uint32{0, PageDirty, PageDirty | PageCode, PageDirty} {
		if f := b.Flags(uint64(i) * PageSize); f != want {
			t.Errorf("page %d has flags %#x, want %#x", i, f, want)
		}
	}
	if old := b.ClearFlags(2*PageSize+99, PageCode); old != PageDirty|PageCode {
		t.Errorf("ClearFlags found %#x", old)
	}
	if old := b.SetFlags(2*PageSize, PageDirty); old != PageDirty {
		t.Errorf("SetFlags found %#x", old)
	}
	got = nil
	m.WriteUint(0x11000, 8, 1)
	if got != nil {
		t.Errorf("reported %v of a page without code", got)
	}
}

func TestOnRemap(t *testing.T) {
	m := new(Memory)
	n := 0
	m.OnRemap(func() {
		n++
		m.Find(0) // hooks may use the memory
	})
	m.Map(Region{Size: PageSize, Kind: IO, Dev: &device{}})
	m.Unmap(0, PageSize)
	if n != 2 {
		t.Errorf("told of %d changes of 2", n)
	}
}

// TestConcurrent changes flags and the layout from several goroutines at once;
// the race detector looks on. No flag may be lost.
func TestConcurrent(t *testing.T) {
	m := new(Memory)
	b := block(t, 8)
	m.Map(Region{Size: 8 * PageSize, Blk: b})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			own := uint32(1) << (8 + i)
			for n := range 2000 {
				if old := b.SetFlags(0, own); old&own != 0 {
					t.Error("a flag that only this goroutine sets was set")
				}
				if old := b.ClearFlags(0, own); old&own == 0 {
					t.Error("a flag was lost")
				}
				if i == 0 && n%10 == 0 {
					m.Map(Region{Base: 16 * PageSize, Size: PageSize, Kind: IO, Dev: offsetDev{}})
					m.Unmap(16*PageSize, PageSize)
				}
				if m.Find(uint64(i)*PageSize) == nil {
					t.Error("RAM was not there for a moment")
				}
				m.Touched(b, uint64(i)*PageSize, 1)
			}
		}()
	}
	wg.Wait()
}
