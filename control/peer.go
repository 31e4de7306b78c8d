package control

import "fmt"

// allowPeer is the rule for who may speak to a server of user own.
func allowPeer(peer, own uint32) error {
	if peer != own && peer != 0 {
		return fmt.Errorf("user %d may not speak to the daemon of user %d", peer, own)
	}
	return nil
}
