package fetch

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Unpacking Debian packages. A .deb is an ar archive of three members:
// debian-binary, control.tar.* and data.tar.* (deb(5)). The last holds the
// files. Reading stops as soon as everything asked for was seen, because
// unpacking a kernel package to its end takes seconds.

// maxFile is the size in bytes of the largest file taken out of a package.
const maxFile = 2 << 30

// ErrNotInPackage says that a package has no file that matches.
var ErrNotInPackage = errors.New("not in the package")

// openTar finds a member of the package, control.tar.* or data.tar.*, and returns
// its files.
func openTar(f io.Reader, name, wanted string) (*tar.Reader, func(), error) {
	r := bufio.NewReaderSize(f, 1<<16)
	bad := func(what string) (*tar.Reader, func(), error) {
		return nil, nil, fmt.Errorf("%s: not a Debian package: %s", name, what)
	}
	magic := make([]byte, 8)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != "!<arch>\n" {
		return bad("no ar archive")
	}
	for {
		h := make([]byte, 60)
		if _, err := io.ReadFull(r, h); err != nil {
			return bad("no " + wanted + " inside")
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || size < 0 || string(h[58:]) != "`\n" {
			return bad("damaged ar header")
		}
		member := strings.TrimSuffix(strings.TrimSpace(string(h[:16])), "/")
		if !strings.HasPrefix(member, wanted) {
			if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
				return bad("truncated")
			}
			continue
		}
		body := io.LimitReader(r, size)
		switch strings.TrimPrefix(member, wanted) {
		case "":
			return tar.NewReader(body), func() {}, nil
		case ".gz":
			z, err := gzip.NewReader(body)
			if err != nil {
				return bad(err.Error())
			}
			return tar.NewReader(z), func() {}, nil
		case ".xz":
			z, err := xz.NewReader(body, 256<<20)
			if err != nil {
				return bad(err.Error())
			}
			return tar.NewReader(z), func() {}, nil
		case ".zst":
			z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(256<<20))
			if err != nil {
				return bad(err.Error())
			}
			return tar.NewReader(z), z.Close, nil
		default:
			return bad("its files are in " + member + ", a compression that is not supported")
		}
	}
}

// clean is a member's path without "./" before it.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// maxControl is the size in bytes of the largest control file that is read.
const maxControl = 1 << 20

// Depends returns the names of the packages that a package depends on, by its
// fields Pre-Depends and Depends, in their order and without versions. Of
// alternatives it is the first (Debian Policy, 7.1).
func Depends(deb string) ([]string, error) {
	f, err := os.Open(deb)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, done, err := openTar(f, deb, "control.tar")
	if err != nil {
		return nil, err
	}
	defer done()
	for {
		h, err := t.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: no control file: %w", deb, err)
		}
		if clean(h.Name) != "control" {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(t, maxControl))
		if err != nil {
			return nil, fmt.Errorf("%s: cannot be unpacked: %w", deb, err)
		}
		return dependencies(string(b)), nil
	}
}

// dependencies takes the names out of a control file.
func dependencies(control string) (names []string) {
	field := ""
	for line := range strings.Lines(control) {
		value := line
		if line[0] != ' ' && line[0] != '\t' {
			field, value, _ = strings.Cut(line, ":")
		}
		if field != "Depends" && field != "Pre-Depends" {
			continue
		}
		for _, d := range strings.Split(value, ",") {
			d, _, _ = strings.Cut(d, "|")
			d, _, _ = strings.Cut(d, "(")
			d, _, _ = strings.Cut(strings.TrimSpace(d), ":")
			if packageName.MatchString(d) {
				names = append(names, d)
			}
		}
	}
	return names
}

// ExtractFile returns the contents of the first regular file of the package
// whose path (without a leading "./" or "/") matches pattern, a path.Match
// pattern, and its path. Symbolic links are not followed.
func ExtractFile(deb, pattern string) (name string, data []byte, err error) {
	f, err := os.Open(deb)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	t, done, err := openTar(f, deb, "data.tar")
	if err != nil {
		return "", nil, err
	}
	defer done()
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "."), "/")
	for {
		h, err := t.Next()
		if err == io.EOF {
			return "", nil, fmt.Errorf("%s: %s: %w", path.Base(deb), pattern, ErrNotInPackage)
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s: cannot be unpacked: %w", deb, err)
		}
		n := clean(h.Name)
		if ok, err := path.Match(pattern, n); err != nil {
			return "", nil, err
		} else if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if h.Size > maxFile {
			return "", nil, fmt.Errorf("%s: %s of %d MiB is too large", deb, n, h.Size>>20)
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return "", nil, fmt.Errorf("%s: cannot be unpacked: %w", deb, err)
		}
		return n, data, nil
	}
}

// ExtractAll unpacks the package's files into dir, which it makes. Files keep
// their permissions, not their owners; devices are left out. Nothing is
// written outside dir, whatever paths and links the package has.
func ExtractAll(deb, dir string) error {
	f, err := os.Open(deb)
	if err != nil {
		return err
	}
	defer f.Close()
	t, done, err := openTar(f, deb, "data.tar")
	if err != nil {
		return err
	}
	defer done()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: cannot be unpacked: %w", deb, err)
		}
		n := clean(h.Name)
		if n == "" {
			continue
		}
		if err := root.MkdirAll(path.Dir(n), 0o777); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(n, 0o777)
		case tar.TypeReg:
			err = extractTo(root, n, t, fs.FileMode(h.Mode).Perm())
		case tar.TypeSymlink:
			if err = root.Symlink(h.Linkname, n); errors.Is(err, fs.ErrExist) {
				err = nil
			}
		case tar.TypeLink:
			if err = root.Link(clean(h.Linkname), n); errors.Is(err, fs.ErrExist) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
}

func extractTo(root *os.Root, name string, r io.Reader, perm fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, perm|0o200)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxFile+1))
	if err == nil && n > maxFile {
		err = fmt.Errorf("%s is too large", name)
	}
	return errors.Join(err, f.Close())
}
