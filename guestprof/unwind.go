package guestprof

import "hotblock/x86"

// maxDepth bounds the frames of a stack.
const maxDepth = 64

// maxFrame is the largest distance in bytes between two user frame pointers.
const maxFrame = 1 << 20

// Offsets in struct pt_regs (arch/x86/include/asm/ptrace.h).
const (
	ptBP = 32
	ptIP = 128
	ptCS = 136
	ptSP = 152
)

// ptOffsets are where pt_regs holds the general registers.
var ptOffsets = [16]uint64{x86.RAX: 80, x86.RCX: 88, x86.RDX: 96, x86.RBX: 40, x86.RSP: ptSP, x86.RBP: ptBP, x86.RSI: 104, x86.RDI: 112,
	x86.R8: 72, x86.R9: 64, x86.R10: 56, x86.R11: 48, x86.R12: 24, x86.R13: 16, x86.R14: 8, x86.R15: 0}

// unwindKernel appends the frames of a kernel stack to pcs, from ip, sp and the other
// registers on; addresses of callers are those of their call instructions' last bytes.
// Where the stack leads to a program, user says where that is.
func unwindKernel(v *view, orcFor func(ip uint64) *orcTable, ip uint64, r *[16]uint64, pcs []uint64) (_ []uint64, user userRegs) {
	sp, bp := r[x86.RSP], r[x86.RBP]
	regs := r // those that are known at this frame, or nil
	var saved [16]uint64
	exact := true // ip is an instruction to be executed, not a return address
	for len(pcs) < maxDepth {
		look := ip
		if !exact {
			look--
		}
		pcs = append(pcs, look)
		e, ok := orcFor(look).find(look)
		if !ok {
			// Frame pointers.
			if bp&7 != 0 || bp < sp || bp-sp > 1<<14 || !kernelHalf(bp) {
				return pcs, user
			}
			nextBP, ok1 := v.u64(bp)
			ret, ok2 := v.u64(bp + 8)
			if !ok1 || !ok2 || !kernelHalf(ret) {
				return pcs, user
			}
			ip, sp, bp, exact, regs = ret, bp+16, nextBP, false, nil
			continue
		}
		if e.kind == orcEnd {
			return pcs, user
		}
		var cfa uint64
		reg := func(n int) bool {
			if regs == nil {
				return false
			}
			cfa = regs[n]
			return true
		}
		switch e.spReg {
		case orcSP, orcSPIndirect:
			cfa = sp
		case orcBP, orcBPIndirect:
			cfa = bp
		case orcDX:
			ok = reg(x86.RDX)
		case orcDI:
			ok = reg(x86.RDI)
		case orcR10:
			ok = reg(x86.R10)
		case orcR13:
			ok = reg(x86.R13)
		default:
			ok = false
		}
		switch e.spReg {
		case orcSPIndirect:
			cfa, ok = v.u64(cfa)
			cfa += uint64(int64(e.spOff))
		case orcBPIndirect:
			cfa, ok = v.u64(cfa + uint64(int64(e.spOff)))
		default:
			cfa += uint64(int64(e.spOff))
		}
		if !ok || !kernelHalf(cfa) || cfa&7 != 0 {
			return pcs, user
		}
		prevSP, prevIP := sp, ip
		var known *[16]uint64
		switch e.kind {
		case orcCall:
			if ip, ok = v.u64(cfa - 8); !ok {
				return pcs, user
			}
			sp, exact = cfa, false
		default:
			at := cfa // of pt_regs
			if e.kind == orcPartial {
				at -= ptIP
			}
			nip, ok1 := v.u64(at + ptIP)
			cs, ok2 := v.u64(at + ptCS)
			nsp, ok3 := v.u64(at + ptSP)
			if !ok1 || !ok2 || !ok3 {
				return pcs, user
			}
			ip, sp, exact = nip, nsp, true
			if e.kind == orcRegs {
				for i, off := range ptOffsets {
					saved[i], _ = v.u64(at + off)
				}
				known = &saved
			}
			if cs&3 != 0 {
				user = userRegs{ip: nip, sp: nsp, ok: true}
				if known != nil {
					user.bp = saved[x86.RBP]
				} else {
					user.bp = bp
				}
				return pcs, user
			}
		}
		switch {
		case known != nil:
			bp = known[x86.RBP]
		case e.bpReg == orcPrevSP:
			bp, ok = v.u64(cfa + uint64(int64(e.bpOff)))
		case e.bpReg == orcBP:
			bp, ok = v.u64(bp + uint64(int64(e.bpOff)))
		}
		if !ok || !kernelHalf(ip) || ip == 0 || ip == prevIP && sp == prevSP {
			return pcs, user
		}
		regs = known
	}
	return pcs, user
}

// userRegs is where a program was interrupted.
type userRegs struct {
	ip, sp, bp uint64
	ok         bool
}

// unwindUser appends the frames of a program's stack to pcs, by frame pointers. What
// is not a return address, because code keeps other things in RBP, ends it.
func unwindUser(v *view, u userRegs, wide bool, pcs []uint64) []uint64 {
	pcs = append(pcs, u.ip)
	word := uint64(8)
	if !wide {
		word = 4
	}
	get := func(va uint64) (uint64, bool) {
		if wide {
			return v.u64(va)
		}
		n, ok := v.u32(va)
		return uint64(n), ok
	}
	bp, low := u.bp, u.sp
	for len(pcs) < maxDepth {
		if bp%word != 0 || bp < low || bp-low > maxFrame || kernelHalf(bp) {
			break
		}
		next, ok1 := get(bp)
		ret, ok2 := get(bp + word)
		if !ok1 || !ok2 || kernelHalf(ret) || !afterCall(v, ret) {
			break
		}
		pcs = append(pcs, ret-1)
		low, bp = bp+2*word, next
	}
	return pcs
}

// afterCall reports whether there is a call instruction in front of an address.
func afterCall(v *view, ret uint64) bool {
	var b [7]byte
	if ret < 16 || !v.read(ret-7, b[:]) || !v.executable(ret-1) {
		return false
	}
	if b[2] == 0xe8 { // call rel32
		return true
	}
	for n := 2; n <= 7; n++ { // call through a register or memory
		if op := b[7-n:]; op[0] == 0xff && op[1]>>3&7 == 2 {
			return true
		}
	}
	return false
}
