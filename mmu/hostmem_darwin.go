package mmu

func adviseHuge([]byte) {}
