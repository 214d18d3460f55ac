package pic_test

import (
	"testing"

	"hotblock/devices"
	"hotblock/devices/pic"
)

type rig struct {
	*pic.PIC
	bus  devices.PortBus
	intr bool
}

func newRig() *rig {
	r := &rig{}
	r.PIC = pic.New(devices.IRQFunc(func(l bool) { r.intr = l }))
	r.Attach(&r.bus)
	return r
}

func (r *rig) out(port uint16, v ...uint32) {
	for _, x := range v {
		r.bus.Out(port, 1, x)
	}
}

// setup programs both chips as a PC does: vectors 0x20 and 0x28.
func (r *rig) setup(icw4 uint32) *rig {
	r.out(0x20, 0x11)
	r.out(0x21, 0x20, 4, icw4, 0)
	r.out(0xa0, 0x11)
	r.out(0xa1, 0x28, 2, 1, 0)
	return r
}

func TestPriorityAndEOI(t *testing.T) {
	r := newRig().setup(1)
	r.Line(4).Set(true)
	if v := r.Ack(); v != 0x24 {
		t.Fatalf("vector %#x", v)
	}
	r.Line(5).Set(true)
	if r.intr {
		t.Error("a lower priority interrupts")
	}
	r.Line(1).Set(true)
	if !r.intr || r.Ack() != 0x21 {
		t.Error("a higher priority does not interrupt")
	}
	r.out(0x20, 0x20)
	if r.intr {
		t.Error("5 interrupts while 4 is in service")
	}
	r.out(0x20, 0x0b)
	if isr := r.bus.In(0x20, 1); isr != 0x10 {
		t.Errorf("ISR %#x", isr)
	}
	r.out(0x20, 0x64) // specific EOI of 4
	if !r.intr || r.Ack() != 0x25 {
		t.Error("5 is not delivered after the EOI")
	}
}

func TestCascade(t *testing.T) {
	r := newRig().setup(1)
	r.Line(12).Set(true)
	if !r.intr || r.Ack() != 0x2c {
		t.Fatal("IRQ 12 has another vector than 0x2c")
	}
	r.Line(8).Set(true)
	if r.intr {
		t.Error("the master passes a second slave interrupt without special fully nested mode")
	}
	r.out(0xa0, 0x20)
	r.out(0x20, 0x20)
	if !r.intr || r.Ack() != 0x28 {
		t.Error("IRQ 8 is lost")
	}
}

func TestSpecialFullyNested(t *testing.T) {
	r := newRig().setup(0x11)
	r.Line(12).Set(true)
	r.Ack()
	r.Line(8).Set(true)
	if !r.intr || r.Ack() != 0x28 {
		t.Error("a higher slave interrupt does not nest")
	}
}

func TestSpurious(t *testing.T) {
	r := newRig().setup(1)
	r.out(0x4d0, 0x08)
	r.Line(3).Set(true)
	r.Line(3).Set(false)
	if r.intr {
		t.Error("the request of a level outlives it")
	}
	if v := r.Ack(); v != 0x27 {
		t.Errorf("spurious vector %#x", v)
	}
	r.out(0x20, 0x0b)
	if isr := r.bus.In(0x20, 1); isr != 0 {
		t.Errorf("a spurious interrupt sets ISR %#x", isr)
	}
}

// The 8254 pulses its output low between two ticks. A CPU that was late to take the
// first of them found a spurious interrupt.
func TestLatePulse(t *testing.T) {
	r := newRig().setup(1)
	r.Line(0).Set(true)
	r.Line(0).Set(false)
	if !r.intr {
		t.Fatal("the request of an edge is gone with its line")
	}
	r.Line(0).Set(true)
	if v := r.Ack(); v != 0x20 {
		t.Errorf("vector %#x", v)
	}
	r.out(0x20, 0x20)
	if r.intr {
		t.Error("a tick is delivered twice")
	}
	r.Line(8).Set(true)
	r.Line(8).Set(false)
	if v := r.Ack(); v != 0x28 {
		t.Errorf("vector %#x of the slave", v)
	}
}

func TestLevel(t *testing.T) {
	r := newRig().setup(1)
	r.out(0x4d1, 0xff)
	if v := r.bus.In(0x4d1, 1); v != 0xde {
		t.Errorf("ELCR2 %#x: IRQ 8 and 13 are always edges", v)
	}
	r.Line(10).Set(true)
	if r.Ack() != 0x2a {
		t.Fatal("IRQ 10 is not delivered")
	}
	r.out(0xa0, 0x20)
	r.out(0x20, 0x20)
	if !r.intr {
		t.Error("a level that stays high does not interrupt again")
	}
	r.Line(10).Set(false)
	if r.intr {
		t.Error("a level that fell still interrupts")
	}
}

func TestEdgeOnce(t *testing.T) {
	r := newRig().setup(1)
	r.Line(0).Set(true)
	r.Ack()
	r.out(0x20, 0x20)
	r.Line(0).Set(true)
	if r.intr {
		t.Error("a line that stayed high made a second edge")
	}
	r.Line(0).Set(false)
	r.Line(0).Set(true)
	if !r.intr {
		t.Error("a new edge is not seen")
	}
}

func TestModes(t *testing.T) {
	r := newRig().setup(3) // automatic EOI
	r.Line(6).Set(true)
	r.Ack()
	r.out(0x20, 0x0b)
	if isr := r.bus.In(0x20, 1); isr != 0 {
		t.Errorf("automatic EOI leaves ISR %#x", isr)
	}

	r = newRig().setup(1)
	r.out(0x20, 0xc3) // lowest priority: 3
	r.Line(3).Set(true)
	r.Line(4).Set(true)
	if v := r.Ack(); v != 0x24 {
		t.Errorf("after set priority vector %#x comes first", v)
	}

	r = newRig().setup(1)
	r.Line(2 + 1).Set(true)
	r.Ack()
	r.out(0x21, 0x08)
	r.out(0x20, 0x68) // special mask mode
	r.Line(7).Set(true)
	if !r.intr {
		t.Error("special mask mode does not let a lower interrupt in")
	}

	r = newRig().setup(1)
	r.Line(5).Set(true)
	r.out(0x20, 0x0c) // poll
	if v := r.bus.In(0x20, 1); v != 0x85 {
		t.Errorf("poll gives %#x", v)
	}
	r.out(0x20, 0x0b)
	if isr := r.bus.In(0x20, 1); isr != 0x20 {
		t.Errorf("poll leaves ISR %#x", isr)
	}
}

func TestMask(t *testing.T) {
	r := newRig().setup(1)
	r.out(0x21, 0x02)
	r.Line(1).Set(true)
	if r.intr {
		t.Error("a masked interrupt comes through")
	}
	r.out(0x21, 0)
	if !r.intr {
		t.Error("unmasking does not let it through")
	}
}
