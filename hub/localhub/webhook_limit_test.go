package localhub_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

const webhooksAt = "/api/settings/webhooks"

// hooked is a Hub with a webhook of alice's on a receiver that answers with status, and
// what came to it.
func hooked(t *testing.T, status *atomic.Int32, at *clock) (s *hubtest.Server, id string, came chan struct{}) {
	t.Helper()
	s = world(t, hubtest.WithClock(at.now))
	came = make(chan struct{}, 2000)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		came <- struct{}{}
	}))
	t.Cleanup(receiver.Close)
	hook := post(t, s, webhooksAt, `{"url":"`+receiver.URL+`","watched":[{"type":"model","name":"alice/m"}]}`, "hf_alice")
	return s, hook["webhook"].(map[string]any)["id"].(string), came
}

// toggle makes an event n times, and waits until the receiver has got it.
func toggle(t *testing.T, s *hubtest.Server, came chan struct{}, n int) {
	t.Helper()
	for range n {
		private := true
		must(t, s.Hub.UpdateRepo(localhub.Model, "alice/m", localhub.RepoUpdate{Private: &private}))
	}
	for range n {
		select {
		case <-came:
		case <-time.After(30 * time.Second):
			t.Fatal("an event isn't told of")
		}
	}
}

func TestWebhookOfTheDay(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusOK)
	at := newClock()
	s, _, came := hooked(t, &status, at)
	for range 10 {
		toggle(t, s, came, 100)
	}
	private := false
	must(t, s.Hub.UpdateRepo(localhub.Model, "alice/m", localhub.RepoUpdate{Private: &private}))
	restart(s) // ends what is under way, and forgets no count
	must(t, s.Hub.UpdateRepo(localhub.Model, "alice/m", localhub.RepoUpdate{Private: &private}))
	at.pass(23 * time.Hour)
	must(t, s.Hub.UpdateRepo(localhub.Model, "alice/m", localhub.RepoUpdate{Private: &private}))
	restart(s)
	if n := len(came); n != 0 {
		t.Errorf("%d events too many", n)
	}
	at.pass(2 * time.Hour)
	toggle(t, s, came, 2)
}

func TestWebhookSuspendsAFailingReceiver(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusNotFound)
	s, id, came := hooked(t, &status, newClock())
	state := func(want any) { // comes a moment after the receiver has answered
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			got := ask(t, s, "GET", webhooksAt+"/"+id, "hf_alice", "", 200)["webhook"].(map[string]any)["disabled"]
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("disabled is %v, want %v", got, want)
			}
		}
	}
	toggle(t, s, came, 19)
	status.Store(http.StatusNoContent)
	toggle(t, s, came, 1) // the count begins again
	status.Store(http.StatusGone)
	toggle(t, s, came, 19)
	state(false)
	toggle(t, s, came, 1)
	state("suspended-after-failure")
	private := true
	must(t, s.Hub.UpdateRepo(localhub.Model, "alice/m", localhub.RepoUpdate{Private: &private})) // nobody is told
	restart(s)
	state("suspended-after-failure")
	if n := len(came); n != 0 {
		t.Errorf("%d events of a webhook that is suspended", n)
	}
	status.Store(http.StatusOK)
	run(t, s, []request{{"POST", webhooksAt + "/" + id + "/enable", "hf_alice", "", 200, `"disabled":false`}})
	toggle(t, s, came, 1)
}
