// Package vga is a VGA with the Bochs VBE extensions, as QEMU's "std" adapter:
// PCI 1234:1111 with a linear framebuffer in BAR 0 and its registers also in
// BAR 2, so that Debian's vgabios-stdvga.bin and the bochs-drm driver run on it.
//
// # Memory
//
// The four planes of a VGA lie interleaved in video memory: byte 4n+p is byte n
// of plane p. Chained modes (mode 13h, VBE) then are plain linear memory, text
// is character and attribute in the first two of each four bytes and the font
// in the third, and the framebuffer BAR shows the same bytes. The window at
// 0xa0000 goes through the graphics controller's latches, masks and rotator
// (IBM VGA Technical Reference, "Graphics Controller").
//
// Nothing is drawn: Text and Image read out what a monitor would show now.
package vga

import (
	"sync"

	"hotblock/devices"
	"hotblock/devices/pci"
	"hotblock/mmu"
)

// WindowBase and WindowSize are the memory window of a VGA.
const (
	WindowBase = 0xa0000
	WindowSize = 0x20000
)

// VideoMemory is the size of video memory in bytes.
const VideoMemory = 16 << 20

// VBE dispi registers (QEMU, docs/specs/standard-vga).
const (
	vbeID = iota
	vbeXRes
	vbeYRes
	vbeBPP
	vbeEnable
	vbeBank
	vbeVirtWidth
	vbeVirtHeight
	vbeXOffset
	vbeYOffset
	vbeMemory
	vbeCount

	vbeEnabled = 0x01
	vbeGetCaps = 0x02
	vbe8BitDAC = 0x20
	vbeNoClear = 0x80

	maxXRes = 16000
	maxYRes = 12000
)

// VGA is the adapter.
type VGA struct {
	*pci.Function
	clock devices.Clock
	vram  *mmu.Block
	rom   *mmu.Block             // nil without an option ROM
	touch func(off, size uint64) // tells the engines of a change of vram

	mu       sync.Mutex
	misc     byte
	feature  byte
	seqIdx   byte
	seq      [8]byte
	gcIdx    byte
	gc       [16]byte
	crtcIdx  byte
	crtc     [32]byte
	atcIdx   byte
	atcFlip  bool // the next write to 0x3c0 is data
	atc      [32]byte
	dacMask  byte
	dacRead  byte
	dacWrite byte
	dacSub   int
	dacState byte
	dacTmp   [3]byte
	dac      [256][3]byte
	latch    [4]byte
	vbeIdx   uint16
	vbe      [vbeCount]uint16
}

// New returns the adapter in its reset state. rom is the option ROM, nil for
// none; mem is the memory that BAR 0 will be mapped into.
func New(clock devices.Clock, mem *mmu.Memory, rom []byte) (*VGA, error) {
	vram, err := mmu.NewBlock("video memory", VideoMemory)
	if err != nil {
		return nil, err
	}
	v := &VGA{
		Function: pci.NewFunction("VGA", pci.ID{Vendor: 0x1234, Device: 0x1111, Class: 0x030000, Revision: 2,
			SubVendor: 0x1af4, SubDevice: 0x1100}),
		clock: clock, vram: vram,
	}
	v.touch = func(off, size uint64) { mem.Touched(vram, off, size) }
	v.AddBAR(0, pci.BAR{Size: VideoMemory, Prefetch: true, Block: vram})
	v.AddBAR(2, pci.BAR{Size: 4096, MMIO: registers{v}})
	if len(rom) > 0 {
		size := uint64(4096)
		for size < uint64(len(rom)) {
			size *= 2
		}
		blk, err := mmu.NewBlock("VGA BIOS", size)
		if err != nil {
			return nil, err
		}
		copy(blk.Bytes, rom)
		v.rom = blk
		v.AddBAR(pci.ROMBAR, pci.BAR{Size: size, Block: blk})
	}
	v.Reset()
	return v, nil
}

// Free gives video memory back to the host. Nothing may use the adapter after.
func (v *VGA) Free() {
	v.vram.Free()
	if v.rom != nil {
		v.rom.Free()
	}
}

