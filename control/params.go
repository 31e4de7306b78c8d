package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// A parameter struct has one field a parameter, in the order in which they are documented:
//
//	RepoID string `param:"repo_id" required:"true" doc:"namespace/name"`
//
// with the optional tags default (JSON, or a bare word for a string), enum (values separated by "|") and
// secret. Pointers are null unless given; embedded structs are flattened.

// typed is a parameter type that isn't one of Go's.
type typed interface {
	paramType() string
}

// stringList is "list[str]" that takes a lone string for a list of one, as HfApi does.
type stringList []string

func (stringList) paramType() string { return "list[str] | str" }

// UnmarshalJSON takes a list of strings or one string.
func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringList{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	*l = many
	return nil
}

// tokenParam is a token, or false for none.
type tokenParam string

func (tokenParam) paramType() string { return "str | bool" }

// UnmarshalJSON takes a string or false; true would be the token that is used anyway.
func (t *tokenParam) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = tokenParam(s)
		return nil
	}
	if string(b) == "false" {
		*t = ""
		return nil
	}
	return fmt.Errorf("a token or false")
}

// jsonValue is anything that JSON can say.
type jsonValue json.RawMessage

func (jsonValue) paramType() string { return "any" }

// UnmarshalJSON keeps the value as it is.
func (v *jsonValue) UnmarshalJSON(b []byte) error {
	*v = slices.Clone(b)
	return nil
}

// field is where a parameter goes in its struct.
type field struct {
	ParamInfo
	index []int
}

// shown is a value for a message: of a secret, only what kind of value it is.
func (f *field) shown(raw json.RawMessage) string {
	if !f.Secret {
		return shorten(raw)
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "no JSON"
	}
	switch v.(type) {
	case map[string]any:
		return "a dict"
	case []any:
		return "a list"
	case string:
		return "a str"
	case bool:
		return "a bool"
	}
	return "a number"
}

var fieldCache sync.Map // reflect.Type -> []field

func fieldsOf(t reflect.Type) []field {
	if f, ok := fieldCache.Load(t); ok {
		return f.([]field)
	}
	var fields []field
	for _, sf := range reflect.VisibleFields(t) {
		name, ok := sf.Tag.Lookup("param")
		if !ok {
			continue
		}
		f := field{index: sf.Index, ParamInfo: ParamInfo{
			Name:     name,
			Type:     paramType(sf.Type),
			Required: sf.Tag.Get("required") == "true",
			Secret:   sf.Tag.Get("secret") == "true",
			Doc:      sf.Tag.Get("doc"),
		}}
		if d, ok := sf.Tag.Lookup("default"); ok {
			f.Default = jsonWord(d)
		}
		if e, ok := sf.Tag.Lookup("enum"); ok {
			for _, v := range strings.Split(e, "|") {
				f.Enum = append(f.Enum, jsonWord(v))
			}
		}
		fields = append(fields, f)
	}
	// Required ones first, as in HfApi's signatures; the caller's own last.
	sort.SliceStable(fields, func(i, j int) bool { return rank(fields[i]) < rank(fields[j]) })
	fieldCache.Store(t, fields)
	return fields
}

func rank(f field) int {
	switch {
	case f.Required:
		return 0
	case f.Name == "token" || f.Name == "timeout":
		return 2
	}
	return 1
}

func paramsOf[P any]() []ParamInfo {
	infos := []ParamInfo{}
	for _, f := range fieldsOf(reflect.TypeFor[P]()) {
		infos = append(infos, f.ParamInfo)
	}
	return infos
}

