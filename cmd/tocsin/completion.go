package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string   `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
	Words []string `arg:"" optional:"" hidden:"" help:"Internal: the words typed so far."`
	List  bool     `hidden:"" help:"Internal: list what can follow the words."`
}

func (c *completionCmd) Help() string {
	return `  bash:  source <(tocsin completion bash)
  zsh:   source <(tocsin completion zsh)
  fish:  tocsin completion fish | source`
}

// The scripts ask the binary itself what may follow, so they never go out of date.
var completionScripts = map[string]string{
	"bash": `_tocsin() {
  local IFS=$'\n' typed="${COMP_WORDS[COMP_CWORD]}"
  [[ $typed == = ]] && typed=
  COMPREPLY=($(compgen -W "$(tocsin completion bash --list -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "$typed"))
}
complete -o default -F _tocsin tocsin
`,
	"zsh": `#compdef tocsin
_tocsin() {
  local -a found
  found=(${(f)"$(tocsin completion zsh --list -- ${words[2,CURRENT-1]} 2>/dev/null)"})
  if (( ${#found} )); then compadd -a found; fi
  _files
}
compdef _tocsin tocsin
`,
	"fish": `complete -c tocsin -a '(tocsin completion fish --list -- (commandline -opc)[2..-1] 2>/dev/null)'
`,
}

func (c *completionCmd) Run(s streams, app *kong.Application) error {
	if !c.List {
		_, err := fmt.Fprint(s.out, completionScripts[c.Shell])
		return err
	}
	for _, w := range candidates(app.Node, c.Words) {
		fmt.Fprintln(s.out, w)
	}
	return nil
}

// candidates lists the commands and flags that may follow words.
func candidates(node *kong.Node, words []string) []string {
	if n := len(words); n > 0 && words[n-1] == "=" {
		words = words[:n-1] // bash makes three words of --flag=value
	}
	var flags []*kong.Flag
	flags = append(flags, node.Flags...)
	for _, w := range words {
		for _, child := range node.Children {
			if child.Name == w {
				node = child
				flags = append(flags, child.Flags...)
				break
			}
		}
	}
	if len(words) > 0 {
		last := strings.TrimPrefix(words[len(words)-1], "--")
		for _, f := range flags {
			if "--"+last == words[len(words)-1] && f.Name == last && !f.IsBool() {
				if f.Enum != "" {
					return strings.Split(f.Enum, ",")
				}
				return nil // a value that only the user knows, or a file
			}
		}
	}
	var out []string
	for _, child := range node.Children {
		if !child.Hidden {
			out = append(out, child.Name)
		}
	}
	for _, f := range flags {
		if !f.Hidden {
			out = append(out, "--"+f.Name)
		}
	}
	for _, p := range node.Positional {
		if p.Enum != "" {
			out = append(out, strings.Split(p.Enum, ",")...)
		}
	}
	return out
}
