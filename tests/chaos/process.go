package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// role is what a process does.
type role string

const (
	roleServer    role = "server"
	roleImporter  role = "importer"
	roleWriter    role = "writer"
	roleReader    role = "reader"
	roleProjector role = "projector"
	roleClient    role = "client"
	// roleDeliverer delivers to a receiver, which is of this process, and to handlers.
	roleDeliverer role = "deliverer"
	roleReceiver  role = "receiver"
	// roleSubscription is no process: it can be paused and changed like one can be frozen.
	roleSubscription role = "subscription"
	// roleOperator rebuilds a projection while it is read and written.
	roleOperator role = "operator"
)

// process is a process that is started again whenever it ends, until it is
// stopped.
type process struct {
	name string
	role role
	// command is its program and arguments.
	command []string
	// done says that the process may end: it has no more to do once it has
	// succeeded.
	done bool
	// every says that it is started again some time after it has ended, however
	// that was.
	every time.Duration
	log   *os.File
	// healed is the file that ends its failpoints.
	healed string

	mu       sync.Mutex
	cmd      *exec.Cmd
	ended    chan struct{} // of the present cmd
	stopping bool
	frozen   bool
	point    string // the failpoint of the next start
	armed    string // the failpoint of the present start
	// killed says that the present cmd was killed by us.
	killed bool
	tally
}

// tally counts how a process ended.
type tally struct {
	Starts int `json:"starts"`
	// Killed is by us, AtPoints by a failpoint.
	Killed   int `json:"killed"`
	AtPoints int `json:"at_points"`
	// ByItself counts ends that nobody asked for, LastExit says how the last of
	// them looked.
	ByItself int    `json:"by_itself"`
	LastExit string `json:"last_exit,omitempty"`
	// Rounds counts ends with success of a process that is started again then,
	// Failed those with an error: something was broken.
	Rounds int `json:"rounds,omitempty"`
	Failed int `json:"failed,omitempty"`
	// Finished says that it ended with success, having no more to do.
	Finished bool `json:"finished,omitempty"`
}

// restartPause keeps a process that cannot start from filling the log.
const restartPause = 200 * time.Millisecond

func newProcess(dir, name string, r role, command []string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	return &process{name: name, role: r, command: command, log: log, healed: filepath.Join(dir, healedFile)}, nil
}

// start starts the process and keeps it running.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.startLocked()
}

func (p *process) startLocked() error {
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if p.point != "" {
		cmd.Env = append(os.Environ(), "RECOUNT_FAILPOINTS="+p.point, "RECOUNT_FAILPOINTS_UNTIL="+p.healed)
	}
	// Ctrl-C is for the harness, which then ends the others.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	ended := make(chan struct{})
	go p.run(cmd, started, ended)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.ended, p.killed, p.frozen, p.armed, p.point = cmd, ended, false, false, p.point, ""
	p.Starts++
	return nil
}

// kill ends the process by SIGKILL, with a failpoint set for the next one if
// point is not empty. It reports whether there was one to kill.
func (p *process) kill(point string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || p.cmd == nil || p.killed {
		return false
	}
	p.point = point
	p.killed = true
	return p.cmd.Process.Signal(syscall.SIGKILL) == nil
}

// freeze stops the process by SIGSTOP and reports whether there was one.
func (p *process) freeze() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || p.cmd == nil || p.killed || p.frozen {
		return false
	}
	p.frozen = p.cmd.Process.Signal(syscall.SIGSTOP) == nil
	return p.frozen
}

// thaw lets the process go on.
func (p *process) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && p.frozen {
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // one that has ended needs none
		p.frozen = false
	}
}

// healedFile is there when nothing is to break any more.
const healedFile = "healed"

// stop asks the process to end, and says how it did and whether that was in good order. One that
// does not end in time is killed.
func (p *process) stop(patience time.Duration) (exit string, orderly bool) {
	p.thaw()
	p.mu.Lock()
	p.stopping = true
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return "", true
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	inTime := true
	select {
	case <-ended:
	case <-time.After(patience):
		inTime = false
		_ = cmd.Process.Signal(syscall.SIGABRT) // says where it hangs
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// One that is told to go in the middle of a round may fail. One that we had killed, or that died
	// of its failpoint, was not there to be asked.
	orderly = inTime && (p.every > 0 || cmd.ProcessState.Success() || p.killed || p.diedAtPoint(cmd))
	return fmt.Sprintf("%s, in time: %t", cmd.ProcessState, inTime), orderly
}

// diedAtPoint reports whether cmd, which has ended, died of its failpoint.
func (p *process) diedAtPoint(cmd *exec.Cmd) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && p.armed != "" && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// leave is stop for a process that is to come back by resume. It reports whether there was one.
func (p *process) leave() bool {
	p.mu.Lock()
	there := !p.stopping && p.cmd != nil && !p.killed && !p.frozen
	p.mu.Unlock()
	if there {
		p.stop(30 * time.Second)
	}
	return there
}

// resume starts the process again after stop.
func (p *process) resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping = false
	return p.startLocked()
}

// counts returns how the process has ended so far.
func (p *process) counts() tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tally
}
