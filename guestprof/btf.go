package guestprof

// BTF, the type information that a kernel carries in itself (Documentation/bpf/
// btf.rst in the Linux sources): a list of types, numbered from 1, each with a kind
// and what belongs to the kind, and a table of strings. It says where in a
// structure a member is, without debug information or a list of kernel versions.

import (
	"bytes"
	"encoding/binary"
)

const (
	btfMagic  = 0xeb9f
	btfHeader = 24

	kindPtr      = 2
	kindArray    = 3
	kindStruct   = 4
	kindUnion    = 5
	kindFwd      = 7
	kindTypedef  = 8
	kindVolatile = 9
	kindConst    = 10
	kindRestrict = 11
	kindTypeTag  = 18

	maxBTFTypes = 1 << 21
)

// btfExtra is how many bytes follow a type of each kind: a fixed number, and one
// for each of its elements.
var btfExtra = [20]struct{ fixed, each int }{
	1: {4, 0}, kindArray: {12, 0}, kindStruct: {0, 12}, kindUnion: {0, 12}, 6: {0, 8}, 13: {0, 8}, 14: {4, 0}, 15: {0, 12}, 17: {4, 0}, 19: {0, 12},
}

// btf is parsed type information.
type btf struct {
	types   []byte
	strs    []byte
	at      []uint32          // offset of each type in types
	structs map[string]uint32 // by name: the number of a structure
}

// parseBTF returns nil where b is no BTF.
func parseBTF(b []byte) *btf {
	le := binary.LittleEndian
	if len(b) < btfHeader || le.Uint16(b) != btfMagic || b[2] != 1 {
		return nil
	}
	hdr := uint64(le.Uint32(b[4:]))
	part := func(off, size uint32) []byte {
		lo := hdr + uint64(off)
		if hi := lo + uint64(size); hi <= uint64(len(b)) {
			return b[lo:hi]
		}
		return nil
	}
	t := &btf{types: part(le.Uint32(b[8:]), le.Uint32(b[12:])), strs: part(le.Uint32(b[16:]), le.Uint32(b[20:])), structs: map[string]uint32{}}
	t.at = append(t.at, 0)
	for off := 0; off+12 <= len(t.types) && len(t.at) < maxBTFTypes; {
		info := le.Uint32(t.types[off+4:])
		kind, n := int(info>>24&0x1f), int(info&0xffff)
		if kind >= len(btfExtra) {
			break
		}
		next := off + 12 + btfExtra[kind].fixed + btfExtra[kind].each*n
		if next > len(t.types) {
			break
		}
		if kind == kindStruct {
			if name := t.str(le.Uint32(t.types[off:])); name != "" && n > 0 {
				if _, ok := t.structs[name]; !ok {
					t.structs[name] = uint32(len(t.at))
				}
			}
		}
		t.at = append(t.at, uint32(off))
		off = next
	}
	if len(t.structs) == 0 {
		return nil
	}
	return t
}

func (t *btf) str(off uint32) string {
	if uint64(off) >= uint64(len(t.strs)) {
		return ""
	}
	b := t.strs[off:]
	b = b[:min(len(b), 256)]
	if n := bytes.IndexByte(b, 0); n >= 0 {
		return string(b[:n])
	}
	return ""
}

// get returns a type's kind, the number of its elements, its size or the type it
// refers to, and where its elements begin.
func (t *btf) get(id uint32) (kind, n int, size uint32, flag bool, elements []byte) {
	if id == 0 || uint64(id) >= uint64(len(t.at)) {
		return 0, 0, 0, false, nil
	}
	b := t.types[t.at[id]:]
	info := binary.LittleEndian.Uint32(b[4:])
	return int(info >> 24 & 0x1f), int(info & 0xffff), binary.LittleEndian.Uint32(b[8:]), info>>31 != 0, b[12:]
}

// plain removes typedefs and qualifiers.
func (t *btf) plain(id uint32) uint32 {
	for range 16 {
		switch kind, _, to, _, _ := t.get(id); kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = to
		default:
			return id
		}
	}
	return 0
}

// field is where a member is in a structure.
type field struct {
	off  uint64 // bytes
	bit  uint32 // of a bit field: the first bit, from the structure's start
	bits uint32 // and how many; else 0
	typ  uint32
	ok   bool
}

// member finds a member of a structure by name, in anonymous structures in it too.
func (t *btf) member(structure, name string) field {
	if t == nil {
		return field{}
	}
	return t.memberOf(t.structs[structure], name, 0)
}

func (t *btf) memberOf(id uint32, name string, depth int) field {
	kind, n, _, flag, e := t.get(t.plain(id))
	if kind != kindStruct && kind != kindUnion || depth > 8 {
		return field{}
	}
	le := binary.LittleEndian
	for i := range n {
		m := e[12*i:]
		typ, bit := le.Uint32(m[4:]), le.Uint32(m[8:])
		bits := uint32(0)
		if flag {
			bits, bit = bit>>24, bit&0xffffff
		}
		switch t.str(le.Uint32(m)) {
		case name:
			return field{uint64(bit / 8), bit, bits, typ, true}
		case "":
			if f := t.memberOf(typ, name, depth+1); f.ok {
				f.off += uint64(bit / 8)
				f.bit += bit
				return f
			}
		}
	}
	return field{}
}

// in finds a member of the structure that is the type of another member.
func (t *btf) in(f field, name string) field {
	if !f.ok {
		return field{}
	}
	g := t.memberOf(f.typ, name, 0)
	g.off += f.off
	g.bit += uint32(f.off) * 8
	return g
}

// sizeOf is the size in bytes of a structure, or 0.
func (t *btf) sizeOf(structure string) uint64 {
	if t == nil {
		return 0
	}
	_, _, size, _, _ := t.get(t.structs[structure])
	return uint64(size)
}

// array is the element type and the length of an array type.
func (t *btf) array(id uint32) (elem, n uint32, ok bool) {
	kind, _, _, _, e := t.get(t.plain(id))
	if kind != kindArray {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[8:]), true
}

// sizeOfType is the size of a structure type.
func (t *btf) sizeOfType(id uint32) uint64 {
	kind, _, size, _, _ := t.get(t.plain(id))
	if kind != kindStruct && kind != kindUnion {
		return 0
	}
	return uint64(size)
}
