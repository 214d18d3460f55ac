package interp

// System instructions: control registers, I/O, fast system calls, time, cache and
// TLB control, CPUID, the XSAVE control register.

import (
	"crypto/rand"
	"encoding/binary"

	"hotblock/x86"
	"hotblock/x86/decode"
)

func init() {
	on("in", opIn)
	on("out", opOut)
	on("cli", opCli)
	on("sti", opSti)
	end("hlt", opHlt)
	end("syscall", opSyscall)
	end("sysret", opSysret)
	end("sysenter", opSysenter)
	end("sysexit", opSysexit)
	on("swapgs", opSwapgs)
	on("rdfsbase", opRdBase).feat = "fsgsbase"
	on("rdgsbase", opRdBase).feat = "fsgsbase"
	on("wrfsbase", opWrBase).feat = "fsgsbase"
	on("wrgsbase", opWrBase).feat = "fsgsbase"
	on("clac", opClac).feat = "smap"
	on("stac", opClac).feat = "smap"
	on("clts", opClts)
	end("lmsw", opLmsw)
	on("smsw", opSmsw)
	end("invlpg", opInvlpg)
	end("invpcid", opInvpcid)
	for op, feature := range map[string]string{"invpcid": "invpcid", "syscall": "syscall", "sysret": "syscall",
		"sysenter": "sep", "sysexit": "sep", "xsetbv": "xsave"} {
		handlers[decode.MustOp(op)].feat = feature
	}
	on("invd", opInvd)
	on("wbinvd", opInvd)
	on("wbnoinvd", opInvd)
	on("cpuid", opCpuid)
	on("rdtsc", opRdtsc)
	on("rdtscp", opRdtsc).feat = "rdtscp"
	on("rdpid", opRdpid).feat = "rdpid"
	on("rdpmc", opRdpmc)
	on("rdmsr", opRdmsr)
	end("wrmsr", opWrmsr)
	on("xgetbv", opXgetbv).feat = "xsave"
	end("xsetbv", opXsetbv)
	on("rdrand", opRdrand).feat = "rdrand"
	on("rdseed", opRdrand).feat = "rdseed"
	for _, n := range []string{"vmcall", "vmmcall", "monitor", "mwait", "rdpkru", "wrpkru", "rsm"} {
		end(n, opUD) // no CPU model has them
	}
}

// Control registers (SDM volume 3, 2.5).

const cr0Bits = x86.CR0PE | x86.CR0MP | x86.CR0EM | x86.CR0TS | x86.CR0ET | x86.CR0NE | x86.CR0WP | x86.CR0AM | x86.CR0NW | x86.CR0CD | x86.CR0PG

// cr4Features are the bits of CR4 that come with a feature of CPUID.
var cr4Features = []struct {
	feature string
	bits    uint64
}{
	{"vme", x86.CR4VME | x86.CR4PVI}, {"tsc", x86.CR4TSD}, {"de", x86.CR4DE}, {"pse", x86.CR4PSE}, {"pae", x86.CR4PAE},
	{"mce", x86.CR4MCE}, {"pge", x86.CR4PGE}, {"fxsr", x86.CR4OSFXSR}, {"sse", x86.CR4OSXMMEXCPT}, {"umip", x86.CR4UMIP},
	{"fsgsbase", x86.CR4FSGSBASE}, {"pcid", x86.CR4PCIDE}, {"xsave", x86.CR4OSXSAVE}, {"smep", x86.CR4SMEP}, {"smap", x86.CR4SMAP},
}

// cr4Mask is the set of CR4 bits that the CPU model has.
func (c *CPU) cr4Mask() uint64 {
	m := uint64(x86.CR4PCE)
	for _, f := range cr4Features {
		if c.Model.Has(f.feature) {
			m |= f.bits
		}
	}
	return m
}

