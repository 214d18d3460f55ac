package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"hotblock/devices"
)

const sectorSize = 512

// fileDisk is a Disk that is a file on the host, or a host's block device.
type fileDisk struct {
	f    *os.File
	size int64
	ro   bool
}

func (d *fileDisk) ReadAt(p []byte, off int64) (int, error) { return d.f.ReadAt(p, off) }

func (d *fileDisk) WriteAt(p []byte, off int64) (int, error) {
	if d.ro {
		return 0, devices.ErrReadOnly
	}
	return d.f.WriteAt(p, off)
}

func (d *fileDisk) Size() int64    { return d.size }
func (d *fileDisk) ReadOnly() bool { return d.ro }

func (d *fileDisk) Flush() error {
	if d.ro {
		return nil
	}
	return d.f.Sync()
}

// snapshotDisk keeps writes to another disk in memory, by sector.
type snapshotDisk struct {
	under   devices.Disk
	mu      sync.Mutex
	written map[int64]*[sectorSize]byte
}

func (d *snapshotDisk) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.under.ReadAt(p, off)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.written) > 0 {
		for i := 0; i+sectorSize <= n; i += sectorSize {
			if s := d.written[(off+int64(i))/sectorSize]; s != nil {
				copy(p[i:], s[:])
			}
		}
	}
	return n, err
}

func (d *snapshotDisk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 0; i+sectorSize <= len(p); i += sectorSize {
		s := new([sectorSize]byte)
		copy(s[:], p[i:])
		d.written[(off+int64(i))/sectorSize] = s
	}
	return len(p), nil
}

func (d *snapshotDisk) Size() int64    { return d.under.Size() }
func (d *snapshotDisk) ReadOnly() bool { return false }
func (d *snapshotDisk) Flush() error   { return nil }

// openDrives opens the images of the configuration. Those that are open when it
// fails are closed.
func (m *Machine) openDrives(bc *BoardConfig) error {
	for _, d := range m.cfg.Drives {
		if d.Index < 0 || d.Index >= len(bc.IDE) {
			return fmt.Errorf("%s: there is no drive %d; an index is 0 to %d", d.File, d.Index, len(bc.IDE)-1)
		}
		ro := d.ReadOnly || d.CDROM
		flag := os.O_RDWR
		if ro || d.Snapshot {
			flag = os.O_RDONLY
		}
		f, err := os.OpenFile(d.File, flag, 0)
		if err != nil {
			return fmt.Errorf("cannot open disk image: %w", err)
		}
		m.files = append(m.files, f)
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return fmt.Errorf("%s: cannot tell the size of the disk image: %w", d.File, err)
		}
		var disk devices.Disk = &fileDisk{f: f, size: size &^ (sectorSize - 1), ro: ro || d.Snapshot}
		if d.Snapshot && !d.CDROM && !d.ReadOnly {
			disk = &snapshotDisk{under: disk, written: map[int64]*[sectorSize]byte{}}
		}
		bc.IDE[d.Index] = IDEDrive{Disk: disk, CDROM: d.CDROM}
	}
	return nil
}

// Close closes the images. The machine must have stopped.
func (m *Machine) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	m.files = nil
	if m.JIT != nil {
		m.JIT.Close()
	}
	return errors.Join(errs...)
}
