package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// A daemon has a guard: a small process that sleeps until the daemon has died, and then sees to it that the
// calls to its mount end. The kernel does so itself when the last thread of the daemon is gone; but one that was
// telling the kernel of a changed name when the daemon was killed may be waiting for the lock of a folder, which
// is held by a program that waits for the daemon. Neither can be killed. No descriptor, lock or wait tells of
// this death, as that thread keeps all of them; but a child is told when the thread that started it is gone.

// guardSignal tells the guard that the daemon has died, or that a part of it has.
const guardSignal = syscall.SIGUSR1

// atPost is what the guard says when it is.
const atPost = "guarding\n"

var errNoGuard = errors.New("it isn't at its post")

// guardLook is how often the guard looks what has become of a daemon that dies, for how long at most.
const (
	guardLook = 10 * time.Millisecond
	guardTime = time.Minute
)

// StartGuard runs this program again, with arguments that lead it to [Guard], and returns when that is at its
// post. stop ends the guard, to be called when the mount is gone; the process takes it along when it ends.
func StartGuard(args ...string) (stop func(), err error) {
	ready, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	// Not by its path, where another version may be by now. It needs nothing of the environment, least of all a token.
	cmd := exec.Command("/proc/self/exe", args...) //nolint:noctx // it ends with stop
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", []string{"GOMAXPROCS=1"}, w, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: guardSignal}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the end of this thread is what the guard is told of
		err := cmd.Start()
		w.Close()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it was killed, by stop or by somebody else
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill() // an error is that it has ended
		<-ended
	}
	said := make([]byte, len(atPost))
	if _, err := io.ReadFull(ready, said); err != nil || string(said) != atPost {
		stop()
		return nil, fmt.Errorf("what was to be the guard said %q: %w", said, errors.Join(err, errNoGuard))
	}
	return stop, nil
}

// Guard waits for the end of the process that started it, the daemon of the mount at dir, and ends the calls to
// the mount if the daemon can't die while they last. It returns when the daemon is gone.
func Guard(dir string) error {
	daemon := os.Getppid()
	died := make(chan os.Signal, 1)
	signal.Notify(died, guardSignal)
	// Who ends a service asks all its processes to; this one has to stay as long as the daemon.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if _, err := os.Stdout.WriteString(atPost); err != nil {
		return err
	}
	if err := os.Stdout.Close(); err != nil {
		return err
	}
	for range died {
		ctx, cancel := context.WithTimeout(context.Background(), guardTime)
		err := guardDying(ctx, daemon, dir)
		cancel()
		if os.Getppid() != daemon {
			return err
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "hubfs: the calls to %s can't be aborted: %v\n", dir, err)
		}
	}
	return nil
}

// guardDying aborts the mount until the daemon is gone: then somebody else is the parent of this process.
func guardDying(ctx context.Context, daemon int, dir string) error {
	look := time.NewTicker(guardLook)
	defer look.Stop()
	for aborted := false; ; {
		// The first look comes late enough that a daemon that can end has done so.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
		if os.Getppid() != daemon {
			return nil
		}
		if aborted || !isDying(daemon) {
			continue
		}
		if err := abortMount(dir); err != nil {
			return err
		}
		aborted = true
		fmt.Fprintf(os.Stderr, "hubfs: the daemon of %s was killed and couldn't end before the calls to the mount were aborted\n", dir)
	}
}
