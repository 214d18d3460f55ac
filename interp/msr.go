package interp

// Model-specific registers (SDM volume 4).

import "hotblock/x86"

func opRdmsr(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	n := uint32(c.R[x86.RCX])
	v, ok := c.readMSR(n)
	if !ok {
		c.Log.guestError("RDMSR of %#x", n)
		c.raise(o, x86.ExcGP, 0)
	}
	c.R[x86.RAX], c.R[x86.RDX] = v&0xffffffff, v>>32
	return o.next
}

func opWrmsr(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	n := uint32(c.R[x86.RCX])
	v := c.R[x86.RDX]<<32 | c.R[x86.RAX]&0xffffffff
	if !c.writeMSR(n, v) {
		c.Log.guestError("WRMSR of %#x with %#x", n, v)
		c.raise(o, x86.ExcGP, 0)
	}
	return c.resyncAfter(o)
}

func (c *CPU) readMSR(n uint32) (uint64, bool) {
	switch {
	case n == x86.MSRAPICBase, n == x86.MSRTSCDeadline, n >= x86.MSRX2APIC && n < x86.MSRX2APIC+0x100:
		if c.Int == nil {
			return 0, false
		}
		return c.Int.ReadMSR(n)
	case n >= x86.MSRMTRRVar && n < x86.MSRMTRRVar+16:
		return c.MTRRVar[n-x86.MSRMTRRVar], true
	case n >= x86.MSRMTRRFix4K && n < x86.MSRMTRRFix4K+8:
		return c.MTRRFix[3+n-x86.MSRMTRRFix4K], true
	case n >= 0x400 && n < 0x400+4*mcBanks:
		return 0, true // no machine check is ever logged
	}
	switch n {
	case x86.MSRTSC:
		return c.tsc(), true
	case x86.MSRPlatformID, x86.MSRPredCmd, 0xc0010015, 0x34, 0xce, 0x140, 0x198, 0x1a2, 0x1b1, 0x19c, 0x1b0, 0x606, 0x611, 0x619, 0x639, 0x641:
		return 0, n != 0xc0010015 && n != x86.MSRPredCmd
	case x86.MSRFeatureControl:
		return 1, true // locked, nothing enabled
	case x86.MSRTSCAdjust:
		return c.TSCAdjust, c.Model.Has("tsc_adjust")
	case x86.MSRSpecCtrl:
		return c.SpecCtrl, c.Model.Has("spec-ctrl")
	case x86.MSRBiosSignID:
		return uint64(microcode) << 32, true
	case x86.MSRMTRRCap:
		return 0x508, true // 8 variable ranges, fixed ranges, write combining
	case x86.MSRArchCap:
		return x86.ArchCapabilities, c.Model.Has("arch-capabilities")
	case x86.MSRSysenterCS:
		return c.SysenterCS, true
	case x86.MSRSysenterESP:
		return c.SysenterESP, true
	case x86.MSRSysenterEIP:
		return c.SysenterEIP, true
	case x86.MSRMCGCap:
		return mcBanks, true
	case x86.MSRMCGStatus:
		return c.MCGStatus, true
	case x86.MSRMiscEnable:
		return c.MiscEnable, true
	case x86.MSRDebugCtl:
		return c.DebugCtl, true
	case x86.MSRMTRRFix64K:
		return c.MTRRFix[0], true
	case x86.MSRMTRRFix16K8:
		return c.MTRRFix[1], true
	case x86.MSRMTRRFix16KA:
		return c.MTRRFix[2], true
	case x86.MSRPAT:
		return c.PAT, true
	case x86.MSRMTRRDefType:
		return c.MTRRDefType, true
	case x86.MSRXSS:
		return c.XSS, c.Model.Has("xsaves")
	case x86.MSREFER:
		return c.EFER, true
	case x86.MSRSTAR:
		return c.STAR, true
	case x86.MSRLSTAR:
		return c.LSTAR, true
	case x86.MSRCSTAR:
		return c.CSTAR, true
	case x86.MSRFMASK:
		return c.FMASK, true
	case x86.MSRFSBase:
		return c.Seg[x86.FS].Base, true
	case x86.MSRGSBase:
		return c.Seg[x86.GS].Base, true
	case x86.MSRKernelGSBase:
		return c.KernelGSBase, true
	case x86.MSRTSCAux:
		return c.TSCAux, c.Model.Has("rdtscp")
	}
	return 0, false
}

const (
	mcBanks   = 10
	microcode = 0x2b000603
)

func validPATByte(b uint64) bool { return b <= 7 && b != 2 && b != 3 }

// validMTRRType reports whether t is a memory type (SDM volume 3, table 12-8).
func validMTRRType(t uint64) bool { return t <= 6 && t != 2 && t != 3 }

// setMTRRFix writes a fixed-range register; it has a memory type in each byte.
func (c *CPU) setMTRRFix(i uint32, v uint64) bool {
	for b := v; b != 0; b >>= 8 {
		if !validMTRRType(b & 0xff) {
			return false
		}
	}
	c.MTRRFix[i] = v
	return true
}

