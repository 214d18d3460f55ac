package host

import "unsafe"

// Unsafe is used here for offsets of fields only, which are constants.

// FrameSize is the size of a Frame in bytes, a multiple of 64.
const FrameSize = int(unsafe.Sizeof(Frame{}))

// Displacements from GS of the fields of a Frame.
const (
	OffSelf        = int32(unsafe.Offsetof(Frame{}.Self))
	OffSavedSP     = int32(unsafe.Offsetof(Frame{}.SavedSP))
	OffSavedBP     = int32(unsafe.Offsetof(Frame{}.SavedBP))
	OffSavedG      = int32(unsafe.Offsetof(Frame{}.SavedG))
	OffExit        = int32(unsafe.Offsetof(Frame{}.Exit))
	OffStackTop    = int32(unsafe.Offsetof(Frame{}.StackTop))
	OffFaultExit   = int32(unsafe.Offsetof(Frame{}.FaultExit))
	OffFaultRIP    = int32(unsafe.Offsetof(Frame{}.FaultRIP))
	OffFaultAddr   = int32(unsafe.Offsetof(Frame{}.FaultAddr))
	OffFaultErr    = int32(unsafe.Offsetof(Frame{}.FaultErr))
	OffFaultSig    = int32(unsafe.Offsetof(Frame{}.FaultSig))
	OffFaultTrap   = int32(unsafe.Offsetof(Frame{}.FaultTrap))
	OffFaultCode   = int32(unsafe.Offsetof(Frame{}.FaultCode))
	OffFaultNested = int32(unsafe.Offsetof(Frame{}.FaultNested))
	OffPending     = int32(unsafe.Offsetof(Frame{}.Pending))
	OffInside      = int32(unsafe.Offsetof(Frame{}.Inside))
	OffPollMask    = int32(unsafe.Offsetof(Frame{}.PollMask))
)

// A size that is no multiple of 64 does not compile.
const _ = -uint(FrameSize % 64)
