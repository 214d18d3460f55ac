// Package ioapic is an I/O APIC with 24 inputs (82093AA data sheet; version
// 0x20, which adds the EOI register).
//
// An edge input sends its message when it rises while unmasked; an edge under
// the mask is lost. A level input sends while it is high, unmasked and its
// remote IRR is clear; the message sets remote IRR, and an EOI of the vector
// clears it and sends again if the input is still high.
package ioapic

import (
	"sync"

	"hotblock/devices"
	"hotblock/devices/lapic"
)

// Pins is the number of inputs.
const Pins = 24

// Base is the address of the register window of the first I/O APIC.
const Base = 0xfec00000

// Bits of a redirection table entry.
const (
	rteLogical   = 1 << 11
	rteStatus    = 1 << 12
	rteRemoteIRR = 1 << 14
	rteLevel     = 1 << 15
	rteMasked    = 1 << 16
	rteWritable  = 0xff<<56 | 0x1afff
)

// IOAPIC is the chip. It implements mmu.MMIO for its window.
type IOAPIC struct {
	bus *lapic.Bus

	mu     sync.Mutex
	sel    uint8
	id     uint32
	lines  uint32
	rte    [Pins]uint64
	bootID uint32
}

// New returns an I/O APIC with the given APIC ID (0 to 15) that sends to bus.
// The owner of bus passes it EOI broadcasts through EOI.
func New(bus *lapic.Bus, id uint32) *IOAPIC {
	a := &IOAPIC{bus: bus, bootID: id & 15}
	a.Reset()
	return a
}

// Reset masks all inputs; their levels stay.
func (a *IOAPIC) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sel = 0
	a.id = a.bootID
	for i := range a.rte {
		a.rte[i] = rteMasked
	}
}

// Pin returns input n as a wire; n is the global system interrupt.
func (a *IOAPIC) Pin(n int) devices.IRQLine {
	if n < 0 || n >= Pins {
		return devices.NoIRQ
	}
	return devices.IRQFunc(func(level bool) { a.set(n, level) })
}

func (a *IOAPIC) set(n int, level bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	bit := uint32(1) << n
	was := a.lines&bit != 0
	if !level {
		a.lines &^= bit
		return
	}
	a.lines |= bit
	if a.rte[n]&rteLevel != 0 || !was {
		a.send(n)
	}
}

// send sends entry n's message if its state allows it.
func (a *IOAPIC) send(n int) {
	e := a.rte[n]
	if e&rteMasked != 0 {
		return
	}
	if e&rteLevel != 0 && (a.lines>>n&1 == 0 || e&rteRemoteIRR != 0) {
		return
	}
	m := lapic.Message{
		Dest:    uint32(e >> 56),
		Short:   true,
		Logical: e&rteLogical != 0,
		Mode:    uint8(e >> 8 & 7),
		Vector:  uint8(e),
	}
	m.Level = e&rteLevel != 0 && (m.Mode == lapic.Fixed || m.Mode == lapic.LowestPri)
	if m.Level {
		// Set before it is sent: the CPU may be quick with its EOI.
		a.rte[n] |= rteRemoteIRR
	}
	if !a.bus.Send(m) && m.Level {
		a.rte[n] &^= rteRemoteIRR
	}
}

// EOI takes an EOI broadcast of vector.
func (a *IOAPIC) EOI(vector uint8) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, e := range a.rte {
		if uint8(e) == vector && e&(rteLevel|rteRemoteIRR) == rteLevel|rteRemoteIRR {
			a.rte[n] &^= rteRemoteIRR
			a.send(n)
		}
	}
}

// Entry returns redirection table entry n, for a monitor.
func (a *IOAPIC) Entry(n int) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rte[n]
}

// ReadMMIO implements mmu.MMIO.
func (a *IOAPIC) ReadMMIO(off uint64, size int) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch off {
	case 0x00:
		return uint64(a.sel)
	case 0x10:
		return uint64(a.readReg())
	}
	return 0
}

func (a *IOAPIC) readReg() uint32 {
	switch {
	case a.sel == 0, a.sel == 2:
		return a.id << 24
	case a.sel == 1:
		return (Pins-1)<<16 | 0x20
	case a.sel >= 0x10 && a.sel < 0x10+2*Pins:
		e := a.rte[(a.sel-0x10)/2]
		if a.sel&1 != 0 {
			return uint32(e >> 32)
		}
		return uint32(e)
	}
	return 0
}

// WriteMMIO implements mmu.MMIO.
func (a *IOAPIC) WriteMMIO(off uint64, size int, v uint64) {
	if off == 0x40 {
		a.EOI(uint8(v))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch off {
	case 0x00:
		a.sel = uint8(v)
	case 0x10:
		if size >= 4 {
			a.writeReg(uint32(v))
		}
	}
}

func (a *IOAPIC) writeReg(v uint32) {
	switch {
	case a.sel == 0:
		a.id = v >> 24 & 15
	case a.sel >= 0x10 && a.sel < 0x10+2*Pins:
		n := int(a.sel-0x10) / 2
		e := a.rte[n]
		w := e&0xffffffff00000000 | uint64(v)
		if a.sel&1 != 0 {
			w = e&0xffffffff | uint64(v)<<32
		}
		const ro = rteStatus | rteRemoteIRR
		e = e&ro | w&rteWritable&^ro
		if e&rteLevel == 0 {
			e &^= rteRemoteIRR // drivers of old chips end an interrupt so
		}
		a.rte[n] = e
		if e&rteLevel != 0 {
			a.send(n)
		}
	}
}
