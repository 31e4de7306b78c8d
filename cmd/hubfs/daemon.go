package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// readyFD names, in the daemon's environment, the descriptor on which it says how its start went.
const readyFD = "HUBFS_READY_FD"

// metaArgs keeps the command line in the app's metadata, as it was given but for mount(8)'s way of giving it.
const metaArgs = "args"

// isDaemon says whether this process is to serve for the command that started it.
func isDaemon() bool { return os.Getenv(readyFD) != "" }

// maxLog is the size at which a log is put aside as .old when a daemon starts.
const maxLog = 10 << 20

// readiness is what a daemon says once: it serves, or why not.
type readiness struct {
	Message string `json:"message,omitempty"`
	Error   string `json:"error,omitempty"`
	Usage   bool   `json:"usage,omitempty"`
}

// startDaemon runs this command again in the background, and returns when the daemon has said that it
// serves, or that it can't. A daemon that dies before is an error with the end of its log.
func startDaemon(c *cli.Context, logFile string) error {
	log, err := openLog(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	// The daemon outlives this command, so it must not end with its context.
	cmd := exec.Command(exe) //nolint:noctx // see above
	cmd.Args = c.App.Metadata[metaArgs].([]string)
	cmd.Env = append(os.Environ(), readyFD+"=3") // which makes it stay in the foreground
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// What else this command inherited, such as the lock of a script, isn't the daemon's to hold. Kernels
	// before 5.11 can't say so; there it stays as it was.
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("start the daemon: %w", err)
	}
	w.Close()
	said := make(chan readiness, 1)
	go func() {
		var ready readiness
		_ = json.NewDecoder(r).Decode(&ready) // the zero value is a daemon that died
		said <- ready
	}()
	var ready readiness
	select {
	case ready = <-said:
	case <-c.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
		<-said
		_ = cmd.Wait()
		return c.Err()
	}
	switch {
	case ready.Message != "":
		_, err := fmt.Fprintln(c.App.Writer, ready.Message)
		return errors.Join(err, cmd.Process.Release())
	case ready.Usage:
		return usagef("%s", ready.Error)
	case ready.Error != "":
		if said := logged(log, logStart, "fusermount"); said != "" {
			return fmt.Errorf("%s (%s)", ready.Error, said)
		}
		return errors.New(ready.Error)
	}
	state := "died"
	if err := cmd.Wait(); err != nil {
		state = err.Error()
	}
	return fmt.Errorf("the daemon ended before it served (%s): %s; its log is %s", state, lastLine(log, logStart), logFile)
}

// reportReady says that the mount serves: to the command that started us, or on stdout.
func reportReady(c *cli.Context, message string) {
	if w := readyPipe(); w != nil {
		defer w.Close()
		if err := json.NewEncoder(w).Encode(readiness{Message: message}); err != nil {
			fmt.Fprintln(c.App.ErrWriter, "hubfs: the command that started this daemon is gone:", err)
		}
		return
	}
	fmt.Fprintln(c.App.Writer, message)
}

// report hands the error of a start to the command that started us, if there is one.
func report(err error) error {
	if err == nil {
		return nil
	}
	if w := readyPipe(); w != nil {
		defer w.Close()
		var usage *usageError
		ready := readiness{Error: explain(err), Usage: errors.As(err, &usage)}
		if e := json.NewEncoder(w).Encode(ready); e != nil {
			return errors.Join(err, e)
		}
	}
	return err
}

// readyPipe is the pipe to the command that started this daemon, once; nil where there is none.
func readyPipe() *os.File {
	fd, err := strconv.Atoi(os.Getenv(readyFD))
	if err != nil {
		return nil
	}
	os.Unsetenv(readyFD)
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready")
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("log: %w; give --log-file or --state-dir", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog && info.Mode().IsRegular() {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w; give --log-file or --state-dir", err)
	}
	return f, nil
}

// lastLine is the last line of the log since the daemon's start, or the first of a panic: they usually
// say why it died.
func lastLine(log *os.File, from int64) string {
	for _, what := range []string{"panic: ", "fatal error: "} {
		if line := logged(log, from, what); line != "" {
			return line
		}
	}
	text := logText(log, from)
	if text == "" {
		return "it logged nothing"
	}
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// logged is the first line with what in it that was logged since the daemon's start, or "".
func logged(log *os.File, from int64, what string) string {
	for line := range strings.SplitSeq(logText(log, from), "\n") {
		if strings.Contains(line, what) {
			return line
		}
	}
	return ""
}

func logText(log *os.File, from int64) string {
	b, err := io.ReadAll(io.NewSectionReader(log, from, maxLog))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
