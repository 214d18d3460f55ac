package x86

// Numbers of the general registers, in the order of their encoding.
const (
	RAX = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	// The rest of State.R is there so that an effective address is a sum of
	// array elements without a branch.
	RZero   // always 0: stands for a base, index or segment that is not there
	RPage   // RIP of the first byte of the page of code that is being run
	RSeg    // base of ES; the six segment bases follow in encoding order
	NumRegs = 32
)

// Numbers of the segment registers, in the order of their encoding.
const (
	ES = iota
	CS
	SS
	DS
	FS
	GS
)

// Bits of RFLAGS (SDM volume 1, 3.4.3).
const (
	FlagCF   = 1 << 0
	Flag1    = 1 << 1
	FlagPF   = 1 << 2
	FlagAF   = 1 << 4
	FlagZF   = 1 << 6
	FlagSF   = 1 << 7
	FlagTF   = 1 << 8
	FlagIF   = 1 << 9
	FlagDF   = 1 << 10
	FlagOF   = 1 << 11
	FlagIOPL = 3 << 12
	FlagNT   = 1 << 14
	FlagRF   = 1 << 16
	FlagVM   = 1 << 17
	FlagAC   = 1 << 18
	FlagVIF  = 1 << 19
	FlagVIP  = 1 << 20
	FlagID   = 1 << 21

	// FlagsArith are the six status flags.
	FlagsArith = FlagCF | FlagPF | FlagAF | FlagZF | FlagSF | FlagOF
)

// Bits of the control registers and EFER (SDM volume 3, 2.5 and 2.2.1).
const (
	CR0PE = 1 << 0
	CR0MP = 1 << 1
	CR0EM = 1 << 2
	CR0TS = 1 << 3
	CR0ET = 1 << 4
	CR0NE = 1 << 5
	CR0WP = 1 << 16
	CR0AM = 1 << 18
	CR0NW = 1 << 29
	CR0CD = 1 << 30
	CR0PG = 1 << 31

	CR4VME        = 1 << 0
	CR4PVI        = 1 << 1
	CR4TSD        = 1 << 2
	CR4DE         = 1 << 3
	CR4PSE        = 1 << 4
	CR4PAE        = 1 << 5
	CR4MCE        = 1 << 6
	CR4PGE        = 1 << 7
	CR4PCE        = 1 << 8
	CR4OSFXSR     = 1 << 9
	CR4OSXMMEXCPT = 1 << 10
	CR4UMIP       = 1 << 11
	CR4FSGSBASE   = 1 << 16
	CR4PCIDE      = 1 << 17
	CR4OSXSAVE    = 1 << 18
	CR4SMEP       = 1 << 20
	CR4SMAP       = 1 << 21

	EFERSCE = 1 << 0
	EFERLME = 1 << 8
	EFERLMA = 1 << 10
	EFERNXE = 1 << 11
)

// Exception vectors (SDM volume 3, table 6-1).
const (
	ExcDE = 0
	ExcDB = 1
	ExcNM = 7
	ExcBP = 3
	ExcOF = 4
	ExcBR = 5
	ExcUD = 6
	ExcDF = 8
	ExcTS = 10
	ExcNP = 11
	ExcSS = 12
	ExcGP = 13
	ExcPF = 14
	ExcMF = 16
	ExcAC = 17
	ExcMC = 18
	ExcXM = 19

	VecNMI = 2
)

