module github.com/bailey-oci/bailey

go 1.26.0

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/opencontainers/runtime-spec v1.3.0 // indirect
	github.com/seccomp/libseccomp-golang v0.11.1 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
