package blobcache

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// A link of 30 ms, 25 MB/s a connection and 200 MB/s in all, in the time of
// testing/synctest: only what waits takes time, so that the figures are the same on
// every machine, however busy it is.
var link = localhub.Network{Latency: 30 * time.Millisecond, ConnectionBandwidth: 25e6, Bandwidth: 200e6}

// pipes are the connections to one server, in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes(t *testing.T, h http.Handler) *pipes {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(p) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial makes a connection, which takes a round trip.
func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	if err := sleepFor(ctx, link.Latency); err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// onLink is a cache before an embedded Hub with one file, and the Hub.
func onLink(t *testing.T, size int64) (*localhub.Hub, *Cache, File) {
	h, err := localhub.New(localhub.Options{Root: t.TempDir(), NoSync: true, Users: []localhub.User{{Name: "alice", Token: "hf_alice"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.CreateRepo("model", "alice/m", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	ref, err := h.PutLFS(io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	f := File{Repo: hub.Repo{Type: hub.Model, ID: "alice/m"}, Revision: "main", Path: "f", Hash: ref.OID, Size: size}
	f.Commit, err = h.Commit("model", "alice/m", "main", localhub.CommitInput{
		Title: "f", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "f", LFS: &ref}},
	})
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]*pipes{"api.test:80": newPipes(t, h), "content.test:80": newPipes(t, h.ContentHandler())}
	if err := h.SetContentURL("http://content.test"); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		DialContext:         func(ctx context.Context, _, addr string) (net.Conn, error) { return servers[addr].dial(ctx) },
		MaxIdleConnsPerHost: 64, ReadBufferSize: 32 << 10,
	}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := hub.New(hub.Config{Endpoint: "http://api.test", Token: hub.StaticToken("hf_alice"), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	c, err := Open(Options{Hub: client, CacheDir: filepath.Join(top, "hub"), Dir: filepath.Join(top, "hubfs")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return h, c, f
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// readThrough reads a file as the kernel does for `cat`.
func readThrough(t *testing.T, c *Cache, f File) {
	b, err := c.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := make([]byte, 128<<10)
	for off := int64(0); off < f.Size; off += int64(len(p)) {
		if n, err := b.ReadAt(t.Context(), p[:min(int64(len(p)), f.Size-off)], off); err != nil {
			t.Fatalf("read at %d: %d, %v", off, n, err)
		}
	}
}

// coldRead is how long it takes to read a file of that size over a network.
func coldRead(t *testing.T, size int64, network localhub.Network) (took time.Duration, retries int64) {
	synctest.Test(t, func(t *testing.T) {
		h, c, f := onLink(t, size)
		h.SetNetwork(network)
		start := time.Now()
		readThrough(t, c, f)
		took, retries = time.Since(start), c.Stats().Retries
		if n := h.Counts().ContentBytes; n > size+size/20 {
			t.Errorf("%d bytes were fetched of %d", n, size)
		}
		h.SetNetwork(localhub.Network{})
	})
	return took, retries
}

func TestSequentialReadFillsTheLink(t *testing.T) {
	const size = 256 << 20
	took, _ := coldRead(t, size, link)
	// All that is lost is at the start: round trips, and requests that aren't many yet.
	if lost := took - time.Duration(float64(size)/float64(link.Bandwidth)*float64(time.Second)); lost > 500*time.Millisecond {
		t.Errorf("%v, of which %v aren't the link's", took, lost)
	}
}

// sixFaults is the link, with one answer in twenty going wrong in each of six ways.
func sixFaults(seed int64) localhub.Network {
	bad := link
	bad.Seed = seed
	bad.Faults = make(map[localhub.Fault]float64)
	for _, f := range []localhub.Fault{
		localhub.FaultReset, localhub.FaultTruncate, localhub.FaultStall, localhub.FaultStatus429, localhub.FaultStatus503, localhub.FaultExpireURL,
	} {
		bad.Faults[f] = 0.05
	}
	return bad
}

// What faults cost depends on which answers they hit, but it is never the 20 s that the
// client would wait for an answer. While a range has to wait, as storage told, others use
// the link: half of such runs took 4.6 s and more where they didn't, and take 3.4 s.
func TestFaultsCostLittle(t *testing.T) {
	var all []time.Duration
	for seed := int64(3); seed < 8; seed++ {
		took, retries := coldRead(t, 256<<20, sixFaults(seed))
		if took > 15*time.Second || retries == 0 {
			t.Errorf("seed %d: %v, with %d retries", seed, took, retries)
		}
		all = append(all, took)
	}
	slices.Sort(all)
	if median := all[len(all)/2]; median > 4200*time.Millisecond {
		t.Errorf("half of the reads took %v and more: %v", median, all)
	}
}

// Storage that refuses everything is asked no more often than it tells: each range of
// those at a time once a second.
func TestRefusalsAreObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 256 << 20
		h, c, f := onLink(t, size)
		h.SetNetwork(link)
		b, err := c.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		p := make([]byte, 1<<20)
		for off := int64(0); off < 16<<20; off += int64(len(p)) {
			if _, err := b.ReadAt(t.Context(), p, off); err != nil {
				t.Fatal(err)
			}
		}
		bad := link
		bad.Faults = map[localhub.Fault]float64{localhub.FaultStatus429: 1}
		h.SetNetwork(bad)
		time.Sleep(2 * time.Second) // what was under way has ended
		before := h.Counts().Content
		const seconds = 20
		ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
		defer cancel()
		for off := int64(16 << 20); ctx.Err() == nil; off += int64(len(p)) {
			b.ReadAt(ctx, p, off) //nolint:errcheck // some of it may be here
		}
		if n := h.Counts().Content - before; n < seconds || n > (aheadPerBlob+maxPaused+2)*(seconds+1) {
			t.Errorf("%d requests in %d s", n, seconds)
		}
		h.SetNetwork(localhub.Network{})
	})
}
