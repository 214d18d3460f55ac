package bench

import "testing"

// TestProfile checks that the profile finds the loop of a workload and knows how
// often it ran.
func TestProfile(t *testing.T) {
	p := newProgram()
	Workloads[0].build(p)
	b, err := newBare(append(p.assemble(), 0xe6, exitPort, 0xeb, 0xfe))
	if err != nil {
		t.Fatal(err)
	}
	defer b.ram.Free()
	const rounds = 1234
	b.cpu.R[15] = rounds
	b.cpu.Run()
	hot := b.cpu.Profile(2)
	if len(hot) != 2 {
		t.Fatalf("%d blocks", len(hot))
	}
	// The first round is part of the block that leads to the loop.
	if h := hot[0]; h.Count != rounds-1 || h.Bits != 64 || h.Block != b.ram || h.Off < codeAt || h.Off > codeAt+64 || h.Instructions < 15 {
		t.Errorf("the loop: %+v", h)
	}
	if h := hot[1]; h.Off != codeAt || h.Count != 1 {
		t.Errorf("its beginning: %+v", h)
	}
}
