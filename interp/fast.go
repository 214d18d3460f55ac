package interp

import "hotblock/x86/decode"

func fast(o *Op, x *decode.Inst) opFunc { return nil }
func fuse(blk []Op)                     {}
