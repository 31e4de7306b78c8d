package localhub

import (
	"slices"
	"strings"
	"sync"
)

// spaceUses remembers which models each Space uses, so that a model's info doesn't read
// every Space.
type spaceUses struct {
	mu     sync.Mutex          // guards what follows; not held while a Space is read
	moves  int                 // of the main branches of Spaces
	models map[string][]string // by uid of the Space, lower case; what isn't there must be read
}

// forget says that a Space may use others now.
func (u *spaceUses) forget(uid string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.moves++
	delete(u.models, uid)
}

// modelsOf are the models that a Space uses, in lower case.
func (h *Hub) modelsOf(r *repoRec) ([]string, error) {
	u := &h.uses
	u.mu.Lock()
	models, known := u.models[r.UID]
	moves := u.moves
	u.mu.Unlock()
	if known {
		return models, nil
	}
	f, err := h.findRepo(r)
	if err != nil {
		return nil, err
	}
	for _, id := range f.about.list("models") {
		models = append(models, strings.ToLower(id))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.moves == moves { // else it may be old by now
		if u.models == nil {
			u.models = map[string][]string{}
		}
		u.models[r.UID] = models
	}
	return models, nil
}

// spacesOf lists the Spaces that use a model and that the caller may see.
func (c *call) spacesOf(model string) (any, error) {
	model = strings.ToLower(model)
	ids := []string{}
	for _, r := range c.h.st.reposOf(Space) {
		if r.Disabled || !c.h.canRead(c.caller, r) {
			continue
		}
		switch models, err := c.h.modelsOf(r); {
		case err == nil:
			if slices.Contains(models, model) {
				ids = append(ids, r.ID)
			}
		case !isRefusal(err): // else it was deleted a moment ago, or has no branch main
			return nil, err
		}
	}
	slices.Sort(ids)
	return ids, nil
}
