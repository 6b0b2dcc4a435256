package policy

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// MaxSize is the size in bytes above which a policy is refused unread.
const MaxSize = 64 << 10

// ParseError is one thing that is wrong with a policy file.
type ParseError struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Problem names the part of the file and the key, and says what is allowed. It is one line.
	Problem string `json:"problem"`
}

// Error returns `/etc/bailey/policy.toml:12: rule "web", seal: …`.
func (e *ParseError) Error() string {
	return printable(e.File) + ":" + strconv.Itoa(e.Line) + ": " + e.Problem
}

// ParseErrors are all that is wrong with a policy file, in the order of its lines.
type ParseErrors []*ParseError

// Error returns the first, and how many more there are.
func (p ParseErrors) Error() string {
	if len(p) == 1 {
		return p[0].Error()
	}
	return p[0].Error() + " (and " + strconv.Itoa(len(p)-1) + " more)"
}

// file is a policy file that was read.
type file struct {
	defaults Decision
	rules    []rule
}

// rule is settings for the containers that it matches.
type rule struct {
	name     string
	match    match
	settings Decision
}

// decoder makes a policy of a tree. It goes on after a problem, so that all are found in one go.
type decoder struct {
	name     string // of the file
	problems ParseErrors
	// cut: the tree ends before the file does, so that what is missing in it may be in the rest.
	cut bool
}

// parse reads the text of a policy; name is the file's, for errors and origins. The error is ParseErrors.
func parse(name string, data []byte) (*file, error) {
	d := &decoder{name: name}
	f := new(file)
	if len(data) > MaxSize {
		d.bad(1, "the file has more than %d bytes", MaxSize)
	} else {
		root, err := parseTOML(data)
		if err != nil {
			d.cut = true
			d.bad(err.line, "%s", err.what)
		}
		d.file(root, f)
	}
	if len(d.problems) == 0 {
		return f, nil
	}
	slices.SortStableFunc(d.problems, func(a, b *ParseError) int { return a.Line - b.Line })
	return nil, d.problems
}

// printable returns s with escapes in place of its line breaks and other control characters: an error is one line,
// whatever a file and its keys are called.
func printable(s string) string {
	q := strconv.Quote(s)
	if unquoted := q[1 : len(q)-1]; len(unquoted) != len(s) {
		for _, r := range s {
			if !strconv.IsPrint(r) {
				return unquoted
			}
		}
	}
	return s
}

func (d *decoder) bad(line int, format string, args ...any) {
	d.problems = append(d.problems, &ParseError{d.name, line, printable(fmt.Sprintf(format, args...))})
}

// section is a table of the file whose keys set something: what names it in errors and origins.
type section struct {
	*decoder
	what string
}

func (s section) bad(line int, key, why string) { s.decoder.bad(line, "%s, %s: %s", s.what, key, why) }

func (s section) origin(line int) []Origin { return []Origin{{What: s.what, File: s.name, Line: line}} }

// file reads the whole tree.
func (d *decoder) file(root *table, f *file) {
	for _, key := range root.keys {
		v := root.items[key]
		switch {
		case key == "defaults" && v.kind == unstable.InlineTable:
			d.settings(section{d, "defaults"}, v.table, &f.defaults)
		case key == "defaults":
			d.bad(v.line, "defaults: it is %s, and has to be a table: [defaults]", v.kindName())
		case key == "rule" && v.kind == unstable.ArrayTable:
			lines := make(map[string]int)
			for i, t := range v.list {
				f.rules = append(f.rules, d.rule(i, t.table, lines))
			}
		case key == "rule":
			d.bad(v.line, "rule: it is %s, and has to be a list of tables: [[rule]]", v.kindName())
		default:
			d.bad(v.line, "unknown key %q: a policy has [defaults] and [[rule]]", key)
		}
	}
}

// rule reads the rule with an index. lines are those of the names so far.
func (d *decoder) rule(index int, t *table, lines map[string]int) rule {
	var r rule
	s := section{d, "rule " + strconv.Itoa(index+1)}
	if v := t.items["name"]; v == nil {
		s.missing(t, "it has no name, by which a decision could say what made it")
	} else if v.kind != unstable.String || v.text == "" {
		s.bad(v.line, "name", "it has to be a string with something in it")
	} else if line, ok := lines[v.text]; ok {
		s.bad(v.line, "name", strconv.Quote(v.text)+" is the name of the rule in line "+strconv.Itoa(line))
	} else {
		lines[v.text] = v.line
		r.name = v.text
		s.what = "rule " + strconv.Quote(v.text)
	}
	if v := t.items["match"]; v == nil {
		s.missing(t, "it has no match; what is to hold for every container belongs to [defaults]")
	} else if v.kind != unstable.InlineTable {
		s.bad(v.line, "match", "it is "+v.kindName()+", and has to be a table of conditions")
	} else {
		r.match = d.match(s, v.table)
	}
	if d.settings(s, t, &r.settings, "name", "match") == 0 {
		s.missing(t, "it sets nothing")
	}
	return r
}

// missing reports what the rule does not have.
func (s section) missing(t *table, why string) {
	if !s.cut {
		s.decoder.bad(t.line, "%s: %s", s.what, why)
	}
}

