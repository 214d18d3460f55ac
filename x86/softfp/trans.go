package softfp

import "math/bits"

// The x87 unit's transcendental functions.
//
// # How it works
//
// All work on nums with 128-bit significands, so results are good to about 2^-115
// before their one rounding to 64 bits: well within the bound of one unit in the
// last place that the SDM gives (volume 1, 8.3.10), and correctly rounded but for
// a few in 2^50. Silicon is less exact: Intel's and AMD's results may be the
// neighbours of these. Precision control has no effect.
//
// Sines reduce their argument by a pi/2 of 66 bits, as the hardware of both
// does: it is exact arithmetic on integers, since 2^-67 is a unit of both. Then,
// as after the other reductions (of exponents to a power of two, of logarithms
// to 2*atanh near zero, of arctangents to the nearest eighth), a power series in
// Horner's form does the rest.

// Constants to 128 bits.
var (
	numOne   = num{exp: 0, hi: 1 << 63}
	numPi    = num{exp: 1, hi: 0xc90fdaa22168c234, lo: 0xc4c6628b80dc1cd1}
	numHalf  = num{exp: 0, hi: numPi.hi, lo: numPi.lo} // pi/2
	numLn2   = num{exp: -1, hi: 0xb17217f7d1cf79ab, lo: 0xc9e3b39803f2f6af}
	numLog2e = num{exp: 0, hi: 0xb8aa3b295c17f0bb, lo: 0xbe87fed0691d3e89}
)

// pi/2 of 66 bits in units of 2^-67.
const (
	halfPiHi = 0xc
	halfPiLo = 0x90fdaa22168c234c
)

// Coefficients of the series, lowest first.
var (
	expSeries  [28]num // 1/(k+1)!
	sinSeries  [15]num // 1/(2k+1)!
	cosSeries  [15]num // 1/(2k)!
	oddSeries  [24]num // 1/(2k+1)
	atanEighth [9]num  // atan(i/8), from i = 1
)

func init() {
	f := numOne // 1/n!
	for n := 0; n < 30; n++ {
		if n > 0 {
			f = f.divSmall(uint64(n))
		}
		if n > 0 && n <= len(expSeries) {
			expSeries[n-1] = f
		}
		if k := n / 2; k < len(sinSeries) {
			if n&1 != 0 {
				sinSeries[k] = f
			} else {
				cosSeries[k] = f
			}
		}
	}
	for k := range oddSeries {
		oddSeries[k] = numOne.divSmall(uint64(2*k + 1))
	}
	// atan(i/8) = atan((i-1)/8) + atan(8/(64 + i(i-1))).
	for i := 1; i <= 8; i++ {
		u := num{exp: 3, hi: 1 << 63}.divSmall(uint64(64 + i*(i-1)))
		s := mulWide(u, series(mulWide(u, u), oddSeries[:], true))
		if i > 1 {
			s, _ = addNum(s, atanEighth[i-1])
		}
		atanEighth[i] = s
	}
}

// divSmall divides by a small integer.
func (n num) divSmall(k uint64) num {
	q0, r := n.hi/k, n.hi%k
	q1, r := bits.Div64(r, n.lo, k)
	q2, _ := bits.Div64(r, 0, k)
	if q0 == 0 {
		n.hi, n.lo, n.exp = q1, q2, n.exp-64
		n.norm()
		return n
	}
	s := bits.LeadingZeros64(q0)
	n.hi = q0<<s | q1>>(64-s)
	n.lo = q1<<s | q2>>(64-s)
	n.exp -= int32(s)
	return n
}

// mulWide multiplies nums of 128 bits; the product is cut off.
func mulWide(a, b num) num {
	h, l := bits.Mul64(a.hi, b.hi)
	h1, _ := bits.Mul64(a.hi, b.lo)
	h2, _ := bits.Mul64(a.lo, b.hi)
	var c uint64
	l, c = bits.Add64(l, h1, 0)
	h += c
	l, c = bits.Add64(l, h2, 0)
	h += c
	r := num{neg: a.neg != b.neg, exp: a.exp + b.exp + 1, hi: h, lo: l}
	if h>>63 == 0 {
		r.hi, r.lo = h<<1|l>>63, l<<1
		r.exp--
	}
	return r
}

