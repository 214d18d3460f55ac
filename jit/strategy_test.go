package jit

import (
	"strings"
	"testing"

	"hotblock/interp"
)

// TestStrategies runs random programs and every encoding with each strategy in place
// of the default one.
func TestStrategies(t *testing.T) {
	for _, s := range Single() {
		t.Run(s, func(t *testing.T) {
			newProgramRig(t, "threshold=1,"+s, "threshold=2,verify=all,"+s).run(t, 3_000_000, 120)
			if testing.Short() {
				return
			}
			key, val, _ := strings.Cut(s, "=")
			for i, mode := range []guestMode{{cpl: 3}, {}, {cpl: 3, compat: true}} {
				cfg := diffConfig()
				if err := cfg.Set(key, val); err != nil {
					t.Fatal(err)
				}
				newDiffPair(t, uint64(100+i), mode, cfg).sweep(t, 1)
			}
		})
	}
}

// TestStrategyNames looks at what the command line and listings see of strategies.
func TestStrategyNames(t *testing.T) {
	axes := Axes()
	if len(axes) != 6 {
		t.Errorf("%d axes", len(axes))
	}
	var empty Choices
	for _, x := range axes {
		if len(x.Choices) == 0 || x.Text == "" {
			t.Errorf("axis %q is not complete: %+v", x.Name, x)
			continue
		}
		for i, c := range x.Choices {
			cfg := DefaultConfig
			if err := cfg.Set(x.Name, c.Name); err != nil {
				t.Error(err)
			}
			if got := *x.of(&cfg.Choices); got != c.Name {
				t.Errorf("%s=%s set %q", x.Name, c.Name, got)
			}
			if c.Text == "" || strings.Contains(c.Text, "\n") {
				t.Errorf("%s=%s is described as %q", x.Name, c.Name, c.Text)
			}
			if !strings.Contains(Usage(), c.Name) {
				t.Errorf("the usage does not have %s=%s", x.Name, c.Name)
			}
			if i == 0 && *x.of(&empty) != "" {
				t.Errorf("the zero value chooses %s=%s", x.Name, *x.of(&empty))
			}
		}
		cfg := DefaultConfig
		if err := cfg.Set(x.Name, "none such"); err == nil || !strings.Contains(err.Error(), x.Choices[0].Name) {
			t.Errorf("%s=none such: error %v does not name what there is", x.Name, err)
		}
	}
}

// TestUnknownStrategy has New refuse a name that Set would not have taken.
func TestUnknownStrategy(t *testing.T) {
	if !Available() {
		t.Skip("the host does not run translated code")
	}
	g := newGuest(t, nil)
	cfg := DefaultConfig
	cfg.Choices.Memory = "windows"
	if _, err := New(interp.New(g.cpu.Mem, g.cpu.Model), cfg); err == nil || !strings.Contains(err.Error(), "memory=windows") {
		t.Errorf("error %v", err)
	}
}
