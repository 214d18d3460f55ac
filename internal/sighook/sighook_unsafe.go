//go:build linux && amd64

package sighook

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Unsafe is used here for the arguments of rt_sigaction.

// Handlers are addresses of signal handlers by signal number.
type Handlers [65]uintptr

// sigaction is the kernel's struct of that name on amd64.
type sigaction struct {
	handler, flags, restorer, mask uintptr
}

func rtSigaction(sig unix.Signal, act, old *sigaction) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(act.mask), 0, 0)
	if e != 0 {
		return fmt.Errorf("rt_sigaction(%s): %w", unix.SignalName(sig), e)
	}
	return nil
}

// Handler returns the address of the handler that sig has now: 0 for the default
// action and 1 for none.
func Handler(sig unix.Signal) (uintptr, error) {
	var sa sigaction
	err := rtSigaction(sig, nil, &sa)
	return sa.handler, err
}

// Chain makes handler, the address of an assembly routine, the handler of sigs,
// and stores the handlers there were in old, before the first call can come.
//
// Flags, mask and restorer stay those that Go's runtime chose: the routine is
// called as the kernel calls a handler (DI the number, SI the siginfo, DX the
// ucontext, the return address on the stack), on Go's signal stack, with all
// signals blocked. There is no g. What is not its own it passes on with a jump
// to the old handler, with those registers and SP as they were. It fails,
// and changes nothing, where one of sigs has no handler.
func Chain(handler uintptr, old *Handlers, sigs ...unix.Signal) error {
	acts := make([]sigaction, len(sigs))
	for i, sig := range sigs {
		if err := rtSigaction(sig, nil, &acts[i]); err != nil {
			return err
		}
		if acts[i].handler <= 1 { // SIG_DFL, SIG_IGN
			return fmt.Errorf("%s has no handler of Go's to stand in front of", unix.SignalName(sig))
		}
	}
	for i, sig := range sigs {
		old[sig] = acts[i].handler
	}
	for i, sig := range sigs {
		acts[i].handler = handler
		if err := rtSigaction(sig, &acts[i], nil); err != nil {
			return err
		}
	}
	return nil
}
