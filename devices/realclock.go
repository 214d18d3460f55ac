package devices

// Real time.
//
// A RealClock starts on the host's monotonic clock, as Go reads it. Where the host's
// time stamp counter can be trusted (package hosttsc), the clock learns its rate from
// the monotonic clock and then goes by the counter alone:
//
//	now = offset + (TSC - tick) * mult / 2^64
//
// This can be had by generated code in a few instructions, and devices and the guest's
// TSC see the same time, whoever reads it.
//
// The clock must not go back when it changes over. A reading of the monotonic clock
// lies between two of the counter, lo and hi, which are some tens of ns apart. The rate
// is taken from hi of the first reading to lo of the last, and the time at the change is
// said to have been reached at lo already. Both make the clock fast, by these tens of
// ns and by as much in the time between the readings, never slow: so it is nowhere behind
// what somebody may have just read by the monotonic clock.
//
// What the counter does while the host sleeps is not made up for: where it goes on, unlike
// Linux's monotonic clock, that is time which has passed; a firmware that resets it takes the
// clock out of its range.

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"hotblock/internal/hosttsc"
)

const (
	// calibrateAfter is how far apart the readings are that the rate is taken from, at
	// least.
	calibrateAfter = 100 * time.Millisecond
	// calibrateError is how much of that they may be uncertain by: one in so many. A
	// host that is too busy makes them be farther apart.
	calibrateError = 1 << 17
	// tickMargin is by how many ticks the parameters of the clock lie in the past, so that
	// a processor whose counter is a little behind is not in front of them.
	tickMargin = 1 << 30
)

// RealClock is a Clock on the host's monotonic time. Pause stops it, as when a
// user halts the machine. Reading it takes no lock.
type RealClock struct {
	// Guard, where set, is put around every timer's function. Set it before
	// the first NewTimer.
	Guard func(f func()) func()

	base   atomic.Pointer[clockBase]
	origin time.Time
	first  reading     // of when the clock was made
	noTSC  atomic.Bool // the counter is not to be used
	mu     sync.Mutex
	mult   uint64 // ns in 2^64 ticks of the counter; 0: not known
	armed  map[*realTimer]struct{}
}

// clockBase is what the time follows from. It does not change.
type clockBase struct {
	paused bool
	mult   uint64 // 0: by the monotonic clock
	tick   uint64
	offset int64 // the time; that at tick; or that at RealClock.origin
}

// reading is a time of the monotonic clock and two ticks that it lies between.
type reading struct {
	lo, hi uint64
	at     time.Duration // since RealClock.origin
}

// NewRealClock returns a running clock at 0.
func NewRealClock() *RealClock {
	c := &RealClock{origin: time.Now(), armed: map[*realTimer]struct{}{}}
	if hosttsc.Usable() {
		c.first = c.read()
	} else {
		c.noTSC.Store(true)
	}
	c.base.Store(&clockBase{})
	return c
}

// read reads both clocks, as close together as a few tries give.
func (c *RealClock) read() (best reading) {
	for i := range 10 {
		lo := hosttsc.Read()
		at := time.Since(c.origin)
		hi := hosttsc.Read()
		if i == 0 || hi-lo < best.hi-best.lo {
			best = reading{lo, hi, at}
		}
	}
	return best
}

// Now returns ns since the clock was made, less the time it was paused.
func (c *RealClock) Now() int64 {
	for {
		b := c.base.Load()
		now := b.offset
		switch {
		case b.paused:
			return now
		case b.mult != 0:
			now += int64(scale(hosttsc.Read()-b.tick, b.mult))
		default:
			now += int64(time.Since(c.origin))
		}
		if c.base.Load() == b {
			return now
		}
	}
}

// scale is n*mult/2^64.
func scale(n, mult uint64) uint64 {
	hi, _ := bits.Mul64(n, mult)
	return hi
}

