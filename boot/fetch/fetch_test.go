package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

type entry struct {
	name, data, link string
}

// buildDeb makes a package with a data.tar.gz.
func buildDeb(t testing.TB, files ...entry) []byte {
	t.Helper()
	var data bytes.Buffer
	z := gzip.NewWriter(&data)
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.link, 0
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(f.data))
	}
	w.Close()
	z.Close()
	var deb bytes.Buffer
	deb.WriteString("!<arch>\n")
	member := func(name string, b []byte) {
		fmt.Fprintf(&deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(b))
		deb.Write(b)
		if len(b)%2 == 1 {
			deb.WriteByte('\n')
		}
	}
	member("debian-binary", []byte("2.0\n"))
	member("control.tar.gz", []byte("odd"))
	member("data.tar.gz", data.Bytes())
	return deb.Bytes()
}

// fakeApt has packages by name.
type fakeApt struct {
	debs      map[string][]byte
	depends   map[string]string
	wrongSum  bool
	err       error // of everything
	getErr    error // of downloads
	noLists   bool
	root      bool
	downloads atomic.Int32
}

func (a *fakeApt) haveLists() bool           { return !a.noLists }
func (a *fakeApt) isRoot() bool              { return a.root }
func (a *fakeApt) qualify(pkg string) string { return pkg }
func (a *fakeApt) file(pkg string) string    { return pkg + "_1%3a2.0_amd64.deb" }
func (a *fakeApt) sum(b []byte) (s string)   { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
func (a *fakeApt) known(pkg string) ([]byte, error) {
	if b, ok := a.debs[pkg]; ok && !a.noLists {
		return b, nil
	}
	return nil, errUnknownPackage
}

func (a *fakeApt) run(ctx context.Context, dir string, _ func(float64), name string, args ...string) (string, error) {
	if a.err != nil {
		return "", a.err
	}
	pkg := args[len(args)-1]
	switch name + " " + args[0] {
	case "apt-cache depends":
		if a.noLists {
			return "", errUnknownPackage
		}
		return pkg + "\n  Depends: something\n  Depends: " + a.depends[pkg] + "\n", nil
	case "apt-get --print-uris":
		b, err := a.known(pkg)
		if err != nil {
			return "", err
		}
		sum := a.sum(b)
		if a.wrongSum {
			sum = a.sum(nil)
		}
		return fmt.Sprintf("'http://x/%s' %s %d SHA256:%s\n", pkg, a.file(pkg), len(b), sum), nil
	case "apt-get update":
		a.noLists = false
		return "", nil
	case "apt-get download":
		a.downloads.Add(1)
		if a.getErr != nil {
			os.WriteFile(filepath.Join(dir, "half.deb"), []byte("half"), 0o666)
			return "", a.getErr
		}
		return "", os.WriteFile(filepath.Join(dir, a.file(pkg)), a.debs[pkg], 0o666)
	}
	return "", errors.New("unexpected " + name)
}

func testCache(t *testing.T) (*Cache, *fakeApt) {
	a := &fakeApt{depends: map[string]string{"linux-image-cloud-amd64": "linux-image-6.1.0-1-cloud-amd64"}, debs: map[string][]byte{
		"linux-image-6.1.0-1-cloud-amd64": buildDeb(t, entry{name: "./boot/"}, entry{name: "./boot/vmlinuz-6.1.0-1-cloud-amd64", data: "a kernel"}),
		"busybox-static":                  buildDeb(t, entry{name: "./bin/busybox", data: "busybox!"}, entry{name: "./bin/sh", link: "busybox"}),
	}}
	return &Cache{Dir: t.TempDir(), apt: a}, a
}

func contents(t *testing.T, path string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKernelOnceThenOffline(t *testing.T) {
	c, a := testCache(t)
	p, err := c.Kernel(t.Context(), "cloud")
	if got := contents(t, p, err); got != "a kernel" {
		t.Errorf("kernel is %q", got)
	}
	a.err = errors.New("no network")
	off := &Cache{Dir: c.Dir, apt: a}
	q, err := off.Kernel(t.Context(), "cloud")
	if contents(t, q, err); p != q {
		t.Errorf("%s, then %s", p, q)
	}
	// A look-up that is due and fails uses what is there.
	off.Refresh = true
	q, err = off.Kernel(t.Context(), "cloud")
	contents(t, q, err)
	if n := a.downloads.Load(); n != 1 {
		t.Errorf("%d downloads", n)
	}
}

func TestNewVersion(t *testing.T) {
	c, a := testCache(t)
	if _, err := c.Kernel(t.Context(), "cloud"); err != nil {
		t.Fatal(err)
	}
	a.depends["linux-image-cloud-amd64"] = "linux-image-6.1.0-2-cloud-amd64"
	a.debs["linux-image-6.1.0-2-cloud-amd64"] = buildDeb(t, entry{name: "boot/vmlinuz-6.1.0-2-cloud-amd64", data: "a newer kernel"})
	p, err := c.Kernel(t.Context(), "cloud")
	if got := contents(t, p, err); got != "a kernel" {
		t.Errorf("looked up within a day: %q", got)
	}
	c.Refresh = true
	p, err = c.Kernel(t.Context(), "cloud")
	if got := contents(t, p, err); got != "a newer kernel" {
		t.Errorf("after -refresh: %q", got)
	}
}

func TestDamagedFilesAreNoticed(t *testing.T) {
	c, _ := testCache(t)
	p, err := c.File(t.Context(), "busybox-static", "bin/busybox")
	contents(t, p, err)
	if err := os.WriteFile(p, []byte("tampered"), 0o666); err != nil {
		t.Fatal(err)
	}
	p, err = c.File(t.Context(), "busybox-static", "./bin/busybox")
	if got := contents(t, p, err); got != "busybox!" {
		t.Errorf("after tampering: %q", got)
	}
	// The package itself, with the same size.
	deb, err := c.Package(t.Context(), "busybox-static")
	b := []byte(contents(t, deb, err))
	b[len(b)-10] ^= 1
	os.WriteFile(deb, b, 0o666)
	os.RemoveAll(filepath.Join(c.Dir, "files"))
	if _, err = c.File(t.Context(), "busybox-static", "bin/busybox"); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged package: %v", err)
	}
	p, err = c.File(t.Context(), "busybox-static", "bin/busybox")
	if got := contents(t, p, err); got != "busybox!" {
		t.Errorf("downloaded anew: %q", got)
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		bend func(*fakeApt)
		word string
	}{
		{"no apt", func(a *fakeApt) { a.err = errNoApt }, "-kernel"},
		{"full disk", func(a *fakeApt) { a.getErr = syscall.ENOSPC }, "no space left"},
		{"full disk in apt", func(a *fakeApt) { a.getErr = errors.New("write - write (28: No space left on device)") }, "HOTBLOCK_CACHE"},
		{"wrong checksum", func(a *fakeApt) { a.wrongSum = true }, "SHA-256"},
		{"no lists", func(a *fakeApt) { a.noLists = true }, "apt-get update"},
		{"unknown", func(a *fakeApt) { a.debs = nil }, "no such package"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			c, a := testCache(t)
			x.bend(a)
			_, err := c.Package(t.Context(), "busybox-static")
			if err == nil || !strings.Contains(err.Error(), x.word) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one with %q", err, x.word)
			}
			for _, dir := range []string{"debs/*.deb", "tmp/*", "index/*"} {
				if found, _ := filepath.Glob(filepath.Join(c.Dir, dir)); len(found) > 0 {
					t.Errorf("left behind: %v", found)
				}
			}
		})
	}
	t.Run("root without lists", func(t *testing.T) {
		c, a := testCache(t)
		a.noLists, a.root = true, true
		p, err := c.Package(t.Context(), "busybox-static")
		contents(t, p, err)
	})
	t.Run("unwritable", func(t *testing.T) {
		c, _ := testCache(t)
		file := filepath.Join(c.Dir, "file")
		os.WriteFile(file, nil, 0o666)
		c.Dir = filepath.Join(file, "cache")
		if _, err := c.Package(t.Context(), "busybox-static"); err == nil || !strings.Contains(err.Error(), "HOTBLOCK_CACHE") {
			t.Errorf("%v", err)
		}
	})
	for _, bad := range []string{"", "-o", "../x", "A", "a b"} {
		c, _ := testCache(t)
		if _, err := c.Package(t.Context(), bad); err == nil {
			t.Errorf("package name %q is accepted", bad)
		}
	}
}

