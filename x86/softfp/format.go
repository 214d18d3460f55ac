package softfp

import "math"

// format is an IEEE interchange format.
type format struct {
	prec       uint  // significand bits, the hidden one included
	bias, emax int32 // exponent bias; greatest exponent
}

var (
	f16 = format{11, 15, 15}
	f32 = format{24, 127, 127}
	f64 = format{53, 1023, 1023}
)

// class is what kind of value an operand is.
type class uint8

const (
	zero class = iota
	finite
	inf
	qnan
	snan
)

type operand struct {
	num
	class
	denormal bool
	raw      uint64
}

func (f *format) signBit() uint64 { return 1 << (f.prec + f.expBits() - 1) }
func (f *format) expBits() uint {
	switch f.prec {
	case 11:
		return 5
	case 24:
		return 8
	}
	return 11
}
func (f *format) inf() uint64   { return (1<<f.expBits() - 1) << (f.prec - 1) }
func (f *format) quiet() uint64 { return 1 << (f.prec - 2) }

// indefinite is the NaN that invalid operations give.
func (f *format) indefinite() uint64 { return f.signBit() | f.inf() | f.quiet() }

func (f *format) signed(neg bool, v uint64) uint64 {
	if neg {
		v |= f.signBit()
	}
	return v
}

// unpack takes x apart; with daz denormals count as zeros.
func (f *format) unpack(x uint64, daz bool) (o operand) {
	o.raw = x
	o.neg = x&f.signBit() != 0
	frac := x & (1<<(f.prec-1) - 1)
	e := int32(x>>(f.prec-1)) & (1<<f.expBits() - 1)
	switch {
	case e == 0 && frac == 0:
	case e == 0 && daz:
		o.raw = f.signed(o.neg, 0)
	case e == 0:
		o.class, o.denormal = finite, true
		o.exp, o.hi = 1-f.bias, frac<<(64-f.prec)
		o.norm()
	case e == f.emax+f.bias+1:
		switch {
		case frac == 0:
			o.class = inf
		case x&f.quiet() != 0:
			o.class = qnan
		default:
			o.class = snan
		}
	default:
		o.class = finite
		o.exp, o.hi = e-f.bias, 1<<63|frac<<(64-f.prec)
	}
	return
}

// pack rounds n to the format. Tininess is found after rounding; an exact tiny
// result underflows only where UE is not masked.
func (f *format) pack(n num, mxcsr uint32) (r uint64, flags uint32) {
	r, flags, _ = f.packUp(n, mxcsr)
	return
}

// packUp is pack, and says whether the magnitude was rounded up.
func (f *format) packUp(n num, mxcsr uint32) (r uint64, flags uint32, up bool) {
	mode := rc(mxcsr)
	sig, e, inexact, up := n.round(f.prec, mode)
	if inexact {
		flags = PE
	}
	switch {
	case e > f.emax:
		if mxcsr&(OE<<maskBits) != 0 {
			flags = PE
		}
		flags |= OE
		r, up = f.inf(), true
		if mode == Zero || mode == Down && !n.neg || mode == Up && n.neg {
			r, up = r-1, false // the greatest finite number
		}
		return f.signed(n.neg, r), flags, up
	case e < 1-f.bias:
		if mxcsr&(UE<<maskBits) == 0 {
			return f.signed(n.neg, 0), flags | UE, up
		}
		if mxcsr&FTZ != 0 {
			return f.signed(n.neg, 0), UE | PE, false
		}
		v, inexact, up, _ := n.roundFixed(1-f.bias-int32(f.prec-1), mode)
		flags = 0
		if inexact {
			flags = UE | PE
		}
		return f.signed(n.neg, v), flags, up // a carry makes the least normal number
	}
	return f.signed(n.neg, uint64(e+f.bias)<<(f.prec-1)|sig<<1>>(65-f.prec)), flags, up
}

// nan2 gives the NaN of an operation of which a or b is a NaN: the first one,
// quiet.
func (f *format) nan2(a, b *operand) (r uint64, flags uint32) {
	if a.class == snan || b.class == snan {
		flags = IE
	}
	if a.class >= qnan {
		return a.raw | f.quiet(), flags
	}
	return b.raw | f.quiet(), flags
}

