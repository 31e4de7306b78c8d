package localhub

import (
	"errors"
	"time"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// Stages of a Space.
const (
	stageNoAppFile = "NO_APP_FILE"
	stageBuilding  = "BUILDING"
	stageStarting  = "APP_STARTING"
	stageRunning   = "RUNNING"
	stagePaused    = "PAUSED"
	stageSleeping  = "SLEEPING" // free hardware
	stageStopped   = "STOPPED"  // the same on hardware that is paid for
	// whileRunning comes before a stage in which the version of before is still served.
	whileRunning = "RUNNING_"
)

// defaultStartup is how long it takes until a Space or an inference endpoint runs. Two thirds of it a Space is
// built, and one third it starts.
const defaultStartup = 3 * time.Second

// runtime is what a Space does at this moment, as the Hub shows it. It is worked out, not kept: nothing
// has to run for a Space to come up or to fall asleep.
func (h *Hub) runtime(r *repo) (map[string]any, error) {
	sp := r.spaceRec()
	out := map[string]any{"storage": nil, "devMode": false, "sdk": r.SDK}
	if sp.Storage != "" {
		out["storage"] = sp.Storage
	}
	if r.SDK == "static" {
		out["stage"] = stageRunning
		out["hardware"] = map[string]any{"current": nil, "requested": nil}
		out["replicas"] = map[string]any{"requested": 1}
		return out, nil
	}
	stage, hardware, err := h.stage(r, sp)
	if err != nil {
		return nil, err
	}
	out["stage"] = stage
	replicas := map[string]any{"current": nil, "requested": 1}
	current := any(nil)
	if hardware != "" {
		current, replicas["current"] = hardware, 1
	}
	out["hardware"] = map[string]any{"current": current, "requested": sp.hardware()}
	out["replicas"] = replicas
	out["gcTimeout"] = nil
	if s := sp.sleepTime(); s > 0 {
		out["gcTimeout"] = s
	}
	return out, nil
}

// stage is the Space's stage and the hardware that it has, "" for none.
func (h *Hub) stage(r *repo, sp *spaceRec) (stage, hardware string, err error) {
	head, err := r.resolveCommit("main")
	var refused *Error
	if errors.As(err, &refused) {
		return stageNoAppFile, "", nil // a branch that is gone has no files
	}
	if err != nil {
		return "", "", err
	}
	if has, err := r.hasApp(head); err != nil || !has {
		return stageNoAppFile, "", err
	}
	if sp.Paused {
		return stagePaused, "", nil
	}
	now := h.now()
	started, pushed := sp.Started, false
	if head.Date.After(started) {
		started, pushed = head.Date, true
	}
	age := now.Sub(started)
	switch {
	case age < h.startup*2/3:
		stage, hardware = stageBuilding, sp.Before
	case age < h.startup:
		stage, hardware = stageStarting, sp.Before
	default:
		if s := sp.sleepTime(); s > 0 && age-h.startup >= time.Duration(s)*time.Second {
			if sp.hardware() == freeHardware {
				return stageSleeping, "", nil
			}
			return stageStopped, "", nil
		}
		return stageRunning, sp.hardware(), nil
	}
	if !pushed || len(head.Parents) == 0 {
		return stage, hardware, nil
	}
	served, err := h.served(r, sp, head)
	if err == nil && served {
		stage, hardware = whileRunning+stage, sp.hardware()
	}
	return stage, hardware, err
}

// served tells if the Space ran when head was pushed: the version of before is served until the new one is.
func (h *Hub) served(r *repo, sp *spaceRec, head *gitstore.Commit) (bool, error) {
	before, err := r.git.Commit(head.Parents[0])
	if err != nil {
		return false, err
	}
	if has, err := r.hasApp(before); err != nil || !has {
		return false, err
	}
	started := sp.Started
	if before.Date.After(started) {
		started = before.Date
	}
	age := head.Date.Sub(started)
	sleep := time.Duration(sp.sleepTime()) * time.Second
	return age >= h.startup && (sleep == 0 || age < h.startup+sleep), nil
}

// hasApp tells if a commit has the file that the Space is started from.
func (r *repo) hasApp(commit *gitstore.Commit) (bool, error) {
	file := "Dockerfile"
	if r.SDK != "docker" {
		card, err := r.card(commit)
		if err != nil {
			return false, err
		}
		file = "app.py"
		if s, ok := card.data["app_file"].(string); ok && s != "" {
			file = s
		}
	}
	e, err := r.git.Lookup(commit.Tree, file)
	if errors.Is(err, gitstore.ErrNotFound) {
		return false, nil
	}
	return err == nil && !e.IsDir(), err
}

// restart makes the Space run from now on, from its beginning. hardware is what it has until then.
func (sp *spaceRec) restart(now time.Time, hardware string) {
	sp.Started, sp.Before, sp.Paused = now, hardware, false
}
