//go:build soak

package syncer

func init() { lostRounds, killRounds = 1000, 500 }
