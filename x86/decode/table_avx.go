package decode

// tableAVX holds the VEX-encoded vector instructions: AVX, AVX2, FMA, F16C.
const tableAVX = `
`
