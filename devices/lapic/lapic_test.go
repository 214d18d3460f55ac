package lapic_test

import (
	"testing"

	"hotblock/devices"
	"hotblock/devices/ioapic"
	"hotblock/devices/lapic"
)

// cpu notes the signals it gets.
type cpu struct {
	kicks, nmis, inits int
	sipi               []uint8
}

func (c *cpu) Kick()           { c.kicks++ }
func (c *cpu) NMI()            { c.nmis++ }
func (c *cpu) Init()           { c.inits++ }
func (c *cpu) Startup(v uint8) { c.sipi = append(c.sipi, v) }
func (c *cpu) Reset()          {}

type rig struct {
	bus   lapic.Bus
	clock *devices.ManualClock
	l     []*lapic.LAPIC
	cpu   []*cpu
	io    *ioapic.IOAPIC
	tsc   uint64 // offset
}

func newRig(n int) *rig {
	r := &rig{clock: devices.NewManualClock()}
	for i := range n {
		c := &cpu{}
		r.cpu = append(r.cpu, c)
		r.l = append(r.l, lapic.New(&r.bus, lapic.Config{ID: uint32(i), BSP: i == 0, Clock: r.clock, Signals: c,
			TSC: func() uint64 { return uint64(r.clock.Now()) + r.tsc }, TSCHz: 1e9}))
	}
	r.io = ioapic.New(&r.bus, 0)
	r.bus.OnEOI(r.io.EOI)
	return r
}

func (r *rig) set(i int, off uint64, v uint64) { r.l[i].WriteMMIO(off, 4, v) }
func (r *rig) get(i int, off uint64) uint64    { return r.l[i].ReadMMIO(off, 4) }

func (r *rig) enable() {
	for i := range r.l {
		r.set(i, 0xf0, 0x1ff)
	}
}

func TestPriorities(t *testing.T) {
	r := newRig(1)
	r.enable()
	l := r.l[0]
	send := func(v uint8) { r.bus.Send(lapic.Message{Dest: 0, Short: true, Vector: v}) }
	send(0x41)
	send(0x42)
	if r.cpu[0].kicks != 1 {
		t.Errorf("%d kicks: one for each time that an interrupt becomes pending", r.cpu[0].kicks)
	}
	if v, ok := l.Ack(); !ok || v != 0x42 {
		t.Fatalf("Ack gave %#x", v)
	}
	if l.HasInterrupt() {
		t.Error("an interrupt of the class in service is deliverable")
	}
	send(0x51)
	if !l.HasInterrupt() {
		t.Error("an interrupt of a higher class is not deliverable")
	}
	l.SetTPR(5)
	if l.HasInterrupt() || r.get(0, 0xa0) != 0x50 {
		t.Error("TPR does not hold class 5 back")
	}
	l.SetTPR(0)
	if v, _ := l.Ack(); v != 0x51 {
		t.Errorf("Ack gave %#x", v)
	}
	r.set(0, 0xb0, 0)
	r.set(0, 0xb0, 0)
	if v, ok := l.Ack(); !ok || v != 0x41 {
		t.Errorf("after two EOIs Ack gives %#x, %v", v, ok)
	}
	if v, ok := l.Ack(); ok {
		t.Errorf("Ack gave %#x out of nothing", v)
	}
}

