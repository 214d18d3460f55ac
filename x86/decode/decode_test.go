package decode

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"hotblock/boot"
	"hotblock/boot/fetch/fetchtest"
	"hotblock/mmu"

	"golang.org/x/arch/x86/x86asm"
)

// The disassembler's text of an instruction, without what is a matter of taste.

var (
	symbol = regexp.MustCompile(` *(<.*>|#.*)$`)
	// Without symbols objdump gives the target of a branch as a number.
	branchTarget = regexp.MustCompile(`^0x[0-9a-f]{9,16}$`)
	noIndex      = regexp.MustCompile(`\+[re]iz\*\d`)
	prefixes     = regexp.MustCompile(`^((data32|rep|repz|repnz|repe|repne|lock|cs|ds|es|ss|fs|gs|data16|addr32|addr16|bnd|notrack|xacquire|xrelease|rex(\.[WRXB]+)?) +)+`)
	fma4         = regexp.MustCompile(`^vfn?m(add|sub|addsub|subadd)[ps][sd]$`)
	cmpAlias     = regexp.MustCompile(`^(v?cmp)([a-z_]+?)(ps|pd|ss|sd)$`)
)

// normalise brings a line of objdump -M intel into the form of format.
func normalise(s string) (mnemonic, operands string) {
	s = symbol.ReplaceAllString(s, "")
	s = prefixes.ReplaceAllString(s, "")
	mnemonic, operands, _ = strings.Cut(strings.TrimSpace(s), " ")
	operands = strings.TrimSpace(operands)
	operands = noIndex.ReplaceAllString(operands, "")
	if !strings.Contains(operands, "rip") {
		operands = strings.ReplaceAll(operands, "+0x0]", "]")
	}
	if mnemonic != "push" && branchTarget.MatchString(operands) {
		operands = operands[2:]
	}
	operands = strings.ReplaceAll(operands, "st(0)", "st")
	return
}

// aliases are mnemonics of objdump that say more, or other words for the same.
var aliases = map[string]string{
	"movabs": "mov", "cwde": "cbw", "cdqe": "cbw", "cdq": "cwd", "cqo": "cwd", "iretq": "iret", "iretw": "iret", "iretd": "iret",
	"cmpxchg16b": "cmpxchg8b", "pushfq": "pushf", "popfq": "popf", "pushfw": "pushf", "popfw": "popf", "xlatb": "xlat", "wait": "fwait", "sal": "shl",
	"jrcxz": "jcxz", "jecxz": "jcxz", "xsave64": "xsave", "xrstor64": "xrstor", "xsavec64": "xsavec", "xsaves64": "xsaves", "xrstors64": "xrstors",
	"fxsave64": "fxsave", "fxrstor64": "fxrstor", "xsaveopt64": "xsaveopt", "sysretq": "sysret", "sysretl": "sysret", "sysretd": "sysret",
	"pclmullqlqdq": "pclmulqdq", "pclmulhqlqdq": "pclmulqdq", "pclmullqhqdq": "pclmulqdq", "pclmulhqhqdq": "pclmulqdq",
	"vpclmullqlqdq": "vpclmulqdq", "vpclmulhqlqdq": "vpclmulqdq", "vpclmullqhqdq": "vpclmulqdq", "vpclmulhqhqdq": "vpclmulqdq",
	"leavew": "leave", "enterw": "enter", "retw": "ret", "pushw": "push", "popw": "pop", "callw": "call", "fstenv": "fnstenv", "retfq": "retf", "retfw": "retf",
}

