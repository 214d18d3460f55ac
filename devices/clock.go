package devices

import (
	"math/bits"
	"sync"
)

// A Clock is the machine's time. Devices take all time from it, so a test, or
// a deterministic run, can make time itself.
type Clock interface {
	// Now is the time in ns since the machine started. It never goes back.
	Now() int64
	// NewTimer returns a timer, stopped, that calls f on a goroutine of its
	// own, with no lock held. A call may still be under way or come once after
	// Stop or Set: f has to look under its own lock whether it is due.
	NewTimer(f func()) Timer
}

// A Timer calls its function once, at the time it was last set to.
type Timer interface {
	// Set arms the timer for the time at in ns of its Clock; a time that has
	// passed makes it fire at once.
	Set(at int64)
	// Stop disarms it.
	Stop()
}

// AfterFunc calls f after d ns of c's time.
func AfterFunc(c Clock, d int64, f func()) Timer {
	t := c.NewTimer(f)
	t.Set(c.Now() + d)
	return t
}

// MulDiv is a*b/c without overflow in between; c must not be 0. A result over
// 64 bits is cut to the largest number.
func MulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return ^uint64(0)
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// ManualClock is a Clock that stands still until it is told to go on. Its
// timers run inside Advance, by rising time.
type ManualClock struct {
	mu    sync.Mutex
	now   int64
	armed map[*manualTimer]struct{}
	seq   uint64
}

// NewManualClock returns a clock at 0.
func NewManualClock() *ManualClock { return &ManualClock{armed: map[*manualTimer]struct{}{}} }

// Now returns the time that Advance calls have added up to.
func (c *ManualClock) Now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves time on by d ns and runs the timers that fall due, each at its
// own time.
func (c *ManualClock) Advance(d int64) {
	c.mu.Lock()
	end := c.now + d
	for {
		var next *manualTimer
		for t := range c.armed {
			if t.at <= end && (next == nil || t.at < next.at || t.at == next.at && t.seq < next.seq) {
				next = t
			}
		}
		if next == nil {
			break
		}
		delete(c.armed, next)
		c.now = max(c.now, next.at)
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// Next returns the time of the timer that falls due first.
func (c *ManualClock) Next() (at int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.armed {
		if !ok || t.at < at {
			at, ok = t.at, true
		}
	}
	return at, ok
}

type manualTimer struct {
	c   *ManualClock
	at  int64
	seq uint64
	f   func()
}

// NewTimer implements Clock.
func (c *ManualClock) NewTimer(f func()) Timer { return &manualTimer{c: c, f: f} }

func (t *manualTimer) Set(at int64) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.c.seq++
	t.at, t.seq = at, t.c.seq
	t.c.armed[t] = struct{}{}
}

func (t *manualTimer) Stop() {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	delete(t.c.armed, t)
}