func (c *CPU) movFromCR(o *Op) *Op {
	c.needCPL0(o)
	var v uint64
	switch o.x.Args[1].Reg {
	case 0:
		v = c.CR0
	case 2:
		v = c.CR2
	case 3:
		v = c.CR3
	case 4:
		v = c.CR4
	case 8:
		if c.Int != nil {
			v = uint64(c.Int.TPR())
		}
	}
	c.setArg(o, 0, v)
	return o.next
}

func (c *CPU) movToCR(o *Op) *Op {
	c.needCPL0(o)
	v := c.arg(o, 1)
	switch o.x.Args[0].Reg {
	case 0:
		c.setCR0(o, v)
	case 2:
		c.CR2 = v
	case 3:
		c.moveCR3(o, v)
	case 4:
		c.setCR4(o, v)
	case 8:
		if v>>4 != 0 {
			c.raise(o, x86.ExcGP, 0)
		}
		if c.Int != nil {
			c.Int.SetTPR(uint8(v))
			c.recheck = true
		}
	}
	return c.resyncAfter(o)
}

// setCR0 does the checks and effects of a write to CR0.
func (c *CPU) setCR0(o *Op, v uint64) {
	if v>>32 != 0 || v&x86.CR0PG != 0 && v&x86.CR0PE == 0 || v&x86.CR0NW != 0 && v&x86.CR0CD == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	v = v&cr0Bits | x86.CR0ET
	old := c.CR0
	efer := c.EFER
	if d := old ^ v; d&x86.CR0PG != 0 {
		if v&x86.CR0PG != 0 {
			if efer&x86.EFERLME != 0 {
				if c.CR4&x86.CR4PAE == 0 || c.Seg[x86.CS].Attr&x86.SegL != 0 || c.TR.Attr&8 == 0 && c.TR.Sel&^3 != 0 {
					c.raise(o, x86.ExcGP, 0)
				}
				efer |= x86.EFERLMA
			}
		} else {
			if c.long || c.CR4&x86.CR4PCIDE != 0 {
				c.raise(o, x86.ExcGP, 0)
			}
			efer &^= x86.EFERLMA
		}
	}
	if v&x86.CR0PG != 0 && c.CR4&x86.CR4PAE != 0 && efer&x86.EFERLMA == 0 && (old^v)&(x86.CR0PG|x86.CR0CD|x86.CR0NW) != 0 {
		p, ok := c.Mem.LoadPDPTEs(c.CR3, x86.PhysBits)
		if !ok {
			c.raise(o, x86.ExcGP, 0)
		}
		c.paging.PDPTE = p
	}
	c.CR0, c.EFER = v, efer
	if (old^v)&(x86.CR0PG|x86.CR0WP|x86.CR0PE) != 0 {
		c.flushTLB(true)
	}
	if old&x86.CR0PE != 0 && v&x86.CR0PE == 0 {
		c.setCPL(0)
	}
	c.updateMode()
	c.updatePaging()
}

func (c *CPU) setCR4(o *Op, v uint64) {
	if v&^c.cr4Mask() != 0 || c.lma() && v&x86.CR4PAE == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	d := c.CR4 ^ v
	if d&v&x86.CR4PCIDE != 0 && (!c.lma() || c.CR3&0xfff != 0) {
		c.raise(o, x86.ExcGP, 0)
	}
	if c.CR0&x86.CR0PG != 0 && !c.lma() && v&x86.CR4PAE != 0 && d&(x86.CR4PAE|x86.CR4PGE|x86.CR4PSE|x86.CR4SMEP) != 0 {
		p, ok := c.Mem.LoadPDPTEs(c.CR3, x86.PhysBits)
		if !ok {
			c.raise(o, x86.ExcGP, 0)
		}
		c.paging.PDPTE = p
	}
	c.CR4 = v
	c.codeDependsOn(d & (x86.CR4FSGSBASE | x86.CR4OSXSAVE | x86.CR4SMAP))
	c.updateVec()
	if d&(x86.CR4PSE|x86.CR4PAE|x86.CR4PGE|x86.CR4PCIDE|x86.CR4SMEP|x86.CR4SMAP) != 0 {
		c.flushTLB(true)
	}
	c.updatePaging()
}

