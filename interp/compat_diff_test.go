package interp

import (
	"testing"

	"hotblock/internal/difftest"
	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// TestDiffCompat runs in compatibility mode what has the same meaning there as in
// 64-bit mode; the guest takes the handlers for segmented addresses.
func TestDiffCompat(t *testing.T) {
	d := newDiffCompat(t, 4)
	d.sweep(t, 10, func(e *decode.Encoding) bool { return integer(e) && !stackOps[e.Op] || vector(e) },
		func(x *decode.Inst, st *native.State, o *difftest.Opts) bool {
			if handlers[x.Op].vec != nil || vecOther[x.Op] {
				return d.VectorCase(x, st, o)
			}
			if (x.Op == opIDDiv || x.Op == opIDIdiv) && !x.HasMem() {
				st.GPR[x86.RDX] &= 0xff
			}
			return d.IntegerCase(x, st, o)
		})
}

var (
	stackOps = names("push pop enter leave")
	opIDDiv  = decode.MustOp("div")
	opIDIdiv = decode.MustOp("idiv")
)
