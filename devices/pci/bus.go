// Package pci is a conventional PCI bus: configuration space by mechanism 1
// (ports 0xcf8 and 0xcfc) and by memory (ECAM), base address registers that
// move windows in memory and port space, INTx, MSI and MSI-X.
//
// # Where BARs go
//
// After each configuration write that can move a window, the bus works out
// where all of them should be and changes the difference. Memory windows are
// decoded only inside the ranges that the host bridge forwards to PCI
// (AddWindow), so that no guest can lay a BAR over RAM or over another chip's
// registers. Ports of BARs give way to those that the board claims.
//
// # Locks
//
// The bus's lock is held over configuration accesses and thus before a
// device's lock, which a device may hold when it calls Function methods that
// raise interrupts or do DMA; those take the function's own lock only.
package pci

import (
	"fmt"
	"sort"
	"sync"

	"hotblock/devices"
	"hotblock/mmu"
)

// Configuration registers (PCI Local Bus Specification 3.0, 6.1).
const (
	RegVendor    = 0x00
	RegDevice    = 0x02
	RegCommand   = 0x04
	RegStatus    = 0x06
	RegRevision  = 0x08
	RegClass     = 0x09
	RegCacheLine = 0x0c
	RegLatency   = 0x0d
	RegHeader    = 0x0e
	RegBAR0      = 0x10
	RegSubVendor = 0x2c
	RegROM       = 0x30
	RegCapPtr    = 0x34
	RegIntLine   = 0x3c
	RegIntPin    = 0x3d
)

// Command register bits.
const (
	CmdIO        = 1 << 0
	CmdMem       = 1 << 1
	CmdBusMaster = 1 << 2
	CmdNoINTx    = 1 << 10
)

// Router tells where INTx pins end.
type Router interface {
	// INTx returns the wire of pin (0 is INTA) of the slot. Each call gives a
	// source of its own.
	INTx(slot, pin int) devices.IRQLine
}

// Bus is bus 0.
type Bus struct {
	mem    *mmu.Memory
	ports  *devices.PortBus
	msi    func(addr uint64, data uint32)
	router Router

	// CF9, where set before the machine runs, gets byte accesses to port
	// 0xcf9, which lies inside the address register.
	CF9 devices.PortDevice

	mu      sync.Mutex
	addr    uint32
	fns     [256]*Function
	windows [][2]uint64
	mapped  []mapping
}

// mapping is a memory or port window of a BAR that is in place.
type mapping struct {
	f     *Function
	bar   int
	base  uint64
	size  uint64
	io    bool
	claim *devices.PortClaim
}

// NewBus returns an empty bus. msi delivers a message-signalled interrupt.
func NewBus(mem *mmu.Memory, ports *devices.PortBus, msi func(addr uint64, data uint32), router Router) *Bus {
	b := &Bus{mem: mem, ports: ports, msi: msi, router: router}
	ports.Claim(0xcf8, 8, 4, b)
	return b
}

// AddWindow lets memory BARs be decoded in [base, base+size).
func (b *Bus) AddWindow(base, size uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.windows = append(b.windows, [2]uint64{base, base + size})
}

// Add puts f at slot (0 to 31) and function (0 to 7) number fn.
func (b *Bus) Add(slot, fn int, f *Function) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slot < 0 || slot > 31 || fn < 0 || fn > 7 {
		return fmt.Errorf("PCI address %02x.%d is not on the bus", slot, fn)
	}
	devfn := slot<<3 | fn
	if o := b.fns[devfn]; o != nil {
		return fmt.Errorf("PCI address %02x.%d has %s already", slot, fn, o.Name)
	}
	f.bus, f.slot, f.fn = b, slot, fn
	if pin := f.cfg[RegIntPin]; pin != 0 && b.router != nil {
		f.intx = b.router.INTx(slot, int(pin-1)&3)
	}
	b.fns[devfn] = f
	if fn != 0 && b.fns[slot<<3] != nil {
		b.fns[slot<<3].setDefault(RegHeader, 0x80)
	}
	if fn == 0 {
		for i := 1; i < 8; i++ {
			if b.fns[slot<<3|i] != nil {
				f.setDefault(RegHeader, 0x80)
			}
		}
	}
	b.layout()
	return nil
}

// FreeSlot returns the first slot from first on that has no function, or -1.
func (b *Bus) FreeSlot(first int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := first; s < 32; s++ {
		if b.fns[s<<3] == nil {
			return s
		}
	}
	return -1
}

