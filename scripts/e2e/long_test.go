//go:build soak || bench

package e2e

const prebuilt = true
