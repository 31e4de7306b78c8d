package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
)

// completeCommand is what the shells' scripts ask for the words that fit.
const completeCommand = "__complete"

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the script that completes hubfs in a shell",
		ArgsUsage: "bash|zsh|fish",
		Description: "Completes commands, flags, methods of the API, and the names and choices of their parameters.\n\n" +
			"   bash   source <(hubfs completion bash)       in ~/.bashrc\n" +
			"   zsh    source <(hubfs completion zsh)        in ~/.zshrc, after compinit\n" +
			"   fish   hubfs completion fish | source        in ~/.config/fish/config.fish",
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			script, ok := completionScripts[c.Args().First()]
			if !ok {
				return usagef("no completion for %q; there is bash, zsh and fish", c.Args().First())
			}
			fmt.Fprint(c.App.Writer, script)
			return nil
		},
	}
}

// completeWordsCommand answers one of the scripts. Its arguments are the shell, and the words from the
// command's name to the cursor; for bash, which splits words its own way, the line up to the cursor and the
// characters at which it splits. It prints a word a line, with a tab and what the word means behind it for
// shells that show that. Nothing is an invitation to complete files.
func completeWordsCommand() *cli.Command {
	return &cli.Command{
		Name: completeCommand, Hidden: true, SkipFlagParsing: true, HideHelp: true,
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) < 2 {
				return usagef("%s is for the shells' own use", completeCommand)
			}
			shell, words, dropped := args[0], args[1:], ""
			if shell == "bash" {
				words = splitLine(args[1])
				if len(args) > 2 {
					dropped = beforeBreak(words[len(words)-1], args[2])
				}
			}
			for _, s := range complete(c.App, words) {
				line := strings.TrimPrefix(s.word, dropped)
				if !strings.HasSuffix(s.word, "=") && shell == "bash" {
					line += " "
				}
				if s.doc != "" && shell != "bash" {
					line += "\t" + s.doc
				}
				fmt.Fprintln(c.App.Writer, line)
			}
			return nil
		},
	}
}

// splitLine splits what was typed into words, as a shell does in simple cases. The last is the one that the
// cursor is at, "" behind a space.
func splitLine(line string) []string {
	words := []string{""}
	quote := rune(0)
	for _, r := range line {
		last := &words[len(words)-1]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote == 0 && (r == ' ' || r == '\t'):
			if *last != "" {
				words = append(words, "")
			}
		default:
			*last += string(r)
		}
	}
	return words
}

// beforeBreak is the part of a word that bash takes for words of their own: it wants the rest alone.
func beforeBreak(word, breaks string) string {
	return word[:strings.LastIndexAny(word, strings.Trim(breaks, " \t\n\"'"))+1]
}

// suggestion is a word that fits, and what it means.
type suggestion struct{ word, doc string }

// complete says what the last of the words, the first of which is the program's name, can become.
func complete(app *cli.App, words []string) []suggestion {
	if len(words) < 2 {
		return nil
	}
	words, cur := words[1:len(words)-1], words[len(words)-1]
	commands, flags := app.Commands, globalFlags()
	var found *cli.Command
	for len(words) > 0 {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(words[0]) })
		if i < 0 {
			break
		}
		found = commands[i]
		commands, flags, words = found.Subcommands, append(globalFlags(), found.Flags...), words[1:]
	}
	if found == nil && len(words) > 0 {
		return nil
	}
	// What is left are flags with their values, and arguments.
	var args []string
	wantsValue := false
	for _, w := range words {
		switch {
		case wantsValue:
			wantsValue = false
		case strings.HasPrefix(w, "-"):
			wantsValue = takesValue(flags, w)
		default:
			args = append(args, w)
		}
	}
	switch {
	case wantsValue:
		return nil
	case strings.HasPrefix(cur, "-"):
		return matching(flagSuggestions(flags), cur)
	case found == nil || len(found.Subcommands) > 0:
		var all []suggestion
		for _, c := range commands {
			if !c.Hidden && len(args) == 0 {
				all = append(all, suggestion{c.Name, c.Usage})
			}
		}
		return matching(all, cur)
	case found.Name == "api":
		return completeAPI(args, cur)
	case found.Name == "completion" && len(args) == 0:
		return matching([]suggestion{{"bash", ""}, {"zsh", ""}, {"fish", ""}}, cur)
	}
	return nil
}