func TestLevelAndEOI(t *testing.T) {
	r := newRig(1)
	r.enable()
	out := func(reg, v uint64) {
		r.io.WriteMMIO(0, 4, reg)
		r.io.WriteMMIO(0x10, 4, v)
	}
	out(0x10+2*10, 0x8030) // level, vector 0x30
	pin := r.io.Pin(10)
	pin.Set(true)
	if v, ok := r.l[0].Ack(); !ok || v != 0x30 {
		t.Fatalf("Ack gave %#x", v)
	}
	if r.io.Entry(10)&(1<<14) == 0 {
		t.Error("remote IRR is clear")
	}
	pin.Set(true)
	if r.get(0, 0x210) != 0 {
		t.Error("the interrupt came again before EOI")
	}
	r.set(0, 0xb0, 0)
	if !r.l[0].HasInterrupt() {
		t.Error("the line is high and EOI does not bring the interrupt back")
	}
	r.l[0].Ack()
	pin.Set(false)
	r.set(0, 0xb0, 0)
	if r.l[0].HasInterrupt() || r.io.Entry(10)&(1<<14) != 0 {
		t.Error("the interrupt outlives its line")
	}
	// A masked edge is lost, a masked level is not.
	out(0x10+2*4, 0x10031)
	r.io.Pin(4).Set(true)
	out(0x10+2*4, 0x31)
	if r.l[0].HasInterrupt() {
		t.Error("an edge under the mask came through")
	}
	out(0x10+2*10, 0x18030)
	pin.Set(true)
	out(0x10+2*10, 0x8030)
	if !r.l[0].HasInterrupt() {
		t.Error("a level under the mask was lost")
	}
}

func TestIPI(t *testing.T) {
	r := newRig(4)
	r.enable()
	icr := func(dest, low uint64) {
		r.set(0, 0x310, dest<<24)
		r.set(0, 0x300, low)
	}
	icr(2, 0x4500) // INIT
	icr(2, 0x8500) // level de-assert
	icr(2, 0x4699) // SIPI
	if r.cpu[2].inits != 1 || len(r.cpu[2].sipi) != 1 || r.cpu[2].sipi[0] != 0x99 {
		t.Errorf("INIT and SIPI: %+v", r.cpu[2])
	}
	r.set(2, 0xf0, 0x1ff) // INIT had switched it off
	icr(1, 0x400)
	if r.cpu[1].nmis != 1 {
		t.Error("no NMI")
	}
	icr(0, 0xc0040) // all but self
	for i := range r.l {
		if got, want := r.l[i].HasInterrupt(), i != 0; got != want {
			t.Errorf("all but self: CPU %d %v", i, got)
		}
	}
	icr(0, 0x40041) // self
	if !r.l[0].HasInterrupt() {
		t.Error("no self IPI")
	}
	icr(9, 0x42)
	r.set(0, 0x280, 0)
	if e := r.get(0, 0x280); e&4 == 0 {
		t.Errorf("ESR %#x after a message to nobody", e)
	}
	icr(1, 0x05)
	r.set(0, 0x280, 0)
	if e := r.get(0, 0x280); e != 0x20 {
		t.Errorf("ESR %#x after an illegal vector", e)
	}
}

func TestLogical(t *testing.T) {
	r := newRig(3)
	r.enable()
	for i := range r.l {
		r.set(i, 0xd0, 1<<(24+i))
	}
	r.bus.Send(lapic.Message{Dest: 6, Short: true, Logical: true, Vector: 0x60})
	for i, want := range []bool{false, true, true} {
		if r.l[i].HasInterrupt() != want {
			t.Errorf("flat: CPU %d is %v", i, !want)
		}
	}
	r = newRig(3)
	r.enable()
	for i := range r.l {
		r.set(i, 0xe0, 0x0fffffff) // cluster
		r.set(i, 0xd0, uint64(i&1)<<28|1<<(24+i/2))
	}
	r.bus.Send(lapic.Message{Dest: 0x02, Short: true, Logical: true, Vector: 0x60})
	for i, want := range []bool{false, false, true} {
		if r.l[i].HasInterrupt() != want {
			t.Errorf("cluster: CPU %d is %v", i, !want)
		}
	}
}

func TestLowestPriority(t *testing.T) {
	r := newRig(3)
	r.enable()
	r.l[0].SetTPR(3)
	r.l[2].SetTPR(4)
	for i := range r.l {
		r.set(i, 0xd0, 1<<(24+i))
	}
	r.bus.Send(lapic.Message{Dest: 7, Short: true, Logical: true, Mode: lapic.LowestPri, Vector: 0x60})
	if r.l[0].HasInterrupt() || !r.l[1].HasInterrupt() || r.l[2].HasInterrupt() {
		t.Error("not the CPU with the lowest priority took it")
	}
}

