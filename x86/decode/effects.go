package decode

import (
	"fmt"
	"strings"

	"hotblock/x86"
)

// What an instruction reads and writes
//
// The decoder says what an instruction's operands are; this file says what the
// instruction does with them and with everything it does not name. Like the
// instruction set it is a table (tableEffects), one line for mnemonics that
// behave alike:
//
//	adc sbb  +r r:c w:oszapc
//
// "the first operand is read and written, the second read; reads CF, writes all
// status flags". The table is parsed once into an array by Op. Effects takes the
// entry of its instruction, adds the registers that the operands name, and for a
// dozen groups (shifts, one-operand multiplications, strings, ...) settles what
// depends on a count, a size or a prefix.
//
// Vector and x87 instructions need no line unless they touch flags, general
// registers or memory in an unusual way: a vector instruction writes its first
// operand and reads the others, and an x87 instruction reads its operand. Which
// vector or stack registers change is not told, only that some are touched.
//
// The grammar of a line, after the mnemonics:
//
//	r w + a -   what happens to each operand, in one word: read, written, both,
//	            address taken, nothing
//	r: w: m: u: flags read, written, perhaps written, left undefined: letters of
//	            o s z a p c d
//	in: out: io: general registers read, written, both without being operands
//	mem:n       bytes of a memory operand that has no size of its own
//	align:n     what a memory operand must be aligned to; align: alone is its size
//	branch stack string system
//	            the Class; without it is ClassPlain
//	*name       the group whose members Effects looks at closer

// Access tells what happens to the memory operand.
type Access uint8

// Kinds of access. AccessAddress is for what computes the address and accesses no
// data there: LEA, NOP, prefetches, INVLPG, CLFLUSH.
const (
	AccessNone Access = 0
	AccessRead Access = 1 << (iota - 1)
	AccessWrite
	AccessAddress
	AccessReadWrite = AccessRead | AccessWrite
)

// Class sorts instructions by what a translator has to do with them.
type Class uint8

// Classes of instructions.
const (
	// ClassPlain is unprivileged, goes on with the next instruction, and does what
	// its operands, implicit registers and flags say and nothing else. It may
	// raise exceptions: of its memory operand, #DE, #MF, #XM, #GP for alignment
	// and for reserved bits in LDMXCSR. An encoding with the attribute Not64 has to
	// be replaced by an equivalent one to run in 64-bit mode.
	ClassPlain  Class = iota
	ClassBranch       // near jumps, calls, returns and loops, with their use of the stack
	ClassStack        // accesses the stack besides its operands: PUSH, POP, PUSHF, POPF, ENTER, LEAVE
	ClassString       // accesses memory at RSI or RDI, with or without REP
	// ClassSystem is everything else: privileged or dependent on system state,
	// serialising, I/O, far transfers, all use of segment, control and debug
	// registers, instructions without a counterpart in 64-bit mode, XLAT and masked
	// stores for their implicit memory operand, vector loads and stores that access
	// elements by a mask and gathers for their faults, and what stores the x87
	// instruction pointer.
	ClassSystem
)

