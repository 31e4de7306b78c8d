package localhub

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// expandable are the attributes that a client can ask for by name, by type.
var expandable = map[string][]string{
	Model: {
		"author", "baseModels", "cardData", "childrenModelCount", "config", "createdAt", "disabled", "downloads",
		"downloadsAllTime", "evalResults", "gated", "gguf", "gitalyUid", "inference", "inferenceProviderMapping", "lastModified",
		"library_name", "likes", "mask_token", "model-index", "pipeline_tag", "private", "resourceGroup", "safetensors",
		"sha", "siblings", "spaces", "tags", "transformersInfo", "trendingScore", "usedStorage", "widgetData", "xetEnabled",
	},
	Dataset: {
		"author", "cardData", "citation", "createdAt", "description", "disabled", "downloads", "downloadsAllTime", "gated", "gitalyUid",
		"lastModified", "likes", "mainSize", "paperswithcode_id", "private", "resourceGroup", "sha", "siblings", "tags",
		"trendingScore", "usedStorage", "xetEnabled",
	},
	Space: {
		"author", "cardData", "createdAt", "datasets", "disabled", "gitalyUid", "lastModified", "likes", "models", "private", "region",
		"resourceGroup", "runtime", "sdk", "sha", "siblings", "subdomain", "tags", "trendingScore", "usedStorage", "xetEnabled",
	},
}

// expandParam reads the attributes that are asked for.
func expandParam(q url.Values, typ string) ([]string, error) {
	want := slices.Concat(q["expand"], q["expand[]"])
	for _, e := range want {
		if !slices.Contains(expandable[typ], e) {
			return nil, badRequest(`"expand" must be one of [%s]`, strings.Join(expandable[typ], ", "))
		}
	}
	return want, nil
}

// repoInfo answers with what there is to say about a repository at a revision.
func (c *call) repoInfo() error {
	q, err := c.query("blobs", "securityStatus", "expand", "expand[]")
	if err != nil {
		return err
	}
	expand, err := expandParam(q, c.repo.Type)
	if err != nil {
		return err
	}
	blobs, err := flag(q, "blobs")
	if err != nil {
		return err
	}
	security, err := flag(q, "securityStatus")
	if err != nil {
		return err
	}
	if len(expand) > 0 && (blobs || security) {
		return badRequest(`"expand" can't be combined with "blobs" or "securityStatus"`)
	}
	rev := "main"
	if len(c.segs) > 0 {
		if rev, err = c.revision(); err != nil {
			return err
		}
		if len(c.segs) > 0 {
			return revisionNotFound(rev + "/" + strings.Join(c.segs, "/"))
		}
	}
	commit, err := c.repo.resolveCommit(rev)
	if err != nil {
		return err
	}
	if !isCommitID(rev) && len(commit.Parents) > 0 && c.h.network.strikes(FaultStaleHead, c.r) {
		if commit, err = c.repo.git.Commit(commit.Parents[0]); err != nil {
			return err
		}
	}
	facts, err := c.h.facts(c.repo, commit)
	if err != nil {
		return err
	}
	f := &found{c.repo, commit, facts}
	info := c.h.info(f)
	names := expand
	if len(expand) == 0 {
		names = []string{"siblings", "usedStorage", "runtime", "host", "spaces"}
	}
	if err := c.fill(info, f, names...); err != nil {
		return err
	}
	if blobs {
		if info["siblings"], err = c.repo.siblings(commit, true); err != nil {
			return err
		}
	}
	if security {
		info["securityRepoStatus"] = map[string]any{"scansDone": true, "filesWithIssues": []any{}}
	}
	return c.json(onlyKeys(info, expand))
}

func onlyKeys(info map[string]any, expand []string) map[string]any {
	if len(expand) == 0 {
		return info
	}
	out := map[string]any{"_id": info["_id"], "id": info["id"]}
	for _, k := range expand {
		if v, ok := info[k]; ok {
			out[k] = v
		}
	}
	return out
}

