package vga

import (
	"image"
	"image/color"
	"strings"
)

// Cell is one character of a text screen: its code in code page 437, and its
// attribute (low nibble foreground, high nibble background or blink).
type Cell struct{ Char, Attr byte }

// Text is what a text mode shows.
type Text struct {
	Cols, Rows       int
	Cells            []Cell // row by row
	CursorX, CursorY int
	CursorOn         bool // false: hidden, or off the screen
}

const cp437 = "\u0000☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`" +
	"abcdefghijklmnopqrstuvwxyz{|}~⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨" +
	"╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"

var runes = []rune(cp437)

// Rune returns the character in Unicode; 0 is a blank.
func (c Cell) Rune() rune {
	if c.Char == 0 || c.Char == 255 {
		return ' '
	}
	return runes[c.Char]
}

// Line returns row y without the blanks at its end.
func (t *Text) Line(y int) string {
	var s strings.Builder
	for _, c := range t.Cells[y*t.Cols : (y+1)*t.Cols] {
		s.WriteRune(c.Rune())
	}
	return strings.TrimRight(s.String(), " ")
}

// String returns the screen as lines of text.
func (t *Text) String() string {
	var s strings.Builder
	for y := range t.Rows {
		s.WriteString(t.Line(y))
		s.WriteByte('\n')
	}
	return s.String()
}

func (v *VGA) vbeOn() bool { return v.vbe[vbeEnable]&vbeEnabled != 0 }

// height is the number of scan lines of the standard modes.
func (v *VGA) height() int {
	h := int(v.crtc[0x12]) | int(v.crtc[7]&2)<<7 | int(v.crtc[7]&0x40)<<3
	return h + 1
}

func (v *VGA) start() int { return int(v.crtc[0x0c])<<8 | int(v.crtc[0x0d]) }

// Text reads out the screen. ok is false in a graphics mode, and before a mode
// was set.
func (v *VGA) Text() (t Text, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text()
}

func (v *VGA) text() (t Text, ok bool) {
	if v.vbeOn() || v.gc[6]&1 != 0 || v.crtc[1] == 0 {
		return t, false
	}
	t.Cols = int(v.crtc[1]) + 1
	t.Rows = min(max(v.height()/v.charHeight(), 1), 100)
	pitch := int(v.crtc[0x13]) * 2
	if pitch == 0 {
		pitch = t.Cols
	}
	t.Cells = make([]Cell, t.Cols*t.Rows)
	for y := range t.Rows {
		for x := range t.Cols {
			a := (v.start() + y*pitch + x) & 0xffff * 4
			t.Cells[y*t.Cols+x] = Cell{v.vram.Bytes[a], v.vram.Bytes[a+1]}
		}
	}
	if pos := int(v.crtc[0x0e])<<8 | int(v.crtc[0x0f]); v.crtc[0x0a]&0x20 == 0 && pos >= v.start() {
		pos -= v.start()
		t.CursorX, t.CursorY = pos%pitch, pos/pitch
		t.CursorOn = t.CursorX < t.Cols && t.CursorY < t.Rows
	}
	return t, true
}

func (v *VGA) charHeight() int { return int(v.crtc[9]&0x1f) + 1 }

// colour is entry i of the DAC.
func (v *VGA) colour(i byte) color.RGBA {
	c := v.dac[i&v.dacMask]
	if v.vbeOn() && v.vbe[vbeEnable]&vbe8BitDAC != 0 {
		return color.RGBA{c[0], c[1], c[2], 255}
	}
	up := func(x byte) byte { return x&0x3f<<2 | x&0x3f>>4 }
	return color.RGBA{up(c[0]), up(c[1]), up(c[2]), 255}
}

// palette is the colour of attribute index i through the attribute controller.
func (v *VGA) palette(i byte) color.RGBA {
	x := v.atc[i&15]
	if v.atc[0x10]&0x80 != 0 {
		x = x&0x0f | v.atc[0x14]&3<<4
	}
	return v.colour(x&0x3f | v.atc[0x14]&0x0c<<4)
}

// Palette returns the 16 colours of text.
func (v *VGA) Palette() (p [16]color.RGBA) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range p {
		p[i] = v.palette(byte(i))
	}
	return p
}

// Image draws what a monitor would show, text with the font in plane 2. It
// returns nil before a mode was set.
func (v *VGA) Image() *image.RGBA {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.vbeOn():
		return v.drawVBE()
	case v.crtc[1] == 0:
		return nil
	case v.gc[6]&1 == 0:
		return v.drawText()
	}
	return v.drawGraphics()
}

