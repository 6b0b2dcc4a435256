package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
)

// The annotations that bailey reads. Any other that starts with Prefix is an error.
const (
	Prefix = "run.bailey."

	AnnotationUserns       = Prefix + "userns"       // config, auto or auto:size=N
	AnnotationNamespaces   = Prefix + "namespaces"   // limits: user=0,net=2
	AnnotationCapabilities = Prefix + "capabilities" // a ceiling: CAP_KILL,CAP_CHOWN
	AnnotationSecurebits   = Prefix + "securebits"   // noroot,noroot_locked
	AnnotationSeal         = Prefix + "seal"         // never, auto or always
)

var annotationNames = []string{
	AnnotationUserns, AnnotationNamespaces, AnnotationCapabilities, AnnotationSecurebits, AnnotationSeal,
}

// Asked is what the caller asks for on the command line; "" is nothing.
type Asked struct {
	// Userns is the value of --userns: config, auto or auto:size=N.
	Userns string
	// Seal is the value of --seal: never, auto or always.
	Seal string
}

// floor is what a policy enforces, as far as anything could be asked for that is less. Everything else that a policy
// enforces is kept by the way in which requests are combined with it: limits can only be lowered, ceilings
// intersected, secure bits added. Userns and Seal "auto" are choices of the policy and no floor.
type floor struct {
	userns Setting[Userns]
	seal   Setting[Seal]
	size   Setting[uint32]
}

// request is one thing that is asked for.
type request struct {
	floor
	// by is who asks, value what for, and origin the place for errors.
	by, value, origin string
	// less: it may ask for less isolation, and for IDs.
	less bool
}

// askAnnotations adds what the annotations ask for.
func (d *Decision) askAnnotations(annotations map[string]string, fl floor) error {
	if d.Annotations.Value == AnnotationsIgnore {
		return nil
	}
	var keys []string
	for key := range annotations {
		if strings.HasPrefix(key, Prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys) // so that of two errors it is always the same
	for _, key := range keys {
		r := &request{
			floor: fl, by: "annotation " + key, value: annotations[key],
			origin: "/annotations/" + printable(strings.NewReplacer("~", "~0", "/", "~1").Replace(key)),
			less:   d.Annotations.Value == AnnotationsAllow,
		}
		var err error
		switch key {
		case AnnotationUserns:
			err = d.askUserns(r)
		case AnnotationNamespaces:
			err = d.askNamespaces(r)
		case AnnotationCapabilities:
			err = d.askCapabilities(r)
		case AnnotationSecurebits:
			err = d.askSecurebits(r)
		case AnnotationSeal:
			err = d.askSeal(r)
		default:
			err = &fault.Error{Step: fmt.Sprintf("unknown annotation %q", key), Origin: r.origin,
				Cause: "the annotations that start with " + Prefix + " are " + list(annotationNames)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// askFlags adds what the command line asks for.
func (d *Decision) askFlags(a Asked, fl floor) error {
	for _, f := range []struct {
		name, value string
		ask         func(*Decision, *request) error
	}{
		{"--userns", a.Userns, (*Decision).askUserns},
		{"--seal", a.Seal, (*Decision).askSeal},
	} {
		if f.value == "" {
			continue
		}
		r := &request{floor: fl, by: "flag " + f.name, value: f.value, origin: f.name, less: true}
		if err := f.ask(d, r); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) setBy() []Origin { return []Origin{{What: r.by}} }

// wrong returns the error for a value that is not understood.
func (r *request) wrong(err error) error {
	return &fault.Error{Step: fmt.Sprintf("read %q", r.value), Origin: r.origin, Err: err}
}

// refused returns the error for a request that may not be made: why it is not, and what would let it.
func (r *request) refused(why, remedy string) error {
	return &fault.Error{Step: fmt.Sprintf("grant %q", r.value), Origin: r.origin, Cause: why, Remedy: remedy,
		Err: errRefused}
}

var errRefused = fmt.Errorf("the policy does not allow it")

// askUserns decides about a user namespace. IDs are the machine's, so an annotation has to be allowed to ask for
// them.
func (d *Decision) askUserns(r *request) error {
	v, size, err := parseUserns(r.value)
	if err != nil {
		return r.wrong(err)
	}
	if r.userns.Value == UsernsRequire && v == UsernsConfig {
		// It does not ask for none, and Apply sees to it that there is one.
		d.Userns = r.userns
		return nil
	}
	have := d.Userns.Value
	if same := v == have || v == UsernsConfig && have == ""; !r.less && (!same || size > 0) {
		why := "nothing lets annotations ask for it: the setting annotations is not \"allow\""
		if d.Annotations.IsSet() {
			why = fmt.Sprintf("annotations = %q by %s", d.Annotations.Value, d.Annotations.Why())
		}
		return r.refused(why, "set annotations = \"allow\" for this container in "+System+", or userns itself")
	}
	if r.size.IsSet() && size > r.size.Value {
		return r.refused(fmt.Sprintf("a container may have %d IDs: userns_size by %s", r.size.Value, r.size.Why()),
			"ask for no more, or set userns_size for this container")
	}
	if r.less {
		d.Userns = Setting[Userns]{Value: v, By: r.setBy()}
	}
	if size > 0 {
		d.UsernsSize = Setting[uint32]{Value: size, By: r.setBy()}
	}
	return nil
}

// askSeal decides about the seal. A request for "auto" is one for no less than that.
func (d *Decision) askSeal(r *request) error {
	v, err := parseSeal(r.value)
	if err != nil {
		return r.wrong(err)
	}
	have, wanted := rank(sealOrder, d.Seal.Value), rank(sealOrder, v)
	enforced := r.seal.Value == SealAlways
	switch {
	case wanted >= have, r.less && !enforced:
		d.Seal = Setting[Seal]{Value: v, By: r.setBy()}
	case v == SealAuto:
	case enforced:
		return r.refused(fmt.Sprintf("seal = %q by %s", r.seal.Value, r.seal.Why()), "change the policy: seal = \"auto\" may be asked out of")
	default:
		return r.refused(fmt.Sprintf("it asks for less isolation than seal = %q by %s", d.Seal.Value, d.Seal.Why()),
			"leave the annotation out, or set annotations = \"allow\" for this container")
	}
	return nil
}

func (d *Decision) askNamespaces(r *request) error {
	limits, err := parseLimits(r.value)
	if err != nil {
		return r.wrong(err)
	}
	for _, kind := range slices.SortedFunc(maps.Keys(limits), byOrder) {
		d.lower(kind, Setting[Limit]{Value: limits[kind], By: r.setBy()})
	}
	return nil
}

func (d *Decision) askCapabilities(r *request) error {
	c, err := newCeiling(splitList(r.value))
	if err != nil {
		return r.wrong(err)
	}
	d.restrict(Setting[Ceiling]{Value: c, By: r.setBy()})
	return nil
}

func (d *Decision) askSecurebits(r *request) error {
	bits, err := newSecurebits(splitList(r.value))
	if err != nil {
		return r.wrong(err)
	}
	d.addSecurebits(Setting[Securebits]{Value: bits, By: r.setBy()})
	return nil
}
