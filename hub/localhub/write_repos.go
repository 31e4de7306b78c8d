package localhub

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// visibility is how clients say who may see a repository: the old way and the new.
type visibility struct {
	Private    *bool   `json:"private"`
	Visibility *string `json:"visibility"`
}

// private tells if the repository is to be private; nil if nothing is said. A
// protected Space runs in public while its files are private: so it is here.
func (v visibility) private() (*bool, error) {
	if v.Visibility == nil {
		return v.Private, nil
	}
	p := *v.Visibility != "public"
	switch *v.Visibility {
	case "public", "private", "protected":
	default:
		return nil, badRequest(`"visibility" must be one of [public, private, protected]`)
	}
	if v.Private != nil && *v.Private != p {
		return nil, badRequest(`"private" and "visibility" say different things`)
	}
	return &p, nil
}

// spaceSettings are what a new Space runs with. Volumes and regions are accepted, for clients send them, and
// have no effect: there is nothing here that they could be about.
type spaceSettings struct {
	Hardware         string          `json:"hardware"`
	StorageTier      string          `json:"storageTier"`
	SleepTimeSeconds *int            `json:"sleepTimeSeconds"`
	Secrets          []KeyValue      `json:"secrets"`
	Variables        []KeyValue      `json:"variables"`
	Volumes          json.RawMessage `json:"volumes"`
	ResourceGroupID  json.RawMessage `json:"resourceGroupId"`
	Region           json.RawMessage `json:"region"`
}

func (s spaceSettings) options() SpaceOptions {
	return SpaceOptions{Hardware: s.Hardware, Storage: s.StorageTier, SleepTime: s.SleepTimeSeconds, Secrets: s.Secrets, Variables: s.Variables}
}

type createBody struct {
	Name         string  `json:"name"`
	Organization *string `json:"organization"`
	Type         *string `json:"type"`
	SDK          *string `json:"sdk"`
	Template     *string `json:"template"`
	License      *string `json:"license"`
	Files        []struct {
		Path     string `json:"path"`
		Content  string `json:"content"`
		Encoding string `json:"encoding"`
	} `json:"files"`
	visibility
	spaceSettings
}

// named is the repository that a body names by its type, an organisation (or none:
// the caller's own namespace) and a name.
func (c *call) named(typ, org *string, name string) (string, string, error) {
	t := Model
	if typ != nil {
		t = *typ
	}
	if !validType(t) {
		return "", "", badRequest(`"type" must be one of [model, dataset, space]`)
	}
	switch {
	case strings.Contains(name, "/"):
		if org != nil && *org != "" {
			return "", "", badRequest(`"name" must not have a namespace beside "organization"`)
		}
		return t, name, nil
	case org != nil && *org != "":
		return t, *org + "/" + name, nil
	}
	return t, c.user.Name + "/" + name, nil
}

// createRepo makes a repository.
func (c *call) createRepo() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	var body createBody
	if err := c.body(&body); err != nil {
		return err
	}
	typ, id, err := c.named(body.Type, body.Organization, body.Name)
	if err != nil {
		return err
	}
	if body.Template != nil && *body.Template != "" {
		return badRequest("This Hub has no templates of Spaces")
	}
	private, err := body.private()
	if err != nil {
		return err
	}
	o := RepoOptions{Creator: c.user.Name, Private: private != nil && *private, Space: body.options()}
	if body.SDK != nil {
		o.SDK = *body.SDK
	}
	fill := func(d *draft) error {
		if body.License != nil && *body.License != "" {
			text, err := yaml.Marshal(map[string]string{"license": *body.License})
			if err != nil {
				return err
			}
			if err := d.addFile("README.md", []byte("---\n"+string(text)+"---\n")); err != nil {
				return err
			}
		}
		for _, f := range body.Files {
			if _, err := d.addEncoded(f.Path, f.Content, f.Encoding); err != nil {
				return err
			}
		}
		return nil
	}
	return c.newRepo(typ, id, func() (*repoRec, error) { return c.h.createRepo(typ, id, o, fill) })
}

// newRepo answers with a repository that make has made. If there is one of that
// name, the refusal says where.
func (c *call) newRepo(typ, id string, make func() (*repoRec, error)) error {
	if ns, _ := splitID(id); !c.h.canCreate(c.caller, ns) {
		return fail(http.StatusForbidden, "You don't have the rights to create a %s under the namespace %q.", typ, oneLine(ns))
	}
	rec, err := make()
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusConflict {
		if old, renamed := c.h.st.repo(keyOf(typ, id)); old != nil && !renamed {
			refused.Fields = c.repoNames(old)
		}
		return refused
	}
	if err != nil {
		return err
	}
	return c.json(c.repoNames(rec))
}

func (c *call) repoNames(r *repoRec) map[string]any {
	return map[string]any{"url": c.webURL(r), "name": r.ID, "id": r.UID}
}

// existing is a repository that a body names and the caller may write to.
func (c *call) existing(typ, id string) (*repoRec, error) {
	rec, renamed := c.h.st.repo(keyOf(typ, id))
	if rec == nil || renamed {
		return nil, repoNotFound()
	}
	return rec, c.h.checkWrite(c.caller, rec)
}

