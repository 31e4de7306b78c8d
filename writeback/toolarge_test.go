package writeback

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

// A gate is in front of the Hub and refuses commits: answer gives the status for the body
// of one, or 0.
type gate struct {
	answer func(body []byte) int
	asked  int
}

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost || !strings.Contains(req.URL.Path, "/commit/") {
		return http.DefaultTransport.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	g.asked++
	if status := g.answer(body); status != 0 {
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"error":"no"}`)),
		}, nil
	}
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultTransport.RoundTrip(again)
}

// gated is a rig behind a gate.
func gated(t *testing.T, answer func(body []byte) int) (*commitRig, *gate) {
	t.Helper()
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	g := &gate{answer: answer}
	client, err := hub.New(hub.Config{Endpoint: r.server.URL, Token: hub.StaticToken(r.server.Token), Transport: g})
	must(t, err)
	r.opts.Hub = client
	r.reopen()
	return r, g
}

func operationsOf(body []byte) int { return bytes.Count(body, []byte("\n")) - 1 }

// TestFewerAfterTooLarge has a Hub that takes ten files at a time, and one that can't do a hundred
// in its time.
func TestFewerAfterTooLarge(t *testing.T) {
	for status, most := range map[int]int{http.StatusRequestEntityTooLarge: 10, http.StatusGatewayTimeout: 100} {
		r, g := gated(t, func(body []byte) int {
			if operationsOf(body) > most {
				return status
			}
			return 0
		})
		files := 35 * most / 10
		want := map[string]string{"a": "a"}
		for i := range files {
			path := fmt.Sprintf("f%d", i)
			want[path] = path
			r.write(t, path, path)
		}
		res := r.flush("")
		r.wantHub(want)
		r.wantClean()
		if n := len(res.Commits); n < 4 || n > 8 || len(res.Failed) > 0 || g.asked > 15 {
			t.Errorf("%d: %d commits, %d requests, failed %+v", status, n, g.asked, res.Failed)
		}
		must(t, r.Close())
		r.Branch = nil
	}
}

// TestRefusalThatNamesNobody finds the one file that the Hub doesn't take.
func TestRefusalThatNamesNobody(t *testing.T) {
	poison := "cG9pc29u" // base64
	r, _ := gated(t, func(body []byte) int {
		if bytes.Contains(body, []byte(poison)) {
			return http.StatusUnprocessableEntity
		}
		return 0
	})
	want := map[string]string{"a": "a"}
	for i := range 20 {
		path := fmt.Sprintf("f%d", i)
		want[path] = path
		r.write(t, path, path)
	}
	r.write(t, "f13", "poison")
	delete(want, "f13")
	res := r.flush("")
	r.wantHub(want)
	if len(res.Failed) != 1 || res.Failed[0].Path != "f13" {
		t.Errorf("failed %+v", res.Failed)
	}
}