func (v *VGA) drawText() *image.RGBA {
	t, _ := v.text()
	w := 9
	if v.seq[1]&1 != 0 {
		w = 8
	}
	h := v.charHeight()
	img := image.NewRGBA(image.Rect(0, 0, t.Cols*w, t.Rows*h))
	font := 0
	if m := v.seq[3]; true {
		font = int(m&3)<<14 | int(m&0x10)<<9 // map B, of characters with attribute bit 3 clear
	}
	blink := v.atc[0x10]&0x08 != 0
	for i, c := range t.Cells {
		fg, bg := v.palette(c.Attr&15), v.palette(c.Attr>>4)
		if blink {
			bg = v.palette(c.Attr >> 4 & 7)
		}
		x0, y0 := i%t.Cols*w, i/t.Cols*h
		for y := range h {
			bits := v.vram.Bytes[4*((font+int(c.Char)*32+y)&0xffff)+2]
			if t.CursorOn && t.CursorX == i%t.Cols && t.CursorY == i/t.Cols &&
				y >= int(v.crtc[0x0a]&0x1f) && y <= int(v.crtc[0x0b]&0x1f) {
				bits = 0xff
			}
			for x := range w {
				on := x < 8 && bits<<x&0x80 != 0
				if x == 8 && c.Char >= 0xc0 && c.Char <= 0xdf {
					on = bits&1 != 0 // line graphics join
				}
				if on {
					img.SetRGBA(x0+x, y0+y, fg)
				} else {
					img.SetRGBA(x0+x, y0+y, bg)
				}
			}
		}
	}
	return img
}

// drawGraphics draws the standard graphics modes: 256 colours (mode 13h and
// its unchained relatives) and 16 colours in planes.
func (v *VGA) drawGraphics() *image.RGBA {
	w := (int(v.crtc[1]) + 1) * 8
	h := v.height()
	rows := v.charHeight() // scan lines that repeat a row
	if v.crtc[9]&0x80 != 0 {
		rows *= 2
	}
	shift256 := v.gc[5]&0x40 != 0
	if shift256 {
		w /= 2
	}
	img := image.NewRGBA(image.Rect(0, 0, w, max(h/rows, 1)))
	pitch := int(v.crtc[0x13]) * 2
	mem := v.vram.Bytes
	for y := range img.Rect.Dy() {
		for x := range w {
			if shift256 {
				a := (4*(v.start()+y*pitch) + x) % (VideoMemory)
				img.SetRGBA(x, y, v.colour(mem[a]))
				continue
			}
			a := 4 * ((v.start() + y*pitch + x/8) & 0xffff)
			var c byte
			for p := range 4 {
				c |= mem[a+p] >> (7 - x&7) & 1 << p
			}
			img.SetRGBA(x, y, v.palette(c&(v.atc[0x12]&15)))
		}
	}
	return img
}

func (v *VGA) drawVBE() *image.RGBA {
	w, h := int(v.vbe[vbeXRes]), int(v.vbe[vbeYRes])
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	line, n := v.lineBytes(), pixelBytes(v.vbe[vbeBPP])
	mem := v.vram.Bytes
	for y := range h {
		for x := range w {
			row := (y + int(v.vbe[vbeYOffset])) * line
			px := x + int(v.vbe[vbeXOffset])
			a := row + px*n
			if n == 0 {
				a = 4 * (row/4 + px/8)
			}
			if a+4 > len(mem) {
				continue
			}
			var c color.RGBA
			switch v.vbe[vbeBPP] {
			case 4:
				var i byte
				for p := range 4 {
					i |= mem[a+p] >> (7 - px&7) & 1 << p
				}
				c = v.palette(i)
			case 8:
				c = v.colour(mem[a])
			case 15:
				p := uint16(mem[a]) | uint16(mem[a+1])<<8
				c = color.RGBA{byte(p>>10&31) << 3, byte(p>>5&31) << 3, byte(p&31) << 3, 255}
			case 16:
				p := uint16(mem[a]) | uint16(mem[a+1])<<8
				c = color.RGBA{byte(p>>11) << 3, byte(p>>5&63) << 2, byte(p&31) << 3, 255}
			default:
				c = color.RGBA{mem[a+2], mem[a+1], mem[a], 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}
