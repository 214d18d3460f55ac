package machine_test

import (
	"flag"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"hotblock/internal/guesttest"
	"hotblock/jit"
	"hotblock/machine"
)

// translated skips a test where the host has no translator to test.
func translated(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("translated code runs on linux/amd64 only")
	}
}

// work runs commands whose output is known.
func work(t *testing.T, g *guesttest.Guest) {
	t.Helper()
	if out, status := g.Shell("expr 6 \\* 7; seq 1 2000 | md5sum; seq 1 5000 | gzip -c | gzip -dc | sha256sum", bootTime); status != 0 || out != toolsOutput {
		t.Errorf("status %d, %q", status, out)
	}
}

// powerOff has the guest's shell power off, and waits for the end of the machine.
func powerOff(t *testing.T, g *guesttest.Guest, limit time.Duration) {
	t.Helper()
	g.Send("poweroff -f\n")
	if exit := g.Wait(limit); exit.Reason != machine.ExitPowerOff {
		t.Errorf("ended with %+v", exit)
	}
}

// TestVerifiedBoot boots Debian's cloud kernel to a shell with every translation
// compared with the interpreter. A difference ends the machine, and is what the
// test then fails with.
func TestVerifiedBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	translated(t)
	cfg := guesttest.Debian(t, "cloud", "jit", nil)
	cfg.JIT.Verify = jit.VerifySome
	g := guesttest.Start(t, cfg)
	g.Expect(guesttest.Prompt, bootTime)
	g.Quiet()
	work(t, g)
	powerOff(t, g, bootTime)
}

var verifyStrategies = flag.Bool("verifystrategies", false, "in TestStrategies, verify: a quarter of a minute each")

// TestStrategies boots with each strategy of the translator that is not the default,
// translating what runs twice.
func TestStrategies(t *testing.T) {
	translated(t)
	settings := ",threshold=2"
	if *verifyStrategies {
		settings = ",verify"
	}
	for _, engine := range guesttest.Strategies() {
		t.Run(engine, func(t *testing.T) {
			g := guesttest.Start(t, guesttest.Debian(t, "cloud", engine+settings, nil))
			g.Expect(guesttest.Prompt, bootTime)
			g.Quiet()
			work(t, g)
			powerOff(t, g, bootTime)
		})
	}
}

// TestSmallCaches boots with a code cache of 256 KiB and translation of everything
// that runs twice, and with TLBs of eight entries and garbage collection that never
// rests.
func TestSmallCaches(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	translated(t)
	for _, c := range []struct {
		name string
		set  func(cfg *machine.Config)
		tlb  int
		gc   bool
	}{
		{"cache of 256 KiB", func(cfg *machine.Config) { cfg.JIT.CacheSize, cfg.JIT.Threshold = 256<<10, 2 }, 0, false},
		{"TLB of 8 entries", func(cfg *machine.Config) {}, 8, false},
		{"garbage collection", func(cfg *machine.Config) { cfg.JIT.Threshold = 1 }, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := guesttest.Debian(t, "cloud", "jit", nil)
			c.set(cfg)
			if c.gc {
				defer debug.SetGCPercent(debug.SetGCPercent(10))
				stop, done := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					for {
						select {
						case <-stop:
							return
						case <-time.After(3 * time.Millisecond):
							runtime.GC()
						}
					}
				}()
				defer func() { close(stop); <-done }()
			}
			g := guesttest.Prepare(t, cfg)
			if c.tlb != 0 {
				g.M.CPU.SetTLBSize(c.tlb)
			}
			g.Run()
			g.Expect(guesttest.Prompt, bootTime)
			g.Quiet()
			work(t, g)
			if out, _ := g.Shell("dmesg | grep -ci -e oops -e 'BUG:' -e segfault", time.Minute); strings.TrimSpace(out) != "0" {
				t.Errorf("the kernel complains %q times", out)
			}
			powerOff(t, g, bootTime)
		})
	}
}
