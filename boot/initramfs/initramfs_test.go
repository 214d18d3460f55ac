package initramfs

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

type parsed struct {
	mode         uint64
	data         string
	major, minor uint64
}

// parse reads newc as the kernel's init/initramfs.c does.
func parse(t *testing.T, b []byte) (names []string, files map[string]parsed) {
	t.Helper()
	files = map[string]parsed{}
	for {
		if len(b) < 110 || string(b[:6]) != "070701" {
			t.Fatalf("no header: %q", b[:min(len(b), 20)])
		}
		var f [13]uint64
		for i := range f {
			v, err := strconv.ParseUint(string(b[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			f[i] = v
		}
		nameLen, size := int(f[11]), int(f[6])
		name := string(b[110 : 110+nameLen-1])
		at := (110 + nameLen + 3) &^ 3
		end := (at + size + 3) &^ 3
		if name == "TRAILER!!!" {
			if rest := b[end:]; len(bytes.Trim(rest, "\x00")) != 0 {
				t.Errorf("%d bytes behind the trailer", len(rest))
			}
			return names, files
		}
		names = append(names, name)
		files[name] = parsed{mode: f[1], data: string(b[at : at+size]), major: f[9], minor: f[10]}
		b = b[end:]
	}
}

func TestBuild(t *testing.T) {
	o := Options{Busybox: []byte("busybox"), Banner: "hello\n", Script: "echo hi", Extra: []File{
		{Name: "/opt/x/tool", Mode: 0o755, Data: []byte("tool")},
		{Name: "etc/passwd", Mode: 0o600, Data: []byte("mine")},
	}}
	a, err := Build(o)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Build(o)
	if !bytes.Equal(a, again) {
		t.Error("two builds differ")
	}
	if len(a)%512 != 0 {
		t.Errorf("%d bytes", len(a))
	}
	names, files := parse(t, a)
	seen := map[string]bool{"": true, ".": true}
	for _, n := range names {
		if i := strings.LastIndex(n, "/"); i >= 0 && !seen[n[:i]] {
			t.Errorf("%s comes before its directory", n)
		}
		if seen[n] {
			t.Errorf("%s is there twice", n)
		}
		seen[n] = true
	}
	for name, want := range map[string]parsed{
		"dev/console":  {TypeChar | 0o600, "", 5, 1},
		"bin/busybox":  {TypeRegular | 0o755, "busybox", 0, 0},
		"init":         {TypeSymlink | 0o777, "bin/busybox", 0, 0},
		"tmp":          {TypeDir | 0o1777, "", 0, 0},
		"opt/x":        {TypeDir | 0o755, "", 0, 0},
		"opt/x/tool":   {TypeRegular | 0o755, "tool", 0, 0},
		"etc/passwd":   {TypeRegular | 0o600, "mine", 0, 0},
		"etc/rc.local": {TypeRegular | 0o755, "#!/bin/sh\necho hi", 0, 0},
		"etc/motd":     {TypeRegular | 0o644, "hello\n", 0, 0},
	} {
		if files[name] != want {
			t.Errorf("%s: %+v, want %+v", name, files[name], want)
		}
	}
	a, _ = Build(Options{Init: []byte("own")})
	if _, files := parse(t, a); files["init"].data != "own" || files["bin/busybox"].mode != 0 {
		t.Error("own init is not alone")
	}
}
