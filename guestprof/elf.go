package guestprof

// Symbols of programs, from their files. A file is read from the guest's page
// cache, where all of it is if the root file system is in memory, or from a
// directory of the host's. Only what has to be is read: the headers, the symbol
// table and its strings. Where the section headers are not in memory, the dynamic
// symbols are found as the dynamic linker finds them.

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
)

const (
	elfSymSize  = 24
	maxSections = 4096
	maxSegments = 128
	maxStrings  = 64 << 20 // bytes, and of a table of symbols
)

// loadSegment is a part of a file that is loaded.
type loadSegment struct{ off, vaddr, size uint64 }

// fileReader returns size bytes of a file at off, or nil.
type fileReader func(off, size uint64) []byte

// hostFile reads a file of the host.
func hostFile(r io.ReaderAt, total int64) fileReader {
	return func(off, size uint64) []byte {
		if off > uint64(total) || size > uint64(total)-off {
			return nil
		}
		b := make([]byte, size)
		if _, err := r.ReadAt(b, int64(off)); err != nil {
			return nil
		}
		return b
	}
}

// elfInfo is what is read of an ELF file.
type elfInfo struct {
	loads []loadSegment
	id    string
	syms  *symtab
	all   bool // the symbols are those of .symtab
	bare  bool // the code is not in the file: it is one of debug information, whose loads say nothing of the program's file
}

// readELF reads a 64-bit ELF file; nil: it is none, or its headers are not there.
func readELF(read fileReader) *elfInfo {
	le := binary.LittleEndian
	h := read(0, 64)
	if len(h) < 64 || string(h[:6]) != "\x7fELF\x02\x01" || le.Uint16(h[18:]) != 62 {
		return nil
	}
	e := &elfInfo{}
	phoff, phnum := le.Uint64(h[32:]), uint64(le.Uint16(h[56:]))
	shoff, shnum := le.Uint64(h[40:]), uint64(le.Uint16(h[60:]))
	if le.Uint16(h[54:]) != 56 && phnum > 0 || phnum > maxSegments {
		return nil
	}
	ph := read(phoff, phnum*56)
	if ph == nil {
		return nil
	}
	var dynamic []byte
	for ; len(ph) >= 56; ph = ph[56:] {
		off, vaddr, size := le.Uint64(ph[8:]), le.Uint64(ph[16:]), le.Uint64(ph[32:])
		switch le.Uint32(ph) {
		case 1: // PT_LOAD
			e.loads = append(e.loads, loadSegment{off, vaddr, size})
			if le.Uint32(ph[4:])&1 != 0 && size < le.Uint64(ph[40:]) { // PF_X
				e.bare = true
			}
		case 2: // PT_DYNAMIC
			if size <= 1<<16 {
				dynamic = read(off, size)
			}
		case 4: // PT_NOTE
			if size <= 1<<16 {
				e.note(read(off, size))
			}
		}
	}
	if shoff != 0 && le.Uint16(h[58:]) == 64 && shnum <= maxSections {
		sh := read(shoff, shnum*64)
		e.sections(read, sh)
		// Go's linker leaves the build ID out of the segment of notes.
		for ; len(sh) >= 64 && e.id == ""; sh = sh[64:] {
			if size := le.Uint64(sh[32:]); le.Uint32(sh[4:]) == 7 && size <= 1<<16 { // SHT_NOTE
				e.note(read(le.Uint64(sh[24:]), size))
			}
		}
	}
	if e.syms == nil && dynamic != nil {
		e.dynamic(read, dynamic)
	}
	return e
}

// note looks for the build ID in a note segment.
func (e *elfInfo) note(b []byte) {
	le := binary.LittleEndian
	for len(b) >= 12 {
		name, desc, typ := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
		at := 12 + (name+3)&^3
		end := at + (desc+3)&^3
		if end > uint64(len(b)) {
			return
		}
		if typ == 3 && name == 4 && string(b[12:16]) == "GNU\x00" && desc <= 64 {
			e.id = hex.EncodeToString(b[at : at+desc])
			return
		}
		b = b[end:]
	}
}

// sections reads the symbol tables that the section headers name.
func (e *elfInfo) sections(read fileReader, sh []byte) {
	le := binary.LittleEndian
	section := func(i uint32) []byte {
		if uint64(i)*64+64 > uint64(len(sh)) {
			return nil
		}
		return sh[i*64 : i*64+64]
	}
	for _, want := range []uint32{2, 11} { // SHT_SYMTAB, SHT_DYNSYM
		for i := uint32(0); ; i++ {
			s := section(i)
			if s == nil {
				break
			}
			strs := section(le.Uint32(s[40:]))
			if le.Uint32(s[4:]) != want || strs == nil {
				continue
			}
			size, strSize := le.Uint64(s[32:]), le.Uint64(strs[32:])
			if size > maxStrings || strSize > maxStrings {
				continue
			}
			if e.symbols(read(le.Uint64(s[24:]), size), read(le.Uint64(strs[24:]), strSize)) {
				e.all = want == 2
				return
			}
		}
	}
}

// offset is where in the file an address is.
func (e *elfInfo) offset(vaddr uint64) (uint64, bool) {
	for _, l := range e.loads {
		if vaddr-l.vaddr < l.size {
			return l.off + (vaddr - l.vaddr), true
		}
	}
	return 0, false
}

