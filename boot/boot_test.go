package boot

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"hotblock/boot/fetch/fetchtest"
	"hotblock/mmu"
)

var le = binary.LittleEndian

func newMem(t testing.TB, ram uint64) *mmu.Memory {
	t.Helper()
	b, err := mmu.NewBlock("ram", ram)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Free)
	var m mmu.Memory
	m.Map(mmu.Region{Name: "ram", Size: ram, Blk: b})
	return &m
}

func read(m *mmu.Memory, pa uint64, n int) []byte {
	b := make([]byte, n)
	m.Read(pa, b)
	return b
}

func cstring(m *mmu.Memory, pa uint64) string {
	s, _, _ := strings.Cut(string(read(m, pa, 4096)), "\x00")
	return s
}

type seg struct {
	typ          uint32
	vaddr, paddr uint64
	data         []byte
	memsz        uint64
}

// buildELF makes an ELF file for x86, of 32 or 64 bits.
func buildELF(bits int, machine uint16, entry uint64, segs ...seg) []byte {
	var b []byte
	ehsize, phsize := 64, 56
	if bits == 32 {
		ehsize, phsize = 52, 32
	}
	b = append(b, "\x7fELF"...)
	b = append(b, byte(bits/32), 1, 1, 0)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	word := func(v uint64) {
		if bits == 32 {
			b = le.AppendUint32(b, uint32(v))
		} else {
			b = le.AppendUint64(b, v)
		}
	}
	word(entry)
	word(uint64(ehsize))
	word(0)
	b = le.AppendUint32(b, 0)
	for _, v := range []int{ehsize, phsize, len(segs), 0, 0, 0} {
		b = le.AppendUint16(b, uint16(v))
	}
	off := uint64(ehsize + phsize*len(segs))
	for _, s := range segs {
		memsz := max(s.memsz, uint64(len(s.data)))
		b = le.AppendUint32(b, s.typ)
		if bits == 64 {
			b = le.AppendUint32(b, 7)
		}
		word(off)
		word(s.vaddr)
		word(s.paddr)
		word(uint64(len(s.data)))
		word(memsz)
		if bits == 32 {
			b = le.AppendUint32(b, 7)
		}
		word(16)
		off += uint64(len(s.data))
	}
	for _, s := range segs {
		b = append(b, s.data...)
	}
	return b
}

