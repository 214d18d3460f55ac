package boot

import (
	"encoding/binary"
	"fmt"
)

// An ELF file as a boot loader sees it: machine, entry and program headers.
// The standard library's reader wants more of a file than a boot loader may
// (section headers), so that this is the short form of it (System V ABI,
// "Object Files" and "Program Loading").

const (
	ptLoad = 1
	ptNote = 4

	maxSegments = 256
)

type elfSegment struct {
	typ           uint32
	off           uint64
	vaddr, paddr  uint64
	filesz, memsz uint64
	data          []byte // filesz bytes
}

type elfFile struct {
	class64 bool
	machine uint16
	entry   uint64
	segs    []elfSegment
}

func isELF(b []byte) bool { return len(b) >= 4 && string(b[:4]) == "\x7fELF" }

var elfMachines = map[uint16]string{
	2: "SPARC", 3: "i386", 4: "m68k", 8: "MIPS", 15: "PA-RISC", 20: "PowerPC", 21: "64-bit PowerPC", 22: "s390x",
	40: "32-bit ARM", 42: "SuperH", 43: "64-bit SPARC", 50: "IA-64", 62: "x86-64", 183: "AArch64",
	243: "RISC-V", 247: "BPF", 258: "LoongArch",
}

func machineName(m uint16) string {
	if s, ok := elfMachines[m]; ok {
		return s
	}
	return fmt.Sprintf("ELF machine %d", m)
}

// parseELF reads headers and bounds every segment's file part by the file.
func parseELF(name string, b []byte) (*elfFile, error) {
	short := func(what string) error {
		return fail(name, ErrTruncated, "ELF file ends within its %s; the file is truncated", what)
	}
	if len(b) < 52 {
		return nil, short("header")
	}
	if b[4] != 1 && b[4] != 2 {
		return nil, fail(name, ErrFormat, "ELF file has unknown class %d", b[4])
	}
	f := &elfFile{class64: b[4] == 2}
	switch b[5] {
	case 1:
		f.machine = binary.LittleEndian.Uint16(b[18:])
	case 2:
		f.machine = binary.BigEndian.Uint16(b[18:])
		return nil, fail(name, ErrArch, "is for %s (big-endian); this machine is x86-64", machineName(f.machine))
	default:
		return nil, fail(name, ErrFormat, "ELF file has unknown byte order %d", b[5])
	}
	if f.machine != 62 && f.machine != 3 {
		return nil, fail(name, ErrArch, "is for %s; this machine is x86-64", machineName(f.machine))
	}
	le := binary.LittleEndian
	var phoff uint64
	var phentsize, phnum int
	if f.class64 {
		if len(b) < 64 {
			return nil, short("header")
		}
		f.entry = le.Uint64(b[24:])
		phoff = le.Uint64(b[32:])
		phentsize, phnum = int(le.Uint16(b[54:])), int(le.Uint16(b[56:]))
		if phnum > 0 && phentsize < 56 {
			return nil, fail(name, ErrFormat, "ELF program headers of %d bytes are too small", phentsize)
		}
	} else {
		f.entry = uint64(le.Uint32(b[24:]))
		phoff = uint64(le.Uint32(b[28:]))
		phentsize, phnum = int(le.Uint16(b[42:])), int(le.Uint16(b[44:]))
		if phnum > 0 && phentsize < 32 {
			return nil, fail(name, ErrFormat, "ELF program headers of %d bytes are too small", phentsize)
		}
	}
	if phnum > maxSegments {
		return nil, fail(name, ErrFormat, "ELF file has %d program headers; at most %d make sense", phnum, maxSegments)
	}
	if phoff > uint64(len(b)) || uint64(phnum*phentsize) > uint64(len(b))-phoff {
		return nil, short("program headers")
	}
	for i := 0; i < phnum; i++ {
		h := b[phoff+uint64(i*phentsize):]
		s := elfSegment{typ: le.Uint32(h)}
		if f.class64 {
			s.off, s.vaddr, s.paddr = le.Uint64(h[8:]), le.Uint64(h[16:]), le.Uint64(h[24:])
			s.filesz, s.memsz = le.Uint64(h[32:]), le.Uint64(h[40:])
		} else {
			s.off, s.vaddr, s.paddr = uint64(le.Uint32(h[4:])), uint64(le.Uint32(h[8:])), uint64(le.Uint32(h[12:]))
			s.filesz, s.memsz = uint64(le.Uint32(h[16:])), uint64(le.Uint32(h[20:]))
		}
		if s.typ != ptLoad && s.typ != ptNote {
			continue
		}
		if s.typ == ptLoad {
			if s.memsz == 0 {
				continue
			}
			if s.filesz > s.memsz || s.paddr+s.memsz < s.paddr {
				return nil, fail(name, ErrFormat, "ELF segment %d has sizes that contradict each other", i)
			}
		}
		if s.off > uint64(len(b)) || s.filesz > uint64(len(b))-s.off {
			return nil, short("segments")
		}
		s.data = b[s.off : s.off+s.filesz]
		f.segs = append(f.segs, s)
	}
	return f, nil
}

