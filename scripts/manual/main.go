// Manual writes the manual pages and the completion for bash of the command line as it is, and the pages of what is no
// command: the policy, from its guide, and containerd's shim.
//
// Usage: manual DIR, in the project's directory. The pages go to DIR/man, the completion to DIR/completion, in place of
// what was there. The pages' date is $SOURCE_DATE_EPOCH's, or today.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bailey-oci/bailey/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manual DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	day, err := date()
	if err != nil {
		return err
	}
	guide, err := os.ReadFile("docs/policy.md")
	if err != nil {
		return err
	}
	commands := cli.Manual()
	files := map[string]string{
		"completion/bailey":               completion(commands),
		"man/bailey-policy.toml.5":        policyPage(string(guide), day),
		"man/containerd-shim-bailey-v2.8": shimPage(day),
	}
	for _, c := range commands {
		files["man/"+title(c)+".8"] = page(c, commands, day)
	}
	for _, sub := range []string{"man", "completion"} {
		if err := os.RemoveAll(filepath.Join(dir, sub)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// date is what the pages are dated.
func date() (string, error) {
	t := time.Now()
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		n, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return "", fmt.Errorf("$SOURCE_DATE_EPOCH: %w", err)
		}
		t = time.Unix(n, 0)
	}
	return t.UTC().Format(time.DateOnly), nil
}

func title(c cli.Command) string {
	if c.Name == "" {
		return "bailey"
	}
	return "bailey-" + c.Name
}

// page returns a page in the language of man(7).
func page(c cli.Command, all []cli.Command, day string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(".TH %s 8 %s bailey \"System Administration\"", strings.ToUpper(title(c)), day)
	line(".SH NAME\n%s \\- %s", escape(title(c)), escape(c.Usage))
	line(".SH SYNOPSIS")
	if c.Name == "" {
		line(".B bailey\n[global flags] %s", escape(c.Arguments))
	} else {
		line(".B bailey %s\n%s", c.Name, escape(c.Arguments))
	}
	if c.Name == "" {
		line(".SH DESCRIPTION")
		line("bailey runs containers as the Open Container Initiative specifies them: a directory, the bundle, with a")
		line("configuration, config.json, and the container's root filesystem. Its command line is that of")
		line(".BR runc (8),\nso that container engines can use the one for the other.")
		line(".SH COMMANDS")
		for _, other := range all[1:] {
			line(".TP\n.BR bailey\\-%s (8)\n%s", other.Name, escape(other.Usage))
		}
	}
	if len(c.Flags) > 0 {
		line(map[bool]string{true: ".SH GLOBAL FLAGS", false: ".SH FLAGS"}[c.Name == ""])
	}
	for _, f := range c.Flags {
		names := `\fB\-\-` + escape(f.Name) + `\fR`
		for _, a := range f.Aliases {
			names += `, \fB\-` + map[bool]string{true: "", false: `\-`}[len(a) == 1] + escape(a) + `\fR`
		}
		word, usage := value(f)
		if word != "" {
			names += ` \fI` + escape(word) + `\fR`
		}
		line(".TP\n%s\n%s", names, escape(usage))
		if f.Default != "" {
			line("(without the flag: %s)", escape(f.Default))
		}
	}
	line(".SH EXIT STATUS")
	switch c.Name {
	case "run", "exec":
		line("That of the process that was executed, or 128 and the number of the signal that ended it; 1 after an error of")
		line("bailey's own, of which the last line of standard error tells.")
	default:
		line("0, or 1 after an error, of which the last line of standard error tells.")
	}
	if c.Name == "" {
		line(".SH FILES\n.TP\n.I /etc/bailey/policy.toml\nwhat holds for all containers of the machine")
		line(".TP\n.I /run/bailey\nthe containers' state; of an ordinary user in $XDG_RUNTIME_DIR")
		line(".TP\n.I /var/lib/bailey\nwho has which IDs")
	}
	line(".SH SEE ALSO")
	switch c.Name {
	case "":
		line(".BR bailey\\-policy.toml (5),\n.BR containerd\\-shim\\-bailey\\-v2 (8)")
		line(".PP\nThe specification: https://github.com/opencontainers/runtime\\-spec")
	case "policy":
		line(".BR bailey (8),\n.BR bailey\\-policy.toml (5)")
	default:
		line(".BR bailey (8)")
	}
	return b.String()
}

// value returns the word for a flag's value and the flag's usage. As in the library's own help, a word in backquotes
// in the usage is the one.
func value(f cli.Flag) (word, usage string) {
	before, rest, ok := strings.Cut(f.Usage, "`")
	if name, after, closed := strings.Cut(rest, "`"); ok && closed {
		return name, before + name + after
	}
	return f.Value, f.Usage
}

func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// completion returns a script for bash: commands, flags, containers for what takes one, files for the rest.
func completion(all []cli.Command) string {
	var b strings.Builder
	words := func(list []cli.Flag, valued bool) string {
		var names []string
		for _, f := range list {
			for _, n := range append([]string{f.Name}, f.Aliases...) {
				if valued && f.Value == "" {
					continue
				}
				if len(n) == 1 {
					names = append(names, "-"+n)
				} else {
					names = append(names, "--"+n)
				}
			}
		}
		return strings.Join(names, " ")
	}
	var commands []string
	for _, c := range all[1:] {
		commands = append(commands, c.Name)
	}
	b.WriteString(`# bash completion for bailey(8), made from its command line.

_bailey() {
	local cur=${COMP_WORDS[COMP_CWORD]} command='' flags valued ids='' root='' i
	COMPREPLY=()
	flags="` + words(all[0].Flags, false) + ` --help --version" valued=" ` + words(all[0].Flags, true) + ` "
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root) root=${COMP_WORDS[i + 1]} ;;
		esac
		if [[ $valued == *" ${COMP_WORDS[i]} "* ]]; then
			((i++))
			continue
		fi
		case ${COMP_WORDS[i]} in
		-*) continue ;;
`)
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "\t\t%s) command=%s flags=%q valued=\" %s \"", c.Name, c.Name, words(c.Flags, false), words(c.Flags, true))
		switch c.Name {
		case "create", "run", "plan", "list", "features", "spec", "policy", "help":
		default:
			b.WriteString(" ids=1")
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString(`		esac
		[ -z "$command" ] || break
	done
	if [[ $valued == *" ${COMP_WORDS[COMP_CWORD - 1]} "* ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
	elif [ -z "$command" ]; then
		mapfile -t COMPREPLY < <(compgen -W "` + strings.Join(commands, " ") + `" -- "$cur")
	elif [ -n "$ids" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" ${root:+--root "$root"} list --quiet 2>/dev/null)" -- "$cur")
	fi
}
complete -o filenames -F _bailey bailey
`)
	return b.String()
}