func note(name string, typ uint32, desc []byte) []byte {
	var b []byte
	b = le.AppendUint32(b, uint32(len(name)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, typ)
	b = append(append(b, name...), 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b = append(b, desc...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// buildBzImage makes a bzImage of protocol 2.15 around a payload.
func buildBzImage(payload []byte) []byte {
	const sects, payloadAt = 3, 0x400
	b := make([]byte, (sects+1)*512+payloadAt)
	b[hdrSetupSects] = sects
	le.PutUint16(b[hdrBootFlag:], 0xaa55)
	b[hdrJump], b[hdrJump+1] = 0xeb, 0x6a
	copy(b[hdrMagic:], "HdrS")
	le.PutUint16(b[hdrVersion:], 0x020f)
	b[hdrLoadFlags] = loadedHigh | canUseHeap
	le.PutUint32(b[hdrCode32:], 0x100000)
	le.PutUint32(b[hdrInitrdMax:], 0x7fffffff)
	b[hdrRelocatable] = 1
	le.PutUint16(b[hdrXLoadFlags:], xlfKernel64|xlfAbove4G)
	le.PutUint32(b[hdrCmdlineSize:], 2047)
	le.PutUint32(b[hdrPayload:], payloadAt)
	le.PutUint32(b[hdrPayloadLen:], uint32(len(payload)))
	le.PutUint64(b[hdrPrefAddress:], 0x1000000)
	le.PutUint32(b[hdrInitSize:], 0x200000)
	b = append(b, payload...)
	for (len(b)-(sects+1)*512)%16 != 0 {
		b = append(b, 0)
	}
	le.PutUint32(b[hdrSysSize:], uint32(len(b)-(sects+1)*512)/16)
	return b
}

func pack(t testing.TB, how string, in []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	switch how {
	case "gzip":
		w := gzip.NewWriter(&out)
		w.Write(in)
		check(w.Close())
		return out.Bytes() // its own last word is the size
	case "xz":
		w, err := xz.WriterConfig{CheckSum: xz.CRC32}.NewWriter(&out)
		check(err)
		w.Write(in)
		check(w.Close())
	case "lzma":
		w, err := lzma.NewWriter(&out)
		check(err)
		w.Write(in)
		check(w.Close())
	case "zstd":
		w, err := zstd.NewWriter(&out)
		check(err)
		w.Write(in)
		check(w.Close())
	case "lz4":
		out.WriteString("\x02\x21\x4c\x18")
		for len(in) > 0 {
			n := min(len(in), 8<<20)
			dst := make([]byte, lz4.CompressBlockBound(n))
			var c lz4.Compressor
			k, err := c.CompressBlock(in[:n], dst)
			check(err)
			out.Write(le.AppendUint32(nil, uint32(k)))
			out.Write(dst[:k])
			in = in[n:]
		}
		return le.AppendUint32(out.Bytes(), uint32(8<<20+5000+64+56))
	case "lzo":
		out.WriteString("\x89LZO and so on, and on")
	}
	return le.AppendUint32(out.Bytes(), uint32(len(in)))
}

func kernelELF(extra int) []byte {
	code := append([]byte("kernel code"), make([]byte, 5000+extra)...)
	return buildELF(64, 62, 0x1000000, seg{typ: ptLoad, vaddr: 0xffffffff81000000, paddr: 0x1000000, data: code, memsz: uint64(len(code)) + 8192})
}

func TestLinuxPayloads(t *testing.T) {
	for _, how := range []string{"gzip", "xz", "lzma", "zstd", "lz4"} {
		t.Run(how, func(t *testing.T) {
			m := newMem(t, 64<<20)
			// Old contents show whether bss is cleared.
			m.Write(0x1000000, bytes.Repeat([]byte{0xaa}, 32<<10))
			extra := 0
			if how == "lz4" {
				extra = 8<<20 - 11 // more than one block
			}
			initrd := bytes.Repeat([]byte("initrd"), 1000)
			e, err := Load(Params{Mem: m, RAM: 64 << 20, RSDP: 0xe0010, VGAText: true, Kernel: "vmlinuz",
				KernelData: buildBzImage(pack(t, how, kernelELF(extra))), InitrdData: initrd,
				Cmdline: "console=ttyS0 quiet", CmdlineLinux: "quiet cryptomgr.notests"})
			if err != nil {
				t.Fatal(err)
			}
			if e.Mode != Long64 || e.IP != 0x1000000 || e.GPR[SI] != structAt {
				t.Errorf("entry %v at %#x, RSI %#x", e.Mode, e.IP, e.GPR[SI])
			}
			if got := read(m, 0x1000000, 11); string(got) != "kernel code" {
				t.Errorf("kernel in memory is %q", got)
			}
			if got := read(m, 0x1000000+uint64(5011+extra), 8192); !bytes.Equal(got, make([]byte, 8192)) {
				t.Error("bss is not clear")
			}
			bp := read(m, structAt, bpSize)
			if bp[hdrLoader] != 0xff || bp[hdrLoadFlags]&canUseHeap != 0 || bp[0x1ef] != 0 {
				t.Errorf("loader %#x, flags %#x, sentinel %#x", bp[hdrLoader], bp[hdrLoadFlags], bp[0x1ef])
			}
			if string(bp[hdrMagic:hdrMagic+4]) != "HdrS" {
				t.Error("setup header is not copied")
			}
			if got := cstring(m, uint64(le.Uint32(bp[hdrCmdline:]))); got != "console=ttyS0 quiet cryptomgr.notests" {
				t.Errorf("command line %q", got)
			}
			at := uint64(le.Uint32(bp[hdrRamdisk:]))
			if n := le.Uint32(bp[hdrRamdiskSize:]); int(n) != len(initrd) || at%4096 != 0 || at != 64<<20-8192 {
				t.Errorf("initrd of %d bytes at %#x", n, at)
			}
			if !bytes.Equal(read(m, at, len(initrd)), initrd) {
				t.Error("initrd in memory differs")
			}
			if le.Uint64(bp[bpRSDP:]) != 0xe0010 || bp[bpVideoCols] != 80 {
				t.Error("RSDP or screen_info is wrong")
			}
			if bp[bpE820Entries] != 4 || le.Uint64(bp[bpE820+60:]) != 1<<20 || le.Uint64(bp[bpE820+68:]) != 63<<20 || le.Uint32(bp[bpE820+76:]) != E820RAM {
				t.Errorf("e820: % x", bp[bpE820:bpE820+80])
			}
		})
	}
}

// TestLongModeTables walks the page tables and decodes the GDT as a CPU does.
func TestLongModeTables(t *testing.T) {
	m := newMem(t, 64<<20)
	e, err := Load(Params{Mem: m, RAM: 64 << 20, Kernel: "vmlinux", KernelData: kernelELF(0)})
	if err != nil {
		t.Fatal(err)
	}
	const pg, pae, lme, lma = 1 << 31, 1 << 5, 1 << 8, 1 << 10
	if e.CR0&(pg|1) != pg|1 || e.CR4&pae == 0 || e.EFER&(lme|lma) != lme|lma || e.Flags != 2 {
		t.Errorf("CR0 %#x CR4 %#x EFER %#x flags %#x", e.CR0, e.CR4, e.EFER, e.Flags)
	}
	for _, va := range []uint64{0, 0x7123, 0x1000000, 0x3fffffff, 0x40000000, 0xfee00000, 0xffffffff} {
		pml4e := m.ReadUint(e.CR3+8*(va>>39&511), 8)
		pdpte := m.ReadUint(pml4e&^0xfff+8*(va>>30&511), 8)
		pde := m.ReadUint(pdpte&^0xfff+8*(va>>21&511), 8)
		if pml4e&3 != 3 || pdpte&3 != 3 || pde&0x83 != 0x83 || pde&^0x1fffff|va&0x1fffff != va {
			t.Errorf("%#x: %#x %#x %#x", va, pml4e, pdpte, pde)
		}
	}
	for _, s := range []Segment{e.CS, e.Data} {
		d := m.ReadUint(e.GDT.Base+uint64(s.Selector), 8)
		if uint16(d>>40)&0xf0ff != s.Access || d&0xffff != 0xffff || d>>48&0xf != 0xf || d&0xffffff0000 != 0 {
			t.Errorf("descriptor %#x for %+v", d, s)
		}
	}
	if e.CS.Access&(1<<13) == 0 {
		t.Error("CS.L is clear")
	}
	if int(e.GDT.Limit) < int(e.TR.Selector)+7 {
		t.Error("TR lies beyond the GDT")
	}
}

func TestPackedLinux(t *testing.T) {
	m := newMem(t, 64<<20)
	var said []string
	img := buildBzImage(pack(t, "lzo", nil))
	p := Params{Mem: m, RAM: 64 << 20, Kernel: "vmlinuz", KernelData: img, CmdlineLinux: "x",
		Log: func(f string, _ ...any) { said = append(said, f) }}
	e, err := Load(p)
	if err != nil {
		t.Fatal(err)
	}
	if e.Mode != Long64 || e.IP != 0x100200 || len(said) != 1 {
		t.Errorf("entry %v at %#x, said %q", e.Mode, e.IP, said)
	}
	if !bytes.Equal(read(m, 0x100000, 1000), img[2048:3048]) {
		t.Error("protected-mode code in memory differs")
	}
	le.PutUint16(img[hdrXLoadFlags:], 0)
	if e, err = Load(p); err != nil || e.Mode != Protected32 || e.IP != 0x100000 || e.CR0 != 0x11 {
		t.Errorf("32-bit entry: %+v, %v", e, err)
	}
	// A program that borrows the header, as memtest86+ does, is not Linux.
	le.PutUint32(img[hdrPayloadLen:], 0)
	if e, err = Load(p); err != nil || cstring(m, cmdlineAt) != "" {
		t.Errorf("%v, %v, command line %q", e, err, cstring(m, cmdlineAt))
	}
}

func TestPVH(t *testing.T) {
	m := newMem(t, 64<<20)
	img := buildELF(64, 62, 0xffffffff80200000,
		seg{typ: ptLoad, vaddr: 0xffffffff80200000, paddr: 0x200000, data: []byte("pvh kernel")},
		seg{typ: ptNote, data: append(note("Xen", xenNoteGuestOS, []byte("TestOS\x00")), note("Xen", xenNotePhys32, le.AppendUint64(nil, 0x200004))...)})
	e, err := Load(Params{Mem: m, RAM: 64 << 20, RSDP: 0xe0000, KernelData: img, InitrdData: []byte("module"), Cmdline: "a b", CmdlineLinux: "no"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Mode != Protected32 || e.IP != 0x200004 || e.CR0 != 0x11 || e.CR4 != 0 || e.TR.Limit != 0x67 {
		t.Errorf("%+v", e)
	}
	info := read(m, e.GPR[BX], hvmInfoSize)
	if le.Uint32(info) != hvmMagic || le.Uint32(info[4:]) != 1 || le.Uint32(info[12:]) != 1 || le.Uint64(info[32:]) != 0xe0000 {
		t.Errorf("start_info % x", info)
	}
	if got := cstring(m, le.Uint64(info[24:])); got != "a b" {
		t.Errorf("command line %q", got)
	}
	mod := read(m, le.Uint64(info[16:]), 32)
	if got := read(m, le.Uint64(mod), int(le.Uint64(mod[8:]))); string(got) != "module" {
		t.Errorf("module %q", got)
	}
	mmap, n := le.Uint64(info[40:]), le.Uint32(info[48:])
	if last := read(m, mmap+24*uint64(n-1), 24); le.Uint64(last) != 1<<20 || le.Uint64(last[8:]) != 63<<20 || le.Uint32(last[16:]) != 1 {
		t.Errorf("memory map's last entry % x", last)
	}
}

// TestLinuxPrefersItsOwnEntry: Linux carries a PVH note too.
func TestLinuxPrefersItsOwnEntry(t *testing.T) {
	m := newMem(t, 64<<20)
	img := buildELF(64, 62, 0x1000000, seg{typ: ptLoad, paddr: 0x1000000, data: make([]byte, 4096)},
		seg{typ: ptNote, data: append(note("Xen", xenNotePhys32, le.AppendUint64(nil, 0x1000010)), note("Xen", xenNoteGuestOS, []byte("linux\x00"))...)})
	e, err := Load(Params{Mem: m, RAM: 64 << 20, KernelData: img})
	if err != nil || e.Mode != Long64 || e.IP != 0x1000000 {
		t.Errorf("%+v, %v", e, err)
	}
}

func multibootHead(flags uint32, fields ...uint32) []byte {
	b := le.AppendUint32(nil, mbMagic)
	b = le.AppendUint32(b, flags)
	b = le.AppendUint32(b, -(mbMagic + flags))
	for _, f := range fields {
		b = le.AppendUint32(b, f)
	}
	return b
}

func TestMultiboot(t *testing.T) {
	dir := t.TempDir()
	mod := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, two := mod("one", "first"), mod("t,wo", strings.Repeat("second", 1000))
	initrd := one + " a=1 b," + strings.ReplaceAll(two, ",", ",,")

	body := append(multibootHead(mbPageAlign|mbMemInfo), "code"...)
	images := map[string]struct {
		img   []byte
		entry uint64
		code  uint64
	}{
		"ELF": {buildELF(32, 3, 0x10000c, seg{typ: ptLoad, vaddr: 0x100000, paddr: 0x100000, data: body, memsz: 8192}), 0x10000c, 0x10000c},
		"ELF linked high": {buildELF(32, 3, 0xc010000c, seg{typ: ptLoad, vaddr: 0xc0100000, paddr: 0x100000, data: body}),
			0x10000c, 0x10000c},
		"flat": {append(make([]byte, 16), append(multibootHead(mbAddresses, 0x200010, 0x200000, 0, 0x204000, 0x200030), "code"...)...),
			0x200030, 0x200030},
	}
	for name, x := range images {
		t.Run(name, func(t *testing.T) {
			m := newMem(t, 32<<20)
			e, err := Load(Params{Mem: m, RAM: 32 << 20, Kernel: "kernel.bin", KernelData: x.img, Initrd: initrd, Cmdline: "x=y"})
			if err != nil {
				t.Fatal(err)
			}
			if e.Mode != Protected32 || e.IP != x.entry || e.GPR[AX] != mbLoader {
				t.Errorf("%+v", e)
			}
			if got := read(m, x.code, 4); string(got) != "code" {
				t.Errorf("code %q", got)
			}
			info := read(m, e.GPR[BX], mbInfoSize)
			if f := le.Uint32(info); f != mbInfoMem|mbInfoCmd|mbInfoMods|mbInfoMmap|mbInfoName {
				t.Errorf("flags %#x", f)
			}
			if le.Uint32(info[4:]) != 639 || le.Uint32(info[8:]) != 31<<10 {
				t.Errorf("lower %d KiB, upper %d KiB", le.Uint32(info[4:]), le.Uint32(info[8:]))
			}
			if got := cstring(m, uint64(le.Uint32(info[16:]))); got != "kernel.bin x=y" {
				t.Errorf("command line %q", got)
			}
			if got := cstring(m, uint64(le.Uint32(info[64:]))); got != loaderName {
				t.Errorf("loader's name %q", got)
			}
			if le.Uint32(info[20:]) != 2 {
				t.Fatalf("%d modules", le.Uint32(info[20:]))
			}
			list := read(m, uint64(le.Uint32(info[24:])), 32)
			for i, want := range []struct{ args, data string }{{one + " a=1 b", "first"}, {two, strings.Repeat("second", 1000)}} {
				d := list[16*i:]
				start, end := uint64(le.Uint32(d)), uint64(le.Uint32(d[4:]))
				if start%4096 != 0 || string(read(m, start, int(end-start))) != want.data {
					t.Errorf("module %d at %#x-%#x", i, start, end)
				}
				if got := cstring(m, uint64(le.Uint32(d[8:]))); got != want.args {
					t.Errorf("module %d has arguments %q", i, got)
				}
			}
			n, at := le.Uint32(info[44:]), uint64(le.Uint32(info[48:]))
			if n != 4*24 || m.ReadUint(at, 4) != 20 || m.ReadUint(at+3*24+4, 8) != 1<<20 {
				t.Errorf("memory map of %d bytes", n)
			}
		})
	}
}

func TestFirmware(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bios")
	rom := bytes.Repeat([]byte{0xf4}, 256<<10)
	if err := os.WriteFile(path, rom, 0o666); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadFirmware(path); err != nil || !bytes.Equal(b, rom) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	elf := make([]byte, firmwareUnit)
	copy(elf, "\x7fELF")
	for name, b := range map[string][]byte{"empty": {}, "odd": make([]byte, 1000), "huge": make([]byte, firmwareMax+firmwareUnit), "ELF": elf} {
		if checkFirmware(name, b) == nil {
			t.Errorf("%s firmware is accepted", name)
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good := buildBzImage(pack(t, "gzip", kernelELF(0)))
	arm := append(make([]byte, 56), "ARM\x64"...)
	bent := bytes.Clone(good)
	bent[2048+0x400+40] ^= 0xff
	tests := []struct {
		name string
		p    Params
		kind error
		word string
	}{
		{"missing", Params{Kernel: filepath.Join(dir, "none")}, ErrMissing, "no such file"},
		{"directory", Params{Kernel: dir}, ErrMissing, "directory"},
		{"empty", Params{Kernel: file("empty", nil)}, ErrEmpty, "empty"},
		{"text", Params{KernelData: bytes.Repeat([]byte("not a kernel\n"), 200)}, ErrFormat, "not a kernel"},
		{"short", Params{KernelData: []byte("short")}, ErrTruncated, "truncated"},
		{"cut header", Params{KernelData: good[:0x240]}, ErrTruncated, "truncated"},
		{"cut", Params{KernelData: good[:len(good)-100]}, ErrTruncated, "truncated"},
		{"bent", Params{KernelData: bent}, ErrTruncated, "damaged"},
		{"AArch64 Image", Params{KernelData: append(arm, make([]byte, 2000)...)}, ErrArch, "AArch64"},
		{"AArch64 ELF", Params{KernelData: buildELF(64, 183, 0x1000000, seg{typ: ptLoad, paddr: 0x1000000, data: []byte("x")})}, ErrArch, "AArch64"},
		{"gzip", Params{KernelData: append([]byte("\x1f\x8b"), make([]byte, 2000)...)}, ErrFormat, "gunzip"},
		{"32-bit ELF", Params{KernelData: buildELF(32, 3, 0x100000, seg{typ: ptLoad, paddr: 0x100000, data: make([]byte, 99)})}, ErrFormat, "32-bit"},
		{"no segments", Params{KernelData: buildELF(64, 62, 0x1000000)}, ErrFormat, "entry"},
		{"cut ELF", Params{KernelData: kernelELF(0)[:3000]}, ErrTruncated, "truncated"},
		{"kernel too large", Params{KernelData: good, RAM: 8 << 20}, ErrMemory, "-m"},
		{"kernel beyond RAM", Params{KernelData: buildELF(64, 62, 0xd0000000, seg{typ: ptLoad, paddr: 0xd0000000, data: make([]byte, 99)})}, ErrMemory, "no free RAM"},
		{"little memory", Params{KernelData: good, RAM: 256 << 10}, ErrMemory, "-m"},
		{"initrd too large", Params{KernelData: good, InitrdData: make([]byte, 60<<20)}, ErrMemory, "initrd"},
		{"initrd missing", Params{KernelData: good, Initrd: filepath.Join(dir, "none")}, ErrMissing, "initrd"},
		{"initrd empty", Params{KernelData: good, Initrd: file("rd", nil)}, ErrEmpty, "initrd"},
		{"command line", Params{KernelData: good, Cmdline: strings.Repeat("x", 2048)}, ErrCmdline, "-append"},
		{"multiboot 64", Params{KernelData: buildELF(64, 62, 0x100000, seg{typ: ptLoad, paddr: 0x100000, data: multibootHead(0)})}, ErrArch, "32-bit"},
		{"multiboot features", Params{KernelData: buildELF(32, 3, 0x100000, seg{typ: ptLoad, paddr: 0x100000, data: multibootHead(0x80)})}, ErrFormat, "0x80"},
		{"multiboot module", Params{KernelData: buildELF(32, 3, 0x100000, seg{typ: ptLoad, paddr: 0x100000, data: multibootHead(0)}), Initrd: "/nope/x arg"}, ErrMissing, "/nope/x"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			if x.p.RAM == 0 {
				x.p.RAM = 64 << 20
			}
			x.p.Mem = newMem(t, x.p.RAM)
			_, err := Load(x.p)
			if !errors.Is(err, x.kind) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(x.word)) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q with %q", err, x.kind, x.word)
			}
		})
	}
}

func TestDebianKernels(t *testing.T) {
	for _, flavour := range []string{"cloud", "generic"} {
		t.Run(flavour, func(t *testing.T) {
			path := fetchtest.Kernel(t, flavour)
			m := newMem(t, 256<<20)
			e, err := Load(Params{Mem: m, RAM: 256 << 20, Kernel: path, Log: t.Errorf})
			if err != nil {
				t.Fatal(err)
			}
			if e.Mode != Long64 || e.IP != 0x1000000 {
				t.Errorf("%+v", e)
			}
			if !bytes.Contains(read(m, 0x1000000, 64<<20), []byte("Linux version 6.")) {
				t.Error("no Linux in memory")
			}
		})
	}
}

func TestAddParameters(t *testing.T) {
	for _, x := range [][3]string{{"", "a b", "a b"}, {"a", "a", "a"}, {"b ", "a b", "b a"}, {"xa", "a", "xa a"}} {
		if got := AddParameters(x[0], x[1]); got != x[2] {
			t.Errorf("%q and %q: %q, want %q", x[0], x[1], got, x[2])
		}
	}
}

func TestPlacer(t *testing.T) {
	pl := newPlacer(nil, []E820Entry{{0x1000, 0x9000, E820RAM}, {0x8000, 0x8000, E820RAM}, {0x5000, 0x1000, E820Reserved},
		{^uint64(0) - 0xfff, 0x2000, E820RAM}})
	if pl.take(0x4000, 0x2000) {
		t.Error("took what is reserved")
	}
	if !pl.take(0x6000, 0x1000) || pl.take(0x6800, 0x10) {
		t.Error("a range can be taken twice, or not once")
	}
	if pl.take(^uint64(0)-1, 4) {
		t.Error("took a range that wraps")
	}
	if at, ok := pl.high(0x1234, 0x1000, 0xf000); !ok || at != 0xd000 {
		t.Errorf("high: %#x %v", at, ok)
	}
	if at, ok := pl.low(0x800, 0x1000, 0x1800, 1<<32); !ok || at != 0x2000 {
		t.Errorf("low: %#x %v", at, ok)
	}
	if _, ok := pl.high(0x100000, 1, ^uint64(0)); ok {
		t.Error("found room for more than there is")
	}
}

func TestDefaultE820(t *testing.T) {
	m := DefaultE820(5 << 30)
	var ram uint64
	for i, e := range m {
		if e.Type == E820RAM {
			ram += e.Size
		}
		if i > 0 && e.Addr < m[i-1].Addr+m[i-1].Size {
			t.Errorf("entry %d overlaps", i)
		}
	}
	if last := m[len(m)-1]; last.Addr != fourGiB || last.Size != 2<<30 {
		t.Errorf("above 4 GiB: %+v", last)
	}
	if ram != 5<<30-(highRAM-lowTop) {
		t.Errorf("%#x bytes of RAM", ram)
	}
}
