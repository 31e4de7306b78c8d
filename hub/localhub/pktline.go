package localhub

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Packets of git's protocol, version 2: four hex digits of length, themselves
// counted, and so many bytes less four. Lengths below four are marks. (The
// library's scanner knows no marks but the flush.)
//
// https://git-scm.com/docs/gitprotocol-v2

const (
	pktFlush = "0000"
	pktDelim = "0001"
	// maxPktData is what a packet holds at most.
	maxPktData = 65516
)

// pkt is one packet. A mark has no text.
type pkt struct {
	mark string // pktFlush, pktDelim or "" for a line
	text string // without the newline at its end
}

// readPkt reads a packet; io.EOF is the end between two.
func readPkt(r io.Reader) (pkt, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return pkt{}, err
	}
	switch string(head[:]) {
	case pktFlush, pktDelim:
		return pkt{mark: string(head[:])}, nil
	}
	var n [2]byte
	if _, err := hex.Decode(n[:], head[:]); err != nil {
		return pkt{}, badRequest("A packet has no length")
	}
	size := int(n[0])<<8 | int(n[1])
	if size < 4 || size-4 > maxPktData {
		return pkt{}, badRequest("A packet has the length %d", size)
	}
	text := make([]byte, size-4)
	if _, err := io.ReadFull(r, text); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return pkt{}, err
	}
	return pkt{text: strings.TrimSuffix(string(text), "\n")}, nil
}

// pktWriter writes packets and remembers the first failure.
type pktWriter struct {
	w   io.Writer
	buf bytes.Buffer
	err error
}

func (p *pktWriter) linef(format string, args ...any) {
	p.buf.Reset()
	fmt.Fprintf(&p.buf, format+"\n", args...)
	p.packet(p.buf.Bytes())
}

func (p *pktWriter) packet(b []byte) {
	p.raw(fmt.Appendf(nil, "%04x", len(b)+4))
	p.raw(b)
}

func (p *pktWriter) mark(m string) { p.raw([]byte(m)) }

func (p *pktWriter) raw(b []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
}

// band writes the bytes of a pack into packets of band 1, the data's.
type band struct{ p *pktWriter }

func (b band) Write(data []byte) (int, error) {
	n := len(data)
	for len(data) > 0 && b.p.err == nil {
		part := data[:min(len(data), maxPktData-1)]
		b.p.raw(fmt.Appendf(nil, "%04x\x01", len(part)+5))
		b.p.raw(part)
		data = data[len(part):]
	}
	return n, b.p.err
}
