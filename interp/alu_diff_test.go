package interp

import (
	"testing"

	"hotblock/x86/decode"
)

// Integer instructions that cannot be compared: control transfers, privileged
// ones, what depends on the system, and what would change the host's segments or
// trap it.
var notCompared = names(`callf jmpf call jmp ret retf int int1 int3 into iret syscall sysret sysenter sysexit
	loop loope loopne jcxz hlt in out ins outs cli sti popf pushf
	sldt str lldt ltr verr verw sgdt sidt lgdt lidt smsw lmsw lar lsl invlpg invpcid clts invd wbinvd wbnoinvd
	vmcall vmmcall monitor mwait clac stac xgetbv xsetbv rdpkru wrpkru swapgs rdtsc rdtscp rdpmc rdmsr wrmsr cpuid rsm
	rdrand rdseed rdpid rdfsbase rdgsbase wrfsbase wrgsbase lss lfs lgs
	fxsave fxrstor xsave xrstor xsaveopt xsavec xsaves xrstors fwait`)

func integer(e *decode.Encoding) bool {
	n := e.Op.String()
	if vector(e) || notCompared[e.Op] || n[0] == 'j' || e.Map == "1" && e.Opcode >= 0xd8 && e.Opcode <= 0xdf {
		return false
	}
	switch {
	case e.Map == "1" && (e.Opcode == 0x8e || e.Opcode == 0xa0 || e.Opcode == 0xa1 || e.Opcode == 0xa2 || e.Opcode == 0xa3): // to segment registers, absolute addresses
		return false
	case e.Map == "0f" && e.Opcode == 0x0d && e.Mod == 'r':
		return false
	case e.Map == "0f" && (e.Opcode >= 0x20 && e.Opcode <= 0x23 || e.Opcode&0xf6 == 0xa0): // control registers; push and pop FS, GS
		return false
	}
	return true
}

func TestDiffInteger(t *testing.T) {
	d := newDiff(t, 3)
	d.sweep(t, 30, integer, d.IntegerCase)
}
