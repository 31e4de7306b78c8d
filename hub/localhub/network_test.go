package localhub

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var networkBody = bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB

// shaped serves networkBody through a network, and counts how often the handler
// itself ran.
func shaped(t *testing.T, class string, conf Network) (url string, ran *atomic.Int32) {
	t.Helper()
	ran = new(atomic.Int32)
	srv := httptest.NewServer(newNetwork(conf).wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ran.Add(1)
		w.Header().Set("Content-Length", strconv.Itoa(len(networkBody)))
		w.Write(networkBody)
	}), class))
	t.Cleanup(srv.Close)
	return srv.URL, ran
}

func fetch(t *testing.T, method, url string) (int, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func TestFaults(t *testing.T) {
	always := func(f Fault) Network { return Network{Faults: map[Fault]float64{f: 1}, Seed: 3} }
	type outcome struct {
		status int
		body   []byte
		err    error
	}
	tests := []struct {
		fault         Fault
		method, class string
		ran           int
		check         func(outcome) bool
	}{
		{FaultReset, http.MethodGet, ClassContent, 1, func(o outcome) bool {
			return errors.Is(o.err, syscall.ECONNRESET) && len(o.body) < len(networkBody)
		}},
		{FaultReset, http.MethodPost, ClassCommit, 0, func(o outcome) bool { return o.err != nil }},
		{FaultTruncate, http.MethodGet, ClassAPI, 1, func(o outcome) bool {
			return errors.Is(o.err, io.ErrUnexpectedEOF) && bytes.HasPrefix(networkBody, o.body)
		}},
		{FaultStall, http.MethodGet, ClassContent, 1, func(o outcome) bool { return errors.Is(o.err, context.DeadlineExceeded) }},
		{FaultStatus429, http.MethodGet, ClassAPI, 0, func(o outcome) bool { return o.status == 429 }},
		{FaultStatus503, http.MethodPost, ClassCommit, 0, func(o outcome) bool { return o.status == 503 }},
		{FaultExpireURL, http.MethodGet, ClassContent, 0, func(o outcome) bool { return o.status == 403 }},
		{FaultExpireURL, http.MethodGet, ClassAPI, 1, func(o outcome) bool { return bytes.Equal(o.body, networkBody) }},
		{FaultCorrupt, http.MethodGet, ClassResolve, 1, func(o outcome) bool {
			return o.err == nil && len(o.body) == len(networkBody) && !bytes.Equal(o.body, networkBody)
		}},
		{FaultCorrupt, http.MethodGet, ClassAPI, 1, func(o outcome) bool { return bytes.Equal(o.body, networkBody) }},
		{FaultLanded500, http.MethodPost, ClassCommit, 1, func(o outcome) bool { return o.status == 500 }},
		{FaultLostAnswer, http.MethodPost, ClassCommit, 1, func(o outcome) bool { return o.err != nil }},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault)+" "+tt.method+" "+tt.class, func(t *testing.T) {
			url, ran := shaped(t, tt.class, always(tt.fault))
			var o outcome
			o.status, o.body, o.err = fetch(t, tt.method, url)
			if !tt.check(o) {
				t.Errorf("status %d, %d bytes, %v", o.status, len(o.body), o.err)
			}
			if int(ran.Load()) != tt.ran {
				t.Errorf("the handler ran %d times, want %d", ran.Load(), tt.ran)
			}
		})
	}
}

func TestNetworkIsDeterministic(t *testing.T) {
	sequence := func() []bool {
		n := newNetwork(Network{Faults: map[Fault]float64{FaultReset: 0.5}, Seed: 7})
		var s []bool
		for range 64 {
			s = append(s, n.strikes(FaultReset))
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

// A shaped answer can be slower than asked on a busy machine, never faster.
func TestBandwidthAndLatency(t *testing.T) {
	for name, conf := range map[string]Network{
		"in all":       {Bandwidth: 1 << 20},
		"a connection": {ConnectionBandwidth: 1 << 20},
		"latency":      {Latency: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := shaped(t, ClassContent, conf)
			start := time.Now()
			if _, body, err := fetch(t, http.MethodGet, url); err != nil || !bytes.Equal(body, networkBody) {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			// 128 KiB at 1 MiB/s are 125 ms.
			if took := time.Since(start); took < 90*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
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
