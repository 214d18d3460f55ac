package decode

// tableInteger holds the general-purpose and system instructions: the one-byte
// map, and what is neither x87 nor SIMD of the 0F, 0F38 and 0F3A maps, BMI
// included (SDM volume 2, appendix A).
const tableInteger = `
1 - 00 add Eb,Gb lock
1 - 01 add Ev,Gv lock
1 - 02 add Gb,Eb
1 - 03 add Gv,Ev
1 - 04 add AL,Ib
1 - 05 add rAX,sIz
1 - 06 push ES i64
1 - 07 pop ES i64
1 - 08 or Eb,Gb lock
1 - 09 or Ev,Gv lock
1 - 0a or Gb,Eb
1 - 0b or Gv,Ev
1 - 0c or AL,Ib
1 - 0d or rAX,sIz
1 - 0e push CS i64
1 - 10 adc Eb,Gb lock
1 - 11 adc Ev,Gv lock
1 - 12 adc Gb,Eb
1 - 13 adc Gv,Ev
1 - 14 adc AL,Ib
1 - 15 adc rAX,sIz
1 - 16 push SS i64
1 - 17 pop SS i64
1 - 18 sbb Eb,Gb lock
1 - 19 sbb Ev,Gv lock
1 - 1a sbb Gb,Eb
1 - 1b sbb Gv,Ev
1 - 1c sbb AL,Ib
1 - 1d sbb rAX,sIz
1 - 1e push DS i64
1 - 1f pop DS i64
1 - 20 and Eb,Gb lock
1 - 21 and Ev,Gv lock
1 - 22 and Gb,Eb
1 - 23 and Gv,Ev
1 - 24 and AL,Ib
1 - 25 and rAX,sIz
1 - 27 daa i64
1 - 28 sub Eb,Gb lock
1 - 29 sub Ev,Gv lock
1 - 2a sub Gb,Eb
1 - 2b sub Gv,Ev
1 - 2c sub AL,Ib
1 - 2d sub rAX,sIz
1 - 2f das i64
1 - 30 xor Eb,Gb lock
1 - 31 xor Ev,Gv lock
1 - 32 xor Gb,Eb
1 - 33 xor Gv,Ev
1 - 34 xor AL,Ib
1 - 35 xor rAX,sIz
1 - 37 aaa i64
1 - 38 cmp Eb,Gb
1 - 39 cmp Ev,Gv
1 - 3a cmp Gb,Eb
1 - 3b cmp Gv,Ev
1 - 3c cmp AL,Ib
1 - 3d cmp rAX,sIz
1 - 3f aas i64
1 - 40+ inc Zv i64
1 - 48+ dec Zv i64
1 - 50+ push Zv d64
1 - 58+ pop Zv d64
1 - 60 pusha i64
1 - 61 popa i64
1 - 62:m bound Gv,Ma i64
1 - 63 movsxd Gv,Ed o64
1 - 63 arpl Ew,Gw i64
1 - 68 push sIz d64
1 - 69 imul Gv,Ev,sIz
1 - 6a push sIb d64
1 - 6b imul Gv,Ev,sIb
1 - 6c ins b
1 - 6d ins
1 - 6e outs b
1 - 6f outs
1 - 70 jo Jb f64
1 - 71 jno Jb f64
1 - 72 jb Jb f64
1 - 73 jae Jb f64
1 - 74 je Jb f64
1 - 75 jne Jb f64
1 - 76 jbe Jb f64
1 - 77 ja Jb f64
1 - 78 js Jb f64
1 - 79 jns Jb f64
1 - 7a jp Jb f64
1 - 7b jnp Jb f64
1 - 7c jl Jb f64
1 - 7d jge Jb f64
1 - 7e jle Jb f64
1 - 7f jg Jb f64
1 - 80/0 add Eb,Ib lock
1 - 80/1 or Eb,Ib lock
1 - 80/2 adc Eb,Ib lock
1 - 80/3 sbb Eb,Ib lock
1 - 80/4 and Eb,Ib lock
1 - 80/5 sub Eb,Ib lock
1 - 80/6 xor Eb,Ib lock
1 - 80/7 cmp Eb,Ib
1 - 81/0 add Ev,sIz lock
1 - 81/1 or Ev,sIz lock
1 - 81/2 adc Ev,sIz lock
1 - 81/3 sbb Ev,sIz lock
1 - 81/4 and Ev,sIz lock
1 - 81/5 sub Ev,sIz lock
1 - 81/6 xor Ev,sIz lock
1 - 81/7 cmp Ev,sIz
1 - 82/0 add Eb,Ib lock i64
1 - 82/1 or Eb,Ib lock i64
1 - 82/2 adc Eb,Ib lock i64
1 - 82/3 sbb Eb,Ib lock i64
1 - 82/4 and Eb,Ib lock i64
1 - 82/5 sub Eb,Ib lock i64
1 - 82/6 xor Eb,Ib lock i64
1 - 82/7 cmp Eb,Ib i64
1 - 83/0 add Ev,sIb lock
1 - 83/1 or Ev,sIb lock
1 - 83/2 adc Ev,sIb lock
1 - 83/3 sbb Ev,sIb lock
1 - 83/4 and Ev,sIb lock
1 - 83/5 sub Ev,sIb lock
1 - 83/6 xor Ev,sIb lock
1 - 83/7 cmp Ev,sIb
1 - 84 test Eb,Gb
1 - 85 test Ev,Gv
1 - 86 xchg Eb,Gb lock
1 - 87 xchg Ev,Gv lock
1 - 88 mov Eb,Gb
1 - 89 mov Ev,Gv
1 - 8a mov Gb,Eb
1 - 8b mov Gv,Ev
1 - 8c:m mov Mw,Sw
1 - 8c:r mov Ev,Sw
1 - 8d lea Gv,M
1 - 8e mov Sw,Ew
1 - 8f/0 pop Ev d64
1 f3 90 pause norexb
1 - 90+ xchg Zv,rAX
1 - 98 cbw
1 - 99 cwd
1 - 9a callf Ap i64
1 - 9b fwait
1 - 9c pushf d64
1 - 9d popf d64
1 - 9e sahf
1 - 9f lahf
1 - a0 mov AL,Ob
1 - a1 mov rAX,Ov
1 - a2 mov Ob,AL
1 - a3 mov Ov,rAX
1 - a4 movs b
1 - a5 movs
1 - a6 cmps b
1 - a7 cmps
1 - a8 test AL,Ib
1 - a9 test rAX,sIz
1 - aa stos b
1 - ab stos
1 - ac lods b
1 - ad lods
1 - ae scas b
1 - af scas
1 - b0+ mov Zb,Ib
1 - b8+ mov Zv,Iv
1 - c0/0 rol Eb,Ib
1 - c0/1 ror Eb,Ib
1 - c0/2 rcl Eb,Ib
1 - c0/3 rcr Eb,Ib
1 - c0/4 shl Eb,Ib
1 - c0/5 shr Eb,Ib
1 - c0/6 shl Eb,Ib
1 - c0/7 sar Eb,Ib
1 - c1/0 rol Ev,Ib
1 - c1/1 ror Ev,Ib
1 - c1/2 rcl Ev,Ib
1 - c1/3 rcr Ev,Ib
1 - c1/4 shl Ev,Ib
1 - c1/5 shr Ev,Ib
1 - c1/6 shl Ev,Ib
1 - c1/7 sar Ev,Ib
1 - c2 ret Iw f64
1 - c3 ret f64
1 - c4:m les Gv,Mp i64
1 - c5:m lds Gv,Mp i64
1 - c6/0 mov Eb,Ib
1 - c7/0 mov Ev,sIz
1 - c8 enter Iw,Kb d64
1 - c9 leave d64
1 - ca retf Iw
1 - cb retf
1 - cc int3
1 - cd int Ib
1 - ce into i64
1 - cf iret
1 - d0/0 rol Eb,1
1 - d0/1 ror Eb,1
1 - d0/2 rcl Eb,1
1 - d0/3 rcr Eb,1
1 - d0/4 shl Eb,1
1 - d0/5 shr Eb,1
1 - d0/6 shl Eb,1
1 - d0/7 sar Eb,1
1 - d1/0 rol Ev,1
1 - d1/1 ror Ev,1
1 - d1/2 rcl Ev,1
1 - d1/3 rcr Ev,1
1 - d1/4 shl Ev,1
1 - d1/5 shr Ev,1
1 - d1/6 shl Ev,1
1 - d1/7 sar Ev,1
1 - d2/0 rol Eb,CL
1 - d2/1 ror Eb,CL
1 - d2/2 rcl Eb,CL
1 - d2/3 rcr Eb,CL
1 - d2/4 shl Eb,CL
1 - d2/5 shr Eb,CL
1 - d2/6 shl Eb,CL
1 - d2/7 sar Eb,CL
1 - d3/0 rol Ev,CL
1 - d3/1 ror Ev,CL
1 - d3/2 rcl Ev,CL
1 - d3/3 rcr Ev,CL
1 - d3/4 shl Ev,CL
1 - d3/5 shr Ev,CL
1 - d3/6 shl Ev,CL
1 - d3/7 sar Ev,CL
1 - d4 aam Ib i64
1 - d5 aad Ib i64
1 - d6 salc i64
1 - d7 xlat
1 - e0 loopne Jb f64
1 - e1 loope Jb f64
1 - e2 loop Jb f64
1 - e3 jcxz Jb f64
1 - e4 in AL,Ib b
1 - e5 in zAX,Ib
1 - e6 out Ib,AL b
1 - e7 out Ib,zAX
1 - e8 call Jz f64
1 - e9 jmp Jz f64
1 - ea jmpf Ap i64
1 - eb jmp Jb f64
1 - ec in AL,DX b
1 - ed in zAX,DX
1 - ee out DX,AL b
1 - ef out DX,zAX
1 - f1 int1
1 - f4 hlt
1 - f5 cmc
1 - f6/0 test Eb,Ib
1 - f6/1 test Eb,Ib
1 - f6/2 not Eb lock
1 - f6/3 neg Eb lock
1 - f6/4 mul Eb
1 - f6/5 imul Eb
1 - f6/6 div Eb
1 - f6/7 idiv Eb
1 - f7/0 test Ev,sIz
1 - f7/1 test Ev,sIz
1 - f7/2 not Ev lock
1 - f7/3 neg Ev lock
1 - f7/4 mul Ev
1 - f7/5 imul Ev
1 - f7/6 div Ev
1 - f7/7 idiv Ev
1 - f8 clc
1 - f9 stc
1 - fa cli
1 - fb sti
1 - fc cld
1 - fd std
1 - fe/0 inc Eb lock
1 - fe/1 dec Eb lock
1 - ff/0 inc Ev lock
1 - ff/1 dec Ev lock
1 - ff/2 call Ev f64
1 - ff/3:m callf Mp
1 - ff/4 jmp Ev f64
1 - ff/5:m jmpf Mp
1 - ff/6 push Ev d64

0f - 00/0:m sldt Mw
0f - 00/0:r sldt Ev
0f - 00/1:m str Mw
0f - 00/1:r str Ev
0f - 00/2 lldt Ew
0f - 00/3 ltr Ew
0f - 00/4 verr Ew
0f - 00/5 verw Ew
0f - 01/0:m sgdt Ms
0f - 01/1:m sidt Ms
0f - 01/2:m lgdt Ms
0f - 01/3:m lidt Ms
0f np 01/0=1 vmcall
0f np 01/1=0 monitor
0f np 01/1=1 mwait
0f np 01/1=2 clac
0f np 01/1=3 stac
0f np 01/2=0 xgetbv
0f np 01/2=1 xsetbv
0f np 01/3=1 vmmcall
0f - 01/4:m smsw Mw
0f - 01/4:r smsw Ev
0f np 01/5=6 rdpkru
0f np 01/5=7 wrpkru
0f - 01/6 lmsw Ew
0f - 01/7:m invlpg M
0f - 01/7=0 swapgs o64
0f - 01/7=1 rdtscp
0f - 02 lar Gv,Ew
0f - 03 lsl Gv,Ew
0f - 05 syscall
0f - 06 clts
0f - 07 sysret
0f - 08 invd
0f f3 09 wbnoinvd
0f - 09 wbinvd
0f - 0b ud2
0f - 0d/1:m prefetchw Mb
0f - 0d:m prefetch Mb
0f - 0d:r nop Ev
0f - 18/0:m prefetchnta Mb
0f - 18/1:m prefetcht0 Mb
0f - 18/2:m prefetcht1 Mb
0f - 18/3:m prefetcht2 Mb
0f - 18 nop Ev
0f - 19 nop Ev
0f - 1a nop Ev
0f - 1b nop Ev
0f - 1c nop Ev
0f - 1d nop Ev
0f f3 1e/7=2 endbr64
0f f3 1e/7=3 endbr32
0f - 1e nop Ev
0f - 1f nop Ev
0f - 20 mov Rm,Cm regonly
0f - 21 mov Rm,Dm regonly
0f - 22 mov Cm,Rm regonly
0f - 23 mov Dm,Rm regonly
0f - 30 wrmsr
0f - 31 rdtsc
0f - 32 rdmsr
0f - 33 rdpmc
0f - 34 sysenter
0f - 35 sysexit
0f - 40 cmovo Gv,Ev
0f - 41 cmovno Gv,Ev
0f - 42 cmovb Gv,Ev
0f - 43 cmovae Gv,Ev
0f - 44 cmove Gv,Ev
0f - 45 cmovne Gv,Ev
0f - 46 cmovbe Gv,Ev
0f - 47 cmova Gv,Ev
0f - 48 cmovs Gv,Ev
0f - 49 cmovns Gv,Ev
0f - 4a cmovp Gv,Ev
0f - 4b cmovnp Gv,Ev
0f - 4c cmovl Gv,Ev
0f - 4d cmovge Gv,Ev
0f - 4e cmovle Gv,Ev
0f - 4f cmovg Gv,Ev
0f - 80 jo Jz f64
0f - 81 jno Jz f64
0f - 82 jb Jz f64
0f - 83 jae Jz f64
0f - 84 je Jz f64
0f - 85 jne Jz f64
0f - 86 jbe Jz f64
0f - 87 ja Jz f64
0f - 88 js Jz f64
0f - 89 jns Jz f64
0f - 8a jp Jz f64
0f - 8b jnp Jz f64
0f - 8c jl Jz f64
0f - 8d jge Jz f64
0f - 8e jle Jz f64
0f - 8f jg Jz f64
0f - 90 seto Eb
0f - 91 setno Eb
0f - 92 setb Eb
0f - 93 setae Eb
0f - 94 sete Eb
0f - 95 setne Eb
0f - 96 setbe Eb
0f - 97 seta Eb
0f - 98 sets Eb
0f - 99 setns Eb
0f - 9a setp Eb
0f - 9b setnp Eb
0f - 9c setl Eb
0f - 9d setge Eb
0f - 9e setle Eb
0f - 9f setg Eb
0f - a0 push FS d64
0f - a1 pop FS d64
0f - a2 cpuid
0f - a3 bt Ev,Gv
0f - a4 shld Ev,Gv,Ib
0f - a5 shld Ev,Gv,CL
0f - a8 push GS d64
0f - a9 pop GS d64
0f - aa rsm
0f - ab bts Ev,Gv lock
0f - ac shrd Ev,Gv,Ib
0f - ad shrd Ev,Gv,CL
0f np ae/0:m fxsave M
0f np ae/1:m fxrstor M
0f np ae/2:m ldmxcsr Md
0f np ae/3:m stmxcsr Md
0f np ae/4:m xsave M
0f np ae/5:m xrstor M
0f np ae/6:m xsaveopt M
0f 66 ae/6:m clwb Mb
0f np ae/7:m clflush Mb
0f 66 ae/7:m clflushopt Mb
0f f3 ae/0:r rdfsbase Ry o64
0f f3 ae/1:r rdgsbase Ry o64
0f f3 ae/2:r wrfsbase Ry o64
0f f3 ae/3:r wrgsbase Ry o64
0f np ae/5:r lfence
0f np ae/6:r mfence
0f np ae/7:r sfence
0f - af imul Gv,Ev
0f - b0 cmpxchg Eb,Gb lock
0f - b1 cmpxchg Ev,Gv lock
0f - b2:m lss Gv,Mp
0f - b3 btr Ev,Gv lock
0f - b4:m lfs Gv,Mp
0f - b5:m lgs Gv,Mp
0f - b6 movzx Gv,Eb
0f - b7 movzx Gv,Ew
0f f3 b8 popcnt Gv,Ev
0f - b9 ud1 Gv,Ev
0f - ba/4 bt Ev,Ib
0f - ba/5 bts Ev,Ib lock
0f - ba/6 btr Ev,Ib lock
0f - ba/7 btc Ev,Ib lock
0f - bb btc Ev,Gv lock
0f f3 bc tzcnt Gv,Ev
0f - bc bsf Gv,Ev
0f f3 bd lzcnt Gv,Ev
0f - bd bsr Gv,Ev
0f - be movsx Gv,Eb
0f - bf movsx Gv,Ew
0f - c0 xadd Eb,Gb lock
0f - c1 xadd Ev,Gv lock
0f np c3:m movnti My,Gy
0f - c7/1:m cmpxchg8b M lock
0f np c7/3:m xrstors M
0f np c7/4:m xsavec M
0f np c7/5:m xsaves M
0f np c7/6:r rdrand Rv
0f 66 c7/6:r rdrand Rv
0f np c7/7:r rdseed Rv
0f 66 c7/7:r rdseed Rv
0f f3 c7/7:r rdpid Rm
0f - c8+ bswap Zv
0f - ff ud0 Gv,Ev

38 66 82:m invpcid Gm,Mo
38 np f0:m movbe Gv,Mv
38 66 f0:m movbe Gv,Mv
38 np f1:m movbe Mv,Gv
38 66 f1:m movbe Mv,Gv
38 f2 f0 crc32 Gy,Eb
38 f2 f1 crc32 Gy,Ev
38 66 f6 adcx Gy,Ey
38 f3 f6 adox Gy,Ey

v2 np f2 andn Gy,By,Ey l0
v2 np f3/1 blsr By,Ey l0
v2 np f3/2 blsmsk By,Ey l0
v2 np f3/3 blsi By,Ey l0
v2 np f5 bzhi Gy,Ey,By l0
v2 f3 f5 pext Gy,By,Ey l0
v2 f2 f5 pdep Gy,By,Ey l0
v2 f2 f6 mulx Gy,By,Ey l0
v2 np f7 bextr Gy,Ey,By l0
v2 66 f7 shlx Gy,Ey,By l0
v2 f3 f7 sarx Gy,Ey,By l0
v2 f2 f7 shrx Gy,Ey,By l0
v3 f2 f0 rorx Gy,Ey,Ib l0
`
