// Package rtc is the MC146818 real-time clock of a PC with its 128 bytes of
// battery-backed memory, at ports 0x70 (index and NMI mask) and 0x71 (data).
//
// The date is the machine's clock plus an offset that the guest moves when it
// sets the date; no register ticks. The flags of register C are worked out when
// someone looks: a flag is set when a boundary (of a second, of the periodic
// rate, of the alarm) lies between the last look and now. A timer runs only
// while an interrupt is enabled, set to the next boundary that raises it.
package rtc

import (
	"sync"
	"time"

	"hotblock/devices"
)

// Registers (MC146818A data sheet, figure 12).
const (
	regSec = iota
	regSecAlarm
	regMin
	regMinAlarm
	regHour
	regHourAlarm
	regWeekday
	regDay
	regMonth
	regYear
	regA
	regB
	regC
	regD

	regCentury    = 0x32
	regCenturyPS2 = 0x37
)

// Bits of registers A, B and C.
const (
	aUIP = 0x80

	bSet   = 0x80
	bPIE   = 0x40
	bAIE   = 0x20
	bUIE   = 0x10
	bBin   = 0x04
	b24h   = 0x02
	cIRQF  = 0x80
	cPF    = 0x40
	cAF    = 0x20
	cUF    = 0x10
	second = int64(time.Second)
	// The update cycle: UIP rises 244 us before it and it takes 1984 us.
	updateTime = 244000 + 1984000
)

// RTC is the chip.
type RTC struct {
	clock devices.Clock
	irq   devices.IRQLine

	mu     sync.Mutex
	index  byte
	nmiOff bool
	onNMI  func(masked bool)
	ram    [128]byte
	epoch  int64 // Unix time in ns when the clock was 0
	frozen int64 // the date while SET is on
	// staged are the date registers written while SET is on: they are put
	// together when it goes off, since a date on the way from one to another,
	// such as 31 February, must not be corrected.
	staged map[byte]byte
	seen   int64 // clock time up to which the flags were worked out
	timer  devices.Timer
	timeAt int64
}

// New returns a clock that shows start now, BCD and 24 hours as firmware
// expects it. The date is shown in start's location: give UTC, or local time
// for a guest that wants that.
func New(clock devices.Clock, irq devices.IRQLine, start time.Time) *RTC {
	r := &RTC{clock: clock, irq: irq}
	_, zone := start.Zone()
	r.epoch = start.UnixNano() + int64(zone)*second - clock.Now()
	r.ram[regA] = 0x26
	r.ram[regB] = b24h
	r.ram[regD] = 0x80
	r.seen = clock.Now()
	r.timer = clock.NewTimer(r.onTimer)
	return r
}

// Attach puts the chip on the port bus.
func (r *RTC) Attach(b *devices.PortBus) { b.Claim(0x70, 2, 1, r) }

// OnNMIMask sets a function that is told when bit 7 of port 0x70 changes.
func (r *RTC) OnNMIMask(f func(masked bool)) {
	r.mu.Lock()
	r.onNMI = f
	r.mu.Unlock()
}

// Reset is the chip's RESET pin: date and memory stay.
func (r *RTC) Reset() {
	r.mu.Lock()
	r.ram[regB] &^= bPIE | bAIE | bUIE | 0x08
	r.ram[regC] = 0
	r.index = 0
	r.seen = r.clock.Now()
	was := r.nmiOff
	r.nmiOff = false
	r.update()
	f := r.onNMI
	r.mu.Unlock()
	if was && f != nil {
		f(false)
	}
}

// SetCMOS sets a byte of the battery-backed memory (index 0x0e to 0x7f).
func (r *RTC) SetCMOS(index int, v byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if index > regD && index < len(r.ram) {
		r.ram[index] = v
	}
}

// CMOS returns a byte of the battery-backed memory.
func (r *RTC) CMOS(index int) byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ram[index&0x7f]
}

// running reports whether the divider chain counts (register A, DV).
func (r *RTC) running() bool { return r.ram[regA]>>4&7 <= 2 }

// nowNS is the date in Unix ns.
func (r *RTC) nowNS() int64 {
	if r.ram[regB]&bSet != 0 || !r.running() {
		return r.frozen
	}
	return r.epoch + r.clock.Now()
}

