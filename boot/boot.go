// Package boot puts a guest into memory: it reads kernels and firmware from
// host files, places them with what they ask for, and says in which state the
// boot processor starts.
//
// # How a guest gets in
//
// Load looks at the file, not at its name. What carries the signature of a
// Linux boot sector ("HdrS") is a bzImage; what carries a multiboot header is
// loaded as its fields say; an ELF file with a PVH note is entered by it; any
// other ELF64 file for x86-64 is taken for a Linux vmlinux. Firmware is a
// case of its own (ReadFirmware): the board maps it, and the processor finds it
// as it is after reset.
//
// Every protocol asks for a machine state that a boot loader would have left:
// mode, segments, page tables, a register that points to a structure. A loader
// here builds the structures in guest memory and describes the state in an
// Entry, so that the machine sets registers from it and knows no protocol.
//
// Everything that comes from a file is taken for hostile. A header's field is
// checked where it is read; sizes are compared in 64 bits; guest memory is only
// written through a map of free RAM (see placer) that refuses what leaves RAM
// or overlaps something already placed.
package boot

import (
	"errors"
	"fmt"
	"io"
	"os"

	"hotblock/mmu"
)

// Mode is the mode that the boot processor starts in.
type Mode uint8

// Modes of entry.
const (
	// Real16 is the state after reset: the first instruction is at 0xfffffff0.
	Real16 Mode = iota
	// Protected32 is protected mode without paging, with flat 4 GiB segments.
	Protected32
	// Long64 is 64-bit mode on identity-mapping page tables.
	Long64
)

// String names the mode for people.
func (m Mode) String() string {
	switch m {
	case Real16:
		return "16-bit real mode"
	case Protected32:
		return "32-bit protected mode"
	case Long64:
		return "64-bit long mode"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Segment is a segment register with its hidden part. Access has the layout of
// the access rights of the VMX guest state (SDM volume 3, "Guest Register
// State"): type in bits 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15.
// Limit counts bytes: it is already scaled by G.
type Segment struct {
	Selector uint16
	Base     uint64
	Limit    uint32
	Access   uint16
}

// Table is GDTR or IDTR.
type Table struct {
	Base  uint64
	Limit uint16
}

// Numbers of the general registers in Entry.GPR, as instructions encode them.
const (
	AX = iota
	CX
	DX
	BX
	SP
	BP
	SI
	DI
)

// Entry is the state of the boot processor at its first instruction. What it
// does not name (FPU, debug registers, MTRRs, other MSRs) is as after reset
// (SDM volume 3, "Processor State After Reset").
type Entry struct {
	Protocol string // what was found, for people: "Linux 64-bit", "multiboot", ...
	Mode     Mode
	IP       uint64     // RIP, EIP or IP within CS
	GPR      [16]uint64 // indexed by AX ... DI, then R8 to R15
	Flags    uint64     // RFLAGS
	CR0      uint64
	CR3      uint64
	CR4      uint64
	EFER     uint64
	GDT, IDT Table
	CS       Segment
	Data     Segment // DS, ES, FS, GS and SS alike
	TR, LDT  Segment
}

// Params says what to load and where.
type Params struct {
	Mem *mmu.Memory // RAM is mapped already, as E820 describes it
	// RAM is the size of the guest's memory in bytes. Where E820 is nil,
	// DefaultE820(RAM) stands for it.
	RAM  uint64
	E820 []E820Entry
	RSDP uint64 // guest-physical address of the ACPI RSDP, or 0
	// VGAText says that the machine has a VGA text screen in mode 3, so that
	// Linux puts a console on it.
	VGAText bool

	Kernel     string // path of the kernel; with KernelData set, only its name
	KernelData []byte // contents, where they do not come from a file
	// Initrd is the path of the initial RAM disk, or for multiboot a list of
	// modules, "file arguments,file arguments", where ",," is a comma.
	Initrd     string
	InitrdData []byte
	Cmdline    string
	// CmdlineLinux is added to the command line of a Linux kernel, and of
	// nothing else, unless the parameters are there already.
	CmdlineLinux string

	// Log, where set, gets a line about each decision a user may wonder about.
	Log func(format string, args ...any)
}

func (p *Params) logf(format string, args ...any) {
	if p.Log != nil {
		p.Log(format, args...)
	}
}

// Kinds of failure, to be asked for with errors.Is.
var (
	ErrMissing     = errors.New("file is missing or unreadable")
	ErrEmpty       = errors.New("file is empty")
	ErrTruncated   = errors.New("file is truncated")
	ErrFormat      = errors.New("unknown format")
	ErrArch        = errors.New("kernel is for another architecture")
	ErrCompression = errors.New("compression is not supported")
	ErrMemory      = errors.New("does not fit in guest memory")
	ErrCmdline     = errors.New("command line is too long")
)

// Error is one failure in words for the user: a single line that names the
// file and says what to do.
type Error struct {
	File string // as the user named it
	Msg  string
	Kind error // one of the Err values above
	Err  error // the cause underneath, or nil
}

// Error says what is wrong, after the name of the file where there is one.
func (e *Error) Error() string {
	if e.File == "" {
		return e.Msg
	}
	return e.File + ": " + e.Msg
}

// Unwrap lets errors.Is find both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err != nil {
		return []error{e.Kind, e.Err}
	}
	return []error{e.Kind}
}

