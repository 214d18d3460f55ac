//go:build !amd64

package softfp

func rcp(x uint32) uint32   { return portableRcp(x) }
func rsqrt(x uint32) uint32 { return portableRsqrt(x) }
