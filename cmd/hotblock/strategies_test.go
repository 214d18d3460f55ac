package main

import (
	"encoding/json"
	"strings"
	"testing"

	"hotblock/jit"
)

func TestStrategies(t *testing.T) {
	code, out, errs := runCommand(t, nil, "strategies")
	if code != 0 || errs != "" {
		t.Fatalf("%d, %q", code, errs)
	}
	for _, x := range jit.Axes() {
		for i, c := range x.Choices {
			line := "  " + c.Name + " "
			if !strings.Contains(out, line) || !strings.Contains(out, c.Text) || i == 0 && !strings.Contains(out, c.Text+" (default)") {
				t.Errorf("%s=%s is not in\n%s", x.Name, c.Name, out)
			}
		}
	}
	code, out, _ = runCommand(t, nil, "strategies", "-json")
	var axes []jit.Axis
	if err := json.Unmarshal([]byte(out), &axes); code != 0 || err != nil || len(axes) != len(jit.Axes()) || axes[0].Choices[0].Text == "" {
		t.Errorf("%d, %v: %s", code, err, out)
	}
	code, out, errs = runCommand(t, nil, "strategies", "all")
	wantLine(t, code, out, errs, `"all"`)
	code, out, errs = runCommand(t, nil, "-jit", "memory=nosuch")
	wantLine(t, code, out, errs, "out-of-line")
}
