package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// What who makes commits again and again needs to know of those that fail.

// NewMark is a Mark for a commit that is to be found again: a random UUID.
func NewMark() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// MayHaveLanded says whether a commit that failed with err could be on the server all the same;
// FindCommit tells.
func MayHaveLanded(err error) bool {
	return errors.Is(err, ErrAmbiguousCommit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// SplittingHelps says whether a refusal may be of some of a commit's operations only, without saying
// which: the rest goes if it goes by itself.
func SplittingHelps(err error) bool {
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnprocessable) || errors.Is(err, ErrBadRequest)
}

// PathIn finds the path that a server's message names: of those that are in it as a word or in quotes the
// longest, "" if none is.
func PathIn(message string, paths []string) string {
	found := ""
	for _, path := range paths {
		i := strings.Index(message, path)
		if i < 0 || len(path) < len(found) {
			continue
		}
		end := i + len(path)
		if (i == 0 || strings.ContainsRune(` "'`+"`:(", rune(message[i-1]))) &&
			(end == len(message) || strings.ContainsRune(` "'`+"`:,.)", rune(message[end]))) {
			found = path
		}
	}
	return found
}
