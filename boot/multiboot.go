package boot

import (
	"encoding/binary"
	"strings"
)

// Multiboot 1 (Multiboot specification 0.6.96): a header in the first 8 KiB of
// the file tells how to load it, and a structure in memory tells the kernel
// what the loader knows.

const (
	mbMagic      = 0x1badb002
	mbLoader     = 0x2badb002 // in EAX on entry
	mbSearch     = 8192
	mbPageAlign  = 1 << 0 // header flags
	mbMemInfo    = 1 << 1
	mbVideo      = 1 << 2
	mbAddresses  = 1 << 16
	mbMandatory  = 0xffff // flags that a loader must know to obey
	mbInfoMem    = 1 << 0 // information flags
	mbInfoCmd    = 1 << 2
	mbInfoMods   = 1 << 3
	mbInfoMmap   = 1 << 6
	mbInfoName   = 1 << 9
	mbInfoSize   = 116
	mbMaxModules = 128
	loaderName   = "hotblock"
)

type multibootHeader struct {
	off   int // of the header in the file
	flags uint32
	// With mbAddresses:
	header, load, loadEnd, bssEnd, entry uint64
}

// findMultiboot looks for the header; nil where there is none.
func findMultiboot(b []byte) *multibootHeader {
	le := binary.LittleEndian
	for off := 0; off+12 <= min(len(b), mbSearch); off += 4 {
		flags := le.Uint32(b[off+4:])
		if le.Uint32(b[off:]) != mbMagic || mbMagic+flags+le.Uint32(b[off+8:]) != 0 {
			continue
		}
		h := &multibootHeader{off: off, flags: flags}
		if flags&mbAddresses != 0 {
			if off+32 > len(b) {
				return nil
			}
			f := func(i int) uint64 { return uint64(le.Uint32(b[off+i:])) }
			h.header, h.load, h.loadEnd, h.bssEnd, h.entry = f(12), f(16), f(20), f(24), f(28)
		}
		return h
	}
	return nil
}

// loadMultiboot boots by the header; nil, nil where the file has a better way
// to be booted.
func loadMultiboot(p *Params, pl *placer, img []byte, h *multibootHeader) (*Entry, error) {
	if unknown := h.flags & mbMandatory &^ (mbPageAlign | mbMemInfo | mbVideo); unknown != 0 {
		return nil, fail(p.Kernel, ErrFormat, "multiboot header requires features %#x that are not known", unknown)
	}
	if h.flags&mbAddresses == 0 && !isELF(img) {
		return nil, fail(p.Kernel, ErrFormat, "multiboot header has no load addresses and the file is no ELF file")
	}
	var f *elfFile
	if h.flags&mbAddresses == 0 {
		var err error
		if f, err = parseELF(p.Kernel, img); err != nil {
			return nil, err
		}
		if f.class64 {
			if _, _, ok := pvhNote(f); ok {
				return nil, nil
			}
			return nil, fail(p.Kernel, ErrArch, "is a 64-bit ELF file with a multiboot header, which enters 32-bit code; give a 32-bit one (objcopy -O elf32-i386)")
		}
	}
	if h.flags&mbVideo != 0 {
		p.logf("%s: asks for a video mode, which is not set; the screen stays in text mode", p.Kernel)
	}
	if err := takeLow(p, pl); err != nil {
		return nil, err
	}

	var entry, end uint64
	var err error
	if f != nil {
		if end, err = f.place(p.Kernel, pl); err != nil {
			return nil, err
		}
		entry = f.entry
		if !f.holds(entry) {
			// Linked high, entered low: the entry is a virtual address.
			for _, s := range f.segs {
				if s.typ == ptLoad && entry >= s.vaddr && entry-s.vaddr < s.memsz {
					entry = entry - s.vaddr + s.paddr
					break
				}
			}
			if !f.holds(entry) {
				return nil, fail(p.Kernel, ErrFormat, "ELF entry %#x lies outside what the file loads", f.entry)
			}
		}
	} else if entry, end, err = placeByAddresses(p, pl, img, h); err != nil {
		return nil, err
	}

	mods, err := placeModules(p, pl, end)
	if err != nil {
		return nil, err
	}
	if err := writeMultibootInfo(p, pl, mods); err != nil {
		return nil, err
	}
	e := flatEntry(pl, Protected32, "multiboot")
	e.IP = entry
	e.GPR[AX] = mbLoader
	e.GPR[BX] = structAt
	return e, nil
}

