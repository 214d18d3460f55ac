// Package fetch gets guest kernels and programs from Debian's archive by
// package name, with the host's own apt, and keeps them.
//
// # How it works
//
// apt knows where a package is, which version is current and what its SHA-256
// is; its lists are signed. So the package's address, file name and checksum
// come from "apt-get --print-uris download", the file from "apt-get download",
// and the checksum is compared here once more. What was downloaded goes to the
// cache under a temporary name and is renamed when it is whole and right, with
// its checksum beside it. Files taken out of a package are kept in the same
// way, so that a later start unpacks nothing, needs neither network nor apt,
// and still knows that what it boots is what Debian published.
//
// A name is looked up again once a day, and whenever the caller asks for it
// (Cache.Refresh); where that fails (no network, no apt), what the cache has is
// used.
//
// The cache is a directory:
//
//	index/NAME            what NAME stood for when it was last looked up
//	debs/FILE.deb         packages, and FILE.deb.sha256
//	files/FILE/PATH       files out of a package, and PATH.sha256
//	tmp/                  downloads under way
//	lock                  held while one process adds to the cache
package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// recheck is how long a name counts as looked up.
const recheck = 24 * time.Hour

// Cache is a directory of packages and of files taken out of them.
type Cache struct {
	Dir string
	// Out gets progress and remarks; nil means none. A progress bar is drawn
	// where it is a terminal.
	Out io.Writer
	// Refresh looks every name up again, whatever the cache has.
	Refresh bool

	apt apt // what runs apt; replaced in tests
}

// Default is the user's cache: the directory HOTBLOCK_CACHE, or hotblock in the
// user's cache directory. Progress goes to standard error.
func Default() (*Cache, error) {
	dir := os.Getenv("HOTBLOCK_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, errors.New("no cache directory: neither HOME nor XDG_CACHE_HOME is set; set HOTBLOCK_CACHE to a directory")
		}
		dir = filepath.Join(base, "hotblock")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cache directory %s: %w", dir, err)
	}
	return &Cache{Dir: dir, Out: os.Stderr}, nil
}

// Kernel returns the path of a Debian kernel's vmlinuz. The flavour is "cloud"
// (linux-image-cloud-amd64) or "generic" (linux-image-amd64).
func Kernel(ctx context.Context, flavour string) (string, error) {
	c, err := Default()
	if err != nil {
		return "", err
	}
	return c.Kernel(ctx, flavour)
}

// File returns the path of a file taken out of a package. The path within the
// package has no leading "./" and may be a path.Match pattern.
func File(ctx context.Context, pkg, path string) (string, error) {
	c, err := Default()
	if err != nil {
		return "", err
	}
	return c.File(ctx, pkg, path)
}

// record is what the index keeps of a name.
type record struct {
	Package  string    `json:"package"`  // the package itself, where the name was a meta package
	File     string    `json:"file"`     // base name of the .deb
	SHA256   string    `json:"sha256"`   // hexadecimal
	Size     int64     `json:"size"`     // bytes
	LookedUp time.Time `json:"lookedUp"` // when apt was asked
}

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// mu serialises the functions within one process; the lock file does it
// between processes.
var mu sync.Mutex

// Package is the function Package on this cache.
func (c *Cache) Package(ctx context.Context, name string) (string, error) {
	r, err := c.get(ctx, name, false)
	if err != nil {
		return "", err
	}
	return c.deb(r), nil
}

// Kernel is the function Kernel on this cache.
func (c *Cache) Kernel(ctx context.Context, flavour string) (string, error) {
	name, ok := map[string]string{"cloud": "linux-image-cloud-amd64", "generic": "linux-image-amd64"}[flavour]
	if !ok {
		return "", fmt.Errorf("unknown kernel flavour %q; there are cloud and generic", flavour)
	}
	r, err := c.get(ctx, name, true)
	if err != nil {
		return "", err
	}
	return c.file(ctx, r, "boot/vmlinuz-*")
}

// File is the function File on this cache.
func (c *Cache) File(ctx context.Context, pkg, path string) (string, error) {
	r, err := c.get(ctx, pkg, false)
	if err != nil {
		return "", err
	}
	return c.file(ctx, r, path)
}

func (c *Cache) deb(r *record) string { return filepath.Join(c.Dir, "debs", r.File) }
func (c *Cache) tree(r *record) string {
	return filepath.Join(c.Dir, "files", strings.TrimSuffix(r.File, ".deb"))
}

func (c *Cache) printf(format string, args ...any) {
	if c.Out != nil {
		fmt.Fprintf(c.Out, format, args...)
	}
}

