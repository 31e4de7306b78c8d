package localhub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

var networkBody = bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB

// shaped serves networkBody through a network, and counts how often the handler
// itself ran.
func shaped(t *testing.T, class string, conf Network) (url string, ran *atomic.Int32) {
	t.Helper()
	ran = new(atomic.Int32)
	srv := httptest.NewServer(newNetwork(conf, slog.New(slog.DiscardHandler)).wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		ran.Add(1)
		if r.URL.Path == "/redirect" {
			w.Header().Set("Location", "/")
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(networkBody)))
		w.Write(networkBody)
	}), class))
	t.Cleanup(srv.Close)
	return srv.URL, ran
}

// ask sends networkBody with methods that have a body, and doesn't follow
// redirects.
func ask(t *testing.T, method, url string) (int, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return askIn(ctx, t, method, url)
}

func askIn(ctx context.Context, t *testing.T, method, url string) (int, []byte, error) {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost || method == http.MethodPut {
		body = bytes.NewReader(networkBody)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, got, err
}

func TestFaults(t *testing.T) {
	always := func(f Fault) Network { return Network{Faults: map[Fault]float64{f: 1}, Seed: 3} }
	type outcome struct {
		status int
		body   []byte
		err    error
	}
	hangs := func(o outcome) bool { return errors.Is(o.err, context.Canceled) }
	breaks := func(o outcome) bool { return o.err != nil && !hangs(o) }
	whole := func(o outcome) bool { return o.err == nil && o.status == 200 && bytes.Equal(o.body, networkBody) }
	answers := func(status int) func(outcome) bool { return func(o outcome) bool { return o.status == status } }
	const get, head, post, put = http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut
	const lfsBatch, pathsInfo = "/alice/m.git/info/lfs/objects/batch", "/api/models/alice/m/paths-info/main"
	tests := []struct {
		fault               Fault
		method, class, path string
		ran                 int
		check               func(outcome) bool
	}{
		{FaultReset, get, ClassContent, "/", 1, func(o outcome) bool {
			return errors.Is(o.err, syscall.ECONNRESET) && len(o.body) < len(networkBody)
		}},
		{FaultReset, get, ClassResolve, "/redirect", 1, breaks},
		{FaultReset, post, ClassCommit, "/", 0, breaks},
		{FaultReset, put, ClassContent, "/", 0, breaks},
		{FaultReset, http.MethodDelete, ClassAPI, "/api/repos/delete", 0, breaks},
		{FaultTruncate, get, ClassAPI, "/", 1, func(o outcome) bool {
			return errors.Is(o.err, io.ErrUnexpectedEOF) && bytes.HasPrefix(networkBody, o.body)
		}},
		{FaultTruncate, post, ClassAPI, pathsInfo, 1, breaks},
		{FaultTruncate, get, ClassResolve, "/redirect", 1, breaks},
		{FaultTruncate, put, ClassContent, "/", 1, whole},
		{FaultStall, get, ClassContent, "/", 1, hangs},
		{FaultStall, get, ClassResolve, "/redirect", 1, hangs},
		{FaultStatus429, get, ClassAPI, "/", 0, answers(429)},
		{FaultStatus503, post, ClassCommit, "/", 0, answers(503)},
		{FaultExpireURL, get, ClassContent, "/", 0, answers(403)},
		{FaultExpireURL, put, ClassContent, "/", 0, answers(403)},
		{FaultExpireURL, get, ClassAPI, "/", 1, whole},
		{FaultCorrupt, get, ClassResolve, "/", 1, func(o outcome) bool {
			return o.err == nil && len(o.body) == len(networkBody) && !bytes.Equal(o.body, networkBody)
		}},
		{FaultCorrupt, get, ClassResolve, "/redirect", 1, answers(302)},
		{FaultCorrupt, head, ClassResolve, "/", 1, answers(200)},
		{FaultCorrupt, get, ClassAPI, "/", 1, whole},
		{FaultLanded500, post, ClassCommit, "/", 1, answers(500)},
		{FaultLanded500, post, ClassAPI, "/api/repos/create", 1, answers(500)},
		{FaultLanded500, post, ClassAPI, lfsBatch, 1, whole},
		{FaultLanded500, put, ClassContent, "/", 1, whole},
		{FaultLostAnswer, post, ClassCommit, "/", 1, breaks},
		{FaultLostAnswer, get, ClassAPI, "/", 1, whole},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.fault, " ", tt.method, " ", tt.class, " ", tt.path), func(t *testing.T) {
			t.Parallel()
			url, ran := shaped(t, tt.class, always(tt.fault))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if tt.fault == FaultStall {
				// Who asks loses patience once the handler has run.
				go func() {
					for ran.Load() == 0 && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
					time.Sleep(300 * time.Millisecond)
					cancel()
				}()
			}
			var o outcome
			o.status, o.body, o.err = askIn(ctx, t, tt.method, url+tt.path)
			if !tt.check(o) {
				t.Errorf("status %d, %d bytes, %v", o.status, len(o.body), o.err)
			}
			if int(ran.Load()) != tt.ran {
				t.Errorf("the handler ran %d times, want %d", ran.Load(), tt.ran)
			}
		})
	}
}