// Attach puts the adapter's ports on the port bus.
func (v *VGA) Attach(b *devices.PortBus) {
	b.Claim(0x3b4, 2, 1, v)
	b.Claim(0x3ba, 1, 1, v)
	b.Claim(0x3c0, 16, 1, v)
	b.Claim(0x3d4, 2, 1, v)
	b.Claim(0x3da, 1, 1, v)
	b.Claim(0x1ce, 4, 2, devices.PortFuncs{
		Read: func(port uint16, _ int) uint32 {
			v.mu.Lock()
			defer v.mu.Unlock()
			if port == 0x1ce {
				return uint32(v.vbeIdx)
			}
			return uint32(v.readVBE(v.vbeIdx))
		},
		Write: func(port uint16, _ int, x uint32) {
			v.mu.Lock()
			defer v.mu.Unlock()
			if port == 0x1ce {
				v.vbeIdx = uint16(x)
			} else {
				v.writeVBE(v.vbeIdx, uint16(x))
			}
		},
	})
}

// Reset brings the registers to their reset state; video memory stays.
func (v *VGA) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.misc, v.feature = 0x01, 0
	v.seq, v.gc, v.crtc, v.atc = [8]byte{}, [16]byte{}, [32]byte{}, [32]byte{}
	v.seqIdx, v.gcIdx, v.crtcIdx, v.atcIdx, v.atcFlip = 0, 0, 0, 0, false
	v.dacMask, v.dacRead, v.dacWrite, v.dacSub, v.dacState = 0xff, 0, 0, 0, 0
	v.vbeIdx = 0
	v.vbe = [vbeCount]uint16{vbeID: 0xb0c5}
}

// --- ports ---

// ReadPort implements devices.PortDevice.
func (v *VGA) ReadPort(port uint16, _ int) uint32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return uint32(v.readPort(port))
}

// elsewhere reports whether port belongs to the CRTC address (colour at 0x3dx,
// monochrome at 0x3bx) that is not selected.
func (v *VGA) elsewhere(port uint16) bool {
	switch port &^ 0xf {
	case 0x3b0:
		return v.misc&1 != 0
	case 0x3d0:
		return v.misc&1 == 0
	}
	return false
}

func (v *VGA) readPort(port uint16) byte {
	if v.elsewhere(port) {
		return 0xff
	}
	switch port {
	case 0x3c0:
		if v.atcFlip {
			return 0
		}
		return v.atcIdx
	case 0x3c1:
		return v.atc[v.atcIdx&0x1f]
	case 0x3c2:
		return 0x10 // switch sense
	case 0x3c4:
		return v.seqIdx
	case 0x3c5:
		return v.seq[v.seqIdx&7]
	case 0x3c6:
		return v.dacMask
	case 0x3c7:
		return v.dacState
	case 0x3c8:
		return v.dacWrite
	case 0x3c9:
		x := v.dac[v.dacRead][v.dacSub]
		if v.dacSub++; v.dacSub == 3 {
			v.dacSub = 0
			v.dacRead++
		}
		return x
	case 0x3ca:
		return v.feature
	case 0x3cc:
		return v.misc
	case 0x3ce:
		return v.gcIdx
	case 0x3cf:
		return v.gc[v.gcIdx&15]
	case 0x3b4, 0x3d4:
		return v.crtcIdx
	case 0x3b5, 0x3d5:
		return v.crtc[v.crtcIdx&31]
	case 0x3ba, 0x3da:
		v.atcFlip = false
		return v.status()
	}
	return 0xff
}

// status is input status register 1 of a display of 60 Hz and 525 lines: bit 0
// while nothing is displayed, bit 3 in the vertical retrace.
func (v *VGA) status() byte {
	const frame = 16683350
	t := v.clock.Now() % frame
	line, in := t*525/frame, t*525%frame
	switch {
	case line >= 490 && line < 492:
		return 0x09
	case line >= 480, in >= frame*4/5:
		return 0x01
	}
	return 0
}

