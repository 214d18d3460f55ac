package pci

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"hotblock/devices"
	"hotblock/mmu"
)

// BARKind is what a base address register asks for.
type BARKind uint8

// Kinds of BAR.
const (
	Mem32 BARKind = iota
	Mem64         // takes the next register too
	IO
)

// ROMBAR is the index of the expansion ROM's base address register.
const ROMBAR = 6

// BAR is one base address register. Size is rounded up to a power of two and,
// for memory, to a page.
type BAR struct {
	Size     uint64
	Kind     BARKind
	Prefetch bool
	MMIO     mmu.MMIO           // memory: the device's window
	Block    *mmu.Block         // memory: or host memory that the guest sees
	Ports    devices.PortDevice // IO: the device; port numbers count from 0
}

// ID is the identity of a function.
type ID struct {
	Vendor, Device       uint16
	Class                uint32 // base class, subclass, programming interface
	Revision             uint8
	SubVendor, SubDevice uint16
	IntPin               uint8 // 0 none, 1 INTA to 4 INTD
}

// Function is one function's configuration space, with what the bus does for
// it. Build it with NewFunction and the Add methods, then put it on a Bus.
type Function struct {
	Name string
	// OnConfig, where set, is called after each configuration write, with the
	// bus's lock held: it must not call the bus.
	OnConfig func(off, size int)

	bus      *Bus
	slot, fn int
	intx     devices.IRQLine

	mu      sync.Mutex
	cfg     [4096]byte
	def     [256]byte // reset values
	mask    [256]byte // bits that can be written
	w1c     [256]byte // bits that writing 1 clears
	bars    [7]BAR
	capEnd  int
	lastCap int
	level   bool
	command atomic.Uint32
	msi     msi
	msix    *msix
}

// NewFunction returns a function with a type 0 header.
func NewFunction(name string, id ID) *Function {
	f := &Function{Name: name, intx: devices.NoIRQ, capEnd: 0x40}
	c := f.cfg[:]
	binary.LittleEndian.PutUint16(c[RegVendor:], id.Vendor)
	binary.LittleEndian.PutUint16(c[RegDevice:], id.Device)
	c[RegRevision] = id.Revision
	c[RegClass], c[RegClass+1], c[RegClass+2] = byte(id.Class), byte(id.Class>>8), byte(id.Class>>16)
	binary.LittleEndian.PutUint16(c[RegSubVendor:], id.SubVendor)
	binary.LittleEndian.PutUint16(c[RegSubVendor+2:], id.SubDevice)
	c[RegIntPin] = id.IntPin
	f.mask[RegCommand], f.mask[RegCommand+1] = 0x47, 0x05
	f.w1c[RegStatus+1] = 0xf9
	f.mask[RegCacheLine], f.mask[RegLatency] = 0xff, 0xff
	f.mask[RegIntLine] = 0xff
	copy(f.def[:], c)
	return f
}

// SetReg makes the bytes from off read as b after reset; writable gives the
// bits that can be written (nil: none). Use it before the function is on a bus.
func (f *Function) SetReg(off int, b []byte, writable []byte) {
	copy(f.def[off:], b)
	copy(f.cfg[off:256], b)
	copy(f.mask[off:], writable)
}

func (f *Function) setDefault(off int, v byte) { f.def[off], f.cfg[off] = v, v }

// AddBAR sets base address register i (0 to 5, or ROMBAR).
func (f *Function) AddBAR(i int, b BAR) {
	b.Size = 1 << bits.Len64(max(b.Size, 1)-1)
	reg, flags := RegBAR0+4*i, uint32(0)
	if i == ROMBAR {
		reg = RegROM
	}
	switch {
	case b.Kind == IO:
		b.Size = max(b.Size, 4)
		flags = 1
	default:
		b.Size = max(b.Size, mmu.PageSize)
		if b.Kind == Mem64 {
			flags |= 4
		}
		if b.Prefetch {
			flags |= 8
		}
	}
	if f.msix != nil && f.msix.bar == i && b.MMIO != nil {
		b.MMIO = &msixWindow{f, b.MMIO}
	}
	f.bars[i] = b
	m := ^(b.Size - 1)
	if i == ROMBAR {
		m |= 1 // enable bit
	}
	binary.LittleEndian.PutUint32(f.mask[reg:], uint32(m))
	binary.LittleEndian.PutUint32(f.def[reg:], flags)
	binary.LittleEndian.PutUint32(f.cfg[reg:], flags)
	if b.Kind == Mem64 && i < 5 {
		binary.LittleEndian.PutUint32(f.mask[reg+4:], uint32(m>>32))
	}
}

