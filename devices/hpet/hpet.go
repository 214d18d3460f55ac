// Package hpet is a High Precision Event Timer with three 64-bit comparators
// (IA-PC HPET Specification 1.0a), a counter of 100 MHz.
//
// The counter does not tick: its value is the clock, scaled, less an offset
// that starting and writing it set. A timer's comparator is turned into a clock
// time, for which a host timer is set.
package hpet

import (
	"sync"

	"hotblock/devices"
)

const (
	periodFS = 10000000 // 10 ns in femtoseconds
	nsTick   = 10
	timers   = 3
)

// Timer configuration bits.
const (
	tnLevel    = 1 << 1
	tnEnable   = 1 << 2
	tnPeriodic = 1 << 3
	tnPerCap   = 1 << 4
	tnSize     = 1 << 5
	tnSetVal   = 1 << 6
	tn32       = 1 << 8
	tnFSBEn    = 1 << 14
	tnFSBCap   = 1 << 15
	tnWritable = tnLevel | tnEnable | tnPeriodic | tnSetVal | tn32 | 0x1f<<9 | tnFSBEn

	cfgEnable = 1
	cfgLegacy = 2
)

// minPeriod is the shortest period in ticks that a periodic timer interrupts
// with: below it the host would do nothing else.
const minPeriod = 2000

type timer struct {
	cfg    uint64
	comp   uint64 // comparator
	period uint64 // of a periodic timer: what was last written
	fsb    uint64
	t      devices.Timer
	at     int64
	line   int // pin it last drove, -1 for none
}

// HPET is the block. It implements mmu.MMIO for its 1 KiB of registers.
type HPET struct {
	clock  devices.Clock
	pin    func(gsi int) devices.IRQLine
	legacy func(on bool) // takes over IRQ 0 and IRQ 8
	msi    func(addr uint64, data uint32)

	mu     sync.Mutex
	cfg    uint64
	isr    uint64
	offset uint64 // counter minus clock ticks; the counter itself while stopped
	tn     [timers]timer
	lines  map[int]devices.IRQLine
}

// routes are the I/O APIC pins a timer may be routed to: 16 to 23, and pin 2 in
// the place of IRQ 0.
const routes = 0xff0004

// New returns an HPET. pin gives a new source of an I/O APIC pin; msi delivers
// interrupts as messages; legacy is told when timers 0 and 1 replace the PIT
// and the RTC on IRQ 0 and 8.
func New(clock devices.Clock, pin func(gsi int) devices.IRQLine, msi func(uint64, uint32), legacy func(bool)) *HPET {
	h := &HPET{clock: clock, pin: pin, msi: msi, legacy: legacy, lines: map[int]devices.IRQLine{}}
	for i := range h.tn {
		h.tn[i].t = clock.NewTimer(func() { h.expire(i) })
	}
	h.Reset()
	return h
}

// Reset stops the counter at 0.
func (h *HPET) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cfg&cfgLegacy != 0 && h.legacy != nil {
		h.legacy(false)
	}
	h.cfg, h.isr, h.offset = 0, 0, 0
	for i := range h.tn {
		t := &h.tn[i]
		t.cfg = tnPerCap | tnSize | tnFSBCap | routes<<32
		t.comp, t.period, t.fsb, t.at, t.line = ^uint64(0), 0, 0, 0, -1
		t.t.Stop()
	}
	for _, l := range h.lines {
		l.Set(false)
	}
}

func (h *HPET) counter() uint64 {
	if h.cfg&cfgEnable == 0 {
		return h.offset
	}
	return uint64(h.clock.Now())/nsTick + h.offset
}

// left is the number of ticks until timer t's comparator is met.
func (h *HPET) left(t *timer) uint64 {
	if t.cfg&tn32 != 0 {
		return uint64(uint32(t.comp) - uint32(h.counter()))
	}
	return t.comp - h.counter()
}

// arm sets timer i's host timer.
func (h *HPET) arm(i int) {
	t := &h.tn[i]
	t.at = 0
	t.t.Stop()
	if h.cfg&cfgEnable == 0 || t.cfg&tnEnable == 0 {
		return
	}
	left := h.left(t)
	if left > 1<<58 {
		return // in the past, or in a century
	}
	t.at = h.clock.Now() + int64(left*nsTick)
	t.t.Set(t.at)
}

func (h *HPET) expire(i int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &h.tn[i]
	if t.at == 0 || h.clock.Now() < t.at {
		return
	}
	t.at = 0
	if t.cfg&tnPeriodic != 0 && t.period != 0 {
		p := max(t.period, minPeriod)
		late := -h.left(t)
		if t.cfg&tn32 != 0 {
			late &= 0xffffffff
		}
		t.comp += late/p*p + p // the next one that is not past
		if t.cfg&tn32 != 0 {
			t.comp &= 0xffffffff
		}
		h.arm(i)
	}
	h.raise(i)
}

