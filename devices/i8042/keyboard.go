package i8042

import (
	"fmt"
	"strings"
)

// keyboard is a PS/2 keyboard with 102 keys.
type keyboard struct {
	q       []byte   // towards the controller; its own buffer of 16 bytes and answers
	host    [][]byte // key events that wait for room in q
	set     byte     // scan code set, 1 to 3
	enabled bool     // scanning
	want    byte     // command that waits for its parameter
	last    []byte
	leds    byte
}

const (
	kbdQueue  = 16   // the keyboard's own buffer, bytes
	hostQueue = 4096 // key events that wait in the host; further ones are dropped
)

func (k *keyboard) reset() {
	k.set, k.enabled, k.want, k.leds = 2, true, 0, 0
}

func (k *keyboard) reply(b ...byte) {
	k.last = b
	if len(k.q) < maxAnswers {
		k.q = append(k.q, b...)
	}
}

// refill moves key events to the keyboard's buffer as they fit.
func (k *keyboard) refill() {
	for len(k.host) > 0 && len(k.q)+len(k.host[0]) <= kbdQueue {
		k.q = append(k.q, k.host[0]...)
		k.host = k.host[1:]
	}
}

// command acts on a byte from the controller. It returns the lights where they
// were set, else -1.
func (k *keyboard) command(b byte) (leds int) {
	leds = -1
	if cmd := k.want; cmd != 0 {
		k.want = 0
		if b < 0x80 || cmd >= 0xfb && b < 0xed {
			switch cmd {
			case 0xed:
				k.leds = b & 7
				leds = int(k.leds)
			case 0xf0:
				if b == 0 {
					k.reply(0xfa, k.set)
					return leds
				}
				if b > 3 {
					k.reply(0xfe)
					return leds
				}
				k.set = b
			}
			k.reply(0xfa)
			return leds
		}
		// A command in place of the parameter: it is taken as such.
	}
	switch b {
	case 0xed, 0xf0, 0xf3, 0xfb, 0xfc, 0xfd:
		k.want = b
		k.reply(0xfa)
	case 0xee:
		k.reply(0xee)
	case 0xf2:
		k.reply(0xfa, 0xab, 0x83)
	case 0xf4:
		k.q, k.host = nil, nil
		k.enabled = true
		k.reply(0xfa)
	case 0xf5:
		k.q, k.host = nil, nil
		k.reset()
		k.enabled = false
		k.reply(0xfa)
	case 0xf6:
		k.q, k.host = nil, nil
		on := k.enabled
		k.reset()
		k.enabled = on
		k.reply(0xfa)
	case 0xf7, 0xf8, 0xf9, 0xfa:
		k.reply(0xfa)
	case 0xfe:
		k.reply(k.last...)
	case 0xff:
		k.q, k.host = nil, nil
		k.reset()
		leds = 0
		k.reply(0xfa, 0xaa)
	default:
		k.reply(0xfe)
	}
	return leds
}

// key is what a key sends: its code in set 2, whether E0 goes before it, and
// its code in set 3.
type key struct {
	code byte
	ext  bool
	set3 byte
}