// Effects is what an instruction reads and writes. General registers are bits 1
// shifted by their number, flags are those of package x86: the six status flags
// and DF. Sets are complete for all instructions but those of ClassSystem that
// transfer control, whose effects are those of the transfer.
//
// Each flag is in at most one of FlagsWritten, FlagsMaybe and FlagsUndefined.
type Effects struct {
	Class Class
	Mem   Access // of the memory operand; implicit ones (stack, strings, XLAT) are not counted
	// Align is the alignment in bytes without which the memory operand raises #GP,
	// or 0 (SDM volume 1, 10.4.1.1 and 14.9).
	Align uint8
	// MemSize is how many bytes from its address on the memory operand has; 0 if it
	// is not accessed or their number varies (XSAVE, gathers). See BitString.
	MemSize uint16

	FlagsRead      uint16
	FlagsWritten   uint16 // written with a value that the manual defines
	FlagsMaybe     uint16 // written, perhaps with an undefined value, or left, as a count in a register has it
	FlagsUndefined uint16 // their values afterwards are undefined

	// GPRRead and GPRWritten hold explicit, implicit and address registers. A
	// register is read too if a part of it stays as it was (writes of 8 and 16
	// bits) or if it may not be written at all.
	GPRRead, GPRWritten uint32

	Vector bool // touches XMM or YMM registers, or MXCSR
	AVX    bool // a vector instruction with VEX
	X87    bool // touches x87 or MMX registers, or raises what the x87 unit has pending
	// BitString is BT, BTS, BTR or BTC of memory with a bit offset in a register:
	// the access is to the MemSize bytes that hold the bit, at the operand's address
	// plus MemSize times the signed offset divided, rounding down, by the number of
	// bits in MemSize bytes.
	BitString bool
}

// Uses of an operand.
const (
	useRead    = uint8(AccessRead)
	useWrite   = uint8(AccessWrite)
	useAddress = uint8(AccessAddress)
)

// group names those whose effects depend on more than the mnemonic.
type group uint8

const (
	groupNone group = iota
	groupShift
	groupRotate
	groupDouble
	groupMul
	groupCwd
	groupXchg
	groupString
	groupBit
	groupPair
	groupEnv
	groupMasked
)

var groupNames = map[string]group{"shift": groupShift, "rotate": groupRotate, "double": groupDouble, "mul": groupMul,
	"cwd": groupCwd, "xchg": groupXchg, "string": groupString, "bit": groupBit, "pair": groupPair, "env": groupEnv, "masked": groupMasked}

// alignSize as an alignment says that it is the operand's size.
const alignSize = 0xff

type opEffects struct {
	use     [4]uint8
	class   Class
	group   group
	align   uint8
	x87     bool
	vector  bool
	gprRead uint16
	gprWrit uint16
	memSize uint16

	read, written, maybe, undefined uint16
}

var effectsOf []opEffects // by Op

const (
	flagC = x86.FlagCF
	flagP = x86.FlagPF
	flagA = x86.FlagAF
	flagZ = x86.FlagZF
	flagS = x86.FlagSF
	flagO = x86.FlagOF
)

// Effects tells what in, which Decode has filled, reads and writes.
func (in *Inst) Effects() (e Effects) {
	in.EffectsTo(&e)
	return e
}

// EffectsTo is Effects for who has a place for them.
func (in *Inst) EffectsTo(e *Effects) {
	t := &effectsOf[in.Op]
	*e = Effects{}
	e.Class, e.MemSize, e.Vector, e.X87 = t.class, t.memSize, t.vector, t.x87
	e.FlagsRead, e.FlagsWritten, e.FlagsMaybe, e.FlagsUndefined = t.read, t.written, t.maybe, t.undefined
	read, written := uint32(t.gprRead), uint32(t.gprWrit)
	for n := range in.NArgs & 7 {
		a := &in.Args[n&3]
		use := t.use[n&3]
		switch a.Kind {
		case GPR, GPRHi:
			bit := uint32(1) << (a.Reg & 15)
			if use&useRead != 0 || a.Size < 4 && use&useWrite != 0 {
				read |= bit
			}
			if use&useWrite != 0 {
				written |= bit
			}
		case Mem:
			e.Mem = Access(use)
			// NoReg and RIPReg are bits 16 and 17.
			read |= (1<<in.Base | 1<<in.Index) & 0xffff
			if e.Mem != AccessAddress && a.Size != 0 {
				e.MemSize = uint16(a.Size)
			}
			switch {
			case t.align == alignSize:
				e.Align = a.Size
			case t.align != 0:
				e.Align = t.align &^ 1
			}
		case XMM, YMM:
			e.Vector = true
		case MMX, ST:
			e.X87 = true
		case Seg, CR, DR:
			e.Class = ClassSystem
		}
	}
	if e.Mem == AccessNone {
		e.MemSize = 0
	} else if e.MemSize == 16 && e.Vector && !in.Vex && t.align == 0 {
		e.Align = 16
	}
	e.AVX = in.Vex && e.Vector
	e.GPRRead, e.GPRWritten = read, written
	if t.group != groupNone {
		in.refine(e, t.group)
	}
}