// Functions returns what is on the bus, by slot and function.
func (b *Bus) Functions() []*Function {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []*Function
	for _, f := range b.fns {
		if f != nil {
			out = append(out, f)
		}
	}
	return out
}

// Reset brings every function's configuration space to its reset state. The
// devices themselves are reset by their owner.
func (b *Bus) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addr = 0
	for _, f := range b.fns {
		if f != nil {
			f.reset()
		}
	}
	b.layout()
}

// ReadConfig reads size bytes of configuration space. Functions that do not
// exist read as ones.
func (b *Bus) ReadConfig(bus, devfn, off, size int) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bus != 0 || b.fns[devfn&0xff] == nil {
		return devices.Ones(size)
	}
	return b.fns[devfn&0xff].read(off, size)
}

// WriteConfig writes size bytes of configuration space.
func (b *Bus) WriteConfig(bus, devfn, off, size int, v uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.fns[devfn&0xff]
	if bus != 0 || f == nil {
		return
	}
	f.write(off, size, v)
	if off < RegCommand+2 || off+size > RegBAR0 && off < RegROM+4 {
		b.layout()
	}
	if f.OnConfig != nil {
		f.OnConfig(off, size)
	}
}

// ReadPort implements devices.PortDevice for 0xcf8-0xcff.
func (b *Bus) ReadPort(port uint16, size int) uint32 {
	if port < 0xcfc {
		switch {
		case port == 0xcf8 && size == 4:
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.addr
		case port == 0xcf9 && size == 1 && b.CF9 != nil:
			return b.CF9.ReadPort(port, size)
		}
		return devices.Ones(size)
	}
	a := b.address()
	if a>>31 == 0 {
		return devices.Ones(size)
	}
	return b.ReadConfig(int(a>>16&0xff), int(a>>8&0xff), int(a&0xfc)|int(port&3), size)
}

// WritePort implements devices.PortDevice for 0xcf8-0xcff.
func (b *Bus) WritePort(port uint16, size int, v uint32) {
	if port < 0xcfc {
		switch {
		case port == 0xcf8 && size == 4:
			b.mu.Lock()
			b.addr = v & 0x80fffffc
			b.mu.Unlock()
		case port == 0xcf9 && size == 1 && b.CF9 != nil:
			b.CF9.WritePort(port, size, v)
		}
		return
	}
	if a := b.address(); a>>31 != 0 {
		b.WriteConfig(int(a>>16&0xff), int(a>>8&0xff), int(a&0xfc)|int(port&3), size, v)
	}
}

func (b *Bus) address() uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addr
}

// ECAM is the bus's configuration space in memory (PCI Express Base
// Specification, 7.2.2): 1 MiB for each of 256 buses.
type ECAM struct{ Bus *Bus }

// ECAMSize is the size of the window in bytes.
const ECAMSize = 256 << 20

// ReadMMIO implements mmu.MMIO.
func (e ECAM) ReadMMIO(off uint64, size int) uint64 {
	if size == 8 {
		return e.ReadMMIO(off, 4) | e.ReadMMIO(off+4, 4)<<32
	}
	if off >= ECAMSize || int(off&0xfff)+size > 0x1000 {
		return ^uint64(0)
	}
	return uint64(e.Bus.ReadConfig(int(off>>20), int(off>>12&0xff), int(off&0xfff), size))
}

// WriteMMIO implements mmu.MMIO.
func (e ECAM) WriteMMIO(off uint64, size int, v uint64) {
	if size == 8 {
		e.WriteMMIO(off, 4, v&0xffffffff)
		e.WriteMMIO(off+4, 4, v>>32)
		return
	}
	if off >= ECAMSize || int(off&0xfff)+size > 0x1000 {
		return
	}
	e.Bus.WriteConfig(int(off>>20), int(off>>12&0xff), int(off&0xfff), size, uint32(v))
}

// inWindow reports whether the bridge forwards the range to PCI.
func (b *Bus) inWindow(base, size uint64) bool {
	for _, w := range b.windows {
		if base >= w[0] && base < w[1] && w[1]-base >= size {
			return true
		}
	}
	return false
}

