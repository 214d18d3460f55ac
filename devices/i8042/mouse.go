package i8042

// mouse is a PS/2 mouse with three buttons, ID 0.
type mouse struct {
	q       []byte // towards the controller
	stream  bool   // else remote mode
	wrap    bool
	enabled bool
	scale2  bool
	res     byte
	rate    byte
	want    byte // command that waits for its parameter
	last    []byte

	dx, dy  int
	buttons byte
	sent    byte // buttons in the last packet
}

// mouseQueue is how many bytes of movement wait at most; beyond it movement
// adds up.
const mouseQueue = 16

func (m *mouse) reset() {
	q := m.q
	*m = mouse{q: q, stream: true, res: 2, rate: 100}
}

func (m *mouse) reply(b ...byte) {
	m.last = b
	if len(m.q) < maxAnswers {
		m.q = append(m.q, b...)
	}
}

func (m *mouse) command(b byte) {
	if m.wrap && b != 0xff && b != 0xec {
		m.reply(b)
		return
	}
	if cmd := m.want; cmd != 0 {
		m.want = 0
		if b < 0xe0 {
			if cmd == 0xe8 {
				m.res = b
			} else {
				m.rate = b
			}
			m.reply(0xfa)
			return
		}
	}
	switch b {
	case 0xe6, 0xe7:
		m.scale2 = b == 0xe7
		m.reply(0xfa)
	case 0xe8, 0xf3:
		m.want = b
		m.reply(0xfa)
	case 0xe9:
		st := m.buttons & 1 << 2
		st |= m.buttons & 2 >> 1
		st |= m.buttons & 4 >> 1
		if m.scale2 {
			st |= 0x10
		}
		if m.enabled {
			st |= 0x20
		}
		if !m.stream {
			st |= 0x40
		}
		m.reply(0xfa, st, m.res, m.rate)
	case 0xea:
		m.stream = true
		m.reply(0xfa)
	case 0xeb:
		m.reply(append([]byte{0xfa}, m.packet()...)...)
	case 0xec:
		m.wrap = false
		m.reply(0xfa)
	case 0xee:
		m.wrap = true
		m.reply(0xfa)
	case 0xf0:
		m.stream = false
		m.reply(0xfa)
	case 0xf2:
		m.reply(0xfa, 0x00)
	case 0xf4:
		m.enabled = true
		m.reply(0xfa)
	case 0xf5:
		m.enabled = false
		m.reply(0xfa)
	case 0xf6:
		m.reset()
		m.reply(0xfa)
	case 0xfe:
		m.reply(m.last...)
	case 0xff:
		m.q = nil
		m.reset()
		m.reply(0xfa, 0xaa, 0x00)
	default:
		m.reply(0xfe)
	}
}

// packet takes the movement that has added up, as far as one packet holds it.
func (m *mouse) packet() []byte {
	x := max(min(m.dx, 255), -256)
	y := max(min(m.dy, 255), -256)
	m.dx -= x
	m.dy -= y
	b := 0x08 | m.buttons&7
	if x < 0 {
		b |= 0x10
	}
	if y < 0 {
		b |= 0x20
	}
	m.sent = m.buttons
	return []byte{b, byte(x), byte(y)}
}

// refill queues packets while there is something to tell and room.
func (m *mouse) refill() {
	for m.stream && m.enabled && !m.wrap && len(m.q)+3 <= mouseQueue && (m.dx != 0 || m.dy != 0 || m.buttons != m.sent) {
		m.q = append(m.q, m.packet()...)
	}
}

// MoveMouse moves the mouse by dx to the right and dy upwards, in counts, and
// sets its buttons: bit 0 left, 1 right, 2 middle.
func (c *Controller) MoveMouse(dx, dy int, buttons uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.mouse
	m.buttons = buttons & 7
	if !m.enabled && m.stream {
		return
	}
	const limit = 1 << 16
	m.dx = max(min(m.dx+dx, limit), -limit)
	m.dy = max(min(m.dy+dy, limit), -limit)
	m.refill()
	c.pump()
}
