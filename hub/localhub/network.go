package localhub

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Fault is a kind of misbehaviour of the network or of the Hub.
type Fault string

// The faults. Those that break a connection leave it to the client to find out.
const (
	FaultReset      Fault = "reset"       // the connection is reset, in the middle of the answer or of an upload
	FaultTruncate   Fault = "truncate"    // the connection ends before the announced length
	FaultStall      Fault = "stall"       // the answer stops in the middle, the connection stays open
	FaultStatus429  Fault = "status-429"  // too many requests, with how long to wait
	FaultStatus503  Fault = "status-503"  // unavailable
	FaultExpireURL  Fault = "expire-url"  // a signed URL is refused as expired
	FaultCorrupt    Fault = "corrupt"     // a bit of a file's content is wrong
	FaultLanded500  Fault = "landed-500"  // a write is done, and answered with 500
	FaultLostAnswer Fault = "lost-answer" // a write is done, and the connection ends without an answer
	FaultStaleHead  Fault = "stale-head"  // repository info tells the commit before the head
)

// Faults lists all kinds of faults.
func Faults() []Fault {
	return []Fault{
		FaultReset, FaultTruncate, FaultStall, FaultStatus429, FaultStatus503,
		FaultExpireURL, FaultCorrupt, FaultLanded500, FaultLostAnswer, FaultStaleHead,
	}
}

// ParseFaults reads KIND=RATE,…, with rates from 0 to 1: "reset=0.05,stall=0.01".
func ParseFaults(s string) (map[Fault]float64, error) {
	faults := make(map[Fault]float64)
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		kind, value, ok := strings.Cut(item, "=")
		if !ok {
			return nil, fmt.Errorf("fault %q: want KIND=RATE, such as reset=0.05", item)
		}
		if !slices.Contains(Faults(), Fault(kind)) {
			return nil, fmt.Errorf("fault %q: there are %v", kind, Faults())
		}
		p, err := strconv.ParseFloat(value, 64)
		if err != nil || !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("fault %q: the rate is a number from 0 to 1", item)
		}
		faults[Fault(kind)] = p
	}
	return faults, nil
}

// byteUnits are the units of ParseBandwidth, longest suffix first.
var byteUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// ParseBandwidth reads bytes a second: "200MB/s", "1.5GiB/s", "1000".
func ParseBandwidth(s string) (int64, error) {
	number := strings.TrimSuffix(strings.TrimSpace(s), "/s")
	for _, unit := range byteUnits {
		digits, ok := strings.CutSuffix(number, unit.suffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64); err == nil && n >= 0 && n*unit.bytes < 1<<62 {
			return int64(n * unit.bytes), nil
		}
		break
	}
	return 0, fmt.Errorf("bandwidth %q: want bytes a second, such as 200MB/s", s)
}

// Network says how the network, and the Hub, misbehave. The zero value doesn't.
type Network struct {
	Latency             time.Duration     // added to each answer: one round trip
	Bandwidth           int64             // bytes a second in all, each way; 0 is unlimited
	ConnectionBandwidth int64             // bytes a second for each connection, each way; 0 is unlimited
	Faults              map[Fault]float64 // probability of each fault, for each request that it can happen to
	URLTTL              time.Duration     // how long a URL for a download is valid; 0 is one hour
	Seed                int64             // of the random choices: the same requests in the same order meet the same faults
}

// network applies a Network to requests.
type network struct {
	log *slog.Logger

	mu       sync.Mutex // guards all below
	conf     Network
	rng      *rand.Rand
	down, up *rate.Limiter // of Bandwidth, shared by all; nil is unlimited
}

func newNetwork(conf Network, log *slog.Logger) *network {
	n := &network{log: log}
	n.set(conf)
	return n
}

func (n *network) set(conf Network) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conf = conf
	n.rng = rand.New(rand.NewPCG(uint64(conf.Seed), 0))
	n.down, n.up = newLimiter(conf.Bandwidth), newLimiter(conf.Bandwidth)
}

// urlTTL is how long a URL that is signed now is valid.
func (n *network) urlTTL() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conf.URLTTL != 0 {
		return n.conf.URLTTL
	}
	return time.Hour
}

// strikes decides whether a fault happens to a request now.
func (n *network) strikes(f Fault, r *http.Request) bool {
	n.mu.Lock()
	p := n.conf.Faults[f]
	hit := p > 0 && n.rng.Float64() < p
	n.mu.Unlock()
	if hit {
		n.log.InfoContext(r.Context(), "fault", "kind", string(f), "method", r.Method, "path", r.URL.EscapedPath())
	}
	return hit
}

// pick is a random number below max, for where a fault happens.
func (n *network) pick(max int64) int64 {
	if max <= 0 {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Int64N(max)
}

// wrap lets requests of a class go through the network.
func (n *network) wrap(next http.Handler, class string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		conf, down, up := n.conf, n.down, n.up
		n.mu.Unlock()
		if conf.plain() {
			next.ServeHTTP(w, r)
			return
		}
		if err := sleep(r.Context(), conf.Latency); err != nil {
			return
		}
		// A connection of HTTP/1.1 carries one request and one answer at a time, so
		// limiters for them are ones for the connection.
		f := &flow{ResponseWriter: w, ctx: r.Context(), limits: limits(down, newLimiter(conf.ConnectionBandwidth))}
		body := &bodyFlow{ReadCloser: r.Body, ctx: r.Context(), limits: limits(up, newLimiter(conf.ConnectionBandwidth)), flow: f}
		through := r.WithContext(r.Context())
		through.Body = body
		if len(conf.Faults) > 0 && n.spoil(f, body, through, class, next) {
			return
		}
		next.ServeHTTP(f, through)
	})
}

// plain tells if requests need not go through the network at all.
func (c Network) plain() bool {
	return c.Latency <= 0 && c.Bandwidth <= 0 && c.ConnectionBandwidth <= 0 && len(c.Faults) == 0
}
