package ide

import (
	"encoding/binary"

	"hotblock/devices"
)

// drive is one ATA disk or ATAPI CD-ROM.
type drive struct {
	ch      *channel
	n       int
	present bool
	atapi   bool
	disk    devices.Disk // CD-ROM: nil without a disc
	serial  string

	status, err, feature, device byte
	count                        [2]byte    // present, previous
	lba                          [2][3]byte // low, mid, high; present, previous
	intrq                        bool
	xfer                         *transfer

	mult           int // sectors for each DRQ of READ MULTIPLE; 0 for off
	heads, sectors int // current translation
	xferMode       byte
	noCache        bool

	// CD-ROM
	sense    [3]byte // key, code, qualifier
	locked   bool
	trayOpen bool
	changed  bool // a disc was put in: unit attention
	event    bool
}

const maxMult = 16

// reset is a software reset: registers hold the signature (ATA-6, 9.12).
func (d *drive) reset() {
	d.stop()
	d.intrq = false
	d.err = 0x01
	d.device = 0
	d.feature = 0
	d.heads, d.sectors = 16, 63
	d.signature()
	d.status = stRdy | stSeek
	if d.atapi || !d.present {
		d.status = 0
	}
}

func (d *drive) signature() {
	d.count = [2]byte{1, 0}
	d.lba = [2][3]byte{{1, 0, 0}}
	if d.atapi {
		d.lba[0] = [3]byte{1, 0x14, 0xeb}
	}
}

func (d *drive) ok() {
	d.status = stRdy | stSeek
	d.err = 0
	d.intrq = true
}

func (d *drive) fail(err byte) {
	d.stop()
	d.status = stRdy | stSeek | stErr
	d.err = err
	d.intrq = true
}

// ioError ends a command whose image could not be read or written.
func (d *drive) ioError() {
	if d.atapi {
		d.check(3, 0x11, 0) // medium error, unrecovered read error
		return
	}
	d.fail(erUNC)
}

func (d *drive) total() int64 { return d.disk.Size() / 512 }

// geometry is the default translation.
func (d *drive) geometry() (cyls, heads, sectors int) {
	return int(min(max(d.total()/(16*63), 1), 16383)), 16, 63
}

// address is the sector that the registers select, and how many follow; ok is
// false past the end of the disk.
func (d *drive) address(ext bool) (lba int64, n int64, ok bool) {
	b := d.lba[0]
	n = int64(d.count[0])
	if n == 0 {
		n = 256
	}
	switch {
	case ext:
		h := d.lba[1]
		lba = int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 | int64(h[0])<<24 | int64(h[1])<<32 | int64(h[2])<<40
		n = int64(d.count[0]) | int64(d.count[1])<<8
		if n == 0 {
			n = 65536
		}
	case d.device&0x40 != 0:
		lba = int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 | int64(d.device&15)<<24
	default:
		cyl := int64(b[1]) | int64(b[2])<<8
		if b[0] == 0 {
			return 0, n, false
		}
		lba = (cyl*int64(d.heads)+int64(d.device&15))*int64(d.sectors) + int64(b[0]) - 1
	}
	return lba, n, lba >= 0 && lba+n <= d.total()
}

// settle puts the address of the last sector moved into the registers.
func (d *drive) settle(lba int64, ext bool) {
	d.count[0] = 0
	switch {
	case ext:
		for i := range 3 {
			d.lba[0][i] = byte(lba >> (8 * i))
			d.lba[1][i] = byte(lba >> (24 + 8*i))
		}
	case d.device&0x40 != 0:
		for i := range 3 {
			d.lba[0][i] = byte(lba >> (8 * i))
		}
		d.device = d.device&0xf0 | byte(lba>>24)&15
	default:
		s := int64(d.sectors)
		h := int64(d.heads)
		d.lba[0][0] = byte(lba%s) + 1
		d.device = d.device&0xf0 | byte(lba/s%h)&15
		cyl := lba / s / h
		d.lba[0][1], d.lba[0][2] = byte(cyl), byte(cyl>>8)
	}
}