func (r *RTC) date() time.Time { return time.Unix(0, r.nowNS()).UTC() }

// period is the periodic interrupt's period in 32768ths of a second, 0 for off.
func (r *RTC) period() int64 {
	rs := r.ram[regA] & 15
	switch {
	case rs == 0 || !r.running():
		return 0
	case rs < 3:
		rs += 7
	}
	return 1 << (rs - 1)
}

// ticks is the clock in 32768ths of a second.
func ticks(ns int64) int64 { return int64(devices.MulDiv(uint64(ns), 32768, 1e9)) }

// look sets the flags whose boundaries went by since the last look.
func (r *RTC) look() {
	now := r.clock.Now()
	if p := r.period(); p != 0 && ticks(now)/p != ticks(r.seen)/p {
		r.ram[regC] |= cPF
	}
	if r.ram[regB]&bSet == 0 && r.running() {
		a, b := floorDiv(r.epoch+r.seen, second), floorDiv(r.epoch+now, second)
		if a != b {
			r.ram[regC] |= cUF
			if at, ok := r.nextAlarm(a); ok && at <= b {
				r.ram[regC] |= cAF
			}
		}
	}
	r.seen = now
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// nextAlarm is the first Unix second after sec that the alarm matches.
func (r *RTC) nextAlarm(sec int64) (int64, bool) {
	match := func(alarm, v byte) bool { return alarm&0xc0 == 0xc0 || alarm == v }
	t := sec + 1
	for range 24*60 + 2 {
		d := time.Unix(t, 0).UTC()
		if match(r.ram[regHourAlarm], r.hour(d.Hour())) && match(r.ram[regMinAlarm], r.enc(d.Minute())) {
			for s := d.Second(); s < 60; s++ {
				if match(r.ram[regSecAlarm], r.enc(s)) {
					return t + int64(s-d.Second()), true
				}
			}
		}
		t += int64(60 - d.Second())
	}
	return 0, false
}

// update works out the flags, drives the interrupt and sets the timer for the
// next boundary that would raise it.
func (r *RTC) update() {
	r.look()
	b, c := r.ram[regB], r.ram[regC]&0x70
	if b&c&0x70 != 0 {
		c |= cIRQF
	}
	r.ram[regC] = c
	r.irq.Set(c&cIRQF != 0)
	next := int64(0)
	at := func(t int64) {
		if next == 0 || t < next {
			next = t
		}
	}
	if c&cIRQF == 0 {
		now := r.clock.Now()
		if p := r.period(); p != 0 && b&bPIE != 0 {
			at(int64(devices.MulDiv(uint64((ticks(now)/p+1)*p), 1e9, 32768)) + 1)
		}
		if b&bSet == 0 && r.running() {
			sec := floorDiv(r.epoch+now, second)
			if b&bUIE != 0 {
				at((sec+1)*second - r.epoch)
			}
			if b&bAIE != 0 {
				if s, ok := r.nextAlarm(sec); ok {
					at(s*second - r.epoch)
				}
			}
		}
	}
	r.timeAt = next
	if next == 0 {
		r.timer.Stop()
	} else {
		r.timer.Set(next)
	}
}

func (r *RTC) onTimer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timeAt != 0 && r.clock.Now() >= r.timeAt {
		r.update()
	}
}

// enc and dec convert between a number and the register format of DM.
func (r *RTC) enc(v int) byte {
	if r.ram[regB]&bBin != 0 {
		return byte(v)
	}
	return byte(v/10%10<<4 | v%10)
}

func (r *RTC) dec(b byte) int {
	if r.ram[regB]&bBin != 0 {
		return int(b)
	}
	return int(b>>4)*10 + int(b&15)
}

// hour encodes an hour of 0 to 23 by the 24/12 bit.
func (r *RTC) hour(h int) byte {
	if r.ram[regB]&b24h != 0 {
		return r.enc(h)
	}
	v := r.enc((h+11)%12 + 1)
	if h >= 12 {
		v |= 0x80
	}
	return v
}

func (r *RTC) decHour(b byte) int {
	if r.ram[regB]&b24h != 0 {
		return r.dec(b)
	}
	h := r.dec(b&0x7f) % 12
	if b&0x80 != 0 {
		h += 12
	}
	return h
}

