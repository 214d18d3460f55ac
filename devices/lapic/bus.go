package lapic

import "sync/atomic"

// Delivery modes of an interrupt message (SDM volume 3, 11.6.1 "Interrupt
// Command Register", and 11.11 for MSI).
const (
	Fixed     = 0
	LowestPri = 1
	SMI       = 2
	NMI       = 4
	INIT      = 5
	SIPI      = 6
	ExtINT    = 7
)

// A Message is one interrupt message on its way to local APICs: from an I/O
// APIC, an MSI write or another local APIC.
type Message struct {
	Dest    uint32 // APIC ID, or logical destination
	Short   bool   // Dest has 8 bits, and 0xff means all
	Logical bool
	Mode    uint8 // delivery mode
	Vector  uint8
	Level   bool // trigger mode: level
}

// Bus carries messages between the local APICs of a machine.
type Bus struct {
	apics []*LAPIC
	turn  atomic.Uint32
	eoi   func(vector uint8)
}

// OnEOI sets the function that takes the EOI broadcasts of level-triggered
// vectors. It is called with no lock held. Set it before the machine runs.
func (b *Bus) OnEOI(f func(vector uint8)) { b.eoi = f }

// APICs returns the local APICs, in the order they were made.
func (b *Bus) APICs() []*LAPIC { return b.apics }

// Send delivers m. It reports whether any local APIC took it; an I/O APIC does
// not look, an ICR write records it in ESR.
func (b *Bus) Send(m Message) bool {
	if m.Mode == LowestPri {
		if l := b.arbitrate(m); l != nil {
			m.Mode = Fixed
			l.accept(m)
			return true
		}
		return false
	}
	took := false
	for _, l := range b.apics {
		if l.matches(m) {
			l.accept(m)
			took = true
		}
	}
	return took
}

// arbitrate picks the destination with the lowest processor priority, taking
// turns among equals.
func (b *Bus) arbitrate(m Message) *LAPIC {
	var best *LAPIC
	var bestPri uint32
	n := len(b.apics)
	first := int(b.turn.Add(1) % uint32(max(n, 1)))
	for i := range n {
		l := b.apics[(first+i)%n]
		if !l.matches(m) || !l.swEnabled.Load() {
			continue
		}
		if pri := l.pri.Load(); best == nil || pri < bestPri {
			best, bestPri = l, pri
		}
	}
	return best
}

// MSI delivers a message-signalled interrupt: a write of data to addr in
// 0xfee00000-0xfeefffff (SDM volume 3, 11.11 "Message Signalled Interrupts").
func (b *Bus) MSI(addr uint64, data uint32) {
	m := Message{
		Dest:    uint32(addr >> 12 & 0xff),
		Short:   true,
		Logical: addr&4 != 0,
		Mode:    uint8(data >> 8 & 7),
		Vector:  uint8(data),
		Level:   data>>15&1 != 0,
	}
	if m.Level && data>>14&1 == 0 {
		return // deassert
	}
	b.Send(m)
}

// NMI pulses every CPU's LINT1 pin, which firmware and systems set up as NMI.
func (b *Bus) NMI() {
	for _, l := range b.apics {
		l.LINT1(true)
		l.LINT1(false)
	}
}

// MSIWindow is the window at 0xfee00000 as devices, and a CPU that has no
// window of its own set up, see it: a write delivers an MSI. Reads and writes
// of local APIC registers go to the first CPU's. Map it over 1 MiB.
type MSIWindow struct{ Bus *Bus }

// ReadMMIO implements mmu.MMIO.
func (w MSIWindow) ReadMMIO(off uint64, size int) uint64 {
	if off >= 0x10 && off < 0x1000 && len(w.Bus.apics) > 0 {
		return w.Bus.apics[0].ReadMMIO(off, size)
	}
	return ^uint64(0)
}

// WriteMMIO implements mmu.MMIO.
func (w MSIWindow) WriteMMIO(off uint64, size int, v uint64) {
	if off >= 0x10 && off < 0x1000 {
		if len(w.Bus.apics) > 0 {
			w.Bus.apics[0].WriteMMIO(off, size, v)
		}
		return
	}
	if size == 4 && off&3 == 0 {
		w.Bus.MSI(0xfee00000+off, uint32(v))
	}
}
