// Package acpi builds the ACPI tables of the machine (ACPI specification 6.4,
// in the form of revision 2 and later that every system since 2000 reads).
//
// The tables are made as one blob in which every pointer holds an offset into
// the blob, with a list of where the pointers and checksums are. Place turns
// them into addresses, for a kernel that is booted directly; Loader writes the
// same list as the script by which firmware does that itself (the linker/loader
// file of QEMU's fw_cfg).
package acpi

import (
	"encoding/binary"
	"fmt"

	"hotblock/devices/pm"
)

// Config is what the tables tell of the machine.
type Config struct {
	CPUs      int    // processors; APIC IDs are 0 to CPUs-1
	ECAM      uint64 // base of PCI configuration space in memory; 0 for none
	PCI32Lo   uint32 // memory that the host bridge passes on, below 4 GiB
	PCI32Hi   uint32 // its last byte
	PCI64Lo   uint64 // above 4 GiB; 0 for none
	PCI64Hi   uint64
	COM       []COM // serial ports
	HPET      bool
	NoI8042   bool
	NoRTC     bool
	FWCfg     bool
	ExtraDSDT []byte // more AML terms for the DSDT, for a device of another package
}

// COM is a serial port.
type COM struct {
	Port uint16
	IRQ  int
}

// Tables are the finished tables.
type Tables struct {
	Blob []byte // FACS, DSDT, FADT, MADT …, RSDT, XSDT
	RSDP []byte // 36 bytes

	ptrs []pointer
	sums []checksum
}

type pointer struct {
	rsdp bool // in RSDP, else in Blob
	off  int
	size int
}

type checksum struct {
	rsdp          bool
	off, start, n int
}

const (
	oemID      = "HOTBLK"
	oemTableID = "HOTBLOCK"
	creator    = "HBLK"
)

// HPETBase is the address of the HPET's registers.
const HPETBase = 0xfed00000

func le16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }
func le32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func le64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// add appends a table to the blob, with its header (ACPI 5.2.6), and returns
// its offset.
func (t *Tables) add(sig string, rev byte, body []byte) int {
	for len(t.Blob)%16 != 0 {
		t.Blob = append(t.Blob, 0)
	}
	off := len(t.Blob)
	h := []byte(sig)
	h = le32(h, uint32(36+len(body)))
	h = append(h, rev, 0)
	h = append(h, oemID...)
	h = append(h, oemTableID...)
	h = le32(h, 1)
	h = append(h, creator...)
	h = le32(h, 1)
	t.Blob = append(append(t.Blob, h...), body...)
	t.sums = append(t.sums, checksum{off: off + 9, start: off, n: 36 + len(body)})
	return off
}

func (t *Tables) ptr(off, size int) { t.ptrs = append(t.ptrs, pointer{off: off, size: size}) }

// Build makes the tables.
func Build(cfg Config) *Tables {
	t := &Tables{}
	// FACS (5.2.10) has no header of the common form; it is aligned to 64.
	facs := append([]byte("FACS"), make([]byte, 60)...)
	facs[4] = 64
	facs[32] = 1 // version
	t.Blob = facs
	dsdt := t.add("DSDT", 2, dsdt(cfg))
	fadt := t.fadt(cfg, dsdt)
	list := []int{fadt, t.madt(cfg)}
	if cfg.HPET {
		list = append(list, t.hpet())
	}
	if cfg.ECAM != 0 {
		var b []byte
		b = le64(b, 0)
		b = le64(b, cfg.ECAM)
		b = le16(b, 0)
		b = append(b, 0, 255)
		b = le32(b, 0)
		list = append(list, t.add("MCFG", 1, b))
	}
	var b32, b64 []byte
	for _, off := range list {
		b32 = le32(b32, uint32(off))
		b64 = le64(b64, uint64(off))
	}
	rsdt := t.add("RSDT", 1, b32)
	for i := range list {
		t.ptr(rsdt+36+4*i, 4)
	}
	xsdt := t.add("XSDT", 1, b64)
	for i := range list {
		t.ptr(xsdt+36+8*i, 8)
	}
	// RSDP (5.2.5.3).
	r := append([]byte("RSD PTR "), 0)
	r = append(r, oemID...)
	r = append(r, 2)
	r = le32(r, uint32(rsdt))
	r = le32(r, 36)
	r = le64(r, uint64(xsdt))
	r = append(r, 0, 0, 0, 0)
	t.RSDP = r
	t.ptrs = append(t.ptrs, pointer{rsdp: true, off: 16, size: 4}, pointer{rsdp: true, off: 24, size: 8})
	t.sums = append(t.sums, checksum{rsdp: true, off: 8, n: 20}, checksum{rsdp: true, off: 32, n: 36})
	return t
}

