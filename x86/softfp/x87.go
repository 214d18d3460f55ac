package softfp

// The x87 unit's arithmetic (SDM volume 1, chapter 8).
//
// Functions take the control word and return bits of the status word: exception
// flags IE to PE in bits 0 to 5, which the caller ORs in, and C1, set where the
// result's magnitude was rounded up, which the caller copies. Stack faults, tags
// and the other condition codes, unless said otherwise, are the caller's.
//
// Where NotStored says so, an unmasked exception keeps the destination (or, of a
// store, memory) as it was. An unmasked overflow or underflow of a register
// result does not: the result is stored with its exponent moved by 24576 towards
// the middle (8.5.4 and 8.5.5).

// F80 is a number in double extended-precision: 64 bits of significand with an
// explicit integer bit, and sign and biased exponent.
type F80 struct {
	Frac uint64
	SE   uint16 // sign in bit 15, exponent in bits 14:0, bias 16383
}

// Condition codes in the status word.
const (
	C0 uint32 = 0x0100
	C1 uint32 = 0x0200
	C2 uint32 = 0x0400
	C3 uint32 = 0x4000
)

const (
	bias80      = 16383
	wrap80      = 24576 // the exponent adjustment of unmasked overflow and underflow
	unsupported = snan + 1
)

// Values with a meaning of their own.
var (
	Indefinite80 = F80{3 << 62, 0xffff}
	One80        = F80{1 << 63, bias80}
	Zero80       = F80{}
)

// NotStored says that exceptions sw, as a function of this package returned them,
// are to keep a register destination as it was under control word cw.
func NotStored(sw uint32, cw uint16) bool {
	return sw&^uint32(cw)&(IE|DE|ZE) != 0
}

// NotStoredMem is NotStored for a store to memory.
func NotStoredMem(sw uint32, cw uint16) bool {
	return sw&^uint32(cw)&(IE|DE|ZE|OE|UE) != 0
}

// settle80 drops what comes after an operation that an unmasked exception stops.
func settle80(sw uint32, cw uint16) uint32 {
	if NotStored(sw, cw) {
		sw &= IE | DE | ZE
	}
	return sw
}

// prec80 is the control word's precision in bits; the reserved value counts as 64.
func prec80(cw uint16) uint { return [4]uint{24, 64, 53, 64}[cw>>8&3] }

func rc80(cw uint16) uint8 { return uint8(cw >> 10 & 3) }

// csr is an MXCSR with cw's masks and rounding mode.
func csr(cw uint16) uint32 { return uint32(cw&0x3f)<<maskBits | uint32(rc80(cw))<<rcShift }

type op80 struct {
	num
	class
	denormal bool
	raw      F80
}

func inf80(neg bool) F80  { return signed80(neg, F80{1 << 63, 0x7fff}) }
func zero80(neg bool) F80 { return signed80(neg, F80{}) }

func signed80(neg bool, a F80) F80 {
	if neg {
		a.SE |= 0x8000
	}
	return a
}

func unpack80(a F80) (o op80) {
	o.raw = a
	o.neg = a.SE&0x8000 != 0
	e := int32(a.SE & 0x7fff)
	switch {
	case e == 0 && a.Frac == 0:
	case e == 0: // a denormal, or a pseudo-denormal with its integer bit set
		o.class, o.denormal = finite, true
		o.exp, o.hi = 1-bias80, a.Frac
		o.norm()
	case a.Frac>>63 == 0: // unnormal, pseudo-infinity, pseudo-NaN
		o.class = unsupported
	case e == 0x7fff:
		switch {
		case a.Frac<<1 == 0:
			o.class = inf
		case a.Frac>>62&1 != 0:
			o.class = qnan
		default:
			o.class = snan
		}
	default:
		o.class = finite
		o.exp, o.hi = e-bias80, a.Frac
	}
	return
}

