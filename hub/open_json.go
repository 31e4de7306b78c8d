package hub

import (
	"encoding/json"
	"reflect"
	"strings"
)

// decodeOpen decodes an object of the Hub into a struct and returns what the struct has
// no field for; nil if there is nothing.
func decodeOpen(data []byte, into any) (map[string]json.RawMessage, error) {
	if err := json.Unmarshal(data, into); err != nil {
		return nil, err
	}
	var extra map[string]json.RawMessage
	if err := json.Unmarshal(data, &extra); err != nil {
		return nil, err
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(into).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			delete(extra, name)
		}
	}
	if len(extra) == 0 {
		return nil, nil
	}
	return extra, nil
}

// encodeOpen writes what decodeOpen reads.
func encodeOpen(v any, extra map[string]json.RawMessage) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil || len(extra) == 0 {
		return data, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for name, raw := range extra {
		if _, taken := all[name]; !taken {
			all[name] = raw
		}
	}
	return json.Marshal(all)
}
