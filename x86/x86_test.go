package x86

import (
	"strings"
	"testing"
)

func all(string) bool { return true }

func parse(t *testing.T, spec string) *Model {
	t.Helper()
	m, err := ParseModel(spec, all)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParseModel(t *testing.T) {
	for _, c := range []struct {
		spec     string
		has, not string
	}{
		{"", "sse2 avx2 sha-ni pcid", ""},
		{"max", "sse2 avx2 sha-ni pcid", ""},
		{"host", "avx2", ""},
		{"qemu64", "sse2 lm nx syscall", "sse3 avx popcnt rdrand"},
		{"x86-64-v1", "sse2 cx8 fxsr", "sse3 cx16 lahf-lm"},
		{"x86-64-v2", "sse4.2 popcnt cx16 lahf-lm ssse3", "avx movbe xsave aes"},
		{"x86-64-v3", "avx2 bmi1 bmi2 f16c fma abm movbe xsave", "aes sha-ni pcid"},
		{"x86-64-v1,+aes", "aes", "avx"},
		{"x86-64-v2,+PNI,sse4_2=on,popcnt=off", "sse3 sse4.2", "popcnt"},
		{"max,-avx", "sse4.2 xsave", "avx avx2 fma f16c"},
		{"max,xsave=off", "sse4.2", "xsave xsaveopt xsavec xsaves xgetbv1 avx avx2 fma f16c"},
		{"max,-sse2", "sse", "sse2 sse3 ssse3 sse4.1 sse4.2 avx avx2 aes pclmulqdq sha-ni"},
		{"max,-fxsr", "fpu mmx", "sse sse4.2 xsave avx2"},
		{"x86-64-v1,+avx2", "sse2", "avx2"}, // nothing to stand on
		{"max,-lm", "pae", "lm pcid syscall"},
		{"max,-svm", "avx2", "svm"}, // not there to begin with
	} {
		m := parse(t, c.spec)
		for f := range strings.FieldsSeq(c.has) {
			if !m.Has(f) {
				t.Errorf("%q has no %s", c.spec, f)
			}
		}
		for f := range strings.FieldsSeq(c.not) {
			if m.Has(f) {
				t.Errorf("%q has %s", c.spec, f)
			}
		}
	}
	for spec, want := range map[string]string{
		"pentium":      `"pentium"`,
		"max,+foo":     `"foo"`,
		"max,avx2=yes": `"avx2=yes"`,
	} {
		_, err := ParseModel(spec, all)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not name %s", spec, err, want)
		}
	}
	noAES := func(f string) bool { return f != "aes" }
	if m, err := ParseModel("max", noAES); err != nil || m.Has("aes") {
		t.Errorf("a feature that the engine has not: %v", err)
	}
	if _, err := ParseModel("max,+aes", noAES); err == nil || !strings.Contains(err.Error(), `"aes"`) {
		t.Errorf("asking for a feature that the engine has not: %v", err)
	}
}

// TestFeatureTable checks that the tables of features agree with each other.
func TestFeatureTable(t *testing.T) {
	at := map[Feature]string{}
	names := map[string]bool{}
	for _, f := range features {
		where := Feature{Leaf: f.Leaf, Subleaf: f.Subleaf, Reg: f.Reg, Bit: f.Bit}
		if at[where] != "" {
			t.Errorf("%s and %s are one bit", f.Name, at[where])
		}
		if names[f.Name] {
			t.Errorf("%s is listed twice", f.Name)
		}
		at[where], names[f.Name] = f.Name, true
	}
	for f, needs := range requires {
		for n := range strings.FieldsSeq(f + " " + needs) {
			if !names[n] {
				t.Errorf("requires names %q", n)
			}
		}
	}
	for a, f := range aliases {
		if names[a] {
			t.Errorf("the alias %q is a name", a)
		}
		if !names[f] && f != "pku" {
			t.Errorf("the alias %q is for %q, which there is not", a, f)
		}
	}
	// A level's features stand on features of the same level or lower.
	level := map[string]uint8{}
	for _, f := range features {
		level[f.Name] = f.level
	}
	for f, needs := range requires {
		for n := range strings.FieldsSeq(needs) {
			if level[n] > level[f] {
				t.Errorf("%s, of level %d, requires %s, of level %d", f, level[f], n, level[n])
			}
		}
	}
}

func cpuid(m *Model, leaf, sub uint32) [4]uint32 { return m.CPUID(leaf, sub, false, 0, 1, 1) }

// TestCPUIDFeatures checks that a feature that is taken away is gone from its
// bit and nothing else changes but what requires it.
func TestCPUIDFeatures(t *testing.T) {
	full := parse(t, "max")
	for _, f := range features {
		m := parse(t, "max,-"+f.Name)
		for _, g := range features {
			bit := cpuid(m, g.Leaf, g.Subleaf)[g.Reg]>>g.Bit&1 != 0
			if g.Leaf == 0xd && !m.Has("xsave") {
				bit = m.Has(g.Name)
			}
			if bit != m.Has(g.Name) {
				t.Errorf("without %s: %s is %v in CPUID, %v in the model", f.Name, g.Name, bit, m.Has(g.Name))
			}
			if !full.Has(g.Name) {
				t.Errorf("max has no %s", g.Name)
			}
		}
	}
}

