// Package piix is the PCI-to-ISA bridge of the Intel PIIX3 (82371SB): its
// configuration space, and the router that takes the four PCI interrupt wires
// to interrupts of the 8259 pair and the I/O APIC.
//
// INTA to INTD of the slots are swizzled onto PIRQA to PIRQD: pin p of slot s
// drives wire (p + s - 1) mod 4. Registers 0x60 to 0x63 give each wire an ISA
// interrupt. Several wires may share one, so each is a source of a shared line.
package piix

import (
	"sync"

	"hotblock/devices"
	"hotblock/devices/pci"
)

const regPIRQ = 0x60

// Bridge is function 0 of slot 1. It implements pci.Router.
type Bridge struct {
	*pci.Function

	mu    sync.Mutex
	wires [4]*devices.SharedLine
	level [4]bool
	route [4]byte
	out   [4][16]devices.IRQLine
}

// New returns the bridge; source returns a new source of the shared line of an
// ISA interrupt.
func New(source func(irq int) devices.IRQLine) *Bridge {
	b := &Bridge{Function: pci.NewFunction("PIIX3", pci.ID{Vendor: 0x8086, Device: 0x7000, Class: 0x060100,
		SubVendor: 0x1af4, SubDevice: 0x1100})}
	b.SetReg(pci.RegCommand, []byte{0x07, 0, 0x00, 0x02}, []byte{0x00, 0x00})
	b.SetReg(0x4c, []byte{0x4d, 0, 0x03}, []byte{0xff, 0, 0xff, 0xff})
	b.SetReg(regPIRQ, []byte{0x80, 0x80, 0x80, 0x80}, []byte{0x8f, 0x8f, 0x8f, 0x8f})
	b.SetReg(0x69, []byte{0x02}, []byte{0xfe})
	b.SetReg(0x6a, []byte{0x00, 0x00}, []byte{0xff, 0xff})
	b.SetReg(0x70, []byte{0x80}, []byte{0xef})
	b.SetReg(0x76, []byte{0x0c, 0x0c, 0x02}, []byte{0x8f, 0x8f, 0xff})
	b.SetReg(0x82, []byte{0x00}, []byte{0xff})
	b.SetReg(0xa0, []byte{0x08, 0, 0, 0, 0, 0, 0, 0, 0x0f}, []byte{0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0xff})
	for w := range b.wires {
		b.route[w] = 0x80
		b.wires[w] = devices.NewSharedLine(devices.IRQFunc(func(level bool) { b.set(w, level) }))
		for irq := range b.out[w] {
			b.out[w][irq] = source(irq)
		}
	}
	b.OnConfig = b.config
	return b
}

// INTx implements pci.Router.
func (b *Bridge) INTx(slot, pin int) devices.IRQLine { return b.wires[(slot+pin-1)&3].Source() }

// Wire returns the PIRQ (0 is PIRQA) that INTx of a slot's pin ends at.
func Wire(slot, pin int) int { return (slot + pin - 1) & 3 }

func (b *Bridge) set(w int, level bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.level[w] = level
	b.drive(w)
}

// drive puts a wire's level on the interrupt it is routed to.
func (b *Bridge) drive(w int) {
	for irq, l := range b.out[w] {
		l.Set(b.level[w] && b.route[w]&0x80 == 0 && int(b.route[w]&15) == irq)
	}
}

func (b *Bridge) config(off, size int) {
	if off+size <= regPIRQ || off >= regPIRQ+4 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.route {
		b.route[w] = byte(b.Reg(regPIRQ+w, 1))
		b.drive(w)
	}
}
