package boot

import "encoding/binary"

// The setup header of a bzImage (Documentation/arch/x86/boot.rst, "The
// Real-Mode Kernel Header"). Offsets count from the start of the file and are
// the same in boot_params, which begins as a copy of the first sectors.
const (
	hdrSetupSects    = 0x1f1
	hdrSysSize       = 0x1f4
	hdrVidMode       = 0x1fa
	hdrBootFlag      = 0x1fe
	hdrJump          = 0x200
	hdrMagic         = 0x202
	hdrVersion       = 0x206
	hdrLoader        = 0x210
	hdrLoadFlags     = 0x211
	hdrCode32        = 0x214
	hdrRamdisk       = 0x218
	hdrRamdiskSize   = 0x21c
	hdrCmdline       = 0x228
	hdrInitrdMax     = 0x22c
	hdrAlignment     = 0x230
	hdrRelocatable   = 0x234
	hdrXLoadFlags    = 0x236
	hdrCmdlineSize   = 0x238
	hdrPayload       = 0x248
	hdrPayloadLen    = 0x24c
	hdrPrefAddress   = 0x258
	hdrInitSize      = 0x260
	hdrEndMax        = 0x290 // boot_params has room for the header up to here
	loadedHigh       = 1     // in loadflags
	canUseHeap       = 0x80
	xlfKernel64      = 1 // in xloadflags: has a 64-bit entry at 0x200
	xlfAbove4G       = 2 // kernel, boot_params, command line and initrd may lie above 4 GiB
	defaultCmdline   = 255
	defaultInitrdMax = 0x37ffffff
	vmlinuxInitrdMax = 0x7fffffff
	vmlinuxCmdline   = 2047 // COMMAND_LINE_SIZE of x86, without the NUL
	linuxProtocolMin = 0x0202
	entry64Offset    = 0x200
	maxPayloadUnpack = 2 << 30
)

// setupHeader is what a loader reads of the header, with the defaults of the
// older versions of the protocol filled in.
type setupHeader struct {
	raw         []byte // from hdrSetupSects up to the header's end
	version     uint16
	code        []byte // the protected-mode part of the file
	code32      uint64
	initrdMax   uint64 // last byte that the initrd may occupy
	cmdlineSize uint64 // without the NUL
	xloadflags  uint16
	payload     []byte // nil where the image does not say
	pref        uint64
	initSize    uint64
}

// parseSetup reads the header of a bzImage. It returns nil, nil for what is
// none.
func parseSetup(name string, b []byte) (*setupHeader, error) {
	if len(b) < hdrVersion+2 || string(b[hdrMagic:hdrMagic+4]) != "HdrS" ||
		binary.LittleEndian.Uint16(b[hdrBootFlag:]) != 0xaa55 {
		return nil, nil
	}
	le := binary.LittleEndian
	h := &setupHeader{version: le.Uint16(b[hdrVersion:])}
	if h.version < linuxProtocolMin {
		return nil, fail(name, ErrFormat, "speaks Linux boot protocol %d.%02d; 2.02 (Linux 2.4) or later is needed",
			h.version>>8, h.version&0xff)
	}
	// The jump at 0x200 leads over the header: its displacement gives the end.
	end := hdrMagic + int(b[hdrJump+1])
	if b[hdrJump] != 0xeb || end > hdrEndMax {
		end = hdrEndMax
	}
	if len(b) < hdrEndMax {
		return nil, fail(name, ErrTruncated, "bzImage ends within its setup header; the file is truncated")
	}
	h.raw = b[hdrSetupSects:max(end, hdrInitrdMax)]

	sects := int(b[hdrSetupSects])
	if sects == 0 {
		sects = 4
	}
	start := (sects + 1) * 512
	sys := uint64(le.Uint32(b[hdrSysSize:])) * 16
	// The size is rounded up to 16 bytes; some images stop short of that.
	if start >= len(b) || sys > uint64(len(b)-start)+15 {
		return nil, fail(name, ErrTruncated, "bzImage of %d bytes should have %d; the file is truncated",
			len(b), uint64(start)+sys)
	}
	h.code = b[start:]
	if b[hdrLoadFlags]&loadedHigh == 0 {
		return nil, fail(name, ErrFormat, "is a zImage, which loads below 1 MiB; only bzImages can be booted")
	}
	h.code32 = uint64(le.Uint32(b[hdrCode32:]))
	h.initrdMax = defaultInitrdMax
	if h.version >= 0x0203 {
		h.initrdMax = uint64(le.Uint32(b[hdrInitrdMax:]))
	}
	h.cmdlineSize = defaultCmdline
	if h.version >= 0x0206 {
		h.cmdlineSize = uint64(le.Uint32(b[hdrCmdlineSize:]))
	}
	if h.version >= 0x0208 {
		off, n := uint64(le.Uint32(b[hdrPayload:])), uint64(le.Uint32(b[hdrPayloadLen:]))
		if off+n > uint64(len(h.code)) {
			return nil, fail(name, ErrTruncated, "bzImage ends within its compressed kernel; the file is truncated")
		}
		if n > 0 && off > 0 {
			h.payload = h.code[off : off+n]
		}
	}
	if h.version >= 0x020a {
		h.pref = le.Uint64(b[hdrPrefAddress:])
		h.initSize = uint64(le.Uint32(b[hdrInitSize:]))
	}
	if h.version >= 0x020c {
		h.xloadflags = le.Uint16(b[hdrXLoadFlags:])
	}
	return h, nil
}