// jsonWord reads a tag's value: JSON, or else a bare string.
func jsonWord(s string) json.RawMessage {
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

func paramType(t reflect.Type) string {
	if v, ok := reflect.Zero(t).Interface().(typed); ok && t.Kind() != reflect.Pointer {
		return v.paramType()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return paramType(t.Elem())
	case reflect.String:
		return "str"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64:
		return "int"
	case reflect.Float64:
		return "float"
	case reflect.Slice:
		return "list[" + paramType(t.Elem()) + "]"
	case reflect.Map:
		return "dict"
	}
	panic("control: no parameter type for " + t.String())
}

func badParam(name, format string, args ...any) error {
	return &Error{Status: 400, Kind: KindBadParameter, Parameter: name,
		Message: fmt.Sprintf("parameter %s %s", name, fmt.Sprintf(format, args...))}
}

// decodeParams fills p, a pointer to a parameter struct, and refuses what isn't in it.
func decodeParams(method string, params map[string]json.RawMessage, p any) error {
	v := reflect.ValueOf(p).Elem()
	fields := fieldsOf(v.Type())
	for name := range params {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.Name == name }) {
			return badParam(name, "isn't one of %s, which takes %s", method, names(fields))
		}
	}
	for _, f := range fields {
		raw, given := params[f.Name]
		if given && string(bytes.TrimSpace(raw)) == "null" {
			given = false
		}
		if !given {
			if f.Required {
				return badParam(f.Name, "is missing; %s needs it", method)
			}
			if f.Default == nil {
				continue
			}
			raw = f.Default
		}
		if given && f.Enum != nil && !inEnum(f.Enum, raw) {
			return badParam(f.Name, "is %s, and must be one of %s", f.shown(raw), joinRaw(f.Enum))
		}
		if err := json.Unmarshal(raw, v.FieldByIndex(f.index).Addr().Interface()); err != nil {
			return badParam(f.Name, "is %s, and must be of type %s", f.shown(raw), f.Type)
		}
		if f.Required && (v.FieldByIndex(f.index).Kind() == reflect.String && v.FieldByIndex(f.index).Len() == 0) {
			return badParam(f.Name, "is empty; %s needs it", method)
		}
	}
	return nil
}

func inEnum(enum []json.RawMessage, raw json.RawMessage) bool {
	var given any
	if json.Unmarshal(raw, &given) != nil {
		return false
	}
	return slices.ContainsFunc(enum, func(e json.RawMessage) bool {
		var v any
		return json.Unmarshal(e, &v) == nil && reflect.DeepEqual(v, given)
	})
}

func names(fields []field) string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Name)
	}
	if len(out) == 0 {
		return "no parameters"
	}
	return strings.Join(out, ", ")
}

func joinRaw(values []json.RawMessage) string {
	var out []string
	for _, v := range values {
		out = append(out, string(v))
	}
	return strings.Join(out, ", ")
}

func shorten(raw json.RawMessage) string {
	s := strings.TrimSpace(string(raw))
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

// ParseValues turns the words of a command line into values of a parameter: several words make a
// list, a single one is read by the type in the table. Where a type is a choice, the more special
// meaning wins: for "bool | str", false is the boolean.
func (p ParamInfo) ParseValues(words []string) (json.RawMessage, error) {
	var last error
	for _, t := range alternatives(p.Type) {
		raw, err := parseAs(t, words)
		if err == nil {
			return raw, nil
		}
		last = err
	}
	return nil, badParam(p.Name, "%v; its type is %s", last, p.Type)
}

// alternatives orders a type's choices so that str, which takes anything, comes last.
func alternatives(t string) []string {
	alt := strings.Split(t, " | ")
	sort.SliceStable(alt, func(i, j int) bool { return alt[i] != "str" && alt[j] == "str" })
	return alt
}

func parseAs(t string, words []string) (json.RawMessage, error) {
	if elem, ok := strings.CutPrefix(t, "list["); ok {
		elem = strings.TrimSuffix(elem, "]")
		values := []json.RawMessage{}
		for _, w := range words {
			// One word may be the whole list, where an element can't be one.
			var whole []json.RawMessage
			if elem == "dict" && json.Unmarshal([]byte(w), &whole) == nil {
				values = append(values, whole...)
				continue
			}
			v, err := parseAs(elem, []string{w})
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		return json.Marshal(values)
	}
	if len(words) != 1 {
		return nil, fmt.Errorf("is given %d times", len(words))
	}
	w := words[0]
	switch t {
	case "str":
		return json.Marshal(w)
	case "bool":
		switch strings.ToLower(w) {
		case "true", "1", "yes", "on":
			return json.RawMessage("true"), nil
		case "false", "0", "no", "off":
			return json.RawMessage("false"), nil
		}
		return nil, fmt.Errorf("is %q, not true or false", w)
	case "int":
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("is %q, not a whole number", w)
		}
		return json.Marshal(n)
	case "float":
		f, err := strconv.ParseFloat(w, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("is %q, not a number", w)
		}
		return json.Marshal(f)
	case "any":
		return jsonWord(w), nil
	}
	if !json.Valid([]byte(w)) {
		return nil, fmt.Errorf("is %q, not JSON", w)
	}
	return json.RawMessage(w), nil
}