// divWide divides nums of 128 bits: with y the reciprocal of b's leading 64 bits
// and d what b has below them, 1/b is y - y*(d*y) to 126 bits.
func divWide(a, b num) num {
	y := divNum(numOne, num{neg: b.neg, exp: b.exp, hi: b.hi})
	if b.lo != 0 {
		d := num{neg: b.neg, exp: b.exp - 64, hi: b.lo}
		d.norm()
		e := mulWide(y, mulWide(d, y))
		e.neg = !e.neg
		y, _ = addNum(y, e)
	}
	return mulWide(a, y)
}

// series evaluates c[0] + c[1]*z + ..., the signs alternating if so said.
func series(z num, c []num, alternate bool) num {
	z.neg = z.neg != alternate
	acc := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		acc, _ = addNum(c[i], mulWide(z, acc))
	}
	return acc
}

// inexact80 rounds a result that is never exact.
func inexact80(n num, de uint32, cw uint16) (F80, uint32) {
	n.lo |= 1
	return finish80(n, 64, de, cw)
}

// Exp2m1 gives 2^a - 1 for a from -1 to 1 (F2XM1). Outside, where the SDM leaves
// the result undefined, it gives a, and -1 for minus infinity, as AMD CPUs do.
func Exp2m1(a F80, cw uint16) (F80, uint32) {
	x := unpack80(a)
	switch {
	case x.class >= qnan:
		return nan80(&x, &x)
	case x.class == inf && x.neg:
		return signed80(true, One80), 0
	case x.class != finite:
		return a, 0
	case x.exp > 0 || x.exp == 0 && x.hi<<1 != 0:
		return a, PE
	case x.exp == 0 && x.neg:
		return F80{1 << 63, 0x8000 | bias80 - 1}, PE
	case x.exp == 0:
		return One80, PE
	}
	y := mulWide(x.num, numLn2)
	return inexact80(mulWide(y, series(y, expSeries[:], false)), denormal80(&x, &x), cw)
}

// log2p gives log2((1+s)/(1-s)) = 2*atanh(s)/ln 2.
func log2p(s num) num {
	r := mulWide(mulWide(s, series(mulWide(s, s), oddSeries[:], false)), numLog2e)
	r.exp++
	return r
}

// log2 gives the logarithm of a positive num that is not a power of two.
func log2(n num) num {
	k := n.exp
	n.exp = 0
	if n.hi >= 0xb504f333f9de6484 { // past the root of 2
		n.exp = -1
		k++
	}
	minusOne := numOne
	minusOne.neg = true
	num1, _ := addNum(n, minusOne)
	den, _ := addNum(n, numOne)
	l := log2p(divWide(num1, den))
	if k != 0 {
		l, _ = addNum(l, intNum(int64(k)))
	}
	return l
}

// intNum is an integer, not zero, as a num.
func intNum(v int64) num {
	n := num{neg: v < 0, exp: 63, hi: uint64(max(v, -v))}
	n.norm()
	return n
}

// YLog2X gives b*log2(a), with a in ST(0) and b in ST(1) (FYL2X).
func YLog2X(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		return nan80(&x, &y)
	}
	de := denormal80(&x, &y)
	one := x.class == finite && x.exp == 0 && x.hi<<1 == 0
	below := x.class == zero || x.class == finite && x.exp < 0 // the logarithm is negative
	switch {
	case x.neg && x.class != zero,
		y.class == zero && (x.class == zero || x.class == inf),
		y.class == inf && one && !x.neg:
		return Indefinite80, IE
	case y.class == inf:
		return inf80(y.neg != below), de
	case x.class == zero:
		return inf80(!y.neg), ZE
	case x.class == inf:
		return inf80(y.neg), de
	case one:
		return zero80(y.neg), de
	case y.class == zero:
		return zero80(y.neg != below), de
	case x.hi<<1 == 0:
		return exactly80(mulNum(intNum(int64(x.exp)), y.num), de, cw)
	}
	return inexact80(mulWide(log2(x.num), y.num), de, cw)
}