func TestCPUIDLeaves(t *testing.T) {
	m := parse(t, "max")
	r := cpuid(m, 0, 0)
	text := func(v ...uint32) string {
		var b []byte
		for _, x := range v {
			b = append(b, byte(x), byte(x>>8), byte(x>>16), byte(x>>24))
		}
		return string(b)
	}
	if got := text(r[1], r[3], r[2]); got != "GenuineIntel" {
		t.Errorf("vendor %q", got)
	}
	// Beyond the last basic leaf, the last one answers (SDM volume 2, CPUID).
	last := cpuid(m, r[0], 0)
	for _, leaf := range []uint32{r[0] + 1, 0x7fffffff, 0x80000009, 0xffffffff} {
		if cpuid(m, leaf, 0) != last {
			t.Errorf("leaf %#x is not as leaf %#x", leaf, r[0])
		}
	}
	brand := ""
	for l := uint32(0x80000002); l <= 0x80000004; l++ {
		b := cpuid(m, l, 0)
		brand += text(b[:]...)
	}
	if got := strings.TrimRight(brand, "\x00"); got != m.Brand || len(got) > 47 {
		t.Errorf("brand %q, want %q", got, m.Brand)
	}
	if r := cpuid(m, 0x80000000, 0); r[0] != 0x80000008 {
		t.Errorf("last extended leaf %#x", r[0])
	}
	if r := cpuid(m, 0x80000008, 0); r[0]&0xff != PhysBits || r[0]>>8&0xff != LinBits {
		t.Errorf("address widths %#x", r[0])
	}
	if r := cpuid(m, 1, 0); r[0] != m.Signature || r[2]>>27&1 != 0 {
		t.Errorf("leaf 1: %#x", r)
	}
	if r := m.CPUID(1, 0, true, 5, 1, 1); r[2]>>27&1 != 1 || r[1]>>24 != 5 {
		t.Errorf("leaf 1 with OSXSAVE and APIC ID 5: %#x", r)
	}
	// The TSC's frequency is crystal times ratio, and what leaf 0x16 says.
	r = cpuid(m, 0x15, 0)
	if hz := uint64(r[2]) * uint64(r[1]) / uint64(r[0]); hz != m.TSCHz || uint64(r[2]) != m.CrystalHz() {
		t.Errorf("leaf 0x15: %d Hz", hz)
	}
	if r := cpuid(m, 0x16, 0); uint64(r[0])*1e6 != m.TSCHz {
		t.Errorf("leaf 0x16: %d MHz", r[0])
	}
	// Caches: leaf 4 ends, and each is ways*partitions*line*sets large.
	sizes := []uint32{48 << 10, 32 << 10, 2 << 20, 32 << 20}
	for i := uint32(0); ; i++ {
		r := cpuid(m, 4, i)
		if r[0]&31 == 0 {
			if int(i) != len(sizes) {
				t.Errorf("%d caches", i)
			}
			break
		}
		if size := (r[1]>>22 + 1) * (r[1]>>12&0x3ff + 1) * (r[1]&0xfff + 1) * (r[2] + 1); size != sizes[i] {
			t.Errorf("cache %d has %d KiB, want %d", i, size>>10, sizes[i]>>10)
		}
	}
}

// TestCPUIDXSave checks leaf 0xd against itself: the size of the save area is
// the end of its last component.
func TestCPUIDXSave(t *testing.T) {
	for _, spec := range []string{"max", "max,-avx", "max,-xsave", "max,-xsaves,-xsavec"} {
		m := parse(t, spec)
		if !m.Has("xsave") {
			for sub := range uint32(4) {
				if r := cpuid(m, 0xd, sub); r != [4]uint32{} {
					t.Errorf("%s: leaf 0xd.%d is %#x", spec, sub, r)
				}
			}
			continue
		}
		if mask := uint64(cpuid(m, 0xd, 0)[0]); mask != m.XCR0Mask() || mask&4 != 0 != m.Has("avx") {
			t.Errorf("%s: components %#x", spec, mask)
		}
		size := func(xcr0 uint64) uint32 {
			end := uint32(576)
			for i := range uint32(61) {
				if xcr0>>(i+2)&1 != 0 {
					r := cpuid(m, 0xd, i+2)
					end = max(end, r[0]+r[1])
				}
			}
			return end
		}
		for _, xcr0 := range []uint64{1, 3, m.XCR0Mask()} {
			r := m.CPUID(0xd, 0, true, 0, 1, xcr0)
			if r[1] != size(xcr0) || r[2] != size(m.XCR0Mask()) {
				t.Errorf("%s: XCR0 %d: sizes %d and %d, want %d and %d", spec, xcr0, r[1], r[2], size(xcr0), size(m.XCR0Mask()))
			}
			want := size(xcr0)
			if !m.Has("xsavec") && !m.Has("xsaves") {
				want = 0
			}
			if r := m.CPUID(0xd, 1, true, 0, 1, xcr0); r[1] != want {
				t.Errorf("%s: XCR0 %d: compacted size %d, want %d", spec, xcr0, r[1], want)
			}
		}
	}
}

