package hub

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// failing answers with each status in turn, then with success.
func failing(sent *atomic.Int32, statuses []int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := int(sent.Add(1))
		if n <= len(statuses) {
			reply(statuses[n-1], `{"error":"again"}`, header...)(w, r)
			return
		}
		reply(200, `{"id":"ns/name","name":"u"}`)(w, r)
	}
}

func TestRetryStatuses(t *testing.T) {
	for _, tt := range []struct {
		status int
		again  bool
	}{
		{408, true}, {429, true}, {500, true}, {502, true}, {503, true}, {504, true},
		{400, false}, {401, false}, {403, false}, {404, false}, {409, false}, {412, false}, {501, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var sent atomic.Int32
			c := fake(t, failing(&sent, []int{tt.status, tt.status}))
			_, err := c.WhoAmI(t.Context())
			if again := sent.Load() == 3 && err == nil; again != tt.again {
				t.Errorf("%d: %d requests, %v", tt.status, sent.Load(), err)
			}
			if want := int64(0); tt.again {
				want = 2
				if got := c.Stats().Retries; got != want {
					t.Errorf("%d retries counted", got)
				}
			}
		})
	}
}

func TestRetryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := fake(t, failing(&sent, []int{503, 503, 503, 503, 503, 503, 503, 503, 503}))
		start := time.Now()
		_, err := c.WhoAmI(t.Context())
		wantKind(t, err, ErrUnavailable)
		if sent.Load() != 6 {
			t.Errorf("%d requests", sent.Load())
		}
		// 0.5, 1, 2, 4 and 8 seconds, each at least half of it.
		if d := time.Since(start); d < 7*time.Second || d > 16*time.Second {
			t.Errorf("waited %s", d)
		}
	})
}

func TestRetryStopsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := fake(t, failing(&sent, []int{503}, "Retry-After", "60"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.WhoAmI(ctx)
		wantKind(t, err, context.DeadlineExceeded)
		if d := time.Since(start); d != 5*time.Second || sent.Load() != 1 {
			t.Errorf("%s, %d requests", d, sent.Load())
		}
	})
}

func TestRetryAsTold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		header []string
		want   time.Duration
	}{
		{"quota", 429, []string{"RateLimit", `"api";r=0;t=37`, "Retry-After", "99"}, 37 * time.Second},
		{"retry-after", 429, []string{"RateLimit", `"api";r=500;t=200`, "Retry-After", "3"}, 3 * time.Second},
		{"date", 503, []string{"Retry-After", "Sat, 01 Jan 2000 00:00:42 GMT"}, 42 * time.Second}, // synctest begins at that midnight
		{"reset within the second", 429, []string{"RateLimit", `"api";r=0;t=0`}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent atomic.Int32
				c := fake(t, failing(&sent, []int{tt.status}, tt.header...))
				start := time.Now()
				if _, err := c.WhoAmI(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d != tt.want {
					t.Errorf("waited %s, want %s", d, tt.want)
				}
			})
		})
	}
}

func TestRetryTooLongToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := fake(t, failing(&sent, []int{429}, "Retry-After", "3600"))
		start := time.Now()
		_, err := c.WhoAmI(t.Context())
		wantKind(t, err, ErrRateLimited)
		var e *Error
		if !errors.As(err, &e) || e.RetryAfter != time.Hour || time.Since(start) != 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if c.Stats().RateLimited != 1 {
			t.Error("the 429 isn't counted")
		}
	})
}

func TestRetryOnlyWhatMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := fake(t, failing(&sent, []int{503, 503}))
		wantKind(t, c.MoveRepo(t.Context(), testRepo, "ns/other"), ErrUnavailable)
		wantKind(t, c.DeleteBranch(t.Context(), testRepo, "b"), ErrUnavailable)
		if sent.Load() != 2 {
			t.Errorf("%d requests for two", sent.Load())
		}

		sent.Store(0)
		private := true
		if err := c.UpdateRepoSettings(t.Context(), testRepo, RepoSettings{Private: &private}); err != nil || sent.Load() != 3 {
			t.Errorf("a PUT: %v after %d requests", err, sent.Load())
		}
	})
}