// ReadPort implements devices.PortDevice.
func (r *RTC) ReadPort(port uint16, _ int) uint32 {
	if port&1 == 0 {
		return 0xff // the index is write-only
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.staged[r.index]; ok {
		return uint32(v)
	}
	d := r.date()
	switch r.index {
	case regSec:
		return uint32(r.enc(d.Second()))
	case regMin:
		return uint32(r.enc(d.Minute()))
	case regHour:
		return uint32(r.hour(d.Hour()))
	case regWeekday:
		return uint32(r.enc(int(d.Weekday()) + 1))
	case regDay:
		return uint32(r.enc(d.Day()))
	case regMonth:
		return uint32(r.enc(int(d.Month())))
	case regYear:
		return uint32(r.enc(d.Year() % 100))
	case regCentury, regCenturyPS2:
		v := d.Year() / 100
		return uint32(v/10%10<<4 | v%10)
	case regA:
		v := r.ram[regA]
		if r.ram[regB]&bSet == 0 && r.running() {
			if ns := r.nowNS() - floorDiv(r.nowNS(), second)*second; ns >= second-updateTime {
				v |= aUIP
			}
		}
		return uint32(v)
	case regC:
		r.update()
		v := r.ram[regC]
		r.ram[regC] = 0
		r.update()
		return uint32(v)
	}
	return uint32(r.ram[r.index])
}

// WritePort implements devices.PortDevice.
func (r *RTC) WritePort(port uint16, _ int, v uint32) {
	b := byte(v)
	r.mu.Lock()
	if port&1 == 0 {
		r.index = b & 0x7f
		masked := b&0x80 != 0
		f := r.onNMI
		changed := masked != r.nmiOff
		r.nmiOff = masked
		r.mu.Unlock()
		if changed && f != nil {
			f(masked)
		}
		return
	}
	defer r.mu.Unlock()
	switch r.index {
	case regSec, regMin, regHour, regDay, regMonth, regYear, regCentury, regCenturyPS2:
		r.look()
		if r.ram[regB]&bSet != 0 {
			if r.staged == nil {
				r.staged = map[byte]byte{}
			}
			r.staged[r.index] = b
		} else {
			r.setDate(r.index, b)
		}
	case regWeekday: // follows from the date
	case regA:
		r.look()
		was := r.nowNS()
		r.ram[regA] = b & 0x7f
		r.setNow(was)
	case regB:
		r.look()
		was := r.nowNS()
		if b&bSet != 0 {
			b &^= bUIE
		}
		if b&bSet == 0 && r.staged != nil {
			for _, i := range []byte{regCentury, regCenturyPS2, regYear, regMonth, regDay, regHour, regMin, regSec} {
				if v, ok := r.staged[i]; ok {
					r.frozen = was
					r.setDate(i, v)
					was = r.frozen
				}
			}
			r.staged = nil
		}
		r.ram[regB] = b
		r.setNow(was)
	case regC, regD: // read-only
	default:
		r.ram[r.index] = b
	}
	r.update()
}

// setNow makes the date ns, whether it stands or runs.
func (r *RTC) setNow(ns int64) {
	r.frozen = ns
	r.epoch = ns - r.clock.Now()
	r.seen = r.clock.Now()
}

// setDate replaces the field of register i.
func (r *RTC) setDate(i, b byte) {
	ns := r.nowNS()
	d := time.Unix(0, ns).UTC()
	y, mo, day := d.Date()
	h, mi, s := d.Clock()
	switch i {
	case regSec:
		s = r.dec(b)
	case regMin:
		mi = r.dec(b)
	case regHour:
		h = r.decHour(b)
	case regDay:
		day = r.dec(b)
	case regMonth:
		mo = time.Month(r.dec(b))
	case regYear:
		y = y/100*100 + r.dec(b)
	default:
		y = (int(b>>4)*10+int(b&15))*100 + y%100
	}
	// A day past the month's end shall not carry: the guest sets day, month and
	// year one at a time, in any order.
	if i != regDay {
		if last := time.Date(y, mo+1, 0, 0, 0, 0, 0, time.UTC).Day(); day > last {
			day = last
		}
	}
	r.setNow(time.Date(y, mo, day, h, mi, s, d.Nanosecond(), time.UTC).UnixNano())
}
