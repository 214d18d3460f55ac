// Package i440fx is the host bridge of an Intel 440FX chip set (82441FX): what
// firmware and systems know it by, and the attribute registers (PAM) that say
// whether each 16 KiB of 0xc0000-0xfffff is RAM or goes to the bus.
package i440fx

import (
	"hotblock/devices/pci"
)

// Attributes of a segment.
const (
	ReadRAM  = 1 // reads go to RAM, else to the bus
	WriteRAM = 2 // writes go to RAM, else to the bus
)

const regPAM = 0x59

// Bridge is the host bridge, function 0 of slot 0.
type Bridge struct {
	*pci.Function
	pam   [7]byte
	onPAM func(base, size uint64, attr int)
}

// New returns the bridge. onPAM is called for each segment whose attributes
// change, and for all of them at reset; it runs with the PCI bus's lock held.
func New(onPAM func(base, size uint64, attr int)) *Bridge {
	b := &Bridge{
		Function: pci.NewFunction("i440FX", pci.ID{Vendor: 0x8086, Device: 0x1237, Class: 0x060000, Revision: 2,
			SubVendor: 0x1af4, SubDevice: 0x1100}),
		onPAM: onPAM,
	}
	b.SetReg(pci.RegCommand, []byte{0x06, 0, 0x80, 0x02}, []byte{0x00, 0x01})
	all := []byte{0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33}
	all[0] = 0x30
	b.SetReg(regPAM, make([]byte, 7), all)
	b.SetReg(0x60, make([]byte, 8), ones(8)) // DRAM row boundaries
	b.SetReg(0x72, []byte{0x02}, []byte{0x78})
	b.OnConfig = b.config
	return b
}

func ones(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

func (b *Bridge) config(off, size int) {
	if off+size <= regPAM || off >= regPAM+7 {
		return
	}
	whole := off == 0 && size == 256
	for i := range b.pam {
		v := byte(b.Reg(regPAM+i, 1))
		old := b.pam[i]
		b.pam[i] = v
		if i == 0 {
			if whole || (old^v)&0x30 != 0 {
				b.onPAM(0xf0000, 0x10000, int(v>>4&3))
			}
			continue
		}
		base := uint64(0xc0000 + (i-1)*0x8000)
		if whole || (old^v)&0x03 != 0 {
			b.onPAM(base, 0x4000, int(v&3))
		}
		if whole || (old^v)&0x30 != 0 {
			b.onPAM(base+0x4000, 0x4000, int(v>>4&3))
		}
	}
}
