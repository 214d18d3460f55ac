package hosttsc

import "testing"

func TestRead(t *testing.T) {
	if !Usable() {
		t.Skip("the host's TSC is no clock")
	}
	last := Read()
	for range 10000 {
		now := Read()
		if int64(now-last) < 0 {
			t.Fatalf("the counter went back from %d to %d", last, now)
		}
		last = now
	}
}

func TestTrustedSource(t *testing.T) {
	for text, want := range map[string]bool{"tsc\n": true, "tsc": true, "tsc-early\n": false, "kvm-clock\n": false, "hpet\n": false, "": false} {
		if got := trustedSource(text); got != want {
			t.Errorf("clock source %q: %v", text, got)
		}
	}
}
