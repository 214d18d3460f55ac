package acpi

import (
	"encoding/binary"
	"strings"
)

// A small builder of ACPI Machine Language (ACPI 6.4, chapter 20). Each
// function returns the encoding of one term; terms are joined with cat.

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// pkgLen puts the package length before body (20.2.4).
func pkgLen(body []byte) []byte {
	n := len(body)
	switch {
	case n+1 < 1<<6:
		return cat([]byte{byte(n + 1)}, body)
	case n+2 < 1<<12:
		n += 2
		return cat([]byte{1<<6 | byte(n&15), byte(n >> 4)}, body)
	case n+3 < 1<<20:
		n += 3
		return cat([]byte{2<<6 | byte(n&15), byte(n >> 4), byte(n >> 12)}, body)
	}
	n += 4
	return cat([]byte{3<<6 | byte(n&15), byte(n >> 4), byte(n >> 12), byte(n >> 20)}, body)
}

func seg(s string) string { return (s + "____")[:4] }

// name encodes a path such as \_SB.PCI0 (20.2.2).
func name(path string) []byte {
	var out []byte
	for strings.HasPrefix(path, "\\") || strings.HasPrefix(path, "^") {
		out = append(out, path[0])
		path = path[1:]
	}
	segs := strings.Split(path, ".")
	switch len(segs) {
	case 1:
		if segs[0] == "" {
			return append(out, 0)
		}
	case 2:
		out = append(out, 0x2e)
	default:
		out = append(out, 0x2f, byte(len(segs)))
	}
	for _, s := range segs {
		out = append(out, seg(s)...)
	}
	return out
}

// integer encodes a constant in the shortest form.
func integer(v uint64) []byte {
	switch {
	case v == 0:
		return []byte{0x00}
	case v == 1:
		return []byte{0x01}
	case v <= 0xff:
		return []byte{0x0a, byte(v)}
	case v <= 0xffff:
		return binary.LittleEndian.AppendUint16([]byte{0x0b}, uint16(v))
	case v <= 0xffffffff:
		return binary.LittleEndian.AppendUint32([]byte{0x0c}, uint32(v))
	}
	return binary.LittleEndian.AppendUint64([]byte{0x0e}, v)
}

func str(s string) []byte { return cat([]byte{0x0d}, []byte(s), []byte{0}) }

// eisaID encodes a compressed EISA identifier such as PNP0A03.
func eisaID(s string) []byte {
	v := uint32(s[0]-'@')<<26 | uint32(s[1]-'@')<<21 | uint32(s[2]-'@')<<16
	for i := range 4 {
		v |= uint32(strings.IndexByte("0123456789ABCDEF", s[3+i])) << (12 - 4*i)
	}
	b := binary.BigEndian.AppendUint32(nil, v)
	return cat([]byte{0x0c}, b)
}

func defName(n string, v []byte) []byte { return cat([]byte{0x08}, name(n), v) }

func scope(n string, body ...[]byte) []byte {
	return cat([]byte{0x10}, pkgLen(cat(name(n), cat(body...))))
}

func device(n string, body ...[]byte) []byte {
	return cat([]byte{0x5b, 0x82}, pkgLen(cat(name(n), cat(body...))))
}

// method defines a control method; a serialized one may create named objects.
func method(n string, args int, serialized bool, body ...[]byte) []byte {
	flags := byte(args)
	if serialized {
		flags |= 8
	}
	return cat([]byte{0x14}, pkgLen(cat(name(n), []byte{flags}, cat(body...))))
}

func pkg(elems ...[]byte) []byte {
	return cat([]byte{0x12}, pkgLen(cat([]byte{byte(len(elems))}, cat(elems...))))
}

func buffer(b []byte) []byte {
	return cat([]byte{0x11}, pkgLen(cat(integer(uint64(len(b))), b)))
}

// opRegion defines an operation region; space 1 is system I/O, 2 PCI
// configuration.
func opRegion(n string, space byte, off, length uint64) []byte {
	return cat([]byte{0x5b, 0x80}, name(n), []byte{space}, integer(off), integer(length))
}

