package devices

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hotblock/internal/hosttsc"
)

// TestRealClockRises has goroutines read the clock while it changes over to the host's
// time stamp counter. None may read less than another has read before.
func TestRealClockRises(t *testing.T) {
	start := time.Now()
	c := NewRealClock()
	var latest atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				before := latest.Load()
				now := c.Now()
				if now < before {
					t.Errorf("the clock went back from %d to %d", before, now)
					return
				}
				for before < now && !latest.CompareAndSwap(before, now) {
					before = latest.Load()
				}
				if n%64 == 0 {
					c.Rate()
					time.Sleep(10 * time.Microsecond)
				}
			}
		})
	}
	time.Sleep(3 * calibrateAfter)
	lo := time.Since(start)
	now := c.Now()
	hi := time.Since(start)
	stop.Store(true)
	wg.Wait()
	if tolerance := int64(hi) / 1000; now < int64(lo)-int64(hi-lo)-tolerance-int64(time.Millisecond) || now > int64(hi)+tolerance {
		t.Errorf("the clock says %d ns, the host between %d and %d", now, lo, hi)
	}
	host, base, mult, ok := c.Rate()
	if !hosttsc.Usable() {
		if ok {
			t.Error("there is a rate, and the counter is not usable")
		}
		return
	}
	if !ok {
		t.Skip("the host was too busy, or its counter is too slow, to take its rate")
	}
	before := c.Now()
	n, _ := bits.Mul64(hosttsc.Read()-host, mult)
	after := c.Now()
	if v := int64(base + n); v < before || v > after {
		t.Errorf("Rate says %d, Now %d before and %d after", v, before, after)
	}
	if h, b, m, _ := c.Rate(); h != host || b != base || m != mult {
		t.Error("the rate changed")
	}
}

// TestRealClockPause pauses a clock by the monotonic clock, and one by the counter.
func TestRealClockPause(t *testing.T) {
	for _, wait := range []time.Duration{0, calibrateAfter} {
		c := NewRealClock()
		time.Sleep(wait)
		_, _, _, known := c.Rate()
		if wait == 0 && known {
			t.Error("there is a rate at once")
		}
		before := c.Now()
		c.Pause()
		at := c.Now()
		if at < before {
			t.Errorf("Pause took the clock back from %d to %d", before, at)
		}
		if _, _, _, ok := c.Rate(); ok {
			t.Error("a clock that stands still has a rate")
		}
		time.Sleep(20 * time.Millisecond)
		if now := c.Now(); now != at {
			t.Errorf("a paused clock went on from %d to %d", at, now)
		}
		resumed := time.Now()
		c.Resume()
		now := c.Now()
		if took := int64(time.Since(resumed)); now < at || now > at+took+took/1000+1000 {
			t.Errorf("paused at %d, it goes on at %d after %d ns", at, now, took)
		}
		if _, _, _, ok := c.Rate(); ok != known && known {
			t.Error("the rate was forgotten")
		}
	}
}

// TestRate takes rates from made-up readings.
func TestRate(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		from, to reading
		state    rateState
	}{
		{"2 GHz", reading{1000, 1100, 0}, reading{200001000, 200001100, 100 * ms}, rateKnown},
		{"below 1 GHz", reading{1000, 1100, 0}, reading{99001000, 99001100, 100 * ms}, rateUnusable},
		{"went back", reading{1 << 40, 1<<40 + 1, 0}, reading{1, 2, 100 * ms}, rateUnusable},
		{"uncertain", reading{1000, 1100, 0}, reading{200001000, 200003000, 100 * ms}, rateUnknown},
	} {
		mult, state := rate(c.from, c.to)
		if state != c.state {
			t.Errorf("%s: state %d", c.name, state)
		}
		if state != rateKnown {
			continue
		}
		// The clock is not slow, and fast by no more than the readings are apart.
		ticks := c.to.lo - c.from.lo
		ns := scale(ticks, mult)
		if want := uint64(c.to.at - c.from.at); ns < want || ns > want+100 {
			t.Errorf("%s: %d ticks are %d ns, not %d", c.name, ticks, ns, want)
		}
	}
}

// TestBaseAt has the parameters hold for ticks in front of the change, too.
func TestBaseAt(t *testing.T) {
	const mult = 1 << 63
	b := baseAt(7, 1000, mult) // the counter may have been reset a while ago
	for _, d := range []int64{-1000, -8, 0, 2, 1 << 40} {
		tick := uint64(7 + d)
		if got, want := b.offset+int64(scale(tick-b.tick, mult)), 1000+d/2; got != want {
			t.Errorf("%d ticks on it is %d, not %d", d, got, want)
		}
	}
}
