package fs

import (
	"fmt"
	"testing"
)

func TestStopping(t *testing.T) {
	const (
		hup, intr, quit, kill, usr1, alrm, term, chld, tstp, urg = 1 << 0, 1 << 1, 1 << 2, 1 << 8, 1 << 9, 1 << 13, 1 << 14, 1 << 16, 1 << 19, 1 << 22
	)
	tests := []struct {
		name                              string
		thread, shared, blocked, ign, cgt sigset
		state                             string
		want                              bool
	}{
		{name: "nothing is pending", state: "D"},
		{name: "kill", thread: kill, state: "D", want: true},
		{name: "kill of the process", shared: kill, state: "D", want: true},
		{name: "kill can't be blocked", thread: kill, blocked: ^sigset(0), state: "D", want: true},
		{name: "dead", state: "Z", want: true},
		{name: "being reaped", state: "X", want: true},
		{name: "term by default", shared: term, state: "D", want: true},
		{name: "term handled", shared: term, cgt: term, state: "D"},
		{name: "term blocked", shared: term, blocked: term, state: "D"},
		{name: "term ignored", shared: term, ign: term, state: "D"},
		{name: "hang-up by default", thread: hup, state: "D", want: true},
		{name: "^C by default", shared: intr, state: "D", want: true},
		{name: "^C handled", shared: intr, cgt: intr, state: "D", want: true},
		{name: "^C handled, in another thread", shared: intr, cgt: intr, blocked: intr, state: "D"},
		{name: "^\\ handled", shared: quit, cgt: quit, state: "D", want: true},
		{name: "a timer that is handled", thread: alrm, cgt: alrm, state: "D"},
		{name: "a signal for one's own use", thread: usr1, cgt: usr1, state: "D"},
		{name: "a child has ended", shared: chld, state: "D"},
		{name: "a child has ended, handled", shared: chld, cgt: chld, state: "D"},
		{name: "Go's scheduler", thread: urg, cgt: urg, state: "D"},
		{name: "^Z", shared: tstp, state: "D"},
	}
	for _, test := range tests {
		status := "Name:\tx\nState:\t" + test.state + " (something)\nTgid:\t1\n" +
			sigLine("SigQ", 0) + sigLine("SigPnd", test.thread) + sigLine("ShdPnd", test.shared) +
			sigLine("SigBlk", test.blocked) + sigLine("SigIgn", test.ign) + sigLine("SigCgt", test.cgt)
		if got := stoppingStatus(status); got != test.want {
			t.Errorf("%s: stopping = %v", test.name, got)
		}
	}
}

func sigLine(name string, s sigset) string {
	return fmt.Sprintf("%s:\t%016x\n", name, uint64(s))
}
