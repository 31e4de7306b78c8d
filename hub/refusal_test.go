package hub

import "testing"

func TestPathIn(t *testing.T) {
	paths := []string{"f4", "d/f4", "a b.txt", "README.md"}
	for message, want := range map[string]string{
		`bad: "f4" is no good`: "f4", `bad: "f44" is no good`: "", "d/f4": "d/f4", "no good: d/f4, sorry": "d/f4",
		"the file a b.txt.": "a b.txt", "xREADME.md": "", "`README.md`: invalid": "README.md", "": "",
	} {
		if got := PathIn(message, paths); got != want {
			t.Errorf("%q names %q, want %q", message, got, want)
		}
	}
}
