package ide

// transfer is a command's data on its way.
type transfer struct {
	write bool // from the CPU to the drive
	dma   bool
	mem   bool   // the data is not of the image but in data
	data  []byte // what is left of it
	left  int64  // bytes that are not in buf yet (reads), or not in the image yet (writes)
	off   int64  // where in the image the next block is
	buf   []byte // the block that is being moved
	pos   int
	block int            // bytes for each DRQ
	done  func(d *drive) // when all has been moved
	pkt   bool           // ATAPI: byte count and interrupt reason
}

// stop drops a transfer.
func (d *drive) stop() { d.xfer = nil }

// begin starts a transfer of n bytes at off of the image. For programmed I/O
// it offers the first block; a first block to be written comes without an
// interrupt.
func (d *drive) begin(t *transfer) {
	d.xfer = t
	if t.dma {
		d.status = stRdy | stSeek | stDRQ
		d.ch.runDMA()
		return
	}
	if d.fill() {
		d.offer(!t.write || t.pkt)
	}
}

// offer asks the CPU to move the block that is in the buffer.
func (d *drive) offer(irq bool) {
	t := d.xfer
	d.status = stRdy | stSeek | stDRQ
	if t.pkt {
		d.status &^= stSeek
		n := len(t.buf)
		d.lba[0][1], d.lba[0][2] = byte(n), byte(n>>8)
		d.count[0] = 0x02
		if t.write {
			d.count[0] = 0x00
		}
	}
	if irq {
		d.intrq = true
	}
}

// fill makes the next block ready: read from the image, or room to write to. It
// reports false, with the command ended, where reading failed.
func (d *drive) fill() bool {
	t := d.xfer
	n := int(min(int64(t.block), t.left))
	if t.mem {
		t.buf, t.data, t.pos = t.data[:n], t.data[n:], 0
		t.left -= int64(n)
		return true
	}
	if cap(t.buf) < n {
		t.buf = make([]byte, n)
	}
	t.buf = t.buf[:n]
	t.pos = 0
	if !t.write {
		if d.disk == nil {
			d.ioError()
			return false
		}
		if got, err := d.disk.ReadAt(t.buf, t.off); err != nil && got < n && !d.tail(t.off, n) {
			d.ioError()
			return false
		}
		t.off += int64(n)
		t.left -= int64(n)
	}
	return true
}

// tail reports whether n bytes at off only reach past an image that ends inside
// a sector; the rest of that sector is zeros.
func (d *drive) tail(off int64, n int) bool {
	size := d.disk.Size()
	if off >= size || off+int64(n) < size {
		return false
	}
	clear(d.xfer.buf[size-off:])
	return true
}

// flushBlock writes the block that the CPU has filled.
func (d *drive) flushBlock() bool {
	t := d.xfer
	if t.mem {
		return true
	}
	if _, err := d.disk.WriteAt(t.buf, t.off); err != nil {
		d.ioError()
		return false
	}
	t.off += int64(len(t.buf))
	t.left -= int64(len(t.buf))
	return true
}

// window returns up to n bytes of the buffer, for DMA.
func (t *transfer) window(d *drive, n int) []byte {
	if t.pos == len(t.buf) {
		if !d.fill() {
			return nil
		}
	}
	return t.buf[t.pos:min(t.pos+n, len(t.buf))]
}

// advance counts n bytes of the buffer as moved by DMA.
func (t *transfer) advance(d *drive, n int) {
	t.pos += n
	if t.pos < len(t.buf) {
		return
	}
	if t.write && !d.flushBlock() {
		return
	}
	if t.left == 0 {
		d.xfer = nil
		t.done(d)
	}
}

// moved follows a block that the CPU has moved through the data port.
func (d *drive) moved() {
	t := d.xfer
	if t.write && !d.flushBlock() {
		return
	}
	if t.left > 0 {
		if d.fill() {
			d.offer(true)
		}
		return
	}
	d.xfer = nil
	d.status = stRdy | stSeek
	t.done(d)
}

// readData is a read of the data port.
func (d *drive) readData(size int) uint16 {
	t := d.xfer
	if t == nil || t.dma || t.write || d.status&stDRQ == 0 {
		return 0xffff
	}
	v := uint16(t.buf[t.pos])
	t.pos++
	if size == 2 && t.pos < len(t.buf) {
		v |= uint16(t.buf[t.pos]) << 8
		t.pos++
	}
	if t.pos == len(t.buf) {
		d.moved()
	}
	return v
}

// writeData is a write to the data port.
func (d *drive) writeData(v uint16, size int) {
	t := d.xfer
	if t == nil || t.dma || !t.write || d.status&stDRQ == 0 {
		return
	}
	t.buf[t.pos] = byte(v)
	t.pos++
	if size == 2 && t.pos < len(t.buf) {
		t.buf[t.pos] = byte(v >> 8)
		t.pos++
	}
	if t.pos == len(t.buf) {
		d.moved()
	}
}