func TestTooManyRequestsSaysHowLong(t *testing.T) {
	url, _ := shaped(t, ClassResolve, Network{Faults: map[Fault]float64{FaultStatus429: 1}})
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := [3]string{resp.Header.Get("Retry-After"), resp.Header.Get("RateLimit"), resp.Header.Get("X-Error-Code")}
	if want := [3]string{"1", `"resolvers";r=0;t=1`, "TooManyRequests"}; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNetworkIsDeterministic(t *testing.T) {
	sequence := func() []bool {
		n := newNetwork(Network{Faults: map[Fault]float64{FaultReset: 0.5}, Seed: 7}, slog.New(slog.DiscardHandler))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		var s []bool
		for range 64 {
			s = append(s, n.strikes(FaultReset, r))
		}
		return s
	}
	a, b := sequence(), sequence()
	hits := 0
	for i := range a {
		if a[i] != b[i] {
			t.Fatal("two networks of one seed differ")
		}
		if a[i] {
			hits++
		}
	}
	if hits == 0 || hits == len(a) {
		t.Errorf("a fault of rate 0.5 struck %d times of %d", hits, len(a))
	}
}

// A shaped transfer can be slower than asked on a busy machine, never faster.
func TestBandwidthAndLatency(t *testing.T) {
	for name, tt := range map[string]struct {
		conf   Network
		method string
	}{
		"in all":                {Network{Bandwidth: 1 << 20}, http.MethodGet},
		"a connection":          {Network{ConnectionBandwidth: 1 << 20}, http.MethodGet},
		"both":                  {Network{Bandwidth: 1 << 20, ConnectionBandwidth: 100 << 20}, http.MethodGet},
		"uploads":               {Network{Bandwidth: 2 << 20}, http.MethodPut}, // and the answer
		"uploads, a connection": {Network{ConnectionBandwidth: 2 << 20}, http.MethodPut},
		"latency":               {Network{Latency: 100 * time.Millisecond}, http.MethodGet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := shaped(t, ClassContent, tt.conf)
			start := time.Now()
			if _, body, err := ask(t, tt.method, url); err != nil || !bytes.Equal(body, networkBody) {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			// 128 KiB at 1 MiB/s are 125 ms.
			if took := time.Since(start); took < 90*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Transfers at once share the bandwidth of the link, and one connection can't have
// more than its own.
func TestBandwidthIsShared(t *testing.T) {
	const each = 1 << 20
	url, _ := shaped(t, ClassContent, Network{Bandwidth: 4 * each, ConnectionBandwidth: each})
	start := time.Now()
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			_, _, err := ask(t, http.MethodGet, url)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	// 8 x 128 KiB at 4 MiB/s are 250 ms.
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// What is switched on and off applies to the requests from then on.
func TestSetNetwork(t *testing.T) {
	n := newNetwork(Network{}, slog.New(slog.DiscardHandler))
	srv := httptest.NewServer(n.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(networkBody) }), ClassAPI))
	defer srv.Close()
	for _, want := range []int{200, 503, 200} {
		n.set(map[int]Network{200: {}, 503: {Faults: map[Fault]float64{FaultStatus503: 1}}}[want])
		if status, _, err := ask(t, http.MethodGet, srv.URL); status != want || err != nil {
			t.Errorf("%d, %v, want %d", status, err, want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	got, err := ParseFaults("reset=0.05, stall=1,")
	if want := map[Fault]float64{FaultReset: 0.05, FaultStall: 1}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"reset", "reset=2", "reset=-1", "reset=NaN", "melt=0.5", "=0.5"} {
		if _, err := ParseFaults(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseBandwidth(t *testing.T) {
	for s, want := range map[string]int64{
		"1000": 1000, "200MB/s": 200e6, "25 MB/s": 25e6, "1.5GiB/s": 3 << 29, "64KiB": 64 << 10, "10B/s": 10, "0": 0,
	} {
		if got, err := ParseBandwidth(s); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, bad := range []string{"", "fast", "-1MB/s", "1XB", "NaN", "1e300GB"} {
		if got, err := ParseBandwidth(bad); err == nil {
			t.Errorf("%q was accepted as %d", bad, got)
		}
	}
}
