package spec

import (
	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Parse decodes data as a config.json. It does not validate it.
func Parse(data []byte) (*specs.Spec, error) {
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fault.Wrap(err, "decode config.json", "")
	}
	return &s, nil
}

// ParseProcess decodes data as a process object of config.json. It does not validate it.
func ParseProcess(data []byte) (*specs.Process, error) {
	var p specs.Process
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fault.Wrap(err, "decode process", "process")
	}
	return &p, nil
}
