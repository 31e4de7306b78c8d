package control

import (
	"net/http"
	"sync"
	"time"
)

// flushAfter is how long an element may stay in the server's buffer while the next isn't there.
const flushAfter = 50 * time.Millisecond

// promptWriter writes an answer whose parts come when they come: each is on its way soon after it was
// written, also where the next takes long, and many at once share a packet. A reader that stands still for
// slowReader breaks it off.
type promptWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController

	mu     sync.Mutex // guards the rest and w; held over writes to the socket
	timer  *time.Timer
	armed  bool
	closed bool
}

func newPromptWriter(w http.ResponseWriter) *promptWriter {
	return &promptWriter{w: w, rc: http.NewResponseController(w)}
}

func (p *promptWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed {
		p.armed = true
		_ = p.rc.SetWriteDeadline(time.Now().Add(slowReader))
		if p.timer == nil {
			p.timer = time.AfterFunc(flushAfter, p.flush)
		} else {
			p.timer.Reset(flushAfter)
		}
	}
	return p.w.Write(b)
}

func (p *promptWriter) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if !p.closed {
		_ = p.rc.Flush() // a caller that is gone shows at the next write
	}
}

// close must be called before the handler returns. The connection may be used again.
func (p *promptWriter) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	_ = p.rc.SetWriteDeadline(time.Time{})
}
