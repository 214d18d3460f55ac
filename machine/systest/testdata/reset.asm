; A triple fault resets the machine.
; ends: reset

%include "lib64.inc"

test:
	lidt [.none]
	ud2
	FAIL
.none:	dw 0
	dq 0
