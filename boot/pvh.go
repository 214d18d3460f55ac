package boot

import "encoding/binary"

// Direct boot of ELF files: PVH, by which Xen, and after it QEMU, Firecracker
// and Cloud Hypervisor, enter kernels that say so in a note (Xen
// docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h), and Linux's
// vmlinux.

const (
	xenNoteGuestOS = 6  // XEN_ELFNOTE_GUEST_OS
	xenNotePhys32  = 18 // XEN_ELFNOTE_PHYS32_ENTRY
	hvmMagic       = 0x336ec578
	hvmInfoSize    = 56
)

// pvhNote returns the 32-bit entry that the PVH note names, and the guest's
// own name for itself.
func pvhNote(f *elfFile) (entry uint64, os string, ok bool) {
	f.notes(func(name string, typ uint32, desc []byte) bool {
		if name != "Xen" {
			return true
		}
		switch typ {
		case xenNotePhys32:
			switch len(desc) {
			case 4:
				entry, ok = uint64(binary.LittleEndian.Uint32(desc)), true
			case 8:
				entry, ok = binary.LittleEndian.Uint64(desc), true
			}
		case xenNoteGuestOS:
			for len(desc) > 0 && desc[len(desc)-1] == 0 {
				desc = desc[:len(desc)-1]
			}
			os = string(desc[:min(len(desc), 32)])
		}
		return true
	})
	return
}

// loadELF boots an ELF file that is not multiboot.
func loadELF(p *Params, pl *placer, img []byte) (*Entry, error) {
	f, err := parseELF(p.Kernel, img)
	if err != nil {
		return nil, err
	}
	if err := takeLow(p, pl); err != nil {
		return nil, err
	}
	entry, os, pvh := pvhNote(f)
	// Linux has both entries; its own passes more (screen_info) and needs no
	// switch of modes.
	if pvh && !(os == "linux" && f.class64) {
		return loadPVH(p, pl, f, entry)
	}
	if !f.class64 {
		return nil, fail(p.Kernel, ErrFormat, "is a 32-bit ELF file with neither a multiboot header nor a PVH note, so its entry is unknown")
	}
	return enterLinux(p, pl, f, nil)
}

func loadPVH(p *Params, pl *placer, f *elfFile, entry uint64) (*Entry, error) {
	if !f.holds(entry) || entry >= fourGiB {
		return nil, fail(p.Kernel, ErrFormat, "PVH entry %#x lies outside what the file loads", entry)
	}
	if err := checkCmdline(p, listsAt); err != nil {
		return nil, err
	}
	if _, err := f.place(p.Kernel, pl); err != nil {
		return nil, err
	}
	rd, err := readInitrd(p)
	if err != nil {
		return nil, err
	}
	const modAt, mapAt = listsAt, listsAt + 0x1000
	if len(p.E820)*24 > listsEnd-mapAt {
		return nil, fail(p.Kernel, ErrFormat, "memory map of %d entries is too long", len(p.E820))
	}
	le := binary.LittleEndian
	info := make([]byte, hvmInfoSize)
	le.PutUint32(info, hvmMagic)
	le.PutUint32(info[4:], 1) // version, which has the memory map
	if rd != nil {
		at, ok := pl.high(uint64(len(rd)), 4096, fourGiB)
		if !ok {
			return nil, initrdTooLarge(p, pl, rd)
		}
		pl.mem.Write(at, rd)
		mod := make([]byte, 32)
		le.PutUint64(mod, at)
		le.PutUint64(mod[8:], uint64(len(rd)))
		pl.mem.Write(modAt, mod)
		le.PutUint32(info[12:], 1)
		le.PutUint64(info[16:], modAt)
	}
	le.PutUint64(info[24:], cmdlineAt)
	le.PutUint64(info[32:], p.RSDP)
	le.PutUint64(info[40:], mapAt)
	le.PutUint32(info[48:], uint32(len(p.E820)))
	var table []byte
	for _, e := range p.E820 {
		table = le.AppendUint32(appendE820(table, e), 0)
	}
	pl.mem.Write(mapAt, table)
	pl.mem.Write(structAt, info)
	pl.mem.Write(cmdlineAt, append([]byte(p.Cmdline), 0))

	e := flatEntry(pl, Protected32, "PVH")
	e.IP = entry
	e.GPR[BX] = structAt
	return e, nil
}
