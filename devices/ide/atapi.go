package ide

import "encoding/binary"

// Sense keys.
const (
	skNone      = 0
	skNotReady  = 2
	skIllegal   = 5
	skAttention = 6
)

// packet starts a PACKET command: the drive asks for 12 bytes of command.
func (d *drive) packet() {
	if !d.atapi {
		d.fail(erAbort)
		return
	}
	dma := d.feature&1 != 0
	limit := int(d.lba[0][1]) | int(d.lba[0][2])<<8
	if limit == 0 || limit == 0xffff {
		limit = 0xfffe
	}
	limit = max(limit&^1, 2)
	t := &transfer{write: true, mem: true, buf: make([]byte, 12), block: 12}
	t.done = func(d *drive) {
		d.scsi(t.buf, dma, limit)
	}
	d.xfer = t
	d.err = 0
	d.count[0] = 0x01 // command is next
	d.status = stRdy | stDRQ
}

// finish ends a packet command well.
func (d *drive) finish() {
	d.status = stRdy | stSeek
	d.err = 0
	d.count[0] = 0x03
	d.intrq = true
}

// check ends a packet command with CHECK CONDITION.
func (d *drive) check(key, code, qual byte) {
	d.stop()
	d.sense = [3]byte{key, code, qual}
	d.status = stRdy | stErr
	d.err = key<<4 | erAbort
	d.count[0] = 0x03
	d.intrq = true
}

// reply sends data, at most alloc bytes, to the CPU.
func (d *drive) reply(data []byte, alloc int, dma bool, limit int) {
	data = data[:min(len(data), alloc)]
	if len(data) == 0 {
		d.finish()
		return
	}
	block := limit // a long answer goes in several blocks
	if dma {
		block = len(data)
	}
	d.begin(&transfer{pkt: true, dma: dma, mem: true, data: data, left: int64(len(data)), block: block, done: (*drive).finish})
}

func (d *drive) blocks() int64 { return (d.disk.Size() + 2047) / 2048 }

// ready reports whether there is a disc; else, and once after a change, it ends
// the command with the sense data that says so.
func (d *drive) ready() bool {
	switch {
	case d.disk == nil && d.trayOpen:
		d.check(skNotReady, 0x3a, 0x02)
	case d.disk == nil:
		d.check(skNotReady, 0x3a, 0x01)
	case d.changed:
		d.changed = false
		d.check(skAttention, 0x28, 0x00)
	default:
		return true
	}
	return false
}

// scsi executes a packet (MMC-3).
func (d *drive) scsi(p []byte, dma bool, limit int) {
	be16 := func(i int) int { return int(binary.BigEndian.Uint16(p[i:])) }
	be32 := func(i int) int64 { return int64(binary.BigEndian.Uint32(p[i:])) }
	op := p[0]
	if op != 0x03 && op != 0x12 {
		d.sense = [3]byte{}
	}
	switch op {
	case 0x00: // TEST UNIT READY
		if d.ready() {
			d.finish()
		}
	case 0x03: // REQUEST SENSE
		s := make([]byte, 18)
		s[0], s[2], s[7], s[12], s[13] = 0xf0, d.sense[0], 10, d.sense[1], d.sense[2]
		d.sense = [3]byte{}
		d.reply(s, int(p[4]), dma, limit)
	case 0x12: // INQUIRY
		if p[1]&1 != 0 {
			d.check(skIllegal, 0x24, 0)
			return
		}
		b := []byte{5, 0x80, 0, 0x21, 31, 0, 0, 0}
		b = append(b, "HOTBLOCKDVD-ROM         1.0 "...)
		d.reply(b, int(p[4]), dma, limit)
	case 0x1b: // START STOP UNIT
		if p[4]&2 != 0 {
			if p[4]&1 != 0 {
				d.trayOpen = false
			} else if d.locked && d.disk != nil {
				d.check(skIllegal, 0x53, 0x02) // medium removal prevented
				return
			} else {
				d.disk = nil
				d.trayOpen = true
				d.event = true
			}
		}
		d.finish()
	case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
		d.locked = p[4]&1 != 0
		d.finish()
	case 0x25: // READ CAPACITY
		if !d.ready() {
			return
		}
		b := binary.BigEndian.AppendUint32(nil, uint32(d.blocks()-1))
		d.reply(binary.BigEndian.AppendUint32(b, 2048), 8, dma, limit)
	case 0x28: // READ(10)
		d.readBlocks(be32(2), int64(be16(7)), dma, limit)
	case 0xa8: // READ(12)
		d.readBlocks(be32(2), be32(6), dma, limit)
	case 0xbe: // READ CD
		n := int64(p[6])<<16 | int64(p[7])<<8 | int64(p[8])
		switch p[9] & 0xf8 {
		case 0x00:
			if d.ready() {
				d.finish()
			}
		case 0x10:
			d.readBlocks(be32(2), n, dma, limit)
		default: // headers and error correction are not in an image
			d.check(skIllegal, 0x24, 0)
		}
	case 0x2b: // SEEK(10)
		if d.ready() {
			if be32(2) >= d.blocks() {
				d.check(skIllegal, 0x21, 0)
				return
			}
			d.finish()
		}
	case 0x43: // READ TOC
		d.readTOC(p, be16(7), dma, limit)
	case 0x46: // GET CONFIGURATION
		d.configuration(p, be16(7), dma, limit)
	case 0x4a: // GET EVENT STATUS NOTIFICATION
		d.events(p, be16(7), dma, limit)
	case 0x51: // READ DISC INFORMATION
		if !d.ready() {
			return
		}
		b := make([]byte, 34)
		b[1], b[2], b[3], b[4], b[5], b[6] = 32, 0x0e, 1, 1, 1, 1
		b[7] = 0x20
		d.reply(b, be16(7), dma, limit)
	case 0x1a:
		d.modeSense(p, 4, int(p[4]), dma, limit)
	case 0x5a:
		d.modeSense(p, 8, be16(7), dma, limit)
	case 0xbb, 0xb6: // SET CD SPEED, SET STREAMING
		d.finish()
	case 0xbd: // MECHANISM STATUS
		b := make([]byte, 8)
		if d.trayOpen {
			b[1] = 0x10
		}
		b[5] = 1
		d.reply(b, be16(8), dma, limit)
	default:
		d.check(skIllegal, 0x20, 0) // invalid command
	}
}

