package chaos

import (
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// run runs cmd to its end and starts the next one. It keeps its thread: the
// process dies with the thread that started it.
func (p *process) run(cmd *exec.Cmd, started chan<- error, ended chan<- struct{}) {
	runtime.LockOSThread()
	err := cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = cmd.Wait() // how it ended is in its state
	close(ended)
	if p.afterEnd(cmd) {
		time.Sleep(max(p.every, restartPause))
		p.restart()
	}
}

// afterEnd counts how cmd ended, and reports whether another one is to start.
func (p *process) afterEnd(cmd *exec.Cmd) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.killed:
		p.Killed++
	case p.diedAtPoint(cmd):
		p.AtPoints++
	case p.stopping:
		return false
	case p.every > 0 && cmd.ProcessState.Success():
		p.Rounds++
	case p.every > 0:
		p.Failed++
	case p.done && cmd.ProcessState.Success():
		p.Finished = true
		p.cmd = nil
		return false
	default:
		p.ByItself++
		p.LastExit = cmd.ProcessState.String()
		fmt.Fprintf(p.log, "chaos: %s ended by itself: %s\n", p.name, p.LastExit)
	}
	return !p.stopping
}

func (p *process) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return
	}
	if err := p.startLocked(); err != nil {
		p.ByItself++
		p.LastExit = err.Error()
		p.cmd = nil
	}
}