// command executes a command.
func (d *drive) command(cmd byte) {
	if d.atapi {
		switch cmd {
		case 0x00, 0x08, 0xa0, 0xa1, 0xe0, 0xe1, 0xe2, 0xe3, 0xe5, 0xe6, 0xec, 0xef:
		case 0x20, 0x21: // READ SECTORS gives the signature, as IDENTIFY does
			d.signature()
			d.fail(erAbort)
			return
		default:
			d.fail(erAbort)
			return
		}
	}
	if d.xfer != nil && cmd != 0x08 {
		d.stop()
	}
	switch cmd {
	case 0x08: // DEVICE RESET
		if !d.atapi {
			d.fail(erAbort)
			return
		}
		sel := d.device & 0x10
		d.reset()
		d.device = sel
	case 0x20, 0x21:
		d.rw(false, false, false, 1)
	case 0x24:
		d.rw(false, false, true, 1)
	case 0x30, 0x31:
		d.rw(true, false, false, 1)
	case 0x34:
		d.rw(true, false, true, 1)
	case 0x29:
		d.multiple(false, true)
	case 0x39, 0xce:
		d.multiple(true, true)
	case 0xc4:
		d.multiple(false, false)
	case 0xc5:
		d.multiple(true, false)
	case 0xc8, 0xc9:
		d.rw(false, true, false, 0)
	case 0x25:
		d.rw(false, true, true, 0)
	case 0xca, 0xcb:
		d.rw(true, true, false, 0)
	case 0x35, 0x3d:
		d.rw(true, true, true, 0)
	case 0x40, 0x41, 0x42: // READ VERIFY
		ext := cmd == 0x42
		lba, n, ok := d.address(ext)
		if !ok {
			d.fail(erIDNF | erAbort)
			return
		}
		d.settle(lba+n-1, ext)
		d.ok()
	case 0x27, 0xf8: // READ NATIVE MAX ADDRESS
		last := d.total() - 1
		if cmd == 0xf8 {
			last = min(last, 0xfffffff)
			d.device |= 0x40
		}
		n := d.count[0]
		d.settle(last, cmd == 0x27)
		d.count[0] = n
		d.ok()
	case 0x70: // SEEK
		d.ok()
	case 0x91: // INITIALIZE DEVICE PARAMETERS
		if d.count[0] == 0 {
			d.fail(erAbort)
			return
		}
		d.sectors, d.heads = int(d.count[0]), int(d.device&15)+1
		d.ok()
	case 0xa0:
		d.packet()
	case 0xa1:
		if !d.atapi {
			d.fail(erAbort)
			return
		}
		d.give(d.identifyPacket())
	case 0xc6: // SET MULTIPLE MODE
		n := int(d.count[0])
		if n > maxMult || n&(n-1) != 0 {
			d.fail(erAbort)
			return
		}
		d.mult = n
		d.ok()
	case 0xe0, 0xe1, 0xe2, 0xe3, 0xe6: // power: always at once
		d.ok()
	case 0xe5: // CHECK POWER MODE: active
		d.count[0] = 0xff
		d.ok()
	case 0xe7, 0xea: // FLUSH CACHE
		if err := d.disk.Flush(); err != nil {
			d.fail(erAbort)
			d.status |= stDF
			return
		}
		d.ok()
	case 0xec:
		if d.atapi {
			d.signature()
			d.fail(erAbort)
			return
		}
		d.give(d.identify())
	case 0xef:
		d.setFeatures()
	default:
		if cmd >= 0x10 && cmd < 0x20 { // RECALIBRATE
			d.ok()
			return
		}
		d.fail(erAbort)
	}
}

func (d *drive) setFeatures() {
	switch d.feature {
	case 0x02, 0x82: // write cache
		d.noCache = d.feature == 0x82
	case 0x03: // transfer mode: PIO, multiword DMA 0-2, ultra DMA 0-5
		m := d.count[0]
		if !(m < 2 || m >= 8 && m <= 12 || m >= 0x20 && m <= 0x22 || m >= 0x40 && m <= 0x45) {
			d.fail(erAbort)
			return
		}
		d.xferMode = m
	case 0x05, 0x85, 0x42, 0xc2, 0x55, 0xaa, 0x66, 0xcc, 0x67, 0x69, 0x96:
	default:
		d.fail(erAbort)
		return
	}
	d.ok()
}