func denormals(a, b *operand) uint32 {
	if a.denormal || b.denormal {
		return DE
	}
	return 0
}

func (f *format) add(a, b uint64, mxcsr uint32) (uint64, uint32) {
	x, y := f.unpack(a, mxcsr&DAZ != 0), f.unpack(b, mxcsr&DAZ != 0)
	return f.addOps(&x, &y, mxcsr)
}

func (f *format) sub(a, b uint64, mxcsr uint32) (uint64, uint32) {
	x, y := f.unpack(a, mxcsr&DAZ != 0), f.unpack(b, mxcsr&DAZ != 0)
	if y.class < qnan {
		y.neg = !y.neg
		y.raw ^= f.signBit()
	}
	return f.addOps(&x, &y, mxcsr)
}

func (f *format) addOps(x, y *operand, mxcsr uint32) (uint64, uint32) {
	if x.class >= qnan || y.class >= qnan {
		return f.nan2(x, y)
	}
	fl := denormals(x, y)
	switch {
	case x.class == inf && y.class == inf && x.neg != y.neg:
		return f.indefinite(), IE
	case x.class == inf:
		return x.raw, fl
	case y.class == inf:
		return y.raw, fl
	case x.class == zero && y.class == zero:
		return f.signed(x.neg && y.neg || x.neg != y.neg && rc(mxcsr) == Down, 0), fl
	}
	var n num
	switch {
	case x.class == zero:
		n = y.num
	case y.class == zero:
		n = x.num
	default:
		var none bool
		if n, none = addNum(x.num, y.num); none {
			return f.signed(rc(mxcsr) == Down, 0), fl
		}
	}
	r, fl2 := f.pack(n, mxcsr)
	return r, fl | fl2
}

func (f *format) mul(a, b uint64, mxcsr uint32) (uint64, uint32) {
	x, y := f.unpack(a, mxcsr&DAZ != 0), f.unpack(b, mxcsr&DAZ != 0)
	if x.class >= qnan || y.class >= qnan {
		return f.nan2(&x, &y)
	}
	fl := denormals(&x, &y)
	neg := x.neg != y.neg
	switch {
	case x.class == inf && y.class == zero || x.class == zero && y.class == inf:
		return f.indefinite(), IE
	case x.class == inf || y.class == inf:
		return f.signed(neg, f.inf()), fl
	case x.class == zero || y.class == zero:
		return f.signed(neg, 0), fl
	}
	r, fl2 := f.pack(mulNum(x.num, y.num), mxcsr)
	return r, fl | fl2
}

func (f *format) div(a, b uint64, mxcsr uint32) (uint64, uint32) {
	x, y := f.unpack(a, mxcsr&DAZ != 0), f.unpack(b, mxcsr&DAZ != 0)
	if x.class >= qnan || y.class >= qnan {
		return f.nan2(&x, &y)
	}
	fl := denormals(&x, &y)
	neg := x.neg != y.neg
	switch {
	case x.class == inf && y.class == inf || x.class == zero && y.class == zero:
		return f.indefinite(), IE
	case x.class == inf:
		return f.signed(neg, f.inf()), fl
	case y.class == zero:
		return f.signed(neg, f.inf()), ZE
	case x.class == zero || y.class == inf:
		return f.signed(neg, 0), fl
	}
	r, fl2 := f.pack(divNum(x.num, y.num), mxcsr)
	return r, fl | fl2
}

func (f *format) sqrt(a uint64, mxcsr uint32) (uint64, uint32) {
	x := f.unpack(a, mxcsr&DAZ != 0)
	switch {
	case x.class >= qnan:
		return f.nan2(&x, &x)
	case x.class == zero:
		return x.raw, 0
	case x.neg:
		return f.indefinite(), IE
	case x.class == inf:
		return x.raw, 0
	}
	r, fl := f.pack(sqrtNum(x.num), mxcsr)
	return r, fl | denormals(&x, &x)
}

