package localhub

import (
	"bytes"
	"strings"
)

// maxDescription is how many bytes of a README describe a dataset.
const maxDescription = 1000

// cardBody is what follows the metadata of a README.
func cardBody(text []byte) []byte {
	rest := bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t\r\n")
	line, after, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || strings.TrimRight(string(line), " \t\r") != "---" {
		return text
	}
	for {
		line, next, more := bytes.Cut(after, []byte("\n"))
		if strings.TrimRight(string(line), " \t\r") == "---" {
			return next
		}
		if !more {
			return text
		}
		after = next
	}
}

// descriptionOf is the beginning of a README's text, in whole lines as far as there
// is room.
func descriptionOf(body []byte) string {
	s := strings.TrimSpace(strings.ToValidUTF8(string(body), ""))
	if len(s) <= maxDescription {
		return s
	}
	s = strings.ToValidUTF8(s[:maxDescription], "")
	if i := strings.LastIndexByte(s, '\n'); i > 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s) + " …"
}

// citationOf is what stands in the first fenced block below a heading that speaks of
// citation.
func citationOf(body []byte) string {
	var block []string
	below, fenced := false, false
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case fenced && strings.HasPrefix(line, "```"):
			return strings.Join(block, "\n")
		case fenced:
			block = append(block, line)
		case strings.HasPrefix(line, "#"):
			below = strings.Contains(strings.ToLower(line), "citation")
		case below && strings.HasPrefix(line, "```"):
			fenced = true
		}
	}
	return ""
}
