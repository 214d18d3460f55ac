// Package uart is a National Semiconductor PC16550D, the serial port of a PC.
//
// What the guest writes leaves at once, so the transmitter is always empty and
// the "transmitter holding register empty" interrupt follows each write
// immediately. What comes in is held to the 16 bytes of the receive FIFO: the
// source is told how many bytes fitted, and asked again when there is room, so
// pasted text is never lost to an overrun. The time base matters for one thing
// only, the receive timeout of four character times that tells a driver of
// bytes below the FIFO's trigger level.
package uart

import (
	"io"
	"sync"

	"hotblock/devices"
)

// Registers, as offsets from the base port (PC16550D data sheet, table II).
const (
	regData = iota // RBR, THR; DLL with DLAB
	regIER         // DLM with DLAB
	regIIR         // FCR on writing
	regLCR
	regMCR
	regLSR
	regMSR
	regSCR
)

// Bits of the registers.
const (
	ierRx    = 0x01
	ierTx    = 0x02
	ierLine  = 0x04
	ierModem = 0x08

	iirNone    = 0x01
	iirModem   = 0x00
	iirTx      = 0x02
	iirRx      = 0x04
	iirLine    = 0x06
	iirTimeout = 0x0c
	iirFIFO    = 0xc0

	fcrEnable  = 0x01
	fcrClearRx = 0x02
	fcrClearTx = 0x04

	lcrDLAB = 0x80

	mcrDTR  = 0x01
	mcrRTS  = 0x02
	mcrOut1 = 0x04
	mcrOut2 = 0x08
	mcrLoop = 0x10

	lsrDR   = 0x01
	lsrOE   = 0x02
	lsrPE   = 0x04
	lsrFE   = 0x08
	lsrBI   = 0x10
	lsrTHRE = 0x20
	lsrTEMT = 0x40
	lsrFIFO = 0x80

	msrDCTS = 0x01
	msrDDSR = 0x02
	msrTERI = 0x04
	msrDDCD = 0x08
	msrCTS  = 0x10
	msrDSR  = 0x20
	msrRI   = 0x40
	msrDCD  = 0x80
)

const fifoSize = 16

type rxByte struct {
	b   byte
	err byte // LSR error bits that came with it
}

// A UART is one port. It decodes 8 I/O ports, 8 bits wide.
type UART struct {
	clock devices.Clock
	irq   devices.IRQLine
	out   io.Writer

	mu      sync.Mutex
	timer   devices.Timer
	timeAt  int64 // when the receive timeout is due; 0 when none is running
	timeout bool  // receive timeout pending

	ier, fcr, lcr, mcr, scr byte
	lsr                     byte // error bits that have surfaced
	msrIn                   byte // modem inputs (high nibble)
	msrDelta                byte
	div                     uint16
	rx                      []rxByte
	txPending               bool
	starved                 bool // Receive had to turn bytes away
	room                    func()
}

// New returns a UART in its reset state. What the guest sends goes to out
// (nil: nowhere), one Write a byte, with no lock held; write errors are
// ignored, as a cable that is not plugged in. The interrupt output, gated by
// OUT2 as on a PC, goes to irq.
func New(clock devices.Clock, irq devices.IRQLine, out io.Writer) *UART {
	u := &UART{clock: clock, irq: irq, out: out, rx: make([]rxByte, 0, fifoSize)}
	u.timer = clock.NewTimer(u.onTimeout)
	u.Reset()
	return u
}

// OnRoom sets a function that is called, with no lock held, when the receive
// FIFO has room again after Receive took less than it was offered.
func (u *UART) OnRoom(f func()) {
	u.mu.Lock()
	u.room = f
	u.mu.Unlock()
}

// Reset brings the registers to the state after MR (data sheet, table III). The
// far end's modem lines stay up: a terminal is connected and ready.
func (u *UART) Reset() {
	u.mu.Lock()
	u.ier, u.fcr, u.lcr, u.mcr, u.lsr, u.scr = 0, 0, 0, 0, 0, 0
	u.msrIn = msrCTS | msrDSR | msrDCD
	u.msrDelta = 0
	u.div = 12 // 9600 baud, as firmware leaves it
	u.txPending = false
	u.dropRx()
	u.update()
	f := u.tellRoom()
	u.mu.Unlock()
	call(f)
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// tellRoom returns the function to call after unlocking, if any.
func (u *UART) tellRoom() func() {
	if u.starved && u.space() > 0 {
		u.starved = false
		return u.room
	}
	return nil
}

func (u *UART) space() int {
	if u.mcr&mcrLoop != 0 {
		return 0
	}
	if u.fcr&fcrEnable == 0 {
		return 1 - len(u.rx)
	}
	return fifoSize - len(u.rx)
}

// Receive offers bytes from the line and returns how many were taken. When it
// takes fewer than all, the OnRoom function will be called.
func (u *UART) Receive(p []byte) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := max(min(u.space(), len(p)), 0)
	for _, b := range p[:n] {
		u.push(b, 0)
	}
	if n < len(p) {
		u.starved = true
	}
	u.update()
	return n
}