// fma computes a*b+c with one rounding; negP negates the product, negC c.
func (f *format) fma(a, b, c uint64, negP, negC bool, mxcsr uint32) (uint64, uint32) {
	daz := mxcsr&DAZ != 0
	x, y, z := f.unpack(a, daz), f.unpack(b, daz), f.unpack(c, daz)
	invalid := x.class == inf && y.class == zero || x.class == zero && y.class == inf
	if x.class >= qnan || y.class >= qnan || z.class >= qnan {
		var fl uint32
		if x.class == snan || y.class == snan || z.class == snan || invalid && z.class < qnan {
			fl = IE
		}
		for _, o := range []*operand{&x, &y, &z} {
			if o.class >= qnan {
				return o.raw | f.quiet(), fl
			}
		}
	}
	if invalid {
		return f.indefinite(), IE
	}
	z.neg = z.neg != negC
	neg := x.neg != y.neg != negP
	fl := denormals(&x, &y) | denormals(&z, &z)
	if x.class == inf || y.class == inf {
		if z.class == inf && z.neg != neg {
			return f.indefinite(), IE
		}
		return f.signed(neg, f.inf()), fl
	}
	if z.class == inf {
		return f.signed(z.neg, f.inf()), fl
	}
	var n num
	if x.class == zero || y.class == zero {
		if z.class == zero {
			return f.signed(neg && z.neg || neg != z.neg && rc(mxcsr) == Down, 0), fl
		}
		n = z.num
	} else {
		n = mulNum(x.num, y.num)
		n.neg = neg
		if z.class != zero {
			var none bool
			if n, none = addNum(n, z.num); none {
				return f.signed(rc(mxcsr) == Down, 0), fl
			}
		}
	}
	r, fl2 := f.pack(n, mxcsr)
	return r, fl | fl2
}

// compare orders two operands that are not NaNs: -1, 0 or 1.
func compare(x, y *operand) int {
	sign := func(o *operand) int {
		switch {
		case o.class == zero:
			return 0
		case o.neg:
			return -1
		}
		return 1
	}
	s, t := sign(x), sign(y)
	if s != t {
		if s < t {
			return -1
		}
		return 1
	}
	if s == 0 {
		return 0
	}
	mag := 0
	switch {
	case x.class != y.class: // one infinity
		mag = 1
		if y.class == inf {
			mag = -1
		}
	case x.class == inf:
	case x.exp != y.exp:
		mag = 1
		if x.exp < y.exp {
			mag = -1
		}
	case x.hi != y.hi:
		mag = 1
		if x.hi < y.hi {
			mag = -1
		}
	}
	return mag * s
}

// minmax gives b where either is a NaN or both are zeros; want is -1 for the
// minimum and 1 for the maximum.
func (f *format) minmax(a, b uint64, want int, mxcsr uint32) (uint64, uint32) {
	x, y := f.unpack(a, mxcsr&DAZ != 0), f.unpack(b, mxcsr&DAZ != 0)
	if x.class >= qnan || y.class >= qnan {
		return y.raw, IE
	}
	fl := denormals(&x, &y)
	if compare(&x, &y) == want {
		return x.raw, fl
	}
	return y.raw, fl
}

// Relations of two numbers.
const (
	less = 1 << iota
	equal
	greater
	unordered
)

func (f *format) relate(a, b uint64, signalQ bool, mxcsr uint32) (rel int, flags uint32) {
	x, y := f.unpack(a, mxcsr&DAZ != 0), f.unpack(b, mxcsr&DAZ != 0)
	if x.class >= qnan || y.class >= qnan {
		if signalQ || x.class == snan || y.class == snan {
			flags = IE
		}
		return unordered, flags
	}
	return equal << 1 >> (1 - compare(&x, &y)), denormals(&x, &y)
}

