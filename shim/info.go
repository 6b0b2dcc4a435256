package shim

import (
	"io"

	"github.com/go-json-experiment/json"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/shim/wire"
)

// printInfo says what the runtime can do. The options that are asked with are given back.
func (c *call) printInfo(stdin io.Reader, stdout io.Writer, version string) error {
	input, err := io.ReadAll(io.LimitReader(stdin, maxInput))
	if err != nil {
		return err
	}
	options, err := wire.DecodeAny(input)
	if err != nil {
		return err
	}
	features, err := json.Marshal(libruntime.Features())
	if err != nil {
		return err
	}
	info := wire.Info{Name: runtimeName, Version: version, Options: options, Features: features}
	_, err = stdout.Write(info.Encode())
	return err
}