// dynamic reads the dynamic symbols.
func (e *elfInfo) dynamic(read fileReader, d []byte) {
	le := binary.LittleEndian
	var tag [0x20]uint64
	var gnuHash uint64
	for ; len(d) >= 16 && le.Uint64(d) != 0; d = d[16:] {
		switch t := le.Uint64(d); {
		case t < uint64(len(tag)):
			tag[t] = le.Uint64(d[8:])
		case t == 0x6ffffef5:
			gnuHash = le.Uint64(d[8:])
		}
	}
	const (
		dtHash, dtStrtab, dtSymtab, dtStrsz = 4, 5, 6, 10
	)
	syms, ok1 := e.offset(tag[dtSymtab])
	strs, ok2 := e.offset(tag[dtStrtab])
	if !ok1 || !ok2 || tag[dtStrsz] > maxStrings {
		return
	}
	num := uint64(0)
	if off, ok := e.offset(tag[dtHash]); ok && tag[dtHash] != 0 {
		if b := read(off, 8); b != nil {
			num = uint64(le.Uint32(b[4:]))
		}
	} else if off, ok := e.offset(gnuHash); ok && gnuHash != 0 {
		num = gnuSymbols(read, off)
	} else if strs > syms {
		num = (strs - syms) / elfSymSize // the strings usually follow
	}
	if num*elfSymSize > maxStrings {
		return
	}
	e.symbols(read(syms, num*elfSymSize), read(strs, tag[dtStrsz]))
}

// gnuSymbols counts the symbols of a GNU hash table: the chain of the last bucket
// ends with the last of them.
func gnuSymbols(read fileReader, off uint64) uint64 {
	le := binary.LittleEndian
	h := read(off, 16)
	if h == nil {
		return 0
	}
	buckets, first, bloom := uint64(le.Uint32(h)), uint64(le.Uint32(h[4:])), uint64(le.Uint32(h[8:]))
	if buckets > maxSyms || bloom > maxSyms {
		return 0
	}
	at := off + 16 + 8*bloom
	b := read(at, 4*buckets)
	last := uint64(0)
	for ; len(b) >= 4; b = b[4:] {
		last = max(last, uint64(le.Uint32(b)))
	}
	if last < first {
		return first
	}
	for at += 4*buckets + 4*(last-first); last < maxSyms; last, at = last+1, at+4 {
		c := read(at, 4)
		if c == nil {
			return 0
		}
		if c[0]&1 != 0 {
			break
		}
	}
	return last + 1
}

// symbols takes the functions of a symbol table, and reports whether there are any.
func (e *elfInfo) symbols(syms, strs []byte) bool {
	le := binary.LittleEndian
	s := &symtab{}
	for ; len(syms) >= elfSymSize; syms = syms[elfSymSize:] {
		typ, shndx := syms[4]&15, le.Uint16(syms[6:])
		value, size := le.Uint64(syms[8:]), le.Uint64(syms[16:])
		name := uint64(le.Uint32(syms))
		// Functions, and what assembly files have no type for.
		if shndx == 0 || typ != 2 && typ != 10 && typ != 0 || value == 0 || name == 0 || name >= uint64(len(strs)) {
			continue
		}
		b := strs[name:]
		n := bytes.IndexByte(b[:min(len(b), 4096)], 0)
		if n <= 0 {
			continue
		}
		letter := byte('t')
		if bind := syms[4] >> 4; bind != 0 {
			letter = 'T'
		}
		s.add(value, uint32(min(size, 1<<31)), letter, cleaned(b[:n]))
	}
	if len(s.addr) == 0 {
		return false
	}
	s.sorted()
	e.syms = s
	return true
}

// readFile reads what there is to know of a file that a program has mapped, if it is
// time to try.
func (p *Profiler) readFile(k *kernel, f *file) {
	if f.wait--; f.read || f.wait >= 0 {
		return
	}
	f.tries++
	f.wait = 8 << min(f.tries, 12)
	c := k.cached(&p.view, f.inode)
	var e *elfInfo
	if c != nil {
		e = readELF(c.readAt)
	}
	if e != nil {
		f.loads, f.img.id = e.loads, e.id
		f.img.setRange(e.loads)
		if e.syms != nil {
			f.img.syms = p.keep(e.syms)
		}
	}
	if h := p.hostBinary(f.path, f.img.id); h != nil && (e == nil || !e.all) && (f.loads != nil || !h.bare) {
		if f.loads == nil {
			f.loads, f.img.id = h.loads, h.id
			f.img.setRange(h.loads)
		}
		if h.syms != nil {
			f.img.syms = p.keep(h.syms)
		}
		f.read = true
		return
	}
	// Where a page was missing it may come.
	f.read = e != nil && (e.all || e.syms != nil && !c.missing || !c.missing) || f.tries > 20
}

func (m *image) setRange(loads []loadSegment) {
	for i, l := range loads {
		if i == 0 || l.vaddr < m.lo {
			m.lo = l.vaddr
		}
		m.hi = max(m.hi, l.vaddr+l.size)
	}
}

// hostBinary looks for a file of the guest in the directory of binaries: by its
// path, by its name, or by its build ID as debug packages have it. A file with
// another build ID is not taken; of the others, the first with all symbols, else
// with some.
func (p *Profiler) hostBinary(path, id string) *elfInfo {
	return findBinary(p.opt.Binaries, path, id)
}

func findBinary(dir, path, id string) *elfInfo {
	if dir == "" {
		return nil
	}
	names := []string{filepath.Join(dir, filepath.Clean("/"+path)), filepath.Join(dir, filepath.Base(filepath.Clean("/"+path)))}
	if len(id) > 2 {
		names = append(names, filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug"), filepath.Join(dir, id), filepath.Join(dir, id+".debug"))
	}
	var best *elfInfo
	for _, name := range names {
		e := readHostELF(name)
		if e == nil || id != "" && e.id != "" && e.id != id {
			continue
		}
		if e.all {
			return e
		}
		if best == nil || best.syms == nil && e.syms != nil {
			best = e
		}
	}
	return best
}

func readHostELF(name string) *elfInfo {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil
	}
	return readELF(hostFile(f, st.Size()))
}
