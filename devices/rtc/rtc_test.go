package rtc_test

import (
	"testing"
	"time"

	"hotblock/devices"
	"hotblock/devices/rtc"
)

type rig struct {
	*rtc.RTC
	bus   devices.PortBus
	clock *devices.ManualClock
	irq   bool
	rises int
}

func newRig(start time.Time) *rig {
	r := &rig{clock: devices.NewManualClock()}
	r.RTC = rtc.New(r.clock, devices.IRQFunc(func(l bool) {
		if l && !r.irq {
			r.rises++
		}
		r.irq = l
	}), start)
	r.Attach(&r.bus)
	return r
}

func (r *rig) get(i uint32) uint32 {
	r.bus.Out(0x70, 1, i)
	return r.bus.In(0x71, 1)
}

func (r *rig) set(i, v uint32) {
	r.bus.Out(0x70, 1, i)
	r.bus.Out(0x71, 1, v)
}

var start = time.Date(2024, 2, 28, 23, 59, 58, 0, time.UTC)

func TestDate(t *testing.T) {
	r := newRig(start)
	r.clock.Advance(3e9)
	for _, x := range []struct{ reg, want uint32 }{{0, 0x01}, {2, 0}, {4, 0}, {6, 5}, {7, 0x29}, {8, 2}, {9, 0x24}, {0x32, 0x20}, {0x0d, 0x80}} {
		if v := r.get(x.reg); v != x.want {
			t.Errorf("register %#x is %#x, want %#x", x.reg, v, x.want)
		}
	}
	r.set(0x0b, 0x04) // binary, 12 hours
	if h := r.get(4); h != 12 {
		t.Errorf("midnight in 12 hours is %d", h)
	}
	r.clock.Advance(13 * 3600e9)
	if h := r.get(4); h != 0x81 {
		t.Errorf("one in the afternoon is %#x", h)
	}
}

func TestSetDate(t *testing.T) {
	r := newRig(start)
	r.set(0x0b, 0x82)
	for _, x := range [][2]uint32{{0, 0x50}, {2, 0x59}, {4, 0x23}, {7, 0x31}, {8, 0x12}, {9, 0x30}} {
		r.set(x[0], x[1])
	}
	r.clock.Advance(5e9)
	if s := r.get(0); s != 0x50 {
		t.Errorf("seconds %#x: the date runs while SET is on", s)
	}
	r.set(0x0b, 0x02)
	r.clock.Advance(11e9)
	if y, s := r.get(9), r.get(0); y != 0x31 || s != 1 {
		t.Errorf("year %#x, second %#x after the new year", y, s)
	}
}

func TestUpdateInProgress(t *testing.T) {
	r := newRig(start)
	if r.get(0x0a)&0x80 != 0 {
		t.Error("UIP at the beginning of a second")
	}
	r.clock.Advance(1e9 - 1e6)
	if r.get(0x0a)&0x80 == 0 {
		t.Error("no UIP just before the update")
	}
	r.set(0x0b, 0x82)
	if r.get(0x0a)&0x80 != 0 {
		t.Error("UIP while SET is on")
	}
}

func TestUpdateInterrupt(t *testing.T) {
	r := newRig(start)
	r.set(0x0b, 0x12)
	r.clock.Advance(1e9)
	if !r.irq {
		t.Fatal("no update interrupt after a second")
	}
	if c := r.get(0x0c); c&0xb0 != 0x90 {
		t.Errorf("register C %#x", c)
	}
	if r.irq || r.get(0x0c) != 0 {
		t.Error("reading C does not clear it")
	}
	r.clock.Advance(1e9)
	if r.rises != 2 {
		t.Errorf("%d interrupts in two seconds", r.rises)
	}
}

func TestAlarm(t *testing.T) {
	r := newRig(start)
	r.set(1, 0x05)
	r.set(3, 0x01)
	r.set(5, 0xff) // any hour
	r.set(0x0b, 0x22)
	r.clock.Advance(66e9)
	if r.irq {
		t.Error("the alarm is early")
	}
	r.clock.Advance(1e9)
	if !r.irq || r.get(0x0c)&0xa0 != 0xa0 {
		t.Error("no alarm at one minute and five seconds past the hour")
	}
}

func TestPeriodic(t *testing.T) {
	r := newRig(start)
	r.set(0x0a, 0x26) // 1024 Hz
	r.set(0x0b, 0x42)
	n := 0
	for range 1000 {
		r.clock.Advance(1e6)
		if r.irq {
			n++
			if r.get(0x0c)&0xc0 != 0xc0 {
				t.Fatal("the interrupt's flags are missing")
			}
		}
	}
	if n < 990 {
		t.Errorf("%d of 1000 ms had a periodic interrupt", n)
	}
	r.set(0x0b, 0x02)
	if _, armed := r.clock.Next(); armed {
		t.Error("a timer runs with no interrupt enabled")
	}
}

func TestCMOS(t *testing.T) {
	r := newRig(start)
	r.set(0x0f, 0x5a)
	r.set(0x7f, 0xa5)
	r.Reset()
	if r.get(0x0f) != 0x5a || r.get(0x7f) != 0xa5 {
		t.Error("a reset loses battery-backed memory")
	}
	var masked bool
	r.OnNMIMask(func(m bool) { masked = m })
	r.bus.Out(0x70, 1, 0x8f)
	if !masked || r.bus.In(0x71, 1) != 0x5a {
		t.Error("bit 7 of the index is not the NMI mask")
	}
}
