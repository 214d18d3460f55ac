// Package agent is the side of hotblock bench that runs where the workloads run:
// as the init of a guest, and natively in a chroot.
//
// # How it works
//
// The agent reads a plan, a file of jobs, runs one after the other and reports
// in lines of text. Natively these go to standard output. In a guest they go to
// the debug console, I/O port 0xe9, a byte an OUT instruction: QEMU and hotblock
// hand each byte to the host while the instruction executes, so that the host
// can stamp marks with its own clock, and no driver, interrupt or buffer of the
// guest lies between. The permission to use the port is held only while a line
// is sent, so that processes of workloads neither inherit nor pay for it.
//
// The lines, in order:
//
//	H CLOCK            the agent is up
//	R JOB              job number JOB is about to be prepared
//	B CLOCK CPU        its measured part begins: the host stamps the end of the line
//	E CLOCK CPU        it has ended: the host stamps the first byte
//	X JOB STATUS SIZE SHA256 QUOTED
//	                   its result: exit status, size and hash of its output, and
//	                   the first bytes of that, or of what it complained about
//	D                  all jobs are done
//
// CLOCK is the agent's monotonic clock in ns, CPU the processor time in us that
// the agent and all its children have used. A micro-benchmark runs in a process
// of its own, which sends B and E itself.
package agent

// Places in the tree that workloads run in.
const (
	Dir      = "bench"          // the agent's directory, bound or packed over the tree
	Program  = "bench/hotblock" // the program that has the agent in it
	PlanFile = "bench/plan.json"
)

// Command is the first argument of the program, that makes it the agent.
const Command = "bench-agent"

// Exit statuses with a meaning of their own.
const (
	StatusWrong       = 76  // the output lacks what it must contain
	StatusUnsupported = 77  // the CPU lacks what the workload is about
	StatusSignal      = 128 // and the number of the signal
	StatusNotRun      = 127 // the program could not be started
)

// Plan is what the agent does.
type Plan struct {
	Jobs []Job `json:"jobs"`
}

// Job is one workload.
type Job struct {
	Name  string   `json:"name"`
	Micro string   `json:"micro,omitempty"` // a benchmark of package micro
	N     uint64   `json:"n,omitempty"`     // its rounds; for a program, the variable N
	Prep  string   `json:"prep,omitempty"`  // shell command that is run before the measured part
	Args  []string `json:"args,omitempty"`  // a program and its arguments
	Stdin string   `json:"stdin,omitempty"` // a file, or /dev/null
	Env   []string `json:"env,omitempty"`
	Want  string   `json:"want,omitempty"` // what the output must contain
}
