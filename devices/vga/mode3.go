package vga

// Mode 3 by the tables of the IBM VGA: 80 by 25 characters of 9 by 16 pixels.
var (
	mode3Seq  = [5]byte{3, 0, 3, 0, 2}
	mode3CRTC = [25]byte{0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0,
		0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff}
	mode3GC  = [9]byte{0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff}
	mode3ATC = [21]byte{0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 8, 0}
)

// SetTextMode does what a VGA BIOS does at start, for systems that are booted
// without one: text mode 3 with an empty screen, and the default palette. There
// is no font, which reading the screen as text does without.
func (v *VGA) SetTextMode() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.misc = 0x67
	copy(v.seq[:], mode3Seq[:])
	copy(v.crtc[:], mode3CRTC[:])
	copy(v.gc[:], mode3GC[:])
	copy(v.atc[:], mode3ATC[:])
	v.atcIdx = 0x20 // the screen is on
	// The palette of the EGA: two bits a colour, the low-order ones in bits 3-5.
	for i := range 64 {
		level := func(hi, lo int) byte { return byte(i>>hi&1*42 + i>>lo&1*21) }
		v.dac[i] = [3]byte{level(2, 5), level(1, 4), level(0, 3)}
	}
	for a := 0; a < 0x8000*4; a += 4 {
		v.vram.Bytes[a], v.vram.Bytes[a+1] = ' ', 7
	}
	v.touch(0, 1)
}
