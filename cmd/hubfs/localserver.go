package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubfs/hubfs/hub/localhub"
)

// localServer is a Hub on local disk behind its two listeners: the API, and the content that signed
// URLs lead to.
type localServer struct {
	Hub        *localhub.Hub
	URL        string
	ContentURL string

	api, content *http.Server
	apiListener  net.Listener
	cListener    net.Listener
}

// openLocal opens the Hub and its listeners. contentURL is what clients reach contentAddr by; "" makes
// it from the address.
func openLocal(ctx context.Context, opts localhub.Options, apiAddr, contentAddr, contentURL string) (*localServer, error) {
	var lc net.ListenConfig
	apiListener, err := lc.Listen(ctx, "tcp", apiAddr)
	if err != nil {
		return nil, err
	}
	cListener, err := lc.Listen(ctx, "tcp", contentAddr)
	if err != nil {
		apiListener.Close()
		return nil, err
	}
	h, err := localhub.New(opts)
	if err != nil {
		apiListener.Close()
		cListener.Close()
		return nil, err
	}
	s := &localServer{
		Hub: h, URL: "http://" + apiListener.Addr().String(), ContentURL: contentURL,
		apiListener: apiListener, cListener: cListener,
	}
	if s.ContentURL == "" {
		s.ContentURL = "http://" + cListener.Addr().String()
	}
	if err := h.SetContentURL(s.ContentURL); err != nil {
		apiListener.Close()
		cListener.Close()
		return nil, errors.Join(err, h.Close())
	}
	log := slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	if opts.Logger != nil {
		log = slog.NewLogLogger(opts.Logger.Handler(), slog.LevelWarn)
	}
	s.api = &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 3 * time.Minute, ErrorLog: log}
	s.content = &http.Server{Handler: h.ContentHandler(), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 3 * time.Minute, ErrorLog: log}
	return s, nil
}

// close is for a server that hasn't served.
func (s *localServer) close() error {
	return errors.Join(s.apiListener.Close(), s.cListener.Close(), s.Hub.Close())
}

// serve answers until ctx ends, then lets running requests end for a while.
func (s *localServer) serve(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.api.Serve(s.apiListener) })
	g.Go(func() error { return s.content.Serve(s.cListener) })
	g.Go(func() error {
		<-gctx.Done()
		// The context is over by now: draining needs one of its own.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err := errors.Join(s.api.Shutdown(drain), s.content.Shutdown(drain))
		if err != nil { // clients that don't let go
			return errors.Join(err, s.api.Close(), s.content.Close())
		}
		return nil
	})
	err := g.Wait()
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return errors.Join(err, s.Hub.Close())
}

// loopback says whether only programs of this machine reach the address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sameHost is an address on the host of addr with another port.
func sameHost(addr, port string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", usagef("--listen: %v; write HOST:PORT", err)
	}
	return net.JoinHostPort(host, port), nil
}

func printLines(w io.Writer, lines ...string) {
	for _, l := range lines {
		fmt.Fprintln(w, l)
	}
}