// refine settles what depends on more than the mnemonic.
func (in *Inst) refine(e *Effects, g group) {
	switch g {
	case groupShift, groupRotate, groupDouble:
		in.refineShift(e, g)
	case groupMul:
		switch in.NArgs {
		case 1:
			// AX = AL times operand and the like for bytes, else rDX:rAX.
			e.GPRRead |= 1 << x86.RAX
			e.GPRWritten |= 1 << x86.RAX
			if in.Args[0].Size == 1 {
				break
			}
			e.GPRWritten |= 1 << x86.RDX
			if in.Args[0].Size == 2 || e.FlagsWritten == 0 { // a part stays, or a division
				e.GPRRead |= 1 << x86.RDX
			}
		case 2:
			e.GPRWritten |= 1 << in.Args[0].Reg
		case 3:
			e.GPRWritten |= 1 << in.Args[0].Reg
			if in.Args[0].Size == 2 {
				break
			}
			// The table has its destination as read.
			e.GPRRead = 0
			if in.Args[1].Kind == GPR {
				e.GPRRead = 1 << in.Args[1].Reg
			} else {
				e.GPRRead = (1<<in.Base | 1<<in.Index) & 0xffff
			}
		}
	case groupCwd:
		if in.OpSize == 2 {
			e.GPRRead |= 1 << x86.RDX
		}
	case groupXchg:
		if in.Map == 0 && in.Opcode == 0x90 && in.Args[0].Reg == x86.RAX { // NOP
			e.GPRRead, e.GPRWritten = 0, 0
		}
	case groupString:
		if in.Rep != 0 {
			e.GPRRead |= 1<<x86.RCX | e.GPRWritten
			e.GPRWritten |= 1 << x86.RCX
			e.FlagsMaybe, e.FlagsWritten = e.FlagsWritten, 0
		} else if in.OpSize < 4 {
			e.GPRRead |= e.GPRWritten
		}
	case groupBit:
		e.BitString = e.Mem != AccessNone && in.Args[1].Kind == GPR
	case groupPair:
		e.MemSize = 8
		if in.RexW && in.Mode == Mode64 {
			e.MemSize, e.Align = 16, 16
		}
	case groupEnv:
		if in.OpSize == 2 {
			e.MemSize -= 14 // the 16-bit form of the environment
		}
	case groupMasked:
		e.MemSize = 0
	}
}

// refineShift settles the flags of shifts and rotates by their count (SDM volume
// 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD). The table has those of a
// count of 1.
func (in *Inst) refineShift(e *Effects, g group) {
	count := uint64(1)
	switch a := &in.Args[in.NArgs-1]; a.Kind {
	case GPR:
		// By CL, which may be zero.
		e.FlagsMaybe = e.FlagsWritten | e.FlagsUndefined
		e.FlagsWritten, e.FlagsUndefined = 0, 0
		return
	case Imm:
		count = in.Imm
	}
	size := uint64(in.Args[0].Size)
	if size == 8 {
		count &= 63
	} else {
		count &= 31
	}
	undefined := uint16(0)
	switch {
	case count == 0:
		e.FlagsRead, e.FlagsWritten, e.FlagsUndefined = 0, 0, 0
	case g == groupDouble && count > size*8:
		undefined = x86.FlagsArith
	case count > 1:
		undefined = flagO
		if g == groupShift && count >= size*8 {
			undefined |= flagC
		}
	}
	e.FlagsWritten &^= undefined
	e.FlagsUndefined |= undefined
}

var flagLetters = map[rune]uint16{'o': flagO, 's': flagS, 'z': flagZ, 'a': flagA, 'p': flagP, 'c': flagC, 'd': x86.FlagDF}

