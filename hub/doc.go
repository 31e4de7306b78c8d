// Package hub is a client of the Hugging Face Hub's HTTP API, and of any server
// that speaks it. It is usable as a library by itself: it knows nothing of FUSE,
// of mounts, or of hubfs's own files.
package hub