// fadt is the fixed description table (5.2.9), revision 3.
func (t *Tables) fadt(cfg Config, dsdt int) int {
	b := make([]byte, 244-36)
	put := func(off int, v uint64, n int) {
		for i := range n {
			b[off-36+i] = byte(v >> (8 * i))
		}
	}
	gas := func(off int, bits, access byte, addr uint64) {
		put(off, uint64(1)|uint64(bits)<<8|uint64(access)<<24, 4)
		put(off+4, addr, 8)
	}
	put(36, 0, 4) // FACS at offset 0 of the blob
	put(40, uint64(dsdt), 4)
	put(45, 1, 1) // preferred profile: desktop
	put(46, 9, 2) // SCI
	put(48, 0xb2, 4)
	put(52, pm.AcpiEnable, 1)
	put(53, pm.AcpiDisable, 1)
	put(56, pm.Base+pm.PM1Event, 4)
	put(64, pm.Base+pm.PM1Control, 4)
	put(76, pm.Base+pm.PMTimer, 4)
	put(80, pm.Base+pm.GPE0, 4)
	put(88, 4, 1) // lengths
	put(89, 2, 1)
	put(91, 4, 1)
	put(92, 4, 1)
	put(96, 0xfff, 2)      // no C2
	put(98, 0xfff, 2)      // no C3
	put(108, 0x32, 1)      // century
	boot := uint64(1 << 0) // legacy devices
	if !cfg.NoI8042 {
		boot |= 1 << 1
	}
	if cfg.NoRTC {
		boot |= 1 << 5
	}
	put(109, boot, 2)
	const (
		wbinvd     = 1 << 0
		procC1     = 1 << 2
		slpButton  = 1 << 5 // no sleep button in fixed registers
		resetReg   = 1 << 10
		platClock  = 1 << 15
		rtcS4      = 1 << 7
		fixedFlags = wbinvd | procC1 | slpButton | rtcS4 | resetReg | platClock
	)
	put(112, fixedFlags, 4)
	gas(116, 8, 1, 0xcf9)
	put(128, 0x06, 1) // reset value
	put(140, uint64(dsdt), 8)
	gas(148, 32, 2, pm.Base+pm.PM1Event)
	gas(172, 16, 2, pm.Base+pm.PM1Control)
	gas(208, 32, 3, pm.Base+pm.PMTimer)
	gas(220, 32, 1, pm.Base+pm.GPE0)
	off := t.add("FACP", 3, b)
	t.ptr(off+36, 4)
	t.ptr(off+40, 4)
	t.ptr(off+140, 8)
	return off
}

// madt is the multiple APIC description table (5.2.12).
func (t *Tables) madt(cfg Config) int {
	b := le32(nil, 0xfee00000)
	b = le32(b, 1) // there is a pair of 8259s
	for i := range cfg.CPUs {
		if i < 255 {
			b = append(b, 0, 8, byte(i), byte(i), 1, 0, 0, 0)
			continue
		}
		b = append(b, 9, 16, 0, 0)
		b = le32(b, uint32(i))
		b = le32(b, 1)
		b = le32(b, uint32(i))
	}
	b = append(b, 1, 12, 0, 0)
	b = le32(b, 0xfec00000)
	b = le32(b, 0)
	override := func(irq byte, gsi uint32, flags uint16) {
		b = append(b, 2, 10, 0, irq)
		b = le32(b, gsi)
		b = le16(b, flags)
	}
	override(0, 2, 0)
	for _, irq := range []byte{5, 9, 10, 11} { // PCI and SCI: level, active high
		override(irq, uint32(irq), 0x0d)
	}
	b = append(b, 4, 6, 0xff, 0, 0, 1) // LINT1 of all processors is NMI
	return t.add("APIC", 3, b)
}