var registerNames = map[string]uint16{"ax": 1 << x86.RAX, "cx": 1 << x86.RCX, "dx": 1 << x86.RDX, "bx": 1 << x86.RBX, "sp": 1 << x86.RSP,
	"bp": 1 << x86.RBP, "si": 1 << x86.RSI, "di": 1 << x86.RDI, "r11": 1 << 11, "old": 0xff &^ (1 << x86.RSP)}

var classNames = map[string]Class{"branch": ClassBranch, "stack": ClassStack, "string": ClassString, "system": ClassSystem}

// conditions are the flags that each condition code reads, in the order of their
// encoding and for both senses.
var conditions = []struct {
	names string
	flags uint16
}{
	{"o no", flagO}, {"b ae", flagC}, {"e ne", flagZ}, {"be a", flagC | flagZ},
	{"s ns", flagS}, {"p np", flagP}, {"l ge", flagS | flagO}, {"le g", flagS | flagO | flagZ},
}

// The effects need the instructions: init functions run in the order of the names
// of their files, so that table.go's are still to come, and its last one calls
// this.
func initEffects() {
	effectsOf = make([]opEffects, len(opNames))
	listed := make([]bool, len(opNames))
	for i := range effectsOf {
		effectsOf[i].use = [4]uint8{useWrite, useRead, useRead, useRead}
	}
	for line := range strings.Lines(tableEffects) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		ops, t, err := parseEffects(strings.Fields(line))
		if err != nil {
			panic(fmt.Sprintf("decode: effects %q: %v", strings.TrimSpace(line), err))
		}
		for _, o := range ops {
			if listed[o] {
				panic("decode: effects of " + o.String() + " given twice")
			}
			effectsOf[o], listed[o] = t, true
		}
	}
	for _, c := range conditions {
		for n := range strings.FieldsSeq(c.names) {
			for prefix, t := range map[string]opEffects{
				"j":    {use: [4]uint8{useRead}, class: ClassBranch},
				"set":  {use: [4]uint8{useWrite}},
				"cmov": {use: [4]uint8{useRead | useWrite, useRead}},
			} {
				o := MustOp(prefix + n)
				t.read = c.flags
				effectsOf[o], listed[o] = t, true
			}
		}
	}
	for m := range maps {
		for op, cands := range maps[m] {
			for _, d := range cands {
				t := &effectsOf[d.op]
				switch {
				case opmap(m) == mapOne && op&0xf8 == 0xd8:
					t.x87 = true
					if !listed[d.op] {
						t.use = [4]uint8{useRead, useRead}
					}
				case !listed[d.op] && !d.vector():
					panic("decode: no effects of " + d.op.String())
				}
			}
		}
	}
}

// vector reports whether an operand is a vector register.
func (d *def) vector() bool {
	for _, a := range d.args[:d.nargs] {
		if strings.IndexByte("VWUHLxPQN", a.code) >= 0 {
			return true
		}
	}
	return false
}

