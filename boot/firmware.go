package boot

// Limits of a firmware ROM. It is a whole number of 64 KiB, as the chips are.
const (
	firmwareUnit = 64 << 10
	firmwareMax  = 16 << 20
)

// ReadFirmware reads a ROM image, which the board maps to end at 4 GiB, and
// checks that it can be one.
func ReadFirmware(path string) ([]byte, error) {
	b, err := readFile(path, "firmware")
	if err != nil {
		return nil, err
	}
	return b, checkFirmware(path, b)
}

func checkFirmware(name string, b []byte) error {
	switch {
	case len(b) == 0:
		return fail(name, ErrEmpty, "firmware file is empty")
	case isELF(b):
		return fail(name, ErrFormat, "is an ELF file, not a firmware ROM; start it with -kernel")
	case len(b)%firmwareUnit != 0:
		return fail(name, ErrFormat, "firmware of %d bytes is not a multiple of 64 KiB; the file is truncated or no ROM image", len(b))
	case len(b) > firmwareMax:
		return fail(name, ErrFormat, "firmware of %d MiB is larger than the %d MiB below 4 GiB that a PC has for it", len(b)>>20, firmwareMax>>20)
	}
	return nil
}
