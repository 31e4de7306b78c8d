package fs

// Process is a program that uses a mount.
type Process struct {
	PID     int    `json:"pid"`
	Program string `json:"program"`
	Uses    string `json:"uses"` // "cwd", "root", "exe", "map" or a descriptor's number
	Path    string `json:"path"`
}

// Busy lists the processes that use the mount at dir: open files, working and
// root directories, programs, mapped files. Those of other users are left out
// where the caller may not look at them. It never touches the mount itself.
func Busy(dir string) ([]Process, error) { return nil, errUnfinished }

// BusyError is a mount that can't be unmounted while programs use it.
type BusyError struct {
	Dir       string
	Processes []Process
}

func (e *BusyError) Error() string { return e.Dir + " is in use" }