// moveCR3 is MOV to CR3, in which bit 63 asks to keep the PCID's translations.
func (c *CPU) moveCR3(o *Op, v uint64) {
	keep := false
	if c.CR4&x86.CR4PCIDE != 0 {
		keep = v>>63 != 0
		v &^= 1 << 63
	}
	if c.lma() && v>>x86.PhysBits != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	if c.CR4&x86.CR4PCIDE != 0 {
		old := c.pcid()
		c.CR3, c.paging.CR3 = v, v
		c.switchSpace(old, c.pcid(), keep)
		return
	}
	c.setCR3(o, v)
}

// setCR3 loads CR3 and flushes what is not global.
func (c *CPU) setCR3(o *Op, v uint64) {
	if c.CR0&x86.CR0PG != 0 && c.CR4&x86.CR4PAE != 0 && !c.lma() {
		p, ok := c.Mem.LoadPDPTEs(v, x86.PhysBits)
		if !ok {
			c.raise(o, x86.ExcGP, 0)
		}
		c.paging.PDPTE = p
	}
	c.CR3 = v
	c.paging.CR3 = v
	c.flushTLB(false)
}

func opClts(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	c.CR0 &^= x86.CR0TS
	c.updateVec()
	return o.next
}

func opLmsw(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	v := c.arg(o, 0)
	// PE can be set but not cleared.
	c.setCR0(o, c.CR0&^0xe|v&0xf)
	return c.resyncAfter(o)
}

func opSmsw(c *CPU, o *Op) *Op {
	c.checkUMIP(o)
	c.setArg(o, 0, c.CR0)
	return o.next
}

// I/O (SDM volume 1, chapter 19).

// checkIO raises #GP(0) where the I/O permission bit map of the TSS does not
// allow an access that IOPL does not.
func (c *CPU) checkIO(o *Op, port uint16, size uint8) {
	c.checkIOBreakpoint(port, size)
	if c.CR0&x86.CR0PE == 0 || !c.v86() && c.CPL <= c.iopl() {
		return
	}
	tr := &c.TR
	if tr.Attr&x86.SegP == 0 || tr.Attr&8 == 0 || tr.Limit < 103 {
		c.raise(o, x86.ExcGP, 0)
	}
	at := c.sysLoad(o, tr.Base+102, 2) + uint64(port/8)
	if at+1 > uint64(tr.Limit) {
		c.raise(o, x86.ExcGP, 0)
	}
	bits := c.sysLoad(o, tr.Base+at, 2) >> (port & 7)
	if bits&(1<<size-1) != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
}

func opIn(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	port := uint16(c.arg(o, 1))
	c.checkIO(o, port, size)
	c.setReg(x86.RAX, size, uint64(c.Ports.In(port, int(size))))
	return o.next
}

func opOut(c *CPU, o *Op) *Op {
	size := o.x.Args[1].Size
	port := uint16(c.arg(o, 0))
	c.checkIO(o, port, size)
	c.Ports.Out(port, int(size), uint32(c.reg(x86.RAX, size)))
	return c.afterIO(o)
}

// afterIO goes on behind an instruction that reached a device, which may have
// changed memory, the code that follows included.
func (c *CPU) afterIO(o *Op) *Op {
	if c.pending.Load() != 0 {
		return c.resyncAfter(o)
	}
	return o.next
}

// pvi reports whether CLI and STI act on VIF (SDM volume 3, 21.3 and 21.4).
func (c *CPU) pvi() bool {
	if c.v86() {
		return c.CR4&x86.CR4VME != 0
	}
	return c.CR4&x86.CR4PVI != 0 && c.CPL == 3 && c.CR0&x86.CR0PE != 0
}