// siblings lists all files of a commit.
func (r *repo) siblings(commit *gitstore.Commit, blobs bool) ([]map[string]any, error) {
	files := []map[string]any{}
	err := r.git.Walk(commit.Tree, true, "", func(path string, e *gitstore.Entry) bool {
		if e.IsDir() {
			return true
		}
		f := map[string]any{"rfilename": path}
		if blobs {
			f["size"], f["blobId"] = e.Size, e.OID.String()
			if e.LFS != nil {
				f["size"] = e.LFS.Size
				f["lfs"] = map[string]any{"sha256": e.LFS.OID, "size": e.LFS.Size, "pointerSize": e.Size}
			}
		}
		files = append(files, f)
		return true
	})
	return files, err
}

// size is the number of bytes of the files of a commit.
func (r *repo) size(commit *gitstore.Commit) (n int64, err error) {
	err = r.git.Walk(commit.Tree, true, "", func(_ string, e *gitstore.Entry) bool {
		if e.LFS != nil {
			n += e.LFS.Size
		} else {
			n += e.Size
		}
		return true
	})
	return n, err
}

// refs lists the refs of a repository.
func (c *call) refs() error {
	q, err := c.query("include_prs")
	if err != nil {
		return err
	}
	prs, err := flag(q, "include_prs")
	if err != nil {
		return err
	}
	refs, err := c.repo.git.Refs("refs/")
	if err != nil {
		return err
	}
	type item struct {
		Name         string `json:"name"`
		Ref          string `json:"ref"`
		TargetCommit string `json:"targetCommit"`
	}
	out := map[string][]item{"branches": {}, "converts": {}, "tags": {}}
	if prs {
		out["pullRequests"] = []item{}
	}
	kinds := map[string]string{refsHeads: "branches", refsConvert: "converts", refsTags: "tags", refsPR: "pullRequests"}
	for _, r := range refs {
		for prefix, key := range kinds {
			name, ok := strings.CutPrefix(r.Name, prefix)
			if list, wanted := out[key]; ok && wanted {
				h, err := c.repo.git.Peel(r.OID)
				if err != nil {
					return err
				}
				out[key] = append(list, item{name, r.Name, h.String()})
			}
		}
	}
	return c.json(out)
}

// commits lists the commits of a revision, newest first.
func (c *call) commits() error {
	q, err := c.query("p", "limit", "expand", "expand[]")
	if err != nil {
		return err
	}
	formatted := false
	for _, e := range slices.Concat(q["expand"], q["expand[]"]) {
		if e != "formatted" {
			return badRequest(`"expand" must be one of [formatted]`)
		}
		formatted = true
	}
	limit, err := number(q, "limit", max(c.h.pageSize/20, 1), 1, 1000)
	if err != nil {
		return err
	}
	page, err := number(q, "p", 0, 0, 1<<30)
	if err != nil {
		return err
	}
	rev, err := c.revision()
	if err != nil {
		return err
	}
	if len(c.segs) > 0 {
		return revisionNotFound(rev + "/" + strings.Join(c.segs, "/"))
	}
	head, err := c.repo.resolve(rev)
	if err != nil {
		return err
	}
	list := []map[string]any{}
	n := 0
	err = c.repo.git.Log(head, func(k *gitstore.Commit) bool {
		// All are counted, for the total is part of the answer.
		if n++; n <= page*limit || len(list) == limit {
			return true
		}
		item := map[string]any{
			"id": k.OID.String(), "title": k.Title(), "message": k.Body(), "date": date(k.Date),
			"authors": []map[string]any{{"user": k.Author, "avatar": ""}},
		}
		if formatted {
			item["formatted"] = map[string]string{"title": htmlText(k.Title()), "message": htmlText(k.Body())}
		}
		list = append(list, item)
		return true
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("X-Total-Count", itoa(n))
	if n > (page+1)*limit {
		c.next(url.Values{"p": {itoa(page + 1)}, "limit": {itoa(limit)}})
	}
	return c.json(list)
}

// authCheck answers if the caller may read the content of the repository, or with
// /write, write to it.
func (c *call) authCheck() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if len(c.segs) == 1 {
		if c.segs[0] != "write" {
			return noRoute()
		}
		if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
			return err
		}
		return c.ok()
	}
	if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	return c.ok()
}

// commitTime is the time of a commit: git keeps whole seconds.
func (h *Hub) commitTime() time.Time { return h.now().Truncate(time.Second) }
