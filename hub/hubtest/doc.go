// Package hubtest starts an embedded Hub for a test, as net/http/httptest starts
// a server.
//
//	s := hubtest.New(t)
//	id := s.Repo("m", map[string]string{"config.json": "{}"})
//	info, err := s.Client().RepoInfo(ctx, hub.Repo{Type: hub.Model, ID: id}, nil)
//
// The Hub is a real one: its repositories are git stores in a folder of the test,
// and it is reached over HTTP on two loopback ports, one for the API and one for
// the content of large files. Everything ends with the test.
package hubtest