func reg(n, size uint8) string {
	base := [16]string{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"}
	if n >= 8 {
		return "r" + strconv.Itoa(int(n)) + map[uint8]string{1: "b", 2: "w", 4: "d", 8: ""}[size]
	}
	switch size {
	case 1:
		return [8]string{"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"}[n]
	case 2:
		return base[n]
	case 4:
		return "e" + base[n]
	}
	return "r" + base[n]
}

var segs = [6]string{"es", "cs", "ss", "ds", "fs", "gs"}

func signed(v int64, plus bool) string {
	switch {
	case v < 0:
		return fmt.Sprintf("-%#x", -v)
	case plus:
		return fmt.Sprintf("+%#x", v)
	}
	return fmt.Sprintf("%#x", v)
}

// format writes the operands as objdump -M intel does; pc is the address of the
// next instruction.
func format(in *Inst, pc uint64) string {
	var out []string
	for n := range in.NArgs {
		a := &in.Args[n]
		s := ""
		switch a.Kind {
		case GPR:
			s = reg(a.Reg, a.Size)
		case GPRHi:
			s = [4]string{"ah", "ch", "dh", "bh"}[a.Reg&3]
		case Seg:
			s = segs[a.Reg]
		case CR:
			s = "cr" + strconv.Itoa(int(a.Reg))
		case DR:
			s = "dr" + strconv.Itoa(int(a.Reg))
		case MMX:
			s = "mm" + strconv.Itoa(int(a.Reg))
		case XMM:
			s = "xmm" + strconv.Itoa(int(a.Reg))
		case YMM:
			s = "ymm" + strconv.Itoa(int(a.Reg))
		case ST:
			s = "st"
			if a.Reg != 0 {
				s = fmt.Sprintf("st(%d)", a.Reg)
			}
		case One:
			s = "1"
		case Imm:
			v := in.Imm
			if a.Size < 8 {
				v &= 1<<(a.Size*8) - 1
			}
			s = fmt.Sprintf("%#x", v)
		case Imm2:
			s = fmt.Sprintf("%#x", in.Imm2)
		case Rel:
			s = fmt.Sprintf("%#x", pc+in.Imm)[2:]
		case Mem:
			s = formatMem(in, a)
		}
		out = append(out, s)
	}
	return strings.Join(out, ",")
}

func formatMem(in *Inst, a *Arg) string {
	s := ""
	if a.Size != 0 {
		s = map[uint8]string{1: "BYTE", 2: "WORD", 4: "DWORD", 6: "FWORD", 8: "QWORD", 10: "TBYTE", 16: "XMMWORD", 32: "YMMWORD"}[a.Size] + " PTR "
	}
	if in.SegOver && in.Seg >= FS {
		s += segs[in.Seg] + ":"
	}
	if in.Base == NoReg && in.Index == NoReg && in.VIndex.Kind == None {
		if !in.SegOver || in.Seg < FS {
			s += "ds:"
		}
		return s + fmt.Sprintf("%#x", uint64(in.Disp))
	}
	e := ""
	switch {
	case in.Base == RIPReg:
		e = "rip"
	case in.Base != NoReg:
		e = reg(in.Base, in.AddrSize)
	}
	plus := ""
	if e != "" {
		plus = "+"
	}
	if in.VIndex.Kind != None {
		e += fmt.Sprintf("%s%s%d*%d", plus, map[Kind]string{XMM: "xmm", YMM: "ymm"}[in.VIndex.Kind], in.VIndex.Reg, 1<<in.Scale)
	}
	if in.Index != NoReg {
		e += plus + reg(in.Index, in.AddrSize)
		if in.AddrSize != 2 {
			e += fmt.Sprintf("*%d", 1<<in.Scale)
		}
	}
	if in.Base == RIPReg {
		e += fmt.Sprintf("+%#x", uint64(in.Disp))
	} else if in.Disp != 0 {
		e += signed(in.Disp, true)
	}
	return s + "[" + e + "]"
}

// operandsDiffer says which instructions objdump prints in a way of its own.
var operandsDiffer = map[string]bool{"movs": true, "cmps": true, "scas": true, "stos": true, "lods": true, "ins": true, "outs": true, "xlat": true,
	"cmpxchg8b": true, "in": true, "out": true, "enter": true, "loop": true, "nop": true,
	// Operand sizes that objdump leaves out.
	"fxsave": true, "fxrstor": true, "xsave": true, "xrstor": true, "fnsave": true, "frstor": true, "fnstenv": true, "fldenv": true, "ud1": true, "ud0": true, "invlpg": true,
	"lar": true, "lsl": true, "sgdt": true, "sidt": true, "lgdt": true, "lidt": true, "invpcid": true}

// files are programs to disassemble: ones without data between their
// instructions.
func files() (out []string) {
	for _, p := range []string{"/lib/x86_64-linux-gnu/libc.so.6", "/bin/busybox", "/usr/lib/x86_64-linux-gnu/libm.so.6"} {
		if m, _ := filepath.Glob(p); len(m) > 0 {
			out = append(out, m...)
		}
	}
	return
}

// TestObjdump compares lengths, mnemonics and operands with objdump, over
// whole programs.
func TestObjdump(t *testing.T) {
	if testing.Short() {
		t.Skip("reads whole libraries")
	}
	objdump, err := exec.LookPath("objdump")
	if err != nil || len(files()) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("objdump and a library to disassemble are needed")
		}
		t.Skip("objdump or the libraries are not there")
	}
	for _, f := range files() {
		t.Run(filepath.Base(f), func(t *testing.T) { compareObjdump(t, objdump, "-d", "-j", ".text", f) })
	}
	t.Run("kernel", func(t *testing.T) {
		text, at := kernelText(t)
		if !*wholeKernel {
			text = text[:2<<20]
		}
		raw := filepath.Join(t.TempDir(), "text")
		if err := os.WriteFile(raw, text, 0o600); err != nil {
			t.Fatal(err)
		}
		compareObjdump(t, objdump, "-D", "-b", "binary", "-m", "i386:x86-64", fmt.Sprintf("--adjust-vma=%#x", at), raw)
	})
}

