package devices

import (
	"errors"
	"io"
)

// ErrReadOnly is what a Disk that cannot be written returns from WriteAt.
var ErrReadOnly = errors.New("the disk is read-only")

// A Disk is the image behind a block device. Reads and writes are of whole
// 512-byte sectors inside Size; calls may come from several goroutines.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	Size() int64 // bytes
	ReadOnly() bool
	Flush() error // returns when all that was written is safe
}

// MemDisk is a Disk in host memory.
type MemDisk struct {
	Bytes []byte
	RO    bool
}

// ReadAt implements io.ReaderAt.
func (d *MemDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(d.Bytes)) {
		return 0, io.EOF
	}
	n := copy(p, d.Bytes[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt; writing past the end is an error.
func (d *MemDisk) WriteAt(p []byte, off int64) (int, error) {
	if d.RO {
		return 0, ErrReadOnly
	}
	if off < 0 || off+int64(len(p)) > int64(len(d.Bytes)) {
		return 0, io.ErrShortWrite
	}
	return copy(d.Bytes[off:], p), nil
}

// Size returns the length in bytes.
func (d *MemDisk) Size() int64 { return int64(len(d.Bytes)) }

// ReadOnly reports whether writes fail.
func (d *MemDisk) ReadOnly() bool { return d.RO }

// Flush does nothing.
func (d *MemDisk) Flush() error { return nil }
