package localhub

// ofSpace is a handler that only Spaces have.
func ofSpace(fn handler) handler {
	return func(c *call) error {
		if c.repo.Type != Space {
			return noRoute()
		}
		return fn(c)
	}
}

// answerRuntime answers with what the Space does after what was changed.
func (c *call) answerRuntime() error {
	rec := c.h.st.repoByUID(c.repo.UID)
	if rec == nil {
		return repoNotFound()
	}
	rt, err := c.h.runtime(&repo{rec, c.repo.openStore})
	if err != nil {
		return err
	}
	return c.json(rt)
}

// changeSpace changes what the Space is told to be, for a caller who may write to it. fn gets the hardware
// that the Space has at this moment.
func (c *call) changeSpace(fn func(sp *spaceRec, hardware string) error) error {
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	return c.h.st.changeSpace(c.repo.UID, func(sp *spaceRec) error {
		_, hardware, err := c.h.stage(c.repo, sp)
		if err != nil {
			return err
		}
		return fn(sp, hardware)
	})
}

// spaceBody reads the body of a call that changes a Space, once the caller may.
func (c *call) spaceBody(v any) error {
	if _, err := c.query(); err != nil {
		return err
	}
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	return c.body(v)
}

func (c *call) getRuntime() error {
	if _, err := c.query(); err != nil {
		return err
	}
	return c.answerRuntime()
}

// settings are variables, or secrets, which have no value, as the Hub shows them.
func settingsJSON(m map[string]settingOfSpace, secret bool) map[string]any {
	out := map[string]any{}
	for key, v := range m {
		one := map[string]any{"updatedAt": date(v.Updated)}
		if !secret {
			one["value"] = v.Value
		}
		if v.Description != "" {
			one["description"] = v.Description
		}
		out[key] = one
	}
	return out
}

// answerSettings answers with all variables or secrets; only who may write to the Space sees them.
func (c *call) answerSettings(secret bool) error {
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	rec := c.h.st.repoByUID(c.repo.UID)
	if rec == nil {
		return repoNotFound()
	}
	sp := rec.spaceRec()
	if secret {
		return c.json(settingsJSON(sp.Secrets, true))
	}
	return c.json(settingsJSON(sp.Variables, false))
}

func (c *call) getSecrets() error {
	if _, err := c.query(); err != nil {
		return err
	}
	return c.answerSettings(true)
}

func (c *call) getVariables() error {
	if _, err := c.query(); err != nil {
		return err
	}
	return c.answerSettings(false)
}

// changeSetting adds a secret or variable, or removes one. What runs is restarted with it.
func (c *call) changeSetting(change func(sp *spaceRec) error) error {
	return c.changeSpace(func(sp *spaceRec, hardware string) error {
		if err := change(sp); err != nil {
			return err
		}
		if !sp.Paused {
			sp.restart(c.h.now(), hardware)
		}
		return nil
	})
}

// keyValueBody is a secret or a variable that is to be set.
func (c *call) keyValueBody() (KeyValue, error) {
	var body struct {
		Key         *string `json:"key"`
		Value       *string `json:"value"`
		Description string  `json:"description"`
	}
	if err := c.spaceBody(&body); err != nil {
		return KeyValue{}, err
	}
	if body.Key == nil || body.Value == nil {
		return KeyValue{}, badRequest(`"key" and "value" must be given`)
	}
	return KeyValue{*body.Key, *body.Value, body.Description}, nil
}

func (c *call) keyBody() (string, error) {
	var body struct {
		Key *string `json:"key"`
	}
	if err := c.spaceBody(&body); err != nil {
		return "", err
	}
	if body.Key == nil {
		return "", badRequest(`"key" must be given`)
	}
	return *body.Key, nil
}

func (c *call) addSecret() error {
	kv, err := c.keyValueBody()
	if err != nil {
		return err
	}
	if err := c.changeSetting(func(sp *spaceRec) error { return sp.setSecret(kv, c.h.now()) }); err != nil {
		return err
	}
	return c.json(map[string]any{})
}

func (c *call) deleteSecret() error {
	key, err := c.keyBody()
	if err != nil {
		return err
	}
	if err := c.changeSetting(func(sp *spaceRec) error { delete(sp.Secrets, key); return nil }); err != nil {
		return err
	}
	return c.json(map[string]any{})
}

func (c *call) addVariable() error {
	kv, err := c.keyValueBody()
	if err != nil {
		return err
	}
	if err := c.changeSetting(func(sp *spaceRec) error { return sp.setVariable(kv, c.h.now()) }); err != nil {
		return err
	}
	return c.answerSettings(false)
}