func (c *CPU) writeMSR(n uint32, v uint64) bool {
	switch {
	case n == x86.MSRAPICBase, n == x86.MSRTSCDeadline, n >= x86.MSRX2APIC && n < x86.MSRX2APIC+0x100:
		if c.Int == nil || !c.Int.WriteMSR(n, v) {
			return false
		}
		if n == x86.MSRAPICBase {
			c.APICBaseChanged(v)
		}
		c.recheck = true
		return true
	case n >= x86.MSRMTRRVar && n < x86.MSRMTRRVar+16:
		reserved := uint64(0x7ff) // of a mask
		if n&1 == 0 {
			reserved = 0xf00
			if !validMTRRType(v & 0xff) {
				return false
			}
		}
		if v&reserved != 0 || v>>x86.PhysBits != 0 {
			return false
		}
		c.MTRRVar[n-x86.MSRMTRRVar] = v
		return true
	case n >= x86.MSRMTRRFix4K && n < x86.MSRMTRRFix4K+8:
		return c.setMTRRFix(3+n-x86.MSRMTRRFix4K, v)
	case n >= 0x400 && n < 0x400+4*mcBanks:
		return n&3 == 0 || v == 0
	}
	switch n {
	case x86.MSRTSC:
		d := v - c.tsc()
		c.TSCOffset += d
		c.TSCAdjust += d
		c.tscChanged()
	case x86.MSRTSCAdjust:
		if !c.Model.Has("tsc_adjust") {
			return false
		}
		c.TSCOffset += v - c.TSCAdjust
		c.TSCAdjust = v
		c.tscChanged()
	case x86.MSRSpecCtrl:
		if v&^7 != 0 || !c.Model.Has("spec-ctrl") {
			return false
		}
		c.SpecCtrl = v
	case x86.MSRPredCmd:
		return v&^1 == 0 && c.Model.Has("spec-ctrl")
	case x86.MSRFlushCmd:
		return false
	case x86.MSRBiosSignID, x86.MSRBiosUpdTrig, 0x140, 0x1a2, 0x1b0, 0x19c:
	case x86.MSRSysenterCS:
		c.SysenterCS = v & 0xffff
	case x86.MSRSysenterESP:
		if !canonical(v) {
			return false
		}
		c.SysenterESP = v
	case x86.MSRSysenterEIP:
		if !canonical(v) {
			return false
		}
		c.SysenterEIP = v
	case x86.MSRMCGStatus:
		if v&^7 != 0 {
			return false
		}
		c.MCGStatus = v
	case x86.MSRMiscEnable:
		const readOnly = x86.MiscBTSUnavail | x86.MiscPEBSUnavail
		if v&^(x86.MiscFastStrings|readOnly) != 0 {
			return false
		}
		c.MiscEnable = v | readOnly
	case x86.MSRDebugCtl:
		// Bits can be set, but there are no branch records, and single-stepping
		// is by instruction.
		if v&^3 != 0 {
			return false
		}
		c.DebugCtl = v
	case x86.MSRMTRRFix64K:
		return c.setMTRRFix(0, v)
	case x86.MSRMTRRFix16K8:
		return c.setMTRRFix(1, v)
	case x86.MSRMTRRFix16KA:
		return c.setMTRRFix(2, v)
	case x86.MSRPAT:
		for i := range 8 {
			if !validPATByte(v >> (8 * i) & 0xff) {
				return false
			}
		}
		c.PAT = v
	case x86.MSRMTRRDefType:
		if v&^0xcff != 0 || !validMTRRType(v&0xff) {
			return false
		}
		c.MTRRDefType = v
	case x86.MSRXSS:
		if !c.Model.Has("xsaves") || v != 0 {
			return false
		}
	case x86.MSREFER:
		mask := uint64(0)
		for f, b := range map[string]uint64{"syscall": x86.EFERSCE, "lm": x86.EFERLME, "nx": x86.EFERNXE} {
			if c.Model.Has(f) {
				mask |= b
			}
		}
		if v&^(mask|x86.EFERLMA) != 0 || (c.EFER^v)&x86.EFERLME != 0 && c.CR0&x86.CR0PG != 0 {
			return false
		}
		old := c.EFER
		c.EFER = v&mask | c.EFER&x86.EFERLMA
		c.codeDependsOn((old ^ c.EFER) & x86.EFERSCE)
		if (old^c.EFER)&x86.EFERNXE != 0 {
			c.flushTLB(true)
		}
		c.updatePaging()
	case x86.MSRSTAR:
		c.STAR = v
	case x86.MSRLSTAR:
		if !canonical(v) {
			return false
		}
		c.LSTAR = v
	case x86.MSRCSTAR:
		if !canonical(v) {
			return false
		}
		c.CSTAR = v
	case x86.MSRFMASK:
		c.FMASK = v & 0xffffffff
	case x86.MSRFSBase, x86.MSRGSBase:
		if !canonical(v) {
			return false
		}
		c.setSegBase(x86.FS+uint8(n-x86.MSRFSBase), v)
	case x86.MSRKernelGSBase:
		if !canonical(v) {
			return false
		}
		c.KernelGSBase = v
	case x86.MSRTSCAux:
		if !c.Model.Has("rdtscp") || v>>32 != 0 {
			return false
		}
		c.TSCAux = v
	default:
		return false
	}
	return true
}

// APICBaseChanged tells the CPU where its local APIC's registers are, from
// IA32_APIC_BASE.
func (c *CPU) APICBaseChanged(v uint64) {
	c.apicHi = v >> 12 & (1<<(x86.PhysBits-12) - 1)
	c.flushTLB(true)
}

func (c *CPU) tscChanged() {
	if c.OnTSCChange != nil {
		c.OnTSCChange()
	}
}
