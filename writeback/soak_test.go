//go:build soak

package writeback

// With the soak tag the random tests are long, and other ones each time.
func init() {
	killRounds, modelChecks, hubModelChecks, ambiguousTries, modelSeed = 500, 3500, 150, 334, 0
}