// Break receives a break condition: the line held low for a character time.
func (u *UART) Break() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mcr&mcrLoop == 0 {
		u.push(0, lsrBI)
		u.update()
	}
}

// push is a character's arrival in the receiver.
func (u *UART) push(b, err byte) {
	if u.fcr&fcrEnable == 0 {
		if len(u.rx) == 1 {
			u.lsr |= lsrOE // the new character takes the old one's place
			u.rx = u.rx[:0]
		}
	} else if len(u.rx) == fifoSize {
		u.lsr |= lsrOE // the character in the shift register is lost
		return
	}
	u.rx = append(u.rx, rxByte{b, err})
	if len(u.rx) == 1 {
		u.lsr |= err
	}
	u.timeout = false
	u.startTimeout()
}

// startTimeout starts the time of four characters (data sheet, 8.3: "FIFO
// interrupt mode operation") where the FIFO holds less than a trigger level.
func (u *UART) startTimeout() {
	if u.fcr&fcrEnable == 0 || len(u.rx) == 0 {
		u.timeAt = 0
		u.timer.Stop()
		return
	}
	bits := int64(2 + 5 + u.lcr&3)
	if u.lcr&0x04 != 0 {
		bits++
	}
	if u.lcr&0x08 != 0 {
		bits++
	}
	div := int64(u.div)
	if div == 0 {
		div = 1
	}
	char := bits * div * 16 * 1e9 / 1843200
	u.timeAt = u.clock.Now() + 4*char
	u.timer.Set(u.timeAt)
}

func (u *UART) onTimeout() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.timeAt == 0 || u.clock.Now() < u.timeAt || len(u.rx) == 0 {
		return
	}
	u.timeAt = 0
	u.timeout = true
	u.update()
}

func (u *UART) dropRx() {
	u.rx = u.rx[:0]
	u.timeout = false
	u.timeAt = 0
	u.timer.Stop()
}

func (u *UART) trigger() int {
	if u.fcr&fcrEnable == 0 {
		return 1
	}
	return [4]int{1, 4, 8, 14}[u.fcr>>6]
}

// ident is IIR's low nibble: the pending interrupt of the highest priority.
func (u *UART) ident() byte {
	switch {
	case u.ier&ierLine != 0 && u.lsr&(lsrOE|lsrPE|lsrFE|lsrBI) != 0:
		return iirLine
	case u.ier&ierRx != 0 && u.timeout:
		return iirTimeout
	case u.ier&ierRx != 0 && len(u.rx) >= u.trigger():
		return iirRx
	case u.ier&ierTx != 0 && u.txPending:
		return iirTx
	case u.ier&ierModem != 0 && u.msrDelta != 0:
		return iirModem
	}
	return iirNone
}

// update drives the interrupt line. In loopback OUT2 does not reach the pin,
// and the gate is closed.
func (u *UART) update() {
	u.irq.Set(u.mcr&(mcrOut2|mcrLoop) == mcrOut2 && u.ident() != iirNone)
}

// modem is MSR's high nibble as the guest sees it.
func (u *UART) modem() byte {
	if u.mcr&mcrLoop == 0 {
		return u.msrIn
	}
	var v byte
	if u.mcr&mcrRTS != 0 {
		v |= msrCTS
	}
	if u.mcr&mcrDTR != 0 {
		v |= msrDSR
	}
	if u.mcr&mcrOut1 != 0 {
		v |= msrRI
	}
	if u.mcr&mcrOut2 != 0 {
		v |= msrDCD
	}
	return v
}

