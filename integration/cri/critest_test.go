package cri

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// cannot are the tests of critest that nothing passes here, and why.
var cannot = map[string]string{
	"public image with digest should be pulled":                                   "the image with this digest is on the Internet",
	"should receive a callback for container created during the Synchronize call": "containerd loses such a container, as the test itself knows",
	"runtime should support MaskedPaths":                                          "ls, which it masks, is built into the shell of Debian's busybox; TestPods masks another file",
}

// critestVariable names the variable with a pattern for the tests of critest that are to be run, for all if it is not set.
const critestVariable = "BAILEY_CRITEST"

// wholeVariable names the variable with which everything runs that there is: critest with bailey's binary under containerd's
// shim, too, and all checks with Debian's daemon.
const wholeVariable = "BAILEY_CRI_WHOLE"

// TestCritest runs critest, the validation of the Kubernetes project for runtimes, with runtime classes of bailey's and with runc's.
// What runc passes, bailey has to pass.
func TestCritest(t *testing.T) {
	list := []string{shimClass, runcClass}
	if engine.Alone() {
		list = list[:1]
	} else if os.Getenv(wholeVariable) != "" {
		list = append(list, binaryClass)
	}
	d := newest(t)
	startRegistry(t)
	d.run(t, engine.Bin(t)+"/bailey")
	results := make(map[string]map[string]string)
	for _, class := range list {
		results[class] = d.critest(t, class)
	}
	var b strings.Builder
	for _, class := range list {
		counts := make(map[string]int)
		for _, state := range results[class] {
			counts[state]++
		}
		fmt.Fprintf(&b, "critest (%s): %s passes %d, fails %d, skips %d\n", engine.View(), class, counts["passed"], len(results[class])-counts["passed"]-counts["skipped"], counts["skipped"])
	}
	if engine.Alone() {
		for test, state := range results[shimClass] {
			if state != "passed" && state != "skipped" {
				t.Errorf("%s: %s", test, state)
			}
		}
	}
	for _, test := range slices.Sorted(maps.Keys(results[runcClass])) {
		for _, class := range list {
			if state := results[class][test]; state != results[runcClass][test] {
				fmt.Fprintf(&b, "critest (%s): %s: %s with %s, %s with runc\n", engine.View(), test, state, class, results[runcClass][test])
				if state != "passed" {
					t.Errorf("%s: %s with %s, %s with runc", test, state, class, results[runcClass][test])
				}
			}
		}
	}
	engine.Tell(t, b.String())
}

// critest runs critest with a runtime class and returns how each of its tests has ended.
func (d *daemon) critest(t *testing.T, class string) map[string]string {
	t.Helper()
	report := t.TempDir()
	args := []string{"--nodes=6", "--no-color", "--silence-skips", "--output-dir=" + report, "--json-report=report.json", "--skip=benchmark"}
	if focus := os.Getenv(critestVariable); focus != "" {
		args = append(args, "--focus="+focus)
	}
	for part := range cannot {
		args = append(args, "--skip="+part)
	}
	images := report + "/images.yaml"
	engine.Must(t, os.WriteFile(images, []byte("defaultTestContainerImage: registry.k8s.io/e2e-test-images/busybox:1.29-2\n"), 0o600))
	args = append(args, engine.Built(t)+"/critest.test", "--", "-runtime-endpoint=unix://"+d.socket(), "-runtime-handler="+class,
		"-test-images-file="+images, "-nri-socket="+d.dir+"/nri.sock")
	cmd := exec.Command(engine.Built(t)+"/ginkgo", args...)
	cmd.Dir = report
	out, err := cmd.CombinedOutput()
	text, readErr := os.ReadFile(report + "/report.json")
	if readErr != nil {
		t.Fatalf("%v: %v: %s", err, readErr, out)
	}
	var suites []struct {
		SpecReports []struct {
			ContainerHierarchyTexts []string
			LeafNodeType            string
			LeafNodeText            string
			State                   string
			RunTime                 float64
			Failure                 struct{ Message string }
			// What it has said.
			CapturedGinkgoWriterOutput string
		}
	}
	engine.Must(t, json.Unmarshal(text, &suites))
	found := make(map[string]string)
	for _, s := range suites[0].SpecReports {
		name := strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " ")
		if s.LeafNodeType != "It" || strings.Contains(name, "benchmark") {
			continue
		}
		found[name] = s.State
		t.Logf("%s: %s: %s (%.1f s) %s", class, s.State, name, s.RunTime/1e9, s.Failure.Message)
		if s.State != "passed" && s.State != "skipped" {
			t.Logf("%s", s.CapturedGinkgoWriterOutput)
		}
	}
	if len(found) == 0 {
		t.Fatalf("critest has no tests: %s", out)
	}
	return found
}
