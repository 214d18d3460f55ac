package decode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The grammar of a table line:
//
//	map prefix opcode mnemonic [operands] [attributes]
//
// A line "feature NAME" says which CPUID feature the lines after it need, and
// "feature NAME NAME" gives a second one for their 256-bit forms; NAME+NAME means
// both. Each table starts without.
//
// map: 1, 0f, 38, 3a, or v1, v2, v3 for the VEX maps.
//
// prefix: - for any; np, 66, f3, f2 where the prefix is part of the opcode.
//
// opcode: two hex digits, then conditions on the ModRM byte: /0 to /7 for its
// reg field, :m for a memory operand, :r for a register, and =0 to =7 for its rm
// field (which implies :r). A first digit pair followed by + stands for the
// eight opcodes that hold a register number in their low three bits.
//
// operands: letters as in SDM volume 2, appendix A.2, with the sizes b w d q t o
// (1 2 4 8 10 16 bytes), v (operand size), z (at most 4), y (4 or 8 by REX.W), x
// (vector length; h, f, e: a half, a quarter, an eighth of it), p (far pointer),
// a (two of v), s (descriptor table register image), m (4 or 8 by mode). Besides
// SDM's letters there are X and Y: memory addressed with a vector of indices in an
// XMM or YMM register (VSIB); the size is that of one element. Names of
// registers stand for themselves: AL CL DX AX EAX rAX XMM0 ES…GS ST0 STi.
//
// attributes: lock (LOCK is allowed), i64 (not in 64-bit mode), o64 (only
// there), d64 (operand size is 64 there by default), f64 (always), w0, w1, l0, l1
// (required VEX or REX bits), norexb (REX.B must be 0), b (operand size is a byte), regonly (mod is
// ignored: always a register).

// Op is a mnemonic. Numbers are given out when the package is initialised and
// mean nothing outside of the process; engines find theirs by MustOp.
type Op uint16

var (
	opNames = []string{"(bad)"}
	opByNm  = map[string]Op{}
)

// String is the mnemonic, in lower case.
func (o Op) String() string { return opNames[o] }

// NumOps is one more than the greatest Op.
func NumOps() int { return len(opNames) }

// MustOp returns the Op of a mnemonic that the tables have. It panics for
// others, so a misspelt name shows at start.
func MustOp(name string) Op {
	o, ok := opByNm[name]
	if !ok {
		panic("decode: no instruction is called " + name)
	}
	return o
}

// Attr is a set of properties of an encoding.
type Attr uint16

// Attributes.
const (
	LockOK Attr = 1 << iota
	Not64
	Only64
	Default64
	Force64
	ByteOp
	RegOnly
	needW0
	needW1
	needL0
	needL1
	useVvvv
	vsib
	noRexB
)

type prefix uint8

const (
	pfxAny prefix = iota
	pfxNone
	pfx66
	pfxF3
	pfxF2
)

type opmap uint8

const (
	mapOne opmap = iota
	map0F
	map38
	map3A
	mapVex1
	mapVex2
	mapVex3
	numMaps
)

type sizeCode uint8

// Size codes above the plain numbers of bytes.
const (
	szV sizeCode = iota + 100
	szZ
	szY
	szX
	szH
	szF
	szE
	szP
	szA
	szS
	szM
)

type argSpec struct {
	code byte
	size sizeCode
	reg  uint8
	slot Slot
}

// slotOf places the operands by their letters.
func slotOf(code byte) Slot {
	switch code {
	case 'G', 'V', 'P', 'S', 'C', 'D':
		return SlotReg
	case 'E', 'M', 'R', 'W', 'U', 'Q', 'N', 'T', 'X', 'Y':
		return SlotRM
	case 'H', 'B':
		return SlotVvvv
	case 'Z':
		return SlotOpcode
	case 'I', 'i', 'J', 'K', 'A', 'O':
		return SlotImm
	case 'L':
		return SlotIs4
	}
	return SlotNone
}

type def struct {
	op    Op
	pfx   prefix
	attr  Attr
	modrm bool
	reg   int8 // required ModRM.reg or -1
	rm    int8 // required ModRM.rm or -1
	mod   byte // 'm', 'r' or 0
	nargs uint8
	feat  [2]uint8 // index into features, by VEX.L
	args  [4]argSpec

	always bool // it has no conditions
}

// features are the CPUID features that the tables name; several joined by +.
// Number 0 is none.
var features = []string{""}

