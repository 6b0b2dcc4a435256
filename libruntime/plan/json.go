package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"reflect"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// MarshalJSON returns the plan as an object with the list "ops". An operation has its kind in "op", who
// executes it in "where", the JSON pointer in "origin" if it has one, its words in "text", and its arguments
// in "args": the fields of the Go type, with a small first letter; empty strings and lists and false are left out.
// Namespaces and capabilities are lists of names, durations are in nanoseconds, and of a system-call filter
// there are the length in bytes and the SHA-256. What was decided about the container is in the list "decided". Two equal plans have equal bytes.
func (p *Plan) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := p.WriteJSON(&b)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// WriteJSON writes what MarshalJSON returns to w, in several lines and with one at the end. The error is w's.
func (p *Plan) WriteJSON(w io.Writer) error {
	// A path in a container may have any bytes; JSON has only Unicode.
	e := jsontext.NewEncoder(w, jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	j := jsonWriter{e: e}
	j.token(jsontext.BeginObject)
	j.text("ops")
	j.token(jsontext.BeginArray)
	for _, op := range p.Ops {
		j.op(op)
	}
	j.token(jsontext.EndArray)
	if len(p.Decided) > 0 {
		j.text("decided")
		j.token(jsontext.BeginArray)
		for _, d := range p.Decided {
			j.token(jsontext.BeginObject)
			for _, field := range [][2]string{{"setting", d.Setting}, {"value", d.Value}, {"by", d.By}} {
				j.text(field[0])
				j.text(field[1])
			}
			j.token(jsontext.EndObject)
		}
		j.token(jsontext.EndArray)
	}
	j.token(jsontext.EndObject)
	return j.err
}

// jsonWriter writes tokens until the first error.
type jsonWriter struct {
	e   *jsontext.Encoder
	err error
}

func (j *jsonWriter) token(t jsontext.Token) {
	if j.err == nil {
		j.err = j.e.WriteToken(t)
	}
}

func (j *jsonWriter) text(s string) { j.token(jsontext.String(s)) }

func (j *jsonWriter) op(op Op) {
	v := reflect.ValueOf(op.Action)
	j.token(jsontext.BeginObject)
	j.text("op")
	j.text(v.Type().Name())
	j.text("where")
	j.text(op.Where().String())
	if op.Origin != "" {
		j.text("origin")
		j.text(op.Origin)
	}
	j.text("text")
	j.text(op.String())
	if v.NumField() > 0 {
		j.text("args")
		j.value(v)
	}
	j.token(jsontext.EndObject)
}

// fields writes a struct.
func (j *jsonWriter) fields(v reflect.Value) {
	j.token(jsontext.BeginObject)
	for i := range v.NumField() {
		field := v.Field(i)
		if isAbsent(field) {
			continue
		}
		name := v.Type().Field(i).Name
		j.text(lowerFirst(name))
		if field.Kind() == reflect.Uint64 && isCapabilitySet(v.Type(), name) {
			j.list(CapabilityNames(field.Uint()))
			continue
		}
		j.value(field)
	}
	j.token(jsontext.EndObject)
}

// isAbsent reports whether v says that there is none of what it is about. A number 0 says something else.
func isAbsent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice:
		return v.Len() == 0
	case reflect.String, reflect.Bool, reflect.Pointer:
		return v.IsZero()
	}
	switch v.Type() {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[Securebits]():
		return v.IsZero()
	}
	return false
}

func isCapabilitySet(t reflect.Type, field string) bool {
	switch t {
	case reflect.TypeFor[SetCapabilities](), reflect.TypeFor[Verify]():
		return true
	case reflect.TypeFor[DropBounding]():
		return field == "Keep"
	}
	return false
}

func (j *jsonWriter) value(v reflect.Value) {
	switch x := v.Interface().(type) {
	case Namespace:
		j.list(x.names())
		return
	case Securebits:
		j.list(x.Names())
		return
	case CreateKind:
		j.text(x.String())
		return
	case Device:
		j.text(x.String())
		return
	case []byte:
		sum := sha256.Sum256(x)
		j.token(jsontext.BeginObject)
		j.text("length")
		j.token(jsontext.Int(int64(len(x))))
		j.text("sha256")
		j.text(hex.EncodeToString(sum[:]))
		j.token(jsontext.EndObject)
		return
	case time.Duration:
		j.token(jsontext.Int(int64(x)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		j.fields(v)
	case reflect.Pointer:
		j.value(v.Elem())
	case reflect.Slice:
		j.token(jsontext.BeginArray)
		for i := range v.Len() {
			j.value(v.Index(i))
		}
		j.token(jsontext.EndArray)
	case reflect.String:
		j.text(v.String())
	case reflect.Bool:
		j.token(jsontext.Bool(v.Bool()))
	case reflect.Int, reflect.Int32, reflect.Int64:
		j.token(jsontext.Int(v.Int()))
	default:
		j.token(jsontext.Uint(v.Uint()))
	}
}

func (j *jsonWriter) list(words []string) {
	j.token(jsontext.BeginArray)
	for _, w := range words {
		j.text(w)
	}
	j.token(jsontext.EndArray)
}

// lowerFirst writes the first letter, or a first word in capitals (UID, IDs), small.
func lowerFirst(name string) string {
	n := 0
	for n < len(name) && unicode.IsUpper(rune(name[n])) {
		n++
	}
	if n > 1 && n < len(name) && name[n] != 's' {
		n-- // the last capital begins the next word
	}
	b := []byte(name)
	for i := range n {
		b[i] += 'a' - 'A'
	}
	return string(b)
}
