// Package pit is the Intel 8254 programmable interval timer of a PC (ports
// 0x40-0x43) with the port B register at 0x61 that gates channel 2 and the
// speaker.
//
// No counter ever ticks. A channel remembers when its count was loaded, on
// what its gate did, and its state at any moment follows from the clock: with
// t ticks of 1.193182 MHz since the load, mode 2 shows n - t mod n, and so on.
// The one thing that happens by itself is channel 0's output, IRQ 0: a timer is
// set for its next edge, computed from the load time, so that periods never
// drift however late a callback runs. When the host was late by whole periods,
// the edges that were missed collapse into one, as the interrupt controller
// would have done with a guest that was too slow.
package pit

import (
	"sync"

	"hotblock/devices"
)

// Hz is the input frequency, 14.31818 MHz / 12.
const Hz = 1193182

type channel struct {
	mode   byte // 0 to 5
	access byte // 1 low, 2 high, 3 low then high
	bcd    bool
	gate   bool

	reload  uint16 // as written; 0 means 65536 (or 10000 BCD)
	partial byte   // low byte while the high one is awaited
	wrHigh  bool   // access 3: the next write is the high byte
	rdHigh  bool

	armed   bool  // a count was loaded and runs, or waits for its trigger
	null    bool  // the count register was written and not loaded yet
	start   int64 // clock time of the load, ns
	running bool  // counting (modes 1 and 5: triggered)
	stopped int64 // gate low in modes 0 and 4: ticks that had run
	halted  bool

	latched      bool
	latch        uint16
	statusLatch  bool
	status       byte
	nextReload   uint16 // modes 2 and 3: takes effect at the end of the period
	reloadQueued bool
}

// PIT is the chip and port 0x61.
type PIT struct {
	clock devices.Clock
	irq   devices.IRQLine

	mu      sync.Mutex
	ch      [3]channel
	timer   devices.Timer
	timeAt  int64
	portB   byte // bits 0 (gate 2), 1 (speaker data), 2 and 3 (NMI masks)
	onSpkr  func(hz int)
	spkrHz  int
	outHigh bool
}

// New returns a PIT whose channel 0 output drives irq.
func New(clock devices.Clock, irq devices.IRQLine) *PIT {
	p := &PIT{clock: clock, irq: irq}
	p.timer = clock.NewTimer(p.onTimer)
	p.Reset()
	return p
}

// Attach puts the chip and port 0x61 on the port bus.
func (p *PIT) Attach(b *devices.PortBus) {
	b.Claim(0x40, 4, 1, p)
	b.Claim(0x61, 1, 1, devices.PortFuncs{
		Read:  func(uint16, int) uint32 { return uint32(p.readB()) },
		Write: func(_ uint16, _ int, v uint32) { p.writeB(byte(v)) },
	})
}

// OnSpeaker sets a function that is told the speaker's tone in Hz when it
// changes, 0 for silence. It is called with the PIT's lock held and must not
// call back.
func (p *PIT) OnSpeaker(f func(hz int)) {
	p.mu.Lock()
	p.onSpkr = f
	p.mu.Unlock()
}

// Reset brings the channels to a defined state; the data sheet leaves it open.
// Channels 0 and 1 have their gates tied high.
func (p *PIT) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.ch {
		p.ch[i] = channel{access: 3, mode: 3, gate: i < 2}
	}
	p.portB = 0
	p.timeAt = 0
	p.timer.Stop()
	p.speaker()
	p.update()
}

func (c *channel) period() uint64 {
	n := fromBCD(c.reload, c.bcd)
	if n == 0 {
		if c.bcd {
			return 10000
		}
		return 65536
	}
	return uint64(n)
}

func fromBCD(v uint16, bcd bool) uint16 {
	if !bcd {
		return v
	}
	return v&15 + v>>4&15*10 + v>>8&15*100 + v>>12*1000
}

func toBCD(v uint16) uint16 {
	v %= 10000
	return v%10 | v/10%10<<4 | v/100%10<<8 | v/1000<<12
}

// ticks is the number of counting pulses since the count began to run.
func (c *channel) ticks(now int64) uint64 {
	if c.halted {
		return uint64(c.stopped)
	}
	return devices.MulDiv(uint64(max(now-c.start, 0)), Hz, 1e9)
}