// pack80 rounds n to prec bits.
func pack80(n num, prec uint, cw uint16) (r F80, sw uint32) {
	mode := rc80(cw)
	sig, e, inexact, up := n.round(prec, mode)
	if e < 1-bias80 && uint32(cw)&UE != 0 {
		var v uint64
		v, inexact, up, _ = n.roundFixed(1-bias80-int32(prec-1), mode)
		v <<= 64 - prec
		r = F80{v, uint16(v >> 63)}
		if inexact {
			sw = UE | PE
		}
		if up {
			sw |= C1
		}
		return signed80(n.neg, r), sw
	}
	if inexact {
		sw = PE
	}
	if up {
		sw |= C1
	}
	switch {
	case e > bias80 && uint32(cw)&OE != 0:
		if mode == Zero || mode == Down && !n.neg || mode == Up && n.neg {
			return signed80(n.neg, F80{^uint64(0) << (64 - prec), 0x7ffe}), OE | PE
		}
		return inf80(n.neg), OE | PE | C1
	case e > bias80:
		sw |= OE
		if e -= wrap80; e > bias80 {
			return inf80(n.neg), sw | PE | C1
		}
	case e < 1-bias80:
		sw |= UE
		if e += wrap80; e < 1-bias80 {
			return zero80(n.neg), sw&^C1 | PE
		}
	}
	return signed80(n.neg, F80{sig, uint16(e + bias80)}), sw
}

// nan80 gives the result of an operation with an operand that is a NaN or not
// supported: of two NaNs the one with the greater significand, and if only one is
// quiet, that (SDM volume 1, table 4-7).
func nan80(a, b *op80) (F80, uint32) {
	if a.class == unsupported || b.class == unsupported {
		return Indefinite80, IE
	}
	var sw uint32
	if a.class == snan || b.class == snan {
		sw = IE
	}
	q := func(o *op80) F80 { return F80{o.raw.Frac | 1<<62, o.raw.SE} }
	switch {
	case b.class < qnan:
		return q(a), sw
	case a.class < qnan:
		return q(b), sw
	case a.class == snan && b.class == qnan:
		return q(b), sw
	case a.class == qnan && b.class == snan:
		return q(a), sw
	case a.raw.Frac<<1 > b.raw.Frac<<1:
		return q(a), sw
	case a.raw.Frac<<1 < b.raw.Frac<<1:
		return q(b), sw
	case a.neg:
		return q(b), sw
	}
	return q(a), sw
}

func denormal80(a, b *op80) uint32 {
	if a.denormal || b.denormal {
		return DE
	}
	return 0
}

func finish80(n num, prec uint, de uint32, cw uint16) (F80, uint32) {
	r, sw := pack80(n, prec, cw)
	return r, settle80(sw|de, cw)
}

// Add80 adds.
func Add80(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	return addOps80(&x, &y, cw)
}

// Sub80 subtracts b from a.
func Sub80(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if y.class < qnan {
		y.neg = !y.neg
	}
	return addOps80(&x, &y, cw)
}

func addOps80(x, y *op80, cw uint16) (F80, uint32) {
	if x.class >= qnan || y.class >= qnan {
		return nan80(x, y)
	}
	de := denormal80(x, y)
	switch {
	case x.class == inf && y.class == inf && x.neg != y.neg:
		return Indefinite80, IE
	case x.class == inf:
		return inf80(x.neg), de
	case y.class == inf:
		return inf80(y.neg), de
	case x.class == zero && y.class == zero:
		return zero80(x.neg && y.neg || x.neg != y.neg && rc80(cw) == Down), 0
	}
	n := x.num
	switch {
	case x.class == zero:
		n = y.num
	case y.class != zero:
		var none bool
		if n, none = addNum(n, y.num); none {
			return zero80(rc80(cw) == Down), de
		}
	}
	return finish80(n, prec80(cw), de, cw)
}

// Mul80 multiplies.
func Mul80(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		return nan80(&x, &y)
	}
	de := denormal80(&x, &y)
	neg := x.neg != y.neg
	switch {
	case x.class == inf && y.class == zero || x.class == zero && y.class == inf:
		return Indefinite80, IE
	case x.class == inf || y.class == inf:
		return inf80(neg), de
	case x.class == zero || y.class == zero:
		return zero80(neg), de
	}
	return finish80(mulNum(x.num, y.num), prec80(cw), de, cw)
}

