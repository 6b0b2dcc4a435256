package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bailey-oci/bailey/internal/fault"
)

// decode reads state.json. It refuses duplicate and missing fields, wrong types, invalid UTF-8, values
// out of range and anything after the object. Unknown fields, those of a newer version, are ignored.
func decode(data []byte) (*Record, error) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if d.PeekKind() != '{' {
		if len(bytes.TrimSpace(data)) == 0 {
			return nil, invalid("", "it is empty")
		}
		return nil, invalid("", "it is not a JSON object")
	}
	_, _ = d.ReadToken() // the brace that PeekKind saw
	r := new(Record)
	seen := make(map[string]bool, 16)
	for d.PeekKind() == '"' {
		tok, err := d.ReadToken()
		if err != nil {
			return nil, broken(err)
		}
		name := tok.String()
		seen[name] = true
		if err := r.field(d, name); err != nil {
			return nil, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, broken(err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, invalid("", "something follows the closing brace")
	}
	for _, name := range []string{"ociVersion", "id", "status", "pid", "startTime", "bundle", "rootfs", "created", "uid"} {
		if !seen[name] {
			return nil, invalid(name, "it is missing")
		}
	}
	return r, r.check()
}

// field decodes the value of the field name.
func (r *Record) field(d *jsontext.Decoder, name string) error {
	switch name {
	case "ociVersion":
		return text(d, name, &r.Version)
	case "id":
		return text(d, name, &r.ID)
	case "status":
		return text(d, name, (*string)(&r.Status))
	case "unit":
		return text(d, name, &r.Unit)
	case "overlayWork":
		return text(d, name, &r.OverlayWork)
	case "bundle":
		return text(d, name, &r.Bundle)
	case "rootfs":
		return text(d, name, &r.Rootfs)
	case "created":
		var s string
		if err := text(d, name, &s); err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return invalid(name, fmt.Sprintf("%q is not a time", shorten(s)))
		}
		r.Created = t
		return nil
	case "pid":
		n, err := number(d, name, 1<<31-1)
		r.PID = int(n)
		return err
	case "uid":
		n, err := number(d, name, 1<<32-1)
		r.UID = int(n)
		return err
	case "startTime":
		n, err := number(d, name, 1<<63-1)
		r.StartTime = n
		return err
	case "ids":
		return r.IDs.decode(d, name)
	case "policy":
		v, err := d.ReadValue()
		if err != nil {
			return broken(err)
		}
		if v.Kind() != '{' {
			return invalid(name, "it is not an object")
		}
		r.Policy = v.Clone()
		return nil
	case "sealed":
		return boolean(d, name, &r.Sealed)
	case "deniedNamespaces":
		n, err := number(d, name, 1<<32-1)
		r.DeniedNamespaces = n
		return err
	case "securebits":
		n, err := number(d, name, 1<<8-1)
		r.Securebits = uint8(n)
		return err
	case "cgroupsDisabled":
		return boolean(d, name, &r.CgroupsDisabled)
	case "rootless":
		return boolean(d, name, &r.Rootless)
	case "ownIDs":
		return boolean(d, name, &r.OwnIDs)
	case "sharedPIDs":
		return boolean(d, name, &r.SharedPIDs)
	case "hooks":
		return list(d, name, &r.Hooks)
	case "resctrl":
		return list(d, name, &r.Resctrl)
	case "annotations":
		return table(d, name, &r.Annotations)
	case "cgroupPaths":
		return table(d, name, &r.CgroupPaths)
	}
	if err := d.SkipValue(); err != nil {
		return broken(err)
	}
	return nil
}

// check compares the fields with each other and with what they may hold.
func (r *Record) check() error {
	switch r.Status {
	case Creating, Created, Running:
	default:
		return invalid("status", fmt.Sprintf("%q is none of creating, created, running", shorten(string(r.Status))))
	}
	if r.PID == 0 && r.Status != Creating {
		return invalid("pid", "it is 0 for a container that is "+string(r.Status))
	}
	if (r.PID == 0) != (r.StartTime == 0) {
		return invalid("startTime", "it does not go with pid")
	}
	for name, p := range map[string]string{"bundle": r.Bundle, "rootfs": r.Rootfs} {
		if !path.IsAbs(p) {
			return invalid(name, fmt.Sprintf("%q is not an absolute path", shorten(p)))
		}
	}
	return nil
}

