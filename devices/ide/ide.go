// Package ide is the IDE controller of the PIIX3 (82371SB, function 1): two
// channels with two drives each, ATA disks and ATAPI CD-ROMs, programmed I/O and
// bus master DMA (ATA/ATAPI-6; SFF-8020i and MMC for CD-ROMs).
//
// A command that moves data becomes a transfer: a source or sink of so many
// bytes, moved in blocks. For programmed I/O the drive offers a block (DRQ) with
// an interrupt, the CPU reads or writes it through the data port, and the next
// one follows. For DMA the controller walks the guest's table of regions as
// soon as both the drive has the command and the bus master engine is started.
// The image is read and written while the CPU waits in its port access, so
// there is no time in which a drive is busy.
package ide

import (
	"sync"

	"hotblock/devices"
	"hotblock/devices/pci"
)

// Status register.
const (
	stErr  = 0x01
	stDRQ  = 0x08
	stSeek = 0x10
	stDF   = 0x20
	stRdy  = 0x40
	stBsy  = 0x80
)

// Error register.
const (
	erAbort = 0x04
	erIDNF  = 0x10
	erUNC   = 0x40
)

// Device control register.
const (
	dcNIEN = 0x02
	dcSRST = 0x04
	dcHOB  = 0x80
)

// Bus master status register.
const (
	bmActive = 0x01
	bmError  = 0x02
	bmInt    = 0x04
)

// maxChunk is how much of an image is held in memory for one transfer.
const maxChunk = 128 << 10

// Controller is the PCI function and its channels.
type Controller struct {
	*pci.Function
	mu sync.Mutex
	ch [2]channel
}

type channel struct {
	c       *Controller
	irq     devices.IRQLine
	drives  [2]*drive
	sel     int
	control byte
	line    bool

	bmCmd    byte
	bmStatus byte
	bmTable  uint32
}

// New returns a controller without drives; the interrupts are ISA IRQ 14 and 15.
func New(irq14, irq15 devices.IRQLine) *Controller {
	c := &Controller{Function: pci.NewFunction("PIIX3 IDE", pci.ID{Vendor: 0x8086, Device: 0x7010, Class: 0x010180,
		SubVendor: 0x1af4, SubDevice: 0x1100})}
	c.SetReg(pci.RegCommand, []byte{0, 0, 0x80, 0x02}, []byte{0x05, 0x00})
	c.SetReg(0x40, make([]byte, 5), []byte{0xff, 0xff, 0xff, 0xff, 0xff})
	c.AddBAR(4, pci.BAR{Size: 16, Kind: pci.IO, Ports: busMaster{c}})
	for i, irq := range []devices.IRQLine{irq14, irq15} {
		ch := &c.ch[i]
		ch.c, ch.irq = c, irq
		for d := range ch.drives {
			ch.drives[d] = &drive{ch: ch, n: d}
		}
	}
	c.Reset()
	return c
}

// Attach puts both channels at their fixed ports.
func (c *Controller) Attach(b *devices.PortBus) {
	for i, base := range []uint16{0x1f0, 0x170} {
		ch := &c.ch[i]
		b.Claim(base, 8, 4, devices.PortFuncs{
			Read:  func(port uint16, size int) uint32 { return ch.read(int(port-base), size) },
			Write: func(port uint16, size int, v uint32) { ch.write(int(port-base), size, v) },
		})
		b.Claim(base+0x206, 1, 1, devices.PortFuncs{
			Read:  func(uint16, int) uint32 { return ch.altStatus() },
			Write: func(_ uint16, _ int, v uint32) { ch.setControl(byte(v)) },
		})
	}
}

// AddDisk puts an ATA disk on a channel (0, 1) as drive 0 or 1. serial is its
// serial number, of at most 20 characters.
func (c *Controller) AddDisk(channel, n int, disk devices.Disk, serial string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.ch[channel&1].drives[n&1]
	d.present, d.atapi, d.disk, d.serial = true, false, disk, serial
	d.reset()
}

// AddCDROM puts an ATAPI CD-ROM drive on a channel; medium may be nil for an
// empty tray.
func (c *Controller) AddCDROM(channel, n int, medium devices.Disk, serial string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.ch[channel&1].drives[n&1]
	d.present, d.atapi, d.disk, d.serial = true, true, medium, serial
	d.reset()
}