// A repeated request has its body again.
func TestRetryBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(b))
			if len(bodies) < 3 {
				reply(500, "")(w, r)
				return
			}
			reply(200, `[]`)(w, r)
		})
		if _, err := c.PathsInfo(t.Context(), testRepo, "main", []string{"a"}, false); err != nil {
			t.Fatal(err)
		}
		for _, b := range bodies {
			if b != "expand=false&paths=a" {
				t.Errorf("%q", bodies)
			}
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRetryNetworkErrors(t *testing.T) {
	for _, tt := range []struct {
		err   error
		again bool
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{io.ErrUnexpectedEOF, true},
		{http.ErrSchemeMismatch, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var sent atomic.Int32
			ok := inProcess{reply(200, `{"name":"u"}`)}
			c := fake(t, nil, func(cfg *Config) {
				cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					if sent.Add(1) == 1 {
						return nil, tt.err
					}
					return ok.RoundTrip(r)
				})
			})
			_, err := c.WhoAmI(t.Context())
			if tt.again != (err == nil) {
				t.Errorf("%v: %v", tt.err, err)
			}
			if err != nil {
				wantKind(t, err, ErrUnavailable)
				wantKind(t, err, tt.err)
			}
		})
	}
}

// A page that breaks off is asked for again, and none of its elements is given twice.
func TestRetryBrokenPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			if n++; n < 3 {
				reply(200, `[{"id":"a/a"},{"id":"a/`)(w, r)
				return
			}
			reply(200, `[{"id":"a/a"},{"id":"a/b"}]`)(w, r)
		})
		var ids []string
		for info, err := range c.ListRepos(t.Context(), Model, nil) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, info.ID)
		}
		if got := strings.Join(ids, " "); got != "a/a a/b" {
			t.Error(got)
		}
	})
}

// stalled is a body that gives some bytes and then nothing.
type stalled struct {
	ctx context.Context
	r   io.Reader
}

func (s stalled) Read(p []byte) (int, error) {
	if n, err := s.r.Read(p); err == nil {
		return n, nil
	}
	<-s.ctx.Done()
	return 0, context.Cause(s.ctx)
}

func (stalled) Close() error { return nil }

func TestStall(t *testing.T) {
	// No answer: three tries, the first of 10 s and two of 20 s, as each has cost so much.
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := fake(t, nil, func(cfg *Config) {
			cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				sent++
				<-r.Context().Done()
				return nil, context.Cause(r.Context())
			})
		})
		start := time.Now()
		_, err := c.WhoAmI(t.Context())
		wantKind(t, err, ErrUnavailable)
		if d := time.Since(start); sent != 3 || d < 50*time.Second || d > 65*time.Second {
			t.Errorf("%d requests in %s: %v", sent, d, err)
		}
	})
	// A body that stands still, after a pause of the reader that doesn't count.
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, nil, func(cfg *Config) {
			cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: http.StatusOK, Request: r, ContentLength: 10, Body: stalled{r.Context(), strings.NewReader("12345")},
					Header: http.Header{"X-Repo-Commit": {oid1}, "Etag": {`"` + oid2 + `"`}},
				}, nil
			})
		})
		content, err := c.OpenFile(t.Context(), FileRef{Repo: testRepo, Path: "x"}, Range{Len: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		time.Sleep(time.Hour)
		if n, err := content.Read(make([]byte, 10)); n != 5 || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		time.Sleep(time.Hour)
		start := time.Now()
		_, err = content.Read(make([]byte, 10))
		wantKind(t, err, ErrUnavailable)
		wantKind(t, err, ErrStalled)
		if d := time.Since(start); d != 20*time.Second {
			t.Errorf("gave up after %s", d)
		}
	})
	// What changes something may take its time to answer.
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(4 * time.Minute)
			reply(200, "OK")(w, r)
		})
		if err := c.DeleteRepo(t.Context(), testRepo, false); err != nil {
			t.Error(err)
		}
	})
}

