package simd

// Sign and zero extension.

// PMOVSXBW sign-extends the low bytes of a to words.
func PMOVSXBW(d, a *V128) { ext(d[:], *a, 8, 16, true) }

// VPMOVSXBW sign-extends bytes of a to the words of a YMM.
func VPMOVSXBW(d *V256, a *V128) {
	x := *a
	s := 64 // source bits of each lane
	ext(d[0][:], x, 8, 16, true)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 8, 16, true)
}

// PMOVSXBD sign-extends the low bytes of a to doublewords.
func PMOVSXBD(d, a *V128) { ext(d[:], *a, 8, 32, true) }

// VPMOVSXBD sign-extends bytes of a to the doublewords of a YMM.
func VPMOVSXBD(d *V256, a *V128) {
	x := *a
	s := 32 // source bits of each lane
	ext(d[0][:], x, 8, 32, true)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 8, 32, true)
}

// PMOVSXBQ sign-extends the low bytes of a to quadwords.
func PMOVSXBQ(d, a *V128) { ext(d[:], *a, 8, 64, true) }

// VPMOVSXBQ sign-extends bytes of a to the quadwords of a YMM.
func VPMOVSXBQ(d *V256, a *V128) {
	x := *a
	s := 16 // source bits of each lane
	ext(d[0][:], x, 8, 64, true)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 8, 64, true)
}

// PMOVSXWD sign-extends the low words of a to doublewords.
func PMOVSXWD(d, a *V128) { ext(d[:], *a, 16, 32, true) }

// VPMOVSXWD sign-extends words of a to the doublewords of a YMM.
func VPMOVSXWD(d *V256, a *V128) {
	x := *a
	s := 64 // source bits of each lane
	ext(d[0][:], x, 16, 32, true)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 16, 32, true)
}

// PMOVSXWQ sign-extends the low words of a to quadwords.
func PMOVSXWQ(d, a *V128) { ext(d[:], *a, 16, 64, true) }

// VPMOVSXWQ sign-extends words of a to the quadwords of a YMM.
func VPMOVSXWQ(d *V256, a *V128) {
	x := *a
	s := 32 // source bits of each lane
	ext(d[0][:], x, 16, 64, true)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 16, 64, true)
}

// PMOVSXDQ sign-extends the low doublewords of a to quadwords.
func PMOVSXDQ(d, a *V128) { ext(d[:], *a, 32, 64, true) }

// VPMOVSXDQ sign-extends doublewords of a to the quadwords of a YMM.
func VPMOVSXDQ(d *V256, a *V128) {
	x := *a
	s := 64 // source bits of each lane
	ext(d[0][:], x, 32, 64, true)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 32, 64, true)
}

// PMOVZXBW zero-extends the low bytes of a to words.
func PMOVZXBW(d, a *V128) { ext(d[:], *a, 8, 16, false) }

// VPMOVZXBW zero-extends bytes of a to the words of a YMM.
func VPMOVZXBW(d *V256, a *V128) {
	x := *a
	s := 64 // source bits of each lane
	ext(d[0][:], x, 8, 16, false)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 8, 16, false)
}

// PMOVZXBD zero-extends the low bytes of a to doublewords.
func PMOVZXBD(d, a *V128) { ext(d[:], *a, 8, 32, false) }

// VPMOVZXBD zero-extends bytes of a to the doublewords of a YMM.
func VPMOVZXBD(d *V256, a *V128) {
	x := *a
	s := 32 // source bits of each lane
	ext(d[0][:], x, 8, 32, false)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 8, 32, false)
}

// PMOVZXBQ zero-extends the low bytes of a to quadwords.
func PMOVZXBQ(d, a *V128) { ext(d[:], *a, 8, 64, false) }

// VPMOVZXBQ zero-extends bytes of a to the quadwords of a YMM.
func VPMOVZXBQ(d *V256, a *V128) {
	x := *a
	s := 16 // source bits of each lane
	ext(d[0][:], x, 8, 64, false)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 8, 64, false)
}

// PMOVZXWD zero-extends the low words of a to doublewords.
func PMOVZXWD(d, a *V128) { ext(d[:], *a, 16, 32, false) }

// VPMOVZXWD zero-extends words of a to the doublewords of a YMM.
func VPMOVZXWD(d *V256, a *V128) {
	x := *a
	s := 64 // source bits of each lane
	ext(d[0][:], x, 16, 32, false)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 16, 32, false)
}

// PMOVZXWQ zero-extends the low words of a to quadwords.
func PMOVZXWQ(d, a *V128) { ext(d[:], *a, 16, 64, false) }

// VPMOVZXWQ zero-extends words of a to the quadwords of a YMM.
func VPMOVZXWQ(d *V256, a *V128) {
	x := *a
	s := 32 // source bits of each lane
	ext(d[0][:], x, 16, 64, false)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 16, 64, false)
}

// PMOVZXDQ zero-extends the low doublewords of a to quadwords.
func PMOVZXDQ(d, a *V128) { ext(d[:], *a, 32, 64, false) }

// VPMOVZXDQ zero-extends doublewords of a to the quadwords of a YMM.
func VPMOVZXDQ(d *V256, a *V128) {
	x := *a
	s := 64 // source bits of each lane
	ext(d[0][:], x, 32, 64, false)
	x = V128{x[s>>6] >> (s & 63), x[1] >> (s & 63)}
	ext(d[1][:], x, 32, 64, false)
}
