package interp

// Saving and restoring x87, SSE and AVX state: FXSAVE, FXRSTOR and the XSAVE
// family (SDM volume 1, 10.5 and chapter 13).

import (
	"hotblock/x86"
	"hotblock/x86/decode"
)

func init() {
	on("fxsave", opFxsave).feat = "fxsr"
	on("fxrstor", opFxrstor).feat = "fxsr"
	on("xsave", opXsave).feat = "xsave"
	on("xsaveopt", opXsave).feat = "xsaveopt"
	on("xsavec", opXsave).feat = "xsavec"
	on("xsaves", opXsave).feat = "xsaves"
	on("xrstor", opXrstor).feat = "xsave"
	on("xrstors", opXrstor).feat = "xsaves"
	on("ldmxcsr", opLdmxcsr).feat = "sse"
	on("stmxcsr", opStmxcsr).feat = "sse"
}

// State components, as bits of XCR0.
const (
	xX87 = 1 << 0
	xSSE = 1 << 1
	xAVX = 1 << 2

	xsaveHeader = 512
	xsaveAVX    = 576 // both in the standard and, with only AVX beyond it, the compacted form

	mxcsrMask = 0xffff // every bit is implemented, DAZ too
)

// needFXSR raises what the FXSAVE group does when the state may not be touched.
func (c *CPU) needFXSR(o *Op) {
	if c.CR0&x86.CR0EM != 0 {
		c.raise(o, x86.ExcUD, 0)
	}
	if c.CR0&x86.CR0TS != 0 {
		c.raise(o, x86.ExcNM, 0)
	}
}

// area is the linear address of a save area of size bytes that must be aligned.
func (c *CPU) area(o *Op, size uint, align uint64, write bool) uint64 {
	va := c.lin(o, size, write)
	if va&(align-1) != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	return va
}

// saveX87 writes bytes 0-23 and 32-159 of the legacy region. wide selects 64-bit
// pointers (REX.W).
func (c *CPU) saveX87(o *Op, va uint64, wide bool) {
	c.st16(o, va, uint64(c.FCW))
	c.st16(o, va+2, uint64(c.FSW))
	c.st16(o, va+4, uint64(c.FTW))
	c.st16(o, va+6, uint64(c.FOP))
	if wide {
		c.st64(o, va+8, c.FIP)
		c.st64(o, va+16, c.FDP)
	} else {
		c.st64(o, va+8, c.FIP&0xffffffff|uint64(c.FCS)<<32)
		c.st64(o, va+16, c.FDP&0xffffffff|uint64(c.FDS)<<32)
	}
	for i := range 8 {
		r := (int(c.FSW>>11) + i) & 7
		c.st64(o, va+32+16*uint64(i), c.FPFrac[r])
		c.st64(o, va+40+16*uint64(i), uint64(c.FPExp[r]))
	}
}

func (c *CPU) restoreX87(o *Op, va uint64, wide bool) {
	c.FCW = uint16(c.ld16(o, va))&^0xe0c0 | 0x40
	c.FSW = uint16(c.ld16(o, va+2))
	c.FTW = uint8(c.ld8(o, va+4))
	c.FOP = uint16(c.ld16(o, va+6)) & 0x7ff
	ip, dp := c.ld64(o, va+8), c.ld64(o, va+16)
	if wide {
		c.FIP, c.FDP, c.FCS, c.FDS = ip, dp, 0, 0
	} else {
		c.FIP, c.FCS = ip&0xffffffff, uint16(ip>>32)
		c.FDP, c.FDS = dp&0xffffffff, uint16(dp>>32)
	}
	for i := range 8 {
		r := (int(c.FSW>>11) + i) & 7
		c.FPFrac[r] = c.ld64(o, va+32+16*uint64(i))
		c.FPExp[r] = uint16(c.ld16(o, va+40+16*uint64(i)))
	}
	c.x87StatusLoaded()
}

func (c *CPU) initX87() {
	c.FCW, c.FSW, c.FTW, c.FOP = 0x37f, 0, 0, 0
	c.FIP, c.FDP, c.FCS, c.FDS = 0, 0, 0, 0
}

// x87StatusLoaded sets the summary bits of a status word that came from memory.
func (c *CPU) x87StatusLoaded() {
	c.FSW &^= 0x8080
	if c.FSW&^c.FCW&0x3f != 0 {
		c.FSW |= 0x8080
	}
}

