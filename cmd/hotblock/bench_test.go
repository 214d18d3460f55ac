package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchRefuses(t *testing.T) {
	t.Setenv("HOTBLOCK_CACHE", t.TempDir())
	for args, word := range map[string]string{
		"-nonsense": "-nonsense", "word": "word", "-count|0": "-count 0", "-scale|-1": "-scale", "-scale|NaN": "-scale", "-metric|x": "-metric x", "-run|(": "-run (",
		"-run|nosuch": "nosuch", "-with|x": "-with x", "-config|x": "NAME=ARGUMENTS", "-from|/nonexistent": "/nonexistent", "-accel|nosuch": "nosuch", "-config|x=-m 1X": "configuration x", "-timeout|1ms": "1ms",
		"-kernel|/nonexistent/k|-run|alu/alu": "/nonexistent/k", "-kernel|/dev/null|-accel||-native=false|-qemu|none": "nothing to run on",
		"-kernel|/dev/null|-qemu|/nonexistent/q": "/nonexistent/q",
		"-sweep|threshold=4":                     "threshold=4", "-sweep|speed=1,2": "speed", "-sweep|memory=tlb,none": "memory=none", "-strategies|-axis|x": "-axis x", "-axis|memory": "-strategies",
		"-strategies|-sweep|threshold=1,2": "one at a time", "-strategies|-accel|interp": "-accel",
	} {
		code, out, errs := runCommand(t, nil, append([]string{"bench"}, strings.Split(args, "|")...)...)
		// What it does before is told on lines of their own.
		lines := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
		wantLine(t, code, out, lines[len(lines)-1]+"\n", word)
	}
}

func TestBenchList(t *testing.T) {
	code, out, errs := runCommand(t, nil, "bench", "-list", "-run", "^copy/dd|gcc")
	if code != 0 || errs != "" || strings.Count(out, "\n") != 4 || !strings.Contains(out, "copy/dd-1M ") || !strings.Contains(out, "(-with gcc)") {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	if code, out, _ := runCommand(t, nil, "bench", "-help"); code != 0 || !strings.HasPrefix(out, "usage: hotblock bench") {
		t.Errorf("%d, %q", code, out)
	}
}

// TestBenchFrom shows a report again, in every form.
func TestBenchFrom(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.json")
	const report = `{"metric":"cpu","rounds":1,"command":"hotblock bench","targets":[{"name":"native","kind":"native"},{"name":"jit","kind":"hotblock"}],
"workloads":[{"name":"alu/mul","class":"alu","doc":"d","command":"c"}],
"samples":[{"workload":"alu/mul","target":"native","round":0,"status":"ok","wall_s":1,"cpu_s":1},{"workload":"alu/mul","target":"jit","round":0,"status":"ok","wall_s":3,"cpu_s":2}]}`
	if err := os.WriteFile(in, []byte(report), 0o644); err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	code, out, errs := runCommand(t, nil, "bench", "-from", in, "-json", path("out.json"), "-gobench", path("out.txt"), "-svg", path("out.svg"), "-update", "-o", path("B.md"))
	if code != 0 || errs != "" || !strings.Contains(out, "2.00") {
		t.Fatalf("%d, %q, %q", code, out, errs)
	}
	for name, word := range map[string]string{"out.json": `"alu/mul"`, "out.txt": "BenchmarkAlu/mul/on=jit 1 3000000000 ns/op 2000000000 cpu-ns/op", "out.svg": "<svg", "B.md": "](B.svg)", "B.svg": "<svg"} {
		if b, err := os.ReadFile(path(name)); err != nil || !strings.Contains(string(b), word) {
			t.Errorf("%s: %v, no %q", name, err, word)
		}
	}
	if code, out, _ := runCommand(t, nil, "bench", "-from", in, "-metric", "wall"); code != 0 || !strings.Contains(out, "3.00") {
		t.Errorf("%d, %q", code, out)
	}
	code, out, errs = runCommand(t, nil, "bench", "-from", in, "-json", "/nonexistent/x")
	if code != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "/nonexistent/x") || out == "" {
		t.Errorf("%d, %q", code, errs)
	}
}
