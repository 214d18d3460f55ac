// Package hosttsc reads the host's time stamp counter, where it can stand in for a
// clock: where it counts at one rate in all power states, and alike on all
// processors.
//
// The first is the invariant TSC of SDM volume 3, 19.17.1 (CPUID.80000007H:EDX[8]).
// For the second nothing but the system's word will do. Linux compares the counters
// of the processors, and the counter with other timers as long as it runs; while it
// keeps its own time by the TSC, so may we.
package hosttsc

import (
	"os"
	"strings"
	"sync"

	"hotblock/internal/cpuid"
)

// Bits of CPUID (SDM volume 2A, table 3-8).
const (
	leafFeatures = 0x80000001
	bitRDTSCP    = 1 << 27 // EDX
	leafPower    = 0x80000007
	bitInvariant = 1 << 8 // EDX
)

// edx is EDX of a leaf of CPUID.
func edx(leaf uint32) uint32 {
	_, _, _, d := cpuid.Leaf(leaf, 0)
	return d
}

// Usable reports whether Read may be taken for a clock on all of the host's
// processors.
var Usable = sync.OnceValue(func() bool {
	return edx(leafPower)&bitInvariant != 0 && clockSource()
})

// HasRDTSCP reports whether the host has the instruction.
var HasRDTSCP = sync.OnceValue(func() bool { return edx(leafFeatures)&bitRDTSCP != 0 })

// sourceFile is where Linux says what it keeps time by
// (Documentation/ABI/testing/sysfs-devices-system-clocksource).
const sourceFile = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

// trustedSource reports whether the contents of sourceFile name the TSC.
func trustedSource(text string) bool { return strings.TrimSpace(text) == "tsc" }

// linuxSource is clockSource of Linux.
func linuxSource() bool {
	b, err := os.ReadFile(sourceFile)
	return err == nil && trustedSource(string(b))
}
