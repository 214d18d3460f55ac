package guestprof

// The kernel's symbols as the kernel itself has them for its oopses (kernel/
// kallsyms.c, scripts/kallsyms.c). The tables lie in read-only data without a
// pointer to them that could be known from outside, but their shape gives them
// away:
//
//	token_table  256 strings. Names are compressed by giving frequent pieces a
//	             byte; bytes that are used for themselves, as all digits are, are
//	             strings of one letter. So "0\0" "1\0" ... "9\0" is in the table.
//	token_index  right behind it: the offset of each string, 16 bits
//	markers      somewhere before: the offset in names of each 256th symbol,
//	             32 bits: an ascending run that begins with zero
//	names        before that: for each symbol its length, a byte or two, and that
//	             many tokens, the first of which begins with the type letter
//	num_syms     right before names
//	offsets      addresses, 32 bits each: up to 6.3 before num_syms, since 6.4
//	             behind token_index
//	relative_base right behind offsets
//
// Each table is checked against the others, so that a find is no accident. As the
// kernel relocates relative_base, the addresses are those after KASLR.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
)

const (
	maxSyms      = 4 << 20
	maxSymName   = 512
	tokenDigits  = "0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00"
	markerStep   = 256
	maxNamesSize = 16 << 20
	// searchWork bounds a search, in steps of some nanoseconds: a hostile guest can
	// make memory that looks like the tables nearly everywhere.
	searchWork = 1 << 26
)

// symtab is a table of symbols that can be looked up by address and by name.
type symtab struct {
	addr  []uint64 // ascending
	size  []uint32 // of the symbol in bytes; 0: up to the next
	typ   []byte   // as nm has it
	name  []uint32 // where the name is in names; it ends at the next entry's
	names []byte
	order []uint32 // where sorting put the entries: indices into typ and name
}

// add adds a symbol; sorted has to be called after the last.
func (s *symtab) add(addr uint64, size uint32, typ byte, name []byte) {
	s.addr = append(s.addr, addr)
	s.size = append(s.size, size)
	s.typ = append(s.typ, typ)
	s.name = append(s.name, uint32(len(s.names)))
	s.names = append(s.names, name...)
}

func (s *symtab) sorted() {
	s.order = make([]uint32, len(s.addr))
	for i := range s.order {
		s.order[i] = uint32(i)
	}
	if slices.IsSorted(s.addr) {
		return
	}
	slices.SortFunc(s.order, func(a, b uint32) int { return cmp.Or(cmp.Compare(s.addr[a], s.addr[b]), cmp.Compare(a, b)) })
	addr, size := make([]uint64, len(s.addr)), make([]uint32, len(s.addr))
	for i, n := range s.order {
		addr[i], size[i] = s.addr[n], s.size[n]
	}
	s.addr, s.size = addr, size
}

func (s *symtab) nameOf(i int) string {
	n := s.order[i]
	end := uint32(len(s.names))
	if int(n)+1 < len(s.name) {
		end = s.name[n+1]
	}
	return string(s.names[s.name[n]:end])
}

// lookup returns the symbol that holds an address.
func (s *symtab) lookup(addr uint64) (name string, start uint64, ok bool) {
	if s == nil {
		return "", 0, false
	}
	i := sort.Search(len(s.addr), func(i int) bool { return s.addr[i] > addr }) - 1
	if i < 0 {
		return "", 0, false
	}
	// Of several at the address, the one that is most of a function's name.
	best, rank := -1, -1
	for n := i; n >= 0 && s.addr[n] == s.addr[i] && i-n < 32; n-- {
		if s.size[n] != 0 && addr-s.addr[n] >= uint64(s.size[n]) {
			continue
		}
		r := 0
		switch s.typ[s.order[n]] {
		case 'T', 't':
			r = 2
		case 'W', 'w':
			r = 1
		}
		if s.size[n] != 0 {
			r += 4
		}
		if r >= rank {
			best, rank = n, r
		}
	}
	if best < 0 {
		return "", 0, false
	}
	return s.nameOf(best), s.addr[best], true
}

// value returns the address of a name.
func (s *symtab) value(name string) (uint64, bool) {
	if s == nil {
		return 0, false
	}
	for i, n := range s.order {
		end := uint32(len(s.names))
		if int(n)+1 < len(s.name) {
			end = s.name[n+1]
		}
		if int(end-s.name[n]) == len(name) && string(s.names[s.name[n]:end]) == name {
			return s.addr[i], true
		}
	}
	return 0, false
}

// findKallsyms looks for the tables in kernel memory, which begins at an address
// that is a multiple of 8. It returns nil where there are none.
func findKallsyms(b []byte) *symtab {
	work := searchWork
	return searchKallsyms(b, &work)
}

// searchKallsyms is findKallsyms with what is left of the work.
func searchKallsyms(b []byte, work *int) *symtab {
	for pos, tries := 0, 0; tries < 64; tries++ {
		i := bytes.Index(b[pos:], []byte(tokenDigits))
		if i < 0 {
			return nil
		}
		if s := kallsymsAt(b, pos+i, work); s != nil {
			return s
		}
		pos += i + 1
	}
	return nil
}

