package machine_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotblock/internal/guesttest"
)

// Go's own tests of its standard library make a good test of a CPU: they know
// what floating point, carries and vector code have to give to the last bit, and
// what they check was checked on silicon. They are built here, run by Linux in
// the machine, and have to pass.

var long = flag.Bool("long", false, "run the standard library's tests in full, not only those for -short")

var engineFlag = flag.String("engine", "", "the engine of TestSoak and TestStandardLibrary, in place of their own, with its settings: interp, or as in jit,cache=1M,threshold=1")

// stdlibPackages are the packages whose tests are run, with what they read from
// Go's tree, as globs in its src directory.
var stdlibPackages = []struct {
	path  string
	files []string
	skip  string // tests that are left out without -long: what they cost tells nothing more about the CPU
}{
	{path: "math"},
	{path: "math/big", skip: "^(Test(Add|Sub)VV|TestAddMulVVWW(NoADX)?|TestMulAddVWW|TestNatDiv|TestEscape)$"},
	{path: "strconv", files: []string{"strconv/testdata/*"}, skip: "^(TestIsPrint|TestIsGraphic)$"},
	{path: "sort"},
	{path: "hash/crc32"},
	{path: "crypto/sha256"},
	{path: "encoding/json", files: []string{"internal/obscuretestdata/*", "encoding/json/testdata/*"}},
	{path: "regexp", files: []string{"regexp/testdata/*"}},
	{path: "compress/flate", files: []string{"compress/flate/testdata/*", "compress/testdata/*", "testdata/*"}, skip: "^TestBestSpeedMaxMatchOffset$"},
}

// stdlib compiles the tests and returns them, with their data, as files for the
// guest: the binaries in /t, the data where it lies below $GOROOT/src in /go.
func stdlib(t *testing.T) map[string][]byte {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	dir := t.TempDir()
	args := []string{"test", "-c", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, p := range stdlibPackages {
		args = append(args, p.path)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files := map[string][]byte{}
	add := func(name, file string) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	for _, p := range stdlibPackages {
		base := path.Base(p.path) + ".test"
		add("t/"+base, filepath.Join(dir, base))
		files["go/src/"+p.path+"/here"] = nil
		for _, g := range p.files {
			found, err := filepath.Glob(filepath.Join(src, filepath.FromSlash(g)))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				rel, err := filepath.Rel(src, f)
				if err != nil {
					t.Fatal(err)
				}
				if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
					add("go/src/"+filepath.ToSlash(rel), f)
				}
			}
		}
	}
	return files
}

// TestStandardLibrary runs Go's tests with everything that the CPU has, with
// vector code switched off in the program, and on the oldest CPU model.
func TestStandardLibrary(t *testing.T) {
	files := stdlib(t)
	engines := guesttest.Engines
	if *engineFlag != "" {
		engines = []string{*engineFlag}
	}
	for _, engine := range engines {
		for _, v := range []struct{ name, cpu, godebug string }{
			{"max", "max", ""},
			{"x86-64-v1", "x86-64-v1", ""},
			{"max without features", "max", "cpu.all=off"},
		} {
			if v.godebug != "" && !*long {
				continue
			}
			t.Run(engine+"/"+v.name, func(t *testing.T) {
				cfg := guesttest.Debian(t, "cloud", engine, files)
				cfg.CPU = v.cpu
				g := guesttest.Start(t, cfg)
				g.Expect(guesttest.Prompt, bootTime)
				g.Shell("export GOROOT=/go", time.Minute)
				for _, p := range stdlibPackages {
					flags := "-test.timeout=0"
					if !*long {
						flags += " -test.short"
						if p.skip != "" {
							flags += " -test.skip '" + p.skip + "'"
						}
					}
					start := time.Now()
					out, status := g.Shell(fmt.Sprintf("cd /go/src/%s; GODEBUG=%s /t/%s.test %s", p.path, v.godebug, path.Base(p.path), flags), time.Hour)
					if status != 0 || !strings.HasSuffix(out, "PASS\n") {
						t.Errorf("%s: status %d\n%s", p.path, status, out)
					}
					t.Logf("%s: %v", p.path, time.Since(start).Round(100*time.Millisecond))
				}
			})
		}
	}
}
