// Package pic is the pair of Intel 8259A interrupt controllers of a PC, master
// at ports 0x20-0x21 and slave at 0xa0-0xa1 on the master's input 2, with the
// edge/level control registers (ELCR) of the PIIX at 0x4d0-0x4d1.
//
// Each chip keeps the levels of its eight inputs. A request bit (IRR) is set by
// a rising edge, or by a high level where ELCR says so, and falls when the
// interrupt is acknowledged (edge) or the line drops (level). An acknowledge that
// finds nothing gives input 7, the spurious interrupt. On the chip an edge request,
// too, is withdrawn when the line drops before it was acknowledged; here it is kept,
// as KVM does: a processor takes an interrupt within the time of a pulse of the
// 8254, a host that was busy elsewhere may not. The cascade follows the slave.
package pic

import (
	"sync"

	"hotblock/devices"
)

// chip is one 8259A.
type chip struct {
	irr, imr, isr byte
	lines         byte // input levels
	elcr          byte
	elcrMask      byte
	vector        byte // ICW2
	icw3          byte
	icw4          byte
	initStep      int // 0: ready, else the ICW that is expected next
	needICW4      bool
	single        bool
	ltim          bool // ICW1: all inputs level-triggered
	readISR       bool
	poll          bool
	autoEOI       bool
	rotateAEOI    bool
	special       bool // special mask mode
	sfnm          bool // special fully nested mode
	lowest        byte // input of the lowest priority
	master        bool
}

func (c *chip) levelTriggered(n byte) bool { return c.ltim || c.elcr&(1<<n) != 0 }

func (c *chip) setLine(n byte, level bool) {
	bit := byte(1) << n
	if level {
		if c.levelTriggered(n) || c.lines&bit == 0 {
			c.irr |= bit
		}
		c.lines |= bit
	} else {
		c.lines &^= bit
		if c.levelTriggered(n) || c.master && n == 2 {
			c.irr &^= bit
		}
	}
}

// rank is n's distance from the highest priority: 0 is highest, 7 lowest.
func (c *chip) rank(n byte) byte { return (n - c.lowest - 1) & 7 }

// best returns the input of the highest priority in bits.
func (c *chip) best(bits byte) (n byte, ok bool) {
	for i := byte(0); i < 8; i++ {
		n = (c.lowest + 1 + i) & 7
		if bits&(1<<n) != 0 {
			return n, true
		}
	}
	return 0, false
}

// pending returns the input that INT is raised for.
func (c *chip) pending() (n byte, ok bool) {
	if c.initStep != 0 {
		return 0, false
	}
	n, ok = c.best(c.irr &^ c.imr)
	if !ok {
		return 0, false
	}
	isr := c.isr
	if c.special {
		isr &^= c.imr
	}
	if c.master && c.sfnm {
		isr &^= 4 // the slave may interrupt its own service
	}
	if s, busy := c.best(isr); busy && c.rank(s) <= c.rank(n) {
		return 0, false
	}
	if c.special && c.isr&(1<<n) != 0 {
		return 0, false
	}
	return n, true
}

// ack takes input n into service.
func (c *chip) ack(n byte) {
	bit := byte(1) << n
	if c.autoEOI {
		if c.rotateAEOI {
			c.lowest = n
		}
	} else {
		c.isr |= bit
	}
	if !c.levelTriggered(n) {
		c.irr &^= bit
	}
}

func (c *chip) reset() {
	elcr, mask, lines, master := c.elcr, c.elcrMask, c.lines, c.master
	*c = chip{elcrMask: mask, lines: lines, master: master, elcr: elcr, lowest: 7}
}

// PIC is the pair.
type PIC struct {
	mu    sync.Mutex
	c     [2]chip
	intr  devices.IRQLine
	level bool
}

// New returns the pair in its power-on state with its INT output on intr.
func New(intr devices.IRQLine) *PIC {
	p := &PIC{intr: intr}
	p.c[0] = chip{master: true, elcrMask: 0xf8, lowest: 7}
	p.c[1] = chip{elcrMask: 0xde, lowest: 7}
	return p
}

// Attach puts the chips on the port bus.
func (p *PIC) Attach(b *devices.PortBus) {
	b.Claim(0x20, 2, 1, p)
	b.Claim(0xa0, 2, 1, p)
	b.Claim(0x4d0, 2, 1, p)
}

// Reset brings both chips to the power-on state; input levels stay.
func (p *PIC) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.c {
		p.c[i].elcr = 0
		p.c[i].reset()
	}
	p.update()
}