// WritePort implements devices.PortDevice.
func (v *VGA) WritePort(port uint16, _ int, x uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writePort(port, byte(x))
}

var (
	seqMask = [8]byte{0x03, 0x3d, 0x0f, 0x3f, 0x0e}
	gcMask  = [16]byte{0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff}
)

func (v *VGA) writePort(port uint16, b byte) {
	if v.elsewhere(port) {
		return
	}
	switch port {
	case 0x3c0:
		if !v.atcFlip {
			v.atcIdx = b & 0x3f
		} else {
			i := v.atcIdx & 0x1f
			switch {
			case i < 0x10:
				v.atc[i] = b & 0x3f
			case i <= 0x14:
				v.atc[i] = b
			}
		}
		v.atcFlip = !v.atcFlip
	case 0x3c2:
		v.misc = b &^ 0x10
	case 0x3c4:
		v.seqIdx = b & 7
	case 0x3c5:
		v.seq[v.seqIdx] = b & seqMask[v.seqIdx]
	case 0x3c6:
		v.dacMask = b
	case 0x3c7:
		v.dacRead, v.dacSub, v.dacState = b, 0, 3
	case 0x3c8:
		v.dacWrite, v.dacSub, v.dacState = b, 0, 0
	case 0x3c9:
		v.dacTmp[v.dacSub] = b
		if v.dacSub++; v.dacSub == 3 {
			v.dacSub = 0
			v.dac[v.dacWrite] = v.dacTmp
			v.dacWrite++
		}
	case 0x3ce:
		v.gcIdx = b & 15
	case 0x3cf:
		v.gc[v.gcIdx] = b & gcMask[v.gcIdx]
	case 0x3b4, 0x3d4:
		v.crtcIdx = b
	case 0x3b5, 0x3d5:
		i := v.crtcIdx
		switch {
		case i > 0x18:
		case i <= 7 && v.crtc[0x11]&0x80 != 0:
			if i == 7 { // protected, but for the line compare bit
				v.crtc[7] = v.crtc[7]&^0x10 | b&0x10
			}
		default:
			v.crtc[i] = b
		}
	case 0x3ba, 0x3da:
		v.feature = b & 0x10
	}
}

// --- VBE ---

func (v *VGA) readVBE(i uint16) uint16 {
	if i >= vbeCount {
		return 0
	}
	if v.vbe[vbeEnable]&vbeGetCaps != 0 {
		switch i {
		case vbeXRes:
			return maxXRes
		case vbeYRes:
			return maxYRes
		case vbeBPP:
			return 32
		}
	}
	if i == vbeMemory {
		return VideoMemory >> 16
	}
	return v.vbe[i]
}

func (v *VGA) writeVBE(i, x uint16) {
	switch i {
	case vbeID:
		if x >= 0xb0c0 && x <= 0xb0c5 {
			v.vbe[vbeID] = x
		}
	case vbeXRes, vbeYRes, vbeBPP:
		// While a mode is on, its size stands.
		if v.vbe[vbeEnable]&vbeEnabled == 0 {
			v.vbe[i] = x
		}
	case vbeBank:
		v.vbe[i] = x % (VideoMemory >> 16)
	case vbeVirtWidth, vbeXOffset, vbeYOffset:
		v.vbe[i] = x
		v.fixVBE()
	case vbeEnable:
		was := v.vbe[vbeEnable]
		v.vbe[vbeEnable] = x
		if x&vbeEnabled != 0 && was&vbeEnabled == 0 {
			v.vbe[vbeVirtWidth], v.vbe[vbeXOffset], v.vbe[vbeYOffset], v.vbe[vbeBank] = 0, 0, 0, 0
			v.fixVBE()
			if x&vbeNoClear == 0 {
				n := min(v.lineBytes()*int(v.vbe[vbeYRes]), VideoMemory)
				clear(v.vram.Bytes[:n])
				for off := 0; off < n; off += mmu.PageSize {
					v.touch(uint64(off), 1)
				}
			}
			// The VGA core shows graphics through a 64 KiB window from now on.
			v.gc[6] = v.gc[6]&^0x0d | 0x05
			if v.vbe[vbeBPP] == 4 {
				v.seq[4] &^= 0x08
			} else {
				v.seq[4] |= 0x0e
				v.gc[5] &^= 0x10
				v.seq[2] |= 0x0f
			}
		} else if x&vbeEnabled == 0 {
			v.vbe[vbeBank] = 0
		}
	}
}