// modemChanged records the delta bits after the modem inputs were old.
func (u *UART) modemChanged(old byte) {
	now := u.modem()
	d := old ^ now
	u.msrDelta |= d >> 4 & (msrDCTS | msrDDSR | msrDDCD)
	if old&^now&msrRI != 0 { // trailing edge
		u.msrDelta |= msrTERI
	}
}

// SetModem sets the modem inputs CTS, DSR, RI and DCD of the far end.
func (u *UART) SetModem(cts, dsr, ri, dcd bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	old := u.modem()
	u.msrIn = 0
	for _, x := range []struct {
		on  bool
		bit byte
	}{{cts, msrCTS}, {dsr, msrDSR}, {ri, msrRI}, {dcd, msrDCD}} {
		if x.on {
			u.msrIn |= x.bit
		}
	}
	u.modemChanged(old)
	u.update()
}

// ReadPort implements devices.PortDevice.
func (u *UART) ReadPort(port uint16, _ int) uint32 {
	u.mu.Lock()
	v := u.read(port & 7)
	u.update()
	f := u.tellRoom()
	u.mu.Unlock()
	call(f)
	return uint32(v)
}

func (u *UART) read(reg uint16) byte {
	switch reg {
	case regData:
		if u.lcr&lcrDLAB != 0 {
			return byte(u.div)
		}
		if len(u.rx) == 0 {
			return 0
		}
		b := u.rx[0].b
		copy(u.rx, u.rx[1:])
		u.rx = u.rx[:len(u.rx)-1]
		if len(u.rx) > 0 {
			u.lsr |= u.rx[0].err
		}
		u.timeout = false
		u.startTimeout()
		return b
	case regIER:
		if u.lcr&lcrDLAB != 0 {
			return byte(u.div >> 8)
		}
		return u.ier
	case regIIR:
		v := u.ident()
		if v == iirTx {
			u.txPending = false
		}
		if u.fcr&fcrEnable != 0 {
			v |= iirFIFO
		}
		return v
	case regLCR:
		return u.lcr
	case regMCR:
		return u.mcr
	case regLSR:
		v := u.lsr | lsrTHRE | lsrTEMT
		if len(u.rx) > 0 {
			v |= lsrDR
		}
		if u.fcr&fcrEnable != 0 {
			for _, x := range u.rx {
				if x.err != 0 {
					v |= lsrFIFO
				}
			}
		}
		u.lsr = 0
		if len(u.rx) > 0 {
			u.rx[0].err = 0
		}
		return v
	case regMSR:
		v := u.modem() | u.msrDelta
		u.msrDelta = 0
		return v
	}
	return u.scr
}

// WritePort implements devices.PortDevice.
func (u *UART) WritePort(port uint16, _ int, v uint32) {
	b := byte(v)
	u.mu.Lock()
	if port&7 == regData && u.lcr&lcrDLAB == 0 && u.mcr&mcrLoop == 0 && u.out != nil {
		// A writer may block; the port must not, for whoever else looks at it.
		u.mu.Unlock()
		u.out.Write([]byte{b})
		u.mu.Lock()
	}
	u.write(port&7, b)
	u.update()
	f := u.tellRoom()
	u.mu.Unlock()
	call(f)
}

func (u *UART) write(reg uint16, b byte) {
	switch reg {
	case regData:
		if u.lcr&lcrDLAB != 0 {
			u.div = u.div&0xff00 | uint16(b)
			return
		}
		if u.mcr&mcrLoop != 0 {
			u.push(b, 0)
		}
		u.txPending = true
	case regIER:
		if u.lcr&lcrDLAB != 0 {
			u.div = u.div&0xff | uint16(b)<<8
			return
		}
		old := u.ier
		u.ier = b & 0x0f
		if u.ier&^old&ierTx != 0 {
			u.txPending = true // the holding register is empty at this moment
		}
	case regIIR: // FCR
		if (b^u.fcr)&fcrEnable != 0 {
			b |= fcrClearRx | fcrClearTx // changing the mode empties both FIFOs
		}
		if b&fcrEnable == 0 {
			// The other bits are not programmed while bit 0 is written as 0.
			u.fcr = 0
		} else {
			u.fcr = b & 0xc9
		}
		if b&fcrClearRx != 0 {
			u.dropRx()
		}
		if b&fcrClearTx != 0 {
			u.txPending = true
		}
	case regLCR:
		u.lcr = b
	case regMCR:
		old := u.modem()
		u.mcr = b & 0x1f
		u.modemChanged(old)
	case regSCR:
		u.scr = b
	}
}
