package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// The decoder is written out by hand on top of a JSON tokenizer, one function per type, because the
// program decodes one configuration in its life: a decoder that works by reflection spends more time
// building its tables for the fifty types than it then spends decoding. The tests compare it with the
// reflecting one, field for field.
//
// It is strict. What it refuses: invalid UTF-8, names that occur twice in an object, values of another
// type than the field's, numbers with fraction or exponent or out of the field's range, anything after
// the object, and nesting deeper than 10000 (the tokenizer's limit, it does not recurse). A null leaves
// the field at its zero value, as encoders of Go programs write null for an empty list. Names are
// compared with their case: "Process" is not "process" but a field unknown to the specification, and
// ignored like all of those.

// Parse decodes data as a config.json. It does not validate it. The sections of other platforms
// (windows, solaris, vm, zos, freebsd) are ignored like unknown fields and stay nil.
func Parse(data []byte) (*specs.Spec, error) {
	s := new(specs.Spec)
	if err := decode(newDecoder(data, ""), s, decodeSpec); err != nil {
		return nil, err
	}
	return s, nil
}

// ParseProcess decodes data as a process object of config.json. It does not validate it. The Origin of
// an error is "process" followed by the pointer within the object.
func ParseProcess(data []byte) (*specs.Process, error) {
	p := new(specs.Process)
	if err := decode(newDecoder(data, "process"), p, decodeProcess); err != nil {
		return nil, err
	}
	return p, nil
}

// ParseResources decodes data as a resources object of config.json, as given to update. It does not
// validate it. The Origin of an error is "resources" followed by the pointer within the object.
func ParseResources(data []byte) (*specs.LinuxResources, error) {
	r := new(specs.LinuxResources)
	if err := decode(newDecoder(data, "resources"), r, decodeResources); err != nil {
		return nil, err
	}
	return r, nil
}

// ParseMounts decodes data as a list of mounts like that of config.json, or an object with one. It does not validate
// them.
func ParseMounts(data []byte) ([]specs.Mount, error) {
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) > 0 && t[0] == '[' {
		data = append(append([]byte(`{"mounts":`), data...), '}')
	}
	s := new(specs.Spec)
	if err := decode(newDecoder(data, "mounts file"), s, decodeSpec); err != nil {
		return nil, err
	}
	if len(s.Mounts) == 0 {
		return nil, &fault.Error{Step: "read the mounts file", Origin: "mounts file /mounts", Err: errors.New("it has no mounts")}
	}
	return s.Mounts, nil
}

// UnknownFields returns the JSON pointers, printable, of the fields in data, a config.json, that the specification does
// not have for Linux, in the order of the document: misspelt ones, above all. The sections of other
// platforms are not among them. It decodes the document once more, so it is for commands that examine a
// configuration and not for those that start a container.
func UnknownFields(data []byte) ([]string, error) {
	pointers := []string{}
	d := newDecoder(data, "")
	d.unknown = func(p jsontext.Pointer) {
		switch p {
		case "/windows", "/solaris", "/vm", "/zos", "/freebsd":
		default:
			pointers = append(pointers, printable(string(p)))
		}
	}
	if err := decode(d, new(specs.Spec), decodeSpec); err != nil {
		return nil, err
	}
	return pointers, nil
}

// decode decodes the one JSON object of d into dst.
func decode[T any](d *decoder, dst *T, field func(*decoder, *T)) error {
	if len(d.text) > MaxSize {
		return tooLarge(d.name(), int64(len(d.text)))
	}
	if d.d.PeekKind() == 'n' {
		return d.fail("null where an object is required")
	}
	if field(d, dst); d.err != nil {
		return d.err
	}
	// ReadToken and not PeekKind, to tell the end of the input from a broken rest.
	if _, err := d.d.ReadToken(); err != io.EOF {
		return d.fail("something follows the closing brace of the object")
	}
	return nil
}

// decoder reads one document. After the first error all of its methods do nothing.
type decoder struct {
	d    *jsontext.Decoder
	text string // the whole document; the decoded strings are parts of it, which saves a copy of each
	what string // names the input in errors, "" for config.json
	err  error
	// unknown, where set, is told of each field that the specification does not have.
	unknown func(jsontext.Pointer)
}

func newDecoder(data []byte, what string) *decoder {
	return &decoder{d: jsontext.NewDecoder(bytes.NewBuffer(data)), text: string(data), what: what}
}

// fail records that the value read last is wrong.
func (d *decoder) fail(why string) error {
	if d.err == nil {
		d.err = fault.New("decode "+d.name()+": "+why, d.origin(d.d.StackPointer()))
	}
	return d.err
}

func (d *decoder) name() string {
	if d.what == "" {
		return "config.json"
	}
	return d.what
}

func (d *decoder) origin(p jsontext.Pointer) string {
	if d.what == "" || p == "" {
		return d.what + printable(string(p))
	}
	return d.what + " " + printable(string(p))
}

