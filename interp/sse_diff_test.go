package interp

import (
	"strings"
	"testing"

	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// vector reports whether the tables list a vector instruction.
func vector(e *decode.Encoding) bool { return handlers[e.Op].vec != nil || vecOther[e.Op] }

var vecOther = names("emms vzeroupper vzeroall vldmxcsr vstmxcsr ldmxcsr stmxcsr")

// vectorCase prepares registers that vector instructions use implicitly.
func (d *diff) vectorCase(x *decode.Inst, st *native.State, o *diffOpts) bool {
	o.x87 = true
	name := opName(x)
	switch {
	case strings.Contains(name, "maskmov") && !x.HasMem():
		st.GPR[x86.RDI] = d.addr + d.Uint64N(diffData)
		if x.AddrSize != 8 {
			return false
		}
		// Whether bytes that are masked off can fault is the implementation's
		// choice (SDM volume 2, MASKMOVQ).
		o.skip = func(_ []byte, _, _ *native.State, _ int, r native.Result) bool { return r.Vector == x86.ExcPF }
	case strings.HasSuffix(name, "ldmxcsr"):
		for i := 0; i < len(d.data); i += 4 {
			d.data[i+3], d.data[i+2] = 0, byte(d.IntN(16)/15)
		}
		// AMD has bit 17.
		o.skip = func(_ []byte, _, host *native.State, _ int, _ native.Result) bool { return host.MXCSR > 0xffff }
	}
	if strings.HasPrefix(name, "sha") && x.HasMem() {
		// Intel's want their operands aligned, as the SDM says, and AMD's do not.
		o.skip = func(_ []byte, _, _ *native.State, vec int, _ native.Result) bool { return vec == x86.ExcGP }
	}
	if d.IntN(2) == 0 {
		st.X87.FSW = uint16(d.IntN(8)) << 11
	}
	st.X87.FTW = uint8(d.Uint32())
	for i := range st.X87.ST {
		st.X87.ST[i] = native.F80{Frac: d.vec()[0], SE: uint16(d.Uint32())}
	}
	if d.IntN(16) == 0 {
		// A pending x87 exception.
		st.X87.FCW, st.X87.FSW = 0x37e, 0x8081
	}
	return true
}

func TestDiffSSE(t *testing.T) {
	d := newDiff(t, 1)
	d.sweep(t, 20, func(e *decode.Encoding) bool { return vector(e) && e.Map[0] != 'v' }, d.vectorCase)
}

func TestDiffAVX(t *testing.T) {
	d := newDiff(t, 2)
	d.sweep(t, 20, func(e *decode.Encoding) bool { return vector(e) && e.Map[0] == 'v' }, d.vectorCase)
}
