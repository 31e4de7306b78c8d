package main

import (
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/hub"
)

// askTimeout bounds what doctor asks the Hub.
const askTimeout = 10 * time.Second

// probe is a client that doesn't retry: doctor wants to know how it is, not how it ends.
func (cfg *config) probe() (*hub.Client, error) {
	return hub.New(hub.Config{
		Endpoint: cfg.Endpoint, Token: cfg.Token, Offline: cfg.Offline, Retries: -1, ProgressTimeout: askTimeout,
		LibraryName: "hubfs", LibraryVersion: versionString(),
	})
}

func checkEndpoint(c *cli.Context, cfg *config) []finding {
	if cfg.Offline {
		return []finding{warning("unset HF_HUB_OFFLINE", "offline mode is on: only what is cached can be read")}
	}
	client, err := cfg.probe()
	if err != nil {
		return []finding{problem("set HF_ENDPOINT to an http or https URL", "%s: %v", cfg.Endpoint, err)}
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(c.Context, askTimeout)
	defer cancel()
	start := time.Now()
	for _, err := range client.ListRepos(ctx, hub.Model, &hub.ListReposOptions{Limit: 1}) {
		if err != nil && (errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrProtocol) || errors.Is(err, context.DeadlineExceeded)) {
			return []finding{problem("check the network, proxies (HTTPS_PROXY) and HF_ENDPOINT; for a test: curl -sSI "+cfg.Endpoint, "%s doesn't answer as a Hub: %s", cfg.Endpoint, err)}
		}
		break // a refusal is an answer; the token is another check
	}
	return []finding{ok("%s answers in %s", cfg.Endpoint, time.Since(start).Round(time.Millisecond))}
}

func checkToken(c *cli.Context, cfg *config) []finding {
	ctx, cancel := context.WithTimeout(c.Context, askTimeout)
	defer cancel()
	token, err := cfg.Token.Token(ctx)
	switch {
	case err != nil:
		return []finding{problem("make the token file readable, or set HF_TOKEN", "%v", err)}
	case token == "":
		return []finding{warning("hf auth login, or set HF_TOKEN", "no token: public repositories only, and the lowest quota")}
	case cfg.Offline:
		return []finding{ok("there is one; offline mode can't check it")}
	}
	client, err := cfg.probe()
	if err != nil {
		return nil // the endpoint's finding says it
	}
	defer client.CloseIdleConnections()
	who, err := client.WhoAmI(ctx)
	switch {
	case errors.Is(err, hub.ErrUnauthorized):
		return []finding{problem("make a new one at "+cfg.Endpoint+"/settings/tokens, then: hf auth login", "the Hub doesn't know this token")}
	case err != nil:
		return []finding{warning("", "couldn't be checked: %v", err)}
	}
	role := ""
	if who.Auth.AccessToken != nil {
		role = ", role " + who.Auth.AccessToken.Role
	}
	return []finding{ok("belongs to %s%s", who.Name, role)}
}