// loadBzImage boots a bzImage. Where the payload can be unpacked to an ELF
// file, that is the kernel; it runs at its link address, so its relocations
// need not be applied, and address space randomisation of the kernel, which
// the unpacking program would have done, is left out. Otherwise the image
// unpacks itself.
func loadBzImage(p *Params, pl *placer, img []byte, h *setupHeader) (*Entry, error) {
	if err := takeLow(p, pl); err != nil {
		return nil, err
	}
	// Only a Linux kernel has a payload; other programs borrow the header.
	if h.payload != nil {
		p.Cmdline = AddParameters(p.Cmdline, p.CmdlineLinux)
		e, err := loadPayload(p, pl, h)
		if e != nil || err != nil {
			return e, err
		}
	}
	return loadPacked(p, pl, h)
}

// loadPayload unpacks on the host; nil, nil where that is not possible.
func loadPayload(p *Params, pl *placer, h *setupHeader) (*Entry, error) {
	c := findCompression(h.payload)
	if c == nil {
		p.logf("%s: payload is in an unknown compression; the kernel will unpack itself", p.Kernel)
		return nil, nil
	}
	if c.unpack == nil {
		p.logf("%s: payload is %s-compressed, which is not unpacked on the host; the kernel will unpack itself", p.Kernel, c.name)
		return nil, nil
	}
	limit := min(pl.largest(), maxPayloadUnpack)
	b, err := unpackPayload(c, h.payload, limit)
	if big := (errTooLarge{}); asTooLarge(err, &big) {
		return nil, &Error{File: p.Kernel, Kind: ErrMemory, Err: err, Msg: "kernel does not fit in the guest's " +
			itoa(pl.total()>>20) + " MiB: it " + err.Error() + "; give more with -m"}
	} else if err != nil {
		return nil, &Error{File: p.Kernel, Kind: ErrTruncated, Err: err,
			Msg: c.name + "-compressed kernel cannot be unpacked (" + err.Error() + "); the file is damaged"}
	}
	if !isELF(b) {
		p.logf("%s: payload is no ELF file; the kernel will unpack itself", p.Kernel)
		return nil, nil
	}
	f, err := parseELF(p.Kernel, b)
	if err != nil {
		return nil, err
	}
	return enterLinux(p, pl, f, h)
}

// loadPacked places the protected-mode part as it is.
func loadPacked(p *Params, pl *placer, h *setupHeader) (*Entry, error) {
	at := h.code32
	// The kernel moves itself to its preferred address and unpacks there.
	end := max(at+uint64(len(h.code)), at+h.initSize)
	if h.pref > at && h.pref < fourGiB {
		end = max(end, h.pref+h.initSize)
	}
	if err := takeKernel(p.Kernel, pl, at, end-at); err != nil {
		return nil, err
	}
	pl.mem.Write(at, h.code)
	pl.zero(at+uint64(len(h.code)), end-at-uint64(len(h.code)))
	mode, ip, name := Protected32, at, "Linux 32-bit, packed"
	if h.xloadflags&xlfKernel64 != 0 {
		mode, ip, name = Long64, at+entry64Offset, "Linux 64-bit, packed"
	}
	return finishLinux(p, pl, h, mode, ip, name)
}