// fixVBE brings the values a guest wrote into the range that fits memory.
func (v *VGA) fixVBE() {
	r := &v.vbe
	switch r[vbeBPP] {
	case 4, 8, 15, 16, 24, 32:
	case 0:
		r[vbeBPP] = 8
	default:
		r[vbeBPP] = 32
	}
	r[vbeXRes] = min(max(r[vbeXRes]&^7, 8), maxXRes)
	r[vbeYRes] = min(max(r[vbeYRes], 1), maxYRes)
	r[vbeVirtWidth] = min(max(r[vbeVirtWidth], r[vbeXRes]), maxXRes)
	line := v.lineBytes()
	if line*int(r[vbeYRes]) > VideoMemory {
		r[vbeYRes] = uint16(VideoMemory / line)
	}
	r[vbeVirtHeight] = uint16(min(VideoMemory/line, 0xffff))
	if int(r[vbeYOffset])+int(r[vbeYRes]) > int(r[vbeVirtHeight]) {
		r[vbeYOffset] = r[vbeVirtHeight] - r[vbeYRes]
	}
	if int(r[vbeXOffset])+int(r[vbeXRes]) > int(r[vbeVirtWidth]) {
		r[vbeXOffset] = r[vbeVirtWidth] - r[vbeXRes]
	}
}

// pixelBytes is the size of a pixel, 0 for planar modes.
func pixelBytes(bpp uint16) int {
	if bpp == 4 {
		return 0
	}
	return int(bpp+7) / 8
}

func (v *VGA) lineBytes() int {
	w := int(v.vbe[vbeVirtWidth])
	if p := pixelBytes(v.vbe[vbeBPP]); p > 0 {
		return w * p
	}
	return w / 2
}

// registers is BAR 2: the VGA's ports 0x3c0-0x3df at 0x400, the VBE registers
// at 0x500, and a block with the framebuffer's byte order at 0x600.
type registers struct{ v *VGA }

// ReadMMIO implements mmu.MMIO.
func (r registers) ReadMMIO(off uint64, size int) uint64 {
	v := r.v
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case off >= 0x400 && off < 0x420:
		var x uint64
		for i := range min(size, 4) {
			if off+uint64(i) < 0x420 {
				x |= uint64(v.readPort(uint16(0x3c0+off-0x400)+uint16(i))) << (8 * i)
			}
		}
		return x
	case off >= 0x500 && off < 0x500+2*vbeCount:
		return uint64(v.readVBE(uint16(off-0x500)/2)) >> (8 * (off & 1))
	case off == 0x600:
		return 8
	case off == 0x604:
		return 0x1e1e1e1e // little-endian
	}
	return 0
}

// WriteMMIO implements mmu.MMIO.
func (r registers) WriteMMIO(off uint64, size int, x uint64) {
	v := r.v
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case off >= 0x400 && off < 0x420:
		for i := range min(size, 4) {
			if off+uint64(i) < 0x420 {
				v.writePort(uint16(0x3c0+off-0x400)+uint16(i), byte(x>>(8*i)))
			}
		}
	case off >= 0x500 && off < 0x500+2*vbeCount && off&1 == 0:
		v.writeVBE(uint16(off-0x500)/2, uint16(x))
	}
}

// --- the window at 0xa0000 ---