func opCli(c *CPU, o *Op) *Op {
	if c.CR0&x86.CR0PE != 0 && c.CPL > c.iopl() {
		if !c.pvi() {
			c.raise(o, x86.ExcGP, 0)
		}
		c.Flags &^= x86.FlagVIF
		return o.next
	}
	c.Flags &^= x86.FlagIF
	return o.next
}

func opSti(c *CPU, o *Op) *Op {
	if c.CR0&x86.CR0PE != 0 && c.CPL > c.iopl() {
		if !c.pvi() || c.Flags&x86.FlagVIP != 0 {
			c.raise(o, x86.ExcGP, 0)
		}
		c.Flags |= x86.FlagVIF
		return o.next
	}
	if c.Flags&x86.FlagIF == 0 {
		c.Flags |= x86.FlagIF
		// Requests are looked at where blocks begin. With none yet, and the next
		// instruction in the same block, that one runs before any is seen.
		n := o.next
		if c.stepping || n.len == 0 || c.pending.Load() != 0 || c.Int != nil && c.Int.HasInterrupt() {
			c.Shadow = true
			return c.resyncAfter(o)
		}
	}
	return o.next
}

func opHlt(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	c.Halted = true
	c.recheck = true
	return c.resyncAfter(o)
}

// Fast system calls (SDM volume 3, 5.8.7 and 5.8.8).

// flatSeg is a flat segment as SYSCALL and SYSENTER set it up.
func flatSeg(sel, attr uint16) x86.Segment {
	return x86.Segment{Sel: sel, Limit: 0xffffffff, Attr: attr}
}

const (
	attrCode64 = x86.SegP | x86.SegS | x86.SegCode | x86.SegWritable | x86.SegAccessed | x86.SegL | x86.SegG
	attrCode32 = x86.SegP | x86.SegS | x86.SegCode | x86.SegWritable | x86.SegAccessed | x86.SegD | x86.SegG
	attrData   = x86.SegP | x86.SegS | x86.SegWritable | x86.SegAccessed | x86.SegD | x86.SegG
	dpl3       = 3 << 5
)

func opSyscall(c *CPU, o *Op) *Op {
	// On Intel, whose vendor name the models carry, SYSCALL is for 64-bit code.
	if !c.long || c.EFER&x86.EFERSCE == 0 {
		return opUndefined(c, o)
	}
	c.R[x86.RCX] = c.nextIP(o)
	c.R[x86.R11] = c.RFLAGS() &^ x86.FlagRF
	f := c.RFLAGS() &^ (c.FMASK | x86.FlagRF)
	sel := uint16(c.STAR>>32) &^ 3
	c.loadCS(flatSeg(sel, attrCode64), 0)
	c.setSeg(x86.SS, flatSeg(sel+8, attrData))
	c.setFlags(f)
	old := c.Flags
	c.Flags = f &^ (x86.FlagsArith | x86.Flag1)
	c.flagsChanged(old)
	return c.goTo2(c.LSTAR)
}

func opSysret(c *CPU, o *Op) *Op {
	if !c.long || c.EFER&x86.EFERSCE == 0 {
		return opUndefined(c, o)
	}
	c.needCPL0(o)
	sel := uint16(c.STAR>>48) | 3
	ip := c.R[x86.RCX]
	var cs x86.Segment
	if o.size == 8 {
		if !canonical(ip) {
			c.raise(o, x86.ExcGP, 0)
		}
		cs = flatSeg(sel+16, attrCode64|dpl3)
	} else {
		ip &= 0xffffffff
		cs = flatSeg(sel, attrCode32|dpl3)
	}
	f := c.R[x86.R11]&0x3c7fd7 | x86.Flag1
	c.setFlags(f)
	old := c.Flags
	c.Flags = f &^ (x86.FlagsArith | x86.Flag1)
	c.loadCS(cs, 3)
	c.setSeg(x86.SS, flatSeg(sel+8, attrData|dpl3))
	c.flagsChanged(old)
	if c.Flags&x86.FlagTF != 0 && !c.stepping {
		c.dbTrap |= 1 << 14 // as if the SYSCALL had just ended
	}
	return c.goTo2(ip)
}