func flagSuggestions(flags []cli.Flag) []suggestion {
	var all []suggestion
	for _, f := range flags {
		doc := ""
		if d, ok := f.(cli.DocGenerationFlag); ok {
			doc = strings.ReplaceAll(d.GetUsage(), "`", "")
		}
		for _, name := range f.Names() {
			if len(name) > 1 && name != describeFlag {
				all = append(all, suggestion{"--" + name, doc})
			}
		}
	}
	return all
}

// completeAPI completes a method, the name of a parameter that isn't given yet, or one of a parameter's choices.
func completeAPI(args []string, cur string) []suggestion {
	var all []suggestion
	if len(args) == 0 {
		for _, m := range control.Methods() {
			all = append(all, suggestion{m.Name, m.Doc})
		}
		return matching(all, cur)
	}
	m, err := control.LookupMethod(args[0])
	if err != nil {
		return nil
	}
	given := map[string]bool{}
	for _, a := range args[1:] {
		key, _, _ := strings.Cut(a, "=")
		given[strings.TrimRight(key, ":@")] = true
	}
	name, value, hasValue := strings.Cut(cur, "=")
	for _, p := range m.Params {
		switch {
		case hasValue && p.Name == name:
			all = append(all, choices(p, value)...)
		case hasValue, given[p.Name] && !strings.HasPrefix(p.Type, "list["):
		case p.Secret:
			all = append(all, suggestion{p.Name + "@=", p.Doc})
		default:
			all = append(all, suggestion{p.Name + "=", p.Doc})
		}
	}
	return matching(all, cur)
}

// choices are the words for a parameter's value, where there are few.
func choices(p control.ParamInfo, typed string) []suggestion {
	var words []string
	for _, e := range p.Enum {
		words = append(words, strings.Trim(string(e), `"`))
	}
	if len(words) == 0 && p.Type == "bool" {
		words = []string{"true", "false"}
	}
	var all []suggestion
	for _, w := range words {
		if strings.HasPrefix(w, typed) {
			all = append(all, suggestion{p.Name + "=" + w, ""})
		}
	}
	return all
}

func matching(all []suggestion, cur string) []suggestion {
	return slices.DeleteFunc(all, func(s suggestion) bool { return !strings.HasPrefix(s.word, cur) })
}

// completionScripts ask for the words each time. Where there are none, files are completed.
var completionScripts = map[string]string{
	"bash": `_hubfs_complete() {
	local IFS=$'\n'
	COMPREPLY=($("$1" ` + completeCommand + ` bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null))
}
complete -o default -o nospace -F _hubfs_complete hubfs
`,
	"zsh": `_hubfs() {
	local -a open whole docs_open docs_whole
	local line word
	for line in "${(@f)$("${words[1]}" ` + completeCommand + ` zsh "${(@)words[1,CURRENT]}" 2>/dev/null)}"; do
		[[ -z $line ]] && continue
		word=${line%%$'\t'*}
		if [[ $word == *= ]]; then
			open+=("$word"); docs_open+=("${line//$'\t'/  -- }")
		else
			whole+=("$word"); docs_whole+=("${line//$'\t'/  -- }")
		fi
	done
	if (( ! $#open && ! $#whole )); then
		compset -P '*='
		_files
		return
	fi
	(( $#open )) && compadd -S '' -l -d docs_open -a open
	(( $#whole )) && compadd -l -d docs_whole -a whole
	return 0
}
compdef _hubfs hubfs
`,
	"fish": `function __hubfs_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l found ($words[1] ` + completeCommand + ` fish $words 2>/dev/null)
	if test (count $found) -eq 0
		set -l parts (string match -r '^(.*=|)(.*)$' -- (commandline -ct))
		for file in (__fish_complete_path "$parts[3]")
			printf '%s%s\n' "$parts[2]" $file
		end
	else
		printf '%s\n' $found
	end
end
complete -c hubfs -f -a '(__hubfs_complete)'
`,
}
