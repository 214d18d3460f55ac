package boot

import "hotblock/mmu"

// Limits of a firmware ROM. It is a whole number of 64 KiB, as the chips are.
const (
	firmwareUnit = 64 << 10
	firmwareMax  = 16 << 20
	isaBIOSMax   = 128 << 10
)

// LoadFirmware reads a ROM image and maps it where a PC has it: ending at
// 4 GiB, and its last 128 KiB (or all of it, where it is smaller) ending at
// 1 MiB. The copy below 1 MiB is the ROM itself; a chipset with shadow RAM
// (the PAM registers of the 440FX) maps over it. The block is the ROM's
// contents, for such a chipset to copy or map.
func LoadFirmware(mem *mmu.Memory, path string) (*Entry, *mmu.Block, error) {
	b, err := readFile(path, "firmware")
	if err != nil {
		return nil, nil, err
	}
	return MapFirmware(mem, path, b)
}

// MapFirmware is LoadFirmware for an image that is in memory; name is for
// error messages.
func MapFirmware(mem *mmu.Memory, name string, b []byte) (*Entry, *mmu.Block, error) {
	switch {
	case len(b) == 0:
		return nil, nil, fail(name, ErrEmpty, "firmware file is empty")
	case isELF(b):
		return nil, nil, fail(name, ErrFormat, "is an ELF file, not a firmware ROM; start it with -kernel")
	case len(b)%firmwareUnit != 0:
		return nil, nil, fail(name, ErrFormat, "firmware of %d bytes is not a multiple of 64 KiB; the file is truncated or no ROM image", len(b))
	case len(b) > firmwareMax:
		return nil, nil, fail(name, ErrFormat, "firmware of %d MiB is larger than the %d MiB below 4 GiB that a PC has for it", len(b)>>20, firmwareMax>>20)
	}
	blk, err := mmu.NewBlock("firmware", uint64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	copy(blk.Bytes, b)
	size := uint64(len(b))
	mem.Map(mmu.Region{Name: "bios", Base: fourGiB - size, Size: size, Kind: mmu.ROM, Blk: blk})
	low := min(size, isaBIOSMax)
	mem.Map(mmu.Region{Name: "isa-bios", Base: highRAM - low, Size: low, Kind: mmu.ROM, Blk: blk, Off: size - low})
	e := Reset()
	e.Protocol = "firmware"
	return e, blk, nil
}
