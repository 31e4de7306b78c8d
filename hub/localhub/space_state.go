package localhub

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// SpaceOptions are what a new Space runs with.
type SpaceOptions struct {
	Hardware  string // "" is the free one, "cpu-basic"
	Storage   string // "", "small", "medium" or "large"
	SleepTime *int   // seconds without use until it sleeps; -1 is never, and so is nil on hardware that is paid for
	Secrets   []KeyValue
	Variables []KeyValue
}

// KeyValue is a secret or a variable of a Space.
type KeyValue struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description"`
}

// spaceRec is what a Space is told to be. What it does follows from that, from its files and from the
// time: see Hub.runtime.
type spaceRec struct {
	Started   time.Time                 `json:"started"`            // when it was last told to run; a later push starts it as well
	Paused    bool                      `json:"paused,omitempty"`   // until it is told to run
	Hardware  string                    `json:"hardware,omitempty"` // "" is cpu-basic
	Before    string                    `json:"before,omitempty"`   // the hardware that it still ran on when Started was set
	Sleep     int                       `json:"sleep,omitempty"`    // seconds; 0 is never
	Storage   string                    `json:"storage,omitempty"`
	Variables map[string]settingOfSpace `json:"variables,omitempty"`
	Secrets   map[string]settingOfSpace `json:"secrets,omitempty"`
}

// settingOfSpace is a variable, or a secret without its value: nothing runs here that would read it, so
// it isn't kept.
type settingOfSpace struct {
	Value       string    `json:"value,omitempty"`
	Description string    `json:"description,omitempty"`
	Updated     time.Time `json:"updated"`
}

// Hardware of a Space.
const (
	freeHardware = "cpu-basic"
	zeroHardware = "zero-a10g" // shared GPUs, for subscribers
)

// freeSleep is after how many seconds a Space on free hardware sleeps, whatever it is told.
const freeSleep = 48 * 60 * 60

// spaceHardware are the flavors that a Space can ask for, those of all versions of the clients.
var spaceHardware = []string{
	freeHardware, "cpu-upgrade", "cpu-xl", "t4-small", "t4-medium", "l4x1", "l4x4", "l40sx1", "l40sx4", "l40sx8", zeroHardware,
	"a10g-small", "a10g-large", "a10g-largex2", "a10g-largex4", "a100-large", "a100x4", "a100x8", "h100", "h100x8", "v5e-1x1", "v5e-2x2", "v5e-2x4",
}

// spaceStorage are the tiers of storage, from the smallest to the largest.
var spaceStorage = []string{"small", "medium", "large"}

// spaceRec is the Space of a repository; one that was made before Spaces ran here has none on record.
func (r *repoRec) spaceRec() *spaceRec {
	if r.Space == nil {
		return &spaceRec{Started: r.Created}
	}
	return r.Space
}

func (sp *spaceRec) hardware() string {
	if sp.Hardware == "" {
		return freeHardware
	}
	return sp.Hardware
}

// sleepTime is after how many seconds without use the Space sleeps; 0 is never.
func (sp *spaceRec) sleepTime() int {
	if sp.hardware() == freeHardware {
		return freeSleep
	}
	return sp.Sleep
}

// changeSpace replaces what a Space is told to be by what fn makes of a copy of it.
func (s *state) changeSpace(uid string, fn func(*spaceRec) error) error {
	return s.changeRepo(uid, func(r *repoRec) error {
		sp := *r.spaceRec()
		sp.Variables, sp.Secrets = maps.Clone(sp.Variables), maps.Clone(sp.Secrets)
		if err := fn(&sp); err != nil {
			return err
		}
		r.Space = &sp
		return nil
	})
}

