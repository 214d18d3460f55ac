package softfp

// rcp is RCPSS on the host. It depends on no state and raises no exception.
func rcp(x uint32) uint32

// rsqrt is RSQRTSS on the host. It depends on no state and raises no exception.
func rsqrt(x uint32) uint32