// hpet is the HPET description table (IA-PC HPET specification, 3.2.4).
func (t *Tables) hpet() int {
	b := le32(nil, 0x8086a201)
	b = append(b, 0, 64, 0, 0)
	b = le64(b, HPETBase)
	b = append(b, 0, 0, 0, 0)
	return t.add("HPET", 1, b)
}

func hid(id string) []byte       { return defName("_HID", eisaID(id)) }
func uid(n int) []byte           { return defName("_UID", integer(uint64(n))) }
func crs(items ...[]byte) []byte { return defName("_CRS", resources(items...)) }
func sta(v uint64) []byte        { return defName("_STA", integer(v)) }

// dsdt is the definition block.
func dsdt(cfg Config) []byte {
	isa := [][]byte{
		defName("_ADR", integer(0x00010000)),
		opRegion("P40C", 2, 0x60, 4),
		device("RTC", hid("PNP0B00"), crs(ioPorts(0x70, 2), isaIRQ(8))),
		device("TIMR", hid("PNP0100"), crs(ioPorts(0x40, 4), isaIRQ(0))),
		device("SPKR", hid("PNP0800"), crs(ioPorts(0x61, 1))),
		device("DMAC", hid("PNP0200"), crs(ioPorts(0x00, 16), ioPorts(0x81, 15), ioPorts(0xc0, 32), isaDMA(4))),
	}
	if cfg.NoRTC {
		isa = append(isa[:2], isa[3:]...)
	}
	if !cfg.NoI8042 {
		isa = append(isa,
			device("KBD", hid("PNP0303"), sta(15), crs(ioPorts(0x60, 1), ioPorts(0x64, 1), isaIRQ(1))),
			device("MOU", hid("PNP0F13"), sta(15), crs(isaIRQ(12))))
	}
	for i, c := range cfg.COM {
		isa = append(isa, device(fmt.Sprintf("COM%d", i+1), hid("PNP0501"), uid(i+1), sta(15),
			crs(ioPorts(c.Port, 8), isaIRQ(c.IRQ))))
	}
	windows := [][]byte{
		wordSpace(spaceBus, 0, 255),
		ioPorts(0xcf8, 8),
		wordSpace(spaceIO, 0, 0xcf7),
		wordSpace(spaceIO, 0xd00, 0xffff),
		dwordMemory(0xa0000, 0xbffff, true),
		dwordMemory(cfg.PCI32Lo, cfg.PCI32Hi, false),
	}
	if cfg.PCI64Lo != 0 {
		windows = append(windows, qwordMemory(cfg.PCI64Lo, cfg.PCI64Hi))
	}
	links := []string{"LNKA", "LNKB", "LNKC", "LNKD"}
	var prt [][]byte
	for slot := range 32 {
		for pin := range 4 {
			link := links[(slot+pin-1)&3]
			if slot == 1 && pin == 0 {
				link = "LNKS" // power management: the SCI
			}
			prt = append(prt, pkg(integer(uint64(slot)<<16|0xffff), integer(uint64(pin)), name(link), integer(0)))
		}
	}
	sb := [][]byte{
		device("PCI0", hid("PNP0A03"), uid(0), crs(windows...), prtMethod(prt), device("ISA", isa...)),
		byteFields("PCI0.ISA.P40C", "PRQ0", "PRQ1", "PRQ2", "PRQ3"),
		// Whether a link is in use, and its present interrupt.
		method("IQST", 1, false,
			ifThen(and(integer(0x80), arg(0), []byte{0}), ret(integer(9))),
			ret(integer(0x0b))),
		method("IQCR", 1, true,
			defName("PRR0", resources(interrupts(0))),
			dwordField(name("PRR0"), 5, "PRRI"),
			ifThen(less(arg(0), integer(0x80)), store(arg(0), name("PRRI"))),
			ret(name("PRR0"))),
	}
	for i, l := range links {
		reg := fmt.Sprintf("PRQ%d", i)
		sb = append(sb, device(l, hid("PNP0C0F"), uid(i),
			defName("_PRS", resources(interrupts(5, 10, 11))),
			method("_STA", 0, false, ret(call("IQST", name(reg)))),
			method("_DIS", 0, false, or(name(reg), integer(0x80), name(reg))),
			method("_CRS", 0, false, ret(call("IQCR", name(reg)))),
			method("_SRS", 1, true, dwordField(arg(0), 5, "PRRI"), store(name("PRRI"), name(reg)))))
	}
	sb = append(sb, device("LNKS", hid("PNP0C0F"), uid(4),
		defName("_PRS", resources(interrupts(9))),
		method("_STA", 0, false, ret(integer(0x0b))),
		method("_DIS", 0, false),
		method("_CRS", 0, false, ret(name("_PRS"))),
		method("_SRS", 1, false)))
	for i := range cfg.CPUs {
		sb = append(sb, device(fmt.Sprintf("C%03X", i), defName("_HID", str("ACPI0007")), uid(i)))
	}
	if cfg.ECAM != 0 {
		sb = append(sb, device("MRES", hid("PNP0C02"), uid(1), crs(fixedMemory(uint32(cfg.ECAM), 256<<20))))
	}
	if cfg.HPET {
		sb = append(sb, device("HPET", hid("PNP0103"), uid(0), sta(15), crs(fixedMemory(HPETBase, 1024))))
	}
	if cfg.FWCfg {
		sb = append(sb, device("FWCF", defName("_HID", str("QEMU0002")), sta(0x0b), crs(ioPorts(0x510, 12))))
	}
	return cat(
		scope("_SB", sb...),
		defName("_S5", pkg(integer(pm.SleepTypeS5), integer(pm.SleepTypeS5), integer(0), integer(0))),
		cfg.ExtraDSDT,
	)
}

