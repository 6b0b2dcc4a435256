package main

import (
	_ "embed"
	"regexp"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

//go:embed containerd-shim-bailey-v2.md
var shimText string

func shimPage(day string) string {
	return fromMarkdown("containerd-shim-bailey-v2 8 "+day+` bailey "System Administration"`, shimText)
}

// policyPage makes a page of the guide to policies.
func policyPage(guide, day string) string {
	_, guide, _ = strings.Cut(guide, "\n") // its title
	guide = regexp.MustCompile(`(?m)^##(#*) `).ReplaceAllString(guide, "#$1 ")
	return fromMarkdown("bailey-policy.toml 5 "+day+` bailey "File Formats"`,
		"# NAME\n\nbailey-policy.toml - what holds for all containers of a machine\n\n# DESCRIPTION\n"+guide+
			"\n# SEE ALSO\n\n**bailey**(8), **bailey-policy**(8)\n")
}

// links are Markdown's. What they lead to lies beside a guide, and not beside a page.
var links = regexp.MustCompile(`\[([^]]+)\]\([^)]+\)`)

// fromMarkdown makes a page of its heading and a text in Markdown.
func fromMarkdown(heading, text string) string {
	text = links.ReplaceAllString(definitions(text), "$1")
	return string(md2man.Render([]byte("% " + heading + "\n\n" + text)))
}

// definitions makes definition lists of tables, which are too wide for a terminal: what is in the last column defines what
// is in the others. An empty first cell stands for the one above it.
func definitions(text string) string {
	var b strings.Builder
	first, body := "", false
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			body = false
			b.WriteString(line)
			continue
		}
		if !body { // the head of a table
			body = strings.HasPrefix(line, "|--")
			continue
		}
		cells := strings.Split(strings.Trim(line, "| \n"), "|")
		if strings.HasPrefix(line, "| |") {
			cells = append([]string{first}, cells...)
		}
		first = cells[0]
		last := len(cells) - 1
		term := strings.Join(strings.Fields(strings.Join(cells[:last], " ")), " ")
		b.WriteString(term + "\n: " + strings.TrimSpace(cells[last]) + "\n\n")
	}
	return b.String()
}