// keys are the keys by QEMU's names (the names of its sendkey command).
var keys = map[string]key{
	"esc":           {0x76, false, 0x08},
	"1":             {0x16, false, 0x16},
	"2":             {0x1e, false, 0x1e},
	"3":             {0x26, false, 0x26},
	"4":             {0x25, false, 0x25},
	"5":             {0x2e, false, 0x2e},
	"6":             {0x36, false, 0x36},
	"7":             {0x3d, false, 0x3d},
	"8":             {0x3e, false, 0x3e},
	"9":             {0x46, false, 0x46},
	"0":             {0x45, false, 0x45},
	"minus":         {0x4e, false, 0x4e},
	"equal":         {0x55, false, 0x55},
	"backspace":     {0x66, false, 0x66},
	"tab":           {0x0d, false, 0x0d},
	"q":             {0x15, false, 0x15},
	"w":             {0x1d, false, 0x1d},
	"e":             {0x24, false, 0x24},
	"r":             {0x2d, false, 0x2d},
	"t":             {0x2c, false, 0x2c},
	"y":             {0x35, false, 0x35},
	"u":             {0x3c, false, 0x3c},
	"i":             {0x43, false, 0x43},
	"o":             {0x44, false, 0x44},
	"p":             {0x4d, false, 0x4d},
	"bracket_left":  {0x54, false, 0x54},
	"bracket_right": {0x5b, false, 0x5b},
	"ret":           {0x5a, false, 0x5a},
	"ctrl":          {0x14, false, 0x11},
	"a":             {0x1c, false, 0x1c},
	"s":             {0x1b, false, 0x1b},
	"d":             {0x23, false, 0x23},
	"f":             {0x2b, false, 0x2b},
	"g":             {0x34, false, 0x34},
	"h":             {0x33, false, 0x33},
	"j":             {0x3b, false, 0x3b},
	"k":             {0x42, false, 0x42},
	"l":             {0x4b, false, 0x4b},
	"semicolon":     {0x4c, false, 0x4c},
	"apostrophe":    {0x52, false, 0x52},
	"grave_accent":  {0x0e, false, 0x0e},
	"shift":         {0x12, false, 0x12},
	"backslash":     {0x5d, false, 0x5c},
	"z":             {0x1a, false, 0x1a},
	"x":             {0x22, false, 0x22},
	"c":             {0x21, false, 0x21},
	"v":             {0x2a, false, 0x2a},
	"b":             {0x32, false, 0x32},
	"n":             {0x31, false, 0x31},
	"m":             {0x3a, false, 0x3a},
	"comma":         {0x41, false, 0x41},
	"dot":           {0x49, false, 0x49},
	"slash":         {0x4a, false, 0x4a},
	"shift_r":       {0x59, false, 0x59},
	"kp_multiply":   {0x7c, false, 0x7e},
	"alt":           {0x11, false, 0x19},
	"spc":           {0x29, false, 0x29},
	"caps_lock":     {0x58, false, 0x14},
	"f1":            {0x05, false, 0x07},
	"f2":            {0x06, false, 0x0f},
	"f3":            {0x04, false, 0x17},
	"f4":            {0x0c, false, 0x1f},
	"f5":            {0x03, false, 0x27},
	"f6":            {0x0b, false, 0x2f},
	"f7":            {0x83, false, 0x37},
	"f8":            {0x0a, false, 0x3f},
	"f9":            {0x01, false, 0x47},
	"f10":           {0x09, false, 0x4f},
	"f11":           {0x78, false, 0x56},
	"f12":           {0x07, false, 0x5e},
	"num_lock":      {0x77, false, 0x76},
	"scroll_lock":   {0x7e, false, 0x5f},
	"kp_7":          {0x6c, false, 0x6c},
	"kp_8":          {0x75, false, 0x75},
	"kp_9":          {0x7d, false, 0x7d},
	"kp_subtract":   {0x7b, false, 0x84},
	"kp_4":          {0x6b, false, 0x6b},
	"kp_5":          {0x73, false, 0x73},
	"kp_6":          {0x74, false, 0x74},
	"kp_add":        {0x79, false, 0x7c},
	"kp_1":          {0x69, false, 0x69},
	"kp_2":          {0x72, false, 0x72},
	"kp_3":          {0x7a, false, 0x7a},
	"kp_0":          {0x70, false, 0x70},
	"kp_decimal":    {0x71, false, 0x71},
	"less":          {0x61, false, 0x13},
	"kp_enter":      {0x5a, true, 0x79},
	"kp_divide":     {0x4a, true, 0x77},
	"ctrl_r":        {0x14, true, 0x58},
	"alt_r":         {0x11, true, 0x39},
	"home":          {0x6c, true, 0x6e},
	"up":            {0x75, true, 0x63},
	"pgup":          {0x7d, true, 0x6f},
	"left":          {0x6b, true, 0x61},
	"right":         {0x74, true, 0x6a},
	"end":           {0x69, true, 0x65},
	"down":          {0x72, true, 0x60},
	"pgdn":          {0x7a, true, 0x6d},
	"insert":        {0x70, true, 0x67},
	"delete":        {0x71, true, 0x64},
	"meta_l":        {0x1f, true, 0x8b},
	"meta_r":        {0x27, true, 0x8c},
	"menu":          {0x2f, true, 0x8d},
	"print":         {0x7c, true, 0x57},
	"power":         {0x37, true, 0x00},
	"sleep":         {0x3f, true, 0x00},
	"wake":          {0x5e, true, 0x00},
}

var aliases = map[string]string{
	"asterisk": "kp_multiply", "enter": "ret", "return": "ret", "space": "spc", "escape": "esc",
	"ctrl_l": "ctrl", "alt_l": "alt", "shift_l": "shift", "altgr": "alt_r", "sysrq": "print", "del": "delete",
	"ins": "insert", "pageup": "pgup", "pagedown": "pgdn", "period": "dot", "compose": "menu",
}