// extent is the physical range that the segments cover.
func (f *elfFile) extent() (lo, hi uint64, ok bool) {
	lo = ^uint64(0)
	for _, s := range f.segs {
		if s.typ == ptLoad {
			lo, hi, ok = min(lo, s.paddr), max(hi, s.paddr+s.memsz), true
		}
	}
	return
}

// holds says whether a segment covers physical address pa.
func (f *elfFile) holds(pa uint64) bool {
	for _, s := range f.segs {
		if s.typ == ptLoad && pa >= s.paddr && pa-s.paddr < s.memsz {
			return true
		}
	}
	return false
}

// place writes the segments to their physical addresses and clears what the
// file has no bytes for. It returns the end of the highest.
func (f *elfFile) place(name string, pl *placer) (end uint64, err error) {
	lo, hi, ok := f.extent()
	if !ok {
		return 0, fail(name, ErrFormat, "ELF file has nothing to load (an object file or a debug file?)")
	}
	if err := takeKernel(name, pl, lo, hi-lo); err != nil {
		return 0, err
	}
	for _, s := range f.segs {
		if s.typ == ptLoad {
			pl.mem.Write(s.paddr, s.data)
			pl.zero(s.paddr+s.filesz, s.memsz-s.filesz)
		}
	}
	return hi, nil
}

// takeKernel claims the range a kernel is linked to run at.
func takeKernel(name string, pl *placer, lo, size uint64) error {
	if pl.take(lo, size) {
		return nil
	}
	// Would more memory mend it? Then say how much.
	if lo >= highRAM && lo+size > lo && lo+size <= holeAt {
		return fail(name, ErrMemory, "kernel needs memory up to %d MiB, the guest has %d MiB; give more with -m",
			mib(lo+size), pl.total()>>20)
	}
	return fail(name, ErrMemory, "kernel is linked to run at %#x to %#x, where this machine has no free RAM", lo, lo+size)
}

// notes calls f for each ELF note in the note segments, until it returns false.
func (f *elfFile) notes(fn func(name string, typ uint32, desc []byte) bool) {
	le := binary.LittleEndian
	for _, s := range f.segs {
		if s.typ != ptNote {
			continue
		}
		b := s.data
		for len(b) >= 12 {
			nn, nd, typ := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
			b = b[12:]
			padN, padD := (nn+3)&^3, (nd+3)&^3
			if padN > uint64(len(b)) || nd > uint64(len(b))-padN {
				break
			}
			name := string(b[:nn])
			if n := len(name); n > 0 && name[n-1] == 0 {
				name = name[:n-1]
			}
			if !fn(name, typ, b[padN:padN+nd]) {
				return
			}
			b = b[min(padN+padD, uint64(len(b))):]
		}
	}
}
