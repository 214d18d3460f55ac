package interp

// NativeSize is the size in bytes of the memory that a CPU keeps for a
// translator's own use, beside its TLBs.
const NativeSize = 4 << 20
