package x86

import (
	"fmt"
	"sort"
	"strings"
)

// How CPUID comes about: a model names a set of features and a signature; the
// command line adds and takes away; the engine says which features it executes
// at all, and everything else is cleared. The answer to CPUID is then computed
// from the feature set, so a feature can never show in one leaf and be missing
// in the interpreter.

// Feature is a bit of CPUID. Its names are QEMU's.
type Feature struct {
	Name    string
	Leaf    uint32
	Subleaf uint32
	Reg     uint8 // 0 EAX, 1 EBX, 2 ECX, 3 EDX
	Bit     uint8
	level   uint8 // 0: base, 1-3: of x86-64-v1 to v3; 4: only in max; 5: only on request
}

// features lists what CPUID can show (SDM volume 2, CPUID). Level 1 is what every
// 64-bit kernel takes for granted.
var features = []Feature{
	{"fpu", 1, 0, 3, 0, 1}, {"vme", 1, 0, 3, 1, 1}, {"de", 1, 0, 3, 2, 1}, {"pse", 1, 0, 3, 3, 1},
	{"tsc", 1, 0, 3, 4, 1}, {"msr", 1, 0, 3, 5, 1}, {"pae", 1, 0, 3, 6, 1}, {"mce", 1, 0, 3, 7, 1},
	{"cx8", 1, 0, 3, 8, 1}, {"apic", 1, 0, 3, 9, 1}, {"sep", 1, 0, 3, 11, 1}, {"mtrr", 1, 0, 3, 12, 1},
	{"pge", 1, 0, 3, 13, 1}, {"mca", 1, 0, 3, 14, 1}, {"cmov", 1, 0, 3, 15, 1}, {"pat", 1, 0, 3, 16, 1},
	{"pse36", 1, 0, 3, 17, 1}, {"clflush", 1, 0, 3, 19, 1}, {"mmx", 1, 0, 3, 23, 1}, {"fxsr", 1, 0, 3, 24, 1},
	{"sse", 1, 0, 3, 25, 1}, {"sse2", 1, 0, 3, 26, 1},
	{"sse3", 1, 0, 2, 0, 2}, {"pclmulqdq", 1, 0, 2, 1, 4}, {"ssse3", 1, 0, 2, 9, 2}, {"fma", 1, 0, 2, 12, 3},
	{"cx16", 1, 0, 2, 13, 2}, {"pcid", 1, 0, 2, 17, 4}, {"sse4.1", 1, 0, 2, 19, 2}, {"sse4.2", 1, 0, 2, 20, 2},
	{"x2apic", 1, 0, 2, 21, 1}, {"movbe", 1, 0, 2, 22, 3}, {"popcnt", 1, 0, 2, 23, 2}, {"tsc-deadline", 1, 0, 2, 24, 1},
	{"aes", 1, 0, 2, 25, 4}, {"xsave", 1, 0, 2, 26, 3}, {"avx", 1, 0, 2, 28, 3}, {"f16c", 1, 0, 2, 29, 3},
	{"rdrand", 1, 0, 2, 30, 4}, {"hypervisor", 1, 0, 2, 31, 1},
	{"arat", 6, 0, 0, 2, 1},
	{"fsgsbase", 7, 0, 1, 0, 4}, {"tsc_adjust", 7, 0, 1, 1, 1}, {"bmi1", 7, 0, 1, 3, 3}, {"avx2", 7, 0, 1, 5, 3},
	{"smep", 7, 0, 1, 7, 4}, {"bmi2", 7, 0, 1, 8, 3}, {"erms", 7, 0, 1, 9, 4}, {"invpcid", 7, 0, 1, 10, 4},
	{"rdseed", 7, 0, 1, 18, 4}, {"adx", 7, 0, 1, 19, 4}, {"smap", 7, 0, 1, 20, 4}, {"clflushopt", 7, 0, 1, 23, 4},
	{"clwb", 7, 0, 1, 24, 4}, {"sha-ni", 7, 0, 1, 29, 4},
	{"umip", 7, 0, 2, 2, 4}, {"rdpid", 7, 0, 2, 22, 4},
	{"fsrm", 7, 0, 3, 4, 4}, {"spec-ctrl", 7, 0, 3, 26, 1}, {"arch-capabilities", 7, 0, 3, 29, 1}, {"ssbd", 7, 0, 3, 31, 1},
	{"xsaveopt", 0xd, 1, 0, 0, 4}, {"xsavec", 0xd, 1, 0, 1, 4}, {"xgetbv1", 0xd, 1, 0, 2, 4}, {"xsaves", 0xd, 1, 0, 3, 4},
	{"lahf-lm", 0x80000001, 0, 2, 0, 2}, {"abm", 0x80000001, 0, 2, 5, 3}, {"3dnowprefetch", 0x80000001, 0, 2, 8, 4},
	{"syscall", 0x80000001, 0, 3, 11, 1}, {"nx", 0x80000001, 0, 3, 20, 1}, {"pdpe1gb", 0x80000001, 0, 3, 26, 4},
	{"rdtscp", 0x80000001, 0, 3, 27, 4}, {"lm", 0x80000001, 0, 3, 29, 1},
	{"wbnoinvd", 0x80000008, 0, 1, 9, 4},
	{"invtsc", 0x80000007, 0, 3, 8, 1},
}

