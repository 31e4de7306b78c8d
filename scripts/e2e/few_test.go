//go:build !soak

package e2e

// How much of the long tests of that make test has.
const (
	kills  = 6
	copies = 10
)