func opSysenter(c *CPU, o *Op) *Op {
	if c.CR0&x86.CR0PE == 0 || c.SysenterCS&^3&0xffff == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	sel := uint16(c.SysenterCS) &^ 3
	old := c.Flags
	c.Flags &^= x86.FlagVM | x86.FlagIF | x86.FlagRF
	attr := uint16(attrCode32)
	if c.lma() {
		attr = attrCode64
	}
	sp, ip := c.SysenterESP, c.SysenterEIP
	if !c.lma() {
		sp, ip = sp&0xffffffff, ip&0xffffffff
	}
	c.loadCS(flatSeg(sel, attr), 0)
	c.updatePrivilege()
	c.setSeg(x86.SS, flatSeg(sel+8, attrData))
	c.R[x86.RSP] = sp
	c.flagsChanged(old)
	c.RIP = ip
	return nil
}

func opSysexit(c *CPU, o *Op) *Op {
	if c.CR0&x86.CR0PE == 0 || c.CPL != 0 || c.SysenterCS&^3&0xffff == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	base := uint16(c.SysenterCS) &^ 3
	ip, sp := c.R[x86.RDX], c.R[x86.RCX]
	if o.size == 8 {
		if !canonical(ip) || !canonical(sp) {
			c.raise(o, x86.ExcGP, 0)
		}
		c.loadCS(flatSeg((base+32)|3, attrCode64|dpl3), 3)
		c.setSeg(x86.SS, flatSeg((base+40)|3, attrData|dpl3))
	} else {
		ip, sp = ip&0xffffffff, sp&0xffffffff
		c.loadCS(flatSeg((base+16)|3, attrCode32|dpl3), 3)
		c.setSeg(x86.SS, flatSeg((base+24)|3, attrData|dpl3))
	}
	c.R[x86.RSP] = sp
	c.RIP = ip
	return nil
}

func opSwapgs(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	old := c.Seg[x86.GS].Base
	c.setSegBase(x86.GS, c.KernelGSBase)
	c.KernelGSBase = old
	return o.next
}

func opRdBase(c *CPU, o *Op) *Op {
	if c.CR4&x86.CR4FSGSBASE == 0 {
		return opUndefined(c, o)
	}
	c.setArg(o, 0, c.Seg[x86.FS+o.x.ModRM>>3&1].Base)
	return o.next
}

func opWrBase(c *CPU, o *Op) *Op {
	if c.CR4&x86.CR4FSGSBASE == 0 {
		return opUndefined(c, o)
	}
	v := c.arg(o, 0)
	if !canonical(v) {
		c.raise(o, x86.ExcGP, 0)
	}
	c.setSegBase(x86.FS+o.x.ModRM>>3&1, v)
	return o.next
}

// opClac is CLAC (0F 01 CA) and STAC (CB).
func opClac(c *CPU, o *Op) *Op {
	if c.CPL != 0 || c.v86() {
		return opUndefined(c, o)
	}
	if o.x.ModRM&1 != 0 {
		c.Flags |= x86.FlagAC
	} else {
		c.Flags &^= x86.FlagAC
	}
	c.updatePrivilege()
	return o.next
}

// TLB and caches.

func opInvlpg(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	va := c.ea(o)
	if c.long {
		if o.seg >= x86.FS {
			va += c.R[x86.RSeg+o.seg]
		}
		if !canonical(va) {
			return o.next
		}
	} else {
		va = (va + c.Seg[o.seg].Base) & 0xffffffff
	}
	c.flushPage(va)
	return c.resyncAfter(o)
}

