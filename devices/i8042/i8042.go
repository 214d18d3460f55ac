// Package i8042 is the keyboard controller of a PC (ports 0x60 and 0x64) with a
// PS/2 keyboard and a PS/2 mouse on it, and the PIIX's port 0x92.
//
// Three queues feed the one output buffer that the CPU reads at 0x60: answers
// of the controller itself, the keyboard's bytes and the mouse's. A byte moves
// into the buffer when it is empty and the device's clock is not held; that
// raises IRQ 1 or IRQ 12 if the command byte allows it, and reading the byte
// lowers it. The keyboard speaks scan code set 2, and the controller translates
// to set 1 on the way, both as the guest has set them up.
package i8042

import (
	"sync"

	"hotblock/devices"
)

// Status register.
const (
	stOBF   = 0x01
	stSys   = 0x04
	stCmd   = 0x08
	stUnlkd = 0x10
	stAux   = 0x20
)

// Command byte.
const (
	cbKbdInt    = 0x01
	cbAuxInt    = 0x02
	cbSys       = 0x04
	cbKbdOff    = 0x10
	cbAuxOff    = 0x20
	cbTranslate = 0x40
)

// Output port.
const (
	opReset = 0x01
	opA20   = 0x02
	opObf   = 0x10
	opAux   = 0x20
)

type source uint8

const (
	fromCtl source = iota
	fromKbd
	fromAux
)

// Controller is the chip and the devices on it.
type Controller struct {
	irq1, irq12 devices.IRQLine

	mu      sync.Mutex
	cb      byte
	ram     [32]byte
	outPort byte
	port92  byte
	status  byte
	pending byte // command that waits for its data byte, 0 for none
	obf     byte
	obfFrom source
	ctlQ    []ctlByte
	brk     bool // translation: F0 was seen
	kbd     keyboard
	mouse   mouse

	onReset func()
	onA20   func(enabled bool)
	a20     bool
	onLEDs  func(leds uint8)
}

type ctlByte struct {
	b    byte
	from source // whose IRQ it raises
}

// New returns a controller; irq1 is the keyboard's interrupt and irq12 the
// mouse's.
func New(irq1, irq12 devices.IRQLine) *Controller {
	c := &Controller{irq1: irq1, irq12: irq12}
	c.Reset()
	return c
}

// Attach puts ports 0x60, 0x64 and 0x92 on the port bus.
func (c *Controller) Attach(b *devices.PortBus) {
	b.Claim(0x60, 1, 1, c)
	b.Claim(0x64, 1, 1, c)
	b.Claim(0x92, 1, 1, c)
}

// OnReset sets the function that is called, with no lock held, when the guest
// pulls the CPU's reset line.
func (c *Controller) OnReset(f func()) { c.onReset = f }

// OnA20 sets the function that is called, with no lock held, when the A20 gate
// changes. The gate is open after reset.
func (c *Controller) OnA20(f func(enabled bool)) { c.onA20 = f }

// OnLEDs sets the function that is called, with no lock held, when the guest
// sets the keyboard's lights: bit 0 scroll lock, 1 num lock, 2 caps lock.
func (c *Controller) OnLEDs(f func(leds uint8)) { c.onLEDs = f }

// Reset brings the controller and both devices to the power-on state.
func (c *Controller) Reset() {
	c.mu.Lock()
	// Firmware's part that a directly booted kernel relies on: system flag set,
	// translation and keyboard interrupt on.
	c.cb = cbSys | cbKbdInt | cbTranslate
	c.status = stSys | stUnlkd
	c.outPort = opReset | opA20
	c.port92 = 0
	c.pending = 0
	c.ctlQ = nil
	c.brk = false
	c.kbd.reset()
	c.kbd.q, c.kbd.host = nil, nil
	c.mouse.reset()
	c.mouse.q = nil
	c.irq1.Set(false)
	c.irq12.Set(false)
	f := c.gate()
	c.mu.Unlock()
	f()
}

// gate works out the A20 gate; the function it returns is called unlocked.
func (c *Controller) gate() func() {
	on := c.outPort&opA20 != 0 || c.port92&2 != 0
	if on == c.a20 {
		return func() {}
	}
	c.a20 = on
	if c.onA20 == nil {
		return func() {}
	}
	return func() { c.onA20(on) }
}

// A20 reports whether address line 20 is passed on.
func (c *Controller) A20() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.a20
}

// pump fills the output buffer if it is empty.
func (c *Controller) pump() {
	if c.status&stOBF != 0 {
		return
	}
	switch {
	case len(c.ctlQ) > 0:
		x := c.ctlQ[0]
		c.ctlQ = c.ctlQ[1:]
		c.fill(x.b, x.from)
		return
	case c.cb&cbKbdOff == 0 && len(c.kbd.q) > 0:
		for len(c.kbd.q) > 0 {
			b := c.kbd.q[0]
			c.kbd.q = c.kbd.q[1:]
			c.kbd.refill()
			if c.cb&cbTranslate != 0 {
				if b == 0xf0 {
					c.brk = true
					continue
				}
				b = translate(b)
				if c.brk {
					b |= 0x80
					c.brk = false
				}
			}
			c.fill(b, fromKbd)
			return
		}
	}
	if c.cb&cbAuxOff == 0 && len(c.mouse.q) > 0 {
		b := c.mouse.q[0]
		c.mouse.q = c.mouse.q[1:]
		c.fill(b, fromAux)
		c.mouse.refill()
	}
}

