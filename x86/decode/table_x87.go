package decode

// tableX87 holds the escape opcodes D8 to DF (SDM volume 2, appendix A.5).
// Operand-less forms that act on ST(0) name it only where the encoding names a
// second register.
const tableX87 = `
1 - d8/0:m fadd Md
1 - d8/1:m fmul Md
1 - d8/2:m fcom Md
1 - d8/3:m fcomp Md
1 - d8/4:m fsub Md
1 - d8/5:m fsubr Md
1 - d8/6:m fdiv Md
1 - d8/7:m fdivr Md
1 - d8/0:r fadd ST0,STi
1 - d8/1:r fmul ST0,STi
1 - d8/2:r fcom STi
1 - d8/3:r fcomp STi
1 - d8/4:r fsub ST0,STi
1 - d8/5:r fsubr ST0,STi
1 - d8/6:r fdiv ST0,STi
1 - d8/7:r fdivr ST0,STi
1 - d9/0:m fld Md
1 - d9/2:m fst Md
1 - d9/3:m fstp Md
1 - d9/4:m fldenv M
1 - d9/5:m fldcw Mw
1 - d9/6:m fnstenv M
1 - d9/7:m fnstcw Mw
1 - d9/0:r fld STi
1 - d9/1:r fxch STi
1 - d9/2=0 fnop
1 - d9/3:r fstp STi
1 - d9/4=0 fchs
1 - d9/4=1 fabs
1 - d9/4=4 ftst
1 - d9/4=5 fxam
1 - d9/5=0 fld1
1 - d9/5=1 fldl2t
1 - d9/5=2 fldl2e
1 - d9/5=3 fldpi
1 - d9/5=4 fldlg2
1 - d9/5=5 fldln2
1 - d9/5=6 fldz
1 - d9/6=0 f2xm1
1 - d9/6=1 fyl2x
1 - d9/6=2 fptan
1 - d9/6=3 fpatan
1 - d9/6=4 fxtract
1 - d9/6=5 fprem1
1 - d9/6=6 fdecstp
1 - d9/6=7 fincstp
1 - d9/7=0 fprem
1 - d9/7=1 fyl2xp1
1 - d9/7=2 fsqrt
1 - d9/7=3 fsincos
1 - d9/7=4 frndint
1 - d9/7=5 fscale
1 - d9/7=6 fsin
1 - d9/7=7 fcos
1 - da/0:m fiadd Md
1 - da/1:m fimul Md
1 - da/2:m ficom Md
1 - da/3:m ficomp Md
1 - da/4:m fisub Md
1 - da/5:m fisubr Md
1 - da/6:m fidiv Md
1 - da/7:m fidivr Md
1 - da/0:r fcmovb ST0,STi
1 - da/1:r fcmove ST0,STi
1 - da/2:r fcmovbe ST0,STi
1 - da/3:r fcmovu ST0,STi
1 - da/5=1 fucompp
1 - db/0:m fild Md
1 - db/1:m fisttp Md
1 - db/2:m fist Md
1 - db/3:m fistp Md
1 - db/5:m fld Mt
1 - db/7:m fstp Mt
1 - db/0:r fcmovnb ST0,STi
1 - db/1:r fcmovne ST0,STi
1 - db/2:r fcmovnbe ST0,STi
1 - db/3:r fcmovnu ST0,STi
1 - db/4=0 feni8087
1 - db/4=1 fdisi8087
1 - db/4=2 fnclex
1 - db/4=3 fninit
1 - db/4=4 fsetpm287
1 - db/5:r fucomi ST0,STi
1 - db/6:r fcomi ST0,STi
1 - dc/0:m fadd Mq
1 - dc/1:m fmul Mq
1 - dc/2:m fcom Mq
1 - dc/3:m fcomp Mq
1 - dc/4:m fsub Mq
1 - dc/5:m fsubr Mq
1 - dc/6:m fdiv Mq
1 - dc/7:m fdivr Mq
1 - dc/0:r fadd STi,ST0
1 - dc/1:r fmul STi,ST0
1 - dc/2:r fcom STi
1 - dc/3:r fcomp STi
1 - dc/4:r fsubr STi,ST0
1 - dc/5:r fsub STi,ST0
1 - dc/6:r fdivr STi,ST0
1 - dc/7:r fdiv STi,ST0
1 - dd/0:m fld Mq
1 - dd/1:m fisttp Mq
1 - dd/2:m fst Mq
1 - dd/3:m fstp Mq
1 - dd/4:m frstor M
1 - dd/6:m fnsave M
1 - dd/7:m fnstsw Mw
1 - dd/0:r ffree STi
1 - dd/1:r fxch STi
1 - dd/2:r fst STi
1 - dd/3:r fstp STi
1 - dd/4:r fucom STi
1 - dd/5:r fucomp STi
1 - de/0:m fiadd Mw
1 - de/1:m fimul Mw
1 - de/2:m ficom Mw
1 - de/3:m ficomp Mw
1 - de/4:m fisub Mw
1 - de/5:m fisubr Mw
1 - de/6:m fidiv Mw
1 - de/7:m fidivr Mw
1 - de/0:r faddp STi,ST0
1 - de/1:r fmulp STi,ST0
1 - de/2:r fcomp STi
1 - de/3=1 fcompp
1 - de/4:r fsubrp STi,ST0
1 - de/5:r fsubp STi,ST0
1 - de/6:r fdivrp STi,ST0
1 - de/7:r fdivp STi,ST0
1 - df/0:m fild Mw
1 - df/1:m fisttp Mw
1 - df/2:m fist Mw
1 - df/3:m fistp Mw
1 - df/4:m fbld Mt
1 - df/5:m fild Mq
1 - df/6:m fbstp Mt
1 - df/7:m fistp Mq
1 - df/0:r ffreep STi
1 - df/1:r fxch STi
1 - df/2:r fstp STi
1 - df/3:r fstp STi
1 - df/4=0 fnstsw AX
1 - df/5:r fucomip ST0,STi
1 - df/6:r fcomip ST0,STi
`
