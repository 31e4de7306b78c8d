package fs

// MountPointError is a directory that can't be mounted on. Its text says what to
// do next.
type MountPointError struct {
	Dir    string
	Reason string
	Err    error // cause, or nil
}

func (e *MountPointError) Error() string { return e.Dir + " " + e.Reason }

// Unwrap gives the cause.
func (e *MountPointError) Unwrap() error { return e.Err }
