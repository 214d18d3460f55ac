package interp

func (c *CPU) xinuse() uint64 { return 3 }