// exactly80 rounds a result that the unit reports as inexact all the same.
func exactly80(n num, de uint32, cw uint16) (F80, uint32) {
	r, sw := pack80(n, 64, cw)
	sw |= PE
	if r.SE&0x7fff == 0 {
		sw |= UE
	}
	return r, settle80(sw|de, cw)
}

// YLog2XP1 gives b*log2(a+1), with a in ST(0) and b in ST(1) (FYL2XP1). The SDM
// defines it for a from -(1-sqrt(1/2)) to sqrt(2)-1; it is good for all a above -1.
// From -1 down it gives a, as AMD CPUs do.
func YLog2XP1(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		return nan80(&x, &y)
	}
	de := denormal80(&x, &y)
	switch {
	case x.class == inf && (x.neg || y.class == zero), y.class == inf && x.class == zero:
		return Indefinite80, IE
	case x.class == inf || y.class == inf:
		return inf80(x.neg != y.neg), de
	case x.class == zero || y.class == zero:
		return zero80(x.neg != y.neg), de
	case x.neg && x.exp >= 0:
		return a, settle80(de|PE, cw)
	}
	var l num
	if x.exp < -2 {
		two := numOne
		two.exp = 1
		den, _ := addNum(x.num, two)
		l = log2p(divWide(x.num, den))
	} else {
		n, _ := addNum(x.num, numOne)
		if n.hi<<1|n.lo == 0 {
			return exactly80(mulNum(intNum(int64(n.exp)), y.num), de, cw)
		}
		l = log2(n)
	}
	return inexact80(mulWide(l, y.num), de, cw)
}

// quadrant reduces a positive num below 2^63: n = r + q*pi/2 with |r| <= pi/4.
func quadrant(n num) (r num, q uint64) {
	if n.exp < -4 {
		return n, 0
	}
	// Long division of n by pi/2, from n's leading bits down to 2^-67.
	var hi, lo uint64 = 0, n.hi
	for i := n.exp + 4; i > 0; i-- {
		hi, lo = hi<<1|lo>>63, lo<<1
		q <<= 1
		if hi > halfPiHi || hi == halfPiHi && lo >= halfPiLo {
			var c uint64
			lo, c = bits.Sub64(lo, halfPiLo, 0)
			hi -= halfPiHi + c
			q |= 1
		}
	}
	// The nearer multiple.
	if h, l := hi<<1|lo>>63, lo<<1; h > halfPiHi || h == halfPiHi && l > halfPiLo {
		l, c := bits.Sub64(halfPiLo, lo, 0)
		hi, lo = halfPiHi-hi-c, l
		r.neg = true
		q++
	}
	r.exp, r.hi, r.lo = 127-67, hi, lo
	r.norm()
	return r, q
}

func sinNum(r num) num { return mulWide(r, series(mulWide(r, r), sinSeries[:], true)) }
func cosNum(r num) num { return series(mulWide(r, r), cosSeries[:], true) }

// trig handles what the four functions have in common: done says that r is the
// result, of the sine kind (a zero for a zero) unless it is a NaN.
func trig(x *op80) (r F80, sw uint32, done bool) {
	switch {
	case x.class >= qnan:
		r, sw = nan80(x, x)
		return r, sw, true
	case x.class == inf:
		return Indefinite80, IE, true
	case x.class == zero:
		return x.raw, 0, true
	case x.exp >= 63:
		return x.raw, C2, true
	}
	return
}

// sines gives the sine and cosine of x.
func sines(x num) (s, c num) {
	neg := x.neg
	x.neg = false
	r, q := quadrant(x)
	s, c = sinNum(r), cosNum(r)
	if q&1 != 0 {
		s, c = c, s
		c.neg = !c.neg
	}
	if q&2 != 0 {
		s.neg, c.neg = !s.neg, !c.neg
	}
	s.neg = s.neg != neg
	return
}

