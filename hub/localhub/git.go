package localhub

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// The reading half of git's protocol over HTTP, version 2: clone, fetch, and any
// objects by their ids in one pack. What it can't do it doesn't announce: shallow
// clones, and the older protocols.
//
// https://git-scm.com/docs/gitprotocol-v2

const (
	gitUploadPack = "git-upload-pack"
	gitAgent      = "agent=localhub"
	// maxGitRequest bounds a request: 150,000 wanted objects.
	maxGitRequest = 8 << 20
)

// gitRefs tells git what the server can do.
//
//	GET /{id}.git/info/refs?service=git-upload-pack
func (c *call) gitRefs() error {
	if len(c.segs) != 1 || c.segs[0] != "refs" {
		return noRoute()
	}
	q, err := c.query("service")
	if err != nil {
		return err
	}
	if s := q.Get("service"); s != gitUploadPack {
		return fail(http.StatusForbidden, "%s isn't served: changes come by the API", oneLine(s))
	}
	if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	c.gitAnswer("advertisement")
	p := &pktWriter{w: c.w}
	p.linef("# service=%s", gitUploadPack)
	p.mark(pktFlush)
	if !slices.Contains(strings.Split(c.r.Header.Get("Git-Protocol"), ":"), "version=2") {
		p.linef("ERR this Hub speaks version 2 of git's protocol, which git has since 2.18: git config protocol.version 2")
		return nil
	}
	p.linef("version 2")
	p.linef(gitAgent)
	p.linef("ls-refs=unborn")
	p.linef("fetch=filter")
	p.linef("object-format=sha1")
	p.mark(pktFlush)
	return nil // a client that is gone needs no error
}

func (c *call) gitAnswer(kind string) {
	c.w.Header().Set("Content-Type", "application/x-"+gitUploadPack+"-"+kind)
	c.w.Header().Set("Cache-Control", "no-cache")
}

// gitRequest is a command of the protocol with its arguments.
type gitRequest struct {
	command string
	args    []string
}

// uploadPack answers one command.
//
//	POST /{id}.git/git-upload-pack
func (c *call) uploadPack() error {
	if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	req, err := c.gitRequest()
	if err != nil {
		return err
	}
	switch req.command {
	case "ls-refs":
		return c.lsRefs(req.args)
	case "fetch":
		return c.fetchPack(req.args)
	}
	return badRequest("There is no command %q", oneLine(req.command))
}

func (c *call) gitRequest() (*gitRequest, error) {
	var body io.Reader = http.MaxBytesReader(c.w, c.r.Body, maxGitRequest)
	if c.r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, badRequest("The body isn't gzip: %v", err)
		}
		body = io.LimitReader(z, maxGitRequest)
	}
	r := bufio.NewReader(body)
	var req gitRequest
	behind := false // the capabilities
	for {
		p, err := readPkt(r)
		switch {
		case errors.Is(err, io.EOF), err == nil && p.mark == pktFlush:
			return &req, nil
		case err != nil:
			var e *Error
			if errors.As(err, &e) {
				return nil, err
			}
			return nil, bodyError(err)
		case p.mark == pktDelim:
			behind = true
		case behind:
			req.args = append(req.args, p.text)
		default:
			if command, ok := strings.CutPrefix(p.text, "command="); ok {
				req.command = command
			}
			if f, ok := strings.CutPrefix(p.text, "object-format="); ok && f != "sha1" {
				return nil, badRequest("The objects are named by their sha1")
			}
		}
	}
}

