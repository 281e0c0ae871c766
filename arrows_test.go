package main_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module     = "paystream"
	kafkaconn  = "internal/kafkaconn"
	kafkatest  = "internal/kafkatest"
	clienttest = "internal/clienttest"
	testbroker = "internal/testbroker"
)

// A rule says what the packages of one folder may import.
type rule struct {
	folders []string // those of paystream, besides their own, directly or through others
	stdOnly bool     // nothing but the standard library and paystream
}

// rules names every folder that holds Go packages; folders below one of these follow its rule.
// Tests follow the rule of their folder too, but may import what others have written, and what is
// there for tests alone.
func rules() map[string]rule {
	return map[string]rule{
		".":         {folders: []string{"consumer", "server", "producer", "web", "broadcast", "payment", "gen", kafkaconn}},
		"consumer":  {folders: []string{"broadcast", "payment", "gen", kafkaconn}},
		"server":    {folders: []string{"broadcast", "payment", "gen"}},
		"producer":  {folders: []string{"payment", "gen", kafkaconn}},
		"web":       {folders: []string{"gen"}},
		"payment":   {folders: []string{"gen"}},
		"broadcast": {stdOnly: true},
		"gen":       {},
		kafkaconn:   {},
		kafkatest:   {},
		clienttest:  {folders: []string{"gen"}},
		testbroker:  {},
	}
}

// forTests are the folders that tests alone import, those of any folder.
func forTests() []string { return []string{kafkatest, clienttest} }

func TestArrows(t *testing.T) {
	t.Parallel()
	for name, tags := range map[string]string{"default": "", "kafka": "kafka"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packages := listPackages(t, tags)
			std := make(map[string]bool)
			for _, pkg := range packages {
				std[pkg.ImportPath] = pkg.Standard
			}
			for _, pkg := range packages {
				if folder, ok := folderOf(pkg.ImportPath); ok {
					checkArrows(t, folder, pkg, std)
				}
			}
		})
	}
}

func checkArrows(t *testing.T, folder string, pkg listed, std map[string]bool) {
	t.Helper()
	rule := rules()[folder]
	allowed := append(slices.Clone(rule.folders), folder)
	for _, dep := range pkg.Deps {
		if to, ok := folderOf(dep); ok {
			if !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: %q may import %q of paystream", pkg.ImportPath, dep, folder, rule.folders)
			}
		} else if rule.stdOnly && !std[dep] {
			t.Errorf("%s imports %s: %q may import the standard library alone", pkg.ImportPath, dep, folder)
		}
	}
	for _, dep := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
		if to, ok := folderOf(dep); ok && !slices.Contains(forTests(), to) && !slices.Contains(allowed, to) {
			t.Errorf("a test of %s imports %s: tests in %q may import %q and %q of paystream",
				pkg.ImportPath, dep, folder, rule.folders, forTests())
		}
	}
}

// TestFoldersAreKnown walks the files rather than asking Go, which sees neither other modules nor
// what other build tags and systems would add. (It also keeps go test from taking a cached result:
// what go list reads is unknown to the cache, the folders read here are not.)
func TestFoldersAreKnown(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != "." && (notOurs(entry.Name()) || hasModule(file)):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(file) != ".go":
			return nil
		}
		dir := path.Dir(filepath.ToSlash(file))
		if _, ok := folderOf(path.Join(module, dir)); !ok {
			t.Errorf("%s: the folder is not in rules: add it there and to DESIGN.md's layout", dir)
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDesignNamesEveryFolder(t *testing.T) {
	t.Parallel()
	layout := designLayout(t)
	for _, folder := range append(slices.Collect(maps.Keys(rules())), "bench", "chaos", "tools") {
		if folder != "." && !slices.Contains(layout, folder) {
			t.Errorf("DESIGN.md's layout does not name %s/", folder)
		}
	}
}

// listed is what go list says of a package.
type listed struct {
	ImportPath   string
	Standard     bool
	Deps         []string
	TestImports  []string
	XTestImports []string
}

// listPackages returns the packages of this module and all that they depend on.
func listPackages(t *testing.T, tags string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags="+tags,
		"-json=ImportPath,Standard,Deps,TestImports,XTestImports", "./...")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listed
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("decode go list's output: %v", err)
		}
		packages = append(packages, pkg)
	}
}

// folderOf returns the folder whose rule a package of paystream follows: its own or the nearest
// above it. The root's rule is the root's alone. It reports false for packages that have none:
// those of others, and those in a folder not in rules.
func folderOf(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	folder, ok := strings.CutPrefix(importPath, module+"/")
	for ; ok && folder != "."; folder = path.Dir(folder) {
		if _, known := rules()[folder]; known {
			return folder, true
		}
	}
	return "", false
}

// notOurs tells the folders that Go passes over, and what npm installs.
func notOurs(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules"
}

// hasModule tells the folders that are modules of their own: Go does not take them for ours, and no
// package of ours can import theirs.
func hasModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// designLayout returns the names in the left column of the code block under DESIGN.md's heading
// "Layout", without a slash at their end. Two spaces end the column.
func designLayout(t *testing.T) []string {
	t.Helper()
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?m)^#+ Layout\n(?:[^#`].*\n|\n)*```.*\n((?:[^`].*\n|\n)*)```").FindSubmatch(design)
	if block == nil {
		t.Fatal("DESIGN.md has no code block under a heading \"Layout\"")
	}
	var names []string
	for line := range strings.Lines(string(block[1])) {
		left, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		for name := range strings.FieldsSeq(left) {
			names = append(names, strings.TrimRight(name, "/,"))
		}
	}
	return names
}
