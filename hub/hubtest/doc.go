// Package hubtest starts an embedded Hub for a test, as net/http/httptest starts
// a server.
package hubtest
