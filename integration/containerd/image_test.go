package containerd

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const image = "localhost/busybox:1"

// buildImage writes an image with busybox as an OCI archive and returns its path.
func buildImage(t *testing.T, dir string) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("no busybox (Debian: busybox-static)")
	}
	program, err := os.ReadFile(busybox)
	must(t, err)
	applets, err := exec.Command(busybox, "--list").Output()
	must(t, err)

	var layer archive
	layer.begin()
	for _, d := range []string{"bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"} {
		layer.add(t, &tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	layer.add(t, &tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, a := range strings.Fields(string(applets)) {
		if a != "busybox" {
			layer.add(t, &tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
		}
	}
	layer.add(t, &tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\n"))

	var all archive
	all.begin()
	blob := func(kind string, data []byte) map[string]any {
		sum := digest(data)
		all.add(t, &tar.Header{Name: "blobs/sha256/" + sum, Mode: 0o644}, data)
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + sum, "size": len(data)}
	}
	content := layer.end(t)
	layers := []any{blob("layer.v1.tar", content)}
	config := blob("config.v1+json", encode(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"/bin/sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(content)}},
	}))
	manifest := blob("manifest.v1+json", encode(t, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers,
	}))
	manifest["annotations"] = map[string]string{"io.containerd.image.name": image}
	all.add(t, &tar.Header{Name: "oci-layout", Mode: 0o644}, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	all.add(t, &tar.Header{Name: "index.json", Mode: 0o644}, encode(t, map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}))
	path := filepath.Join(dir, "busybox.tar")
	must(t, os.WriteFile(path, all.end(t), 0o644))
	return path
}

type archive struct {
	buf bytes.Buffer
	tar *tar.Writer
}

func (a *archive) begin() { a.tar = tar.NewWriter(&a.buf) }

func (a *archive) add(t *testing.T, h *tar.Header, data []byte) {
	t.Helper()
	h.Size = int64(len(data))
	must(t, a.tar.WriteHeader(h))
	_, err := a.tar.Write(data)
	must(t, err)
}

func (a *archive) end(t *testing.T) []byte {
	t.Helper()
	must(t, a.tar.Close())
	return a.buf.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