// AddCap adds a capability with the given ID; body follows the ID and the link,
// and writable are the bits of body that can be written. It returns the offset
// of the capability.
func (f *Function) AddCap(id byte, body, writable []byte) int {
	off := f.capEnd
	if off+2+len(body) > 256 {
		panic(fmt.Sprintf("pci: no room for capability %#x of %s", id, f.Name))
	}
	link := RegCapPtr
	if f.lastCap != 0 {
		link = f.lastCap + 1
	}
	f.setDefault(link, byte(off))
	f.setDefault(RegStatus, f.def[RegStatus]|0x10)
	f.setDefault(off, id)
	f.setDefault(off+1, 0)
	f.SetReg(off+2, body, writable)
	f.lastCap = off
	f.capEnd = (off + 2 + len(body) + 3) &^ 3
	return off
}

// ReserveCaps makes capabilities start at off or later, past device registers.
func (f *Function) ReserveCaps(off int) { f.capEnd = max(f.capEnd, off) }

// Slot returns the slot and function numbers.
func (f *Function) Slot() (slot, fn int) { return f.slot, f.fn }

// Reg reads size (1, 2 or 4) bytes of configuration space, for a device's own
// use.
func (f *Function) Reg(off, size int) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.get(off, size)
}

// PutReg writes bytes of configuration space whatever the mask says, for a
// device's own use.
func (f *Function) PutReg(off int, b ...byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	copy(f.cfg[off:], b)
}

func (f *Function) get(off, size int) uint32 {
	if off < 0 || off+size > len(f.cfg) {
		return devices.Ones(size)
	}
	var v uint32
	for i := range size {
		v |= uint32(f.cfg[off+i]) << (8 * i)
	}
	return v
}

// reset brings configuration space to its reset state.
func (f *Function) reset() {
	f.mu.Lock()
	copy(f.cfg[:], f.def[:])
	f.command.Store(f.get(RegCommand, 2))
	f.msi.pending = 0
	if f.msix != nil {
		f.msix.reset()
	}
	f.level = false
	f.intx.Set(false)
	f.mu.Unlock()
	if f.OnConfig != nil {
		f.OnConfig(0, 256)
	}
}

func (f *Function) read(off, size int) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.get(off, size)
	for i := range size {
		if off+i == RegStatus && f.level {
			v |= 8 << (8 * i)
		}
	}
	return v
}

func (f *Function) write(off, size int, v uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < 0 || off+size > 256 {
		return
	}
	for i := range size {
		o, b := off+i, byte(v>>(8*i))
		f.cfg[o] = (f.cfg[o]&^f.mask[o] | b&f.mask[o]) &^ (b & f.w1c[o])
	}
	f.command.Store(f.get(RegCommand, 2))
	f.driveINTx()
	f.msiChanged()
}

// barBase is where BAR i asks to be; on is false while it is not decoded.
func (f *Function) barBase(i int) (base uint64, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := &f.bars[i]
	if b.Size == 0 {
		return 0, false
	}
	reg, need := RegBAR0+4*i, uint32(CmdMem)
	if i == ROMBAR {
		reg = RegROM
		if f.cfg[reg]&1 == 0 {
			return 0, false
		}
	}
	if b.Kind == IO {
		need = CmdIO
	}
	base = uint64(f.get(reg, 4)) &^ (max(b.Size, 4) - 1)
	if b.Kind == Mem64 {
		base |= uint64(f.get(reg+4, 4)) << 32
	}
	return base, f.command.Load()&need != 0 && base != 0
}

// BusMaster reports whether the guest lets the function do DMA.
func (f *Function) BusMaster() bool { return f.command.Load()&CmdBusMaster != 0 }

