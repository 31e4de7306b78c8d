//go:build !soak

package e2e

// How much of the long tests make test has.
const (
	kills  = 5
	copies = 10
)
