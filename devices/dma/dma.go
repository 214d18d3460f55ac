// Package dma is the pair of Intel 8237A DMA controllers of a PC: channels 0 to
// 3 at ports 0x00-0x0f, channels 4 to 7 at 0xc0-0xdf (a port for each two
// addresses), and the page registers at 0x81-0x8f.
//
// No device of this machine asks for ISA DMA, so the controllers never run;
// their registers read back as the data sheet says, which is what firmware and
// systems test.
package dma

import (
	"sync"

	"hotblock/devices"
)

type chip struct {
	base, cur [4][2]uint16 // address and count
	mode      [4]byte
	command   byte
	status    byte
	request   byte
	mask      byte
	flip      bool // the next byte is the high one
	temp      byte
}

func (c *chip) clear() {
	c.command, c.status, c.request, c.temp = 0, 0, 0, 0
	c.flip = false
	c.mask = 15
}

// DMA is both chips and the page registers.
type DMA struct {
	mu   sync.Mutex
	c    [2]chip
	page [16]byte
}

// New returns the controllers after a master clear.
func New() *DMA {
	d := &DMA{}
	d.Reset()
	return d
}

// Attach puts the controllers on the port bus. Port 0x80, which is no page
// register, is left to the POST code.
func (d *DMA) Attach(b *devices.PortBus) {
	b.Claim(0x00, 16, 1, d)
	b.Claim(0xc0, 32, 1, d)
	b.Claim(0x81, 15, 1, d)
}

// Reset clears everything.
func (d *DMA) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.c = [2]chip{}
	d.c[0].clear()
	d.c[1].clear()
	d.page = [16]byte{}
}

// decode finds the chip and the register of a port.
func (d *DMA) decode(port uint16) (c *chip, reg int) {
	if port >= 0xc0 {
		return &d.c[1], int(port-0xc0) / 2
	}
	return &d.c[0], int(port)
}

// ReadPort implements devices.PortDevice.
func (d *DMA) ReadPort(port uint16, _ int) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if port&^15 == 0x80 {
		return uint32(d.page[port&15])
	}
	c, reg := d.decode(port)
	switch {
	case reg < 8:
		v := c.cur[reg>>1][reg&1]
		c.flip = !c.flip
		if !c.flip {
			v >>= 8
		}
		return uint32(v & 0xff)
	case reg == 8:
		v := c.status
		c.status &= 0xf0
		return uint32(v)
	case reg == 13:
		return uint32(c.temp)
	case reg == 15:
		return uint32(c.mask | 0xf0)
	}
	return 0xff
}

// WritePort implements devices.PortDevice.
func (d *DMA) WritePort(port uint16, _ int, v uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := byte(v)
	if port&^15 == 0x80 {
		d.page[port&15] = b
		return
	}
	c, reg := d.decode(port)
	switch reg {
	case 8:
		c.command = b
	case 9:
		if b&4 != 0 {
			c.request |= 1 << (b & 3)
		} else {
			c.request &^= 1 << (b & 3)
		}
	case 10:
		if b&4 != 0 {
			c.mask |= 1 << (b & 3)
		} else {
			c.mask &^= 1 << (b & 3)
		}
	case 11:
		c.mode[b&3] = b
	case 12:
		c.flip = false
	case 13:
		c.clear()
	case 14:
		c.mask = 0
	case 15:
		c.mask = b & 15
	default:
		r := &c.base[reg>>1][reg&1]
		if c.flip {
			*r = *r&0xff | uint16(b)<<8
		} else {
			*r = *r&0xff00 | uint16(b)
		}
		c.cur[reg>>1][reg&1] = *r
		c.flip = !c.flip
	}
}
