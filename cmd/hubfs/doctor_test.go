package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRequestLimit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "max_request_timeout")
	if _, limited := requestLimit(file); limited {
		t.Error("an older kernel has a limit")
	}
	for content, want := range map[string]time.Duration{"0\n": 0, "300\n": 5 * time.Minute, "?\n": 0} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if limit, limited := requestLimit(file); limit != want || limited != (want > 0) {
			t.Errorf("%q: %v, %v", content, limit, limited)
		}
	}
}