// byteFields defines fields of 8 bits each in a region, accessed as bytes.
func byteFields(region string, names ...string) []byte {
	body := cat(name(region), []byte{0x01})
	for _, n := range names {
		body = append(body, seg(n)...)
		body = append(body, 8)
	}
	return cat([]byte{0x5b, 0x81}, pkgLen(body))
}

func arg(n int) []byte { return []byte{0x68 + byte(n)} }

func ret(v []byte) []byte          { return cat([]byte{0xa4}, v) }
func store(v, to []byte) []byte    { return cat([]byte{0x70}, v, to) }
func and(a, b, to []byte) []byte   { return cat([]byte{0x7b}, a, b, to) }
func or(a, b, to []byte) []byte    { return cat([]byte{0x7d}, a, b, to) }
func less(a, b []byte) []byte      { return cat([]byte{0x95}, a, b) }
func ifThen(c, body []byte) []byte { return cat([]byte{0xa0}, pkgLen(cat(c, body))) }

// call invokes a method.
func call(n string, args ...[]byte) []byte { return cat(name(n), cat(args...)) }

// dwordField creates a field over four bytes of a buffer.
func dwordField(buf []byte, off uint64, n string) []byte {
	return cat([]byte{0x8a}, buf, integer(off), name(n))
}

// --- resource descriptors (ACPI 6.4, 6.4) ---

// resources is a resource template.
func resources(items ...[]byte) []byte { return buffer(cat(cat(items...), []byte{0x79, 0x00})) }

// ioPorts is n ports at base, decoded on 16 lines.
func ioPorts(base uint16, n byte) []byte {
	return []byte{0x47, 0x01, byte(base), byte(base >> 8), byte(base), byte(base >> 8), 0x01, n}
}

// isaIRQ is an edge-triggered ISA interrupt.
func isaIRQ(n int) []byte {
	m := uint16(1) << n
	return []byte{0x22, byte(m), byte(m >> 8)}
}

// isaDMA is an 8-bit DMA channel.
func isaDMA(n int) []byte { return []byte{0x2a, 1 << n, 0x00} }

// interrupts is an extended descriptor: level, active high, shared.
func interrupts(ns ...uint32) []byte {
	body := []byte{0x09, byte(len(ns))} // consumer, level, active high, shared
	for _, n := range ns {
		body = binary.LittleEndian.AppendUint32(body, n)
	}
	return cat([]byte{0x89, byte(len(body)), byte(len(body) >> 8)}, body)
}

// fixedMemory is a read-write range that a device uses.
func fixedMemory(base, size uint32) []byte {
	b := []byte{0x86, 9, 0, 0x01}
	b = binary.LittleEndian.AppendUint32(b, base)
	return binary.LittleEndian.AppendUint32(b, size)
}

// Kinds of address space descriptor.
const (
	spaceMemory = 0
	spaceIO     = 1
	spaceBus    = 2
)

// wordSpace is a range that a bridge passes on, in 16 bits.
func wordSpace(kind byte, lo, hi uint16) []byte {
	typ := byte(0)
	if kind == spaceIO {
		typ = 0x03 // entire range
	}
	b := []byte{0x88, 13, 0, kind, 0x0c, typ}
	for _, v := range []uint16{0, lo, hi, 0, hi - lo + 1} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

// dwordMemory is a memory range that a bridge passes on, in 32 bits.
func dwordMemory(lo, hi uint32, cacheable bool) []byte {
	typ := byte(0x01)
	if cacheable {
		typ |= 0x02
	}
	b := []byte{0x87, 23, 0, spaceMemory, 0x0c, typ}
	for _, v := range []uint32{0, lo, hi, 0, hi - lo + 1} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// qwordMemory is a memory range that a bridge passes on, in 64 bits.
func qwordMemory(lo, hi uint64) []byte {
	b := []byte{0x8a, 43, 0, spaceMemory, 0x0c, 0x03}
	for _, v := range []uint64{0, lo, hi, 0, hi - lo + 1} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
