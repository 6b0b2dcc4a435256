package policy

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// The library's parser gives one expression after the other, with its place in the file; its decoder is not used: it
// forgets the places, stops at the first thing that it does not like, and would make the program a quarter of a
// megabyte larger. What is left to do is the tree, and TOML's rules for what may stand twice in it. The fuzz test
// compares both with the decoder.

// table is a TOML table with the places of all that is in it.
type table struct {
	line  int
	keys  []string // in the file's order
	items map[string]*value
	made  maker
}

// maker is how a table came to be, which decides what may be added to it.
type maker int

const (
	byPath   maker = iota // [a.b] has made a, which [a] may still define
	byHeader              // [a]
	byDots                // a.b = 1 has made a
	byBraces              // a = {}
)

// value is a TOML value.
type value struct {
	line   int
	kind   unstable.Kind // InlineTable stands for every table
	text   string        // of a String
	number int64         // of an Integer
	table  *table
	list   []*value // of an Array, or the tables of an ArrayTable
}

// kindName names the type of a value for errors.
func (v *value) kindName() string {
	switch v.kind {
	case unstable.String:
		return "a string"
	case unstable.Integer:
		return "a number"
	case unstable.Bool:
		return "true or false"
	case unstable.InlineTable:
		return "a table"
	case unstable.Array:
		return "a list"
	case unstable.ArrayTable:
		return "a list of tables"
	case unstable.Float:
		return "a fraction"
	default:
		return "a date or time"
	}
}

func newTable(line int, made maker) *table {
	return &table{line: line, items: make(map[string]*value), made: made}
}

func (t *table) set(key string, v *value) {
	t.keys = append(t.keys, key)
	t.items[key] = v
}

// tomlError is a violation of TOML's rules.
type tomlError struct {
	line int
	what string
}

func (e *tomlError) Error() string { return e.what }

// reader makes the tree.
type reader struct {
	p    unstable.Parser
	data []byte
	// offset and at are where line has counted to.
	offset, at int
}

// parseTOML returns the tree of a document as far as it is right, and what is wrong with the rest.
func parseTOML(data []byte) (*table, *tomlError) {
	r := &reader{data: data, at: 1}
	root := newTable(1, byHeader)
	r.p.Reset(data)
	current := root
	for r.p.NextExpression() {
		var err *tomlError
		switch e := r.p.Expression(); e.Kind {
		case unstable.KeyValue:
			err = r.keyValue(current, e)
		case unstable.Table, unstable.ArrayTable:
			current, err = r.header(root, e)
		}
		if err != nil {
			return root, err
		}
	}
	if err := r.p.Error(); err != nil {
		return root, r.syntax(err)
	}
	return root, nil
}

// syntax returns the parser's error with its line.
func (r *reader) syntax(err error) *tomlError {
	e := &tomlError{line: 1, what: err.Error()}
	if parse := (*unstable.ParserError)(nil); errors.As(err, &parse) {
		e.what = parse.Message
		if len(parse.Highlight) > 0 {
			e.line = r.line(r.p.Range(parse.Highlight))
		}
	}
	return e
}

// line returns the line of a place. Places are mostly asked for in order.
func (r *reader) line(place unstable.Range) int {
	to := int(place.Offset)
	if to < r.offset {
		r.offset, r.at = 0, 1
	}
	r.at += bytes.Count(r.data[r.offset:to], []byte{'\n'})
	r.offset = to
	return r.at
}

// path returns the parts of a dotted key, and its line.
func (r *reader) path(n *unstable.Node) (parts []string, line int) {
	for it := n.Key(); it.Next(); {
		if line == 0 {
			line = r.line(it.Node().Raw)
		}
		parts = append(parts, string(it.Node().Data))
	}
	return parts, line
}

// header enters [a.b] or [[a.b]].
func (r *reader) header(root *table, n *unstable.Node) (*table, *tomlError) {
	parts, line := r.path(n)
	last := len(parts) - 1
	t := root
	for _, key := range parts[:last] {
		v := t.items[key]
		if v == nil {
			v = &value{line: line, kind: unstable.InlineTable, table: newTable(line, byPath)}
			t.set(key, v)
		}
		if v.kind == unstable.ArrayTable {
			v = v.list[len(v.list)-1]
		}
		if v.kind != unstable.InlineTable || v.table.made == byBraces {
			return nil, again(key, v, line)
		}
		t = v.table
	}
	key := parts[last]
	old := t.items[key]
	if n.Kind == unstable.Table {
		switch {
		case old == nil:
			old = &value{line: line, kind: unstable.InlineTable, table: newTable(line, byHeader)}
			t.set(key, old)
		case old.kind == unstable.InlineTable && old.table.made == byPath:
			old.line, old.table.line, old.table.made = line, line, byHeader
		default:
			return nil, again(key, old, line)
		}
		return old.table, nil
	}
	if old == nil {
		old = &value{line: line, kind: unstable.ArrayTable}
		t.set(key, old)
	}
	if old.kind != unstable.ArrayTable {
		return nil, again(key, old, line)
	}
	v := &value{line: line, kind: unstable.InlineTable, table: newTable(line, byHeader)}
	old.list = append(old.list, v)
	return v.table, nil
}

// keyValue adds a.b = value to the table of its section.
func (r *reader) keyValue(t *table, n *unstable.Node) *tomlError {
	parts, line := r.path(n)
	last := len(parts) - 1
	for _, key := range parts[:last] {
		v := t.items[key]
		if v == nil {
			v = &value{line: line, kind: unstable.InlineTable, table: newTable(line, byDots)}
			t.set(key, v)
		}
		if v.kind != unstable.InlineTable || v.table.made != byDots {
			return again(key, v, line)
		}
		t = v.table
	}
	if old := t.items[parts[last]]; old != nil {
		return again(parts[last], old, line)
	}
	v, err := r.value(n.Value(), line)
	if err != nil {
		return err
	}
	t.set(parts[last], v)
	return nil
}

// value converts a value; line is that of its key, for those without a place.
func (r *reader) value(n *unstable.Node, line int) (*value, *tomlError) {
	v := &value{line: line, kind: n.Kind}
	if n.Raw.Length > 0 {
		v.line = r.line(n.Raw)
	}
	switch n.Kind {
	case unstable.String:
		v.text = string(n.Data)
	case unstable.Integer:
		var err error
		// The parser has checked the digits and refused 08 and the like, which base 0 would take for octal.
		if v.number, err = strconv.ParseInt(string(n.Data), 0, 64); err != nil {
			return nil, &tomlError{v.line, "the number " + string(n.Data) + " has more than 64 bits"}
		}
	case unstable.Array:
		for it := n.Children(); it.Next(); {
			item, err := r.value(it.Node(), line)
			if err != nil {
				return nil, err
			}
			v.list = append(v.list, item)
		}
	case unstable.InlineTable:
		v.table = newTable(v.line, byHeader)
		for it := n.Children(); it.Next(); {
			if err := r.keyValue(v.table, it.Node()); err != nil {
				return nil, err
			}
		}
		v.table.close()
	}
	return v, nil
}

// close makes an inline table, with those that dotted keys have made in it, one that nothing can be added to.
func (t *table) close() {
	t.made = byBraces
	for _, v := range t.items {
		if v.kind == unstable.InlineTable {
			v.table.close()
		}
	}
}

func again(key string, old *value, line int) *tomlError {
	return &tomlError{line, strconv.Quote(key) + " stands twice: it is " + old.kindName() + " in line " + strconv.Itoa(old.line)}
}