// toSet1 is the controller's translation of set 2 codes, as in the IBM PS/2
// Hardware Interface Technical Reference, keyboard controller.
var toSet1 = [128]byte{
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
}

func translate(b byte) byte {
	switch {
	case b < 0x80:
		return toSet1[b]
	case b == 0x83:
		return 0x41
	case b == 0x84:
		return 0x54
	}
	return b
}

// scan returns the bytes the keyboard sends for a key in its present set.
func (k *keyboard) scan(name string, down bool) ([]byte, error) {
	if a, ok := aliases[name]; ok {
		name = a
	}
	if name == "pause" {
		if !down {
			return nil, nil // it has no break code
		}
		switch k.set {
		case 1:
			return []byte{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}, nil
		case 3:
			return []byte{0x62}, nil
		}
		return []byte{0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77}, nil
	}
	x, ok := keys[name]
	if !ok {
		return nil, fmt.Errorf("unknown key %q", name)
	}
	var out []byte
	if x.ext && k.set != 3 {
		out = append(out, 0xe0)
	}
	switch k.set {
	case 1:
		c := translate(x.code)
		if !down {
			c |= 0x80
		}
		return append(out, c), nil
	case 3:
		if x.set3 == 0 {
			return nil, nil
		}
		if !down {
			out = append(out, 0xf0)
		}
		return append(out, x.set3), nil
	}
	if !down {
		out = append(out, 0xf0)
	}
	return append(out, x.code), nil
}

// Key presses (down) or releases the key of that name. It fails where there is
// no such key. Keys that come faster than the guest reads wait.
func (c *Controller) Key(name string, down bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.kbd
	b, err := k.scan(strings.ToLower(name), down)
	if err != nil || len(b) == 0 {
		return err
	}
	if !k.enabled || len(k.host) >= hostQueue {
		return nil
	}
	k.host = append(k.host, b)
	k.refill()
	c.pump()
	return nil
}

// SendKeys presses keys joined by "-", such as "ctrl-alt-delete", and releases
// them in reverse order.
func (c *Controller) SendKeys(combo string) error {
	names := strings.Split(combo, "-")
	for _, n := range names {
		n = strings.ToLower(n)
		if _, ok := keys[n]; !ok && aliases[n] == "" && n != "pause" {
			return fmt.Errorf("unknown key %q", n)
		}
	}
	for _, n := range names {
		if err := c.Key(n, true); err != nil {
			return err
		}
	}
	for i := len(names) - 1; i >= 0; i-- {
		if err := c.Key(names[i], false); err != nil {
			return err
		}
	}
	return nil
}

// shifted has the characters that a US keyboard types with shift, and plain
// those without, beside letters and digits.
var (
	shifted = map[rune]string{
		'!': "1", '@': "2", '#': "3", '$': "4", '%': "5", '^': "6", '&': "7", '*': "8", '(': "9", ')': "0",
		'_': "minus", '+': "equal", '{': "bracket_left", '}': "bracket_right", '|': "backslash", ':': "semicolon",
		'"': "apostrophe", '~': "grave_accent", '<': "comma", '>': "dot", '?': "slash",
	}
	plain = map[rune]string{
		'-': "minus", '=': "equal", '[': "bracket_left", ']': "bracket_right", '\\': "backslash", ';': "semicolon",
		'\'': "apostrophe", '`': "grave_accent", ',': "comma", '.': "dot", '/': "slash", ' ': "spc", '\n': "ret",
		'\r': "ret", '\t': "tab", '\b': "backspace", 0x7f: "backspace", 0x1b: "esc",
	}
)

// Type types text on a US keyboard. Control characters 1 to 26 are typed with
// ctrl. It fails at the first character that the keyboard does not have.
func (c *Controller) Type(text string) error {
	for _, r := range text {
		name, mod := "", ""
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			name = string(r)
		case r >= 'A' && r <= 'Z':
			name, mod = string(r+'a'-'A'), "shift"
		case plain[r] != "":
			name = plain[r]
		case shifted[r] != "":
			name, mod = shifted[r], "shift"
		case r >= 1 && r <= 26:
			name, mod = string('a'+r-1), "ctrl"
		default:
			return fmt.Errorf("no key types %q", r)
		}
		if mod != "" {
			name = mod + "-" + name
		}
		if err := c.SendKeys(name); err != nil {
			return err
		}
	}
	return nil
}