// get finds the record of a name whose package is in the cache and whole. A
// meta name stands for the linux-image package that it depends on.
func (c *Cache) get(ctx context.Context, name string, meta bool) (*record, error) {
	if !packageName.MatchString(name) {
		return nil, fmt.Errorf("%q is not a package name", name)
	}
	mu.Lock()
	defer mu.Unlock()
	old := c.indexed(name)
	if old != nil && !c.Refresh && time.Since(old.LookedUp) < recheck && c.have(old) {
		return old, nil
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Another process may have done the work meanwhile.
	if old = c.indexed(name); old != nil && !c.Refresh && time.Since(old.LookedUp) < recheck && c.have(old) {
		return old, nil
	}
	if c.apt == nil {
		c.apt = &hostApt{}
	}
	r, err := c.lookUp(ctx, name, meta)
	if err == nil {
		if !c.have(r) {
			err = c.download(ctx, r)
		}
		if err == nil {
			return r, c.store(filepath.Join("index", name), mustJSON(r))
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("getting package %s was interrupted", name)
	}
	if old != nil && c.have(old) {
		if c.Refresh {
			c.printf("hotblock: %v; using %s from the cache\n", err, old.File)
		}
		return old, nil
	}
	return nil, c.explain(name, err)
}

// explain puts a failure into one line that says what to do.
func (c *Cache) explain(name string, err error) error {
	switch {
	case errors.Is(err, errNoApt):
		return fmt.Errorf("cannot get package %s: this host has no apt-get, and %s does not have it; give a kernel with -kernel, or copy the cache from a Debian host", name, c.Dir)
	case isFull(err):
		return fmt.Errorf("cannot get package %s: no space left for %s; free some, or set HOTBLOCK_CACHE to another directory", name, c.Dir)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("cannot get package %s: no permission to write to %s; set HOTBLOCK_CACHE to another directory", name, c.Dir)
	}
	return fmt.Errorf("cannot get package %s: %w", name, err)
}

func isFull(err error) bool {
	return err != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		strings.Contains(err.Error(), "No space left on device") || strings.Contains(err.Error(), "enough free space"))
}

func mustJSON(v any) []byte {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		panic(err) // a record of plain fields cannot fail
	}
	return append(b, '\n')
}

// indexed reads the index's record of a name; nil where there is none that
// makes sense.
func (c *Cache) indexed(name string) *record {
	b, err := os.ReadFile(filepath.Join(c.Dir, "index", name))
	if err != nil {
		return nil
	}
	var r record
	if json.Unmarshal(b, &r) != nil || !debName(r.File) || len(r.SHA256) != 64 {
		return nil
	}
	return &r
}

func debName(s string) bool {
	return strings.HasSuffix(s, ".deb") && s == filepath.Base(s) && !strings.HasPrefix(s, ".")
}

// have says whether the cache has the package, by size: its checksum was
// compared when it came, and is compared again before anything is taken out.
func (c *Cache) have(r *record) bool {
	st, err := os.Stat(c.deb(r))
	return err == nil && st.Size() == r.Size
}

// lookUp asks apt for a name, and as root has it fetch its lists where there
// are none.
func (c *Cache) lookUp(ctx context.Context, name string, meta bool) (*record, error) {
	r, err := c.lookUpOnce(ctx, name, meta)
	if errors.Is(err, errUnknownPackage) && !c.apt.haveLists() {
		if !c.apt.isRoot() {
			return nil, errors.New("apt has no package lists; run \"sudo apt-get update\" first")
		}
		c.printf("hotblock: apt has no package lists; running apt-get update\n")
		if _, err := c.apt.run(ctx, c.Dir, nil, "apt-get", "update"); err != nil {
			return nil, fmt.Errorf("apt-get update failed: %w", err)
		}
		r, err = c.lookUpOnce(ctx, name, meta)
	}
	return r, err
}

func (c *Cache) lookUpOnce(ctx context.Context, name string, meta bool) (*record, error) {
	pkg := name
	if meta {
		out, err := c.apt.run(ctx, "", nil, "apt-cache", "depends", "--important", c.apt.qualify(name))
		if err != nil {
			return nil, err
		}
		pkg = ""
		for _, line := range strings.Split(out, "\n") {
			if d, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(d, "linux-image-") {
				pkg, _, _ = strings.Cut(d, ":")
				break
			}
		}
		if !packageName.MatchString(pkg) {
			return nil, fmt.Errorf("apt knows no kernel behind %s: %w", name, errUnknownPackage)
		}
	}
	out, err := c.apt.run(ctx, "", nil, "apt-get", "--print-uris", "download", c.apt.qualify(pkg))
	if err != nil {
		return nil, err
	}
	// 'URI' FILE SIZE SHA256:HEX
	for _, line := range strings.Split(out, "\n") {
		f := strings.Fields(line)
		if len(f) != 4 || !strings.HasPrefix(f[0], "'") {
			continue
		}
		sum, ok := strings.CutPrefix(f[3], "SHA256:")
		if _, err := hex.DecodeString(sum); !ok || err != nil || len(sum) != 64 {
			return nil, fmt.Errorf("apt gives no SHA-256 for %s", pkg)
		}
		r := &record{Package: pkg, File: f[1], SHA256: strings.ToLower(sum), LookedUp: time.Now().UTC()}
		if _, err := fmt.Sscan(f[2], &r.Size); err != nil || !debName(r.File) {
			break
		}
		if u, err := url.PathUnescape(r.File); err == nil && debName(u) {
			r.File = strings.ReplaceAll(u, ":", "%3a") // a colon is not for file names everywhere
		}
		return r, nil
	}
	return nil, fmt.Errorf("apt's answer for %s makes no sense", pkg)
}

