package uart_test

import (
	"bytes"
	"testing"

	"hotblock/devices"
	"hotblock/devices/uart"
)

type rig struct {
	*uart.UART
	bus   devices.PortBus
	clock *devices.ManualClock
	out   bytes.Buffer
	irq   bool
}

func newRig() *rig {
	r := &rig{clock: devices.NewManualClock()}
	r.UART = uart.New(r.clock, devices.IRQFunc(func(l bool) { r.irq = l }), &r.out)
	r.bus.Claim(0x3f8, 8, 1, r.UART)
	return r
}

func (r *rig) get(reg uint16) uint32    { return r.bus.In(0x3f8+reg, 1) }
func (r *rig) set(reg uint16, v uint32) { r.bus.Out(0x3f8+reg, 1, v) }

func TestTransmit(t *testing.T) {
	r := newRig()
	r.set(4, 0x0b)
	for _, b := range []byte("hello") {
		if r.get(5)&0x60 != 0x60 {
			t.Fatal("the transmitter is not empty")
		}
		r.set(0, uint32(b))
	}
	if r.out.String() != "hello" {
		t.Errorf("sent %q", r.out.String())
	}
	// Enabling the interrupt while THR is empty raises it at once, reading IIR
	// clears it, and each character raises it again.
	r.set(1, 2)
	if !r.irq || r.get(2)&0xf != 2 {
		t.Error("no THRE interrupt when it is enabled")
	}
	if r.irq || r.get(2)&0xf != 1 {
		t.Error("reading IIR does not clear THRE")
	}
	r.set(0, 'x')
	if !r.irq {
		t.Error("no THRE interrupt after a character")
	}
	r.set(4, 0x03)
	if r.irq {
		t.Error("OUT2 does not gate the interrupt")
	}
}

func TestReceiveFIFO(t *testing.T) {
	r := newRig()
	r.set(4, 0x0b)
	r.set(1, 1)
	if n := r.Receive([]byte("abc")); n != 1 {
		t.Errorf("without FIFOs it took %d bytes", n)
	}
	r.get(0)
	r.set(2, 0x81) // trigger level 8
	room := 0
	r.OnRoom(func() { room++ })
	if n := r.Receive([]byte("0123456")); n != 7 {
		t.Fatalf("took %d", n)
	}
	if r.irq {
		t.Error("an interrupt below the trigger level")
	}
	r.clock.Advance(10e6) // over four character times at 9600 baud
	if !r.irq || r.get(2) != 0xcc {
		t.Errorf("no timeout interrupt: IIR %#x", r.get(2))
	}
	if b := r.get(0); b != '0' || r.irq {
		t.Errorf("read %#x, and reading clears the timeout", b)
	}
	if n := r.Receive([]byte("789abcdefghijkl")); n != 10 {
		t.Errorf("the FIFO took %d more bytes, want 10", n)
	}
	if r.get(2) != 0xc4 || !r.irq {
		t.Error("no interrupt at the trigger level")
	}
	if room != 0 {
		t.Error("room was told while the FIFO is full")
	}
	r.get(0)
	if room != 1 {
		t.Error("room was not told")
	}
	if lsr := r.get(5); lsr&0x83 != 1 {
		t.Errorf("LSR %#x: data and no overrun", lsr)
	}
}

func TestLoopbackAndOverrun(t *testing.T) {
	r := newRig()
	r.set(4, 0x1f)
	if msr := r.get(6); msr&0xf0 != 0xf0 {
		t.Errorf("MSR %#x: outputs do not come back as inputs", msr)
	}
	r.set(4, 0x1a)
	r.get(6)
	r.set(4, 0x1b)
	if msr := r.get(6); msr&0x0f != 0x02 {
		t.Errorf("MSR %#x: only DSR changed", msr)
	}
	r.set(0, 'a')
	r.set(0, 'b')
	if r.out.Len() != 0 {
		t.Error("loopback leaves the chip")
	}
	if lsr := r.get(5); lsr&3 != 3 {
		t.Errorf("LSR %#x: no overrun", lsr)
	}
	if b := r.get(0); b != 'b' {
		t.Errorf("read %#x: the newer character replaces the older", b)
	}
	if n := r.Receive([]byte("x")); n != 0 {
		t.Error("the line reaches the receiver in loopback")
	}
}

func TestPriorities(t *testing.T) {
	r := newRig()
	r.set(4, 0x0b)
	r.set(1, 0x0f)
	r.Break()
	r.SetModem(false, true, false, true)
	for _, want := range []struct {
		iir  uint32
		undo uint16
	}{{6, 5}, {4, 0}, {2, 2}, {0, 6}} {
		if v := r.get(2) & 0xf; v != want.iir {
			t.Errorf("IIR %#x, want %#x", v, want.iir)
		}
		if want.undo != 2 {
			r.get(want.undo)
		}
	}
	if r.get(2)&1 != 1 || r.irq {
		t.Error("something is still pending")
	}
}

func TestDivisorAndScratch(t *testing.T) {
	r := newRig()
	r.set(3, 0x83)
	r.set(0, 0x34)
	r.set(1, 0x12)
	if r.get(0) != 0x34 || r.get(1) != 0x12 || r.out.Len() != 0 {
		t.Error("the divisor does not read back")
	}
	r.set(3, 0x03)
	if r.get(1) != 0 {
		t.Error("DLAB does not switch back")
	}
	r.set(7, 0x5a)
	if r.get(7) != 0x5a {
		t.Error("scratch register")
	}
}

// BenchmarkTransmit is a character through the transmitter, without a CPU.
func BenchmarkTransmit(b *testing.B) {
	r := newRig()
	r.set(4, 0x0b)
	for b.Loop() {
		r.out.Reset()
		r.set(0, 'x')
	}
}