// Div80 divides a by b.
func Div80(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		return nan80(&x, &y)
	}
	de := denormal80(&x, &y)
	neg := x.neg != y.neg
	switch {
	case x.class == inf && y.class == inf || x.class == zero && y.class == zero:
		return Indefinite80, IE
	case x.class == inf:
		return inf80(neg), de
	case y.class == zero:
		return inf80(neg), ZE
	case x.class == zero || y.class == inf:
		return zero80(neg), de
	}
	return finish80(divNum(x.num, y.num), prec80(cw), de, cw)
}

// Sqrt80 takes the square root.
func Sqrt80(a F80, cw uint16) (F80, uint32) {
	x := unpack80(a)
	switch {
	case x.class >= qnan:
		return nan80(&x, &x)
	case x.class == zero:
		return a, 0
	case x.neg:
		return Indefinite80, IE
	case x.class == inf:
		return a, 0
	}
	return finish80(sqrtNum(x.num), prec80(cw), denormal80(&x, &x), cw)
}

// Compare80 compares: FCOM's kind (signal: quiet NaNs too are invalid) or
// FUCOM's. sw has C3, C2 and C0 beside the flags.
func Compare80(a, b F80, signal bool, cw uint16) (sw uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		sw = C3 | C2 | C0
		if signal || x.class >= snan || y.class >= snan {
			sw |= IE
		}
		return sw
	}
	sw = denormal80(&x, &y)
	p := operand{num: x.num, class: x.class}
	q := operand{num: y.num, class: y.class}
	switch compare(&p, &q) {
	case -1:
		sw |= C0
	case 0:
		sw |= C3
	}
	return sw
}

// CompareFlags turns C3, C2 and C0 into ZF, PF and CF, for FCOMI and FUCOMI.
func CompareFlags(sw uint32) (eflags uint32) {
	if sw&C3 != 0 {
		eflags |= 0x40
	}
	if sw&C2 != 0 {
		eflags |= 4
	}
	if sw&C0 != 0 {
		eflags |= 1
	}
	return
}

// Xam80 classifies as FXAM does, for a register that is not empty: C3, C2 and C0
// by class, C1 the sign.
func Xam80(a F80) (sw uint32) {
	x := unpack80(a)
	switch x.class {
	case zero:
		sw = C3
	case finite:
		sw = C2
		if x.denormal {
			sw |= C3
		}
	case inf:
		sw = C2 | C0
	case qnan, snan:
		sw = C0
	}
	if x.neg {
		sw |= C1
	}
	return sw
}

// RoundInt80 rounds to an integer by the control word's mode (FRNDINT).
func RoundInt80(a F80, cw uint16) (F80, uint32) {
	x := unpack80(a)
	switch {
	case x.class >= qnan:
		return nan80(&x, &x)
	case x.class != finite || x.exp >= 63:
		return a, 0
	}
	v, inexact, up, _ := x.roundFixed(0, rc80(cw))
	sw := denormal80(&x, &x)
	if inexact {
		sw |= PE
	}
	if up {
		sw |= C1
	}
	sw = settle80(sw, cw)
	if v == 0 {
		return zero80(x.neg), sw
	}
	return fromUint80(x.neg, v), sw
}

func fromUint80(neg bool, v uint64) F80 {
	n := num{exp: 63, hi: v}
	n.norm()
	return signed80(neg, F80{n.hi, uint16(n.exp + bias80)})
}

// FromInt80 converts a signed integer, exactly (FILD).
func FromInt80(v int64) F80 {
	if v == 0 {
		return F80{}
	}
	neg := v < 0
	if neg {
		v = -v
	}
	return fromUint80(neg, uint64(v))
}

// ToInt80 converts to a signed integer of size bits (16, 32 or 64), by the
// control word's mode or truncating (FIST, FISTTP). What does not fit gives the
// integer indefinite, the least value.
func ToInt80(a F80, size uint, trunc bool, cw uint16) (uint64, uint32) {
	x := unpack80(a)
	least := uint64(1) << (size - 1)
	mode := rc80(cw)
	if trunc {
		mode = Zero
	}
	switch x.class {
	case zero:
		return 0, 0
	case finite:
		v, inexact, up, ok := x.roundFixed(0, mode)
		if !ok || v > least || v == least && !x.neg {
			return least, IE
		}
		var sw uint32
		if inexact {
			sw = PE
		}
		if up {
			sw |= C1
		}
		if x.neg {
			v = -v
		}
		return v & (least<<1 - 1), sw
	}
	return least, IE
}

