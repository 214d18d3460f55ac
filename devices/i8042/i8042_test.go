package i8042_test

import (
	"testing"

	"hotblock/devices"
	"hotblock/devices/i8042"
)

type rig struct {
	*i8042.Controller
	bus         devices.PortBus
	irq1, irq12 int
	l1, l12     bool
}

func newRig() *rig {
	r := &rig{}
	edge := func(n *int, level *bool) devices.IRQLine {
		return devices.IRQFunc(func(l bool) {
			if l && !*level {
				*n++
			}
			*level = l
		})
	}
	r.Controller = i8042.New(edge(&r.irq1, &r.l1), edge(&r.irq12, &r.l12))
	r.Attach(&r.bus)
	return r
}

func (r *rig) cmd(b uint32)  { r.bus.Out(0x64, 1, b) }
func (r *rig) data(b uint32) { r.bus.Out(0x60, 1, b) }

// all reads what is there; bytes of the mouse are marked by 0x100.
func (r *rig) all() (out []int) {
	for {
		st := r.bus.In(0x64, 1)
		if st&1 == 0 {
			return out
		}
		b := int(r.bus.In(0x60, 1))
		if st&0x20 != 0 {
			b |= 0x100
		}
		out = append(out, b)
	}
}

func expect(t *testing.T, what string, got []int, want ...int) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %#x, want %#x", what, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: got %#x, want %#x", what, got, want)
			return
		}
	}
}

func TestController(t *testing.T) {
	r := newRig()
	r.cmd(0xaa)
	expect(t, "self test", r.all(), 0x55)
	r.cmd(0xab)
	expect(t, "interface test", r.all(), 0x00)
	r.cmd(0x60)
	r.data(0x47)
	r.cmd(0x20)
	expect(t, "command byte", r.all(), 0x47)
	r.cmd(0xd3)
	r.data(0x5a)
	expect(t, "AUX loopback", r.all(), 0x15a)
	if r.irq12 != 1 {
		t.Errorf("AUX loopback raised IRQ 12 %d times", r.irq12)
	}
	r.cmd(0xd2)
	r.data(0xa5)
	expect(t, "keyboard loopback", r.all(), 0xa5)
}

func TestKeyboardCommands(t *testing.T) {
	r := newRig()
	r.cmd(0x60)
	r.data(0x05) // no translation
	for _, x := range []struct {
		send []uint32
		want []int
	}{
		{[]uint32{0xf2}, []int{0xfa, 0xab, 0x83}},
		{[]uint32{0xff}, []int{0xfa, 0xaa}},
		{[]uint32{0xee}, []int{0xee}},
		{[]uint32{0xed, 0x02}, []int{0xfa, 0xfa}},
		{[]uint32{0xf3, 0x00}, []int{0xfa, 0xfa}},
		{[]uint32{0xf0, 0x00}, []int{0xfa, 0xfa, 2}},
		{[]uint32{0x17}, []int{0xfe}},
	} {
		var got []int
		for _, b := range x.send {
			r.data(b)
			got = append(got, r.all()...)
		}
		expect(t, "command", got, x.want...)
	}
}

func TestTranslation(t *testing.T) {
	r := newRig()
	keys := func() []int {
		r.Key("a", true)
		r.Key("a", false)
		r.Key("up", true)
		r.Key("up", false)
		return r.all()
	}
	expect(t, "translated", keys(), 0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8)
	if r.irq1 != 6 {
		t.Errorf("IRQ 1 rose %d times for 6 bytes", r.irq1)
	}
	r.cmd(0x60)
	r.data(0x05)
	expect(t, "set 2", keys(), 0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75)
	r.data(0xf0)
	r.data(0x01)
	r.all()
	expect(t, "set 1", keys(), 0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8)
	r.data(0xf5)
	r.all()
	expect(t, "scanning off", keys())
}

func TestType(t *testing.T) {
	r := newRig()
	text := "Hello, World! ~{}|\\\"'\n"
	for range 20 {
		if err := r.Type(text); err != nil {
			t.Fatal(err)
		}
	}
	// Every press has its release, and nothing is lost.
	presses := map[int]int{}
	for _, b := range r.all() {
		if b&0x80 == 0 {
			presses[b]++
		} else {
			presses[b&0x7f]--
		}
	}
	if len(presses) < 10 {
		t.Errorf("%d different keys", len(presses))
	}
	for k, n := range presses {
		if n != 0 {
			t.Errorf("key %#x: presses minus releases %d", k, n)
		}
	}
	if r.Type("ü") == nil || r.SendKeys("ctrl-nosuchkey") == nil {
		t.Error("what no key types is no error")
	}
}

func TestMouse(t *testing.T) {
	r := newRig()
	r.cmd(0xa8)
	r.cmd(0x60)
	r.data(0x47)
	aux := func(b uint32) []int {
		r.cmd(0xd4)
		r.data(b)
		return r.all()
	}
	expect(t, "reset", aux(0xff), 0x1fa, 0x1aa, 0x100)
	expect(t, "ID", aux(0xf2), 0x1fa, 0x100)
	r.MoveMouse(1, 1, 0)
	expect(t, "movement while off", r.all())
	expect(t, "enable", aux(0xf4), 0x1fa)
	r.MoveMouse(3, -2, 1)
	expect(t, "movement", r.all(), 0x129, 0x103, 0x1fe)
	r.MoveMouse(0, 0, 0)
	expect(t, "button release", r.all(), 0x108, 0x100, 0x100)
	expect(t, "status", aux(0xe9), 0x1fa, 0x120, 0x102, 0x164)
}

func TestResetAndA20(t *testing.T) {
	r := newRig()
	var resets int
	var gate []bool
	r.OnReset(func() { resets++ })
	r.OnA20(func(on bool) { gate = append(gate, on) })
	r.cmd(0xfe)
	r.bus.Out(0x92, 1, 1)
	r.bus.Out(0x92, 1, 1)
	if resets != 2 {
		t.Errorf("%d resets", resets)
	}
	r.cmd(0xd1)
	r.data(0xdd)
	r.bus.Out(0x92, 1, 2)
	r.cmd(0xdf)
	if len(gate) != 2 || gate[0] || !gate[1] || !r.A20() {
		t.Errorf("A20 changed %v", gate)
	}
}

func TestQueuesAreBounded(t *testing.T) {
	r := newRig()
	for range 100000 {
		r.cmd(0x20)
		r.data(0xf2)
		r.cmd(0xd4)
		r.data(0xe9)
	}
	if n := len(r.all()); n > 1000 {
		t.Errorf("%d bytes pile up for a guest that does not read", n)
	}
}
