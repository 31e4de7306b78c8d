package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/hubfs/hubfs/control"
)

// writeReference writes docs/api.md: the table of methods for readers.
func writeReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Methods of the API

Written by ` + "`hubfs api --markdown`" + ` from the table of methods; a test keeps it so.

Each method bears the name and the parameters that it has in Python's ` + "`HfApi`" + `, and its result the attribute names of
its classes. Call it as ` + "`hubfs api METHOD name=value ...`" + `, or with ` + "`POST /v1/api/METHOD`" + ` on the socket of a mount
([socket.md](socket.md)). Examples are in [examples.md](examples.md).

A parameter that isn't required may be left out or be null. Secrets are given as ` + "`name@=FILE`, `name@=-` or\n`name@=env:VAR`" + `.
A list that is streamed comes element by element.

`)
	methods := control.Methods()
	for _, m := range methods {
		fmt.Fprintf(&b, "- [%s](#%s)\n", m.Name, strings.ToLower(strings.ReplaceAll(m.Name, ".", "")))
	}
	for _, m := range methods {
		stream := ""
		if m.Stream {
			stream = ", streamed"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s Returns `%s`%s.\n", m.Name, m.Doc, m.Returns, stream)
		if len(m.Params) == 0 {
			continue
		}
		b.WriteString("\n| parameter | type | default | |\n| --- | --- | --- | --- |\n")
		for _, p := range m.Params {
			def := ""
			switch {
			case p.Required:
				def = "required"
			case p.Default != nil:
				def = "`" + strings.Trim(string(p.Default), `"`) + "`"
			}
			note := p.Doc
			if len(p.Enum) > 0 {
				var words []string
				for _, e := range p.Enum {
					words = append(words, "`"+strings.Trim(string(e), `"`)+"`")
				}
				note += "; one of " + strings.Join(words, ", ")
			}
			if p.Secret {
				note += "; secret"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.Name, cell(p.Type), def, cell(note))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell makes a text fit for a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