// An upload may take as long as it moves, and the server its time to answer.
func TestUploadStalls(t *testing.T) {
	send := func(t *testing.T, rt roundTripper) (time.Duration, error) {
		t.Helper()
		c := fake(t, nil, func(cfg *Config) { cfg.Transport, cfg.Retries = rt, -1 })
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hub.test/api/x", strings.NewReader("0123456789"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, err := c.roundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return time.Since(start), err
	}
	read := func(r *http.Request, pieces int, pause time.Duration) {
		for range pieces {
			_, _ = r.Body.Read(make([]byte, 1))
			time.Sleep(pause)
		}
	}
	synctest.Test(t, func(t *testing.T) { // slow, but it moves
		d, err := send(t, func(r *http.Request) (*http.Response, error) {
			read(r, 11, 19*time.Second) // with the end
			time.Sleep(4 * time.Minute)
			return inProcess{reply(200, "")}.RoundTrip(r)
		})
		if err != nil {
			t.Errorf("%v after %s", err, d)
		}
	})
	synctest.Test(t, func(t *testing.T) { // stuck in the middle
		d, err := send(t, func(r *http.Request) (*http.Response, error) {
			read(r, 5, time.Second)
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		})
		wantKind(t, err, ErrUnavailable)
		if d != 24*time.Second {
			t.Errorf("gave up after %s", d)
		}
	})
	synctest.Test(t, func(t *testing.T) { // sent, and no answer
		d, err := send(t, func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadAll(r.Body)
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		})
		wantKind(t, err, ErrStalled)
		if d != 5*time.Minute {
			t.Errorf("gave up after %s", d)
		}
	})
}

func TestOffline(t *testing.T) {
	c := fake(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }, func(cfg *Config) { cfg.Offline = true })
	_, err := c.RepoInfo(t.Context(), testRepo, nil)
	wantKind(t, err, ErrOffline)
	_, err = c.OpenFile(t.Context(), FileRef{Repo: testRepo, Path: "x"}, Range{Len: -1})
	wantKind(t, err, ErrOffline)
	wantKind(t, c.DeleteRepo(t.Context(), testRepo, true), ErrOffline)
	_, err = c.PathsInfo(t.Context(), testRepo, "main", []string{"x"}, false)
	wantKind(t, err, ErrOffline)
	for _, err := range c.Tree(t.Context(), testRepo, "main", "", nil) {
		wantKind(t, err, ErrOffline)
	}
}

// A question that a reader waits for is asked once more after a few times what its like
// takes, and then has all the time that there is.
func TestHurry(t *testing.T) {
	const answer = `{"branches":[],"tags":[],"converts":[]}`
	for _, tt := range []struct {
		name  string
		usual time.Duration // of the answers before
		hangs func(*http.Request) (*http.Response, error)
		then  time.Duration // of the second answer
		took  time.Duration
		sent  int
	}{
		{"no answer", 30 * time.Millisecond, noAnswer, 0, minHurry, 2},
		{"half an answer", 30 * time.Millisecond, halfAnswer(answer), 0, minHurry + quickBackoff/2, 2},
		{"no answer of a slow Hub", time.Second, noAnswer, time.Second, 4*time.Second + time.Second, 2},
		{"a Hub that has become slow", 30 * time.Millisecond, noAnswer, 8 * time.Second, minHurry + 4*minHurry + 8*time.Second, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent, bad := 0, false
				c := fake(t, nil, func(cfg *Config) {
					cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
						sent++
						if bad && sent == 1 {
							return tt.hangs(r)
						}
						pause := tt.usual
						if bad {
							pause = tt.then
						}
						if err := sleep(r.Context(), pause); err != nil {
							return nil, context.Cause(r.Context())
						}
						return inProcess{reply(200, answer)}.RoundTrip(r)
					})
				})
				list := func() error {
					_, err := c.Refs(t.Context(), testRepo, false)
					return err
				}
				for range 3 {
					if err := list(); err != nil {
						t.Fatal(err)
					}
				}
				sent, bad = 0, true
				start := time.Now()
				if err := list(); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d < tt.took || d > tt.took+quickBackoff || sent != tt.sent {
					t.Errorf("%d requests, %v; want %d in %v", sent, d, tt.sent, tt.took)
				}
			})
		})
	}
}

func noAnswer(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func halfAnswer(answer string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Request: r, ContentLength: int64(len(answer)), Header: http.Header{},
			Body: stalled{r.Context(), strings.NewReader(answer[:len(answer)/2])},
		}, nil
	}
}
