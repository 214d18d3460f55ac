// Package debugport is the ports by which a guest talks to whoever runs it: the
// debug consoles of Bochs (0xe9) and SeaBIOS (0x402), the exit ports of test
// kernels (0xf4 and 0x501, QEMU's isa-debug-exit), and the POST code at 0x80.
package debugport

import (
	"io"
	"sync/atomic"

	"hotblock/devices"
)

// Console is a debug console: what is written to it goes to Out, and reading
// gives 0xe9, by which a guest finds out that it is there.
type Console struct{ Out io.Writer }

// ReadPort implements devices.PortDevice.
func (c Console) ReadPort(uint16, int) uint32 { return 0xe9 }

// WritePort implements devices.PortDevice.
func (c Console) WritePort(_ uint16, _ int, v uint32) {
	if c.Out != nil {
		c.Out.Write([]byte{byte(v)})
	}
}

// Attach puts the console on a port of the bus, such as 0xe9 or 0x402.
func (c Console) Attach(b *devices.PortBus, port uint16) { b.Claim(port, 1, 1, c) }

// Exit calls a function with the exit code (v<<1)|1 for a value v written. It
// decodes 4 ports, as wide as QEMU's.
type Exit struct{ Do func(code int) }

// ReadPort implements devices.PortDevice.
func (e Exit) ReadPort(uint16, int) uint32 { return 0 }

// WritePort implements devices.PortDevice.
func (e Exit) WritePort(_ uint16, _ int, v uint32) {
	if e.Do != nil {
		e.Do(int(v<<1 | 1))
	}
}

// Attach puts the exit port on the bus.
func (e Exit) Attach(b *devices.PortBus, port uint16, n int) { b.Claim(port, n, 4, e) }

// POST is the latch of power-on self test codes at port 0x80, which systems
// also write to for a short delay.
type POST struct{ code atomic.Uint32 }

// ReadPort implements devices.PortDevice.
func (p *POST) ReadPort(uint16, int) uint32 { return p.code.Load() }

// WritePort implements devices.PortDevice.
func (p *POST) WritePort(_ uint16, _ int, v uint32) { p.code.Store(v & 0xff) }

// Code returns the last code written.
func (p *POST) Code() uint8 { return uint8(p.code.Load()) }