// newSpaceRec is the record of a new Space. Who pays for it is the owner of its namespace.
func (h *Hub) newSpaceRec(sdk, namespace string, o SpaceOptions) (*spaceRec, error) {
	sp := &spaceRec{Started: h.now()}
	if o.Hardware != "" {
		if err := h.checkHardware(sdk, namespace, o.Hardware); err != nil {
			return nil, err
		}
		sp.Hardware = o.Hardware
	}
	if o.Storage != "" {
		if err := h.checkStorage(sdk, namespace, o.Storage); err != nil {
			return nil, err
		}
		sp.Storage = o.Storage
	}
	if o.SleepTime != nil {
		if err := sp.setSleep(*o.SleepTime); err != nil {
			return nil, err
		}
	}
	for _, kv := range o.Variables {
		if err := sp.setVariable(kv, sp.Started); err != nil {
			return nil, err
		}
	}
	for _, kv := range o.Secrets {
		if err := sp.setSecret(kv, sp.Started); err != nil {
			return nil, err
		}
	}
	return sp, nil
}

func (h *Hub) checkHardware(sdk, namespace, flavor string) error {
	switch {
	case !slices.Contains(spaceHardware, flavor):
		return badRequest(`"flavor" must be one of [%s]`, strings.Join(spaceHardware, ", "))
	case flavor == freeHardware:
		return nil
	case sdk == "static":
		return badRequest("A static Space runs on no hardware: its files are all that is served")
	case flavor == zeroHardware && !h.subscribed(namespace):
		return fail(403, "Hardware %s is for subscribers: %s has no PRO account", flavor, oneLine(namespace))
	}
	return h.checkBilling(namespace)
}

func (h *Hub) checkStorage(sdk, namespace, tier string) error {
	switch {
	case !slices.Contains(spaceStorage, tier):
		return badRequest(`"tier" must be one of [%s]`, strings.Join(spaceStorage, ", "))
	case sdk == "static":
		return badRequest("A static Space has no storage: its files are all that is served")
	}
	return h.checkBilling(namespace)
}

// checkBilling refuses what costs money to a namespace that nobody pays for.
func (h *Hub) checkBilling(namespace string) error {
	if h.billed(namespace) {
		return nil
	}
	return fail(402, "Payment is needed: %s has no payment method", oneLine(namespace))
}

// billed tells if somebody pays for what a namespace uses.
func (h *Hub) billed(namespace string) bool {
	if u := h.st.user(namespace); u != nil {
		return !u.NoBilling
	}
	o := h.st.org(namespace)
	return o != nil && !o.NoBilling
}

// subscribed tells if a namespace has what subscribers have.
func (h *Hub) subscribed(namespace string) bool {
	if u := h.st.user(namespace); u != nil {
		return u.Pro
	}
	return h.billed(namespace)
}

// setSleep takes seconds; -1 is never.
func (sp *spaceRec) setSleep(seconds int) error {
	if seconds != -1 && seconds <= 0 {
		return badRequest("The sleep time must be a number of seconds, or -1 for never")
	}
	sp.Sleep = max(seconds, 0)
	return nil
}

var settingKey = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (sp *spaceRec) setVariable(kv KeyValue, now time.Time) error {
	if _, taken := sp.Secrets[kv.Key]; taken {
		return badRequest("Collision on variables and secrets names: %q is a secret", kv.Key)
	}
	return putSetting(&sp.Variables, kv.Key, settingOfSpace{kv.Value, kv.Description, now})
}

func (sp *spaceRec) setSecret(kv KeyValue, now time.Time) error {
	if _, taken := sp.Variables[kv.Key]; taken {
		return badRequest("Collision on variables and secrets names: %q is a variable", kv.Key)
	}
	return putSetting(&sp.Secrets, kv.Key, settingOfSpace{Description: kv.Description, Updated: now})
}

func putSetting(m *map[string]settingOfSpace, key string, v settingOfSpace) error {
	if len(key) > 256 || !settingKey.MatchString(key) {
		return badRequest("%q can't be a key: letters, digits and '_' are allowed, and no digit at its start", oneLine(key))
	}
	if *m == nil {
		*m = map[string]settingOfSpace{}
	}
	(*m)[key] = v
	return nil
}