func (c *call) deleteVariable() error {
	key, err := c.keyBody()
	if err != nil {
		return err
	}
	if err := c.changeSetting(func(sp *spaceRec) error { delete(sp.Variables, key); return nil }); err != nil {
		return err
	}
	return c.answerSettings(false)
}

func (c *call) requestHardware() error {
	var body struct {
		Flavor           string `json:"flavor"`
		SleepTimeSeconds *int   `json:"sleepTimeSeconds"`
	}
	if err := c.spaceBody(&body); err != nil {
		return err
	}
	if c.repo.SDK == "static" {
		return badRequest("A static Space runs on no hardware: its files are all that is served")
	}
	if err := c.h.checkHardware(c.repo.SDK, c.repo.owner(), body.Flavor); err != nil {
		return err
	}
	err := c.changeSpace(func(sp *spaceRec, hardware string) error {
		changed := body.Flavor != sp.hardware()
		sp.Hardware = body.Flavor
		if body.SleepTimeSeconds != nil {
			if err := sp.setSleep(*body.SleepTimeSeconds); err != nil {
				return err
			}
		}
		if changed && !sp.Paused {
			sp.restart(c.h.now(), hardware)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answerRuntime()
}

func (c *call) setSleepTime() error {
	var body struct {
		Seconds *int `json:"seconds"`
	}
	if err := c.spaceBody(&body); err != nil {
		return err
	}
	if body.Seconds == nil {
		return badRequest(`"seconds" must be given`)
	}
	if err := c.refuseStatic("sleeps"); err != nil {
		return err
	}
	if err := c.changeSpace(func(sp *spaceRec, _ string) error { return sp.setSleep(*body.Seconds) }); err != nil {
		return err
	}
	return c.answerRuntime()
}

// refuseStatic refuses what only a Space that runs can do.
func (c *call) refuseStatic(does string) error {
	if c.repo.SDK != "static" {
		return nil
	}
	return badRequest("A static Space never %s: nothing runs in it", does)
}

func (c *call) pauseSpace() error {
	if err := c.refuseStaticWriter("is paused"); err != nil {
		return err
	}
	if err := c.changeSpace(func(sp *spaceRec, _ string) error { sp.Paused = true; return nil }); err != nil {
		return err
	}
	return c.answerRuntime()
}

// refuseStaticWriter is refuseStatic for a call without a body: who may not write to the Space learns
// that first.
func (c *call) refuseStaticWriter(does string) error {
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	return c.refuseStatic(does)
}

func (c *call) restartSpace() error {
	q, err := c.query("factory")
	if err != nil {
		return err
	}
	// A reboot from scratch takes no longer here: nothing of a build is kept.
	if _, err := flag(q, "factory"); err != nil {
		return err
	}
	if err := c.refuseStaticWriter("restarts"); err != nil {
		return err
	}
	if err := c.changeSpace(func(sp *spaceRec, hardware string) error { sp.restart(c.h.now(), hardware); return nil }); err != nil {
		return err
	}
	return c.answerRuntime()
}

func (c *call) requestStorage() error {
	var body struct {
		Tier string `json:"tier"`
	}
	if err := c.spaceBody(&body); err != nil {
		return err
	}
	if err := c.h.checkStorage(c.repo.SDK, c.repo.owner(), body.Tier); err != nil {
		return err
	}
	err := c.changeSpace(func(sp *spaceRec, hardware string) error {
		if tierOf(body.Tier) < tierOf(sp.Storage) {
			return badRequest("The storage can't shrink from %s to %s: delete it first", sp.Storage, body.Tier)
		}
		if sp.Storage != body.Tier && !sp.Paused {
			sp.restart(c.h.now(), hardware)
		}
		sp.Storage = body.Tier
		return nil
	})
	if err != nil {
		return err
	}
	return c.answerRuntime()
}

// tierOf is the place of a tier among all; none is -1.
func tierOf(tier string) int {
	for i, t := range spaceStorage {
		if t == tier {
			return i
		}
	}
	return -1
}

func (c *call) deleteStorage() error {
	if _, err := c.query(); err != nil {
		return err
	}
	err := c.changeSpace(func(sp *spaceRec, hardware string) error {
		if sp.Storage == "" {
			return badRequest("The Space has no storage")
		}
		sp.Storage = ""
		if !sp.Paused {
			sp.restart(c.h.now(), hardware)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answerRuntime()
}