// download gets the package of r into debs/.
func (c *Cache) download(ctx context.Context, r *record) error {
	tmpRoot := filepath.Join(c.Dir, "tmp")
	if err := os.MkdirAll(tmpRoot, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(tmpRoot, "get-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	p := newProgress(c.Out, r.Package, r.Size)
	_, err = c.apt.run(ctx, tmp, p.percent, "apt-get", "download", c.apt.qualify(r.Package))
	p.done(err == nil)
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("apt-get download left %d packages", len(found))
	}
	sum, err := sumFile(found[0])
	if err != nil {
		return err
	}
	if sum != r.SHA256 {
		return fmt.Errorf("%s has SHA-256 %s, apt's list says %s; try again after \"apt-get update\"", r.File, sum, r.SHA256)
	}
	if err := os.MkdirAll(filepath.Join(c.Dir, "debs"), 0o777); err != nil {
		return err
	}
	if err := c.store(filepath.Join("debs", r.File+".sha256"), []byte(sum+"\n")); err != nil {
		return err
	}
	return os.Rename(found[0], c.deb(r))
}

// file returns the path of a file out of a package of the cache.
func (c *Cache) file(ctx context.Context, r *record, pattern string) (string, error) {
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "."), "/")
	if pattern == "" || strings.Contains(pattern, "..") {
		return "", fmt.Errorf("%q is not a path in a package", pattern)
	}
	mu.Lock()
	defer mu.Unlock()
	if p := c.extracted(r, pattern); p != "" {
		return p, nil
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if p := c.extracted(r, pattern); p != "" {
		return p, nil
	}
	sum, err := sumFile(c.deb(r))
	if err != nil {
		return "", c.explain(r.Package, err)
	}
	if sum != r.SHA256 {
		os.Remove(c.deb(r))
		return "", fmt.Errorf("%s in the cache is damaged (SHA-256 differs) and was removed; start again to download it anew", r.File)
	}
	name, data, err := ExtractFile(c.deb(r), pattern)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(data)
	rel := filepath.Join("files", strings.TrimSuffix(r.File, ".deb"), filepath.FromSlash(name))
	if err := c.store(rel, data); err != nil {
		return "", c.explain(r.Package, err)
	}
	if err := c.store(rel+".sha256", []byte(hex.EncodeToString(h[:])+"\n")); err != nil {
		return "", c.explain(r.Package, err)
	}
	return filepath.Join(c.Dir, rel), nil
}

// extracted finds a file that was taken out before and is still as it was.
func (c *Cache) extracted(r *record, pattern string) string {
	found, err := filepath.Glob(filepath.Join(c.tree(r), filepath.FromSlash(pattern)))
	if err != nil {
		return ""
	}
	for _, p := range found {
		if strings.HasSuffix(p, ".sha256") {
			continue
		}
		want, err := os.ReadFile(p + ".sha256")
		if err != nil {
			continue
		}
		if st, err := os.Stat(p); err != nil || st.Mode()&0o100 != permissions(p)&0o100 {
			continue
		}
		if sum, err := sumFile(p); err == nil && sum == strings.TrimSpace(string(want)) {
			return p
		}
	}
	return ""
}

// store writes a file of the cache whole or not at all.
func (c *Cache) store(rel string, data []byte) (err error) {
	dst := filepath.Join(c.Dir, rel)
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(dst), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(permissions(rel))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), dst)
}

// permissions of a file of the cache: what a package has in a directory of
// programs can be run.
func permissions(rel string) fs.FileMode {
	switch filepath.Base(filepath.Dir(rel)) {
	case "bin", "sbin":
		return 0o755
	}
	return 0o644
}

func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lock takes the cache for this process, waiting for another one that has it.
func (c *Cache) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return nil, fmt.Errorf("cannot make the cache directory: %w; set HOTBLOCK_CACHE to another", err)
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the cache: %w; set HOTBLOCK_CACHE to another directory", err)
	}
	told := false
	for {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", f.Name(), err)
		}
		if ok {
			break
		}
		if !told {
			c.printf("hotblock: waiting for another start that is filling %s\n", c.Dir)
			told = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	// What a killed process left half-done is nobody's now.
	if old, err := filepath.Glob(filepath.Join(c.Dir, "tmp", "get-*")); err == nil {
		for _, d := range old {
			os.RemoveAll(d)
		}
	}
	return func() { f.Close() }, nil
}
