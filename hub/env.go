package hub

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// DefaultEndpoint is the Hub itself.
const DefaultEndpoint = "https://huggingface.co"

// DefaultInferenceEndpoints is the API of inference endpoints of the Hub itself.
const DefaultInferenceEndpoints = "https://api.endpoints.huggingface.cloud/v2"

// stagingEndpoint is used under HUGGINGFACE_CO_STAGING.
const stagingEndpoint = "https://hub-ci.huggingface.co"

// Env is what the environment variables of this ecosystem say.
type Env struct {
	Endpoint             string // HF_ENDPOINT, without a trailing slash
	InferenceEndpoints   string // HF_INFERENCE_ENDPOINTS_ENDPOINT, "" if it isn't set
	Home                 string // HF_HOME
	HubCache             string // HF_HUB_CACHE
	TokenPath            string // HF_TOKEN_PATH
	Offline              bool   // HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
	DisableProgress      bool   // HF_HUB_DISABLE_PROGRESS_BARS
	DisableImplicitToken bool   // HF_HUB_DISABLE_IMPLICIT_TOKEN
	ETagTimeout          time.Duration
	DownloadTimeout      time.Duration
}

// LoadEnv reads the variables through getenv, usually os.Getenv, by the rules of
// the official client. It fails on a number that isn't one, and where neither
// HF_HOME nor a home folder is known.
func LoadEnv(getenv func(string) string) (Env, error) {
	staging := truthy(getenv("HUGGINGFACE_CO_STAGING"))
	env := Env{
		Endpoint:             strings.TrimRight(getenv("HF_ENDPOINT"), "/"),
		InferenceEndpoints:   strings.TrimRight(getenv("HF_INFERENCE_ENDPOINTS_ENDPOINT"), "/"),
		DisableProgress:      truthy(getenv("HF_HUB_DISABLE_PROGRESS_BARS")),
		DisableImplicitToken: truthy(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
	}
	if env.Endpoint == "" {
		env.Endpoint = DefaultEndpoint
		if staging {
			env.Endpoint = stagingEndpoint
		}
	}
	offline := getenv("HF_HUB_OFFLINE")
	if offline == "" {
		offline = getenv("TRANSFORMERS_OFFLINE")
	}
	env.Offline = truthy(offline)

	home := getenv("HOME")
	expand := func(p string) string {
		if p == "~" || strings.HasPrefix(p, "~/") {
			return home + p[1:]
		}
		return p
	}
	cache := expand(getenv("XDG_CACHE_HOME"))
	if cache == "" {
		cache = filepath.Join(home, ".cache")
	}
	env.Home = expand(getenv("HF_HOME"))
	if env.Home == "" {
		env.Home = filepath.Join(cache, "huggingface")
	}
	env.HubCache = expand(cmp.Or(getenv("HF_HUB_CACHE"), getenv("HUGGINGFACE_HUB_CACHE")))
	if env.HubCache == "" {
		env.HubCache = filepath.Join(env.Home, "hub")
	}
	env.TokenPath = expand(getenv("HF_TOKEN_PATH"))
	if env.TokenPath == "" {
		env.TokenPath = filepath.Join(env.Home, "token")
		if staging {
			env.TokenPath = filepath.Join(home, ".cache", "huggingface_staging", "token")
		}
	}
	if home == "" && (!filepath.IsAbs(env.HubCache) || !filepath.IsAbs(env.TokenPath)) {
		return Env{}, fmt.Errorf("no home folder is known: set HOME or HF_HOME")
	}

	var err error
	if env.ETagTimeout, err = seconds(getenv, "HF_HUB_ETAG_TIMEOUT"); err != nil {
		return Env{}, err
	}
	if env.DownloadTimeout, err = seconds(getenv, "HF_HUB_DOWNLOAD_TIMEOUT"); err != nil {
		return Env{}, err
	}
	return env, nil
}

// seconds reads a whole number of seconds; unset and 0 mean the default, 10.
func seconds(getenv func(string) string, name string) (time.Duration, error) {
	s := strings.TrimSpace(getenv(name))
	if s == "" {
		return 10 * time.Second, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<31 {
		return 0, fmt.Errorf("%s is %q: it must be a whole number of seconds", name, s)
	}
	if n == 0 {
		n = 10
	}
	return time.Duration(n) * time.Second, nil
}

// truthy is the official client's reading of a boolean.
func truthy(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
