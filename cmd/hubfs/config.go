package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/hub"
)

// hubFlags are those of every command that speaks to a Hub.
func hubFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "endpoint", Usage: "`URL` of the Hub (default: HF_ENDPOINT, else " + hub.DefaultEndpoint + ")"},
		&cli.StringFlag{Name: "token-file", Usage: "read the token from `FILE`, and again when it changes (default: HF_TOKEN, HF_TOKEN_PATH)"},
		&cli.StringFlag{Name: "cache-dir", Usage: "shared cache `DIR` (default: HF_HUB_CACHE, else ~/.cache/huggingface/hub)"},
		&cli.BoolFlag{Name: "offline", Usage: "answer from the cache alone (default: HF_HUB_OFFLINE)"},
	}
}

// config is what the environment and the flags of hubFlags say together.
type config struct {
	hub.Env
	Token  hub.TokenSource
	Logger *slog.Logger
}

func loadConfig(c *cli.Context) (*config, error) {
	env, err := hub.LoadEnv(os.Getenv)
	if err != nil {
		return nil, err
	}
	cfg := &config{Env: env, Token: hub.EnvTokenSource(os.Getenv, env), Logger: slog.New(slog.DiscardHandler)}
	if s := c.String("endpoint"); s != "" {
		cfg.Endpoint = strings.TrimRight(s, "/")
	}
	if s := c.String("token-file"); s != "" {
		if _, err := os.Stat(s); err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		abs, err := filepath.Abs(s)
		if err != nil {
			return nil, err
		}
		cfg.Token = hub.FileToken(abs)
	}
	if s := c.String("cache-dir"); s != "" {
		abs, err := filepath.Abs(s)
		if err != nil {
			return nil, err
		}
		cfg.HubCache = abs
	}
	cfg.Offline = cfg.Offline || c.Bool("offline")
	return cfg, nil
}

// client makes a client of the configured Hub, for the token of source.
func (cfg *config) client(source hub.TokenSource) (*hub.Client, error) {
	return hub.New(hub.Config{
		Endpoint: cfg.Endpoint, InferenceEndpoints: cfg.InferenceEndpoints, Token: source, Offline: cfg.Offline,
		LibraryName: "hubfs", LibraryVersion: versionString(), Logger: cfg.Logger,
	})
}

// stateDir is where logs, and what has to survive a crash, are kept by default.
func stateDir() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hubfs"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for state is known: %w; give --state-dir", err)
	}
	return filepath.Join(home, ".local", "state", "hubfs"), nil
}

// parseSize reads a number of bytes such as 200G or 512MiB; G and GB are decimal.
func parseSize(flag, s string) (int64, error) {
	if s == "" || s == "0" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(s)
	if err != nil || n > 1<<62 {
		return 0, usagef("--%s: %q is no size; write for example 200G", flag, s)
	}
	return int64(n), nil
}

// api is what methods run on outside of a mount.
func (cfg *config) api() (*control.API, error) {
	client, err := cfg.client(cfg.Token)
	if err != nil {
		return nil, err
	}
	return cfg.apiOn(client, nil), nil
}

// apiOn is what methods run on with a client, and the cache of a mount if there is one.
func (cfg *config) apiOn(client *hub.Client, cache *blobcache.Cache) *control.API {
	return &control.API{
		Hub:      client,
		HubFor:   func(token string) (*hub.Client, error) { return cfg.client(hub.StaticToken(token)) },
		CacheDir: cfg.HubCache,
		Offline:  cfg.Offline,
		OpenCache: func(caller *hub.Client, dir string) (*blobcache.Cache, func() error, error) {
			if cache != nil && caller == client && dir == cfg.HubCache {
				return cache, func() error { return nil }, nil
			}
			c, err := blobcache.Open(blobcache.Options{Hub: caller, CacheDir: dir, Offline: cfg.Offline, Logger: cfg.Logger})
			if err != nil {
				return nil, nil, err
			}
			return c, c.Close, nil
		},
	}
}
