//go:build !soak

package e2e

// copies is how much of the long test of that make test has.
const copies = 10
