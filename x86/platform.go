// Package x86 is what every engine shares: the processor's state, the
// instruction decoder, flags, exceptions, the CPUID models and the numbers of
// the model-specific registers.
package x86

// Ports is the I/O port space. size is 1, 2 or 4 bytes. Calls may come from
// any CPU's goroutine at once.
type Ports interface {
	In(port uint16, size int) uint32
	Out(port uint16, size int, v uint32)
}

// IntController is a CPU's local interrupt controller as the CPU sees it (SDM
// volume 3, "Advanced Programmable Interrupt Controller"). All but
// HasInterrupt may lock.
type IntController interface {
	// HasInterrupt reports, without locking, whether Ack would find a vector.
	// Whenever it comes to be true, Signals.Kick is called afterwards.
	HasInterrupt() bool
	// Ack takes the deliverable interrupt of the highest priority into service
	// and returns its vector; ok is false when there is none any more.
	Ack() (vector uint8, ok bool)
	// ReadMSR and WriteMSR serve IA32_APIC_BASE, IA32_TSC_DEADLINE and the
	// x2APIC range 0x800-0x8ff; ok is false where the access is a #GP.
	ReadMSR(msr uint32) (v uint64, ok bool)
	WriteMSR(msr uint32, v uint64) (ok bool)
	// TPR and SetTPR are CR8: the task priority class, 0 to 15.
	TPR() uint8
	SetTPR(v uint8)
}

// Signals is what the rest of the machine tells a CPU. Calls may come from any
// goroutine and return at once; the CPU acts at its next instruction boundary
// or basic block.
type Signals interface {
	Kick() // an interrupt may have become deliverable
	NMI()
	Init()             // INIT: as a reset, but waiting for Startup unless it is the boot processor
	Startup(vec uint8) // SIPI: start in real mode at vec<<12
	Reset()
}
