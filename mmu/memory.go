// Package mmu is the machine's memory as the CPU and the devices see it:
// guest-physical memory made of regions, and the page walk that puts a linear
// address on top of it. TLBs are the engines' own.
//
// # Guest-physical memory
//
// A Memory is a sorted list of regions that do not overlap, each a whole
// number of 4 KiB pages. A RAM or ROM region is a window on a Block, a piece
// of host memory off the Go heap that costs nothing until it is touched. An
// MMIO region hands every access to a device. The list is replaced as a whole
// when the layout changes (PAM shadowing, a PCI BAR that moves), so readers
// never lock.
//
// Each page of a Block has a word of flags: whether the guest wrote it since
// the word was last cleared, and whether an engine keeps decoded or translated
// code of it. A write to a page with PageCode set must be reported, so that
// engines can drop that code; engines see to it that their write TLBs never
// hold such a page. Only an engine that has the machine to itself need not report a
// write to bytes that it knows no code was made of.
package mmu

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
)

// PageSize is the size in bytes of the smallest unit of mapping.
const PageSize = 4096

// Flags of a page of a Block.
const (
	PageDirty  uint32 = 1 << iota // written since the flag was last cleared
	PageCode                      // some engine holds decoded code of this page
	PageStored                    // some engine's write TLB may hold this page
)

// MMIO is a device's window in guest-physical memory. off counts bytes from
// the window's base and is always inside the window; size is 1, 2, 4 or 8, and
// off+size may pass the end of the window by at most 7 bytes, which a device
// reads as ones and ignores on writing. Calls may come from any CPU's
// goroutine at once.
type MMIO interface {
	ReadMMIO(off uint64, size int) uint64
	WriteMMIO(off uint64, size int, v uint64)
}

// Kind says what stands behind a region.
type Kind uint8

// Kinds of region. A ROM region reads as memory and ignores writes.
const (
	RAM Kind = iota
	ROM
	IO
)

// A Block is host memory that regions show to the guest.
type Block struct {
	Name  string
	Bytes []byte   // page-aligned, a whole number of pages
	flags []uint32 // one word a page, accessed atomically
	file  int      // the descriptor of the memory file that Bytes maps, or -1
}

// File returns the descriptor of the file that the block's memory is, from its start
// on; ok is false where it is no file. It stays the block's.
func (b *Block) File() (fd int, ok bool) { return b.file, b.file >= 0 }

// NewBlock allocates size bytes of zeroed host memory, rounded up to pages.
// The host gives it pages as they are first touched. It fails where the host
// has no such address range to give.
func NewBlock(name string, size uint64) (*Block, error) {
	size = (size + PageSize - 1) &^ (PageSize - 1)
	b, file, err := allocHost(size)
	if err != nil {
		return nil, fmt.Errorf("cannot reserve %d MiB for %s: %w", size>>20, name, err)
	}
	return &Block{Name: name, Bytes: b, flags: make([]uint32, size/PageSize), file: file}, nil
}

// Flags returns the flag word of the page that holds byte off of the block.
func (b *Block) Flags(off uint64) uint32 { return atomic.LoadUint32(&b.flags[off/PageSize]) }

// SetFlags sets flags f of the page that holds byte off of the block, and
// returns the word as it was before.
func (b *Block) SetFlags(off uint64, f uint32) uint32 {
	p := &b.flags[off/PageSize]
	if old := atomic.LoadUint32(p); old&f == f {
		return old
	}
	return atomic.OrUint32(p, f)
}

// ClearFlags clears flags f of the page that holds byte off of the block, and
// returns the word as it was before.
func (b *Block) ClearFlags(off uint64, f uint32) uint32 {
	return atomic.AndUint32(&b.flags[off/PageSize], ^f)
}

// A Region is a range of guest-physical addresses.
type Region struct {
	Name string
	Base uint64 // guest-physical, page-aligned
	Size uint64 // bytes, a whole number of pages
	Kind Kind
	Blk  *Block // RAM and ROM
	Off  uint64 // where the region starts in Blk
	Dev  MMIO   // IO
	// WriteDev, where set on a ROM region, gets the CPUs' writes, which the ROM
	// ignores; a device's are lost.
	WriteDev MMIO
}

// Host returns the bytes behind the page that holds pa, which must lie in a
// RAM or ROM region.
func (r *Region) Host(pa uint64) []byte {
	o := r.Off + (pa-r.Base)&^(PageSize-1)
	return r.Blk.Bytes[o : o+PageSize : o+PageSize]
}

// Memory is a guest-physical address space. The zero value is empty: reads
// give ones and writes go nowhere.
type Memory struct {
	mu      sync.Mutex
	regions atomic.Pointer[[]Region]
	// codeWritten is called after a write by a device changed size bytes at off
	// of a page that has PageCode set; remapped after the layout changed.
	codeWritten []func(b *Block, off, size uint64)
	remapped    []func()
	gen         atomic.Uint64
}

// Map puts r into the address space, over whatever parts of other regions were
// there. Base and Size must be page-aligned and the range must not wrap.
func (m *Memory) Map(r Region) { m.change(r.Base, r.Size, &r) }

// Unmap takes whatever is mapped in the range out of the address space.
func (m *Memory) Unmap(base, size uint64) { m.change(base, size, nil) }

