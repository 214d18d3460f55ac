package jit

import (
	"strings"
	"testing"
)

func TestConfigSet(t *testing.T) {
	c := DefaultConfig
	for _, kv := range []string{"threshold=3", "cache=512K", "cache=1M", "verify=", "verify=all"} {
		k, v, _ := strings.Cut(kv, "=")
		if err := c.Set(k, v); err != nil {
			t.Errorf("%s: %v", kv, err)
		}
	}
	if c.Threshold != 3 || c.CacheSize != 1<<20 || c.Verify != VerifyAll {
		t.Errorf("settings are %+v", c)
	}
	for _, kv := range []string{"threshold=0", "threshold=-1", "threshold=x", "cache=255K", "cache=2G", "cache=", "verify=no", "speed=9"} {
		k, v, _ := strings.Cut(kv, "=")
		before := c
		err := c.Set(k, v)
		if err == nil || !strings.Contains(err.Error(), k) {
			t.Errorf("%s: error %v does not name the setting", kv, err)
		}
		if c != before {
			t.Errorf("%s changed the settings", kv)
		}
	}
}

// TestDump looks at the disassembly of a region as -d out_asm prints it.
func TestDump(t *testing.T) {
	var out strings.Builder
	cfg := DefaultConfig
	cfg.Threshold, cfg.Dump = 1, &out
	g := newGuest(t, &cfg)
	g.mapPage(progCode, guestCode|7)
	copy(g.ram.Bytes[guestCode:], []byte{0x48, 0x01, 0xd8, 0xcc}) // add rax, rbx; int3
	s := g.base
	guestMode{cpl: 3}.segments(&s, 0, 0)
	s.RIP = progCode
	g.run(&s, 2)
	for _, want := range []string{"guest:", "host:", "add %rbx,%rax"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
