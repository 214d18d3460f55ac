package boot

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Offsets in boot_params, the "zero page"
// (Documentation/arch/x86/zero-page.rst).
const (
	bpSize          = 4096
	bpVideoMode     = 0x006
	bpVideoCols     = 0x007
	bpVideoEGA      = 0x00a
	bpVideoLines    = 0x00e
	bpVideoIsVGA    = 0x00f
	bpVideoPoints   = 0x010
	bpRSDP          = 0x070
	bpExtRamdisk    = 0x0c0
	bpExtRamdiskLen = 0x0c4
	bpE820Entries   = 0x1e8
	bpE820          = 0x2d0
	bpE820Max       = 128
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

func asTooLarge(err error, t *errTooLarge) bool { return errors.As(err, t) }

// AddParameters adds kernel parameters, separated by spaces, to a command line;
// those that it has already are left out.
func AddParameters(cmdline, params string) string {
	have := strings.Fields(cmdline)
	for _, w := range strings.Fields(params) {
		if !slices.Contains(have, w) {
			have = append(have, w)
			if cmdline != "" && !strings.HasSuffix(cmdline, " ") {
				cmdline += " "
			}
			cmdline += w
		}
	}
	return cmdline
}

// checkCmdline refuses what the kernel would cut off.
func checkCmdline(p *Params, size uint64) error {
	size = min(size, listsAt-cmdlineAt-1)
	if n := uint64(len(p.Cmdline)); n > size {
		return fail(p.Kernel, ErrCmdline, "kernel command line of %d bytes is too long: this kernel takes %d; shorten -append", n, size)
	}
	return nil
}

// enterLinux places an unpacked kernel and enters it by the 64-bit boot
// protocol, or a 32-bit kernel by the 32-bit one. h is nil for a vmlinux that
// was given as such.
func enterLinux(p *Params, pl *placer, f *elfFile, h *setupHeader) (*Entry, error) {
	if !f.holds(f.entry) {
		return nil, fail(p.Kernel, ErrFormat, "ELF entry %#x lies outside what the file loads", f.entry)
	}
	if f.entry >= fourGiB {
		return nil, fail(p.Kernel, ErrFormat, "ELF entry %#x lies above 4 GiB", f.entry)
	}
	p.Cmdline = AddParameters(p.Cmdline, p.CmdlineLinux)
	if _, err := f.place(p.Kernel, pl); err != nil {
		return nil, err
	}
	mode, name := Long64, "Linux 64-bit"
	if !f.class64 {
		mode, name = Protected32, "Linux 32-bit"
	}
	return finishLinux(p, pl, h, mode, f.entry, name)
}

// vmlinuxHeader stands for the setup header that a vmlinux has lost.
func vmlinuxHeader() *setupHeader {
	raw := make([]byte, hdrInitSize+4-hdrSetupSects)
	at := func(off int) []byte { return raw[off-hdrSetupSects:] }
	le := binary.LittleEndian
	le.PutUint16(at(hdrBootFlag), 0xaa55)
	copy(at(hdrMagic), "HdrS")
	le.PutUint16(at(hdrVersion), 0x020f)
	at(hdrLoadFlags)[0] = loadedHigh
	le.PutUint32(at(hdrInitrdMax), vmlinuxInitrdMax)
	le.PutUint32(at(hdrAlignment), 2<<20)
	le.PutUint16(at(hdrXLoadFlags), xlfKernel64|xlfAbove4G)
	le.PutUint32(at(hdrCmdlineSize), vmlinuxCmdline)
	return &setupHeader{raw: raw, version: 0x020f, initrdMax: vmlinuxInitrdMax, cmdlineSize: vmlinuxCmdline,
		xloadflags: xlfKernel64 | xlfAbove4G}
}

// finishLinux places initrd, command line and boot_params.
func finishLinux(p *Params, pl *placer, h *setupHeader, mode Mode, ip uint64, name string) (*Entry, error) {
	if h == nil {
		h = vmlinuxHeader()
	}
	if err := checkCmdline(p, h.cmdlineSize); err != nil {
		return nil, err
	}
	if len(p.E820) > bpE820Max {
		return nil, fail(p.Kernel, ErrFormat, "memory map of %d entries is longer than the %d that boot_params holds", len(p.E820), bpE820Max)
	}
	rd, err := readInitrd(p)
	if err != nil {
		return nil, err
	}
	var rdAt uint64
	if rd != nil {
		limit := h.initrdMax + 1
		at, ok := pl.high(uint64(len(rd)), 4096, min(limit, fourGiB))
		if !ok && h.xloadflags&xlfAbove4G != 0 {
			at, ok = pl.high(uint64(len(rd)), 4096, ^uint64(0))
		}
		if !ok {
			return nil, initrdTooLarge(p, pl, rd)
		}
		pl.mem.Write(at, rd)
		rdAt = at
	}

	bp := make([]byte, bpSize)
	le := binary.LittleEndian
	copy(bp[hdrSetupSects:hdrEndMax], h.raw)
	bp[hdrLoader] = 0xff // a loader without a number of its own
	bp[hdrLoadFlags] = bp[hdrLoadFlags]&^canUseHeap | loadedHigh
	le.PutUint16(bp[hdrVidMode:], 0xffff) // "normal"
	le.PutUint32(bp[hdrCmdline:], cmdlineAt)
	le.PutUint32(bp[hdrRamdisk:], uint32(rdAt))
	le.PutUint32(bp[hdrRamdiskSize:], uint32(len(rd)))
	le.PutUint32(bp[bpExtRamdisk:], uint32(rdAt>>32))
	le.PutUint32(bp[bpExtRamdiskLen:], uint32(uint64(len(rd))>>32))
	le.PutUint64(bp[bpRSDP:], p.RSDP)
	if p.VGAText {
		bp[bpVideoMode], bp[bpVideoCols], bp[bpVideoLines] = 3, 80, 25
		bp[bpVideoIsVGA] = 1 // VIDEO_TYPE_VGAC
		le.PutUint16(bp[bpVideoEGA:], 3)
		le.PutUint16(bp[bpVideoPoints:], 16)
	}
	bp[bpE820Entries] = byte(len(p.E820))
	table := bp[bpE820:bpE820]
	for _, e := range p.E820 {
		table = appendE820(table, e)
	}
	pl.mem.Write(structAt, bp)
	pl.mem.Write(cmdlineAt, append([]byte(p.Cmdline), 0))

	e := flatEntry(pl, mode, name)
	e.IP = ip
	e.GPR[SI] = structAt
	return e, nil
}

// readInitrd reads the initial RAM disk; nil where there is none.
func readInitrd(p *Params) ([]byte, error) {
	if p.InitrdData != nil || p.Initrd == "" {
		return p.InitrdData, nil
	}
	return readFile(p.Initrd, "initrd")
}

func initrdTooLarge(p *Params, pl *placer, rd []byte) error {
	name := p.Initrd
	if name == "" {
		name = "initrd"
	}
	return fail(name, ErrMemory, "initrd of %d MiB does not fit beside the kernel in the guest's %d MiB; give more with -m",
		mib(uint64(len(rd))), pl.total()>>20)
}