// From32 widens a float32 (FLD m32fp).
func From32(a uint32, cw uint16) (F80, uint32) { return fromFormat(&f32, uint64(a), cw) }

// From64 widens a float64 (FLD m64fp).
func From64(a uint64, cw uint16) (F80, uint32) { return fromFormat(&f64, a, cw) }

func fromFormat(f *format, a uint64, cw uint16) (F80, uint32) {
	x := f.unpack(a, false)
	switch x.class {
	case zero:
		return zero80(x.neg), 0
	case inf:
		return inf80(x.neg), 0
	case finite:
		var sw uint32
		if x.denormal {
			sw = DE
		}
		return signed80(x.neg, F80{x.hi, uint16(x.exp + bias80)}), sw
	}
	var sw uint32
	if x.class == snan {
		sw = IE
	}
	return signed80(x.neg, F80{a<<(64-f.prec) | 3<<62, 0x7fff}), sw
}

// To32 narrows to a float32 (FST m32fp).
func To32(a F80, cw uint16) (uint32, uint32) {
	r, sw := toFormat(&f32, a, cw)
	return uint32(r), sw
}

// To64 narrows to a float64 (FST m64fp).
func To64(a F80, cw uint16) (uint64, uint32) { return toFormat(&f64, a, cw) }

func toFormat(f *format, a F80, cw uint16) (uint64, uint32) {
	x := unpack80(a)
	switch x.class {
	case zero:
		return f.signed(x.neg, 0), 0
	case inf:
		return f.signed(x.neg, f.inf()), 0
	case unsupported:
		return f.indefinite(), IE
	case finite:
		r, sw, up := f.packUp(x.num, csr(cw))
		if stop := sw &^ uint32(cw) & (OE | UE); stop != 0 {
			return r, stop // nothing is stored, so nothing is inexact
		}
		if up {
			sw |= C1
		}
		return r, sw
	}
	var sw uint32
	if x.class == snan {
		sw = IE
	}
	return f.signed(x.neg, f.inf()|f.quiet()|a.Frac<<1>>(65-f.prec)), sw
}

// BCD is a packed decimal: 18 digits, low first, then the sign in bit 7 of byte 9.
type BCD [10]byte

// FromBCD converts a packed decimal (FBLD). Digits above 9 have no defined value.
func FromBCD(b BCD) F80 {
	var v uint64
	for i := 8; i >= 0; i-- {
		v = v*100 + uint64(b[i]>>4)*10 + uint64(b[i]&15)
	}
	neg := b[9]&0x80 != 0
	if v == 0 {
		return zero80(neg)
	}
	return fromUint80(neg, v)
}

// ToBCD converts to a packed decimal (FBSTP); what does not fit gives the
// packed decimal indefinite.
func ToBCD(a F80, cw uint16) (b BCD, sw uint32) {
	x := unpack80(a)
	var v uint64
	switch x.class {
	case zero:
	case finite:
		var inexact, up, ok bool
		v, inexact, up, ok = x.roundFixed(0, rc80(cw))
		if !ok || v >= 1e18 {
			return BCD{7: 0xc0, 8: 0xff, 9: 0xff}, IE
		}
		if inexact {
			sw = PE
		}
		if up {
			sw |= C1
		}
	default:
		return BCD{7: 0xc0, 8: 0xff, 9: 0xff}, IE
	}
	for i := range 9 {
		b[i] = byte(v%10 | v/10%10<<4)
		v /= 100
	}
	if x.neg {
		b[9] = 0x80
	}
	return b, sw
}

// Scale80 multiplies a by two to the power of b, truncated (FSCALE).
func Scale80(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		return nan80(&x, &y)
	}
	de := denormal80(&x, &y)
	switch {
	case y.class == inf && (y.neg && x.class == inf || !y.neg && x.class == zero):
		return Indefinite80, IE
	case y.class == inf && y.neg:
		return zero80(x.neg), de
	case y.class == inf:
		return inf80(x.neg), de
	case x.class != finite:
		return a, de
	}
	if y.class == finite && y.exp >= 0 {
		k := int32(1 << 16)
		if y.exp < 16 {
			k = int32(y.hi >> (63 - y.exp))
		}
		if y.neg {
			k = -k
		}
		x.exp += k
	}
	return finish80(x.num, 64, de, cw)
}