// TestCPUIDTopology checks that leaf 0xb can tell every CPU from every other.
func TestCPUIDTopology(t *testing.T) {
	m := parse(t, "max")
	for _, n := range []int{1, 2, 3, 4, 5, 8, 255} {
		r := m.CPUID(0xb, 1, false, uint32(n-1), n, 1)
		if r[1] != uint32(n) || r[2]>>8&0xff != 2 || r[2]&0xff != 1 || r[3] != uint32(n-1) {
			t.Errorf("%d CPUs: leaf 0xb.1 is %#x", n, r)
		}
		if uint32(n-1)>>r[0] != 0 || n > 1 && uint32(n-1)>>(r[0]-1) == 0 {
			t.Errorf("%d CPUs: %d bits of APIC ID", n, r[0])
		}
		if r := m.CPUID(0xb, 2, false, 3, n, 1); r[0]|r[1] != 0 || r[2] != 2 || r[3] != 3 {
			t.Errorf("%d CPUs: leaf 0xb.2 is %#x", n, r)
		}
		if r := m.CPUID(1, 0, false, 0, n, 1); (r[3]>>28&1 != 0) != (n > 1) || r[1]>>16&0xff != uint32(n) {
			t.Errorf("%d CPUs: leaf 1 is %#x", n, r)
		}
	}
}

// TestArchCapabilities checks the bits against their names in the SDM.
func TestArchCapabilities(t *testing.T) {
	names := map[int]string{0: "RDCL_NO", 1: "IBRS_ALL", 3: "SKIP_L1DFL_VMENTRY", 4: "SSB_NO", 5: "MDS_NO", 6: "PSCHANGE_MC_NO", 8: "TAA_NO",
		13: "SBDR_SSDP_NO", 14: "FBSDP_NO", 15: "PSDP_NO", 20: "BHI_NO", 24: "PBRSB_NO", 26: "GDS_NO", 27: "RFDS_NO", 62: "ITS_NO"}
	for i := range 64 {
		if (uint64(ArchCapabilities)>>i&1 != 0) != (names[i] != "") {
			t.Errorf("bit %d, %q, is %d", i, names[i], uint64(ArchCapabilities)>>i&1)
		}
	}
}

// TestPowerOn compares the state with the column for RESET of table 9-1.
func TestPowerOn(t *testing.T) {
	var s State
	for i := range s.R {
		s.R[i] = 0x55
	}
	s.CR4, s.EFER, s.TSCAdjust, s.Halted, s.NMIMasked = 1, 1, 1, true, true
	s.PowerOn(0x806f3)
	check := func(name string, got, want uint64) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %#x, want %#x", name, got, want)
		}
	}
	for i := range 16 {
		want := uint64(0)
		if i == RDX {
			want = 0x806f3
		}
		check("a general register", s.R[i], want)
	}
	check("RIP", s.RIP, 0xfff0)
	check("RFLAGS", s.Flags, 0)
	check("CR0", s.CR0, 0x60000010)
	check("CR2, CR3, CR4, EFER", s.CR2|s.CR3|s.CR4|s.EFER, 0)
	check("CS", uint64(s.Seg[CS].Sel), 0xf000)
	check("CS base", s.Seg[CS].Base, 0xffff0000)
	check("CS base as it is added", s.R[RSeg+CS], 0xffff0000)
	check("CS access", uint64(s.Seg[CS].Attr), 0x9b)
	for _, i := range []int{ES, SS, DS, FS, GS} {
		if s.Seg[i] != (Segment{Limit: 0xffff, Attr: 0x93}) {
			t.Errorf("segment %d is %+v", i, s.Seg[i])
		}
	}
	if s.LDTR != (Segment{Limit: 0xffff, Attr: 0x82}) || s.TR != (Segment{Limit: 0xffff, Attr: 0x8b}) {
		t.Errorf("LDTR %+v, TR %+v", s.LDTR, s.TR)
	}
	if s.GDTR != (Table{Limit: 0xffff}) || s.IDTR != (Table{Limit: 0xffff}) {
		t.Errorf("GDTR %+v, IDTR %+v", s.GDTR, s.IDTR)
	}
	check("DR6", s.DR[6], 0xffff0ff0)
	check("DR7", s.DR[7], 0x400)
	check("XCR0", s.XCR0, 1)
	check("FCW", uint64(s.FCW), 0x40)
	check("FSW", uint64(s.FSW), 0)
	check("FTW", uint64(s.FTW), 0xff) // 5555H: no register is empty
	check("MXCSR", uint64(s.MXCSR), 0x1f80)
	check("PAT", s.PAT, 0x0007040600070406)
	check("IA32_TSC_ADJUST", s.TSCAdjust, 0)
	check("IA32_MTRR_DEF_TYPE", s.MTRRDefType, 0)
	if s.Halted || s.NMIMasked || s.CPL != 0 {
		t.Error("halted, NMIs masked or not at level 0")
	}
}
