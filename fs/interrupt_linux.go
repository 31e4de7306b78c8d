package fs

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Every signal that reaches a thread in the middle of a request interrupts it:
// also those that its program merely counts, such as SIGCHLD, SIGALRM or the Go
// scheduler's SIGURG. No program expects EINTR of a regular file for those. So an
// interrupted request looks at what is pending for its caller, and gives up only
// if the caller is dying, or its user pressed a key to make it stop. The kernel
// interrupts a request once, so from then on we keep looking.

const (
	watchEvery = 100 * time.Millisecond
	// unknownGrace is how long a caller may wait that has been interrupted and that
	// we can't look at, since it lives in another PID namespace.
	unknownGrace = 10 * time.Second
)

// call is the context of one request of the kernel. Unlike go-fuse's own it ends
// only when the caller should stop waiting. It costs next to nothing until somebody
// waits on Done.
type call struct {
	request context.Context // go-fuse's; Done is the interrupt
	base    context.Context // ends with the mount
	asked   atomic.Bool     // the caller should stop waiting

	mu    sync.Mutex    // guards what follows
	done  chan struct{} // nil until somebody waits; closed after asked is set
	ended chan struct{} // closed when the request has been answered
	over  bool          // it has been
}

// newCall wraps the context of a request. end must be called when the request is
// answered.
func newCall(request, base context.Context) (ctx context.Context, end func()) {
	c := &call{request: request, base: base}
	return c, c.end
}

func (c *call) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *call) Value(key any) any           { return c.request.Value(key) }

func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done, c.ended = make(chan struct{}), make(chan struct{})
		if !c.over {
			go c.run()
		}
	}
	return c.done
}

func (c *call) Err() error {
	if c.asked.Load() {
		return context.Canceled
	}
	return nil
}

func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.ended != nil {
		close(c.ended)
	}
}

// run ends the context when the caller should stop waiting, and itself at the
// latest when the request has been answered.
func (c *call) run() {
	select {
	case <-c.ended:
		return
	case <-c.base.Done():
	case <-c.request.Done():
		if !c.await() {
			return
		}
	}
	c.asked.Store(true)
	close(c.done)
}

// await returns true when an interrupted caller should stop waiting, false when
// its request has been answered.
func (c *call) await() bool {
	var tid uint32
	if caller, ok := fuse.FromContext(c.request); ok {
		tid = caller.Pid
	}
	grace := time.NewTimer(unknownGrace)
	defer grace.Stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if tid != 0 && stopping(tid) {
			return true
		}
		select {
		case <-c.ended:
			return false
		case <-c.base.Done():
			return true
		case <-grace.C:
			if tid == 0 {
				return true
			}
		case <-tick.C:
		}
	}
}

// stopping says whether a thread is dying or asked to stop.
func stopping(tid uint32) bool {
	status, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(tid), 10) + "/status")
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	return stoppingStatus(string(status))
}

// stoppingStatus reads /proc/<tid>/status.
func stoppingStatus(status string) bool {
	var pending, blocked, ignored, caught sigset
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "State":
			if strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X") {
				return true
			}
		case "SigPnd", "ShdPnd":
			pending |= parseSigset(value)
		case "SigBlk":
			blocked = parseSigset(value)
		case "SigIgn":
			ignored = parseSigset(value)
		case "SigCgt":
			caught = parseSigset(value)
		}
	}
	if pending.has(syscall.SIGKILL) {
		return true
	}
	pending &^= blocked | ignored
	return pending&caught&keys != 0 || pending&^caught&^harmless != 0
}

// sigset has bit n-1 set for signal n.
type sigset uint64

func parseSigset(s string) sigset {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0
	}
	return sigset(n)
}

func (s sigset) has(sig syscall.Signal) bool { return s&(1<<(sig-1)) != 0 }

func signals(sigs ...syscall.Signal) (s sigset) {
	for _, sig := range sigs {
		s |= 1 << (sig - 1)
	}
	return s
}

var (
	// keys are the signals of a terminal's keys: a program that handles them is
	// expected to react at once.
	keys = signals(syscall.SIGINT, syscall.SIGQUIT)
	// harmless are the signals that don't end a program which doesn't handle them.
	harmless = signals(syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
		syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
)