// aliases are other names that people type for features.
var aliases = map[string]string{"sse4_1": "sse4.1", "sse4_2": "sse4.2", "pni": "sse3", "lzcnt": "abm", "sha_ni": "sha-ni", "sha": "sha-ni",
	"lahf_lm": "lahf-lm", "tsc_deadline_timer": "tsc-deadline", "tsc-adjust": "tsc_adjust", "pclmuldq": "pclmulqdq",
	"arch_capabilities": "arch-capabilities", "spec_ctrl": "spec-ctrl", "ospke": "pku", "i64": "lm", "rdctl-no": "arch-capabilities"}

// requires says which features a feature is not shown without.
var requires = map[string]string{
	"sse": "fxsr", "sse2": "sse", "sse3": "sse2", "ssse3": "sse3", "sse4.1": "ssse3", "sse4.2": "sse4.1",
	"aes": "sse2", "pclmulqdq": "sse2", "sha-ni": "sse2",
	"avx": "sse4.2 xsave", "avx2": "avx", "fma": "avx", "f16c": "avx",
	"xsave": "fxsr", "xsaveopt": "xsave", "xsavec": "xsave", "xgetbv1": "xsave", "xsaves": "xsavec",
	"x2apic": "apic", "tsc-deadline": "apic", "arat": "apic",
	"rdtscp": "tsc", "tsc_adjust": "tsc", "invtsc": "tsc",
	"nx": "pae", "lm": "pae", "pcid": "lm", "pdpe1gb": "lm", "syscall": "lm", "lahf-lm": "lm", "fsgsbase": "lm",
}

// Model is a CPU as the guest sees it: what CPUID and the MSRs that go with it
// answer.
type Model struct {
	Name      string
	Vendor    string // 12 bytes
	Brand     string // 48 bytes at most
	Signature uint32 // CPUID.1:EAX
	TSCHz     uint64 // frequency of the TSC, 40 times that of the crystal
	feat      map[string]bool
}

type modelDef struct {
	level     uint8
	signature uint32
	doc       string
}

// The signature is family 6, model 0x8f, which no kernel counts among the parts
// with known weaknesses; what is left IA32_ARCH_CAPABILITIES denies.
var models = map[string]modelDef{
	"x86-64-v1": {1, 0x806f3, "the x86-64 baseline: SSE2"},
	"x86-64-v2": {2, 0x806f3, "x86-64-v2: SSE4.2, POPCNT, CMPXCHG16B"},
	"x86-64-v3": {3, 0x806f3, "x86-64-v3: AVX2, BMI, FMA, MOVBE"},
	"max":       {4, 0x806f3, "everything the engine executes (the default)"},
}

