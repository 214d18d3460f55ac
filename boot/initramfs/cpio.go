package initramfs

import (
	"fmt"
	"io"
	"math"
	"path"
	"sort"
	"strings"
)

// Types of file in Mode, as stat(2) has them.
const (
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeBlock   = 0o060000
	TypeRegular = 0o100000
	TypeSymlink = 0o120000
	typeMask    = 0o170000
)

// File is one entry of an archive. The owner is root.
type File struct {
	Name         string // without a leading slash
	Mode         uint32 // type and permissions; a type of 0 is a regular file
	Data         []byte // contents, or a symbolic link's target
	Major, Minor uint32 // of a device
}

// Write writes files as a cpio archive in the newc format, which the kernel
// unpacks into its root (Documentation/driver-api/early-userspace/buffer-format.rst).
// Directories that files lie in are added where they are missing. The same
// files give the same bytes: entries are sorted, times are 0 and inodes are
// counted. Of two files of one name the later counts.
func Write(w io.Writer, files []File) error {
	all := map[string]File{}
	for _, f := range files {
		f.Name = strings.TrimPrefix(path.Clean("/"+f.Name), "/")
		if f.Name == "" {
			continue
		}
		if f.Mode&typeMask == 0 {
			f.Mode |= TypeRegular
		}
		if len(f.Data) > math.MaxUint32 {
			return fmt.Errorf("initramfs: %s is larger than the 4 GiB that cpio can hold", f.Name)
		}
		all[f.Name] = f
	}
	for name := range all {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := all[d]; !ok {
				all[d] = File{Name: d, Mode: TypeDir | 0o755}
			}
		}
	}
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names) // a directory sorts before what lies in it

	c := cpioWriter{w: w}
	for i, n := range names {
		c.entry(i+1, all[n])
	}
	c.entry(0, File{Name: "TRAILER!!!"})
	c.pad(512)
	return c.err
}

type cpioWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *cpioWriter) write(b []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.w.Write(b)
		c.n += int64(n)
	}
}

func (c *cpioWriter) pad(to int64) {
	c.write(make([]byte, (to-c.n%to)%to))
}

func (c *cpioWriter) entry(ino int, f File) {
	nlink := 1
	if f.Mode&typeMask == TypeDir {
		nlink = 2
	}
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, device major and
	// minor, rdev major and minor, namesize, check; the name ends in a NUL.
	c.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		ino, f.Mode, 0, 0, nlink, 0, len(f.Data), 0, 0, f.Major, f.Minor, len(f.Name)+1, 0, f.Name))
	c.pad(4)
	c.write(f.Data)
	c.pad(4)
}