// layout puts the windows of all BARs where they should be.
func (b *Bus) layout() {
	var want []mapping
	for _, f := range b.fns {
		if f == nil {
			continue
		}
		for i := range f.bars {
			base, on := f.barBase(i)
			if !on {
				continue
			}
			m := mapping{f: f, bar: i, base: base, size: f.bars[i].Size, io: f.bars[i].Kind == IO}
			if m.io && base+m.size > 0x10000 || !m.io && !b.inWindow(base, m.size) {
				continue
			}
			want = append(want, m)
		}
	}
	var kept, gone []mapping
	for _, m := range b.mapped {
		if i := find(want, m); i >= 0 {
			kept = append(kept, m)
			want = append(want[:i], want[i+1:]...)
		} else {
			gone = append(gone, m)
		}
	}
	for _, m := range gone {
		if m.io {
			b.ports.Release(m.claim)
		} else {
			b.mem.Unmap(m.base, m.size)
		}
	}
	for _, k := range kept {
		for _, g := range gone {
			if !k.io && !g.io && k.base < g.base+g.size && g.base < k.base+k.size {
				b.mem.Map(k.region()) // it lay partly under what went
				break
			}
		}
	}
	for _, m := range want {
		bar := &m.f.bars[m.bar]
		if m.io {
			m.claim = b.ports.ClaimWeak(uint16(m.base), int(m.size), 4, offsetPorts{bar.Ports, uint16(m.base)})
		} else {
			b.mem.Map(m.region())
		}
		kept = append(kept, m)
	}
	b.mapped = kept
}

func find(ms []mapping, m mapping) int {
	for i, x := range ms {
		if x.f == m.f && x.bar == m.bar && x.base == m.base {
			return i
		}
	}
	return -1
}

func (m *mapping) region() mmu.Region {
	bar := &m.f.bars[m.bar]
	r := mmu.Region{Name: fmt.Sprintf("%s BAR %d", m.f.Name, m.bar), Base: m.base, Size: m.size}
	switch {
	case bar.Block != nil && m.bar == ROMBAR:
		r.Kind, r.Blk = mmu.ROM, bar.Block
	case bar.Block != nil:
		r.Kind, r.Blk = mmu.RAM, bar.Block
	default:
		r.Kind, r.Dev = mmu.IO, bar.MMIO
	}
	return r
}

// offsetPorts gives a BAR's device port numbers that count from its base.
type offsetPorts struct {
	dev  devices.PortDevice
	base uint16
}

func (o offsetPorts) ReadPort(port uint16, size int) uint32 {
	return o.dev.ReadPort(port-o.base, size)
}
func (o offsetPorts) WritePort(port uint16, size int, v uint32) {
	o.dev.WritePort(port-o.base, size, v)
}

// Assign does what firmware does before it starts a system: it gives every BAR
// an address (memory from the windows in the order they were added, from each
// window's top; ports from ioBase up), and switches decoding and bus mastering on.
// It fails where they do not fit.
func (b *Bus) Assign(ioBase uint16) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	type want struct {
		f   *Function
		bar int
	}
	var mems []want
	io := uint64(ioBase)
	for _, f := range b.fns {
		if f == nil {
			continue
		}
		for i := range f.bars {
			bar := &f.bars[i]
			switch {
			case bar.Size == 0 || i == ROMBAR:
			case bar.Kind == IO:
				io = (io + bar.Size - 1) &^ (bar.Size - 1)
				if io+bar.Size > 0x10000 {
					return fmt.Errorf("no ports left for %s", f.Name)
				}
				f.write(RegBAR0+4*i, 4, uint32(io))
				io += bar.Size
			default:
				mems = append(mems, want{f, i})
			}
		}
	}
	sort.SliceStable(mems, func(i, j int) bool {
		return mems[i].f.bars[mems[i].bar].Size > mems[j].f.bars[mems[j].bar].Size
	})
	top := make([]uint64, len(b.windows))
	for i, w := range b.windows {
		top[i] = w[1]
	}
place:
	for _, m := range mems {
		bar := &m.f.bars[m.bar]
		for i, w := range b.windows {
			if w[0]>>32 != 0 && bar.Kind != Mem64 || top[i] < w[0]+bar.Size {
				continue
			}
			base := (top[i] - bar.Size) &^ (bar.Size - 1)
			if base < w[0] {
				continue
			}
			top[i] = base
			m.f.write(RegBAR0+4*m.bar, 4, uint32(base))
			if bar.Kind == Mem64 {
				m.f.write(RegBAR0+4*m.bar+4, 4, uint32(base>>32))
			}
			continue place
		}
		return fmt.Errorf("no memory addresses left for %s", m.f.Name)
	}
	for _, f := range b.fns {
		if f != nil {
			f.write(RegCommand, 2, f.read(RegCommand, 2)|CmdIO|CmdMem|CmdBusMaster)
			if f.OnConfig != nil {
				f.OnConfig(RegCommand, 2)
			}
		}
	}
	b.layout()
	return nil
}
