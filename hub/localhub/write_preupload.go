package localhub

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

type preuploadBody struct {
	Files []struct {
		Path   string `json:"path"`
		Sample []byte `json:"sample"` // base64; what it starts with plays no part here
		Size   int64  `json:"size"`
	} `json:"files"`
	GitIgnore     *string `json:"gitIgnore"`
	GitAttributes *string `json:"gitAttributes"`
}

// preupload answers how each of some files is to be uploaded, and what is at its
// path now.
func (c *call) preupload() error {
	q, err := c.query("create_pr")
	if err != nil {
		return err
	}
	pr, err := flag(q, "create_pr")
	if err != nil {
		return err
	}
	rev, err := c.writableRevision(pr)
	if err != nil {
		return err
	}
	var body preuploadBody
	if err := c.body(&body); err != nil {
		return err
	}
	commit, err := c.repo.resolveCommit(rev)
	if err != nil {
		return err
	}
	rules, err := c.repo.textOr(commit, gitattributesFile, body.GitAttributes)
	if err != nil {
		return err
	}
	ignored, err := c.repo.textOr(commit, ".gitignore", body.GitIgnore)
	if err != nil {
		return err
	}
	tracked, ignore := parseAttributes(rules), parseIgnore(ignored)
	files := make([]map[string]any, 0, len(body.Files))
	for _, f := range body.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if f.Size < 0 {
			return badRequest("The size of %s is negative", oneLine(f.Path))
		}
		mode := "regular"
		if f.Path != gitattributesFile && (f.Size > maxRegular || tracked.isLFS(f.Path)) {
			mode = "lfs"
		}
		item := map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": ignore.Match(strings.Split(f.Path, "/"), false)}
		e, err := c.repo.git.Lookup(commit.Tree, f.Path)
		switch {
		case err == nil && e.LFS != nil:
			item["oid"] = e.LFS.OID
		case err == nil && !e.IsDir():
			item["oid"] = e.OID.String()
		case err != nil && !errors.Is(err, gitstore.ErrNotFound):
			return err
		}
		files = append(files, item)
	}
	return c.json(map[string]any{"files": files, "commitOid": commit.OID.String()})
}

// textOr is the given text, or else that of a file at the root of the commit.
func (r *repo) textOr(commit *gitstore.Commit, name string, given *string) ([]byte, error) {
	if given != nil {
		return []byte(*given), nil
	}
	e, err := r.git.Lookup(commit.Tree, name)
	if errors.Is(err, gitstore.ErrNotFound) || err == nil && (e.IsDir() || e.LFS != nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := r.git.Read(e.OID)
	if err != nil {
		return nil, err
	}
	return o.Content, nil
}

func parseIgnore(text []byte) gitignore.Matcher {
	var patterns []gitignore.Pattern
	for line := range bytes.Lines(text) {
		l := strings.TrimRight(string(line), "\r\n")
		if strings.TrimSpace(l) != "" && !strings.HasPrefix(l, "#") {
			patterns = append(patterns, gitignore.ParsePattern(l, nil))
		}
	}
	return gitignore.NewMatcher(patterns)
}

// cardRules are the attributes of a card that must have a certain form.
var cardRules = []struct {
	key  string
	ok   func(any) bool
	want string
}{
	{"tags", isTextList, "a list of texts"},
	{"datasets", isTextOrList, "a text or a list of texts"},
	{"models", isTextOrList, "a text or a list of texts"},
	{"language", isTextOrList, "a text or a list of texts"},
	{"license", isTextOrList, "a text or a list of texts"},
	{"metrics", isTextList, "a list of texts"},
	{"base_model", isTextOrList, "a text or a list of texts"},
	{"library_name", isText, "a text"},
	{"pipeline_tag", isText, "a text"},
	{"pretty_name", isText, "a text"},
	{"task_categories", isTextOrList, "a text or a list of texts"},
	{"size_categories", isTextOrList, "a text or a list of texts"},
	{"model-index", func(v any) bool { _, ok := v.([]any); return ok }, "a list"},
}

func isText(v any) bool { _, ok := v.(string); return ok }

func isTextList(v any) bool {
	list, ok := v.([]any)
	for _, e := range list {
		ok = ok && isText(e)
	}
	return ok
}

func isTextOrList(v any) bool { return isText(v) || isTextList(v) }

// validateYAML checks the metadata of a README.md before it is uploaded.
func (c *call) validateYAML() error {
	if _, err := c.query(); err != nil {
		return err
	}
	var body struct {
		Content  string `json:"content"`
		RepoType string `json:"repoType"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if body.RepoType != "" && !validType(body.RepoType) {
		return badRequest("%q is no type of repository", oneLine(body.RepoType))
	}
	type note struct {
		Message string `json:"message"`
	}
	out := map[string][]note{"errors": {}, "warnings": {}}
	data, found, err := parseCard([]byte(body.Content))
	switch {
	case err != nil:
		out["errors"] = append(out["errors"], note{oneLine(err.Error())})
	case !found || len(data) == 0:
		out["warnings"] = append(out["warnings"], note{"empty or missing yaml metadata in repo card"})
	}
	for _, r := range cardRules {
		if v, ok := data[r.key]; ok && v != nil && !r.ok(v) {
			out["errors"] = append(out["errors"], note{`"` + r.key + `" must be ` + r.want})
		}
	}
	if sdk, ok := data["sdk"]; ok && body.RepoType == Space && !isSDK(sdk) {
		out["errors"] = append(out["errors"], note{`"sdk" must be one of [` + strings.Join(spaceSDKs, ", ") + `]`})
	}
	if errs := out["errors"]; len(errs) > 0 {
		e := badRequest("Invalid metadata in README.md: %s", errs[0].Message)
		e.Fields = map[string]any{"errors": errs, "warnings": out["warnings"]}
		return e
	}
	writeJSON(c.w, http.StatusOK, "application/json; charset=utf-8", out)
	return nil
}

func isSDK(v any) bool {
	s, ok := v.(string)
	for _, sdk := range spaceSDKs {
		if ok && s == sdk {
			return true
		}
	}
	return false
}
