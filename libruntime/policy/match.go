package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// match is the conditions of a rule. All of those given must hold; a condition with several patterns holds where one
// of them does.
type match struct {
	annotations []annotationMatch
	engines     []string
	bundles     []glob
	rootfs      []glob
	users       []string
	uids        []uint32
	// user: the rule asks for the calling user.
	user bool
}

type annotationMatch struct {
	key    string
	values []glob
}

// match reads the conditions of a rule.
func (d *decoder) match(s section, t *table) match {
	var m match
	for _, key := range t.keys {
		v := t.items[key]
		name := "match." + key
		switch key {
		case "annotation":
			m.annotations = d.annotations(s, v)
		case "engine":
			m.engines = d.engines(s, v)
		case "bundle":
			m.bundles = d.globs(s, name, v, true)
		case "rootfs":
			m.rootfs = d.globs(s, name, v, true)
		case "user":
			m.user = true
			d.users(s, v, &m)
		default:
			s.bad(v.line, "match", fmt.Sprintf("unknown key %q: the conditions are annotation, engine, bundle, rootfs, user", key))
		}
	}
	if len(t.keys) == 0 {
		s.bad(t.line, "match", "it has no condition; what is to hold for every container belongs to [defaults]")
	}
	return m
}

func (d *decoder) annotations(s section, v *value) []annotationMatch {
	if v.kind != unstable.InlineTable || len(v.table.keys) == 0 {
		s.bad(v.line, "match.annotation", `it has to be a table of names and patterns such as { "com.example.team" = "web-*" }`)
		return nil
	}
	list := make([]annotationMatch, 0, len(v.table.keys))
	for _, key := range v.table.keys {
		item := v.table.items[key]
		if item.kind == unstable.InlineTable && item.table.made == byDots {
			// com.example.team without quotes is three tables to TOML.
			s.bad(item.line, "match.annotation", "a name with dots needs quotes around it")
			continue
		}
		list = append(list, annotationMatch{key, d.globs(s, "match.annotation."+strconv.Quote(key), item, false)})
	}
	return list
}

// texts returns a list of strings that has something in it.
func (d *decoder) texts(s section, key string, v *value) []string {
	texts, err := v.strings()
	if err == nil && len(texts) == 0 {
		err = &tomlError{v.line, "an empty list matches nothing"}
	}
	if err != nil {
		s.bad(err.line, key, err.what)
	}
	return texts
}

// globs reads patterns. Those of paths have to be able to match an absolute one.
func (d *decoder) globs(s section, key string, v *value, paths bool) []glob {
	texts := d.texts(s, key, v)
	globs := make([]glob, 0, len(texts))
	for _, text := range texts {
		g := glob(text)
		why := g.check()
		if tokens := g.tokens(); why == "" && paths && tokens[0] != '/' && tokens[0] != anyAtAll {
			why = "matches no path, as all of them start with /"
		}
		// An annotation may be there with nothing in it.
		if why != "" && (text != "" || paths) {
			s.bad(v.line, key, fmt.Sprintf("the pattern %q %s", text, why))
		}
		globs = append(globs, g)
	}
	return globs
}

func (d *decoder) engines(s section, v *value) []string {
	names := d.texts(s, "match.engine", v)
	for _, name := range names {
		if !slices.Contains(engines, name) {
			s.bad(v.line, "match.engine", fmt.Sprintf("%q is not one of %s", name, list(engines)))
		}
	}
	return names
}

// users reads names and numbers of users.
func (d *decoder) users(s section, v *value, m *match) {
	items := []*value{v}
	if v.kind == unstable.Array {
		items = v.list
		if len(items) == 0 {
			s.bad(v.line, "match.user", "an empty list matches nothing")
		}
	}
	for _, item := range items {
		switch item.kind {
		case unstable.String:
			switch {
			case item.text == "":
				s.bad(item.line, "match.user", "the name is empty")
			case strings.Trim(item.text, "0123456789") == "":
				// As a name it would match nobody, and the rule never hold.
				s.bad(item.line, "match.user", "the number of a user is written without quotes: "+item.text)
			}
			m.users = append(m.users, item.text)
		default:
			n, err := item.within(0, maxIDs-1, "the name or number of a user, or a list of those")
			if err != nil {
				s.bad(err.line, "match.user", err.what)
			}
			m.uids = append(m.uids, uint32(n))
		}
	}
}

// matches reports whether all conditions hold. Those that cost something to find out come last.
func (m *match) matches(f *known) bool {
	for _, a := range m.annotations {
		value, ok := f.Annotations[a.key]
		if !ok || !anyGlob(a.values, value) {
			return false
		}
	}
	return (m.bundles == nil || anyGlob(m.bundles, f.Bundle)) &&
		(m.rootfs == nil || anyGlob(m.rootfs, f.Rootfs)) &&
		(!m.user || m.matchesUser(f)) &&
		(m.engines == nil || slices.ContainsFunc(f.engines(), func(e string) bool { return slices.Contains(m.engines, e) }))
}

func (m *match) matchesUser(f *known) bool {
	u := f.user()
	return slices.Contains(m.uids, u.UID) || slices.ContainsFunc(u.Names, func(n string) bool { return slices.Contains(m.users, n) })
}

func anyGlob(globs []glob, s string) bool {
	return slices.ContainsFunc(globs, func(g glob) bool { return g.matches(s) })
}
