package pit_test

import (
	"testing"

	"hotblock/devices"
	"hotblock/devices/pit"
)

type rig struct {
	*pit.PIT
	bus   devices.PortBus
	clock *devices.ManualClock
	rises int
	level bool
}

func newRig() *rig {
	r := &rig{clock: devices.NewManualClock()}
	r.PIT = pit.New(r.clock, devices.IRQFunc(func(l bool) {
		if l && !r.level {
			r.rises++
		}
		r.level = l
	}))
	r.Attach(&r.bus)
	return r
}

func (r *rig) out(port uint16, v ...uint32) {
	for _, x := range v {
		r.bus.Out(port, 1, x)
	}
}

func (r *rig) count(ch uint16) int {
	r.out(0x43, uint32(ch)<<6)
	lo := r.bus.In(0x40+ch, 1)
	return int(r.bus.In(0x40+ch, 1)<<8 | lo)
}

// ticks advances by n input clocks, rounded up.
func (r *rig) ticks(n int64) { r.clock.Advance(n*1000000000/pit.Hz + 1) }

func TestPeriodic(t *testing.T) {
	for _, mode := range []uint32{2, 3, 6, 7} {
		r := newRig()
		r.out(0x43, 0x30|mode<<1)
		r.out(0x40, 0xa9, 0x04) // 1193: 1 ms
		r.rises = 0
		r.clock.Advance(1e9)
		if want := pit.Hz / 1193; r.rises < want-1 || r.rises > want+1 {
			t.Errorf("mode %d: %d edges in a second, want %d", mode, r.rises, want)
		}
	}
}

func TestNoDrift(t *testing.T) {
	r := newRig()
	r.out(0x43, 0x34)
	r.out(0x40, 0, 0) // 65536
	r.rises = 0
	r.clock.Advance(3600 * 1e9 * 24)
	if want := 24 * 3600 * pit.Hz / 65536; r.rises != want {
		t.Errorf("%d edges in a day, want %d", r.rises, want)
	}
}

func TestMode0(t *testing.T) {
	r := newRig()
	r.out(0x43, 0x30)
	r.out(0x40, 100, 0)
	if r.level {
		t.Error("the output is high before terminal count")
	}
	r.ticks(40)
	if c := r.count(0); c != 60 {
		t.Errorf("count %d after 40 ticks of 100", c)
	}
	r.ticks(60)
	if !r.level {
		t.Error("the output is low after terminal count")
	}
	r.ticks(10)
	if c := r.count(0); c > 65530 || c < 65520 {
		t.Errorf("past zero the count is %d: it wraps", c)
	}
}

func TestChannel2Gate(t *testing.T) {
	r := newRig()
	r.out(0x61, 0)
	r.out(0x43, 0xb0) // mode 0
	r.out(0x42, 0xe8, 0x03)
	r.ticks(500)
	if c := r.count(2); c != 1000 {
		t.Errorf("with the gate low the count is %d", c)
	}
	r.out(0x61, 1)
	r.ticks(400)
	r.out(0x61, 0)
	a := r.count(2)
	r.ticks(300)
	if b := r.count(2); a != b || a < 598 || a > 600 {
		t.Errorf("counts %d and %d: the gate stops the count at 600", a, b)
	}
	if r.bus.In(0x61, 1)&0x20 != 0 {
		t.Error("the output is high too early")
	}
	r.out(0x61, 1)
	r.ticks(601)
	if r.bus.In(0x61, 1)&0x20 == 0 {
		t.Error("the output did not rise")
	}
}

func TestOneShot(t *testing.T) {
	r := newRig()
	r.out(0x43, 0xb2) // channel 2, mode 1
	r.out(0x42, 50, 0)
	if r.bus.In(0x61, 1)&0x20 == 0 {
		t.Error("the output is low before the trigger")
	}
	r.out(0x61, 1)
	if r.bus.In(0x61, 1)&0x20 != 0 {
		t.Error("the trigger does not start the pulse")
	}
	r.ticks(51)
	if r.bus.In(0x61, 1)&0x20 == 0 {
		t.Error("the pulse does not end")
	}
}

func TestStrobe(t *testing.T) {
	r := newRig()
	r.out(0x43, 0x38) // mode 4
	r.out(0x40, 10, 0)
	if !r.level {
		t.Error("the output is low before the strobe")
	}
	r.rises = 0
	r.ticks(20)
	if r.rises != 1 {
		t.Errorf("%d strobes", r.rises)
	}
}

func TestLatchAndReadBack(t *testing.T) {
	r := newRig()
	r.out(0x43, 0x34)
	r.out(0x40, 0xe8, 0x03)
	r.ticks(100)
	r.out(0x43, 0x00)
	r.ticks(100)
	v := r.bus.In(0x40, 1) | r.bus.In(0x40, 1)<<8
	if v != 900 {
		t.Errorf("latched count %d, want 900", v)
	}
	r.out(0x43, 0xc2) // status and count of channel 0
	if s := r.bus.In(0x40, 1); s&0x3f != 0x34 {
		t.Errorf("status %#x", s)
	}
	if v := r.bus.In(0x40, 1) | r.bus.In(0x40, 1)<<8; v != 800 {
		t.Errorf("count of the read-back %d, want 800", v)
	}
}

func TestBCD(t *testing.T) {
	r := newRig()
	r.out(0x43, 0x35)
	r.out(0x40, 0x00, 0x10) // 1000
	r.ticks(1)
	if c := r.count(0); c != 0x0999 {
		t.Errorf("BCD count %#x", c)
	}
}

func TestNewCountWaits(t *testing.T) {
	r := newRig()
	r.out(0x43, 0x34)
	r.out(0x40, 0xe8, 0x03)
	r.ticks(100)
	r.out(0x40, 0x64, 0x00) // 100
	if c := r.count(0); c < 890 || c > 900 {
		t.Errorf("count %d: a new count waits for the end of the period", c)
	}
	r.ticks(950)
	if c := r.count(0); c > 100 {
		t.Errorf("count %d: the new count never came", c)
	}
}

func TestRefreshToggles(t *testing.T) {
	r := newRig()
	a := r.bus.In(0x61, 1)
	r.clock.Advance(15085)
	if b := r.bus.In(0x61, 1); (a^b)&0x10 == 0 {
		t.Error("the refresh bit does not toggle")
	}
}
