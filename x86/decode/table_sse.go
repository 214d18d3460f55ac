package decode

// tableSSE holds MMX, SSE to SSE4.2, AES, PCLMULQDQ and SHA in their legacy
// encodings.
const tableSSE = `
`