// gsi is the pin that timer i drives.
func (h *HPET) gsi(i int) int {
	if h.cfg&cfgLegacy != 0 && i < 2 {
		return []int{2, 8}[i]
	}
	n := int(h.tn[i].cfg >> 9 & 31)
	if routes>>n&1 == 0 {
		return -1
	}
	return n
}

func (h *HPET) drive(i int, level bool) {
	t := &h.tn[i]
	n := h.gsi(i)
	if t.line >= 0 && t.line != n {
		h.lines[t.line].Set(false)
	}
	t.line = n
	if n < 0 {
		return
	}
	l := h.lines[n]
	if l == nil {
		l = h.pin(n)
		h.lines[n] = l
	}
	l.Set(level)
}

func (h *HPET) raise(i int) {
	t := &h.tn[i]
	switch {
	case t.cfg&tnLevel != 0:
		h.isr |= 1 << i
		h.drive(i, true)
	case t.cfg&tnFSBEn != 0:
		h.msi(t.fsb>>32, uint32(t.fsb))
	default:
		h.drive(i, true)
		h.drive(i, false)
	}
}

// ReadMMIO implements mmu.MMIO.
func (h *HPET) ReadMMIO(off uint64, size int) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.read(off &^ 7)
	return v >> (8 * (off & 7))
}

func (h *HPET) read(off uint64) uint64 {
	switch off {
	case 0x000:
		return periodFS<<32 | 0x8086<<16 | 1<<15 | 1<<13 | (timers-1)<<8 | 1
	case 0x010:
		return h.cfg
	case 0x020:
		return h.isr
	case 0x0f0:
		return h.counter()
	}
	if i := (off - 0x100) / 0x20; off >= 0x100 && i < timers {
		t := &h.tn[i]
		switch off & 0x1f {
		case 0x00:
			return t.cfg
		case 0x08:
			return t.comp
		case 0x10:
			return t.fsb
		}
	}
	return 0
}

// WriteMMIO implements mmu.MMIO. Registers are written as 32 or 64 bits.
func (h *HPET) WriteMMIO(off uint64, size int, v uint64) {
	if size < 4 || off&3 != 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	reg := off &^ 7
	mask := ^uint64(0)
	if size == 4 {
		mask = 0xffffffff
		if off&4 != 0 {
			v <<= 32
			mask <<= 32
		}
	} else if off&7 != 0 {
		return
	}
	merge := func(old uint64) uint64 { return old&^mask | v&mask }
	switch reg {
	case 0x010:
		h.configure(merge(h.cfg) & 3)
		return
	case 0x020:
		for i := range h.tn {
			if v&mask>>i&1 != 0 && h.isr>>i&1 != 0 {
				h.isr &^= 1 << i
				h.drive(i, false)
			}
		}
		return
	case 0x0f0:
		if h.cfg&cfgEnable == 0 {
			h.offset = merge(h.offset)
		}
		return
	}
	i := int((reg - 0x100) / 0x20)
	if reg < 0x100 || i >= timers {
		return
	}
	t := &h.tn[i]
	switch reg & 0x1f {
	case 0x00:
		if t.cfg&tnLevel != 0 && h.isr>>i&1 != 0 && merge(t.cfg)&tnLevel == 0 {
			h.isr &^= 1 << i
			h.drive(i, false)
		}
		t.cfg = t.cfg&^tnWritable | merge(t.cfg)&tnWritable
	case 0x08:
		w := merge(t.comp)
		if t.cfg&tn32 != 0 {
			w &= 0xffffffff
		}
		if t.cfg&tnPeriodic == 0 {
			t.comp = w
			break
		}
		if t.cfg&tnSetVal != 0 {
			t.comp = w
			if mask>>32 != 0 || t.cfg&tn32 != 0 || size == 8 {
				t.cfg &^= tnSetVal
			}
		}
		t.period = merge(t.period)
		if t.cfg&tn32 != 0 {
			t.period &= 0xffffffff
		}
	case 0x10:
		t.fsb = merge(t.fsb)
	}
	h.arm(i)
}

func (h *HPET) configure(v uint64) {
	old := h.cfg
	if (old^v)&cfgEnable != 0 {
		now := uint64(h.clock.Now()) / nsTick
		if v&cfgEnable != 0 {
			h.offset -= now
		} else {
			h.offset += now
		}
	}
	h.cfg = v
	if (old^v)&cfgLegacy != 0 && h.legacy != nil {
		h.legacy(v&cfgLegacy != 0)
	}
	for i := range h.tn {
		h.arm(i)
	}
}