func TestNoAptOnHost(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	c := &Cache{Dir: t.TempDir()}
	if _, err := c.Kernel(t.Context(), "cloud"); err == nil || !strings.Contains(err.Error(), "no apt-get") {
		t.Errorf("%v", err)
	}
}

func TestConcurrentStarts(t *testing.T) {
	c, a := testCache(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			own := &Cache{Dir: c.Dir, apt: a}
			if _, err := own.File(t.Context(), "busybox-static", "bin/busybox"); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if n := a.downloads.Load(); n != 1 {
		t.Errorf("%d downloads", n)
	}
}

// TestLockIsWaitedFor holds the lock as another process would.
func TestLockIsWaitedFor(t *testing.T) {
	c, _ := testCache(t)
	unlock, err := c.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said := make(writerFunc, 1)
	other := &Cache{Dir: c.Dir, apt: c.apt, Out: said}
	done := make(chan error)
	go func() {
		u, err := other.lock(t.Context())
		if err == nil {
			u()
		}
		done <- err
	}()
	if s := <-said; !strings.Contains(s, "waiting") {
		t.Errorf("said %q", s)
	}
	unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	unlock, err = c.lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	cancel()
	if _, err := other.lock(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type writerFunc chan string

func (w writerFunc) Write(p []byte) (int, error) {
	select {
	case w <- string(p):
	default:
	}
	return len(p), nil
}

func TestExtractAll(t *testing.T) {
	dir := t.TempDir()
	deb := filepath.Join(dir, "x.deb")
	os.WriteFile(deb, buildDeb(t, entry{name: "./usr/bin/"}, entry{name: "./usr/bin/a", data: "A"}, entry{name: "./usr/b", link: "bin/a"},
		entry{name: "./../../escape", data: "E"}, entry{name: "./out", link: "/tmp"}, entry{name: "./late/file", data: "L"}), 0o666)
	out := filepath.Join(dir, "deep", "er")
	if err := ExtractAll(deb, out); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"usr/bin/a": "A", "usr/b": "A", "escape": "E", "late/file": "L"} {
		b, err := os.ReadFile(filepath.Join(out, name))
		if got := string(b); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// A link that leads out is not written through.
	os.WriteFile(deb, buildDeb(t, entry{name: "./l", link: dir}, entry{name: "./l/evil", data: "E"}), 0o666)
	if err := ExtractAll(deb, filepath.Join(dir, "out2")); err == nil {
		t.Error("wrote through a link that leads out")
	}
	if _, err := os.Stat(filepath.Join(dir, "evil")); err == nil {
		t.Error("wrote outside")
	}
	if _, _, err := ExtractFile(deb, "nope"); !errors.Is(err, ErrNotInPackage) {
		t.Errorf("%v", err)
	}
}

func FuzzDeb(f *testing.F) {
	f.Add(buildDeb(f, entry{name: "./a/b", data: "c"}))
	f.Add([]byte("!<arch>\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, done, err := openTar(bytes.NewReader(b), "fuzz", "data.tar")
		if err != nil {
			return
		}
		defer done()
		for range 100 {
			if h, err := r.Next(); err != nil {
				return
			} else if strings.HasPrefix(clean(h.Name), "..") || strings.HasPrefix(clean(h.Name), "/") {
				t.Errorf("%q is clean", h.Name)
			}
		}
	})
}

func TestAptOutput(t *testing.T) {
	if got := aptError("W: x\nE: Unable  to fetch\nE: more"); got != "Unable to fetch" {
		t.Errorf("%q", got)
	}
	var got []float64
	readStatus(strings.NewReader("dlstatus:1:12.5:Retrieving\npmstatus:x\ndlstatus:1:99.0000:R:x\n"), func(v float64) { got = append(got, v) })
	if len(got) != 2 || got[0] != 12.5 || got[1] != 99 {
		t.Errorf("%v", got)
	}
}

func TestRecheck(t *testing.T) {
	c, a := testCache(t)
	if _, err := c.Package(t.Context(), "busybox-static"); err != nil {
		t.Fatal(err)
	}
	r := c.indexed("busybox-static")
	r.LookedUp = time.Now().Add(-2 * recheck)
	if err := c.store("index/busybox-static", mustJSON(r)); err != nil {
		t.Fatal(err)
	}
	a.debs["busybox-static"] = buildDeb(t, entry{name: "bin/busybox", data: "newer and longer"})
	p, err := c.File(t.Context(), "busybox-static", "bin/busybox")
	_ = contents(t, p, err)
	if r := c.indexed("busybox-static"); time.Since(r.LookedUp) > recheck {
		t.Error("not looked up again after a day")
	}
}

func TestDependencies(t *testing.T) {
	got := dependencies("Package: x\nPre-Depends: libc6 (>= 2.34)\nDepends: zlib1g (>= 1:1.1), debconf | debconf-2.0,\n python3:any (= 3), libfoo1\nRecommends: nothing\nDescription: a\n Depends: b\n")
	if want := []string{"libc6", "zlib1g", "debconf", "python3", "libfoo1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
