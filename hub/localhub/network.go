package localhub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
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
	FaultReset      Fault = "reset"       // the connection is reset, before or in the middle of the answer
	FaultTruncate   Fault = "truncate"    // the connection ends before the announced length
	FaultStall      Fault = "stall"       // the answer stops in the middle, the connection stays open
	FaultStatus429  Fault = "status-429"  // too many requests, with how long to wait
	FaultStatus503  Fault = "status-503"  // unavailable
	FaultExpireURL  Fault = "expire-url"  // a signed URL is refused as expired
	FaultCorrupt    Fault = "corrupt"     // a bit of a file's content is wrong
	FaultLanded500  Fault = "landed-500"  // a commit is made, and answered with 500
	FaultLostAnswer Fault = "lost-answer" // a commit is made, and the connection ends without an answer
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
	Bandwidth           int64             // bytes a second in all; 0 is unlimited
	ConnectionBandwidth int64             // bytes a second for each connection; 0 is unlimited
	Faults              map[Fault]float64 // probability of each fault, for each request that it can happen to
	URLTTL              time.Duration     // how long a signed URL is valid; 0 is one hour
	Seed                int64             // of the random choices
}

// stallBound ends a stalled answer whose client doesn't leave.
const stallBound = 2 * time.Minute

// network applies a Network to requests.
type network struct {
	mu   sync.Mutex // guards all
	conf Network
	rng  *rand.Rand
	link *rate.Limiter // of Bandwidth, shared by all; nil is unlimited
}

func newNetwork(conf Network) *network {
	n := &network{}
	n.set(conf)
	return n
}

func (n *network) set(conf Network) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conf = conf
	n.rng = rand.New(rand.NewPCG(uint64(conf.Seed), 0))
	n.link = newLimiter(conf.Bandwidth)
}

// newLimiter limits to so many bytes a second, in steps of a few milliseconds'
// worth, so that a shaped connection flows rather than bursts.
func newLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	l := rate.NewLimiter(rate.Limit(bytesPerSecond), shapedWrite)
	l.AllowN(time.Now(), shapedWrite) // starts empty: there is no burst to spend
	return l
}

// shapedWrite is the most that a shaped answer writes at once, in bytes.
const shapedWrite = 32 << 10

// urlTTL is how long a URL that is signed now is valid.
func (n *network) urlTTL() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conf.URLTTL != 0 {
		return n.conf.URLTTL
	}
	return time.Hour
}

// strikes decides whether a fault happens now.
func (n *network) strikes(f Fault) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.conf.Faults[f]
	return p > 0 && n.rng.Float64() < p
}

// pick is a random number below max, for where in an answer a fault happens.
func (n *network) pick(max int64) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if max <= 0 {
		return 0
	}
	return n.rng.Int64N(max)
}

// wrap lets requests of a class go through the network.
func (n *network) wrap(next http.Handler, class string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		conf, link := n.conf, n.link
		n.mu.Unlock()
		if err := sleep(r.Context(), conf.Latency); err != nil {
			return
		}
		if len(conf.Faults) > 0 && n.refuse(w, r, class) {
			return
		}
		if class == ClassCommit && n.loseCommit(w, r, next) {
			return
		}
		// A connection of HTTP/1.1 carries one answer at a time, so a limiter for
		// the answer is one for the connection.
		limits := slices.DeleteFunc([]*rate.Limiter{link, newLimiter(conf.ConnectionBandwidth)}, func(l *rate.Limiter) bool { return l == nil })
		flow := &flow{ResponseWriter: w, ctx: r.Context(), limits: limits}
		if len(conf.Faults) > 0 {
			n.spoil(flow, r, class)
		}
		if len(limits) == 0 && flow.fault == "" {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(flow, r)
	})
}

// refuse answers in the place of the handler, if a fault says so.
func (n *network) refuse(w http.ResponseWriter, r *http.Request, class string) bool {
	switch {
	case n.strikes(FaultStatus429):
		w.Header().Set("Retry-After", "1")
		refusal(w, http.StatusTooManyRequests, "You are sending too many requests. Try again in 1 second.")
	case n.strikes(FaultStatus503):
		refusal(w, http.StatusServiceUnavailable, "The service is unavailable for the moment. Try again later.")
	case class == ClassContent && n.strikes(FaultExpireURL):
		refusal(w, http.StatusForbidden, "Request has expired")
	case r.Method != http.MethodGet && n.strikes(FaultReset):
		reset(w) // a request that writes is reset before it is looked at
	default:
		return false
	}
	return true
}