// xmmCount is the number of XMM registers that code can see.
func (c *CPU) xmmCount() uint64 {
	if c.long {
		return 16
	}
	return 8
}

func (c *CPU) saveXMM(o *Op, va uint64) {
	for i := range c.xmmCount() {
		c.st64(o, va+160+16*i, c.V[i][0])
		c.st64(o, va+168+16*i, c.V[i][1])
	}
}

func (c *CPU) restoreXMM(o *Op, va uint64) {
	for i := range c.xmmCount() {
		c.V[i][0] = c.ld64(o, va+160+16*i)
		c.V[i][1] = c.ld64(o, va+168+16*i)
	}
}

func opFxsave(c *CPU, o *Op) *Op {
	c.needFXSR(o)
	va := c.area(o, 512, 16, true)
	c.probeWrite(o, va, 512)
	c.saveX87(o, va, o.x.RexW)
	c.st32(o, va+24, uint64(c.MXCSR))
	c.st32(o, va+28, mxcsrMask)
	if c.CR4&x86.CR4OSFXSR != 0 {
		c.saveXMM(o, va)
	}
	return o.next
}

func opFxrstor(c *CPU, o *Op) *Op {
	c.needFXSR(o)
	va := c.area(o, 512, 16, false)
	c.probeRead(o, va, 512)
	mxcsr := uint32(c.ld32(o, va+24))
	if mxcsr&^mxcsrMask != 0 && c.CR4&x86.CR4OSFXSR != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	c.restoreX87(o, va, o.x.RexW)
	if c.CR4&x86.CR4OSFXSR != 0 {
		c.MXCSR = mxcsr
		c.restoreXMM(o, va)
	}
	return o.next
}

// needXSAVE raises what the XSAVE group does when it may not run.
func (c *CPU) needXSAVE(o *Op) {
	if c.CR4&x86.CR4OSXSAVE == 0 {
		c.raise(o, x86.ExcUD, 0)
	}
	if c.CR0&x86.CR0TS != 0 {
		c.raise(o, x86.ExcNM, 0)
	}
}

// xinuse is the set of components that are not in their initial state (SDM
// volume 1, 13.6).
func (c *CPU) xinuse() uint64 {
	var in uint64
	if c.FCW != 0x37f || c.FSW != 0 || c.FTW != 0 || c.FOP != 0 || c.FIP != 0 || c.FDP != 0 || c.FCS != 0 || c.FDS != 0 ||
		c.FPFrac != [8]uint64{} || c.FPExp != [8]uint16{} {
		in |= xX87
	}
	for i := range c.xmmCount() {
		v := &c.V[i]
		if v[0]|v[1] != 0 {
			in |= xSSE
		}
		if v[2]|v[3] != 0 {
			in |= xAVX
		}
	}
	return in
}

var (
	opIDXsaveopt = decode.MustOp("xsaveopt")
	opIDXsavec   = decode.MustOp("xsavec")
	opIDXsaves   = decode.MustOp("xsaves")
	opIDXrstors  = decode.MustOp("xrstors")
)

// opXsave is XSAVE, XSAVEOPT, XSAVEC and XSAVES. XSAVEOPT applies only the init
// optimization.
func opXsave(c *CPU, o *Op) *Op {
	c.needXSAVE(o)
	compact := o.x.Op == opIDXsavec || o.x.Op == opIDXsaves
	if o.x.Op == opIDXsaves {
		c.needCPL0(o)
	}
	rfbm := (c.R[x86.RDX]<<32 | c.R[x86.RAX]&0xffffffff) & c.XCR0
	size := uint(576)
	if rfbm&xAVX != 0 {
		size = 832
	}
	va := c.area(o, size, 64, true)
	inuse := c.xinuse()
	put := rfbm
	if compact || o.x.Op == opIDXsaveopt {
		put &= inuse
	}
	if compact && rfbm&xSSE != 0 && c.MXCSR != 0x1f80 {
		put |= xSSE
		inuse |= xSSE
	}
	c.probeWrite(o, va, size)
	if put&xX87 != 0 {
		c.saveX87(o, va, o.x.RexW)
	}
	if put&xSSE != 0 {
		c.saveXMM(o, va)
	}
	if rfbm&(xSSE|xAVX) != 0 && (!compact || put&xSSE != 0) {
		c.st32(o, va+24, uint64(c.MXCSR))
		c.st32(o, va+28, mxcsrMask)
	}
	if put&xAVX != 0 {
		for i := range c.xmmCount() {
			c.st64(o, va+xsaveAVX+16*i, c.V[i][2])
			c.st64(o, va+xsaveAVX+8+16*i, c.V[i][3])
		}
	}
	if compact {
		c.st64(o, va+xsaveHeader, rfbm&inuse)
		c.st64(o, va+xsaveHeader+8, rfbm|1<<63)
	} else {
		bv := c.ld64(o, va+xsaveHeader)
		c.st64(o, va+xsaveHeader, bv&^rfbm|inuse&rfbm)
	}
	return o.next
}