func (c *Controller) fill(b byte, from source) {
	c.obf, c.obfFrom = b, from
	c.status |= stOBF
	c.status &^= stAux
	if from == fromAux {
		c.status |= stAux
	}
	c.irqs()
}

// irqs drives both interrupt lines.
func (c *Controller) irqs() {
	full := c.status&stOBF != 0
	aux := c.status&stAux != 0
	c.irq1.Set(full && !aux && c.cb&cbKbdInt != 0)
	c.irq12.Set(full && aux && c.cb&cbAuxInt != 0)
}

// maxAnswers bounds what a guest that never reads can pile up.
const maxAnswers = 64

func (c *Controller) answer(b byte, from source) {
	if len(c.ctlQ) < maxAnswers {
		c.ctlQ = append(c.ctlQ, ctlByte{b, from})
	}
}

// ReadPort implements devices.PortDevice.
func (c *Controller) ReadPort(port uint16, _ int) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch port {
	case 0x60:
		b := c.obf
		if c.status&stOBF != 0 {
			c.status &^= stOBF | stAux
			c.irqs()
			c.pump()
		}
		return uint32(b)
	case 0x64:
		c.pump()
		return uint32(c.status)
	}
	return uint32(c.port92 & 2)
}

// WritePort implements devices.PortDevice.
func (c *Controller) WritePort(port uint16, _ int, v uint32) {
	b := byte(v)
	reset := false
	leds := -1
	c.mu.Lock()
	switch port {
	case 0x60:
		c.status &^= stCmd
		reset, leds = c.data(b)
	case 0x64:
		c.status |= stCmd
		reset = c.command(b)
	default:
		reset = b&1 != 0 && c.port92&1 == 0
		c.port92 = b & 3
	}
	c.pump()
	f := c.gate()
	onReset, onLEDs := c.onReset, c.onLEDs
	c.mu.Unlock()
	f()
	if leds >= 0 && onLEDs != nil {
		onLEDs(uint8(leds))
	}
	if reset && onReset != nil {
		onReset()
	}
}

// command acts on a byte written to port 0x64.
func (c *Controller) command(b byte) (reset bool) {
	c.pending = 0
	switch {
	case b == 0x20:
		c.answer(c.cb, fromCtl)
	case b > 0x20 && b < 0x40:
		c.answer(c.ram[b&31], fromCtl)
	case b >= 0x60 && b < 0x80, b == 0xd1, b == 0xd2, b == 0xd3, b == 0xd4:
		c.pending = b
	case b == 0xa7:
		c.setCB(c.cb | cbAuxOff)
	case b == 0xa8:
		c.setCB(c.cb &^ cbAuxOff)
	case b == 0xa9, b == 0xab:
		c.answer(0x00, fromCtl) // interface test: no fault
	case b == 0xaa:
		c.status |= stSys
		c.setCB(c.cb | cbSys)
		c.answer(0x55, fromCtl)
	case b == 0xad:
		c.setCB(c.cb | cbKbdOff)
	case b == 0xae:
		c.setCB(c.cb &^ cbKbdOff)
	case b == 0xc0:
		c.answer(0x80, fromCtl) // input port: keyboard not locked
	case b == 0xd0:
		v := c.outPort
		if c.status&stOBF != 0 {
			if c.status&stAux != 0 {
				v |= opAux
			} else {
				v |= opObf
			}
		}
		c.answer(v, fromCtl)
	case b == 0xdd:
		c.outPort &^= opA20
	case b == 0xdf:
		c.outPort |= opA20
	case b == 0xe0:
		c.answer(0x00, fromCtl) // test inputs: clock lines low
	case b >= 0xf0:
		return b&1 == 0 // pulse; bit 0 is the CPU's reset
	}
	return false
}

func (c *Controller) setCB(v byte) {
	c.cb = v
	c.irqs()
}

// data acts on a byte written to port 0x60.
func (c *Controller) data(b byte) (reset bool, leds int) {
	leds = -1
	cmd := c.pending
	c.pending = 0
	switch {
	case cmd == 0:
		c.cb &^= cbKbdOff // sending drives the clock again
		leds = c.kbd.command(b)
	case cmd == 0x60:
		if b&cbSys != 0 {
			c.status |= stSys
		} else {
			c.status &^= stSys
		}
		c.setCB(b)
	case cmd > 0x60 && cmd < 0x80:
		c.ram[cmd&31] = b
	case cmd == 0xd1:
		c.outPort = b&^(opObf|opAux) | opReset
		reset = b&opReset == 0
	case cmd == 0xd2:
		c.answer(b, fromKbd)
	case cmd == 0xd3:
		c.answer(b, fromAux)
	case cmd == 0xd4:
		c.cb &^= cbAuxOff
		c.mouse.command(b)
	}
	return reset, leds
}
