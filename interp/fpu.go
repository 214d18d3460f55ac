package interp

import "hotblock/x86"

func init() {
	on("fninit", func(c *CPU, o *Op) *Op { c.initX87(); return o.next })
	on("fnclex", func(c *CPU, o *Op) *Op { c.FSW &= 0x7f00; return o.next })
	on("fnstsw", func(c *CPU, o *Op) *Op { c.setArg(o, 0, uint64(c.FSW)); return o.next })
	on("fnstcw", func(c *CPU, o *Op) *Op { c.setArg(o, 0, uint64(c.FCW)); return o.next })
	on("fwait", func(c *CPU, o *Op) *Op { return o.next })
}

var _ = x86.RAX