// Rate returns how the time follows from the host's time stamp counter: while the
// counter is at host+n, Now is now + n*mult/2^64. That holds until Pause, which
// nobody who goes by it may miss. ok is false while the clock goes by another, as it does
// in its first tenth of a second, while it is paused, and for ever where the
// counter cannot be trusted or is slower than 1 GHz. now is a two's complement
// number: it may lie before the clock's start.
func (c *RealClock) Rate() (host, now, mult uint64, ok bool) {
	b := c.base.Load()
	if b.mult == 0 {
		if b = c.calibrate(); b == nil {
			return 0, 0, 0, false
		}
	}
	return b.tick, uint64(b.offset), b.mult, true
}

// calibrate changes to the time stamp counter if it is time to. It returns nil where
// it is not.
func (c *RealClock) calibrate() *clockBase {
	if c.noTSC.Load() || time.Since(c.origin) < calibrateAfter {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.base.Load()
	if b.paused {
		return nil
	}
	if b.mult != 0 {
		return b
	}
	r := c.read()
	mult, state := rate(c.first, r)
	switch state {
	case rateUnusable:
		c.noTSC.Store(true)
		return nil
	case rateUnknown:
		return nil
	}
	c.mult = mult
	b = baseAt(r.lo, b.offset+int64(r.at), mult)
	c.base.Store(b)
	return b
}

// What rate found.
type rateState int

const (
	rateKnown    rateState = iota
	rateUnknown            // the readings are too uncertain for the time between them
	rateUnusable           // the counter is too slow, or went back
)

// rate is the least number of ns in 2^64 ticks that does not make a clock slow, by two
// readings.
func rate(from, to reading) (mult uint64, state rateState) {
	ns, ticks := uint64(to.at-from.at), to.lo-from.hi
	if int64(ticks) <= 0 || ticks <= ns {
		return 0, rateUnusable
	}
	if from.hi-from.lo+to.hi-to.lo > ticks/calibrateError {
		return 0, rateUnknown
	}
	mult, _ = bits.Div64(ns, 0, ticks)
	return mult + 1, rateKnown
}

// baseAt is what the time follows from if it is now at a tick.
func baseAt(tick uint64, now int64, mult uint64) *clockBase {
	return &clockBase{mult: mult, tick: tick - tickMargin, offset: now - int64(scale(tickMargin, mult))}
}

// Pause stops time; no timer fires until Resume. CPUs that run translated code
// must have stopped.
func (c *RealClock) Pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.base.Load().paused {
		return
	}
	c.base.Store(&clockBase{offset: c.Now(), paused: true})
	for t := range c.armed {
		t.t.Stop()
	}
}

// Resume lets time go on.
func (c *RealClock) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.base.Load()
	if !b.paused {
		return
	}
	if c.mult != 0 {
		c.base.Store(baseAt(hosttsc.Read(), b.offset, c.mult))
	} else {
		c.base.Store(&clockBase{offset: b.offset - int64(time.Since(c.origin))})
	}
	for t := range c.armed {
		t.t.Reset(time.Duration(max(t.at-b.offset, 0)))
	}
}

type realTimer struct {
	c  *RealClock
	t  *time.Timer
	at int64
	f  func()
}

// NewTimer implements Clock.
func (c *RealClock) NewTimer(f func()) Timer {
	if c.Guard != nil {
		f = c.Guard(f)
	}
	rt := &realTimer{c: c, f: f}
	rt.t = time.AfterFunc(time.Hour, rt.fire)
	rt.t.Stop()
	return rt
}

func (t *realTimer) fire() {
	c := t.c
	c.mu.Lock()
	_, ok := c.armed[t]
	if !ok || c.base.Load().paused {
		c.mu.Unlock()
		return
	}
	if early := t.at - c.Now(); early > 0 {
		t.t.Reset(time.Duration(early))
		c.mu.Unlock()
		return
	}
	delete(c.armed, t)
	c.mu.Unlock()
	t.f()
}

func (t *realTimer) Set(at int64) {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	t.at = at
	c.armed[t] = struct{}{}
	if !c.base.Load().paused {
		t.t.Reset(time.Duration(max(at-c.Now(), 0)))
	}
}

func (t *realTimer) Stop() {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.armed[t]; ok {
		delete(c.armed, t)
		t.t.Stop()
	}
}