// at turns an offset in the window into an address in a plane or, chained, in
// video memory. ok is false where the memory map does not show that range.
func (v *VGA) at(off uint64) (addr uint32, ok bool) {
	a := uint32(off)
	switch v.gc[6] >> 2 & 3 {
	case 0:
		return a + uint32(v.vbe[vbeBank])<<16, a < 0x20000
	case 1:
		return a + uint32(v.vbe[vbeBank])<<16, a < 0x10000
	case 2:
		return a - 0x10000, a >= 0x10000 && a < 0x18000
	}
	return a - 0x18000, a >= 0x18000 && a < 0x20000
}

// ReadMMIO implements mmu.MMIO for the window.
func (v *VGA) ReadMMIO(off uint64, size int) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	var x uint64
	for i := range size {
		x |= uint64(v.readByte(off+uint64(i))) << (8 * i)
	}
	return x
}

// WriteMMIO implements mmu.MMIO for the window.
func (v *VGA) WriteMMIO(off uint64, size int, x uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range size {
		v.writeByte(off+uint64(i), byte(x>>(8*i)))
	}
}

func (v *VGA) chain4() bool  { return v.seq[4]&0x08 != 0 }
func (v *VGA) oddEven() bool { return v.seq[4]&0x04 == 0 }

func (v *VGA) readByte(off uint64) byte {
	addr, ok := v.at(off)
	if !ok {
		return 0xff
	}
	mem := v.vram.Bytes
	if v.chain4() {
		if addr >= VideoMemory {
			return 0xff
		}
		return mem[addr]
	}
	if v.gc[5]&0x10 != 0 { // host odd/even
		a := addr&^1<<1 | uint32(v.gc[4]&2) | addr&1
		if a >= VideoMemory {
			return 0xff
		}
		return mem[a]
	}
	if addr >= VideoMemory/4 {
		return 0xff
	}
	copy(v.latch[:], mem[4*addr:])
	if v.gc[5]&0x08 == 0 {
		return v.latch[v.gc[4]&3]
	}
	// Read mode 1: a one for each pixel that has the compare colour.
	out := byte(0xff)
	for p, l := range v.latch {
		if v.gc[7]>>p&1 == 0 {
			continue
		}
		if v.gc[2]>>p&1 != 0 {
			out &= l
		} else {
			out &^= l
		}
	}
	return out
}

func (v *VGA) writeByte(off uint64, b byte) {
	addr, ok := v.at(off)
	if !ok {
		return
	}
	mem := v.vram.Bytes
	mask := v.seq[2]
	if v.chain4() {
		if addr < VideoMemory && mask>>(addr&3)&1 != 0 {
			mem[addr] = b
			v.touch(uint64(addr), 1)
		}
		return
	}
	if v.oddEven() {
		p := v.gc[4]&2 | byte(addr&1)
		a := addr&^1<<1 | uint32(p)
		if a < VideoMemory && mask>>p&1 != 0 {
			mem[a] = b
			v.touch(uint64(a), 1)
		}
		return
	}
	if addr >= VideoMemory/4 {
		return
	}
	rot := b>>(v.gc[3]&7) | b<<(8-v.gc[3]&7)
	bits := v.gc[8]
	var src [4]byte
	switch v.gc[5] & 3 {
	case 0:
		for p := range src {
			src[p] = rot
			if v.gc[1]>>p&1 != 0 {
				src[p] = -(v.gc[0] >> p & 1)
			}
		}
	case 1:
		for p := range src {
			if mask>>p&1 != 0 {
				mem[4*addr+uint32(p)] = v.latch[p]
			}
		}
		v.touch(uint64(4*addr), 4)
		return
	case 2:
		for p := range src {
			src[p] = -(b >> p & 1)
		}
	case 3:
		bits &= rot
		for p := range src {
			src[p] = -(v.gc[0] >> p & 1)
		}
	}
	for p := range src {
		if mask>>p&1 == 0 {
			continue
		}
		l, s := v.latch[p], src[p]
		switch v.gc[3] >> 3 & 3 {
		case 1:
			s &= l
		case 2:
			s |= l
		case 3:
			s ^= l
		}
		mem[4*addr+uint32(p)] = s&bits | l&^bits
	}
	v.touch(uint64(4*addr), 4)
}
