//go:build soak

package writeback

func init() {
	killRounds, modelChecks, hubModelChecks, modelSeed = 500, 3500, 300, 0
}