// SetMedium changes the disc in a CD-ROM drive; nil takes it out. It reports
// false where the drive is none, or the guest holds its door shut.
func (c *Controller) SetMedium(channel, n int, medium devices.Disk) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.ch[channel&1].drives[n&1]
	if !d.present || !d.atapi || d.locked && d.disk != nil {
		return false
	}
	d.disk = medium
	d.trayOpen = false
	d.changed = medium != nil
	d.event = true
	return true
}

// FirmwareInit enables both channels, as firmware does. bus is the bus the
// function is on.
func (c *Controller) FirmwareInit(bus *pci.Bus) {
	slot, fn := c.Slot()
	bus.WriteConfig(0, slot<<3|fn, 0x40, 4, 0x80008000)
}

// Reset brings channels and drives to their power-on state.
func (c *Controller) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.ch {
		ch := &c.ch[i]
		ch.sel, ch.control = 0, 0
		ch.bmCmd, ch.bmStatus, ch.bmTable = 0, 0, 0
		for _, d := range ch.drives {
			d.mult = 0
			d.locked = false
			d.reset()
		}
		ch.drive()
	}
}

func (ch *channel) selected() *drive { return ch.drives[ch.sel] }

// empty reports whether the channel has no drive at all.
func (ch *channel) empty() bool { return !ch.drives[0].present && !ch.drives[1].present }

// drive puts the selected drive's interrupt on the line.
func (ch *channel) drive() {
	level := ch.selected().intrq && ch.control&dcNIEN == 0
	if level && !ch.line {
		ch.bmStatus |= bmInt
	}
	ch.line = level
	ch.irq.Set(level)
}

func (ch *channel) altStatus() uint32 {
	ch.c.mu.Lock()
	defer ch.c.mu.Unlock()
	return uint32(ch.status())
}

func (ch *channel) status() byte {
	d := ch.selected()
	if !d.present {
		return 0
	}
	return d.status
}

func (ch *channel) setControl(v byte) {
	ch.c.mu.Lock()
	defer ch.c.mu.Unlock()
	was := ch.control
	ch.control = v
	switch {
	case v&dcSRST != 0 && was&dcSRST == 0:
		for _, d := range ch.drives {
			d.stop()
			d.status = stBsy | stSeek
			d.intrq = false
		}
	case v&dcSRST == 0 && was&dcSRST != 0:
		ch.sel = 0
		for _, d := range ch.drives {
			d.reset()
		}
	}
	ch.drive()
}

// read is a read of the command block.
func (ch *channel) read(reg, size int) uint32 {
	ch.c.mu.Lock()
	defer ch.c.mu.Unlock()
	if reg == 0 {
		v := uint32(0)
		if size == 1 {
			return uint32(ch.selected().readData(1))
		}
		for i := 0; i < size; i += 2 {
			v |= uint32(ch.selected().readData(2)) << (8 * i)
		}
		ch.drive()
		return v
	}
	var v uint32
	for i := range size {
		v |= uint32(ch.readReg(reg+i)) << (8 * i)
	}
	return v
}

func (ch *channel) readReg(reg int) byte {
	d := ch.selected()
	if ch.empty() {
		return 0
	}
	if !d.present {
		// Drive 0 answers for the missing drive 1; status shows nothing there.
		if reg == 7 {
			return 0
		}
		d = ch.drives[0]
		if !d.present {
			return 0
		}
	}
	hob := 0
	if ch.control&dcHOB != 0 {
		hob = 1
	}
	switch reg {
	case 1:
		return d.err
	case 2:
		return d.count[hob]
	case 3, 4, 5:
		return d.lba[hob][reg-3]
	case 6:
		return d.device | 0xa0
	case 7:
		d.intrq = false
		ch.drive()
		return d.status
	}
	return 0xff
}

// write is a write to the command block.
func (ch *channel) write(reg, size int, v uint32) {
	ch.c.mu.Lock()
	defer ch.c.mu.Unlock()
	if reg == 0 {
		if size == 1 {
			ch.selected().writeData(uint16(v), 1)
		}
		for i := 0; i+1 < size; i += 2 {
			ch.selected().writeData(uint16(v>>(8*i)), 2)
		}
		ch.drive()
		return
	}
	for i := range size {
		ch.writeReg(reg+i, byte(v>>(8*i)))
	}
	ch.drive()
}