func opInvpcid(c *CPU, o *Op) *Op {
	if c.CPL != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	va := c.lin(o, 16, false)
	desc, addr := c.ld128(o, va)
	typ := c.arg(o, 0)
	if typ > 3 || desc>>12 != 0 || typ == 0 && !canonical(addr) || c.CR4&x86.CR4PCIDE == 0 && typ < 2 && desc&0xfff != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	switch {
	case typ < 2 && desc&0xfff != c.pcid():
		c.dropSpace(desc & 0xfff)
	case typ == 0:
		c.flushPage(addr)
	case typ == 1:
		c.flushTLB(false)
	case typ == 3:
		c.dropSpaces()
		c.flushTLB(false)
	default:
		c.flushTLB(true)
	}
	return c.resyncAfter(o)
}

// opInvd is INVD, WBINVD and WBNOINVD: there is no cache to write back.
func opInvd(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	return o.next
}

// Identification, time, random numbers.

func opCpuid(c *CPU, o *Op) *Op {
	r := c.Model.CPUID(uint32(c.R[x86.RAX]), uint32(c.R[x86.RCX]), c.CR4&x86.CR4OSXSAVE != 0, c.ID, int(c.NumCPUs), c.XCR0)
	c.R[x86.RAX], c.R[x86.RBX] = uint64(r[0]), uint64(r[1])
	c.R[x86.RCX], c.R[x86.RDX] = uint64(r[2]), uint64(r[3])
	return o.next
}

func (c *CPU) tsc() uint64 { return c.TSC() + c.TSCOffset }

// opRdtsc is RDTSC and RDTSCP.
func opRdtsc(c *CPU, o *Op) *Op {
	if c.CR4&x86.CR4TSD != 0 && c.CPL != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	t := c.tsc()
	c.R[x86.RAX], c.R[x86.RDX] = t&0xffffffff, t>>32
	if o.x.Opcode != 0x31 {
		c.R[x86.RCX] = c.TSCAux & 0xffffffff
	}
	return o.next
}

func opRdpid(c *CPU, o *Op) *Op {
	c.setArg(o, 0, c.TSCAux&0xffffffff)
	return o.next
}

func opRdpmc(c *CPU, o *Op) *Op {
	c.raise(o, x86.ExcGP, 0) // there are no counters
	return nil
}

func opRdrand(c *CPU, o *Op) *Op {
	if o.x.Rep != 0 {
		return opUndefined(c, o)
	}
	var b [8]byte
	rand.Read(b[:])
	c.setArg(o, 0, binary.LittleEndian.Uint64(b[:]))
	c.setFlags(x86.FlagCF)
	return o.next
}

func opXgetbv(c *CPU, o *Op) *Op {
	if c.CR4&x86.CR4OSXSAVE == 0 {
		return opUndefined(c, o)
	}
	v := c.XCR0
	switch ecx := uint32(c.R[x86.RCX]); {
	case ecx == 1 && c.Model.Has("xgetbv1"):
		v &= c.xinuse()
	case ecx != 0:
		c.raise(o, x86.ExcGP, 0)
	}
	c.R[x86.RAX], c.R[x86.RDX] = v&0xffffffff, v>>32
	return o.next
}

func opXsetbv(c *CPU, o *Op) *Op {
	if c.CR4&x86.CR4OSXSAVE == 0 || !c.Model.Has("xsave") {
		return opUndefined(c, o)
	}
	c.needCPL0(o)
	v := c.R[x86.RDX]<<32 | c.R[x86.RAX]&0xffffffff
	if uint32(c.R[x86.RCX]) != 0 || v&1 == 0 || v&^c.Model.XCR0Mask() != 0 || v&6 == 4 {
		c.raise(o, x86.ExcGP, 0)
	}
	c.XCR0 = v
	c.updateVec()
	return c.resyncAfter(o)
}