// settle lets a new count that was written while a periodic channel ran take
// over where the period it was written in has ended.
func (c *channel) settle(now int64) {
	if !c.running || c.mode != 2 && c.mode != 3 || !c.reloadQueued {
		return
	}
	n := c.period()
	if c.ticks(now) < n {
		return
	}
	c.start += int64(devices.MulDiv(n, 1e9, Hz))
	c.reload = c.nextReload
	c.reloadQueued = false
	c.null = false
}

// value is the counting element at time now, in binary.
func (c *channel) value(now int64) uint16 {
	n := c.period()
	if !c.armed {
		return c.reload
	}
	wrap := uint64(65536)
	if c.bcd {
		wrap = 10000
	}
	if !c.running {
		return uint16(n % wrap)
	}
	t := c.ticks(now)
	switch c.mode {
	case 2:
		if c.halted {
			return uint16(n % wrap)
		}
		return uint16((n - t%n) % wrap)
	case 3:
		if c.halted {
			return uint16(n &^ 1 % wrap)
		}
		if n == 1 {
			return 0
		}
		return uint16((n&^1 - 2*(t%n)%(n&^1)) % wrap)
	default:
		// The counter goes on through zero and wraps.
		return uint16((n%wrap + wrap - t%wrap) % wrap)
	}
}

// out is the level of the output pin at time now.
func (c *channel) out(now int64) bool {
	if !c.armed {
		return c.mode != 0
	}
	n := c.period()
	var t uint64
	if c.running {
		t = c.ticks(now)
	}
	switch c.mode {
	case 0:
		return c.running && t >= n
	case 1:
		return !c.running || t >= n
	case 2:
		return !c.running || c.halted || t%n != n-1
	case 3:
		return !c.running || c.halted || t%n < (n+1)/2
	default: // 4 and 5: low for the one tick after the count ran out
		return !c.running || t != n
	}
}

// nextEdge is the clock time at which the output changes next, 0 for never.
func (c *channel) nextEdge(now int64) int64 {
	if !c.armed || !c.running || c.halted {
		return 0
	}
	n, t := c.period(), c.ticks(now)
	var at uint64
	switch c.mode {
	case 0, 1:
		if t >= n {
			return 0
		}
		at = n
	case 2:
		base := t - t%n
		at = base + n - 1
		if t >= at {
			at = base + n
		}
	case 3:
		base, half := t-t%n, (n+1)/2
		at = base + half
		if t >= at {
			at = base + n
		}
	default:
		at = n
		if t >= n {
			at = n + 1
		}
		if t > n {
			return 0
		}
	}
	// Rounded up, so that at that time ticks has reached at.
	return c.start + int64(devices.MulDiv(at, 1e9, Hz)) + 1
}

// load starts the count that was written.
func (c *channel) load(v uint16, now int64) {
	switch {
	case c.mode == 1 || c.mode == 5:
		c.nextReload = v
		c.null = true
		if !c.armed || !c.running {
			c.reload = v
		} else {
			c.reloadQueued = true
		}
		c.armed = true // runs with the next rising edge of the gate
	case (c.mode == 2 || c.mode == 3) && c.armed && c.running:
		if !c.halted {
			t := c.ticks(now)
			c.start += int64(devices.MulDiv(t-t%c.period(), 1e9, Hz))
		}
		c.nextReload = v
		c.reloadQueued = true
		c.null = true
	default:
		c.reload = v
		c.start = now
		c.armed = true
		c.running = true
		c.null = false
		c.halted = !c.gate
		c.stopped = 0
	}
}

// setGate acts on a change of the gate input (data sheet, "gate pin
// operations").
func (c *channel) setGate(level bool, now int64) {
	if c.gate == level {
		return
	}
	c.settle(now)
	switch c.mode {
	case 0, 4:
		if level {
			c.start = now - int64(devices.MulDiv(uint64(c.stopped), 1e9, Hz))
			c.halted = false
		} else if c.running {
			c.stopped = int64(c.ticks(now))
			c.halted = true
		}
	case 2, 3:
		if level {
			c.start = now
			c.halted = false
			if c.reloadQueued {
				c.reload, c.reloadQueued, c.null = c.nextReload, false, false
			}
		} else {
			c.stopped = 0
			c.halted = true
		}
	case 1, 5:
		if level && c.armed {
			if c.reloadQueued {
				c.reload, c.reloadQueued = c.nextReload, false
			}
			c.null = false
			c.start = now
			c.running = true
			c.halted = false
		}
	}
	c.gate = level
}