// give lets the CPU read data by programmed I/O.
func (d *drive) give(data []byte) {
	d.err = 0
	d.begin(&transfer{mem: true, data: data, left: int64(len(data)), block: len(data), done: func(*drive) {}})
}

// rw is READ or WRITE of sectors, in blocks of block sectors.
func (d *drive) rw(write, dma, ext bool, block int) {
	lba, n, ok := d.address(ext)
	switch {
	case !ok:
		d.fail(erIDNF)
		return
	case write && d.disk.ReadOnly():
		d.fail(erAbort)
		return
	}
	size := block * 512
	if dma {
		size = maxChunk
	}
	d.err = 0
	d.begin(&transfer{write: write, dma: dma, left: n * 512, off: lba * 512, block: size, done: func(d *drive) {
		if write && d.noCache {
			if d.disk.Flush() != nil {
				d.fail(erAbort)
				return
			}
		}
		d.settle(lba+n-1, ext)
		d.status = stRdy | stSeek
		d.err = 0
		if dma || write {
			d.intrq = true
		}
	}})
}

func (d *drive) multiple(write, ext bool) {
	if d.mult == 0 {
		d.fail(erAbort)
		return
	}
	d.rw(write, false, ext, d.mult)
}

// words builds identify data.
type words [256]uint16

func (w *words) str(at, n int, s string) {
	b := []byte(s)
	for len(b) < 2*n {
		b = append(b, ' ')
	}
	for i := range n {
		w[at+i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
}

func (w *words) bytes() []byte {
	out := make([]byte, 0, 512)
	for _, x := range w {
		out = binary.LittleEndian.AppendUint16(out, x)
	}
	return out
}

// mode is the word that shows supported modes and the selected one.
func (d *drive) mode(base byte, supported uint16) uint16 {
	if d.xferMode&^7 == base {
		supported |= 0x100 << (d.xferMode & 7)
	}
	return supported
}

// identify is IDENTIFY DEVICE data (ATA-6, 8.15).
func (d *drive) identify() []byte {
	var w words
	total := d.total()
	c, h, s := d.geometry()
	w[0] = 0x0040
	w[1], w[3], w[6] = uint16(c), uint16(h), uint16(s)
	w.str(10, 10, d.serial)
	w.str(23, 4, "1.0")
	w.str(27, 20, "HOTBLOCK HARDDISK")
	w[47] = 0x8000 | maxMult
	w[48] = 1
	w[49] = 0x0b00 // LBA, DMA, IORDY
	w[50] = 0x4000
	w[51], w[52] = 0x200, 0x200
	w[53] = 7
	cur := min(total/int64(d.heads*d.sectors), 65535)
	w[54], w[55], w[56] = uint16(cur), uint16(d.heads), uint16(d.sectors)
	cap := cur * int64(d.heads*d.sectors)
	w[57], w[58] = uint16(cap), uint16(cap>>16)
	if d.mult > 0 {
		w[59] = 0x100 | uint16(d.mult)
	}
	lba28 := min(total, 0xfffffff)
	w[60], w[61] = uint16(lba28), uint16(lba28>>16)
	w[63] = d.mode(0x20, 7)
	w[64] = 3
	w[65], w[66], w[67], w[68] = 120, 120, 120, 120
	w[80] = 0x7e
	w[82] = 0x4020
	w[83] = 0x7400
	w[84] = 0x4000
	w[85] = 0x4020
	if d.noCache {
		w[85] &^= 0x20
	}
	w[86] = 0x3400
	w[87] = 0x4000
	w[88] = d.mode(0x40, 0x3f)
	w[93] = 0x6001
	if d.n == 1 {
		w[93] = 0x6100
	}
	for i := range 4 {
		w[100+i] = uint16(total >> (16 * i))
	}
	return w.bytes()
}
