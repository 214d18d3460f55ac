package jit

import (
	"strings"

	"golang.org/x/sys/cpu"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// What the host lacks is left to the interpreter, and so are instructions that
// mean something else on models without their feature (TZCNT, LZCNT).

// hostFeatures says which features the host executes, by decode's numbers, and
// which mnemonics.
func hostFeatures(model *x86.Model) (features, ops []bool) {
	h := host.HostFeatures()
	x := &cpu.X86
	has := map[string]bool{
		"": true, "mmx": true, "sse": true, "sse2": true, "cx8": true, "cmov": true, "fxsr": true, "clflush": true,
		"sse3": x.HasSSE3, "ssse3": x.HasSSSE3, "sse4.1": x.HasSSE41, "sse4.2": x.HasSSE42, "popcnt": h.POPCNT, "lzcnt": h.LZCNT, "abm": h.LZCNT,
		"cx16": x.HasCX16, "aes": x.HasAES, "pclmulqdq": x.HasPCLMULQDQ, "avx": h.AVX, "avx2": h.AVX2, "fma": h.FMA,
		"bmi1": h.BMI1, "bmi2": h.BMI2, "adx": h.ADX, "fpu": true,
		"sha-ni": h.SHA, "f16c": h.F16C, "movbe": h.MOVBE,
	}
	for _, n := range decode.FeatureNames() {
		ok := true
		for f := range strings.SplitSeq(n, "+") {
			ok = ok && has[f]
		}
		features = append(features, ok)
	}
	for op := range decode.NumOps() {
		ops = append(ops, has[interp.OpFeature(decode.Op(op))])
	}
	ops[decode.MustOp("tzcnt")] = has["bmi1"] && model.Has("bmi1")
	ops[decode.MustOp("lzcnt")] = has["abm"] && model.Has("abm")
	return features, ops
}

// Available reports whether this host runs translated code: New does not fail for
// want of a CPU or a system that can.
func Available() bool { return host.Available() }