func (c *call) deleteRepo() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	var body struct {
		Name         string  `json:"name"`
		Organization *string `json:"organization"`
		Type         *string `json:"type"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	typ, id, err := c.named(body.Type, body.Organization, body.Name)
	if err != nil {
		return err
	}
	if body.Organization == nil {
		// A legacy id has no namespace either.
		if own, _ := c.h.st.repo(keyOf(typ, id)); own == nil {
			id = body.Name
		}
	}
	rec, err := c.existing(typ, id)
	if err != nil {
		return err
	}
	if err := c.h.DeleteRepo(rec.Type, rec.ID); err != nil {
		return err
	}
	return c.ok()
}

func (c *call) moveRepo() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	var body struct {
		From string  `json:"fromRepo"`
		To   string  `json:"toRepo"`
		Type *string `json:"type"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	typ := Model
	if body.Type != nil {
		typ = *body.Type
	}
	if !validType(typ) {
		return badRequest(`"type" must be one of [model, dataset, space]`)
	}
	rec, err := c.existing(typ, body.From)
	if err != nil {
		return err
	}
	if !strings.Contains(body.To, "/") {
		return badRequest(`"toRepo" must have a namespace`)
	}
	if ns, _ := splitID(body.To); !c.h.canCreate(c.caller, ns) {
		return fail(http.StatusForbidden, "You don't have the rights to create a %s under the namespace %q.", typ, oneLine(ns))
	}
	if err := c.h.MoveRepo(rec.Type, rec.ID, body.To); err != nil {
		return err
	}
	return c.ok()
}

func (c *call) settings() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	var body struct {
		Gated json.RawMessage `json:"gated"` // "auto", "manual" or false
		visibility
	}
	if err := c.body(&body); err != nil {
		return err
	}
	var u RepoUpdate
	var err error
	if u.Private, err = body.private(); err != nil {
		return err
	}
	if len(body.Gated) > 0 {
		gated := ""
		if string(body.Gated) != "false" {
			if err := json.Unmarshal(body.Gated, &gated); err != nil || gated == "" {
				return badRequest(`"gated" must be one of [auto, manual, false]`)
			}
		}
		u.Gated = &gated
	}
	if u.Private == nil && u.Gated == nil {
		return badRequest("There is nothing to change")
	}
	if err := c.h.UpdateRepo(c.repo.Type, c.repo.ID, u); err != nil {
		return err
	}
	rec := c.h.st.repoByUID(c.repo.UID)
	if rec == nil {
		return repoNotFound()
	}
	out := map[string]any{"private": rec.Private, "gated": false, "visibility": "public"}
	if rec.Private {
		out["visibility"] = "private"
	}
	if rec.Gated != "" {
		out["gated"] = rec.Gated
	}
	return c.json(out)
}

// duplicate makes a repository with the branch main of another one.
func (c *call) duplicate() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	var body struct {
		Repository string `json:"repository"`
		visibility
		spaceSettings
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if !strings.Contains(body.Repository, "/") {
		return badRequest(`"repository" must have a namespace`)
	}
	private, err := body.private()
	if err != nil {
		return err
	}
	o := RepoOptions{Creator: c.user.Name, SDK: c.repo.SDK, Private: c.repo.Private, Space: body.options()}
	if c.repo.Type == Space {
		o.Space.Variables = withVariables(c.repo.spaceRec(), o.Space.Variables)
	}
	if private != nil {
		o.Private = *private
	}
	return c.newRepo(c.repo.Type, body.Repository, func() (*repoRec, error) {
		rec, err := c.h.newRepoRec(c.repo.Type, body.Repository, o)
		if err != nil {
			return nil, err
		}
		return rec, c.h.addRepo(rec, func(r *repo) error { return c.h.copyRepo(c.repo, r) })
	})
}

// withVariables puts the variables of a Space before others, which win.
func withVariables(sp *spaceRec, others []KeyValue) []KeyValue {
	var all []KeyValue
	for _, key := range slices.Sorted(maps.Keys(sp.Variables)) {
		v := sp.Variables[key]
		all = append(all, KeyValue{key, v.Value, v.Description})
	}
	return append(all, others...)
}

// copyRepo gives a new repository the objects of another one, by hard links, and
// its branch main.
func (h *Hub) copyRepo(from, to *repo) error {
	head, err := from.resolve("main")
	if err != nil {
		return err
	}
	src, dst := filepath.Join(from.git.Dir(), "objects"), filepath.Join(to.git.Dir(), "objects")
	err = filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dst, rel), 0o755)
		}
		if strings.HasPrefix(d.Name(), "tmp_") {
			return nil // being written, and so not what main needs
		}
		if err := os.Link(p, filepath.Join(dst, rel)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := syncTree(dst); err != nil {
		return err
	}
	if err := h.st.copyLFS(from.UID, to.UID); err != nil {
		return err
	}
	return to.moveRef(refsHeads+"main", gitstore.OID{}, head)
}

// syncTree makes the names in a folder and all below it durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDir(p)
	})
}
