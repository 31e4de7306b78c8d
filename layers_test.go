// Package layers_test checks that imports point one way.
package layers_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hubfs/hubfs/"

// layers says which packages of this module a package may import. A folder below one of these belongs to
// it; any other fails the test: whoever adds one decides where it stands.
var layers = map[string][]string{
	"hub":          {},
	"hub/localhub": {},
	"hub/hubtest":  {"hub", "hub/localhub"},
	"blobcache":    {"hub"},
	"writeback":    {"hub", "blobcache"},
	"fs":           {"hub", "blobcache", "writeback"},
	"syncer":       {"hub"},
	"control":      {"hub", "blobcache", "writeback", "fs", "syncer"},
	"cmd/hubfs":    {"hub", "blobcache", "writeback", "fs", "syncer", "control", "hub/localhub"},
}

// forbidden are imports of others that a layer must do without.
var forbidden = map[string][]string{
	"fs":           {"net/http"},                            // it knows no HTTP
	"hub":          {"github.com/hanwen/go-fuse/v2"},        // it knows no FUSE
	"blobcache":    {"github.com/hanwen/go-fuse/v2"},        //
	"control":      {"github.com/urfave/cli/v2", "os/user"}, // it knows no flags
	"hub/localhub": {"testing"},                             // the shipped program has it
}

func TestLayers(t *testing.T) {
	// The files are read here, not listed by a child process, so that the test's result is never a stale
	// one from the cache.
	imports, files := importsByFolder(t)
	for _, folder := range slices.Sorted(maps.Keys(imports)) {
		layer, known := layerOf(folder)
		if !known {
			t.Errorf("%s is in no layer: add it to the table", folder)
		}
		for _, imp := range slices.Sorted(maps.Keys(imports[folder])) {
			where := imports[folder][imp]
			if own, ok := strings.CutPrefix(imp, module); ok {
				if target, _ := layerOf(own); target != layer && !slices.Contains(layers[layer], target) {
					t.Errorf("%s: %s may not import %s", where, folder, own)
				}
			}
			for _, f := range forbidden[layer] {
				if imp == f || strings.HasPrefix(imp, f+"/") {
					t.Errorf("%s: %s may not import %s", where, folder, imp)
				}
			}
		}
	}
	for folder := range layers {
		if files[folder] == 0 {
			t.Errorf("%s has no Go files: the table names what isn't there", folder)
		}
	}
}

// layerOf is the row of the table that a folder belongs to: its own, or the nearest above.
func layerOf(folder string) (string, bool) {
	for f := folder; f != "."; f = path.Dir(f) {
		if _, ok := layers[f]; ok {
			return f, true
		}
	}
	return "", false
}

// importsByFolder gives, for each folder with Go files that aren't tests, its imports with the first
// file that has them, and the number of files.
func importsByFolder(t *testing.T) (map[string]map[string]string, map[string]int) {
	t.Helper()
	imports, files := map[string]map[string]string{}, map[string]int{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" || base == "scripts" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		files[folder]++
		if imports[folder] == nil {
			imports[folder] = map[string]string{}
		}
		for _, spec := range f.Imports {
			imp := strings.Trim(spec.Path.Value, `"`)
			if _, ok := imports[folder][imp]; !ok {
				imports[folder][imp] = name
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports, files
}
