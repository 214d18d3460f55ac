// Package devices is what the device models share: the port bus, time,
// interrupt lines and the interface to a disk image. The models themselves are
// in folders below, one each, and mirror the board of a PC.
//
// # Locks
//
// Every device may be called from any goroutine (CPUs, timers, input) and has
// a mutex of its own. A device may call down while it holds its lock, in this
// order, and never up:
//
//	device -> SharedLine -> PCI interrupt router -> PIC, I/O APIC -> local APIC -> Signals
//
// What goes the other way is called with no lock held: a local APIC gives up
// its lock before it tells the I/O APIC of an EOI or fetches a vector from the
// PIC. The PCI bus takes its lock before those of memory and of the port bus,
// and before those of the devices on it. Timer callbacks run with no lock.
package devices

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A PortDevice decodes I/O ports. port is the absolute port number, size is 1,
// 2 or 4 bytes and never more than the width the device was claimed with.
type PortDevice interface {
	ReadPort(port uint16, size int) uint32
	WritePort(port uint16, size int, v uint32)
}

// PortFuncs makes a PortDevice of two functions; a nil Read gives ones and a
// nil Write ignores.
type PortFuncs struct {
	Read  func(port uint16, size int) uint32
	Write func(port uint16, size int, v uint32)
}

// ReadPort calls Read.
func (f PortFuncs) ReadPort(port uint16, size int) uint32 {
	if f.Read == nil {
		return Ones(size)
	}
	return f.Read(port, size)
}

// WritePort calls Write.
func (f PortFuncs) WritePort(port uint16, size int, v uint32) {
	if f.Write != nil {
		f.Write(port, size, v)
	}
}

// Ones is what a bus that nobody drives reads as: size bytes of 0xff.
func Ones(size int) uint32 { return uint32(1<<(8*uint(size)) - 1) }

// A PortClaim is a device's range of ports on a PortBus.
type PortClaim struct {
	base  uint16
	n     int
	width int
	dev   PortDevice
	weak  bool
}

type portPage [256]*PortClaim

// PortBus is the I/O port space. Look-up takes no lock: it goes through a
// two-level table that is copied on change. The zero value is an empty bus.
type PortBus struct {
	pages  [256]atomic.Pointer[portPage]
	mu     sync.Mutex
	claims []*PortClaim

	// Unclaimed, where set before the machine runs, is told of each access
	// that no device decodes.
	Unclaimed func(port uint16, size int, write bool, v uint32)
}

// Claim gives dev the n ports from base. width is the widest access in bytes
// (1, 2 or 4) that the device takes at once: the bus splits wider ones, and
// ones that reach past the claim, into halves at rising ports, as the bus
// controller of a PC does for 8-bit cards. Where claims overlap, the one made
// first wins. It panics where the range is not inside the port space.
func (b *PortBus) Claim(base uint16, n, width int, dev PortDevice) *PortClaim {
	return b.claim(&PortClaim{base: base, n: n, width: width, dev: dev})
}

// ClaimWeak is Claim for a range that the guest chose, such as a PCI BAR: any
// claim made with Claim wins over it.
func (b *PortBus) ClaimWeak(base uint16, n, width int, dev PortDevice) *PortClaim {
	return b.claim(&PortClaim{base: base, n: n, width: width, dev: dev, weak: true})
}

func (b *PortBus) claim(c *PortClaim) *PortClaim {
	if c.n <= 0 || int(c.base)+c.n > 0x10000 {
		panic(fmt.Sprintf("devices: port range %#x+%#x", c.base, c.n))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims = append(b.claims, c)
	b.rebuild(c)
	return c
}

// Release takes a claim off the bus. Releasing nil, or a claim twice, does
// nothing.
func (b *PortBus) Release(c *PortClaim) {
	if c == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, x := range b.claims {
		if x == c {
			b.claims = append(b.claims[:i:i], b.claims[i+1:]...)
			b.rebuild(c)
			return
		}
	}
}

// rebuild makes the pages that c touches anew.
func (b *PortBus) rebuild(c *PortClaim) {
	for pg := int(c.base) >> 8; pg <= (int(c.base)+c.n-1)>>8; pg++ {
		var p portPage
		used := false
		for _, weak := range []bool{false, true} {
			for _, x := range b.claims {
				if x.weak != weak {
					continue
				}
				for port := max(int(x.base), pg<<8); port < min(int(x.base)+x.n, (pg+1)<<8); port++ {
					if p[port&0xff] == nil {
						p[port&0xff] = x
						used = true
					}
				}
			}
		}
		if used {
			b.pages[pg].Store(&p)
		} else {
			b.pages[pg].Store(nil)
		}
	}
}

func (b *PortBus) find(port int) *PortClaim {
	if port > 0xffff {
		return nil
	}
	if p := b.pages[port>>8].Load(); p != nil {
		return p[port&0xff]
	}
	return nil
}

// takes reports whether c decodes size ports from port as one access.
func (b *PortBus) takes(c *PortClaim, port, size int) bool {
	return c != nil && size <= c.width && (size == 1 || b.find(port+size-1) == c)
}

// In reads size (1, 2 or 4) bytes from port.
func (b *PortBus) In(port uint16, size int) uint32 { return b.in(int(port), size) }

func (b *PortBus) in(port, size int) uint32 {
	c := b.find(port)
	if b.takes(c, port, size) {
		return c.dev.ReadPort(uint16(port), size) & Ones(size)
	}
	if size > 1 && (c != nil || b.anyClaim(port, size)) {
		h := size / 2
		lo := b.in(port, h)
		return lo | b.in(port+h, h)<<(8*uint(h))
	}
	if b.Unclaimed != nil {
		b.Unclaimed(uint16(port), size, false, 0)
	}
	return Ones(size)
}

// Out writes the low size (1, 2 or 4) bytes of v to port.
func (b *PortBus) Out(port uint16, size int, v uint32) { b.out(int(port), size, v&Ones(size)) }

func (b *PortBus) out(port, size int, v uint32) {
	c := b.find(port)
	if b.takes(c, port, size) {
		c.dev.WritePort(uint16(port), size, v)
		return
	}
	if size > 1 && (c != nil || b.anyClaim(port, size)) {
		h := size / 2
		b.out(port, h, v&Ones(h))
		b.out(port+h, h, v>>(8*uint(h)))
		return
	}
	if b.Unclaimed != nil {
		b.Unclaimed(uint16(port), size, true, v)
	}
}

func (b *PortBus) anyClaim(port, size int) bool {
	for i := range size {
		if b.find(port+i) != nil {
			return true
		}
	}
	return false
}