func fail(file string, kind error, format string, args ...any) error {
	return &Error{File: file, Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// MaxFile is the size in bytes of the largest kernel, initial RAM disk or
// module that is read from a file.
const MaxFile = 8 << 30

// readFile reads all of a regular file, with errors that can be shown as they
// are. what names its role.
func readFile(path, what string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		msg := "cannot open " + what
		var pe *os.PathError
		if errors.As(err, &pe) {
			msg += ": " + pe.Err.Error()
		}
		return nil, &Error{File: path, Kind: ErrMissing, Err: err, Msg: msg}
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, &Error{File: path, Kind: ErrMissing, Err: err, Msg: "cannot read " + what + ": " + err.Error()}
	case st.IsDir():
		return nil, fail(path, ErrMissing, "is a directory, not a %s", what)
	case !st.Mode().IsRegular():
		return nil, fail(path, ErrMissing, "is not a regular file; a %s is read from one", what)
	case st.Size() == 0:
		return nil, fail(path, ErrEmpty, "%s file is empty", what)
	case st.Size() > MaxFile:
		return nil, fail(path, ErrMemory, "%s file of %d MiB is larger than any guest's memory", what, st.Size()>>20)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, &Error{File: path, Kind: ErrTruncated, Err: err, Msg: "cannot read " + what + ": " + err.Error()}
	}
	return b, nil
}

// Load puts the kernel into memory with everything its protocol asks for, and
// returns the state in which the boot processor enters it. An error is fit to
// be shown to the user, and has one of the Err values in its chain. Load may be
// called again after a reset; it then writes everything anew.
func Load(p Params) (*Entry, error) {
	if p.E820 == nil {
		p.E820 = DefaultE820(p.RAM)
	}
	img := p.KernelData
	if img == nil {
		var err error
		if img, err = readFile(p.Kernel, "kernel"); err != nil {
			return nil, err
		}
	}
	if p.Kernel == "" {
		p.Kernel = "kernel"
	}
	if len(img) == 0 {
		return nil, fail(p.Kernel, ErrEmpty, "kernel file is empty")
	}
	pl := newPlacer(p.Mem, p.E820)

	if hdr, err := parseSetup(p.Kernel, img); err != nil {
		return nil, err
	} else if hdr != nil {
		return loadBzImage(&p, pl, img, hdr)
	}
	if mb := findMultiboot(img); mb != nil {
		e, err := loadMultiboot(&p, pl, img, mb)
		if e != nil || err != nil {
			return e, err
		}
	}
	if isELF(img) {
		return loadELF(&p, pl, img)
	}
	return nil, notAKernel(p.Kernel, img)
}

// notAKernel names what the file seems to be.
func notAKernel(name string, b []byte) error {
	at := func(off int, sig string) bool { return len(b) >= off+len(sig) && string(b[off:off+len(sig)]) == sig }
	switch {
	case at(56, "ARM\x64"):
		return fail(name, ErrArch, "is a Linux kernel for AArch64; this machine is x86-64")
	case at(0x24, "\x18\x28\x6f\x01"):
		return fail(name, ErrArch, "is a Linux kernel for 32-bit ARM; this machine is x86-64")
	case at(56, "RSC\x05"):
		return fail(name, ErrArch, "is a Linux kernel for RISC-V; this machine is x86-64")
	case at(56, "\x4c\x6f\x6f\x6e") || at(8, "MZ") && at(0x38, "\x81\x82\x23\xcd"):
		return fail(name, ErrArch, "is a Linux kernel for LoongArch; this machine is x86-64")
	case at(0, "\x27\x05\x19\x56"):
		return fail(name, ErrArch, "is a U-Boot image; this machine takes a bzImage, vmlinux, PVH or multiboot kernel")
	case at(0, "\x1f\x8b"):
		return fail(name, ErrFormat, "is a gzip file, not a kernel; unpack it with gunzip first")
	case at(0, "\xfd7zXZ\x00"):
		return fail(name, ErrFormat, "is an xz file, not a kernel; unpack it with unxz first")
	case at(0, "\x28\xb5\x2f\xfd"):
		return fail(name, ErrFormat, "is a zstd file, not a kernel; unpack it with unzstd first")
	case at(0, "!<arch>\n"):
		return fail(name, ErrFormat, "is a package or archive, not a kernel; \"hotblock fetch\" takes kernels out of packages")
	case at(0x8001, "CD001"):
		return fail(name, ErrFormat, "is an ISO image, not a kernel; start it with -bios and -cdrom")
	case len(b) < 1024:
		return fail(name, ErrTruncated, "%d bytes are too few for a kernel; the file is truncated or no kernel", len(b))
	}
	return fail(name, ErrFormat, "is not a kernel that can be booted directly (bzImage, vmlinux, PVH or multiboot)")
}