// Sin80 gives the sine (FSIN); sw has C2 set where a is out of range (2^63 and
// above), and is to stay as it is.
func Sin80(a F80, cw uint16) (F80, uint32) {
	x := unpack80(a)
	if r, sw, done := trig(&x); done {
		return r, sw
	}
	s, _ := sines(x.num)
	return inexact80(s, denormal80(&x, &x), cw)
}

// Cos80 gives the cosine (FCOS), with C2 as Sin80.
func Cos80(a F80, cw uint16) (F80, uint32) {
	x := unpack80(a)
	if r, sw, done := trig(&x); done {
		if x.class == zero {
			r = One80
		}
		return r, sw
	}
	_, c := sines(x.num)
	return inexact80(c, denormal80(&x, &x), cw)
}

// SinCos80 gives the sine, which replaces ST(0), and the cosine, which is pushed
// (FSINCOS). With C2 nothing is pushed.
func SinCos80(a F80, cw uint16) (sin, cos F80, sw uint32) {
	x := unpack80(a)
	if r, sw, done := trig(&x); done {
		if x.class == zero {
			return r, One80, sw
		}
		return r, r, sw
	}
	s, c := sines(x.num)
	de := denormal80(&x, &x)
	sin, sw = inexact80(s, de, cw)
	cos, sw2 := inexact80(c, de, cw)
	return sin, cos, settle80(sw&^C1|sw2, cw)
}

// Tan80 gives the tangent, which replaces ST(0), and what is pushed: 1, or the
// NaN that the tangent is (FPTAN). With C2 nothing is pushed.
func Tan80(a F80, cw uint16) (tan, push F80, sw uint32) {
	x := unpack80(a)
	if r, sw, done := trig(&x); done {
		if x.class == zero {
			return r, One80, sw
		}
		return r, r, sw
	}
	s, c := sines(x.num)
	tan, sw = inexact80(divWide(s, c), denormal80(&x, &x), cw)
	return tan, One80, sw
}

// atanNum gives the arctangent of t, which is above 0 and not above 1.
func atanNum(t num) num {
	i, _, _, _ := t.roundFixed(-3, Nearest)
	u := t
	if i != 0 {
		c := intNum(int64(i))
		c.exp -= 3
		den, _ := addNum(mulWide(t, c), numOne)
		c.neg = true
		d, none := addNum(t, c)
		if none {
			return atanEighth[i]
		}
		u = divWide(d, den)
	}
	r := mulWide(u, series(mulWide(u, u), oddSeries[:], true))
	if i != 0 {
		r, _ = addNum(r, atanEighth[i])
	}
	return r
}

// Atan80 gives the angle of the point with abscissa a (ST(0)) and ordinate b
// (ST(1)), from -pi to pi (FPATAN).
func Atan80(a, b F80, cw uint16) (F80, uint32) {
	x, y := unpack80(a), unpack80(b)
	if x.class >= qnan || y.class >= qnan {
		return nan80(&x, &y)
	}
	de := denormal80(&x, &y)
	var r num
	switch {
	case y.class == zero || x.class == inf && y.class != inf:
		if !x.neg {
			return zero80(y.neg), de
		}
		r = numPi
	case x.class == zero || y.class == inf && x.class != inf:
		r = numHalf
	default:
		p, q := x.num, y.num
		if x.class == inf { // both are
			p.hi, q.hi = 1<<63, 1<<63
		}
		p.neg, q.neg = false, false
		steep := q.exp > p.exp || q.exp == p.exp && q.hi > p.hi
		if steep {
			p, q = q, p
		}
		r = atanNum(divNum(q, p))
		if steep {
			r.neg = true
			r, _ = addNum(numHalf, r)
		}
		if x.neg {
			r.neg = true
			r, _ = addNum(numPi, r)
		}
	}
	r.neg = y.neg
	return inexact80(r, de, cw)
}