// Line returns input n (0 to 15) as a wire. Input 2 is the cascade and ends
// nowhere.
func (p *PIC) Line(n int) devices.IRQLine {
	if n == 2 || n < 0 || n > 15 {
		return devices.NoIRQ
	}
	return devices.IRQFunc(func(level bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.c[n>>3].setLine(byte(n&7), level)
		p.update()
	})
}

// update carries the slave's output to the master and the master's to INTR.
func (p *PIC) update() {
	_, slave := p.c[1].pending()
	p.c[0].setLine(2, slave)
	_, master := p.c[0].pending()
	if master != p.level {
		p.level = master
		p.intr.Set(master)
	}
}

// Ack is the CPU's interrupt acknowledge cycle: it takes the pending interrupt
// of the highest priority into service and returns its vector.
func (p *PIC) Ack() uint8 {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.update()
	m, s := &p.c[0], &p.c[1]
	n, ok := m.pending()
	if !ok {
		return m.vector | 7 // spurious; ISR stays clear
	}
	m.ack(n)
	if n != 2 {
		return m.vector | n
	}
	n, ok = s.pending()
	if !ok {
		return s.vector | 7
	}
	s.ack(n)
	return s.vector | n
}

// ReadPort implements devices.PortDevice.
func (p *PIC) ReadPort(port uint16, _ int) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if port&^1 == 0x4d0 {
		return uint32(p.c[port&1].elcr)
	}
	c := p.chip(port)
	if c.poll {
		c.poll = false
		n, ok := c.pending()
		if !ok {
			return 0
		}
		c.ack(n)
		p.update()
		return 0x80 | uint32(n)
	}
	if port&1 == 1 {
		return uint32(c.imr)
	}
	if c.readISR {
		return uint32(c.isr)
	}
	return uint32(c.irr)
}

func (p *PIC) chip(port uint16) *chip {
	if port&^1 == 0x20 {
		return &p.c[0]
	}
	return &p.c[1]
}

// WritePort implements devices.PortDevice.
func (p *PIC) WritePort(port uint16, _ int, v uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := byte(v)
	if port&^1 == 0x4d0 {
		p.c[port&1].elcr = b & p.c[port&1].elcrMask
	} else if c := p.chip(port); port&1 == 1 {
		c.writeData(b)
	} else {
		c.writeCommand(b)
	}
	p.update()
}

func (c *chip) writeCommand(b byte) {
	switch {
	case b&0x10 != 0: // ICW1
		c.reset()
		c.irr = 0
		if lv := c.lines; lv != 0 {
			for n := byte(0); n < 8; n++ {
				if c.elcr&(1<<n) != 0 {
					c.irr |= lv & (1 << n)
				}
			}
		}
		c.ltim = b&8 != 0
		c.single = b&2 != 0
		c.needICW4 = b&1 != 0
		c.initStep = 2
	case b&0x08 != 0: // OCW3
		if b&0x40 != 0 {
			c.special = b&0x20 != 0
		}
		if b&0x02 != 0 {
			c.readISR = b&1 != 0
		}
		c.poll = b&0x04 != 0
	default: // OCW2
		n := b & 7
		switch b >> 5 {
		case 0: // rotate in automatic EOI mode: clear
			c.rotateAEOI = false
		case 4:
			c.rotateAEOI = true
		case 1, 5: // non-specific EOI
			isr := c.isr
			if c.special {
				isr &^= c.imr
			}
			if s, ok := c.best(isr); ok {
				c.isr &^= 1 << s
				if b>>5 == 5 {
					c.lowest = s
				}
			}
		case 3, 7: // specific EOI
			c.isr &^= 1 << n
			if b>>5 == 7 {
				c.lowest = n
			}
		case 6: // set priority
			c.lowest = n
		}
	}
}

func (c *chip) writeData(b byte) {
	switch c.initStep {
	case 2:
		c.vector = b & 0xf8
		switch {
		case !c.single:
			c.initStep = 3
		case c.needICW4:
			c.initStep = 4
		default:
			c.initStep = 0
		}
	case 3:
		c.icw3 = b
		c.initStep = 0
		if c.needICW4 {
			c.initStep = 4
		}
	case 4:
		c.icw4 = b
		c.sfnm = b&0x10 != 0
		c.autoEOI = b&2 != 0
		c.initStep = 0
	default:
		c.imr = b
	}
}
