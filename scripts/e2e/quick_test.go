//go:build !soak && !bench

package e2e

import (
	"os"
	"testing"
)

const prebuilt = false

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}
