//go:build soak

package hub_test

func init() {
	largeFiles = 20_000
	largeKills = 10
}
