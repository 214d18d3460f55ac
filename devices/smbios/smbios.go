// Package smbios builds the machine's SMBIOS tables (DMTF DSP0134, version 2.8
// with the 32-bit entry point), by which systems name the machine.
package smbios

import "encoding/binary"

// Config is what the tables tell of the machine.
type Config struct {
	CPUs int
	RAM  uint64 // bytes
}

// Names of the fw_cfg files that firmware reads the tables from.
const (
	FileAnchor = "etc/smbios/smbios-anchor"
	FileTables = "etc/smbios/smbios-tables"
)

type builder struct {
	out    []byte
	count  int
	max    int
	handle uint16
}

// add appends a structure: its formatted area after the header, then its
// strings.
func (b *builder) add(typ byte, body []byte, strings ...string) uint16 {
	h := b.handle
	b.handle++
	start := len(b.out)
	b.out = append(b.out, typ, byte(4+len(body)), byte(h), byte(h>>8))
	b.out = append(b.out, body...)
	for _, s := range strings {
		b.out = append(append(b.out, s...), 0)
	}
	if len(strings) == 0 {
		b.out = append(b.out, 0)
	}
	b.out = append(b.out, 0)
	b.count++
	b.max = max(b.max, len(b.out)-start)
	return h
}

func u16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func cat(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// Build returns the structures and their entry point, which expects them at
// addr. Firmware that moves them sets the address and the checksums anew.
func Build(cfg Config, addr uint32) (anchor, tables []byte) {
	b := &builder{}
	// BIOS: characteristics not given, but for "virtual machine".
	b.add(0, cat([]byte{1, 2}, u16(0xe800), []byte{3, 0}, u64(1<<3), []byte{0, 0x14, 0, 0, 0xff, 0xff}),
		"hotblock", "1.0", "01/01/2026")
	// System.
	b.add(1, cat([]byte{1, 2, 3, 0}, make([]byte, 16), []byte{6, 0, 0}), "hotblock", "PC (i440FX + PIIX)", "1.0")
	// Chassis.
	b.add(3, cat([]byte{1, 1, 2, 0, 0, 3, 3, 3, 2}, u32(0), []byte{0, 0, 0, 0}), "hotblock", "1.0")
	for i := range cfg.CPUs {
		name := "CPU " + string(rune('0'+i/100%10)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
		b.add(4, cat([]byte{1, 3, 0xfe, 2}, u64(0), []byte{3, 0}, u16(0), u16(2000), u16(2000), []byte{0x41, 1},
			u16(0xffff), u16(0xffff), u16(0xffff), []byte{0, 0, 0, 1, 1, 1}, u16(2), u16(0xfe)),
			name, "hotblock", "1.0")
	}
	// Memory: one array with one module.
	kib := cfg.RAM >> 10
	capKiB, ext := uint32(kib), uint64(0)
	if kib >= 1<<31 {
		capKiB, ext = 1<<31, cfg.RAM
	}
	array := b.add(16, cat([]byte{1, 3, 6}, u32(capKiB), u16(0xfffe), u16(1), u64(ext)))
	mib := cfg.RAM >> 20
	size, extMiB := uint16(mib), uint32(0)
	if mib >= 0x7fff {
		size, extMiB = 0x7fff, uint32(mib)
	}
	b.add(17, cat(u16(array), u16(0xfffe), u16(0xffff), u16(0xffff), u16(size), []byte{9, 0, 1, 0, 7}, u16(2),
		u16(0), []byte{2, 0, 0, 0, 0}, u32(extMiB), u16(0), u16(0), u16(0), u16(0)), "DIMM 0", "hotblock")
	end := uint32((cfg.RAM >> 10) - 1)
	b.add(19, cat(u32(0), u32(end), u16(array), []byte{1}, u64(0), u64(0)))
	b.add(32, make([]byte, 7)) // no boot error
	b.add(127, nil)

	a := []byte("_SM_\x00\x1f\x02\x08")
	a = append(a, u16(uint16(b.max))...)
	a = append(a, 0, 0, 0, 0, 0, 0)
	a = append(a, "_DMI_\x00"...)
	a = append(a, u16(uint16(len(b.out)))...)
	a = append(a, u32(addr)...)
	a = append(a, u16(uint16(b.count))...)
	a = append(a, 0x28)
	sum := func(p []byte) (s byte) {
		for _, x := range p {
			s -= x
		}
		return s
	}
	a[21] = sum(a[16:])
	a[4] = sum(a)
	return a, b.out
}