func (d *drive) readBlocks(lba, n int64, dma bool, limit int) {
	if !d.ready() {
		return
	}
	if lba+n > d.blocks() {
		d.check(skIllegal, 0x21, 0) // address out of range
		return
	}
	if n == 0 {
		d.finish()
		return
	}
	block := limit
	if dma {
		block = maxChunk
	}
	d.begin(&transfer{pkt: true, dma: dma, off: lba * 2048, left: n * 2048, block: block, done: (*drive).finish})
}

// readTOC answers READ TOC for a disc with one data track.
func (d *drive) readTOC(p []byte, alloc int, dma bool, limit int) {
	if !d.ready() {
		return
	}
	msf := p[1]&2 != 0
	format := p[2] & 15
	if format == 0 {
		format = p[9] >> 6
	}
	addr := func(lba int64) []byte {
		if !msf {
			return binary.BigEndian.AppendUint32(nil, uint32(lba))
		}
		lba += 150
		return []byte{0, byte(lba / 75 / 60), byte(lba / 75 % 60), byte(lba % 75)}
	}
	var b []byte
	switch format {
	case 0:
		if p[6] > 1 && p[6] != 0xaa {
			d.check(skIllegal, 0x24, 0)
			return
		}
		b = []byte{0, 0, 1, 1}
		if p[6] <= 1 {
			b = append(b, 0, 0x14, 1, 0)
			b = append(b, addr(0)...)
		}
		b = append(b, 0, 0x14, 0xaa, 0)
		b = append(b, addr(d.blocks())...)
	case 1:
		b = []byte{0, 0, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0}
	case 2:
		b = []byte{0, 0, 1, 1}
		for _, point := range []byte{0xa0, 0xa1, 0xa2, 1} {
			e := []byte{1, 0x14, 0, point, 0, 0, 0, 0, 0, 0, 0}
			switch point {
			case 0xa0, 0xa1:
				e[8] = 1
			case 0xa2:
				end := d.blocks() + 150
				e[8], e[9], e[10] = byte(end/75/60), byte(end/75%60), byte(end%75)
			default:
				e[9] = 2
			}
			b = append(b, e...)
		}
	default:
		d.check(skIllegal, 0x24, 0)
		return
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	d.reply(b, alloc, dma, limit)
}

// configuration answers GET CONFIGURATION: a drive with the profiles CD-ROM and
// DVD-ROM, the present one by the size of the disc.
func (d *drive) configuration(p []byte, alloc int, dma bool, limit int) {
	cur := byte(0)
	if d.disk != nil {
		cur = 0x08
		if d.blocks() > 80*60*75 {
			cur = 0x10
		}
	}
	now := func(profile byte) byte {
		if cur == profile {
			return 1
		}
		return 0
	}
	features := [][]byte{
		{0x00, 0x00, 0x03, 8, 0x00, 0x10, now(0x10), 0, 0x00, 0x08, now(0x08), 0},
		{0x00, 0x01, 0x0b, 8, 0, 0, 0, 2, 1, 0, 0, 0}, // core: ATAPI
		{0x00, 0x03, 0x03, 4, 0x29, 0, 0, 0},          // removable medium: tray, lock
		{0x00, 0x10, 0x01, 8, 0, 0, 8, 0, 0, 1, 0, 0}, // random readable
		{0x00, 0x1e, 0x01, 4, 0, 0, 0, 0},             // CD read
		{0x00, 0x1f, 0x01, 4, 0, 0, 0, 0},             // DVD read
	}
	b := []byte{0, 0, 0, 0, 0, 0, 0, cur}
	first := uint16(p[2])<<8 | uint16(p[3])
	for _, f := range features {
		code := uint16(f[0])<<8 | uint16(f[1])
		switch p[1] & 3 {
		case 0:
			if code < first {
				continue
			}
		case 1:
			if code < first || f[2]&1 == 0 {
				continue
			}
		case 2:
			if code != first {
				continue
			}
		}
		b = append(b, f...)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	d.reply(b, alloc, dma, limit)
}

// events answers GET EVENT STATUS NOTIFICATION, polled, for the media class.
func (d *drive) events(p []byte, alloc int, dma bool, limit int) {
	if p[1]&1 == 0 { // asynchronous notification
		d.check(skIllegal, 0x24, 0)
		return
	}
	if p[4]&0x10 == 0 {
		d.reply([]byte{0, 2, 0x80, 0x10}, alloc, dma, limit)
		return
	}
	b := []byte{0, 6, 0x04, 0x10, 0, 0, 0, 0}
	if d.event {
		d.event = false
		b[4] = 0x02 // new medium
		if d.disk == nil {
			b[4] = 0x03 // removal
		}
	}
	if d.disk != nil {
		b[5] |= 2
	}
	if d.trayOpen {
		b[5] |= 1
	}
	d.reply(b, alloc, dma, limit)
}

// modeSense answers MODE SENSE with pages 01 (error recovery), 0e (audio) and
// 2a (capabilities).
func (d *drive) modeSense(p []byte, header, alloc int, dma bool, limit int) {
	page := p[2] & 0x3f
	if p[2]>>6 == 3 {
		d.check(skIllegal, 0x39, 0) // saved values are not supported
		return
	}
	var b []byte
	add := func(code byte, body ...byte) {
		if page == code || page == 0x3f {
			b = append(b, code, byte(len(body)))
			b = append(b, body...)
		}
	}
	add(0x01, 0, 5, 0, 0, 0, 0)
	add(0x0e, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	lock := byte(0x29)
	if d.locked {
		lock |= 2
	}
	add(0x2a, 0x3b, 0, 0, 0x60, lock, 0, 0x02, 0xc2, 0, 2, 0x02, 0, 0x02, 0xc2, 0, 0, 0, 0)
	if len(b) == 0 {
		d.check(skIllegal, 0x24, 0)
		return
	}
	medium := byte(0x70) // no disc
	if d.disk != nil {
		medium = 0x01
	}
	h := make([]byte, header)
	if header == 8 {
		binary.BigEndian.PutUint16(h, uint16(len(b)+6))
		h[2] = medium
	} else {
		h[0] = byte(len(b) + 3)
		h[1] = medium
	}
	d.reply(append(h, b...), alloc, dma, limit)
}

// identifyPacket is IDENTIFY PACKET DEVICE data (ATA-6, 8.16).
func (d *drive) identifyPacket() []byte {
	var w words
	w[0] = 0x85c0 // ATAPI, CD-ROM, removable, packets of 12 bytes
	w.str(10, 10, d.serial)
	w.str(23, 4, "1.0")
	w.str(27, 20, "HOTBLOCK DVD-ROM")
	w[48] = 1
	w[49] = 0x0b00
	w[53] = 7
	w[63] = d.mode(0x20, 7)
	w[64] = 3
	w[65], w[66], w[67], w[68] = 0xb4, 0xb4, 0x12c, 0xb4
	w[71], w[72] = 30, 30
	w[80] = 0x1e
	w[88] = d.mode(0x40, 0x3f)
	return w.bytes()
}
