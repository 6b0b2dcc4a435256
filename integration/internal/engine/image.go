package engine

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Busybox is the name of the image with busybox, Debian that of one with redis-server and nginx.
const (
	Busybox = "localhost/busybox:1"
	Debian  = "localhost/debian:1"
)

// BusyboxImage writes an image with busybox, which runs a shell, as an archive that every engine can load, and returns its path.
func BusyboxImage(t testing.TB, dir string) string {
	t.Helper()
	return BusyboxImageWith(t, filepath.Join(dir, "busybox.tar"), Busybox, map[string]File{"etc/passwd": {0o644, "root:x:0:0:root:/root:/bin/sh\n"}}, nil)
}

// File is a regular file of an image.
type File struct {
	Mode    int64
	Content string
}

// BusyboxImageWith writes one with the files given, also in place of applets, and a configuration of its own.
func BusyboxImageWith(t testing.TB, path, name string, files map[string]File, config map[string]any) string {
	t.Helper()
	busybox := Need(t, "busybox")
	program, err := os.ReadFile(busybox)
	Must(t, err)
	applets, err := exec.Command(busybox, "--list").Output()
	Must(t, err)

	var layer archive
	layer.begin()
	for _, d := range []string{"bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"} {
		layer.add(t, &tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	layer.add(t, &tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, a := range strings.Fields(string(applets)) {
		if _, other := files["bin/"+a]; a != "busybox" && !other {
			layer.add(t, &tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(files)) {
		layer.add(t, &tar.Header{Name: f, Mode: files[f].Mode}, []byte(files[f].Content))
	}
	return writeImage(t, path, name, config, layer.end(t))
}

// DebianImage does so for an image with Debian's redis-server and nginx, which runs a shell.
func DebianImage(t testing.TB, dir string) string {
	t.Helper()
	content, err := os.ReadFile(Built(t) + "/debian.tar")
	if err != nil {
		t.Skipf("no image of Debian: %v", err)
	}
	return writeImage(t, filepath.Join(dir, "debian.tar"), Debian, nil, content)
}

// writeImage writes an image of one layer, in the form of the OCI and in that of Docker at once. special is what of its
// configuration is not as usual.
func writeImage(t testing.TB, path, name string, special map[string]any, content []byte) string {
	t.Helper()
	settings := map[string]any{"Env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, "Cmd": []string{"/bin/sh"}}
	maps.Copy(settings, special)
	var all archive
	all.begin()
	blob := func(kind string, data []byte) map[string]any {
		sum := digest(data)
		all.add(t, &tar.Header{Name: "blobs/sha256/" + sum, Mode: 0o644}, data)
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + sum, "size": len(data)}
	}
	layer := blob("layer.v1.tar", content)
	config := blob("config.v1+json", encode(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": settings,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(content)}},
	}))
	manifest := blob("manifest.v1+json", encode(t, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []any{layer},
	}))
	manifest["annotations"] = map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
	file := func(blob map[string]any) string {
		return strings.Replace("blobs/"+blob["digest"].(string), ":", "/", 1)
	}
	all.add(t, &tar.Header{Name: "oci-layout", Mode: 0o644}, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	all.add(t, &tar.Header{Name: "index.json", Mode: 0o644}, encode(t, map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}))
	all.add(t, &tar.Header{Name: "manifest.json", Mode: 0o644}, encode(t, []any{map[string]any{
		"Config": file(config), "RepoTags": []string{name}, "Layers": []string{file(layer)},
	}}))
	Must(t, os.WriteFile(path, all.end(t), 0o644))
	return path
}

type archive struct {
	buf bytes.Buffer
	tar *tar.Writer
}

func (a *archive) begin() { a.tar = tar.NewWriter(&a.buf) }

func (a *archive) add(t testing.TB, h *tar.Header, data []byte) {
	t.Helper()
	h.Size = int64(len(data))
	Must(t, a.tar.WriteHeader(h))
	_, err := a.tar.Write(data)
	Must(t, err)
}

func (a *archive) end(t testing.TB) []byte {
	t.Helper()
	Must(t, a.tar.Close())
	return a.buf.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	Must(t, err)
	return b
}