// ExcNames gives the mnemonics of the exception vectors.
var ExcNames = [20]string{"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "CSO", "TS", "NP", "SS", "GP", "PF", "15", "MF", "AC", "MC", "XM"}

// Segment attributes: bits 8 to 23 of a descriptor's upper half, shifted down
// by 8 (SDM volume 3, 3.4.5).
const (
	SegType     = 0xf
	SegAccessed = 1 << 0
	SegWritable = 1 << 1 // of data; readable, of code
	SegDown     = 1 << 2 // expand-down data; conforming code
	SegCode     = 1 << 3
	SegS        = 1 << 4 // code or data, not a system segment
	SegDPL      = 3 << 5
	SegP        = 1 << 7
	SegL        = 1 << 13
	SegD        = 1 << 14 // D/B: 32-bit
	SegG        = 1 << 15
)

// Segment is a segment register with its hidden part.
type Segment struct {
	Base  uint64
	Limit uint32 // of the last byte, scaled by G
	Sel   uint16
	Attr  uint16
}

// DPL is the descriptor privilege level.
func (s *Segment) DPL() uint8 { return uint8(s.Attr >> 5 & 3) }

// Table is GDTR or IDTR.
type Table struct {
	Base  uint64
	Limit uint16
}

// Vec is a YMM register; the low two elements are its XMM register.
type Vec [4]uint64

// State is the architectural state of one CPU. It holds no Go pointers, so
// that generated code can address it; flags and RIP may be held lazily by the
// engine that runs (CC fields), which brings them up to date whenever another
// party looks.
type State struct {
	R   [NumRegs]uint64
	RIP uint64

	// Flags is RFLAGS without the six status flags, which the CC fields hold.
	Flags uint64
	// CC fields: how to find the status flags. The kind is the operation that
	// set them and its size; see interp/flags.go.
	CCDst, CCSrc, CCAux uint64
	CCKind              uint8

	CPL       uint8
	Halted    bool
	Shadow    bool // interrupts wait for one more instruction (STI, MOV SS, POP SS)
	ShadowSS  bool // debug traps wait too
	NMIMasked bool

	Seg        [6]Segment
	LDTR, TR   Segment
	GDTR, IDTR Table

	CR0, CR2, CR3, CR4 uint64
	DR                 [8]uint64
	XCR0, XSS          uint64
	EFER               uint64

	STAR, LSTAR, CSTAR, FMASK            uint64
	KernelGSBase                         uint64
	SysenterCS, SysenterESP, SysenterEIP uint64
	PAT                                  uint64
	TSCAux                               uint64
	TSCOffset                            uint64 // added to the machine's TSC
	TSCAdjust                            uint64
	MiscEnable                           uint64
	SpecCtrl                             uint64
	DebugCtl                             uint64
	MTRRDefType                          uint64
	MTRRFix                              [11]uint64
	MTRRVar                              [16]uint64
	MCGStatus                            uint64

	// x87: registers by physical number; ST(i) is register (TOP+i)&7. MMX
	// register i is FPFrac[i].
	FPFrac [8]uint64
	FPExp  [8]uint16 // sign and exponent
	FCW    uint16
	FSW    uint16 // with TOP in bits 11-13
	FTW    uint8  // one bit a register: 1 is not empty, as FXSAVE has it
	FOP    uint16
	FCS    uint16
	FDS    uint16
	FIP    uint64
	FDP    uint64

	MXCSR uint32
	V     [16]Vec
}

// MSR numbers (SDM volume 4).
const (
	MSRTSC            = 0x10
	MSRPlatformID     = 0x17
	MSRAPICBase       = 0x1b
	MSRFeatureControl = 0x3a
	MSRTSCAdjust      = 0x3b
	MSRSpecCtrl       = 0x48
	MSRPredCmd        = 0x49
	MSRBiosUpdTrig    = 0x79
	MSRBiosSignID     = 0x8b
	MSRMTRRCap        = 0xfe
	MSRArchCap        = 0x10a
	MSRFlushCmd       = 0x10b
	MSRSysenterCS     = 0x174
	MSRSysenterESP    = 0x175
	MSRSysenterEIP    = 0x176
	MSRMCGCap         = 0x179
	MSRMCGStatus      = 0x17a
	MSRMiscEnable     = 0x1a0
	MSRDebugCtl       = 0x1d9
	MSRMTRRVar        = 0x200 // 16 registers: base and mask in turn
	MSRMTRRFix64K     = 0x250
	MSRMTRRFix16K8    = 0x258
	MSRMTRRFix16KA    = 0x259
	MSRMTRRFix4K      = 0x268 // 8 registers
	MSRPAT            = 0x277
	MSRMTRRDefType    = 0x2ff
	MSRTSCDeadline    = 0x6e0
	MSRX2APIC         = 0x800 // to 0x8ff
	MSRXSS            = 0xda0
	MSREFER           = 0xc0000080
	MSRSTAR           = 0xc0000081
	MSRLSTAR          = 0xc0000082
	MSRCSTAR          = 0xc0000083
	MSRFMASK          = 0xc0000084
	MSRFSBase         = 0xc0000100
	MSRGSBase         = 0xc0000101
	MSRKernelGSBase   = 0xc0000102
	MSRTSCAux         = 0xc0000103
)

// Bits of IA32_MISC_ENABLE.
const (
	MiscFastStrings = 1 << 0
	MiscBTSUnavail  = 1 << 11 // read-only
	MiscPEBSUnavail = 1 << 12 // read-only
)

// PowerOn brings the CPU to its state after RESET# (SDM volume 3, table 9-1),
// with signature as the processor signature in EDX.
func (s *State) PowerOn(signature uint32) {
	*s = State{}
	s.R[RDX] = uint64(signature)
	s.RIP = 0xfff0
	s.CR0 = CR0ET | CR0CD | CR0NW
	for i := range s.Seg {
		s.Seg[i] = Segment{Limit: 0xffff, Attr: SegP | SegS | SegWritable | SegAccessed}
	}
	s.Seg[CS] = Segment{Sel: 0xf000, Base: 0xffff0000, Limit: 0xffff, Attr: SegP | SegS | SegCode | SegWritable | SegAccessed}
	for i := range s.Seg {
		s.R[RSeg+i] = s.Seg[i].Base
	}
	s.LDTR = Segment{Limit: 0xffff, Attr: SegP | 2}
	s.TR = Segment{Limit: 0xffff, Attr: SegP | 11}
	s.GDTR.Limit, s.IDTR.Limit = 0xffff, 0xffff
	s.DR[6], s.DR[7] = 0xffff0ff0, 0x400
	s.XCR0 = 1
	s.PAT = 0x0007040600070406
	s.MiscEnable = MiscFastStrings | MiscBTSUnavail | MiscPEBSUnavail
	s.FCW, s.FTW, s.MXCSR = 0x40, 0xff, 0x1f80 // the tags say that all registers are zero
}
