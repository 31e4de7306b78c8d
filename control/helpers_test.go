package control

import (
	"testing"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

func testAPI(t *testing.T, endpoint string) *API {
	t.Helper()
	client, err := hub.New(hub.Config{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	return apiOf(t, client)
}

// apiOf is an API with a cache of its own.
func apiOf(t *testing.T, client *hub.Client) *API {
	t.Helper()
	return &API{
		Hub: client,
		HubFor: func(token string) (*hub.Client, error) {
			return hub.New(hub.Config{Endpoint: client.Endpoint(), InferenceEndpoints: client.Endpoint() + "/v2", Token: hub.StaticToken(token)})
		},
		CacheDir: t.TempDir(),
		OpenCache: func(client *hub.Client, dir string) (*blobcache.Cache, func() error, error) {
			c, err := blobcache.Open(blobcache.Options{Hub: client, CacheDir: dir})
			if err != nil {
				return nil, nil, err
			}
			return c, c.Close, nil
		},
	}
}