func (ch *channel) writeReg(reg int, b byte) {
	if ch.control&dcSRST != 0 {
		return
	}
	// Both drives take what is written to the registers; the command goes to
	// the selected one.
	if reg >= 1 && reg <= 6 {
		ch.control &^= dcHOB
		for _, d := range ch.drives {
			if d.status&(stBsy|stDRQ) != 0 && reg != 6 {
				continue
			}
			switch reg {
			case 1:
				d.feature = b
			case 2:
				d.count[1], d.count[0] = d.count[0], b
			case 3, 4, 5:
				d.lba[1][reg-3], d.lba[0][reg-3] = d.lba[0][reg-3], b
			case 6:
				d.device = b
			}
		}
		if reg == 6 {
			ch.sel = int(b >> 4 & 1)
		}
		return
	}
	if reg == 7 {
		d := ch.selected()
		if b == 0x90 { // EXECUTE DEVICE DIAGNOSTIC goes to both
			for _, x := range ch.drives {
				x.reset()
			}
			ch.sel = 0
			ch.drives[0].intrq = ch.drives[0].present
			return
		}
		if d.present {
			d.intrq = false
			d.command(b)
		}
	}
}

// --- bus master (82371SB, 2.5; SFF-8038i) ---

type busMaster struct{ c *Controller }

func (m busMaster) ReadPort(port uint16, size int) uint32 {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	var v uint32
	for i := range size {
		p := int(port) + i
		ch := &m.c.ch[p>>3&1]
		var b byte
		switch p & 7 {
		case 0:
			b = ch.bmCmd
		case 2:
			b = ch.bmStatus
		case 4, 5, 6, 7:
			b = byte(ch.bmTable >> (8 * (p & 3)))
		}
		v |= uint32(b) << (8 * i)
	}
	return v
}

func (m busMaster) WritePort(port uint16, size int, v uint32) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	for i := range size {
		p, b := int(port)+i, byte(v>>(8*i))
		ch := &m.c.ch[p>>3&1]
		switch p & 7 {
		case 0:
			was := ch.bmCmd
			ch.bmCmd = b & 0x09
			if b&1 == 0 {
				ch.bmStatus &^= bmActive
			} else if was&1 == 0 {
				ch.bmStatus |= bmActive
				ch.runDMA()
			}
		case 2:
			ch.bmStatus = ch.bmStatus&0x01 | b&0x60 | ch.bmStatus&(bmError|bmInt)&^b
		case 4, 5, 6, 7:
			s := 8 * (p & 3)
			ch.bmTable = (ch.bmTable&^(0xff<<s) | uint32(b)<<s) &^ 3
		}
	}
	m.c.ch[0].drive()
	m.c.ch[1].drive()
}

// runDMA moves the selected drive's transfer through the table of physical
// regions, if the drive waits for DMA and the engine runs.
func (ch *channel) runDMA() {
	d := ch.selected()
	t := d.xfer
	if t == nil || !t.dma || ch.bmStatus&bmActive == 0 {
		return
	}
	if t.write == (ch.bmCmd&8 != 0) {
		return // the engine is set to the other direction: nothing moves
	}
	table := ch.bmTable
	for {
		var prd [8]byte
		if !ch.c.ReadMem(uint64(table), prd[:]) {
			ch.bmStatus = ch.bmStatus&^bmActive | bmError
			return
		}
		addr := uint64(prd[0])&^1 | uint64(prd[1])<<8 | uint64(prd[2])<<16 | uint64(prd[3])<<24
		n := int(prd[4])&^1 | int(prd[5])<<8
		if n == 0 {
			n = 0x10000
		}
		for n > 0 {
			b := t.window(d, n)
			if d.xfer != t {
				break // the drive gave up
			}
			if t.write {
				ch.c.ReadMem(addr, b)
			} else {
				ch.c.WriteMem(addr, b)
			}
			addr += uint64(len(b))
			n -= len(b)
			t.advance(d, len(b))
			if d.xfer != t {
				break
			}
		}
		last := prd[7]&0x80 != 0
		if d.xfer != t { // done, or failed
			if last && n == 0 || d.status&stErr != 0 {
				ch.bmStatus &^= bmActive
			}
			return
		}
		if last {
			// The table was too short: the engine stops and the drive waits.
			ch.bmStatus &^= bmActive
			return
		}
		table = table&^0xffff | (table+8)&0xffff
	}
}