// ReadMem does DMA from memory at pa. It reports false, and p gets ones, where
// bus mastering is off.
func (f *Function) ReadMem(pa uint64, p []byte) bool {
	if !f.BusMaster() || f.bus == nil {
		for i := range p {
			p[i] = 0xff
		}
		return false
	}
	devices.DMA{Mem: f.bus.mem}.Read(pa, p)
	return true
}

// WriteMem does DMA to memory at pa. It reports false, and does nothing, where
// bus mastering is off.
func (f *Function) WriteMem(pa uint64, p []byte) bool {
	if !f.BusMaster() || f.bus == nil {
		return false
	}
	devices.DMA{Mem: f.bus.mem}.Write(pa, p)
	return true
}

// Memory returns the guest's memory, for devices that keep rings in it. The
// device checks BusMaster itself.
func (f *Function) Memory() *mmu.Memory { return f.bus.mem }

// SetINTx drives the function's INTx pin. While MSI or MSI-X is on the pin
// stays low.
func (f *Function) SetINTx(level bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.level = level
	f.driveINTx()
}

func (f *Function) driveINTx() {
	f.intx.Set(f.level && f.command.Load()&CmdNoINTx == 0 && !f.msiEnabled() && !f.msixEnabled())
}

// --- MSI (PCI 3.0, 6.8.1) ---

type msi struct {
	off     int // 0: no capability
	n       int
	mask    bool
	pending uint32
}

// AddMSI adds an MSI capability with 64-bit addresses, n vectors (a power of
// two up to 32) and per-vector masking.
func (f *Function) AddMSI(n int) {
	ctl := uint16(0x0180) | uint16(bits.Len(uint(n))-1)<<1
	body := make([]byte, 22)
	wr := make([]byte, 22)
	binary.LittleEndian.PutUint16(body, ctl)
	wr[0] = 0x71
	binary.LittleEndian.PutUint32(wr[2:], 0xfffffffc)
	binary.LittleEndian.PutUint32(wr[6:], 0xffffffff)
	wr[10], wr[11] = 0xff, 0xff
	binary.LittleEndian.PutUint32(wr[14:], uint32(1<<n-1))
	f.msi = msi{off: f.AddCap(0x05, body, wr), n: n}
}

func (f *Function) msiEnabled() bool { return f.msi.off != 0 && f.cfg[f.msi.off+2]&1 != 0 }

// msiChanged sends what a mask that went held back.
func (f *Function) msiChanged() {
	if f.msiEnabled() && f.msi.pending != 0 {
		for v := range f.msi.n {
			if f.msi.pending>>v&1 != 0 && f.get(f.msi.off+16, 4)>>v&1 == 0 {
				f.msi.pending &^= 1 << v
				f.sendMSI(v)
			}
		}
	}
	if f.msix != nil {
		f.msixFlush()
	}
}

func (f *Function) sendMSI(v int) {
	off := f.msi.off
	addr := uint64(f.get(off+4, 4)) | uint64(f.get(off+8, 4))<<32
	data := f.get(off+12, 2)
	if k := uint(f.cfg[off+2] >> 4 & 7); k > 0 {
		m := uint32(1)<<min(k, 5) - 1
		data = data&^m | uint32(v)&m
	}
	f.message(addr, data)
}

func (f *Function) message(addr uint64, data uint32) {
	if !f.BusMaster() || f.bus == nil {
		return
	}
	if addr>>20 == 0xfee {
		f.bus.msi(addr, data)
	}
}

// Notify sends vector v by MSI-X or MSI. It reports false where neither is on:
// the device then uses SetINTx.
func (f *Function) Notify(v int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.msixEnabled():
		f.msixNotify(v)
	case f.msiEnabled():
		if v < 0 || v >= f.msi.n {
			return true
		}
		if f.get(f.msi.off+16, 4)>>v&1 != 0 {
			f.msi.pending |= 1 << v
			return true
		}
		f.sendMSI(v)
	default:
		return false
	}
	return true
}

// MSIXEnabled reports whether the guest switched MSI-X on.
func (f *Function) MSIXEnabled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.msixEnabled()
}

// --- MSI-X (PCI 3.0, 6.8.2) ---

type msix struct {
	off, bar   int
	table, pba uint64 // offsets in the BAR
	entries    []msixEntry
}

type msixEntry struct {
	addr    uint64
	data    uint32
	masked  bool
	pending bool
}