// predicates holds for each immediate of VCMPPS which relations make it true
// (SDM volume 2, CMPPD, table 3-1); bit 4 set: signals quiet NaNs too.
var predicates = func() (p [32]uint8) {
	base := [16]uint8{
		equal, less, less | equal, unordered, less | greater | unordered, greater | equal | unordered,
		greater | unordered, less | equal | greater,
		equal | unordered, less | unordered, less | equal | unordered, 0, less | greater, greater | equal,
		greater, less | equal | greater | unordered,
	}
	for i := range p {
		p[i] = base[i&15]
		signals := i&3 == 1 || i&3 == 2
		if signals != (i&16 != 0) {
			p[i] |= 16
		}
	}
	return
}()

func (f *format) cmp(a, b uint64, pred uint8, mxcsr uint32) (bool, uint32) {
	p := predicates[pred&31]
	rel, fl := f.relate(a, b, p&16 != 0, mxcsr)
	return int(p)&rel != 0, fl
}

// comi gives ZF, PF and CF as at their places in EFLAGS.
func (f *format) comi(a, b uint64, signalQ bool, mxcsr uint32) (eflags, flags uint32) {
	rel, fl := f.relate(a, b, signalQ, mxcsr)
	switch rel {
	case less:
		return 1, fl
	case equal:
		return 0x40, fl
	case unordered:
		return 0x45, fl
	}
	return 0, fl
}

// roundInt rounds to an integer as ROUNDSD does: imm[1:0] is the mode unless
// imm[2] says MXCSR's; imm[3] suppresses PE.
func (f *format) roundInt(a uint64, imm uint8, mxcsr uint32) (r uint64, flags uint32) {
	x := f.unpack(a, mxcsr&DAZ != 0)
	switch {
	case x.class >= qnan:
		return f.nan2(&x, &x)
	case x.class != finite || x.exp >= int32(f.prec-1):
		return x.raw, 0
	}
	mode := imm & 3
	if imm&4 != 0 {
		mode = rc(mxcsr)
	}
	v, inexact, _, _ := x.roundFixed(0, mode)
	if inexact && imm&8 == 0 {
		flags = PE
	}
	if v == 0 {
		return f.signed(x.neg, 0), flags
	}
	n := num{neg: x.neg, exp: 63, hi: v}
	n.norm()
	r, _ = f.pack(n, MaskAll)
	return r, flags
}

// toInt converts to a signed integer of the given size in bits; what does not
// fit gives the integer indefinite, the least value.
func (f *format) toInt(a uint64, size uint, mode uint8, mxcsr uint32) (r uint64, flags uint32) {
	x := f.unpack(a, mxcsr&DAZ != 0)
	least := uint64(1) << (size - 1)
	switch x.class {
	case zero:
		return 0, 0
	case finite:
		v, inexact, _, ok := x.roundFixed(0, mode)
		if !ok || v > least || v == least && !x.neg {
			return least, IE
		}
		if inexact {
			flags = PE
		}
		if x.neg {
			v = -v
		}
		return v & (least<<1 - 1), flags
	}
	return least, IE
}

func (f *format) fromInt(v int64, mxcsr uint32) (uint64, uint32) {
	if v == 0 {
		return 0, 0
	}
	n := num{neg: v < 0, exp: 63, hi: uint64(max(v, -v))}
	n.norm()
	return f.pack(n, mxcsr)
}

// convert changes the format.
func convert(to, from *format, a uint64, mxcsr uint32) (uint64, uint32) {
	x := from.unpack(a, mxcsr&DAZ != 0)
	switch x.class {
	case zero:
		return to.signed(x.neg, 0), 0
	case inf:
		return to.signed(x.neg, to.inf()), 0
	case finite:
		r, fl := to.pack(x.num, mxcsr)
		return r, fl | denormals(&x, &x)
	}
	var fl uint32
	if x.class == snan {
		fl = IE
	}
	frac := a & (1<<(from.prec-1) - 1) << (64 - from.prec) >> (64 - to.prec)
	return to.signed(x.neg, to.inf()|to.quiet()|frac), fl
}

func seedSqrt(hi uint64) uint64 {
	x := math.Sqrt(float64(hi)) * (1 << 32)
	if x >= 1<<64 {
		return 1<<64 - 1
	}
	return uint64(x)
}
