package localhub

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// defaultAttributes is .gitattributes of a new repository: the kinds of files that
// are LFS whatever their size.
var defaultAttributes = func() string {
	var b strings.Builder
	for _, p := range strings.Fields(`*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack
		*.npy *.npz *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite
		*.tgz *.wasm *.xz *.zip *.zst *tfevents*`) {
		b.WriteString(p + lfsAttributes)
	}
	return b.String()
}()

const lfsAttributes = " filter=lfs diff=lfs merge=lfs -text\n"

// attributes are the rules of a .gitattributes file that have to do with LFS, in
// its order: the last that matches counts.
type attributes []attributeLine

type attributeLine struct {
	pattern  []string // by segment
	anywhere bool     // matches by the last segment only
	lfs      bool
}

// parseAttributes reads a .gitattributes file. Lines that git wouldn't take are
// left out.
func parseAttributes(text []byte) attributes {
	var rules attributes
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "[attr]") || line[0] == '!' {
			continue
		}
		pattern, rest := line, ""
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				continue
			}
			if pattern, err = strconv.Unquote(q); err != nil {
				continue
			}
			rest = line[len(q):]
		} else if i := strings.IndexAny(line, " \t"); i >= 0 {
			pattern, rest = line[:i], line[i:]
		}
		set, lfs := false, false
		for a := range strings.FieldsSeq(rest) {
			switch {
			case a == "filter=lfs":
				set, lfs = true, true
			case a == "-filter", a == "!filter", a == "filter", strings.HasPrefix(a, "filter="):
				set, lfs = true, false
			}
		}
		if !set || strings.HasSuffix(pattern, "/") {
			continue
		}
		r := attributeLine{anywhere: !strings.Contains(pattern, "/"), lfs: lfs}
		r.pattern = globSegments(strings.TrimPrefix(pattern, "/"))
		rules = append(rules, r)
	}
	return rules
}

// isLFS tells if the rules make a file an LFS file.
func (a attributes) isLFS(name string) bool {
	segs := strings.Split(name, "/")
	for i := len(a) - 1; i >= 0; i-- {
		at := segs
		if a[i].anywhere {
			at = segs[len(segs)-1:]
		}
		if globMatch(a[i].pattern, at) {
			return a[i].lfs
		}
	}
	return false
}

// negation is how git writes "not one of"; path.Match has another sign for it.
var negation = regexp.MustCompile(`(^|[^\\])\[!`)

// globSegments makes a pattern of git one for globMatch.
func globSegments(pattern string) []string {
	pattern = strings.ReplaceAll(pattern, "[[:space:]]", "[ \t]")
	segs := strings.Split(negation.ReplaceAllString(pattern, "${1}[^"), "/")
	out := segs[:0]
	for i, s := range segs {
		// Two stars in a row say no more than one pair.
		if s == "**" && i > 0 && len(out) > 0 && out[len(out)-1] == "**" {
			continue
		}
		out = append(out, s)
	}
	return out
}

// globMatch matches a path segment by segment; "**" stands for any number of them.
func globMatch(pattern, segs []string) bool {
	// star and back are where to go on when what came after the last "**" fails:
	// with it taking one segment more.
	star, back := -1, 0
	p, s := 0, 0
	for s < len(segs) {
		if p < len(pattern) && pattern[p] == "**" {
			star, back = p, s
			p++
			if p == len(pattern) {
				return true
			}
			continue
		}
		if p < len(pattern) {
			if ok, err := path.Match(pattern[p], segs[s]); err == nil && ok {
				p, s = p+1, s+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		back++
		p, s = star+1, back
	}
	return p == len(pattern)
}

// attributeRule is a line that makes one file an LFS file.
func attributeRule(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == ' ':
			b.WriteString("[[:space:]]")
			continue
		case strings.ContainsRune(`*?[]\`, r), i == 0 && strings.ContainsRune(`#!"`, r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	rule := b.String()
	if !strings.Contains(name, "/") {
		rule = "/" + rule // this file, not every file of its name
	}
	return rule + lfsAttributes
}