// settings reads the settings of a table into to, and returns how many keys it has besides those that are read
// elsewhere.
func (d *decoder) settings(s section, t *table, to *Decision, elsewhere ...string) int {
	n := 0
	for _, key := range t.keys {
		v := t.items[key]
		if slices.Contains(elsewhere, key) {
			continue
		}
		n++
		switch key {
		case "userns":
			read(s, key, v, &to.Userns, choice(usernsOrder))
		case "userns_size":
			read(s, key, v, &to.UsernsSize, usernsSize)
		case "namespaces":
			d.namespaces(s, v, to)
		case "capabilities":
			read(s, key, v, &to.Capabilities, ceiling)
		case "seccomp":
			read(s, key, v, &to.Seccomp, choice(seccompOrder))
		case "no_new_privileges":
			read(s, key, v, &to.NoNewPrivileges, choice(noNewPrivilegesOrder))
		case "securebits":
			read(s, key, v, &to.Securebits, secureBits)
		case "seal":
			read(s, key, v, &to.Seal, choice(sealOrder))
		case "overlap":
			read(s, key, v, &to.Overlap, choice(overlapOrder))
		case "annotations":
			read(s, key, v, &to.Annotations, choice(annotationsOrder))
		default:
			s.decoder.bad(v.line, "%s: unknown key %q: the settings are userns, userns_size, namespaces, capabilities, seccomp, "+
				"no_new_privileges, securebits, seal, overlap, annotations%s", s.what, key, alsoIn(elsewhere))
		}
	}
	return n
}

func alsoIn(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return "; a rule also has " + list(keys)
}

// namespaces reads the table of limits.
func (d *decoder) namespaces(s section, v *value, to *Decision) {
	if v.kind != unstable.InlineTable {
		s.bad(v.line, "namespaces", "it is "+v.kindName()+", and has to be a table such as { user = 0, net = 2 }")
		return
	}
	for _, key := range v.table.keys {
		item := v.table.items[key]
		if !slices.Contains(kinds, Kind(key)) {
			s.bad(item.line, "namespaces", fmt.Sprintf("unknown key %q: the kinds are %s", key, list(kinds)))
			continue
		}
		var limit Setting[Limit]
		read(s, "namespaces."+key, item, &limit, namespaceLimit)
		if limit.IsSet() {
			to.limit(Kind(key), limit)
		}
	}
}

// read reads one setting.
func read[T any](s section, key string, v *value, to *Setting[T], convert func(*value) (T, *tomlError)) {
	x, err := convert(v)
	if err != nil {
		s.bad(err.line, key, err.what)
		return
	}
	*to = Setting[T]{Value: x, By: s.origin(v.line)}
}

// choice returns the conversion of a string that is one of a few.
func choice[T ~string](order []T) func(*value) (T, *tomlError) {
	return func(v *value) (T, *tomlError) {
		switch {
		case v.kind != unstable.String:
			return "", v.isNot("one of the strings " + list(order))
		case !slices.Contains(order, T(v.text)):
			return "", &tomlError{v.line, strconv.Quote(v.text) + " is not one of " + list(order)}
		}
		return T(v.text), nil
	}
}

// isNot returns the error for a value of another type.
func (v *value) isNot(wanted string) *tomlError {
	return &tomlError{v.line, "it is " + v.kindName() + ", and has to be " + wanted}
}

// within returns a number that is from least to most.
func (v *value) within(least, most int64, wanted string) (int64, *tomlError) {
	if v.kind != unstable.Integer {
		return 0, v.isNot(wanted)
	}
	if v.number < least || v.number > most {
		return 0, &tomlError{v.line, strconv.FormatInt(v.number, 10) + " is not " + wanted}
	}
	return v.number, nil
}

func usernsSize(v *value) (uint32, *tomlError) {
	n, err := v.within(1, maxIDs, "a number of IDs from 1 to "+strconv.Itoa(maxIDs))
	return uint32(n), err
}

func namespaceLimit(v *value) (Limit, *tomlError) {
	if v.kind == unstable.String && v.text == config {
		return Unlimited, nil
	}
	n, err := v.within(0, int64(MaxLimit), "a number from 0 to "+MaxLimit.String()+", or "+strconv.Quote(config))
	return Limit(n), err
}

func ceiling(v *value) (Ceiling, *tomlError) {
	if v.kind == unstable.String && v.text == config {
		return Ceiling{}, nil
	}
	if v.kind != unstable.Array {
		return Ceiling{}, v.isNot("a list of names, or " + strconv.Quote(config))
	}
	names, bad := v.strings()
	if bad != nil {
		return Ceiling{}, bad
	}
	c, err := newCeiling(names)
	return c, v.wrong(err)
}

func secureBits(v *value) (Securebits, *tomlError) {
	if v.kind != unstable.Array {
		return 0, v.isNot("a list of names")
	}
	names, bad := v.strings()
	if bad != nil {
		return 0, bad
	}
	bits, err := newSecurebits(names)
	return bits, v.wrong(err)
}

// wrong returns err as one about the value.
func (v *value) wrong(err error) *tomlError {
	if err == nil {
		return nil
	}
	return &tomlError{v.line, err.Error()}
}

// strings returns the value as a list: of its elements, or of the one string that it is.
func (v *value) strings() ([]string, *tomlError) {
	if v.kind == unstable.String {
		return []string{v.text}, nil
	}
	if v.kind != unstable.Array {
		return nil, v.isNot("a string or a list of strings")
	}
	texts := make([]string, 0, len(v.list))
	for _, item := range v.list {
		if item.kind != unstable.String {
			return nil, &tomlError{item.line, "there is " + item.kindName() + " in it, and it has to be a list of strings"}
		}
		texts = append(texts, item.text)
	}
	return texts, nil
}