func (c *call) lsRefs(args []string) error {
	var prefixes []string
	for _, a := range args {
		if p, ok := strings.CutPrefix(a, "ref-prefix "); ok {
			prefixes = append(prefixes, p)
		}
	}
	peel, symrefs, unborn := slices.Contains(args, "peel"), slices.Contains(args, "symrefs"), slices.Contains(args, "unborn")
	wanted := func(name string) bool {
		return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	refs, err := c.repo.git.Refs("refs/")
	if err != nil {
		return err
	}
	c.gitAnswer("result")
	p := &pktWriter{w: c.w}
	if wanted("HEAD") {
		main := refsHeads + "main"
		i := slices.IndexFunc(refs, func(r gitstore.Ref) bool { return r.Name == main })
		target := ""
		if symrefs {
			target = " symref-target:" + main
		}
		switch {
		case i >= 0:
			p.linef("%s HEAD%s", refs[i].OID, target)
		case unborn:
			p.linef("unborn HEAD%s", target)
		}
	}
	for _, r := range refs {
		if !wanted(r.Name) {
			continue
		}
		peeled := ""
		if peel {
			if id, err := c.repo.git.Peel(r.OID); err == nil && id != r.OID {
				peeled = " peeled:" + id.String()
			}
		}
		p.linef("%s %s%s", r.OID, r.Name, peeled)
	}
	p.mark(pktFlush)
	return nil
}

// fetchArgs are the arguments of the command fetch.
type fetchArgs struct {
	want, have []gitstore.OID
	done       bool
	noBlobs    bool
}

func parseFetch(args []string) (*fetchArgs, error) {
	var f fetchArgs
	for _, a := range args {
		key, value, _ := strings.Cut(a, " ")
		switch key {
		case "want", "have":
			id, ok := gitstore.ParseOID(value)
			if !ok {
				return nil, badRequest("%q is no object id", oneLine(value))
			}
			if key == "want" {
				f.want = append(f.want, id)
			} else {
				f.have = append(f.have, id)
			}
		case "done":
			f.done = true
		case "filter":
			switch value {
			case "blob:none":
				f.noBlobs = true
			default:
				return nil, badRequest("The filter %q isn't known: blob:none is", oneLine(value))
			}
		case "thin-pack", "no-progress", "include-tag", "ofs-delta":
			// allow what isn't done anyway
		default:
			return nil, badRequest("The argument %q wasn't announced", oneLine(key))
		}
	}
	if len(f.want) == 0 {
		return nil, badRequest("Nothing is wanted")
	}
	return &f, nil
}

func (c *call) fetchPack(args []string) error {
	f, err := parseFetch(args)
	if err != nil {
		return err
	}
	c.gitAnswer("result")
	p := &pktWriter{w: c.w}
	for _, id := range f.want {
		if ok, err := c.repo.git.Has(id); err != nil {
			return err
		} else if !ok {
			p.linef("ERR upload-pack: not our ref %s", id)
			return nil
		}
	}
	if !f.done {
		common, err := c.acknowledge(p, f.have)
		if err != nil || !common {
			return err
		}
	}
	ids, err := c.repo.git.Reachable(f.want, f.have, !f.noBlobs)
	if err != nil {
		return err
	}
	p.linef("packfile")
	out := bufio.NewWriterSize(band{p}, maxPktData-1)
	if err := c.repo.git.WritePack(out, ids); err != nil {
		if p.err == nil {
			p.packet([]byte("\x03the pack can't be made\n"))
			c.h.log.ErrorContext(c.r.Context(), "pack failed", "repo", c.repo.ID, "error", err)
		}
		return nil // the answer has begun
	}
	if err := out.Flush(); err == nil {
		p.mark(pktFlush)
	}
	return nil
}

// acknowledge says which of the commits that the client has are here, and whether
// there is one: the pack follows then.
func (c *call) acknowledge(p *pktWriter, have []gitstore.OID) (common bool, err error) {
	p.linef("acknowledgments")
	for _, id := range have {
		ok, err := c.repo.git.Has(id)
		if err != nil {
			return false, err
		}
		if ok {
			common = true
			p.linef("ACK %s", id)
		}
	}
	if !common {
		p.linef("NAK")
		p.mark(pktFlush)
		return false, nil
	}
	p.linef("ready")
	p.mark(pktDelim)
	return true, nil
}