// modelAliases are QEMU's names that mean one of ours.
var modelAliases = map[string]string{"qemu64": "x86-64-v1", "host": "max", "": "max"}

// ModelNames lists the CPU models with a line on each.
func ModelNames() []string {
	var out []string
	for n, d := range models {
		out = append(out, fmt.Sprintf("%-10s %s", n, d.doc))
	}
	sort.Strings(out)
	return out
}

// FeatureNames lists the feature names that a model specification may add or
// take away, by rising name.
func FeatureNames() []string {
	var out []string
	for _, f := range features {
		out = append(out, f.Name)
	}
	sort.Strings(out)
	return out
}

// ParseModel reads QEMU's -cpu argument: a model name, then +feature, -feature,
// feature=on or feature=off, separated by commas. supported says which features
// the engine executes; a feature asked for that is not among them is an error.
// A feature goes, without a word, when one goes that it requires.
func ParseModel(spec string, supported func(feature string) bool) (*Model, error) {
	parts := strings.Split(spec, ",")
	name := parts[0]
	if a, ok := modelAliases[name]; ok {
		name = a
	}
	d, ok := models[name]
	if !ok {
		return nil, fmt.Errorf("no CPU model %q; -cpu help lists them", parts[0])
	}
	m := &Model{Name: name, Vendor: "GenuineIntel", Signature: d.signature, TSCHz: 1_000_000_000, feat: map[string]bool{},
		Brand: "hotblock virtual CPU " + name}
	for _, f := range features {
		if f.level <= d.level && supported(f.Name) {
			m.feat[f.Name] = true
		}
	}
	for _, p := range parts[1:] {
		on, f := true, p
		switch {
		case strings.HasPrefix(p, "+"):
			f = p[1:]
		case strings.HasPrefix(p, "-"):
			f, on = p[1:], false
		case strings.HasSuffix(p, "=on"):
			f = strings.TrimSuffix(p, "=on")
		case strings.HasSuffix(p, "=off"):
			f, on = strings.TrimSuffix(p, "=off"), false
		}
		f = strings.ToLower(f)
		if a, ok := aliases[f]; ok {
			f = a
		}
		known := false
		for _, k := range features {
			known = known || k.Name == f
		}
		switch {
		case !known && !on:
			continue // nothing to take away
		case !known:
			return nil, fmt.Errorf("no CPU feature %q; -cpu help lists them", f)
		case on && !supported(f):
			return nil, fmt.Errorf("CPU feature %q is not implemented by this engine", f)
		}
		m.feat[f] = on
	}
	for again := true; again; {
		again = false
		for f, on := range m.feat {
			for need := range strings.FieldsSeq(requires[f]) {
				if on && !m.feat[need] {
					m.feat[f], again = false, true
				}
			}
		}
	}
	return m, nil
}

// Has reports whether the model has a feature, by its name in the table.
func (m *Model) Has(name string) bool { return m.feat[name] }

// XCR0Mask is the set of state components that XCR0 may enable.
func (m *Model) XCR0Mask() uint64 {
	if m.feat["avx"] {
		return 7
	}
	return 3
}

// CrystalHz is the frequency of the core crystal clock, which drives the LAPIC
// timer, in Hz (CPUID leaf 0x15).
func (m *Model) CrystalHz() uint64 { return m.TSCHz / 40 }