func TestTimer(t *testing.T) {
	r := newRig(1)
	r.enable()
	r.set(0, 0x3e0, 0x3) // divide by 16
	r.set(0, 0x320, 0x50)
	r.set(0, 0x380, 1000) // 16 us
	r.clock.Advance(8000)
	if c := r.get(0, 0x390); c != 500 {
		t.Errorf("count %d after half the time", c)
	}
	r.clock.Advance(8001)
	if v, ok := r.l[0].Ack(); !ok || v != 0x50 {
		t.Errorf("one-shot gave %#x, %v", v, ok)
	}
	r.set(0, 0xb0, 0)
	r.clock.Advance(1e6)
	if r.l[0].HasInterrupt() || r.get(0, 0x390) != 0 {
		t.Error("one-shot fired twice")
	}
	r.set(0, 0x320, 0x20051) // periodic
	r.set(0, 0x380, 62500)   // 1 ms
	n := 0
	for range 100 {
		r.clock.Advance(1e6)
		if _, ok := r.l[0].Ack(); ok {
			n++
			r.set(0, 0xb0, 0)
		}
	}
	if n != 100 {
		t.Errorf("%d periods in 100", n)
	}
	r.set(0, 0x320, 0x30051) // periodic, masked
	if _, armed := r.clock.Next(); armed {
		t.Error("a masked timer keeps the host awake")
	}
}

// laggingClock is of a host that is busy elsewhere between any two looks at it.
type laggingClock struct{ *devices.ManualClock }

func (c laggingClock) Now() int64 {
	c.Advance(50000)
	return c.ManualClock.Now()
}

// A one-shot count that was over by the time that the host's timer was to be set
// never came to its end.
func TestTimerOnBusyHost(t *testing.T) {
	c := &cpu{}
	clock := devices.NewManualClock()
	var bus lapic.Bus
	l := lapic.New(&bus, lapic.Config{BSP: true, Clock: laggingClock{clock}, Signals: c})
	l.WriteMMIO(0xf0, 4, 0x1ff)
	l.WriteMMIO(0x3e0, 4, 0xb)
	l.WriteMMIO(0x320, 4, 0x40)
	for i := range 3 {
		l.WriteMMIO(0x380, 4, 20000)
		clock.Advance(1)
		if v, ok := l.Ack(); !ok || v != 0x40 {
			t.Fatalf("count %d ended in %#x, %v", i, v, ok)
		}
		l.WriteMMIO(0xb0, 4, 0)
	}
}

// A periodic timer that becomes a one-shot fires once more, at the end of the
// period that is under way.
func TestTimerLastPeriod(t *testing.T) {
	r := newRig(1)
	r.enable()
	r.set(0, 0x3e0, 0xb)
	r.set(0, 0x320, 0x20050)
	r.set(0, 0x380, 100000)
	r.clock.Advance(250000)
	r.l[0].Ack()
	r.set(0, 0xb0, 0)
	r.set(0, 0x320, 0x50)
	if n := r.get(0, 0x390); n != 50000 {
		t.Errorf("count %d in the middle of the last period", n)
	}
	r.clock.Advance(49999)
	if r.l[0].HasInterrupt() {
		t.Error("fired before the end of the period")
	}
	r.clock.Advance(2)
	if _, ok := r.l[0].Ack(); !ok {
		t.Error("not fired at the end of the period")
	}
	r.set(0, 0xb0, 0)
	r.clock.Advance(1e6)
	if r.l[0].HasInterrupt() {
		t.Error("fired again")
	}
}