// Extract80 splits a into its unbiased exponent and its significand with the
// exponent of one (FXTRACT).
func Extract80(a F80, cw uint16) (exp, sig F80, sw uint32) {
	x := unpack80(a)
	switch {
	case x.class >= qnan:
		r, sw := nan80(&x, &x)
		return r, r, sw
	case x.class == inf:
		return inf80(false), a, 0
	case x.class == zero:
		return inf80(true), a, ZE
	}
	return FromInt80(int64(x.exp)), signed80(x.neg, F80{x.hi, bias80}), denormal80(&x, &x)
}

// Rem80 gives the remainder of a by b, with the quotient truncated (FPREM) or,
// with nearest, rounded to nearest even (FPREM1). Where the exponents are 64 or
// more apart it only takes a nearer to that: then sw has C2 set. Else C0, C3 and
// C1 are bits 2, 1 and 0 of the quotient. (With operands that are not finite, or a
// zero, all four are clear; AMD CPUs leave C0 and C3 as they were then.)
func Rem80(a, b F80, nearest bool, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		return nan80(&x, &y)
	}
	de := denormal80(&x, &y)
	switch {
	case x.class == inf || y.class == zero:
		return Indefinite80, IE
	case x.class == zero:
		return a, de
	case y.class == inf:
		if x.denormal {
			return finish80(x.num, 64, de, cw)
		}
		return a, de
	}
	d := x.exp - y.exp
	r := num{neg: x.neg, exp: y.exp, hi: x.hi}
	var q uint64
	var sw uint32
	switch {
	case d < -1 || d == -1 && !nearest:
		r = x.num
	case d == -1:
		// The quotient is below one: it rounds to one if a is past half of b.
		r = x.num
		if x.hi > y.hi {
			r.neg = !r.neg
			r.hi = y.hi<<1 - x.hi // below 2^64, for x.hi > y.hi
			q = 1
		}
	default:
		if d >= 64 {
			sw = C2
			n := d&31 | 32
			r.exp += d - n
			d = n
		}
		var carry bool
		for i := d; ; i-- {
			q <<= 1
			if carry || r.hi >= y.hi {
				r.hi -= y.hi
				q |= 1
			}
			if i == 0 {
				break
			}
			carry = r.hi>>63 != 0
			r.hi <<= 1
		}
		if nearest && sw == 0 {
			if twice := r.hi << 1; r.hi>>63 != 0 || twice > y.hi || twice == y.hi && q&1 != 0 {
				r.hi = y.hi - r.hi
				r.neg = !r.neg
				q++
			}
		}
	}
	if sw == 0 {
		if q&4 != 0 {
			sw |= C0
		}
		if q&2 != 0 {
			sw |= C3
		}
		if q&1 != 0 {
			sw |= C1
		}
	}
	if r.hi == 0 {
		return zero80(x.neg), settle80(sw|de, cw)
	}
	r.norm()
	v, fl := pack80(r, 64, cw)
	return v, settle80(sw|fl|de, cw)
}

// Const80 is the constant that D9 E8+n loads, n from 0 to 6: 1, log2(10),
// log2(e), pi, log10(2), ln(2), 0; rounded by the control word's mode.
func Const80(n int, cw uint16) F80 {
	c := constants[n%7]
	// The values are rounded to nearest; low says that this was down.
	switch mode := rc80(cw); {
	case c.low && mode == Up:
		c.F80.Frac++
	case c.high && (mode == Down || mode == Zero):
		c.F80.Frac--
	}
	return c.F80
}

var constants = [7]struct {
	F80
	low, high bool // the value is below, above the exact one
}{
	{One80, false, false},
	{F80{0xd49a784bcd1b8afe, 0x4000}, true, false},
	{F80{0xb8aa3b295c17f0bc, 0x3fff}, false, true},
	{F80{0xc90fdaa22168c235, 0x4000}, false, true},
	{F80{0x9a209a84fbcff799, 0x3ffd}, false, true},
	{F80{0xb17217f7d1cf79ac, 0x3ffe}, false, true},
	{F80{}, false, false},
}