// prtMethod is the interrupt routing as a named package.
func prtMethod(entries [][]byte) []byte { return defName("_PRT", pkg(entries...)) }

// Place turns offsets into addresses for tables at base and computes the
// checksums. It returns copies of the blob and the RSDP.
func (t *Tables) Place(base uint64) (blob, rsdp []byte) {
	blob = append([]byte(nil), t.Blob...)
	rsdp = append([]byte(nil), t.RSDP...)
	in := func(r bool) []byte {
		if r {
			return rsdp
		}
		return blob
	}
	for _, p := range t.ptrs {
		b := in(p.rsdp)[p.off:]
		if p.size == 4 {
			binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)+uint32(base))
		} else {
			binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+base)
		}
	}
	for _, s := range t.sums {
		b := in(s.rsdp)
		b[s.off] = 0
		var sum byte
		for _, x := range b[s.start : s.start+s.n] {
			sum += x
		}
		b[s.off] = -sum
	}
	return blob, rsdp
}

// Names of the fw_cfg files that firmware reads the tables from.
const (
	FileTables = "etc/acpi/tables"
	FileRSDP   = "etc/acpi/rsdp"
	FileLoader = "etc/table-loader"
)

// Loader returns the script for FileLoader (QEMU, docs/specs and
// hw/acpi/bios-linker-loader.c: entries of 128 bytes).
func (t *Tables) Loader() []byte {
	var out []byte
	file := func(rsdp bool) string {
		if rsdp {
			return FileRSDP
		}
		return FileTables
	}
	fixed := func(s string) []byte { return append([]byte(s), make([]byte, 56-len(s))...) }
	entry := func(cmd uint32, body []byte) {
		e := append(le32(nil, cmd), body...)
		out = append(out, append(e, make([]byte, 128-len(e))...)...)
	}
	const high, fseg = 1, 2
	entry(1, append(le32(fixed(FileRSDP), 16), fseg))
	entry(1, append(le32(fixed(FileTables), 64), high))
	for _, p := range t.ptrs {
		b := append(fixed(file(p.rsdp)), fixed(FileTables)...)
		entry(2, append(le32(b, uint32(p.off)), byte(p.size)))
	}
	for _, s := range t.sums {
		b := le32(fixed(file(s.rsdp)), uint32(s.off))
		b = le32(b, uint32(s.start))
		entry(3, le32(b, uint32(s.n)))
	}
	return out
}