// CPUID answers the instruction for one CPU. osxsave is CR4.OSXSAVE, apicID the
// CPU's initial APIC ID, n the number of CPUs, xcr0 the current XCR0.
func (m *Model) CPUID(leaf, sub uint32, osxsave bool, apicID uint32, n int, xcr0 uint64) (r [4]uint32) {
	const maxBasic, maxExt = 0x16, 0x80000008
	switch {
	case leaf >= 0x40000000 && leaf < 0x40000100:
		if leaf == 0x40000000 {
			return [4]uint32{0x40000000, le32("hotb"), le32("lock"), le32("VM64")}
		}
		return r
	case leaf >= 0x80000000 && leaf <= maxExt:
	case leaf > maxBasic:
		// SDM: beyond the greatest basic leaf, the greatest basic leaf answers.
		leaf = maxBasic
	}
	hasSub := leaf == 7 || leaf == 0xd // of the leaves with features
	for _, f := range features {
		if f.Leaf == leaf && (f.Subleaf == sub || !hasSub) && m.feat[f.Name] {
			r[f.Reg] |= 1 << f.Bit
		}
	}
	switch leaf {
	case 0:
		return [4]uint32{maxBasic, le32(m.Vendor), le32(m.Vendor[8:]), le32(m.Vendor[4:])}
	case 1:
		r[0] = m.Signature
		r[1] = apicID<<24 | uint32(min(n, 255))<<16 | 8<<8
		if n > 1 {
			r[3] |= 1 << 28
		}
		if osxsave {
			r[2] |= 1 << 27
		}
	case 2:
		return [4]uint32{0x00feff01, 0, 0, 0} // use leaf 4
	case 4:
		caches := [][4]uint32{
			{1<<5 | 1 | 1<<8, 11<<22 | 63, 63, 0},
			{1<<5 | 2 | 1<<8, 7<<22 | 63, 63, 0},
			{2<<5 | 3 | 1<<8, 15<<22 | 63, 2047, 0},
			{3<<5 | 3 | 1<<8, 15<<22 | 63, 32767, 4},
		}
		if sub < uint32(len(caches)) {
			r = caches[sub]
			r[0] |= uint32(n-1) << 26
			if sub == 3 {
				r[0] |= uint32(n-1) << 14
			}
		}
	case 0xb:
		bits := uint32(0)
		for 1<<bits < n {
			bits++
		}
		r = [4]uint32{0, 0, sub, apicID}
		switch sub {
		case 0:
			r[1], r[2] = 1, 1<<8
		case 1:
			r[0], r[1], r[2] = bits, uint32(n), 1|2<<8
		}
	case 0xd:
		if !m.feat["xsave"] {
			return [4]uint32{}
		}
		switch sub {
		case 0:
			r[0] = uint32(m.XCR0Mask())
			r[1], r[2] = 576, 576
			if m.feat["avx"] {
				r[2] = 832
			}
			if xcr0&4 != 0 {
				r[1] = 832
			}
		case 1:
			r[1] = 576
			if xcr0&4 != 0 {
				r[1] = 832
			}
			if !m.feat["xsavec"] && !m.feat["xsaves"] {
				r[1] = 0
			}
		case 2:
			if m.feat["avx"] {
				r[0], r[1] = 256, 576
			}
		}
	case 0x15:
		r = [4]uint32{1, 40, uint32(m.CrystalHz()), 0}
	case 0x16:
		mhz := uint32(m.TSCHz / 1_000_000)
		r = [4]uint32{mhz, mhz, 100, 0}
	case 0x80000000:
		r = [4]uint32{maxExt, 0, 0, 0}
	case 0x80000002, 0x80000003, 0x80000004:
		b := make([]byte, 48)
		copy(b, m.Brand)
		b = b[(leaf-0x80000002)*16:]
		for i := range r {
			r[i] = le32(string(b[4*i:]))
		}
	case 0x80000006:
		r[2] = 64 | 6<<12 | 2048<<16
	case 0x80000008:
		r[0] = PhysBits | LinBits<<8
	}
	return r
}

// Widths of physical and linear addresses in bits.
const (
	PhysBits = 40
	LinBits  = 48
)

// ArchCapabilities is IA32_ARCH_CAPABILITIES: the CPU says that it has none of
// the known weaknesses, so that guests do without costly work-arounds (SDM
// volume 4, table 2-2; bits RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO,
// PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO,
// RFDS_NO, ITS_NO).
const ArchCapabilities = 1<<0 | 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<8 | 1<<13 | 1<<14 | 1<<15 | 1<<20 | 1<<24 | 1<<26 | 1<<27 | 1<<62

func le32(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}
