package decode

// tableAVX holds the VEX-encoded vector instructions: AVX, AVX2, FMA, F16C (SDM
// volume 2, appendix A). VEX.W and VEX.L are ignored where no w0, w1, l0 or l1
// asks for a value; scalar instructions take any L.
const tableAVX = `
feature avx
v1 np 10 vmovups Vx,Wx
v1 66 10 vmovupd Vx,Wx
v1 f3 10:m vmovss Vd,Md
v1 f3 10:r vmovss Vd,Hd,Ud
v1 f2 10:m vmovsd Vq,Mq
v1 f2 10:r vmovsd Vq,Hq,Uq
v1 np 11 vmovups Wx,Vx
v1 66 11 vmovupd Wx,Vx
v1 f3 11:m vmovss Md,Vd
v1 f3 11:r vmovss Ud,Hd,Vd
v1 f2 11:m vmovsd Mq,Vq
v1 f2 11:r vmovsd Uq,Hq,Vq
v1 np 12:m vmovlps Vo,Ho,Mq l0
v1 np 12:r vmovhlps Vo,Ho,Uo l0
v1 66 12:m vmovlpd Vo,Ho,Mq l0
v1 f3 12 vmovsldup Vx,Wx
v1 f2 12 vmovddup Vo,Wq l0
v1 f2 12 vmovddup Vx,Wx l1
v1 np 13:m vmovlps Mq,Vo l0
v1 66 13:m vmovlpd Mq,Vo l0
v1 np 14 vunpcklps Vx,Hx,Wx
v1 66 14 vunpcklpd Vx,Hx,Wx
v1 np 15 vunpckhps Vx,Hx,Wx
v1 66 15 vunpckhpd Vx,Hx,Wx
v1 np 16:m vmovhps Vo,Ho,Mq l0
v1 np 16:r vmovlhps Vo,Ho,Uo l0
v1 66 16:m vmovhpd Vo,Ho,Mq l0
v1 f3 16 vmovshdup Vx,Wx
v1 np 17:m vmovhps Mq,Vo l0
v1 66 17:m vmovhpd Mq,Vo l0
v1 np 28 vmovaps Vx,Wx
v1 66 28 vmovapd Vx,Wx
v1 np 29 vmovaps Wx,Vx
v1 66 29 vmovapd Wx,Vx
v1 f3 2a vcvtsi2ss Vd,Hd,Ey
v1 f2 2a vcvtsi2sd Vq,Hq,Ey
v1 np 2b:m vmovntps Mx,Vx
v1 66 2b:m vmovntpd Mx,Vx
v1 f3 2c vcvttss2si Gy,Wd
v1 f2 2c vcvttsd2si Gy,Wq
v1 f3 2d vcvtss2si Gy,Wd
v1 f2 2d vcvtsd2si Gy,Wq
v1 np 2e vucomiss Vd,Wd
v1 66 2e vucomisd Vq,Wq
v1 np 2f vcomiss Vd,Wd
v1 66 2f vcomisd Vq,Wq
v1 np 50:r vmovmskps Gd,Ux
v1 66 50:r vmovmskpd Gd,Ux
v1 np 51 vsqrtps Vx,Wx
v1 66 51 vsqrtpd Vx,Wx
v1 f3 51 vsqrtss Vd,Hd,Wd
v1 f2 51 vsqrtsd Vq,Hq,Wq
v1 np 52 vrsqrtps Vx,Wx
v1 f3 52 vrsqrtss Vd,Hd,Wd
v1 np 53 vrcpps Vx,Wx
v1 f3 53 vrcpss Vd,Hd,Wd
v1 np 54 vandps Vx,Hx,Wx
v1 66 54 vandpd Vx,Hx,Wx
v1 np 55 vandnps Vx,Hx,Wx
v1 66 55 vandnpd Vx,Hx,Wx
v1 np 56 vorps Vx,Hx,Wx
v1 66 56 vorpd Vx,Hx,Wx
v1 np 57 vxorps Vx,Hx,Wx
v1 66 57 vxorpd Vx,Hx,Wx
v1 np 58 vaddps Vx,Hx,Wx
v1 66 58 vaddpd Vx,Hx,Wx
v1 f3 58 vaddss Vd,Hd,Wd
v1 f2 58 vaddsd Vq,Hq,Wq
v1 np 59 vmulps Vx,Hx,Wx
v1 66 59 vmulpd Vx,Hx,Wx
v1 f3 59 vmulss Vd,Hd,Wd
v1 f2 59 vmulsd Vq,Hq,Wq
v1 np 5c vsubps Vx,Hx,Wx
v1 66 5c vsubpd Vx,Hx,Wx
v1 f3 5c vsubss Vd,Hd,Wd
v1 f2 5c vsubsd Vq,Hq,Wq
v1 np 5d vminps Vx,Hx,Wx
v1 66 5d vminpd Vx,Hx,Wx
v1 f3 5d vminss Vd,Hd,Wd
v1 f2 5d vminsd Vq,Hq,Wq
v1 np 5e vdivps Vx,Hx,Wx
v1 66 5e vdivpd Vx,Hx,Wx
v1 f3 5e vdivss Vd,Hd,Wd
v1 f2 5e vdivsd Vq,Hq,Wq
v1 np 5f vmaxps Vx,Hx,Wx
v1 66 5f vmaxpd Vx,Hx,Wx
v1 f3 5f vmaxss Vd,Hd,Wd
v1 f2 5f vmaxsd Vq,Hq,Wq
v1 np 5a vcvtps2pd Vx,Wh
v1 66 5a vcvtpd2ps Vo,Wx
v1 f3 5a vcvtss2sd Vq,Hq,Wd
v1 f2 5a vcvtsd2ss Vd,Hd,Wq
v1 np 5b vcvtdq2ps Vx,Wx
v1 66 5b vcvtps2dq Vx,Wx
v1 f3 5b vcvttps2dq Vx,Wx
v1 66 6e vmovq Vo,Eq l0 w1 o64
v1 66 6e vmovd Vo,Ed l0
v1 66 6f vmovdqa Vx,Wx
v1 f3 6f vmovdqu Vx,Wx
v1 np 77 vzeroupper l0
v1 np 77 vzeroall l1
v1 66 7c vhaddpd Vx,Hx,Wx
v1 f2 7c vhaddps Vx,Hx,Wx
v1 66 7d vhsubpd Vx,Hx,Wx
v1 f2 7d vhsubps Vx,Hx,Wx
v1 66 7e vmovq Eq,Vo l0 w1 o64
v1 66 7e vmovd Ed,Vo l0
v1 f3 7e vmovq Vo,Wq l0
v1 66 7f vmovdqa Wx,Vx
v1 f3 7f vmovdqu Wx,Vx
v1 np ae/2:m vldmxcsr Md l0
v1 np ae/3:m vstmxcsr Md l0
v1 np c2 vcmpps Vx,Hx,Wx,Ib
v1 66 c2 vcmppd Vx,Hx,Wx,Ib
v1 f3 c2 vcmpss Vd,Hd,Wd,Ib
v1 f2 c2 vcmpsd Vq,Hq,Wq,Ib
v1 66 c4:m vpinsrw Vo,Ho,Mw,Ib l0
v1 66 c4:r vpinsrw Vo,Ho,Ed,Ib l0
v1 66 c5:r vpextrw Gd,Uo,Ib l0
v1 np c6 vshufps Vx,Hx,Wx,Ib
v1 66 c6 vshufpd Vx,Hx,Wx,Ib
v1 66 d0 vaddsubpd Vx,Hx,Wx
v1 f2 d0 vaddsubps Vx,Hx,Wx
v1 66 d6 vmovq Wq,Vo l0
v1 66 e6 vcvttpd2dq Vo,Wx
v1 f3 e6 vcvtdq2pd Vx,Wh
v1 f2 e6 vcvtpd2dq Vo,Wx
v1 66 e7:m vmovntdq Mx,Vx
v1 f2 f0:m vlddqu Vx,Mx
v1 66 f7:r vmaskmovdqu Vo,Uo l0
v2 66 0c vpermilps Vx,Hx,Wx w0
v2 66 0d vpermilpd Vx,Hx,Wx w0
v2 66 0e vtestps Vx,Wx w0
v2 66 0f vtestpd Vx,Wx w0
v2 66 17 vptest Vx,Wx
v2 66 18:m vbroadcastss Vx,Md w0
v2 66 19:m vbroadcastsd Vx,Mq w0 l1
v2 66 1a:m vbroadcastf128 Vx,Mo w0 l1
v2 66 2c:m vmaskmovps Vx,Hx,Mx w0
v2 66 2d:m vmaskmovpd Vx,Hx,Mx w0
v2 66 2e:m vmaskmovps Mx,Hx,Vx w0
v2 66 2f:m vmaskmovpd Mx,Hx,Vx w0
v2 66 41 vphminposuw Vo,Wo l0
v3 66 04 vpermilps Vx,Wx,Ib w0
v3 66 05 vpermilpd Vx,Wx,Ib w0
v3 66 06 vperm2f128 Vx,Hx,Wx,Ib w0 l1
v3 66 08 vroundps Vx,Wx,Ib
v3 66 09 vroundpd Vx,Wx,Ib
v3 66 0a vroundss Vd,Hd,Wd,Ib
v3 66 0b vroundsd Vq,Hq,Wq,Ib
v3 66 0c vblendps Vx,Hx,Wx,Ib
v3 66 0d vblendpd Vx,Hx,Wx,Ib
v3 66 14:m vpextrb Mb,Vo,Ib l0
v3 66 14:r vpextrb Ed,Vo,Ib l0
v3 66 15:m vpextrw Mw,Vo,Ib l0
v3 66 15:r vpextrw Ed,Vo,Ib l0
v3 66 16 vpextrq Eq,Vo,Ib l0 w1 o64
v3 66 16 vpextrd Ed,Vo,Ib l0
v3 66 17 vextractps Ed,Vo,Ib l0
v3 66 18 vinsertf128 Vx,Hx,Wo,Ib w0 l1
v3 66 19 vextractf128 Wo,Vx,Ib w0 l1
v3 66 20:m vpinsrb Vo,Ho,Mb,Ib l0
v3 66 20:r vpinsrb Vo,Ho,Ed,Ib l0
v3 66 21 vinsertps Vo,Ho,Wd,Ib l0
v3 66 22 vpinsrq Vo,Ho,Eq,Ib l0 w1 o64
v3 66 22 vpinsrd Vo,Ho,Ed,Ib l0
v3 66 40 vdpps Vx,Hx,Wx,Ib
v3 66 41 vdppd Vo,Ho,Wo,Ib l0
v3 66 4a vblendvps Vx,Hx,Wx,Lx w0
v3 66 4b vblendvpd Vx,Hx,Wx,Lx w0
v3 66 60 vpcmpestrm Vo,Wo,Ib l0
v3 66 61 vpcmpestri Vo,Wo,Ib l0
v3 66 62 vpcmpistrm Vo,Wo,Ib l0
v3 66 63 vpcmpistri Vo,Wo,Ib l0

# Integer vectors: AVX with 128 bits, AVX2 with 256.
feature avx avx2
v1 66 60 vpunpcklbw Vx,Hx,Wx
v1 66 61 vpunpcklwd Vx,Hx,Wx
v1 66 62 vpunpckldq Vx,Hx,Wx
v1 66 63 vpacksswb Vx,Hx,Wx
v1 66 64 vpcmpgtb Vx,Hx,Wx
v1 66 65 vpcmpgtw Vx,Hx,Wx
v1 66 66 vpcmpgtd Vx,Hx,Wx
v1 66 67 vpackuswb Vx,Hx,Wx
v1 66 68 vpunpckhbw Vx,Hx,Wx
v1 66 69 vpunpckhwd Vx,Hx,Wx
v1 66 6a vpunpckhdq Vx,Hx,Wx
v1 66 6b vpackssdw Vx,Hx,Wx
v1 66 6c vpunpcklqdq Vx,Hx,Wx
v1 66 6d vpunpckhqdq Vx,Hx,Wx
v1 66 74 vpcmpeqb Vx,Hx,Wx
v1 66 75 vpcmpeqw Vx,Hx,Wx
v1 66 76 vpcmpeqd Vx,Hx,Wx
v1 66 d4 vpaddq Vx,Hx,Wx
v1 66 d5 vpmullw Vx,Hx,Wx
v1 66 d8 vpsubusb Vx,Hx,Wx
v1 66 d9 vpsubusw Vx,Hx,Wx
v1 66 da vpminub Vx,Hx,Wx
v1 66 db vpand Vx,Hx,Wx
v1 66 dc vpaddusb Vx,Hx,Wx
v1 66 dd vpaddusw Vx,Hx,Wx
v1 66 de vpmaxub Vx,Hx,Wx
v1 66 df vpandn Vx,Hx,Wx
v1 66 e0 vpavgb Vx,Hx,Wx
v1 66 e3 vpavgw Vx,Hx,Wx
v1 66 e4 vpmulhuw Vx,Hx,Wx
v1 66 e5 vpmulhw Vx,Hx,Wx
v1 66 e8 vpsubsb Vx,Hx,Wx
v1 66 e9 vpsubsw Vx,Hx,Wx
v1 66 ea vpminsw Vx,Hx,Wx
v1 66 eb vpor Vx,Hx,Wx
v1 66 ec vpaddsb Vx,Hx,Wx
v1 66 ed vpaddsw Vx,Hx,Wx
v1 66 ee vpmaxsw Vx,Hx,Wx
v1 66 ef vpxor Vx,Hx,Wx
v1 66 f4 vpmuludq Vx,Hx,Wx
v1 66 f5 vpmaddwd Vx,Hx,Wx
v1 66 f6 vpsadbw Vx,Hx,Wx
v1 66 f8 vpsubb Vx,Hx,Wx
v1 66 f9 vpsubw Vx,Hx,Wx
v1 66 fa vpsubd Vx,Hx,Wx
v1 66 fb vpsubq Vx,Hx,Wx
v1 66 fc vpaddb Vx,Hx,Wx
v1 66 fd vpaddw Vx,Hx,Wx
v1 66 fe vpaddd Vx,Hx,Wx
v1 66 d1 vpsrlw Vx,Hx,Wo
v1 66 d2 vpsrld Vx,Hx,Wo
v1 66 d3 vpsrlq Vx,Hx,Wo
v1 66 e1 vpsraw Vx,Hx,Wo
v1 66 e2 vpsrad Vx,Hx,Wo
v1 66 f1 vpsllw Vx,Hx,Wo
v1 66 f2 vpslld Vx,Hx,Wo
v1 66 f3 vpsllq Vx,Hx,Wo
v1 66 70 vpshufd Vx,Wx,Ib
v1 f3 70 vpshufhw Vx,Wx,Ib
v1 f2 70 vpshuflw Vx,Wx,Ib
v1 66 71/2:r vpsrlw Hx,Ux,Ib
v1 66 71/4:r vpsraw Hx,Ux,Ib
v1 66 71/6:r vpsllw Hx,Ux,Ib
v1 66 72/2:r vpsrld Hx,Ux,Ib
v1 66 72/4:r vpsrad Hx,Ux,Ib
v1 66 72/6:r vpslld Hx,Ux,Ib
v1 66 73/2:r vpsrlq Hx,Ux,Ib
v1 66 73/3:r vpsrldq Hx,Ux,Ib
v1 66 73/6:r vpsllq Hx,Ux,Ib
v1 66 73/7:r vpslldq Hx,Ux,Ib
v1 66 d7:r vpmovmskb Gd,Ux
v2 66 00 vpshufb Vx,Hx,Wx
v2 66 01 vphaddw Vx,Hx,Wx
v2 66 02 vphaddd Vx,Hx,Wx
v2 66 03 vphaddsw Vx,Hx,Wx
v2 66 04 vpmaddubsw Vx,Hx,Wx
v2 66 05 vphsubw Vx,Hx,Wx
v2 66 06 vphsubd Vx,Hx,Wx
v2 66 07 vphsubsw Vx,Hx,Wx
v2 66 08 vpsignb Vx,Hx,Wx
v2 66 09 vpsignw Vx,Hx,Wx
v2 66 0a vpsignd Vx,Hx,Wx
v2 66 0b vpmulhrsw Vx,Hx,Wx
v2 66 1c vpabsb Vx,Wx
v2 66 1d vpabsw Vx,Wx
v2 66 1e vpabsd Vx,Wx
v2 66 20 vpmovsxbw Vx,Wh
v2 66 21 vpmovsxbd Vx,Wf
v2 66 22 vpmovsxbq Vx,We
v2 66 23 vpmovsxwd Vx,Wh
v2 66 24 vpmovsxwq Vx,Wf
v2 66 25 vpmovsxdq Vx,Wh
v2 66 30 vpmovzxbw Vx,Wh
v2 66 31 vpmovzxbd Vx,Wf
v2 66 32 vpmovzxbq Vx,We
v2 66 33 vpmovzxwd Vx,Wh
v2 66 34 vpmovzxwq Vx,Wf
v2 66 35 vpmovzxdq Vx,Wh
v2 66 28 vpmuldq Vx,Hx,Wx
v2 66 29 vpcmpeqq Vx,Hx,Wx
v2 66 2b vpackusdw Vx,Hx,Wx
v2 66 37 vpcmpgtq Vx,Hx,Wx
v2 66 38 vpminsb Vx,Hx,Wx
v2 66 39 vpminsd Vx,Hx,Wx
v2 66 3a vpminuw Vx,Hx,Wx
v2 66 3b vpminud Vx,Hx,Wx
v2 66 3c vpmaxsb Vx,Hx,Wx
v2 66 3d vpmaxsd Vx,Hx,Wx
v2 66 3e vpmaxuw Vx,Hx,Wx
v2 66 3f vpmaxud Vx,Hx,Wx
v2 66 40 vpmulld Vx,Hx,Wx
v2 66 2a:m vmovntdqa Vx,Mx
v3 66 0e vpblendw Vx,Hx,Wx,Ib
v3 66 0f vpalignr Vx,Hx,Wx,Ib
v3 66 42 vmpsadbw Vx,Hx,Wx,Ib
v3 66 4c vpblendvb Vx,Hx,Wx,Lx w0

feature avx2
v2 66 16 vpermps Vx,Hx,Wx w0 l1
v2 66 18:r vbroadcastss Vx,Ud w0
v2 66 19:r vbroadcastsd Vx,Uq w0 l1
v2 66 36 vpermd Vx,Hx,Wx w0 l1
v2 66 45 vpsrlvd Vx,Hx,Wx w0
v2 66 45 vpsrlvq Vx,Hx,Wx w1
v2 66 46 vpsravd Vx,Hx,Wx w0
v2 66 47 vpsllvd Vx,Hx,Wx w0
v2 66 47 vpsllvq Vx,Hx,Wx w1
v2 66 58 vpbroadcastd Vx,Wd w0
v2 66 59 vpbroadcastq Vx,Wq w0
v2 66 5a:m vbroadcasti128 Vx,Mo w0 l1
v2 66 78 vpbroadcastb Vx,Wb w0
v2 66 79 vpbroadcastw Vx,Ww w0
v2 66 8c:m vpmaskmovd Vx,Hx,Mx w0
v2 66 8c:m vpmaskmovq Vx,Hx,Mx w1
v2 66 8e:m vpmaskmovd Mx,Hx,Vx w0
v2 66 8e:m vpmaskmovq Mx,Hx,Vx w1
v2 66 90:m vpgatherdd Vx,Xd,Hx w0 l0
v2 66 90:m vpgatherdd Vx,Yd,Hx w0 l1
v2 66 90:m vpgatherdq Vx,Xq,Hx w1
v2 66 91:m vpgatherqd Vo,Xd,Ho w0 l0
v2 66 91:m vpgatherqd Vo,Yd,Ho w0 l1
v2 66 91:m vpgatherqq Vx,Xq,Hx w1 l0
v2 66 91:m vpgatherqq Vx,Yq,Hx w1 l1
v2 66 92:m vgatherdps Vx,Xd,Hx w0 l0
v2 66 92:m vgatherdps Vx,Yd,Hx w0 l1
v2 66 92:m vgatherdpd Vx,Xq,Hx w1
v2 66 93:m vgatherqps Vo,Xd,Ho w0 l0
v2 66 93:m vgatherqps Vo,Yd,Ho w0 l1
v2 66 93:m vgatherqpd Vx,Xq,Hx w1 l0
v2 66 93:m vgatherqpd Vx,Yq,Hx w1 l1
v3 66 00 vpermq Vx,Wx,Ib w1 l1
v3 66 01 vpermpd Vx,Wx,Ib w1 l1
v3 66 02 vpblendd Vx,Hx,Wx,Ib w0
v3 66 38 vinserti128 Vx,Hx,Wo,Ib w0 l1
v3 66 39 vextracti128 Wo,Vx,Ib w0 l1
v3 66 46 vperm2i128 Vx,Hx,Wx,Ib w0 l1

feature f16c
v2 66 13 vcvtph2ps Vx,Wh w0
v3 66 1d vcvtps2ph Wh,Vx,Ib w0

# AES and PCLMULQDQ have no 256-bit form without VAES and VPCLMULQDQ.
feature avx+aes
v2 66 db vaesimc Vo,Wo l0
v2 66 dc vaesenc Vo,Ho,Wo l0
v2 66 dd vaesenclast Vo,Ho,Wo l0
v2 66 de vaesdec Vo,Ho,Wo l0
v2 66 df vaesdeclast Vo,Ho,Wo l0
v3 66 df vaeskeygenassist Vo,Wo,Ib l0

feature avx+pclmulqdq
v3 66 44 vpclmulqdq Vo,Ho,Wo,Ib l0

feature fma
v2 66 96 vfmaddsub132ps Vx,Hx,Wx w0
v2 66 96 vfmaddsub132pd Vx,Hx,Wx w1
v2 66 97 vfmsubadd132ps Vx,Hx,Wx w0
v2 66 97 vfmsubadd132pd Vx,Hx,Wx w1
v2 66 98 vfmadd132ps Vx,Hx,Wx w0
v2 66 98 vfmadd132pd Vx,Hx,Wx w1
v2 66 99 vfmadd132ss Vd,Hd,Wd w0
v2 66 99 vfmadd132sd Vq,Hq,Wq w1
v2 66 9a vfmsub132ps Vx,Hx,Wx w0
v2 66 9a vfmsub132pd Vx,Hx,Wx w1
v2 66 9b vfmsub132ss Vd,Hd,Wd w0
v2 66 9b vfmsub132sd Vq,Hq,Wq w1
v2 66 9c vfnmadd132ps Vx,Hx,Wx w0
v2 66 9c vfnmadd132pd Vx,Hx,Wx w1
v2 66 9d vfnmadd132ss Vd,Hd,Wd w0
v2 66 9d vfnmadd132sd Vq,Hq,Wq w1
v2 66 9e vfnmsub132ps Vx,Hx,Wx w0
v2 66 9e vfnmsub132pd Vx,Hx,Wx w1
v2 66 9f vfnmsub132ss Vd,Hd,Wd w0
v2 66 9f vfnmsub132sd Vq,Hq,Wq w1
v2 66 a6 vfmaddsub213ps Vx,Hx,Wx w0
v2 66 a6 vfmaddsub213pd Vx,Hx,Wx w1
v2 66 a7 vfmsubadd213ps Vx,Hx,Wx w0
v2 66 a7 vfmsubadd213pd Vx,Hx,Wx w1
v2 66 a8 vfmadd213ps Vx,Hx,Wx w0
v2 66 a8 vfmadd213pd Vx,Hx,Wx w1
v2 66 a9 vfmadd213ss Vd,Hd,Wd w0
v2 66 a9 vfmadd213sd Vq,Hq,Wq w1
v2 66 aa vfmsub213ps Vx,Hx,Wx w0
v2 66 aa vfmsub213pd Vx,Hx,Wx w1
v2 66 ab vfmsub213ss Vd,Hd,Wd w0
v2 66 ab vfmsub213sd Vq,Hq,Wq w1
v2 66 ac vfnmadd213ps Vx,Hx,Wx w0
v2 66 ac vfnmadd213pd Vx,Hx,Wx w1
v2 66 ad vfnmadd213ss Vd,Hd,Wd w0
v2 66 ad vfnmadd213sd Vq,Hq,Wq w1
v2 66 ae vfnmsub213ps Vx,Hx,Wx w0
v2 66 ae vfnmsub213pd Vx,Hx,Wx w1
v2 66 af vfnmsub213ss Vd,Hd,Wd w0
v2 66 af vfnmsub213sd Vq,Hq,Wq w1
v2 66 b6 vfmaddsub231ps Vx,Hx,Wx w0
v2 66 b6 vfmaddsub231pd Vx,Hx,Wx w1
v2 66 b7 vfmsubadd231ps Vx,Hx,Wx w0
v2 66 b7 vfmsubadd231pd Vx,Hx,Wx w1
v2 66 b8 vfmadd231ps Vx,Hx,Wx w0
v2 66 b8 vfmadd231pd Vx,Hx,Wx w1
v2 66 b9 vfmadd231ss Vd,Hd,Wd w0
v2 66 b9 vfmadd231sd Vq,Hq,Wq w1
v2 66 ba vfmsub231ps Vx,Hx,Wx w0
v2 66 ba vfmsub231pd Vx,Hx,Wx w1
v2 66 bb vfmsub231ss Vd,Hd,Wd w0
v2 66 bb vfmsub231sd Vq,Hq,Wq w1
v2 66 bc vfnmadd231ps Vx,Hx,Wx w0
v2 66 bc vfnmadd231pd Vx,Hx,Wx w1
v2 66 bd vfnmadd231ss Vd,Hd,Wd w0
v2 66 bd vfnmadd231sd Vq,Hq,Wq w1
v2 66 be vfnmsub231ps Vx,Hx,Wx w0
v2 66 be vfnmsub231pd Vx,Hx,Wx w1
v2 66 bf vfnmsub231ss Vd,Hd,Wd w0
v2 66 bf vfnmsub231sd Vq,Hq,Wq w1
`