// AddMSIX adds an MSI-X capability with n vectors (up to 2048), whose table is
// at table and pending bits at pba in BAR bar. Call it before AddBAR, which
// puts them in front of the device's own window.
func (f *Function) AddMSIX(n, bar int, table, pba uint64) {
	body := make([]byte, 10)
	wr := make([]byte, 10)
	binary.LittleEndian.PutUint16(body, uint16(n-1))
	wr[1] = 0xc0
	binary.LittleEndian.PutUint32(body[2:], uint32(table)|uint32(bar))
	binary.LittleEndian.PutUint32(body[6:], uint32(pba)|uint32(bar))
	f.msix = &msix{bar: bar, table: table, pba: pba, entries: make([]msixEntry, n)}
	f.msix.off = f.AddCap(0x11, body, wr)
	f.msix.reset()
}

func (x *msix) reset() {
	for i := range x.entries {
		x.entries[i] = msixEntry{masked: true}
	}
}

func (f *Function) msixEnabled() bool { return f.msix != nil && f.cfg[f.msix.off+3]&0x80 != 0 }

func (f *Function) msixNotify(v int) {
	if v < 0 || v >= len(f.msix.entries) {
		return
	}
	e := &f.msix.entries[v]
	if e.masked || f.cfg[f.msix.off+3]&0x40 != 0 {
		e.pending = true
		return
	}
	f.message(e.addr, e.data)
}

// msixFlush sends pending vectors that are not masked any more.
func (f *Function) msixFlush() {
	if !f.msixEnabled() || f.cfg[f.msix.off+3]&0x40 != 0 {
		return
	}
	for i := range f.msix.entries {
		if e := &f.msix.entries[i]; e.pending && !e.masked {
			e.pending = false
			f.message(e.addr, e.data)
		}
	}
}

// msixWindow puts the table and the pending bits in front of a device.
type msixWindow struct {
	f   *Function
	dev mmu.MMIO
}

func (w *msixWindow) in(off uint64) (table, pba bool, rel uint64) {
	x := w.f.msix
	n := uint64(len(x.entries))
	if off >= x.table && off < x.table+16*n {
		return true, false, off - x.table
	}
	if off >= x.pba && off < x.pba+(n+63)/64*8 {
		return false, true, off - x.pba
	}
	return false, false, 0
}

// ReadMMIO implements mmu.MMIO.
func (w *msixWindow) ReadMMIO(off uint64, size int) uint64 {
	table, pba, rel := w.in(off)
	if !table && !pba {
		return w.dev.ReadMMIO(off, size)
	}
	if size == 8 {
		return w.ReadMMIO(off, 4) | w.ReadMMIO(off+4, 4)<<32
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	var v uint32
	if table {
		e := &w.f.msix.entries[rel/16]
		switch rel / 4 & 3 {
		case 0:
			v = uint32(e.addr)
		case 1:
			v = uint32(e.addr >> 32)
		case 2:
			v = e.data
		case 3:
			if e.masked {
				v = 1
			}
		}
	} else {
		for i := range 32 {
			if n := int(rel/4)*32 + i; n < len(w.f.msix.entries) && w.f.msix.entries[n].pending {
				v |= 1 << i
			}
		}
	}
	return uint64(v >> (8 * (rel & 3)))
}

// WriteMMIO implements mmu.MMIO.
func (w *msixWindow) WriteMMIO(off uint64, size int, v uint64) {
	table, pba, rel := w.in(off)
	if pba {
		return
	}
	if !table {
		w.dev.WriteMMIO(off, size, v)
		return
	}
	if size == 8 {
		w.WriteMMIO(off, 4, v&0xffffffff)
		w.WriteMMIO(off+4, 4, v>>32)
		return
	}
	if size != 4 || rel&3 != 0 {
		return // the table takes whole words
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	e := &w.f.msix.entries[rel/16]
	switch rel / 4 & 3 {
	case 0:
		e.addr = e.addr&^0xffffffff | v&^3
	case 1:
		e.addr = e.addr&0xffffffff | v<<32
	case 2:
		e.data = uint32(v)
	case 3:
		e.masked = v&1 != 0
	}
	w.f.msixFlush()
}
