package hub

import (
	"strings"
	"testing"
	"time"
)

func TestLoadEnv(t *testing.T) {
	load := func(pairs ...string) Env {
		t.Helper()
		env, err := LoadEnv(getenv(append([]string{"HOME=/home/u"}, pairs...)...))
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	want := Env{
		Endpoint: "https://huggingface.co", Home: "/home/u/.cache/huggingface", HubCache: "/home/u/.cache/huggingface/hub",
		TokenPath: "/home/u/.cache/huggingface/token", ETagTimeout: 10 * time.Second, DownloadTimeout: 10 * time.Second,
	}
	if got := load(); got != want {
		t.Errorf("%+v", got)
	}
	for _, tt := range []struct {
		name string
		got  any
		want any
	}{
		{"endpoint", load("HF_ENDPOINT=http://localhost:1/").Endpoint, "http://localhost:1"},
		{"staging", load("HUGGINGFACE_CO_STAGING=1").Endpoint, "https://hub-ci.huggingface.co"},
		{"staging and endpoint", load("HUGGINGFACE_CO_STAGING=1", "HF_ENDPOINT=http://x").Endpoint, "http://x"},
		{"xdg", load("XDG_CACHE_HOME=/c").HubCache, "/c/huggingface/hub"},
		{"home", load("HF_HOME=~/hf").HubCache, "/home/u/hf/hub"},
		{"home's token", load("HF_HOME=/hf").TokenPath, "/hf/token"},
		{"cache", load("HF_HUB_CACHE=/c", "HUGGINGFACE_HUB_CACHE=/d").HubCache, "/c"},
		{"old cache", load("HUGGINGFACE_HUB_CACHE=/d").HubCache, "/d"},
		{"offline", load("HF_HUB_OFFLINE=yes").Offline, true},
		{"offline off wins", load("HF_HUB_OFFLINE=0", "TRANSFORMERS_OFFLINE=1").Offline, false},
		{"transformers offline", load("TRANSFORMERS_OFFLINE=On").Offline, true},
		{"progress", load("HF_HUB_DISABLE_PROGRESS_BARS=1").DisableProgress, true},
		{"timeout", load("HF_HUB_ETAG_TIMEOUT=3").ETagTimeout, 3 * time.Second},
		{"timeout 0", load("HF_HUB_DOWNLOAD_TIMEOUT=0").DownloadTimeout, 10 * time.Second},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if _, err := LoadEnv(getenv("HOME=/h", "HF_HUB_ETAG_TIMEOUT=soon")); err == nil || !strings.Contains(err.Error(), "HF_HUB_ETAG_TIMEOUT") {
		t.Error(err)
	}
	if _, err := LoadEnv(getenv()); err == nil {
		t.Error("a home folder was found")
	}
}

func getenv(pairs ...string) func(string) string {
	m := make(map[string]string)
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return func(name string) string { return m[name] }
}