func featureNumber(name string) uint8 {
	if i := slices.Index(features, name); i >= 0 {
		return uint8(i)
	}
	features = append(features, name)
	return uint8(len(features) - 1)
}

// unconditional reports whether matches is true of all, and REX.B does not matter.
func (d *def) unconditional() bool {
	return d.pfx == pfxAny && d.reg < 0 && d.rm < 0 && d.mod == 0 && d.attr&(Not64|Only64|needW0|needW1|needL0|needL1|noRexB) == 0
}

func (d *def) matches(p prefix, modrm uint8, mode Mode, w bool, l uint8) bool {
	if d.pfx != pfxAny && d.pfx != p {
		return false
	}
	if d.reg >= 0 && int8(modrm>>3&7) != d.reg || d.rm >= 0 && int8(modrm&7) != d.rm {
		return false
	}
	if d.mod == 'm' && modrm >= 0xc0 || d.mod == 'r' && modrm < 0xc0 {
		return false
	}
	a := d.attr
	if a&(Not64|Only64|needW0|needW1|needL0|needL1) == 0 {
		return true
	}
	switch {
	case a&Not64 != 0 && mode == Mode64, a&Only64 != 0 && mode != Mode64,
		a&needW0 != 0 && w, a&needW1 != 0 && !w,
		a&needL0 != 0 && l != 0, a&needL1 != 0 && l == 0:
		return false
	}
	return true
}

// An Encoding is one line of the tables, for tests and documentation.
type Encoding struct {
	Op      Op
	Map     string // as in the tables: 1, 0f, 38, 3a, v1, v2, v3
	Prefix  uint8  // mandatory: 0 for any, 1 for none, or 0x66, 0xf3, 0xf2
	Opcode  uint8
	HasRM   bool // a ModRM byte follows
	Reg, RM int8 // required fields of the ModRM byte, or -1
	Mod     byte // m or r where the ModRM byte must name memory or a register
	Attr    Attr
	Feature uint8
	VSIB    bool
}

// Encodings lists the tables, in the order of maps and opcodes.
func Encodings() []Encoding {
	var out []Encoding
	name := map[opmap]string{}
	for n, m := range mapNames {
		name[m] = n
	}
	for m := range maps {
		for op, cands := range maps[m] {
			for _, d := range cands {
				e := Encoding{Op: d.op, Map: name[opmap(m)], Prefix: [...]uint8{0, 1, 0x66, 0xf3, 0xf2}[d.pfx], Opcode: uint8(op),
					HasRM: d.modrm, Reg: d.reg, RM: d.rm, Mod: d.mod, Attr: d.attr, Feature: d.feat[1], VSIB: d.attr&vsib != 0}
				out = append(out, e)
			}
		}
	}
	return out
}

// W1 and L1 report what an encoding asks of VEX.W and VEX.L: -1 is anything.
func (a Attr) W1() int { return want(a, needW0, needW1) }

// L1 is like W1 for VEX.L.
func (a Attr) L1() int { return want(a, needL0, needL1) }

// UsesVvvv reports whether VEX.vvvv is an operand.
func (a Attr) UsesVvvv() bool { return a&useVvvv != 0 }

func want(a, zero, one Attr) int {
	switch {
	case a&zero != 0:
		return 0
	case a&one != 0:
		return 1
	}
	return -1
}

var maps [numMaps][256][]def

var mapNames = map[string]opmap{"1": mapOne, "0f": map0F, "38": map38, "3a": map3A, "v1": mapVex1, "v2": mapVex2, "v3": mapVex3}
var prefixNames = map[string]prefix{"-": pfxAny, "np": pfxNone, "66": pfx66, "f3": pfxF3, "f2": pfxF2}
var attrNames = map[string]Attr{"lock": LockOK, "i64": Not64, "o64": Only64, "d64": Default64, "f64": Force64,
	"b": ByteOp, "regonly": RegOnly, "norexb": noRexB, "w0": needW0, "w1": needW1, "l0": needL0, "l1": needL1}
var sizeCodes = map[string]sizeCode{"": 0, "b": 1, "w": 2, "d": 4, "q": 8, "t": 10, "o": 16, "v": szV, "z": szZ, "y": szY,
	"x": szX, "h": szH, "f": szF, "e": szE, "p": szP, "a": szA, "s": szS, "m": szM}

