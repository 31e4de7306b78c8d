package hub

// CommitLimits are how much one commit may hold; 0 is no limit.
type CommitLimits struct {
	LFSFiles     int
	RegularBytes int64 // of files inside the commit, as they are sent: a third more than their size
	Operations   int
}

// HubLimits are the Hub's own.
var HubLimits = CommitLimits{LFSFiles: 25_000, RegularBytes: 1_000_000_000}

// likelyLFS is the size from which a file counts as LFS until the server has said
// how it is stored.
const likelyLFS = 10 << 20

// SplitOperations splits operations into the fewest commits within the limits,
// keeping their order. It goes by the mode of each addition, which
// [Client.PreuploadLFSFiles] makes known; a copy counts as an LFS file. An
// operation that is beyond a limit by itself is a commit of its own.
func SplitOperations(ops []Operation, limits CommitLimits) [][]Operation {
	var commits [][]Operation
	start := 0
	var sum CommitLimits
	for i, op := range ops {
		one := operationCost(op)
		next := CommitLimits{sum.LFSFiles + one.LFSFiles, sum.RegularBytes + one.RegularBytes, sum.Operations + one.Operations}
		if i > start && next.beyond(limits) {
			commits = append(commits, ops[start:i:i])
			start, next = i, one
		}
		sum = next
	}
	if start < len(ops) {
		commits = append(commits, ops[start:])
	}
	return commits
}

func (l CommitLimits) beyond(limits CommitLimits) bool {
	return limits.LFSFiles > 0 && l.LFSFiles > limits.LFSFiles ||
		limits.RegularBytes > 0 && l.RegularBytes > limits.RegularBytes ||
		limits.Operations > 0 && l.Operations > limits.Operations
}

// operationCost is what one operation takes of the limits.
func operationCost(op Operation) CommitLimits {
	cost := CommitLimits{Operations: 1}
	switch op := op.(type) {
	case *Copy:
		cost.LFSFiles = 1
	case *Add:
		switch s := &op.State; {
		case s.Ignored:
		case s.Mode == UploadLFS, s.Mode == "" && op.Content.Size >= likelyLFS:
			cost.LFSFiles = 1
		default:
			cost.RegularBytes = base64Len(op.Content.Size)
		}
	}
	return cost
}