var wholeKernel = flag.Bool("wholekernel", false, "compare all of the kernel's code with objdump, not the first 2 MiB")

// kernelText is the code of Debian's cloud kernel, as the loader puts it into
// memory, and its linear address.
func kernelText(t *testing.T) ([]byte, uint64) {
	const ram, load, size = 256 << 20, 16 << 20, 14 << 20
	blk, err := mmu.NewBlock("RAM", ram)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(blk.Free)
	mem := new(mmu.Memory)
	mem.Map(mmu.Region{Name: "RAM", Size: ram, Blk: blk})
	if _, err := boot.Load(boot.Params{Mem: mem, RAM: ram, Kernel: fetchtest.Kernel(t, "cloud")}); err != nil {
		t.Fatal(err)
	}
	return blk.Bytes[load : load+size], 0xffffffff81000000
}

// compareObjdump compares the decoder with what objdump, with these arguments,
// says of 64-bit code.
func compareObjdump(t *testing.T, objdump string, args ...string) {
	cmd := exec.Command(objdump, append([]string{"-w", "-M", "intel"}, args...)...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n, skipped := 0, map[string]int{}
	bad := map[string]int{}
	sc := bufio.NewScanner(pipe)
	for sc.Scan() {
		f := strings.SplitN(sc.Text(), "\t", 3)
		if len(f) != 3 {
			continue
		}
		pc, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(f[0]), ":"), 16, 64)
		if err != nil {
			continue
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(f[1]), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		text := f[2]
		if strings.Contains(text, "(bad)") || len(raw) > MaxLen || strings.HasPrefix(text, "rex") && !strings.Contains(text, " ") || text[0] == '.' {
			continue // data
		}
		n++
		if raw[0] == 0x9b {
			continue // WAIT and the instruction after it as one
		}
		mnem, ops := normalise(text)
		if evex(raw) || notDecoded(mnem) || fma4.MatchString(mnem) {
			skipped[mnem]++
			continue
		}
		buf := append(raw, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90)
		var in Inst
		fail := func(format string, a ...any) {
			if bad[mnem]++; bad[mnem] <= 2 {
				t.Errorf("%x: % x %s: %s", pc, raw, text, fmt.Sprintf(format, a...))
			}
		}
		if err := Decode(buf, Mode64, &in); err != nil {
			if in.Lock {
				continue // data: objdump takes LOCK with anything
			}
			fail("%v", err)
			continue
		}
		if int(in.Len) != len(raw) {
			fail("length %d", in.Len)
			continue
		}
		if a, ok := aliases[mnem]; ok {
			mnem = a
		}
		if m := cmpAlias.FindStringSubmatch(mnem); m != nil && m[2] != "" {
			mnem = m[1] + m[3]
			ops += fmt.Sprintf(",%#x", in.Imm&0xff)
		}
		if strings.HasSuffix(mnem, "pclmulqdq") && strings.Count(ops, ",") < int(in.NArgs)-1 {
			ops += fmt.Sprintf(",%#x", in.Imm&0xff)
		}
		if (mnem == "call" || mnem == "jmp") && strings.HasPrefix(ops, "FWORD") {
			mnem += "f"
		}
		if mnem == "nop" && (in.Op.String() == "xchg" || in.Op.String() == "pause") {
			continue
		}
		if in.Op.String() != mnem {
			fail("%v", in.Op)
			continue
		}
		if operandsDiffer[mnem] || mnem == "mov" && in.Args[0].Kind == Seg {
			continue
		}
		got := format(&in, pc+uint64(in.Len))
		if got != ops && !(in.Opcode&^3 == 0xa0 && strings.Contains(ops, "ds:")) {
			fail("%s", got)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if n < 1000 {
		t.Fatalf("only %d instructions", n)
	}
	t.Logf("%d instructions; not of this CPU: %d kinds", n, len(skipped))
}

func evex(b []byte) bool {
	for _, x := range b {
		switch x {
		case 0x66, 0x67, 0x2e, 0x3e, 0x64, 0x65, 0xf2, 0xf3:
			continue
		case 0x62:
			return true
		}
		break
	}
	return false
}

// notDecoded are instructions of extensions that no model has.
func notDecoded(m string) bool {
	for _, p := range []string{"xbegin", "xend", "xabort", "xtest", "rdssp", "incssp", "saveprevssp", "rstorssp", "k", "vpdp", "gf2p8", "vgf2p8", "tile", "umonitor", "umwait", "tpause", "rdpkru", "wrpkru", "v4", "vaesenc ymm", "movdir", "enqcmd", "cldemote", "serialize", "xstore", "xcrypt", "montmul", "xsha", "sha512", "femms", "bnd", "vprot", "vpha", "vpcmov", "vpperm", "vpcom", "vpmac", "vfrcz", "vpsh", "lwp", "llwp", "slwp", "fneni", "fndisi", "fnsetpm", "fsetpm", "frstpm", "(", "encls", "vmgexit", "monitorx", "mwaitx", "stgi", "clgi", "pvalidate", "rmp", "psmash", "invlpgb", "tlbsync", "vmrun", "vmload", "vmsave", "vmread", "vmwrite", "vmxo", "vmptr", "vmclear", "vmlaunch", "vmresume", "invept", "invvpid", "skinit", "ptwrite", "vmfunc", "enclu", "getsec", "vsha512", "vsm", "vpmadd52"} {
		if strings.HasPrefix(m, p) {
			return true
		}
	}
	return false
}

// TestX86asm compares lengths with package x86asm, on instructions made from the
// tables. Where it is known to be wrong it is not asked: it knows no CLAC and STAC,
// RDSEED, RDPID, WBNOINVD and protection keys, reads memory operands into moves to
// control registers, takes ENDBR64, ADCX and ADOX for
// prefixes, and the length of VZEROUPPER wrongly.
func TestX86asm(t *testing.T) {
	wrong := map[string]bool{"clac": true, "stac": true, "rdseed": true, "rdpid": true, "rdpkru": true, "wrpkru": true, "wbnoinvd": true,
		"endbr64": true, "endbr32": true, "adcx": true, "adox": true, "vzeroupper": true, "vzeroall": true}
	seen := 0
	for _, e := range Encodings() {
		if e.Map[0] == 'v' || e.Attr&Not64 != 0 || wrong[e.Op.String()] || e.Map == "38" && e.Opcode >= 0xc8 && e.Opcode < 0xd0 || e.Attr&RegOnly != 0 {
			continue
		}
		var code []byte
		if e.Prefix > 1 {
			code = append(code, e.Prefix)
		}
		if e.Attr.W1() > 0 {
			code = append(code, 0x48)
		}
		switch e.Map {
		case "0f":
			code = append(code, 0x0f)
		case "38", "3a":
			m, _ := strconv.ParseUint(e.Map, 16, 8)
			code = append(code, 0x0f, byte(m))
		}
		code = append(code, e.Opcode)
		if e.HasRM {
			modrm := byte(0x44) // [disp8 + SIB]
			if e.Mod == 'r' {
				modrm = 0xc1
			}
			if e.Reg >= 0 {
				modrm |= byte(e.Reg) << 3
			}
			if e.RM >= 0 {
				modrm = modrm&^7 | byte(e.RM)
			}
			code = append(code, modrm)
		}
		for range 12 {
			code = append(code, 0x11)
		}
		var in Inst
		if Decode(code, Mode64, &in) != nil || in.Op != e.Op {
			continue
		}
		x, err := x86asm.Decode(code, 64)
		if err != nil || x.Op == 0 {
			continue // what it does not know
		}
		seen++
		if x.Len != int(in.Len) {
			t.Errorf("%v [% x]: length %d, x86asm has %d for %v", in.Op, code[:in.Len], in.Len, x.Len, x)
		}
	}
	if seen < 500 {
		t.Errorf("only %d instructions were compared", seen)
	}
}

// FuzzDecode checks what holds for any bytes: no panic, no result longer than 15
// bytes or than the input, the same result every time, and the same result
// whatever follows.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"90", "66 0f 6f c1", "c5 f8 77", "f0 48 0f c7 0c 24", "c4 e2 71 90 04 11", "2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 90", "67 8b 00", "62", "c8 00 10 02"} {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range []Mode{Mode16, Mode32, Mode64} {
			f.Add(b, byte(m))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, m byte) {
		mode := [3]Mode{Mode16, Mode32, Mode64}[m%3]
		var a, c Inst
		err := Decode(b, mode, &a)
		if err2 := Decode(b, mode, &c); err2 != err || a != c {
			t.Fatalf("% x: not deterministic", b)
		}
		if err != nil {
			return
		}
		if a.Len == 0 || a.Len > MaxLen || int(a.Len) > len(b) {
			t.Fatalf("% x: length %d", b, a.Len)
		}
		long := append(append([]byte(nil), b[:a.Len]...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		if Decode(long, mode, &c) != nil || c != a {
			t.Fatalf("% x: depends on what follows", b)
		}
		for i := range a.NArgs {
			x := &a.Args[i]
			switch {
			case x.Kind == None, x.Reg > 15, mode != Mode64 && x.Reg > 7 && x.Kind != CR:
				t.Fatalf("% x: operand %d is %+v", b, i, *x)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	code := []byte{0x48, 0x8b, 0x84, 0x8b, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0}
	var in Inst
	for b.Loop() {
		if Decode(code, Mode64, &in) != nil {
			b.Fatal("undecodable")
		}
	}
}

// TestObjdumpLegacy compares lengths and mnemonics in 16- and 32-bit code with
// objdump. What it takes for code is a firmware image, data and all: nearly any
// bytes are instructions there.
func TestObjdumpLegacy(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("there are no processes to run objdump in")
	}
	const image = "/usr/share/seabios/bios-256k.bin"
	objdump, err := exec.LookPath("objdump")
	if _, err2 := os.Stat(image); err != nil || err2 != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("objdump and %s are needed", image)
		}
		t.Skipf("objdump or %s is not there", image)
	}
	for mode, arch := range map[Mode]string{Mode16: "i8086", Mode32: "i386"} {
		out, err := exec.Command(objdump, "-D", "-w", "-b", "binary", "-m", arch, "-M", "intel,"+arch, image).Output()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		bad := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			f := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 3)
			if len(f) != 3 {
				continue
			}
			raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(f[1]), " ", ""))
			if err != nil || len(raw) == 0 || raw[0] == 0x9b || strings.Contains(f[2], "(bad)") || strings.Contains(f[2], "?") {
				continue
			}
			mnem, _ := normalise(f[2])
			if evex(raw) || notDecoded(mnem) || mnem == "getsec" || mnem == "" {
				continue
			}
			n++
			var in Inst
			err = Decode(append(raw, make([]byte, 15)...), mode, &in)
			if in.Lock && err != nil || bad[mnem] {
				continue
			}
			name := in.Op.String()
			same := mnem == "nop" || mnem == name || aliases[mnem] == name || mnem+"f" == name ||
				strings.TrimRight(mnem, "dw") == strings.TrimRight(name, "dw")
			if err != nil || int(in.Len) != len(raw) || !same {
				bad[mnem] = true
				t.Errorf("%d-bit code: % x %s: %v, length %d, %v", mode, raw, f[2], name, in.Len, err)
			}
		}
		if n < 10000 {
			t.Errorf("only %d instructions", n)
		}
	}
}