// fixedArgs are the operands that the tables name in full. slotOf gives their slots.
var fixedArgs = map[string]argSpec{
	"AL":   {code: 'r', size: 1},
	"CL":   {code: 'r', size: 1, reg: 1},
	"AX":   {code: 'r', size: 2},
	"DX":   {code: 'r', size: 2, reg: 2},
	"EAX":  {code: 'r', size: 4},
	"rAX":  {code: 'r', size: szV},
	"zAX":  {code: 'r', size: szZ},
	"ES":   {code: 's', size: 2},
	"CS":   {code: 's', size: 2, reg: 1},
	"SS":   {code: 's', size: 2, reg: 2},
	"DS":   {code: 's', size: 2, reg: 3},
	"FS":   {code: 's', size: 2, reg: 4},
	"GS":   {code: 's', size: 2, reg: 5},
	"XMM0": {code: 'x', size: 16},
	"ST0":  {code: 't', size: 10},
	"STi":  {code: 'T', size: 10},
	"1":    {code: '1', size: 1},
	"sIb":  {code: 'i', size: 1},
	"sIz":  {code: 'i', size: szZ},
}

func init() {
	for _, t := range []string{tableInteger, tableX87, tableSSE, tableAVX} {
		var feat [2]uint8
		for line := range strings.Lines(t) {
			if i := strings.IndexByte(line, '#'); i >= 0 {
				line = line[:i]
			}
			f := strings.Fields(line)
			switch {
			case len(f) == 0:
			case f[0] == "feature":
				feat[0] = featureNumber(f[1])
				feat[1] = featureNumber(f[len(f)-1])
			default:
				if err := addLine(f, feat); err != nil {
					panic(fmt.Sprintf("decode: table line %q: %v", strings.TrimSpace(line), err))
				}
			}
		}
	}
}

func addLine(f []string, feat [2]uint8) error {
	if len(f) < 4 {
		return fmt.Errorf("too few fields")
	}
	m, ok := mapNames[f[0]]
	if !ok {
		return fmt.Errorf("no map %q", f[0])
	}
	d := def{reg: -1, rm: -1, feat: feat}
	if d.pfx, ok = prefixNames[f[1]]; !ok {
		return fmt.Errorf("no prefix %q", f[1])
	}
	code := f[2]
	n, err := strconv.ParseUint(code[:2], 16, 8)
	if err != nil {
		return err
	}
	count := 1
	for i := 2; i < len(code); i++ {
		arg := byte(0)
		if code[i] != '+' {
			i++
			arg = code[i]
		}
		switch code[i-1] {
		case '/':
			d.reg, d.modrm = int8(arg-'0'), true
		case '=':
			d.rm, d.mod, d.modrm = int8(arg-'0'), 'r', true
		case ':':
			d.mod, d.modrm = arg, true
		default:
			if code[i] != '+' {
				return fmt.Errorf("bad condition in %q", code)
			}
			count = 8
		}
	}
	if d.op, ok = opByNm[f[3]]; !ok {
		d.op = Op(len(opNames))
		opNames = append(opNames, f[3])
		opByNm[f[3]] = d.op
	}
	for _, w := range f[4:] {
		if a, ok := attrNames[w]; ok {
			d.attr |= a
			continue
		}
		for _, o := range strings.Split(w, ",") {
			s, ok := fixedArgs[o]
			if !ok {
				s.code = o[0]
				if s.size, ok = sizeCodes[o[1:]]; !ok || !strings.ContainsRune("EGMRIJOASCDVWUHLPQNBZKXY", rune(o[0])) {
					return fmt.Errorf("no operand %q", o)
				}
			}
			if strings.IndexByte("EGMRSCDVWUPQNTXY", s.code) >= 0 {
				d.modrm = true
			}
			if s.code == 'H' || s.code == 'B' {
				d.attr |= useVvvv
			}
			if s.code == 'X' || s.code == 'Y' {
				d.attr |= vsib
			}
			s.slot = slotOf(s.code)
			if int(d.nargs) == len(d.args) {
				return fmt.Errorf("too many operands")
			}
			d.args[d.nargs] = s
			d.nargs++
		}
	}
	for i := range count {
		maps[m][int(n)+i] = append(maps[m][int(n)+i], d)
	}
	return nil
}

// The last step settles, for each opcode, whether a ModRM byte follows: all
// candidates of one opcode must agree, which those without operands do by
// inheriting it. With all instructions known, so are their effects.
func init() {
	for m := range maps {
		for op := range maps[m] {
			cs := maps[m][op]
			for i := range cs {
				cs[i].always = cs[i].unconditional()
			}
			if slices.ContainsFunc(cs, func(c def) bool { return c.modrm }) {
				for i := range cs {
					cs[i].modrm = true
				}
			}
		}
	}
	initEffects()
}