// placeByAddresses loads a flat image by the header's address fields (section
// 3.1.3, "The address fields of Multiboot header").
func placeByAddresses(p *Params, pl *placer, img []byte, h *multibootHeader) (entry, end uint64, err error) {
	bad := func(format string, args ...any) (uint64, uint64, error) {
		return 0, 0, fail(p.Kernel, ErrFormat, "multiboot header: "+format, args...)
	}
	if h.load > h.header || h.header-h.load > uint64(h.off) {
		return bad("load address %#x does not go with the header's place", h.load)
	}
	start := uint64(h.off) - (h.header - h.load)
	size := uint64(len(img)) - start
	if h.loadEnd != 0 {
		if h.loadEnd < h.load {
			return bad("load ends at %#x, before it starts", h.loadEnd)
		}
		if h.loadEnd-h.load > size {
			return 0, 0, fail(p.Kernel, ErrTruncated, "multiboot image should load %d bytes, the file has %d; it is truncated",
				h.loadEnd-h.load, size)
		}
		size = h.loadEnd - h.load
	}
	end = h.load + size
	if h.bssEnd != 0 {
		if h.bssEnd < end {
			return bad("bss ends at %#x, before the image does", h.bssEnd)
		}
		end = h.bssEnd
	}
	if h.entry < h.load || h.entry >= end {
		return bad("entry %#x lies outside the image", h.entry)
	}
	if err := takeKernel(p.Kernel, pl, h.load, end-h.load); err != nil {
		return 0, 0, err
	}
	pl.mem.Write(h.load, img[start:start+size])
	pl.zero(h.load+size, end-h.load-size)
	return h.entry, end, nil
}

type mbModule struct {
	start, end uint64
	args       string
}

// SplitModules takes the -initrd of a multiboot kernel apart: a comma parts
// modules, ",," is a comma.
func SplitModules(s string) []string {
	if s == "" {
		return nil
	}
	var out []string
	var cur strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != ',' {
			cur.WriteByte(s[i])
		} else if i+1 < len(s) && s[i+1] == ',' {
			cur.WriteByte(',')
			i++
		} else {
			out = append(out, cur.String())
			cur.Reset()
		}
	}
	return append(out, cur.String())
}

// placeModules puts each module on pages of its own, above the kernel.
func placeModules(p *Params, pl *placer, floor uint64) ([]mbModule, error) {
	type module struct {
		data []byte
		args string
	}
	var in []module
	if p.InitrdData != nil {
		in = append(in, module{p.InitrdData, p.Initrd})
	} else {
		list := SplitModules(p.Initrd)
		if len(list) > mbMaxModules {
			return nil, fail(p.Kernel, ErrFormat, "%d multiboot modules are too many; the limit is %d", len(list), mbMaxModules)
		}
		for _, m := range list {
			path, _, _ := strings.Cut(strings.TrimLeft(m, " "), " ")
			b, err := readFile(path, "multiboot module")
			if err != nil {
				return nil, err
			}
			in = append(in, module{b, m})
		}
	}
	var out []mbModule
	for _, m := range in {
		at, ok := pl.low(uint64(len(m.data)), 4096, floor, fourGiB)
		if !ok {
			return nil, fail(m.args, ErrMemory, "multiboot module of %d MiB does not fit in the guest's %d MiB; give more with -m",
				mib(uint64(len(m.data))), pl.total()>>20)
		}
		pl.mem.Write(at, m.data)
		out = append(out, mbModule{at, at + uint64(len(m.data)), m.args})
	}
	return out, nil
}

// writeMultibootInfo builds the information structure (section 3.3) at
// structAt, and what it points to at listsAt.
func writeMultibootInfo(p *Params, pl *placer, mods []mbModule) error {
	le := binary.LittleEndian
	info := make([]byte, mbInfoSize)
	var lists []byte
	put := func(b []byte) uint32 {
		for len(lists)%8 != 0 {
			lists = append(lists, 0)
		}
		at := listsAt + len(lists)
		lists = append(lists, b...)
		return uint32(at)
	}
	str := func(s string) uint32 { return put(append([]byte(s), 0)) }

	flags := uint32(mbInfoMem | mbInfoCmd | mbInfoMmap | mbInfoName)
	var upper uint64
	for _, s := range pl.ram {
		if s.lo <= highRAM && s.hi > highRAM {
			upper = min(s.hi, fourGiB) - highRAM
		}
	}
	le.PutUint32(info[4:], lowTop>>10)
	le.PutUint32(info[8:], uint32(upper>>10))
	// By custom the first word is the kernel's own name.
	cmd := p.Kernel
	if p.Cmdline != "" {
		cmd += " " + p.Cmdline
	}
	le.PutUint32(info[16:], str(cmd))
	if len(mods) > 0 {
		flags |= mbInfoMods
		var list []byte
		for _, m := range mods {
			list = le.AppendUint32(list, uint32(m.start))
			list = le.AppendUint32(list, uint32(m.end))
			list = le.AppendUint32(list, str(m.args))
			list = le.AppendUint32(list, 0)
		}
		le.PutUint32(info[20:], uint32(len(mods)))
		le.PutUint32(info[24:], put(list))
	}
	var mmap []byte
	for _, e := range p.E820 {
		mmap = appendE820(le.AppendUint32(mmap, 20), e)
	}
	le.PutUint32(info[44:], uint32(len(mmap)))
	le.PutUint32(info[48:], put(mmap))
	le.PutUint32(info[64:], str(loaderName))
	le.PutUint32(info, flags)
	if len(lists) > listsEnd-listsAt {
		return fail(p.Kernel, ErrCmdline, "kernel command line and module arguments of %d bytes are too long; shorten -append or -initrd", len(lists))
	}
	pl.mem.Write(listsAt, lists)
	pl.mem.Write(structAt, info)
	return nil
}
