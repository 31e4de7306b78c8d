package control

import (
	"context"
	"fmt"
	"net"
	"os"
)

// allowPeer is the rule for who may speak to a server of user own.
func allowPeer(peer, own uint32) error {
	if peer != own && peer != 0 {
		return fmt.Errorf("user %d may not speak to the daemon of user %d", peer, own)
	}
	return nil
}

// checkPeer refuses a connection whose other end is another user than ours, and not root.
func checkPeer(conn *net.UnixConn) error {
	uid, err := peerUser(conn)
	if err != nil {
		return err
	}
	return allowPeer(uid, uint32(os.Getuid()))
}

// peerKey holds in a request's context who sent it.
type peerKey struct{}

// withPeer notes who is at the other end of a connection that checkPeer has let in.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if unix, ok := conn.(*net.UnixConn); ok {
		if uid, err := peerUser(unix); err == nil {
			return context.WithValue(ctx, peerKey{}, uid)
		}
	}
	return ctx
}

// peerOf is the user that sent a request; ourselves where it came another way.
func peerOf(ctx context.Context) uint32 {
	if uid, ok := ctx.Value(peerKey{}).(uint32); ok {
		return uid
	}
	return uint32(os.Getuid())
}
