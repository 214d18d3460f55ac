//go:build !(linux && amd64)

package micro

// Prepare fails: the benchmarks are Linux programs for amd64.
func Prepare(name string) (body func(n uint64) uint64, err error) { return nil, ErrUnknown }
