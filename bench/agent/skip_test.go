package agent

import (
	"maps"
	"testing"
)

func TestSkip(t *testing.T) {
	for _, s := range []string{"", "0", "1,4-7", "0-9", "0,2,4,6,8-9"} {
		set, err := ParseSkip(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := FormatSkip(set, 10); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	set, _ := ParseSkip("1,4-7")
	if want := map[int]bool{1: true, 4: true, 5: true, 6: true, 7: true}; !maps.Equal(set, want) {
		t.Errorf("%v", set)
	}
	for _, s := range []string{"x", "3-1", "-1", "1,", "1-99999999"} {
		if _, err := ParseSkip(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}