func parseEffects(f []string) (ops []Op, t opEffects, err error) {
	for _, w := range f {
		key, arg, ok := strings.Cut(w, ":")
		o, isOp := opByNm[w]
		switch {
		case isOp:
			ops = append(ops, o)
		case !ok && strings.Trim(w, "rw+a-") == "":
			for i, c := range w {
				t.use[i] = map[rune]uint8{'r': useRead, 'w': useWrite, '+': useRead | useWrite, 'a': useAddress}[c]
			}
		case !ok && w[0] == '*':
			if t.group, ok = groupNames[w[1:]]; !ok {
				return nil, t, fmt.Errorf("no group %q", w)
			}
		case w == "vector":
			t.vector = true
		case w == "x87":
			t.x87 = true
		case !ok:
			if t.class, ok = classNames[w]; !ok {
				return nil, t, fmt.Errorf("no instruction or class %q", w)
			}
		case key == "r" || key == "w" || key == "m" || key == "u":
			p := map[string]*uint16{"r": &t.read, "w": &t.written, "m": &t.maybe, "u": &t.undefined}[key]
			for _, c := range arg {
				if flagLetters[c] == 0 {
					return nil, t, fmt.Errorf("no flag %q", c)
				}
				*p |= flagLetters[c]
			}
		case key == "in" || key == "out" || key == "io":
			for n := range strings.SplitSeq(arg, ",") {
				r, ok := registerNames[n]
				if !ok {
					return nil, t, fmt.Errorf("no register %q", n)
				}
				if key != "out" {
					t.gprRead |= r
				}
				if key != "in" {
					t.gprWrit |= r
				}
			}
		case key == "mem":
			_, err = fmt.Sscan(arg, &t.memSize)
		case w == "align:":
			t.align = alignSize
		case key == "align":
			_, err = fmt.Sscan(arg, &t.align)
		default:
			err = fmt.Errorf("bad word %q", w)
		}
		if err != nil {
			return nil, t, err
		}
	}
	return ops, t, nil
}