// opXrstor is XRSTOR and XRSTORS.
func opXrstor(c *CPU, o *Op) *Op {
	c.needXSAVE(o)
	if o.x.Op == opIDXrstors {
		c.needCPL0(o)
	}
	rfbm := (c.R[x86.RDX]<<32 | c.R[x86.RAX]&0xffffffff) & c.XCR0
	va := c.area(o, 576, 64, false)
	bv, comp := c.ld64(o, va+xsaveHeader), c.ld64(o, va+xsaveHeader+8)
	compact := comp>>63 != 0
	rest := c.ld64(o, va+xsaveHeader+16)
	var tail uint64
	for i := uint64(24); i < 64; i += 8 {
		tail |= c.ld64(o, va+xsaveHeader+i)
	}
	switch {
	case bv&^c.XCR0 != 0,
		!compact && (comp|rest != 0 || o.x.Op == opIDXrstors),
		compact && (!c.Model.Has("xsavec") && !c.Model.Has("xsaves") || comp&^(1<<63)&^c.XCR0 != 0 || bv&^comp != 0 || rest|tail != 0):
		c.raise(o, x86.ExcGP, 0)
	}
	size := uint(576)
	if rfbm&bv&xAVX != 0 {
		size = 832
	}
	c.probeRead(o, va, size)
	loadMXCSR := rfbm&(xSSE|xAVX) != 0
	if compact {
		loadMXCSR = rfbm&bv&xSSE != 0
	}
	mxcsr := uint32(c.ld32(o, va+24))
	if loadMXCSR && mxcsr&^mxcsrMask != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	if rfbm&xX87 != 0 {
		if bv&xX87 != 0 {
			c.restoreX87(o, va, o.x.RexW)
		} else {
			c.initX87()
			c.FPFrac, c.FPExp = [8]uint64{}, [8]uint16{}
		}
	}
	if rfbm&xSSE != 0 {
		if bv&xSSE != 0 {
			c.restoreXMM(o, va)
		} else {
			for i := range c.xmmCount() {
				c.V[i][0], c.V[i][1] = 0, 0
			}
		}
	}
	if loadMXCSR {
		c.MXCSR = mxcsr
	} else if compact && rfbm&xSSE != 0 {
		c.MXCSR = 0x1f80
	}
	if rfbm&xAVX != 0 {
		for i := range c.xmmCount() {
			if bv&xAVX != 0 {
				c.V[i][2] = c.ld64(o, va+xsaveAVX+16*i)
				c.V[i][3] = c.ld64(o, va+xsaveAVX+8+16*i)
			} else {
				c.V[i][2], c.V[i][3] = 0, 0
			}
		}
	}
	return o.next
}

// needSSE raises what an SSE instruction does when SSE is not enabled (SDM
// volume 3, table 13-1).
func (c *CPU) needSSE(o *Op) {
	if c.CR0&x86.CR0EM != 0 || c.CR4&x86.CR4OSFXSR == 0 {
		c.raise(o, x86.ExcUD, 0)
	}
	if c.CR0&x86.CR0TS != 0 {
		c.raise(o, x86.ExcNM, 0)
	}
}

func opLdmxcsr(c *CPU, o *Op) *Op {
	c.needSSE(o)
	v := uint32(c.arg(o, 0))
	if v&^mxcsrMask != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	c.MXCSR = v
	return o.next
}

func opStmxcsr(c *CPU, o *Op) *Op {
	c.needSSE(o)
	c.setArg(o, 0, uint64(c.MXCSR))
	return o.next
}
