package boot

import (
	"testing"
)

// fuzzRAM is large enough for kernels at 16 MiB.
const fuzzRAM = 24 << 20

func seeds(f *testing.F) {
	for _, how := range []string{"gzip", "xz", "zstd", "lzma", "lzo"} {
		f.Add(buildBzImage(pack(f, how, kernelELF(0))))
	}
	f.Add(kernelELF(0))
	f.Add(buildELF(32, 3, 0x100000, seg{typ: ptLoad, paddr: 0x100000, data: multibootHead(3)}))
	f.Add(append(multibootHead(mbAddresses, 0x200000, 0x200000, 0, 0, 0x200020), "code"...))
	f.Add(buildELF(64, 62, 0x100000, seg{typ: ptLoad, paddr: 0x100000, data: make([]byte, 100)},
		seg{typ: ptNote, data: note("Xen", xenNotePhys32, le.AppendUint32(nil, 0x100000))}))
}

// FuzzLoad puts arbitrary files through every loader: they end in an entry
// inside RAM or in an error.
func FuzzLoad(f *testing.F) {
	seeds(f)
	m := newMem(f, fuzzRAM)
	f.Fuzz(func(t *testing.T, img []byte) {
		e, err := Load(Params{Mem: m, RAM: fuzzRAM, KernelData: img, InitrdData: []byte("initrd"), Cmdline: "a=b"})
		switch {
		case err == nil && e.IP >= fuzzRAM:
			t.Errorf("%s entry at %#x lies outside RAM", e.Protocol, e.IP)
		case err == nil && e.Mode == Real16:
			t.Errorf("%s entry in real mode", e.Protocol)
		}
	})
}

func FuzzSetupHeader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, img []byte) {
		h, err := parseSetup("fuzz", img)
		if h == nil || err != nil {
			return
		}
		if len(h.raw) > hdrEndMax-hdrSetupSects || len(h.code) > len(img) || len(h.payload) > len(h.code) {
			t.Errorf("header of %d, code of %d, payload of %d bytes in a file of %d", len(h.raw), len(h.code), len(h.payload), len(img))
		}
	})
}

func FuzzELF(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, img []byte) {
		e, err := parseELF("fuzz", img)
		if err != nil {
			return
		}
		if lo, hi, ok := e.extent(); ok && lo >= hi {
			t.Errorf("extent %#x-%#x", lo, hi)
		}
		pvhNote(e)
	})
}

func FuzzPVHNote(f *testing.F) {
	f.Add(note("Xen", xenNotePhys32, []byte{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &elfFile{segs: []elfSegment{{typ: ptNote, data: data}}}
		total := 0
		e.notes(func(name string, _ uint32, desc []byte) bool {
			total += 12 + len(name) + len(desc)
			return true
		})
		if total > len(data) {
			t.Errorf("notes of %d bytes in %d", total, len(data))
		}
		if _, os, _ := pvhNote(e); len(os) > 32 {
			t.Errorf("name of %d bytes", len(os))
		}
	})
}

func FuzzMultiboot(f *testing.F) {
	seeds(f)
	m := newMem(f, fuzzRAM)
	f.Fuzz(func(t *testing.T, img []byte) {
		h := findMultiboot(img)
		if h == nil {
			return
		}
		p := Params{Mem: m, RAM: fuzzRAM, E820: DefaultE820(fuzzRAM), Kernel: "fuzz"}
		if e, err := loadMultiboot(&p, newPlacer(m, p.E820), img, h); e != nil && err == nil && e.IP >= fuzzRAM {
			t.Errorf("entry at %#x lies outside RAM", e.IP)
		}
	})
}
