package fs

import (
	"strings"

	"github.com/hubfs/hubfs/hub"
)

// The directories of a whole-Hub mount that are there for the types of
// repositories. Models live at the root itself.
const (
	modelsDir   = "models"
	datasetsDir = "datasets"
	spacesDir   = "spaces"
)

// typeDirs maps the first component of a path to the type of repository below it.
var typeDirs = map[string]hub.RepoType{
	modelsDir:   hub.Model,
	datasetsDir: hub.Dataset,
	spacesDir:   hub.Space,
}

// probed are names that tools look for wherever they are, in lower case: file
// managers, shells, version control, package managers that climb to the root.
// Above the trees they don't exist, and the Hub isn't asked. Names that no
// repository can have, such as those with a dot in front, needn't be here; names
// that one may have must not.
var probed = map[string]bool{
	"autorun.inf": true, "desktop.ini": true, "thumbs.db": true, "folder.jpg": true,
	"package.json": true, "node_modules": true, "bower_components": true, "tsconfig.json": true,
	"pyproject.toml": true, "setup.py": true, "setup.cfg": true, "__init__.py": true, "__pycache__": true,
	"__main__.py": true, "conftest.py": true, "tox.ini": true, "pytest.ini": true, "pyvenv.cfg": true,
	"go.mod": true, "go.work": true, "cargo.toml": true, "pom.xml": true, "build.gradle": true,
	"makefile": true, "gnumakefile": true, "cmakelists.txt": true, "dockerfile": true, "gemfile": true,
	"module.bazel": true, "build.bazel": true,
}

// gitHead is what Git looks for first to find out whether a directory is a bare
// repository.
const gitHead = "HEAD"

// answeredLocally says that name can't be what the Hub knows: neither a namespace
// nor a repository's name, with or without a revision.
func answeredLocally(name string) bool {
	if name == gitHead || probed[strings.ToLower(name)] {
		return true
	}
	base, _, _ := strings.Cut(name, "@")
	return !validNamespace(base)
}

// validNamespace applies the Hub's rules for one component of a repository's id.
func validNamespace(name string) bool {
	return !strings.Contains(name, "/") && hub.Repo{Type: hub.Model, ID: name}.Validate() == nil
}

// repoName is the last component of a repository's path in a mount: its name, and
// the revision behind an "@".
type repoName struct {
	name        string
	revision    string // as the Hub knows it; "" is the default branch
	hasRevision bool
}

// parseRepoName reads name or name@revision. It doesn't look at whether the Hub
// could have such a name or revision, only at whether the spelling has a meaning.
func parseRepoName(s string) (repoName, bool) {
	name, revision, hasRevision := strings.Cut(s, "@")
	if name == "" || hasRevision && revision == "" {
		return repoName{}, false
	}
	return repoName{name: name, revision: unescapeRevision(revision), hasRevision: hasRevision}, true
}

func (n repoName) String() string {
	if !n.hasRevision {
		return n.name
	}
	return n.name + "@" + escapeRevision(n.revision)
}

// A revision is one component of a path, so its slashes are written %2F. The
// percent sign is escaped only where it would be read as an escape.
var (
	revisionEscaper   = strings.NewReplacer("/", "%2F", "%2F", "%252F", "%2f", "%252f", "%25", "%2525")
	revisionUnescaper = strings.NewReplacer("%2F", "/", "%2f", "/", "%25", "%")
)

func escapeRevision(revision string) string { return revisionEscaper.Replace(revision) }

func unescapeRevision(s string) string { return revisionUnescaper.Replace(s) }

// isCommit says whether a revision is a full commit id.
func isCommit(revision string) bool { return len(revision) == 40 && isHex(revision) }

// mayBeCommit says whether a revision may abbreviate a commit id.
func mayBeCommit(revision string) bool {
	return len(revision) >= 7 && len(revision) <= 40 && isHex(strings.ToLower(revision))
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Namespaces of references, as Git spells them.
const (
	headsPrefix   = "refs/heads/"
	tagsPrefix    = "refs/tags/"
	pullsPrefix   = "refs/pr/"
	convertPrefix = "refs/convert/"
)