func align8(n int) int { return (n + 7) &^ 7 }

// kallsymsAt tries a token table with token '0' at offset zero.
func kallsymsAt(b []byte, zero int, work *int) *symtab {
	le := binary.LittleEndian
	var pos [257]int
	p := zero
	for k := int('0'); k < 256; k++ {
		pos[k] = p
		n := bytes.IndexByte(b[p:min(p+maxSymName, len(b))], 0)
		if n < 0 {
			return nil
		}
		p += n + 1
	}
	index := align8(p)
	if index+512 > len(b) {
		return nil
	}
	start := zero - int(le.Uint16(b[index+2*'0':]))
	if start < 0 {
		return nil
	}
	pos[256] = p
	var tokens [256][]byte
	for k := 255; k >= 0; k-- {
		at := start + int(le.Uint16(b[index+2*k:]))
		if k >= '0' && at != pos[k] || at >= pos[k+1] || at < start || b[pos[k+1]-1] != 0 {
			return nil
		}
		pos[k] = at
		tokens[k] = b[at : pos[k+1]-1]
		if bytes.IndexByte(tokens[k], 0) >= 0 {
			return nil
		}
	}
	if pos[0] != start {
		return nil
	}
	// The markers: going back, a descending run that ends with zero.
	n := 0
	for at := start&^3 - 4; at >= 8 && at > start-maxNamesSize && *work > 0; at -= 4 {
		*work--
		v := le.Uint32(b[at:])
		next := le.Uint32(b[at+4:])
		if n > 0 && v < next && next-v >= markerStep*2 && next-v <= markerStep*(maxSymName+2) {
			n++
		} else {
			n = 1
		}
		if v == 0 && n >= 2 && at%8 == 0 {
			if s := namesBefore(b, at, n, &tokens, index+512, work); s != nil {
				return s
			}
		}
	}
	return nil
}

// namesBefore tries markers at an offset, n or one less of them. after is the end
// of token_index.
func namesBefore(b []byte, markers, n int, tokens *[256][]byte, after int, work *int) *symtab {
	le := binary.LittleEndian
	marker := func(i int) int { return int(le.Uint32(b[markers+4*i:])) }
	for try := 0; try < 2 && n >= 2; try, n = try+1, n-1 {
		last := marker(n - 1)
		lo := max(16, markers-last-markerStep*(maxSymName+2)-8)
	next:
		for names := (markers - last) &^ 7; names >= lo && *work > 0; names -= 8 {
			*work--
			num := int(le.Uint32(b[names-8:]))
			if num <= (n-1)*markerStep || num > n*markerStep || le.Uint32(b[names-4:]) != 0 {
				continue
			}
			at := names
			for i := range num {
				*work--
				if i%markerStep == 0 && at-names != marker(i/markerStep) {
					continue next
				}
				size := int(b[at])
				at++
				if size&0x80 != 0 {
					size = size&0x7f | int(b[at])<<7
					at++
				}
				if at += size; at > markers || size == 0 {
					continue next
				}
			}
			if markers-at >= 8 {
				continue
			}
			for _, offsets := range []int{names - 16 - align8(4*num), after} {
				if s := readSyms(b, names, num, offsets, tokens); s != nil {
					return s
				}
			}
		}
	}
	return nil
}

// readSyms reads num symbols with names and offsets at the given places, and
// checks that the addresses make sense.
func readSyms(b []byte, names, num, offsets int, tokens *[256][]byte) *symtab {
	le := binary.LittleEndian
	baseAt := offsets + align8(4*num)
	if num > maxSyms || offsets < 0 || baseAt+8 > len(b) {
		return nil
	}
	base := le.Uint64(b[baseAt:])
	if base>>47 != 1<<17-1 || base%pageSize != 0 {
		return nil
	}
	// On kernels for several processors up to 6.14, offsets that are not negative
	// are the addresses of per-CPU variables, which count from zero.
	negative := 0
	for i := range num {
		negative += int(le.Uint32(b[offsets+4*i:]) >> 31)
	}
	address := func(i int) uint64 {
		off := le.Uint32(b[offsets+4*i:])
		if negative <= num/2 {
			return base + uint64(off)
		}
		if int32(off) >= 0 {
			return uint64(off)
		}
		return base - 1 - uint64(int64(int32(off)))
	}
	falls := 0
	for i := 1; i < num; i++ {
		if address(i) < address(i-1) {
			falls++
		}
	}
	if falls > num/100 {
		return nil
	}
	s := &symtab{}
	var name []byte
	at := names
	for i := range num {
		size := int(b[at])
		at++
		if size&0x80 != 0 {
			size = size&0x7f | int(b[at])<<7
			at++
		}
		name = name[:0]
		for _, t := range b[at : at+size] {
			if name = append(name, tokens[t]...); len(name) > maxSymName+1 {
				return nil
			}
		}
		at += size
		if len(name) < 2 {
			continue
		}
		for k, c := range name {
			if c <= ' ' || c >= 0x7f {
				name[k] = '?'
			}
		}
		if s.add(address(i), 0, name[0], name[1:]); len(s.names) > maxStrings {
			return nil
		}
	}
	s.sorted()
	return s
}
