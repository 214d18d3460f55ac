package devices_test

import (
	"sync"
	"testing"
	"time"

	"hotblock/devices"
)

// recorder is a device that reads as its port number's low byte in each byte.
type recorder struct{ log []uint64 }

func (r *recorder) ReadPort(port uint16, size int) uint32 {
	var v uint32
	for i := range size {
		v |= uint32(byte(int(port)+i)) << (8 * i)
	}
	return v
}

func (r *recorder) WritePort(port uint16, size int, v uint32) {
	r.log = append(r.log, uint64(port)<<40|uint64(size)<<32|uint64(v))
}

func TestPortBus(t *testing.T) {
	var b devices.PortBus
	var missed int
	b.Unclaimed = func(uint16, int, bool, uint32) { missed++ }
	narrow, wide := &recorder{}, &recorder{}
	b.Claim(0x100, 2, 1, narrow)
	b.Claim(0x102, 4, 4, wide)
	if v := b.In(0x100, 4); v != 0x03020100 {
		t.Errorf("a read across two devices gives %#x", v)
	}
	if v := b.In(0x105, 2); v != 0xff05 {
		t.Errorf("a read half outside the claim gives %#x", v)
	}
	if v := b.In(0x200, 4); v != 0xffffffff || missed != 2 {
		t.Errorf("an unclaimed read gives %#x, and the hook was called %d times", v, missed)
	}
	if v := b.In(0xffff, 4); v != 0xffffffff {
		t.Errorf("a read past the last port gives %#x", v)
	}
	b.Out(0x100, 2, 0xbbaa)
	b.Out(0x102, 4, 0x44332211)
	if len(narrow.log) != 2 || narrow.log[1] != 0x101<<40|1<<32|0xbb {
		t.Errorf("8-bit device got %#x", narrow.log)
	}
	if len(wide.log) != 1 || wide.log[0] != 0x102<<40|4<<32|0x44332211 {
		t.Errorf("32-bit device got %#x", wide.log)
	}
	weak := &recorder{}
	c := b.ClaimWeak(0x100, 16, 4, weak)
	b.Out(0x100, 1, 1)
	b.Out(0x108, 1, 1)
	if len(weak.log) != 1 {
		t.Errorf("a weak claim got %d writes: a firm one has to win", len(weak.log))
	}
	b.Release(c)
	b.Release(c)
	if v := b.In(0x108, 1); v != 0xff {
		t.Errorf("a released port reads %#x", v)
	}
}

func TestSharedLine(t *testing.T) {
	var level bool
	s := devices.NewSharedLine(devices.IRQFunc(func(l bool) { level = l }))
	a, b := s.Source(), s.Source()
	a.Set(true)
	b.Set(true)
	b.Set(true)
	a.Set(false)
	if !level {
		t.Error("the line fell while a source held it")
	}
	b.Set(false)
	if level {
		t.Error("the line stayed high without a source")
	}
}

func TestManualClock(t *testing.T) {
	c := devices.NewManualClock()
	var order []int64
	note := func() { order = append(order, c.Now()) }
	a, b := c.NewTimer(note), c.NewTimer(note)
	a.Set(20)
	b.Set(10)
	stopped := c.NewTimer(note)
	stopped.Set(5)
	stopped.Stop()
	c.Advance(30)
	if len(order) != 2 || order[0] != 10 || order[1] != 20 || c.Now() != 30 {
		t.Errorf("timers ran at %v, now %d", order, c.Now())
	}
}

func TestRealClockPause(t *testing.T) {
	c := devices.NewRealClock()
	c.Pause()
	at := c.Now()
	var wg sync.WaitGroup
	wg.Add(1)
	tm := c.NewTimer(wg.Done)
	tm.Set(at + 1)
	time.Sleep(time.Millisecond)
	if c.Now() != at {
		t.Error("a paused clock went on")
	}
	c.Resume()
	wg.Wait() // the timer fires after Resume, or the test times out
	if c.Now() <= at {
		t.Error("the clock stands after Resume")
	}
}

func TestMulDiv(t *testing.T) {
	if v := devices.MulDiv(1<<62, 3579545, 1e9); v != 16507737628831664 {
		t.Errorf("MulDiv = %d", v)
	}
	if v := devices.MulDiv(1<<63, 1<<63, 1); v != ^uint64(0) {
		t.Errorf("an overflow gives %#x", v)
	}
}