func TestDeadline(t *testing.T) {
	r := newRig(1)
	r.enable()
	l := r.l[0]
	l.WriteMSR(0x6e0, 100)
	if v, _ := l.ReadMSR(0x6e0); v != 0 {
		t.Error("the deadline can be set outside its mode")
	}
	r.set(0, 0x320, 0x40052)
	l.WriteMSR(0x6e0, 5000)
	r.clock.Advance(4000)
	if l.HasInterrupt() {
		t.Error("the deadline is early")
	}
	r.tsc = ^uint64(0) - 1999 // the counter goes back by 2000
	l.TSCChanged()
	r.clock.Advance(2000)
	if l.HasInterrupt() {
		t.Error("the deadline ignores that the counter was set back")
	}
	r.clock.Advance(1001)
	if v, ok := l.Ack(); !ok || v != 0x52 {
		t.Error("the deadline did not fire")
	}
	if v, _ := l.ReadMSR(0x6e0); v != 0 {
		t.Error("the deadline is not cleared")
	}
	r.set(0, 0xb0, 0)
	l.WriteMSR(0x6e0, 1)
	if !l.HasInterrupt() {
		t.Error("a deadline in the past does not fire at once")
	}
}

func TestX2APIC(t *testing.T) {
	r := newRig(2)
	l := r.l[1]
	const en, ext = 1 << 11, 1 << 10
	base, _ := l.ReadMSR(0x1b)
	if _, ok := l.ReadMSR(0x802); ok {
		t.Error("x2APIC registers answer in xAPIC mode")
	}
	if l.WriteMSR(0x1b, base&^en|ext) {
		t.Error("x2APIC without enable")
	}
	if !l.WriteMSR(0x1b, base|ext) {
		t.Fatal("cannot enter x2APIC mode")
	}
	if l.WriteMSR(0x1b, base) {
		t.Error("x2APIC straight to xAPIC")
	}
	if l.ReadMMIO(0x20, 4) != ^uint64(0) {
		t.Error("the page answers in x2APIC mode")
	}
	if v, _ := l.ReadMSR(0x802); v != 1 {
		t.Errorf("ID %d", v)
	}
	if v, _ := l.ReadMSR(0x80d); v != 2 {
		t.Errorf("LDR %#x", v)
	}
	for _, msr := range []uint32{0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x831, 0x839, 0x850} {
		if l.WriteMSR(msr, 0) {
			t.Errorf("MSR %#x can be written", msr)
		}
	}
	if l.WriteMSR(0x80b, 1) || l.WriteMSR(0x80f, 1<<32) || l.WriteMSR(0x808, 0x100) {
		t.Error("reserved bits can be written")
	}
	if _, ok := l.ReadMSR(0x80b); ok {
		t.Error("EOI can be read")
	}
	l.WriteMSR(0x80f, 0x1ff)
	l.WriteMSR(0x83f, 0x77)
	if v, ok := l.Ack(); !ok || v != 0x77 {
		t.Error("no self IPI")
	}
	if !l.WriteMSR(0x80b, 0) {
		t.Error("no EOI")
	}
	l.WriteMSR(0x830, 0<<32|0x4500)
	if r.cpu[0].inits != 1 {
		t.Error("no IPI by one write of ICR")
	}
	if !l.WriteMSR(0x1b, base&^en) {
		t.Error("cannot switch off")
	}
	if l.WriteMSR(0x1b, base|ext) {
		t.Error("from off to x2APIC")
	}
}

func TestExtINT(t *testing.T) {
	r := newRig(2)
	acks := 0
	r.l[0].ConnectPIC(func() uint8 { acks++; return 0x08 })
	r.l[0].LINT0(true)
	if v, ok := r.l[0].Ack(); !ok || v != 8 || acks != 1 {
		t.Error("the PIC's interrupt does not reach the boot processor")
	}
	r.set(0, 0xf0, 0x1ff)
	r.set(0, 0x350, 0x10700)
	if r.l[0].HasInterrupt() {
		t.Error("the mask of LINT0 is ignored")
	}
}

func TestMSI(t *testing.T) {
	r := newRig(2)
	r.enable()
	w := lapic.MSIWindow{Bus: &r.bus}
	w.WriteMMIO(0x1000, 4, 0x55)
	if !r.l[1].HasInterrupt() || r.l[0].HasInterrupt() {
		t.Error("MSI to CPU 1")
	}
	w.WriteMMIO(0, 4, 0x56)
	if v, _ := r.l[0].Ack(); v != 0x56 {
		t.Error("MSI to CPU 0")
	}
}
