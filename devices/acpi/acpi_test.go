package acpi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func full() Config {
	return Config{CPUs: 4, ECAM: 0xb0000000, PCI32Lo: 0xc0000000, PCI32Hi: 0xfebfffff, PCI64Lo: 1 << 32,
		PCI64Hi: 1<<39 - 1, COM: []COM{{0x3f8, 4}, {0x2f8, 3}}, HPET: true, FWCfg: true}
}

// split returns the tables of a placed blob by signature.
func split(t *testing.T, cfg Config) map[string][]byte {
	const base = 0x7ff0000
	blob, rsdp := Build(cfg).Place(base)
	out := map[string][]byte{"RSDP": rsdp}
	at := func(addr uint64) []byte {
		b := blob[addr-base:]
		return b[:binary.LittleEndian.Uint32(b[4:])]
	}
	xsdt := at(binary.LittleEndian.Uint64(rsdp[24:]))
	out["XSDT"] = xsdt
	out["RSDT"] = at(uint64(binary.LittleEndian.Uint32(rsdp[16:])))
	for p := xsdt[36:]; len(p) > 0; p = p[8:] {
		b := at(binary.LittleEndian.Uint64(p))
		out[string(b[:4])] = b
	}
	fadt := out["FACP"]
	out["DSDT"] = at(binary.LittleEndian.Uint64(fadt[140:]))
	out["FACS"] = at(uint64(binary.LittleEndian.Uint32(fadt[36:])))
	return out
}

func TestChecksums(t *testing.T) {
	for sig, b := range split(t, full()) {
		if sig == "FACS" {
			continue
		}
		var sum byte
		for _, x := range b {
			sum += x
		}
		if sum != 0 {
			t.Errorf("%s sums to %#x", sig, sum)
		}
		if sig != "RSDP" && string(b[:4]) != sig {
			t.Errorf("%s begins with %q", sig, b[:4])
		}
	}
}

// TestIASL takes every table apart with iasl, puts the DSDT together again and
// compares.
func TestIASL(t *testing.T) {
	iasl, err := exec.LookPath("iasl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("iasl is missing: install acpica-tools")
		}
		t.Skip("iasl is not installed (acpica-tools)")
	}
	for _, cfg := range []Config{full(), {CPUs: 1, PCI32Lo: 0xc0000000, PCI32Hi: 0xfebfffff, NoI8042: true, NoRTC: true}} {
		dir := t.TempDir()
		for sig, b := range split(t, cfg) {
			if sig == "RSDP" {
				continue
			}
			aml := filepath.Join(dir, sig+".aml")
			if err := os.WriteFile(aml, b, 0o644); err != nil {
				t.Fatal(err)
			}
			run := func(args ...string) string {
				out, err := exec.Command(iasl, args...).CombinedOutput()
				s := string(out)
				if err != nil {
					t.Errorf("iasl %v: %v\n%s", args, err, s)
				}
				for _, bad := range []string{"Error", "Warning", "Could not", "Unknown"} {
					for _, l := range strings.Split(s, "\n") {
						if strings.Contains(l, bad) && !strings.Contains(l, "0 Errors, 0 Warnings") {
							t.Errorf("iasl on %s: %s", sig, l)
						}
					}
				}
				return s
			}
			run("-d", aml)
			if sig != "DSDT" {
				continue
			}
			run("-p", filepath.Join(dir, "again"), filepath.Join(dir, "DSDT.dsl"))
			again, err := os.ReadFile(filepath.Join(dir, "again.aml"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again[36:], b[36:]) {
				t.Error("the DSDT that iasl compiles differs from ours: " + firstDifference(again, b))
			}
		}
	}
}

func firstDifference(a, b []byte) string {
	for i := 36; i < min(len(a), len(b)); i++ {
		if a[i] != b[i] {
			return fmt.Sprintf("at %#x % x, ours % x", i, a[i:min(i+16, len(a))], b[i:min(i+16, len(b))])
		}
	}
	return fmt.Sprintf("lengths %d and %d", len(a), len(b))
}

// TestLoader runs the loader script as firmware does and compares with Place.
func TestLoader(t *testing.T) {
	tb := Build(full())
	const base, rsdpAt = 0x1000000, 0xf0000
	files := map[string][]byte{FileTables: append([]byte(nil), tb.Blob...), FileRSDP: append([]byte(nil), tb.RSDP...)}
	at := map[string]uint64{FileTables: base, FileRSDP: rsdpAt}
	str := func(b []byte) string { return string(b[:bytes.IndexByte(b, 0)]) }
	le := binary.LittleEndian
	for s := tb.Loader(); len(s) > 0; s = s[128:] {
		switch le.Uint32(s) {
		case 1:
			if f := str(s[4:60]); files[f] == nil {
				t.Fatalf("allocation of unknown file %q", f)
			}
		case 2:
			d, src := files[str(s[4:60])], at[str(s[60:116])]
			off := le.Uint32(s[116:])
			if s[120] == 4 {
				le.PutUint32(d[off:], le.Uint32(d[off:])+uint32(src))
			} else {
				le.PutUint64(d[off:], le.Uint64(d[off:])+src)
			}
		case 3:
			d := files[str(s[4:60])]
			off, start, n := le.Uint32(s[60:]), le.Uint32(s[64:]), le.Uint32(s[68:])
			d[off] = 0
			var sum byte
			for _, x := range d[start : start+n] {
				sum += x
			}
			d[off] = -sum
		default:
			t.Fatalf("command %d", le.Uint32(s))
		}
	}
	blob, rsdp := tb.Place(base)
	if !bytes.Equal(files[FileTables], blob) || !bytes.Equal(files[FileRSDP], rsdp) {
		t.Error("firmware makes other tables of the script than Place does")
	}
}