// decode reads the object that encode writes.
func (i *IDs) decode(d *jsontext.Decoder, name string) error {
	if d.PeekKind() != '{' {
		if _, err := d.ReadValue(); err != nil {
			return broken(err)
		}
		return invalid(name, "it is not an object")
	}
	_, _ = d.ReadToken() // the brace that PeekKind saw
	for d.PeekKind() == '"' {
		tok, err := d.ReadToken()
		if err != nil {
			return broken(err)
		}
		field, ok := map[string]*uint32{"uid": &i.UID, "gid": &i.GID, "size": &i.Size}[tok.String()]
		if !ok {
			return invalid(name, "it has an unknown field")
		}
		n, err := number(d, name, 1<<32-1)
		if err != nil {
			return err
		}
		*field = uint32(n)
	}
	if _, err := d.ReadToken(); err != nil {
		return broken(err)
	}
	if i.Size == 0 || uint64(i.UID)+uint64(i.Size) > 1<<32-1 || uint64(i.GID)+uint64(i.Size) > 1<<32-1 {
		return invalid(name, "it is no range of IDs")
	}
	return nil
}

func text(d *jsontext.Decoder, name string, dst *string) error {
	tok, err := d.ReadToken()
	if err != nil {
		return broken(err)
	}
	if tok.Kind() != '"' {
		return invalid(name, "it is not a string")
	}
	*dst = tok.String()
	return nil
}

func boolean(d *jsontext.Decoder, name string, dst *bool) error {
	tok, err := d.ReadToken()
	if err != nil {
		return broken(err)
	}
	if k := tok.Kind(); k != 't' && k != 'f' {
		return invalid(name, "it is not true or false")
	}
	*dst = tok.Bool()
	return nil
}

// number reads a whole number from 0 to limit.
func number(d *jsontext.Decoder, name string, limit uint64) (uint64, error) {
	v, err := d.ReadValue()
	if err != nil {
		return 0, broken(err)
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil || n > limit {
		return 0, invalid(name, fmt.Sprintf("%s is not a whole number from 0 to %d", shorten(string(v)), limit))
	}
	return n, nil
}

func list(d *jsontext.Decoder, name string, dst *[]string) error {
	if d.PeekKind() != '[' {
		if _, err := d.ReadValue(); err != nil {
			return broken(err)
		}
		return invalid(name, "it is not a list")
	}
	_, _ = d.ReadToken() // the bracket that PeekKind saw
	for d.PeekKind() != ']' {
		var s string
		if err := text(d, name+"/"+strconv.Itoa(len(*dst)), &s); err != nil {
			return err
		}
		*dst = append(*dst, s)
	}
	if _, err := d.ReadToken(); err != nil {
		return broken(err)
	}
	return nil
}

func table(d *jsontext.Decoder, name string, dst *map[string]string) error {
	if d.PeekKind() != '{' {
		if _, err := d.ReadValue(); err != nil {
			return broken(err)
		}
		return invalid(name, "it is not an object")
	}
	_, _ = d.ReadToken() // the brace that PeekKind saw
	m := make(map[string]string)
	for d.PeekKind() == '"' {
		tok, err := d.ReadToken()
		if err != nil {
			return broken(err)
		}
		key := tok.String()
		var value string
		if err := text(d, name+"/"+key, &value); err != nil {
			return err
		}
		m[key] = value
	}
	if _, err := d.ReadToken(); err != nil {
		return broken(err)
	}
	*dst = m
	return nil
}

// invalid returns the error for a field that does not hold what it must.
func invalid(field, why string) error {
	origin := "state.json"
	if field != "" {
		origin += " /" + field
	}
	return &fault.Error{Step: "read the container's state", Origin: origin, Err: errors.New(why),
		Remedy: "the file was changed by something other than bailey; stop what is left of the container by hand and remove its state directory"}
}

// broken returns the error for text that is not JSON.
func broken(err error) error {
	why := strings.TrimPrefix(err.Error(), "jsontext: ")
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		why = "it ends in the middle"
	}
	return invalid("", why)
}