// tableEffects is from the descriptions of the instructions in SDM volume 2 and
// "EFLAGS cross-reference", volume 1, appendix A. align:1 is none where the size
// of a vector operand would ask for one.
const tableEffects = `
# Arithmetic.
add sub +r w:oszapc
cmp rr w:oszapc
adc sbb +r r:c w:oszapc
and or xor +r w:oszpc u:a
test rr w:oszpc u:a
neg + w:oszapc
not +
inc dec + w:oszap
mul imul rr *mul w:oc u:szap
div idiv r *mul u:oszapc
cbw io:ax
cwd in:ax out:dx *cwd
adcx +r r:c w:c
adox +r r:o w:o
xadd ++ w:oszapc
cmpxchg +r w:oszapc io:ax
cmpxchg8b + w:z io:ax,dx in:bx,cx *pair
xchg ++ *xchg
crc32 +r
bswap +

# Shifts, rotates and bits.
shl shr sar +r *shift w:oszpc u:a
rol ror +r *rotate w:oc
rcl rcr +r *rotate r:c w:oc
shld shrd +rr *double w:oszpc u:a
bt rr *bit w:c u:osap
bts btr btc +r *bit w:c u:osap
bsf bsr +r w:z u:osapc # of a source of zero the destination stays
tzcnt lzcnt wr w:zc u:osap
popcnt wr w:oszapc
andn wrr w:oszc u:ap
blsr blsmsk blsi wr w:oszc u:ap
bzhi wrr w:oszc u:ap
bextr wrr w:ozc u:sap
pext pdep shlx sarx shrx rorx wrr
mulx wwr in:dx

# Moves and flags.
mov movsxd movzx movsx movbe movnti wr
lea wa
lahf r:szapc io:ax
sahf w:szapc in:ax
cmc r:c w:c
clc stc w:c
cld std w:d
nop prefetch prefetchw prefetchnta prefetcht0 prefetcht1 prefetcht2 a
pause endbr64 endbr32 lfence mfence sfence

# Control transfers.
jmp r branch
jcxz r branch in:cx
loop r branch io:cx
loope loopne r branch r:z io:cx
call r branch io:sp
ret r branch io:sp

# The stack.
push r stack io:sp
pop w stack io:sp
pusha stack in:old io:sp
popa stack out:old io:sp
pushf stack r:oszapcd io:sp
popf stack w:oszapcd io:sp
enter rr stack io:sp,bp
leave stack io:bp out:sp

# Strings.
movs string *string r:d io:si,di
cmps string *string r:d w:oszapc io:si,di
stos string *string r:d in:ax io:di
lods string *string r:d out:ax io:si
scas string *string r:d w:oszapc in:ax io:di
ins string *string r:d in:dx io:di
outs string *string r:d in:dx io:si

# Without a counterpart in 64-bit mode.
daa das system r:ac w:szapc u:o io:ax
aaa aas system r:a w:ac u:oszp io:ax
aam aad r system w:szp u:oac io:ax
salc system r:c io:ax
bound rr system
arpl +r system w:z
les lds lss lfs lgs wr system

# System instructions.
callf retf r system io:sp
jmpf r system
int int1 int3 into iret r system r:oszapcd w:oszapcd io:sp
syscall sysret system r:oszapcd w:oszapcd in:cx,r11 out:cx,r11
sysenter sysexit system in:cx,dx io:sp
hlt clts invd wbinvd wbnoinvd cli sti clac stac swapgs system
vmcall vmmcall rsm system r:oszapcd w:oszapcd io:old,sp
in wr system
out rr system
sldt str smsw w system
lldt ltr lmsw r system
verr verw r system w:z
lar lsl +r system w:z
sgdt sidt w system
lgdt lidt r system
invlpg a system
invpcid rr system
clflush clflushopt clwb a system
monitor system in:ax,cx,dx
mwait system in:ax,cx
cpuid system in:ax,cx out:ax,bx,cx,dx
rdtsc system out:ax,dx
rdtscp system out:ax,cx,dx
rdpmc rdmsr xgetbv system in:cx out:ax,dx
rdpkru system in:cx out:ax,dx
wrmsr xsetbv wrpkru system in:ax,cx,dx
rdrand rdseed w system w:oszapc
rdpid rdfsbase rdgsbase w system
wrfsbase wrgsbase r system
ud0 ud1 ud2 -- system
fxsave w system mem:512 align:16 vector x87
fxrstor r system mem:512 align:16 vector x87
xsave xsavec xsaves xsaveopt + system align:64 in:ax,dx vector x87 # and reads its header
xrstor xrstors r system align:64 in:ax,dx vector x87
xlat system io:ax in:bx

# x87: what writes memory, flags or AX.
fst fstp fist fistp fisttp fbstp fnstcw fnstsw w
fldenv r mem:28 *env
frstor r mem:108 *env
fnstenv w system mem:28 *env
fnsave w system mem:108 *env
fcomi fcomip fucomi fucomip rr w:zpc w:osa
fcmovb fcmovnb rr r:c
fcmove fcmovne rr r:z
fcmovbe fcmovnbe rr r:cz
fcmovu fcmovnu rr r:p
fwait emms x87

# Vectors.
ldmxcsr vldmxcsr r vector
stmxcsr vstmxcsr w vector
vzeroupper vzeroall vector
comiss comisd ucomiss ucomisd vcomiss vcomisd vucomiss vucomisd rr w:oszapc
cvttss2si cvtss2si cvttsd2si cvtsd2si vcvttss2si vcvtss2si vcvttsd2si vcvtsd2si wr vector
cvttps2pi cvtps2pi cvttpd2pi cvtpd2pi wr vector
cvtpi2ps wr x87 # of memory too, by the manual
ptest vptest vtestps vtestpd rr w:oszapc
pcmpestri rrr w:oszapc in:ax,dx out:cx align:1
pcmpestrm rrr w:oszapc in:ax,dx align:1
pcmpistri rrr w:oszapc out:cx align:1
pcmpistrm rrr w:oszapc align:1
vpcmpestri rrr w:oszapc in:ax,dx out:cx
vpcmpestrm rrr w:oszapc in:ax,dx
vpcmpistri rrr w:oszapc out:cx
vpcmpistrm rrr w:oszapc
movups movupd movdqu lddqu wr align:1
vmovaps vmovapd vmovdqa vmovntps vmovntpd vmovntdq vmovntdqa wr align:
maskmovq maskmovdqu vmaskmovdqu rr system in:di
vmaskmovps vmaskmovpd vpmaskmovd vpmaskmovq wrr system *masked
vpgatherdd vpgatherdq vpgatherqd vpgatherqq vgatherdps vgatherdpd vgatherqps vgatherqpd +r+ system *masked
`
