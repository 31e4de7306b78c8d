package control

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type sample struct {
	inRepo
	Name  string     `param:"name" required:"true" doc:"d"`
	Count *int       `param:"count" doc:"d"`
	Flag  bool       `param:"flag" default:"true" doc:"d"`
	Tags  stringList `param:"tags" doc:"d"`
	Gated *gated     `param:"gated" enum:"auto|manual|false" doc:"d"`
	Any   jsonValue  `param:"any" doc:"d"`
}

func TestDecodeParams(t *testing.T) {
	const must = `"repo_id":"a/b","name":"x"`
	for _, tt := range []struct{ in, wrong, says string }{
		{`{` + must + `}`, "", ""},
		{`{` + must + `,"count":3,"flag":false,"tags":["a"],"any":{"k":[1]}}`, "", ""},
		{`{` + must + `,"tags":"a"}`, "", ""},
		{`{` + must + `,"count":null,"repo_type":null,"gated":null}`, "", ""},
		{`{` + must + `,"gated":false}`, "", ""},
		{`{"name":"x"}`, "repo_id", "is missing"},
		{`{"repo_id":null,"name":"x"}`, "repo_id", "is missing"},
		{`{"repo_id":"","name":"x"}`, "repo_id", "is empty"},
		{`{` + must + `,"count":"3"}`, "count", "of type int"},
		{`{` + must + `,"count":3.5}`, "count", "of type int"},
		{`{` + must + `,"flag":"yes"}`, "flag", "of type bool"},
		{`{` + must + `,"tags":[1]}`, "tags", "of type list[str] | str"},
		{`{` + must + `,"gated":true}`, "gated", `one of "auto", "manual", false`},
		{`{` + must + `,"repo_type":"kernel"}`, "repo_type", `one of "model", "dataset", "space"`},
		{`{` + must + `,"colour":1}`, "colour", "isn't one of m, which takes"},
	} {
		params := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(tt.in), &params); err != nil {
			t.Fatal(err)
		}
		var s sample
		err := decodeParams("m", params, &s)
		if tt.wrong == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.in, err)
			}
			if s.RepoID != "a/b" || s.RepoType != "model" {
				t.Errorf("%s: got %+v", tt.in, s)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Parameter != tt.wrong || !strings.Contains(e.Message, tt.says) || !strings.Contains(e.Message, tt.wrong) {
			t.Errorf("%s: got %v, want one about %s that says %q", tt.in, err, tt.wrong, tt.says)
		}
	}
	var s sample
	if err := decodeParams("m", map[string]json.RawMessage{"repo_id": []byte(`"a/b"`), "name": []byte(`"x"`), "gated": []byte("false")}, &s); err != nil {
		t.Fatal(err)
	}
	if !s.Flag || *s.Gated != "false" || s.Count != nil {
		t.Errorf("got %+v", s)
	}
}

func TestParamsOf(t *testing.T) {
	var got []string
	for _, p := range paramsOf[sample]() {
		got = append(got, p.Name+":"+p.Type)
	}
	want := []string{"repo_id:str", "name:str", "repo_type:str", "count:int", "flag:bool", "tags:list[str] | str", "gated:bool | str", "any:any", "token:str | bool"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseValues(t *testing.T) {
	for _, tt := range []struct {
		typ   string
		words []string
		want  string // "" is an error
	}{
		{"str", []string{"true"}, `"true"`},
		{"str", []string{"a", "b"}, ""},
		{"bool", []string{"True"}, "true"},
		{"bool", []string{"0"}, "false"},
		{"bool", []string{"maybe"}, ""},
		{"int", []string{"-1"}, "-1"},
		{"int", []string{"007"}, "7"},
		{"int", []string{"1.5"}, ""},
		{"float", []string{"1.5"}, "1.5"},
		{"float", []string{"NaN"}, ""},
		{"list[str]", []string{"a", "b"}, `["a","b"]`},
		{"list[str] | str", []string{"a"}, `["a"]`},
		{"list[dict]", []string{`{"key":"k"}`}, `[{"key":"k"}]`},
		{"bool | str", []string{"false"}, "false"},
		{"bool | str", []string{"auto"}, `"auto"`},
		{"dict", []string{`{"a":1}`}, `{"a":1}`},
		{"dict", []string{`a`}, ""},
		{"any", []string{"plain"}, `"plain"`},
		{"any", []string{"[1]"}, "[1]"},
	} {
		got, err := ParamInfo{Name: "p", Type: tt.typ}.ParseValues(tt.words)
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%s %q: got %s, want an error", tt.typ, tt.words, got)
		case tt.want == "" && !strings.Contains(err.Error(), "parameter p "):
			t.Errorf("%s %q: %v doesn't name the parameter", tt.typ, tt.words, err)
		case tt.want != "" && (err != nil || string(got) != tt.want):
			t.Errorf("%s %q: got %s, %v, want %s", tt.typ, tt.words, got, err, tt.want)
		}
	}
}
