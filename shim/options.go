package shim

import (
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/bailey-oci/bailey/shim/wire"
)

// decodeOptions reads a runtime's options; nil where it is something else.
func decodeOptions(a wire.Any) (*wire.Options, error) {
	o := new(wire.Options)
	switch {
	case strings.HasSuffix(a.TypeURL, wire.RuncOptionsType):
		return o, o.Decode(a.Value)
	case !strings.HasSuffix(a.TypeURL, wire.GenericOptionsType):
		return nil, nil
	}
	var g wire.GenericOptions
	if err := g.Decode(a.Value); err != nil {
		return nil, err
	}
	if len(g.Body) == 0 && g.Path != "" {
		var err error
		if g.Body, err = os.ReadFile(g.Path); err != nil {
			return nil, err
		}
	}
	return o, toml.Unmarshal(g.Body, o)
}
