package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
)

// describeFlag is what --help means behind a method; cli knows help of commands only.
const describeFlag = "describe"

func apiCommand() *cli.Command {
	return &cli.Command{
		Name:      "api",
		Usage:     "call a method of the Hub's API by its HfApi name",
		ArgsUsage: "METHOD [name=value ...]",
		Description: "Prints the result as one JSON value, with the attribute names of Python's HfApi. A list is one\n" +
			"array, written as it comes; with --jsonl an element a line.\n\n" +
			"   name=value     read by the type of the parameter; several of one name make a list\n" +
			"   name:=JSON     any JSON value: private:=null, paths:='[\"a\",\"b\"]'\n" +
			"   name@=FILE     the content of a file, - for stdin (so does name=@-), env:VAR for a variable of the\n" +
			"                  environment: how secrets are given, which others would see in the arguments\n\n" +
			"With --mount DIR a call can run in the background, in the daemon: --background prints its job, which\n" +
			"hubfs jobs DIR shows, waits for and cancels.\n\n" +
			"Examples:\n" +
			"   hubfs api --list\n" +
			"   hubfs api create_repo --help\n" +
			"   hubfs api list_repo_tree repo_id=stanfordnlp/imdb repo_type=dataset recursive=true\n" +
			"   hubfs api add_space_secret repo_id=me/app key=TOKEN value@=env:APP_TOKEN\n" +
			"   hubfs api upload_folder --mount /mnt/hub --background repo_id=me/m folder_path=$PWD/out\n" +
			"   hubfs api whoami token@=token.txt",
		Flags: append(hubFlags(),
			&cli.BoolFlag{Name: "list", Usage: "list the methods"},
			&cli.BoolFlag{Name: "jsonl", Usage: "print a list as one element a line"},
			&cli.StringFlag{Name: "mount", Usage: "call through the daemon of the mount at `DIR`, with its token"},
			&cli.BoolFlag{Name: "background", Usage: "with --mount: run in the daemon, after the jobs before, and print the job"},
			&cli.BoolFlag{Name: "markdown", Usage: "print the reference of all methods"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON where it isn't anyway: lists, descriptions, and errors (on stderr)"},
			&cli.BoolFlag{Name: describeFlag, Usage: "tell the parameters of METHOD, as METHOD --help does"},
		),
		Action: func(c *cli.Context) error {
			err := runAPI(c)
			if err == nil || !c.Bool("json") {
				return err
			}
			return reportJSON(c.App.ErrWriter, err)
		},
	}
}

// reportedError has been printed already.
type reportedError struct{ cause error }

func (*reportedError) Error() string   { return "" }
func (e *reportedError) Unwrap() error { return e.cause }

// reportJSON prints what went wrong for programs, in the form of the control socket.
func reportJSON(w io.Writer, err error) error {
	e := control.AsError(err)
	var usage *usageError
	if errors.As(err, &usage) && e.Kind == control.KindLocal {
		e = &control.Error{Status: http.StatusBadRequest, Kind: control.KindBadParameter, Message: err.Error()}
	}
	if printErr := printJSON(w, e); printErr != nil {
		return err
	}
	return &reportedError{err}
}

func runAPI(c *cli.Context) error {
	if c.Bool("list") {
		if err := needArgs(c, 0, 0); err != nil {
			return err
		}
		return listMethods(c)
	}
	if c.Bool("markdown") {
		if err := needArgs(c, 0, 0); err != nil {
			return err
		}
		return writeReference(c.App.Writer)
	}
	if err := needArgs(c, 1, 1<<20); err != nil {
		return err
	}
	m, err := control.LookupMethod(c.Args().First())
	if err != nil {
		return usagef("%v; hubfs api --list lists them", err)
	}
	if c.Bool(describeFlag) {
		return describeMethod(c, m.MethodInfo)
	}
	params, err := parseParams(m.MethodInfo, c.Args().Tail(), c.App.Reader)
	if err != nil {
		return paramError(m.Name, err)
	}
	if c.Bool("background") {
		return paramError(m.Name, runInBackground(c, m, params))
	}
	call, closeAPI, err := caller(c, m)
	if err != nil {
		return err
	}
	defer closeAPI()
	res, err := call(c.Context, params)
	if err == nil {
		err = printResult(c.App.Writer, res, c.Bool("jsonl"))
	}
	return paramError(m.Name, err)
}

// caller calls the method here, or in the daemon of --mount.
func caller(c *cli.Context, m *control.Method) (call func(context.Context, map[string]json.RawMessage) (*control.Result, error), closeAPI func(), err error) {
	if dir := c.String("mount"); dir != "" {
		client, err := control.NewClient(dir)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context, params map[string]json.RawMessage) (*control.Result, error) {
			return client.Call(ctx, m.Name, params)
		}, func() {}, nil
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return nil, nil, err
	}
	api, err := cfg.api()
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, params map[string]json.RawMessage) (*control.Result, error) {
		return m.Call(ctx, api, params)
	}, func() { api.Hub.CloseIdleConnections() }, nil
}

// runInBackground queues the call in the daemon of --mount.
func runInBackground(c *cli.Context, m *control.Method, params map[string]json.RawMessage) error {
	dir := c.String("mount")
	if dir == "" {
		return usagef("--background needs a daemon that outlives this command: give --mount DIR, or run the command in the background of your shell")
	}
	client, err := control.NewClient(dir)
	if err != nil {
		return err
	}
	job, err := client.Background(c.Context, m.Name, params)
	if err != nil {
		return err
	}
	return printJSON(c.App.Writer, job)
}

// paramError makes a wrong parameter a wrong usage.
func paramError(method string, err error) error {
	if err != nil && control.AsError(err).Kind == control.KindBadParameter {
		return usagef("%v; see: hubfs api %s --help", err, method)
	}
	return err
}

