//go:build soak

package fs

// About 100,000 operations.
func init() { modelChecks, modelSeed = 3500, "0" }