func (m *Memory) change(base, size uint64, add *Region) {
	if base%PageSize != 0 || size%PageSize != 0 || size == 0 || base+size-1 < base {
		panic(fmt.Sprintf("mmu: region %#x+%#x is not a range of whole pages", base, size))
	}
	m.mu.Lock()
	var out []Region
	last := base + (size - 1)
	for _, r := range m.Regions() {
		rlast := r.Base + (r.Size - 1)
		if rlast < base || r.Base > last {
			out = append(out, r)
			continue
		}
		if r.Base < base {
			head := r
			head.Size = base - r.Base
			out = append(out, head)
		}
		if rlast > last {
			tail := r
			tail.Base = last + 1
			tail.Size = rlast - last
			if r.Kind == IO {
				tail.Dev = offsetDev{r.Dev, tail.Base - r.Base}
			} else {
				tail.Off += tail.Base - r.Base
				if r.WriteDev != nil {
					tail.WriteDev = offsetDev{r.WriteDev, tail.Base - r.Base}
				}
			}
			out = append(out, tail)
		}
	}
	if add != nil {
		out = append(out, *add)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Base < out[j].Base })
	m.regions.Store(&out)
	m.gen.Add(1)
	hooks := m.remapped
	m.mu.Unlock()
	for _, f := range hooks {
		f()
	}
}

// offsetDev is the device behind the tail of a region that another region cut
// in two.
type offsetDev struct {
	dev MMIO
	off uint64
}

func (d offsetDev) ReadMMIO(off uint64, size int) uint64 { return d.dev.ReadMMIO(off+d.off, size) }
func (d offsetDev) WriteMMIO(off uint64, size int, v uint64) {
	d.dev.WriteMMIO(off+d.off, size, v)
}

// Regions returns the regions by rising base. The slice is not to be changed.
func (m *Memory) Regions() []Region {
	if p := m.regions.Load(); p != nil {
		return *p
	}
	return nil
}

// Generation counts changes of the layout.
func (m *Memory) Generation() uint64 { return m.gen.Load() }

// OnCodeWrite adds a function that is called after a write through this Memory
// (by a device, or by another engine) changed size bytes at off of a page of b
// that has PageCode set. It may be called from any goroutine.
func (m *Memory) OnCodeWrite(f func(b *Block, off, size uint64)) {
	m.mu.Lock()
	m.codeWritten = append(m.codeWritten[:len(m.codeWritten):len(m.codeWritten)], f)
	m.mu.Unlock()
}

// OnRemap adds a function that is called after the layout changed; TLBs are
// stale then. It may be called from any goroutine.
func (m *Memory) OnRemap(f func()) {
	m.mu.Lock()
	m.remapped = append(m.remapped[:len(m.remapped):len(m.remapped)], f)
	m.mu.Unlock()
}

// Find returns the region that holds pa, or nil.
func (m *Memory) Find(pa uint64) *Region {
	rs := m.Regions()
	lo, hi := 0, len(rs)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if rs[mid].Base <= pa {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return nil
	}
	if r := &rs[lo-1]; pa-r.Base < r.Size {
		return r
	}
	return nil
}

// Touched reports a write of size bytes at off of b, which must not leave the
// page: it marks the page dirty and tells the engines when the page has code.
func (m *Memory) Touched(b *Block, off, size uint64) {
	if b.SetFlags(off, PageDirty)&PageCode != 0 {
		m.mu.Lock()
		hooks := m.codeWritten
		m.mu.Unlock()
		for _, f := range hooks {
			f(b, off, size)
		}
	}
}

// Read fills p from guest-physical memory at pa. Where nothing is mapped it
// reads ones.
func (m *Memory) Read(pa uint64, p []byte) {
	for len(p) > 0 {
		n := min(PageSize-int(pa%PageSize), len(p))
		switch r := m.Find(pa); {
		case r == nil:
			for i := range p[:n] {
				p[i] = 0xff
			}
		case r.Kind == IO:
			for i := range p[:n] {
				p[i] = byte(r.Dev.ReadMMIO(pa-r.Base+uint64(i), 1))
			}
		default:
			copy(p[:n], r.Host(pa)[pa%PageSize:])
		}
		p = p[n:]
		pa += uint64(n)
	}
}

// Write puts p into guest-physical memory at pa, as a device's DMA does: ROM
// and holes ignore it, and engines drop code that it overwrites.
func (m *Memory) Write(pa uint64, p []byte) {
	for len(p) > 0 {
		n := min(PageSize-int(pa%PageSize), len(p))
		switch r := m.Find(pa); {
		case r == nil, r.Kind == ROM:
		case r.Kind == IO:
			for i, b := range p[:n] {
				r.Dev.WriteMMIO(pa-r.Base+uint64(i), 1, uint64(b))
			}
		default:
			copy(r.Host(pa)[pa%PageSize:], p[:n])
			m.Touched(r.Blk, r.Off+pa-r.Base, uint64(n))
		}
		p = p[n:]
		pa += uint64(n)
	}
}

// ReadUint reads size (1, 2, 4 or 8) bytes at pa, little-endian. An access
// that lies in one MMIO region reaches its device as one access.
func (m *Memory) ReadUint(pa uint64, size int) uint64 {
	if r := m.Find(pa); r != nil && pa%PageSize <= uint64(PageSize-size) {
		if r.Kind == IO {
			return r.Dev.ReadMMIO(pa-r.Base, size) & (^uint64(0) >> (64 - 8*uint(size)))
		}
		return getUint(r.Host(pa)[pa%PageSize:], size)
	}
	var b [8]byte
	m.Read(pa, b[:size])
	return binary.LittleEndian.Uint64(b[:])
}

// WriteUint writes size (1, 2, 4 or 8) bytes at pa, little-endian. An access
// that lies in one MMIO region reaches its device as one access.
func (m *Memory) WriteUint(pa uint64, size int, v uint64) {
	if r := m.Find(pa); r != nil && r.Kind == IO && pa%PageSize <= uint64(PageSize-size) {
		r.Dev.WriteMMIO(pa-r.Base, size, v&(^uint64(0)>>(64-8*uint(size))))
		return
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	m.Write(pa, b[:size])
}

func getUint(b []byte, size int) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}