// update drives IRQ 0 and sets the timer for its next edge.
func (p *PIT) update() {
	c := &p.ch[0]
	now := p.clock.Now()
	p.settle(now)
	out := c.out(now)
	if p.timeAt != 0 && now >= p.timeAt && out && p.outHigh && (c.mode == 2 || c.mode == 3) {
		p.irq.Set(false) // the low phase went by unseen
	}
	p.outHigh = out
	p.irq.Set(out)
	p.timeAt = c.nextEdge(now)
	if p.timeAt == 0 {
		p.timer.Stop()
	} else {
		p.timer.Set(p.timeAt)
	}
}

func (p *PIT) settle(now int64) {
	for i := range p.ch {
		p.ch[i].settle(now)
	}
}

func (p *PIT) onTimer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timeAt != 0 && p.clock.Now() >= p.timeAt {
		p.update()
	}
}

// ReadPort implements devices.PortDevice for 0x40-0x43.
func (p *PIT) ReadPort(port uint16, _ int) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if port&3 == 3 {
		return 0xff // the control word cannot be read
	}
	c := &p.ch[port&3]
	if c.statusLatch {
		c.statusLatch = false
		return uint32(c.status)
	}
	now := p.clock.Now()
	c.settle(now)
	v := c.latch
	if !c.latched {
		v = c.value(now)
		if c.bcd {
			v = toBCD(v)
		}
	}
	switch c.access {
	case 1:
		c.latched = false
		return uint32(v & 0xff)
	case 2:
		c.latched = false
		return uint32(v >> 8)
	}
	if !c.rdHigh {
		c.rdHigh = true
		return uint32(v & 0xff)
	}
	c.rdHigh = false
	c.latched = false
	return uint32(v >> 8)
}

func (c *channel) latchCount(now int64) {
	if c.latched {
		return
	}
	c.latch = c.value(now)
	if c.bcd {
		c.latch = toBCD(c.latch)
	}
	c.latched = true
}

// WritePort implements devices.PortDevice for 0x40-0x43.
func (p *PIT) WritePort(port uint16, _ int, v uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	p.settle(now)
	b := byte(v)
	if port&3 == 3 {
		p.control(b, now)
	} else {
		c := &p.ch[port&3]
		switch c.access {
		case 1:
			c.load(uint16(b), now)
		case 2:
			c.load(uint16(b)<<8, now)
		default:
			if !c.wrHigh {
				c.partial = b
				c.wrHigh = true
				if c.mode == 0 {
					c.armed = false // the first byte stops the count
				}
				break
			}
			c.wrHigh = false
			c.load(uint16(b)<<8|uint16(c.partial), now)
		}
	}
	p.speaker()
	p.update()
}

func (p *PIT) control(b byte, now int64) {
	if b>>6 == 3 { // read-back
		for i := range p.ch {
			c := &p.ch[i]
			if b&(2<<i) == 0 {
				continue
			}
			if b&0x20 == 0 {
				c.latchCount(now)
			}
			if b&0x10 == 0 && !c.statusLatch {
				c.statusLatch = true
				c.status = c.access<<4 | c.mode<<1
				if c.bcd {
					c.status |= 1
				}
				if c.null || !c.armed {
					c.status |= 0x40
				}
				if c.out(now) {
					c.status |= 0x80
				}
			}
		}
		return
	}
	c := &p.ch[b>>6]
	if b>>4&3 == 0 { // counter latch
		c.latchCount(now)
		return
	}
	mode := b >> 1 & 7
	if mode > 5 {
		mode &= 3
	}
	*c = channel{mode: mode, access: b >> 4 & 3, bcd: b&1 != 0, gate: c.gate, reload: c.reload}
}

// readB is port 0x61: bit 4 toggles with each memory refresh (channel 1, every
// 15.085 us), bit 5 is channel 2's output.
func (p *PIT) readB() byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	p.settle(now)
	v := p.portB
	if now/15085&1 != 0 {
		v |= 0x10
	}
	if p.ch[2].out(now) {
		v |= 0x20
	}
	return v
}

func (p *PIT) writeB(b byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.portB = b & 0x0f
	p.ch[2].setGate(b&1 != 0, p.clock.Now())
	p.speaker()
}

func (p *PIT) speaker() {
	hz := 0
	if c := &p.ch[2]; p.portB&3 == 3 && c.armed && c.running && c.mode == 3 {
		hz = int(Hz / c.period())
	}
	if hz != p.spkrHz {
		p.spkrHz = hz
		if p.onSpkr != nil {
			p.onSpkr(hz)
		}
	}
}