// refusal is an error in the form of the Hub's.
func refusal(w http.ResponseWriter, status int, message string) {
	w.Header().Set("X-Error-Message", message)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, message)
}

// loseCommit makes the commit and hides that, if a fault says so.
func (n *network) loseCommit(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	switch {
	case n.strikes(FaultLanded500):
		next.ServeHTTP(&unheard{header: http.Header{}}, r)
		refusal(w, http.StatusInternalServerError, "Internal Server Error")
	case n.strikes(FaultLostAnswer):
		next.ServeHTTP(&unheard{header: http.Header{}}, r)
		reset(w)
	default:
		return false
	}
	return true
}

// unheard is an answer that nobody gets.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) Write(p []byte) (int, error) { return len(p), nil }
func (u *unheard) WriteHeader(int)             {}

// spoil decides what goes wrong in the middle of the answer.
func (n *network) spoil(f *flow, r *http.Request, class string) {
	if r.Method != http.MethodGet {
		return
	}
	content := class == ClassContent || class == ClassResolve
	for _, fault := range []Fault{FaultReset, FaultTruncate, FaultStall} {
		if n.strikes(fault) {
			f.fault, f.pick = fault, n.pick
			return
		}
	}
	if content && n.strikes(FaultCorrupt) {
		f.fault, f.pick = FaultCorrupt, n.pick
	}
}

// flow is an answer on its way: slowed down, and perhaps spoilt.
type flow struct {
	http.ResponseWriter
	ctx     context.Context
	limits  []*rate.Limiter
	fault   Fault
	pick    func(int64) int64
	at      int64 // where in the body the fault happens
	written int64
	begun   bool
}

// Unwrap lets http.ResponseController reach the connection.
func (f *flow) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// WriteHeader also decides where in the body the fault will be.
func (f *flow) WriteHeader(status int) {
	if !f.begun && status >= 200 {
		f.begun = true
		length, err := strconv.ParseInt(f.Header().Get("Content-Length"), 10, 64)
		switch {
		case status >= 300 || err == nil && length == 0:
			if f.fault == FaultReset {
				reset(f.ResponseWriter)
				panic(http.ErrAbortHandler)
			}
			f.fault = ""
		case err != nil:
			f.at = f.pickAt(1 << 10) // a body of unknown length: early, if at all
		default:
			f.at = f.pickAt(length)
		}
	}
	f.ResponseWriter.WriteHeader(status)
}

func (f *flow) pickAt(length int64) int64 {
	if f.fault == "" {
		return 0
	}
	return f.pick(length)
}

func (f *flow) Write(p []byte) (int, error) {
	if !f.begun {
		f.WriteHeader(http.StatusOK)
	}
	total := 0
	for len(p) > 0 {
		step := p[:min(len(p), shapedWrite)]
		p = p[len(step):]
		for _, l := range f.limits {
			if err := l.WaitN(f.ctx, len(step)); err != nil {
				return total, err
			}
		}
		if f.fault != "" && f.written+int64(len(step)) > f.at {
			if err := f.strike(step); err != nil {
				return total, err
			}
			total += len(step)
			continue
		}
		n, err := f.ResponseWriter.Write(step)
		f.written += int64(n)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// strike writes the step in which the fault happens. An error is the end of the
// answer.
func (f *flow) strike(step []byte) error {
	split := max(f.at-f.written, 0)
	fault := f.fault
	f.fault = ""
	if fault == FaultCorrupt {
		spoilt := slices.Clone(step)
		spoilt[split] ^= 0x40
		n, err := f.ResponseWriter.Write(spoilt)
		f.written += int64(n)
		return err
	}
	if _, err := f.ResponseWriter.Write(step[:split]); err != nil {
		return err
	}
	if err := http.NewResponseController(f.ResponseWriter).Flush(); err != nil {
		return err
	}
	switch fault {
	case FaultReset:
		reset(f.ResponseWriter)
	case FaultStall:
		if err := sleep(f.ctx, stallBound); err != nil {
			return err
		}
	}
	// Ends the connection, with fewer bytes than were announced.
	panic(http.ErrAbortHandler)
}

// reset ends the connection of an answer as a crashed peer does.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // taken over already: the least is to end it
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // then it ends with a FIN instead
	}
	conn.Close()
}

// sleep waits, or fails with ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