// parseParams reads name=value, name:=JSON, name@=FILE and name=@-.
func parseParams(m control.MethodInfo, words []string, stdin io.Reader) (map[string]json.RawMessage, error) {
	params := map[string]json.RawMessage{}
	plain := map[string][]string{}
	var order []string
	for _, w := range words {
		key, val, ok := strings.Cut(w, "=")
		name := strings.TrimRight(key, ":@")
		if !ok || name == "" {
			return nil, usagef("%q is no parameter; write name=value", w)
		}
		i := slices.IndexFunc(m.Params, func(p control.ParamInfo) bool { return p.Name == name })
		if i < 0 {
			return nil, unknownParam(m, name)
		}
		if key == name && val == "@-" {
			key, val = name+"@", "-"
		}
		if m.Params[i].Secret && key != name+"@" && val != "false" && val != "null" {
			return nil, secretInArgs(name)
		}
		if _, twice := params[name]; twice || (len(plain[name]) > 0 && key != name) {
			return nil, usagef("parameter %s is given twice", name)
		}
		switch strings.TrimPrefix(key, name) {
		case ":":
			if !json.Valid([]byte(val)) {
				return nil, usagef("parameter %s: %s is not JSON", name, val)
			}
			params[name] = json.RawMessage(val)
		case "@":
			content, err := readFile(val, stdin)
			if err != nil {
				return nil, fmt.Errorf("parameter %s: %w", name, err)
			}
			if m.Params[i].Secret {
				content = strings.TrimRight(content, "\r\n") // which editors and echo add
			}
			if name == "token" {
				content = strings.TrimSpace(content)
			}
			raw, err := m.Params[i].ParseValues([]string{content})
			if err != nil {
				return nil, err
			}
			params[name] = raw
		case "":
			if len(plain[name]) == 0 {
				order = append(order, name)
			}
			plain[name] = append(plain[name], val)
		default:
			return nil, usagef("%q is no parameter; write name=value, name:=JSON or name@=FILE", w)
		}
	}
	for _, name := range order {
		i := slices.IndexFunc(m.Params, func(p control.ParamInfo) bool { return p.Name == name })
		raw, err := m.Params[i].ParseValues(plain[name])
		if err != nil {
			return nil, err
		}
		params[name] = raw
	}
	return params, nil
}

func secretInArgs(name string) error {
	what := "a secret"
	instead := ""
	if name == "token" {
		what, instead = "a token", ", --token-file or HF_TOKEN"
	}
	return usagef("%s in the arguments can be seen by everybody on this machine: give %s@=FILE, %s@=- for stdin, %s@=env:VAR%s", what, name, name, name, instead)
}

func unknownParam(m control.MethodInfo, name string) error {
	var known []string
	for _, p := range m.Params {
		known = append(known, p.Name)
	}
	return usagef("%s has no parameter %q; it has: %s", m.Name, name, strings.Join(known, ", "))
}

func readFile(name string, stdin io.Reader) (string, error) {
	if name == "-" {
		b, err := io.ReadAll(stdin)
		return string(b), err
	}
	if v, ok := strings.CutPrefix(name, "env:"); ok {
		text, ok := os.LookupEnv(v)
		if !ok {
			return "", fmt.Errorf("the environment has no variable %s", v)
		}
		return text, nil
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// printResult prints one JSON value; a list as it comes.
func printResult(w io.Writer, res *control.Result, jsonl bool) error {
	if res.Elements == nil {
		return printJSON(w, res.Value)
	}
	begun := false
	for e, err := range res.Elements {
		if err != nil {
			return err // the array stays open: what was printed isn't the whole list
		}
		b, err := marshal(e)
		if err != nil {
			return err
		}
		lead := ""
		if !jsonl {
			lead = ",\n  "
			if !begun {
				lead = "[\n  "
			}
		}
		begun = true
		tail := ""
		if jsonl {
			tail = "\n"
		}
		if _, err := io.WriteString(w, lead+string(b)+tail); err != nil {
			return err
		}
	}
	end := "\n]\n"
	if !begun {
		end = "[]\n"
	}
	if jsonl {
		end = ""
	}
	_, err := io.WriteString(w, end)
	return err
}

// marshal leaves <, > and & alone, which json.Marshal wouldn't.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

func listMethods(c *cli.Context) error {
	methods := control.Methods()
	if c.Bool("json") {
		infos := make([]control.MethodInfo, len(methods))
		for i, m := range methods {
			infos[i] = m.MethodInfo
		}
		return printJSON(c.App.Writer, infos)
	}
	for _, m := range methods {
		fmt.Fprintln(c.App.Writer, m.Name)
	}
	return nil
}

func describeMethod(c *cli.Context, m control.MethodInfo) error {
	if c.Bool("json") {
		return printJSON(c.App.Writer, m)
	}
	fmt.Fprintf(c.App.Writer, "%s -> %s\n%s\n\n", m.Name, m.Returns, m.Doc)
	var rows [][]string
	for _, p := range m.Params {
		note := p.Doc
		var enum []string
		for _, e := range p.Enum {
			enum = append(enum, strings.Trim(string(e), `"`))
		}
		if len(enum) > 0 {
			note += " (" + strings.Join(enum, ", ") + ")"
		}
		switch {
		case p.Secret && p.Required:
			note += " (required, secret)"
		case p.Secret:
			note += " (secret)"
		case p.Required:
			note += " (required)"
		case p.Default != nil:
			note += " (default: " + strings.Trim(string(p.Default), `"`) + ")"
		}
		rows = append(rows, []string{"  " + p.Name, p.Type, note})
	}
	return printTable(c.App.Writer, rows)
}