// broken records err, which the tokenizer returned.
func (d *decoder) broken(err error) {
	if d.err != nil {
		return
	}
	var syntax *jsontext.SyntacticError
	switch {
	case !errors.As(err, &syntax):
		_ = d.fail(strings.TrimPrefix(err.Error(), "jsontext: "))
	case errors.Is(err, jsontext.ErrDuplicateName):
		pointer := syntax.JSONPointer
		d.err = fault.New(fmt.Sprintf("decode %s: %q stands twice in the same object", d.name(),
			pointer.LastToken()), d.origin(pointer))
	default:
		d.err = fault.New(fmt.Sprintf("decode %s: %s after byte %d", d.name(),
			strings.TrimPrefix(syntax.Err.Error(), "jsontext: "), syntax.ByteOffset), d.origin(syntax.JSONPointer))
	}
}

// value reads the next value, whole. It returns nil where there is none or where it is null.
func (d *decoder) value(want jsontext.Kind) jsontext.Value {
	if d.err != nil {
		return nil
	}
	v, err := d.d.ReadValue()
	if err != nil {
		d.broken(err)
		return nil
	}
	switch kind := v.Kind(); kind {
	case 'n':
		return nil
	case want:
		return v
	default:
		_ = d.fail(kindName(kind) + " where " + kindName(want) + " is required")
		return nil
	}
}

// open reads the begin token of an object or array and reports whether there is one.
func (d *decoder) open(want jsontext.Kind) bool {
	if d.err != nil {
		return false
	}
	if kind := d.d.PeekKind(); kind != want {
		d.value(want)
		return false
	}
	if _, err := d.d.ReadToken(); err != nil {
		d.broken(err)
		return false
	}
	return true
}

// more reports whether another element or member follows; if not, it reads the end token.
func (d *decoder) more() bool {
	if d.err != nil {
		return false
	}
	// An invalid kind (0) goes on, so that reading the element reports the error.
	if kind := d.d.PeekKind(); kind != '}' && kind != ']' {
		return true
	}
	if _, err := d.d.ReadToken(); err != nil {
		d.broken(err)
	}
	return false
}

// key reads the name of a member.
func (d *decoder) key() string {
	v, err := d.d.ReadValue()
	if err != nil {
		d.broken(err)
		return ""
	}
	return d.unquote(v)
}

// skip reads the value of an unknown field and checks no more of it than that it is well-formed.
func (d *decoder) skip() {
	if d.err != nil {
		return
	}
	if err := d.d.SkipValue(); err != nil {
		d.broken(err)
	} else if d.unknown != nil {
		d.unknown(d.d.StackPointer())
	}
}

// unquote returns the content of v, a string of JSON that has just been read.
func (d *decoder) unquote(v jsontext.Value) string {
	if bytes.IndexByte(v, '\\') < 0 {
		end := int(d.d.InputOffset())
		return d.text[end-len(v)+1 : end-1]
	}
	// The tokenizer has checked the string, so there is no error to expect.
	s, _ := jsontext.AppendUnquote(nil, v)
	return string(s)
}

func str[T ~string](d *decoder, dst *T) {
	if v := d.value('"'); v != nil {
		*dst = T(d.unquote(v))
	}
}

func boolean(d *decoder, dst *bool) {
	if d.err != nil {
		return
	}
	// true and false are kinds of their own ('t' and 'f'), which value could not both ask for.
	tok, err := d.d.ReadToken()
	if err != nil {
		d.broken(err)
		return
	}
	switch kind := tok.Kind(); kind {
	case 't', 'f':
		*dst = kind == 't'
	case 'n':
	default:
		_ = d.fail(kindName(kind) + " where true or false is required")
	}
}

// integer reads a whole number that T can hold.
func integer[T ~int | ~int64 | ~int32 | ~uint | ~uint64 | ~uint32 | ~uint16](d *decoder, dst *T) {
	v := d.value('0')
	if v == nil {
		return
	}
	// Converting to T and back shows whether T is too narrow; ParseInt and ParseUint between them
	// cover every type.
	if i, err := strconv.ParseInt(string(v), 10, 64); err == nil && int64(T(i)) == i && (i < 0) == (T(i) < 0) {
		*dst = T(i)
		return
	}
	if u, err := strconv.ParseUint(string(v), 10, 64); err == nil && uint64(T(u)) == u && T(u) >= 0 {
		*dst = T(u)
		return
	}
	_ = d.fail(fmt.Sprintf("%s is not a whole number that a %s holds", v, reflect.TypeFor[T]().Kind()))
}

// optional reads a value that a pointer refers to; null leaves the pointer nil.
func optional[T any](d *decoder, dst **T, read func(*decoder, *T)) {
	if d.err != nil {
		return
	}
	if d.d.PeekKind() == 'n' {
		d.value('n')
		return
	}
	*dst = new(T)
	read(d, *dst)
}

// list reads an array; null leaves the slice nil.
func list[T any](d *decoder, dst *[]T, read func(*decoder, *T)) {
	if !d.open('[') {
		return
	}
	s := []T{}
	for d.more() {
		var zero T
		s = append(s, zero)
		read(d, &s[len(s)-1])
	}
	*dst = s
}

// strs reads an array of strings.
func strs[T ~string](d *decoder, dst *[]T) { list(d, dst, str[T]) }

// table reads an object with free names; null leaves the map nil.
func table[T any](d *decoder, dst *map[string]T, read func(*decoder, *T)) {
	if !d.open('{') {
		return
	}
	m := map[string]T{}
	for d.more() {
		k := d.key()
		var v T
		read(d, &v)
		m[k] = v
	}
	*dst = m
}

// kindName returns the words for a kind of JSON value.
func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	default:
		return "true or false"
	}
}
