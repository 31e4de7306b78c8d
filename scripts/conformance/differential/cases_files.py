"""Listing and downloading files."""

import hashlib

from cases import Out, Text, case, content, folder, seed, sorted_by

REPO, DATA = "alice/files", "alice/files-data"
LFS = hashlib.sha256(b"weights").digest() * 4000
FILES = {
    "README.md": b"---\nlicense: mit\n---\n# Files\n",
    "empty.txt": b"",
    "with space.txt": b"a name with a space\n",
    "umlaut-\u00e4\u00f6.txt": "Gr\u00fc\u00dfe\n".encode(),
    "percent%41+#&?.txt": b"a name that must be quoted\n",
    "data/train.csv": b"".join(b"%d,%d\n" % (i, i * i) for i in range(300)),
    "data/deep/er/leaf.json": b'{"leaf": true}\n',
    "weights.bin": LFS,
}


@seed
def files(api):
    from huggingface_hub import CommitOperationAdd

    for repo, kind in ((REPO, "model"), (DATA, "dataset")):
        api["alice"].create_repo(repo, repo_type=kind)
        api["alice"].create_commit(repo, [CommitOperationAdd(path, data) for path, data in FILES.items()], commit_message="First", repo_type=kind)
    api["alice"].create_tag(REPO, tag="v1")
    api["alice"].create_branch(REPO, branch="feature/x")
    api["alice"].upload_file(path_or_fileobj=b"changed\n", path_in_repo="with space.txt", repo_id=REPO, revision="feature/x", commit_message="Change", commit_description="A longer text\n\nin two parts")
    api["bob"].create_repo("bob/files-private", private=True)


ANY = {"repo_id": REPO}
PATHS = sorted_by("path")

case("list_repo_tree", "root", ANY, view=PATHS, shows=lambda v: len(v) > 5)
case("list_repo_tree", "recursive", ANY | {"recursive": True}, view=PATHS)
case("list_repo_tree", "folder", ANY | {"path_in_repo": "data"}, view=PATHS, shows=bool)
case("list_repo_tree", "expanded", ANY | {"recursive": True, "expand": True}, view=PATHS)
case("list_repo_tree", "dataset at main", {"repo_id": DATA, "repo_type": "dataset", "revision": "main"}, view=PATHS)
case("list_repo_tree", "branch with a slash", ANY | {"revision": "feature/x"}, view=PATHS)
case("list_repo_tree", "nobody's token", ANY, user=None, view=PATHS)
case("list_repo_tree", "missing repository", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
case("list_repo_tree", "another's private repository", {"repo_id": "bob/files-private"}, fails="RepositoryNotFoundError:404")
case("list_repo_tree", "missing revision", ANY | {"revision": "none"}, fails="RevisionNotFoundError:404")
case("list_repo_tree", "missing folder", ANY | {"path_in_repo": "none"}, fails="EntryNotFoundError:404")
case("list_repo_tree", "bad id", {"repo_id": "a--b/c"}, fails="ValueError")

case("list_repo_files", "main", ANY, view=sorted_by(), shows=lambda v: "data/deep/er/leaf.json" in v)
case("list_repo_files", "tag", ANY | {"revision": "v1"}, view=sorted_by())
case("list_repo_files", "missing repository", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
case("list_repo_files", "missing revision", ANY | {"revision": "none"}, fails="RevisionNotFoundError:404")

SOME = ["README.md", "data", "weights.bin", "umlaut-\u00e4\u00f6.txt", "percent%41+#&?.txt", "not-there"]
case("get_paths_info", "files and folders", ANY | {"paths": SOME}, view=PATHS, shows=lambda v: len(v) == 5)
case("get_paths_info", "expanded", ANY | {"paths": SOME, "expand": True}, view=PATHS)
case("get_paths_info", "one path", ANY | {"paths": "README.md"})
case("get_paths_info", "none there", ANY | {"paths": ["nope"]}, shows=lambda v: v == [])
case("get_paths_info", "missing repository", {"repo_id": "alice/none", "paths": ["x"]}, fails="RepositoryNotFoundError:404")
case("get_paths_info", "missing revision", ANY | {"paths": ["x"], "revision": "none"}, fails="RevisionNotFoundError:404")

case("file_exists", "yes", ANY | {"filename": "with space.txt"}, shows=bool)
case("file_exists", "no", ANY | {"filename": "nope"}, shows=lambda v: v is False)
case("file_exists", "missing revision", ANY | {"filename": "README.md", "revision": "none"}, shows=lambda v: v is False)
case("file_exists", "missing repository", {"repo_id": "alice/none", "filename": "README.md"}, shows=lambda v: v is False)
case("file_exists", "bad id", {"repo_id": "a..b/c", "filename": "x"}, fails="ValueError")

for path in ("README.md", "weights.bin", "percent%2541%2B%23%26%3F.txt"):
    case("get_hf_file_metadata", path, {"url": Text("{endpoint}/alice/files/resolve/main/" + path)}, shows=lambda v: v["etag"])
case("get_hf_file_metadata", "dataset", {"url": Text("{endpoint}/datasets/alice/files-data/resolve/main/data/train.csv")})
case("get_hf_file_metadata", "missing file", {"url": Text("{endpoint}/alice/files/resolve/main/none")}, fails="EntryNotFoundError:404")
case("get_hf_file_metadata", "missing revision", {"url": Text("{endpoint}/alice/files/resolve/none/README.md")}, fails="RevisionNotFoundError:404")
case("get_hf_file_metadata", "missing repository", {"url": Text("{endpoint}/alice/none/resolve/main/README.md")}, fails="RepositoryNotFoundError:404")

for path in ("README.md", "weights.bin", "with space.txt", "empty.txt", "data/deep/er/leaf.json"):
    case("hf_hub_download", path, ANY | {"filename": path, "cache_dir": Out("cache")}, view=content)
case("hf_hub_download", "default cache", ANY | {"filename": "README.md"}, view=content)
case("hf_hub_download", "subfolder and branch", ANY | {"filename": "train.csv", "subfolder": "data", "revision": "feature/x", "cache_dir": Out("cache")}, view=content)
case("hf_hub_download", "here already", ANY | {"filename": "README.md", "cache_dir": Out("cache"), "local_files_only": True}, view=content)
case("hf_hub_download", "again", ANY | {"filename": "README.md", "cache_dir": Out("cache"), "force_download": True}, view=content)
case("hf_hub_download", "dataset", {"repo_id": DATA, "repo_type": "dataset", "filename": "weights.bin", "cache_dir": Out("cache")}, view=content)
case("hf_hub_download", "missing file", ANY | {"filename": "none", "cache_dir": Out("cache")}, fails="EntryNotFoundError:404")
case("hf_hub_download", "missing revision", ANY | {"filename": "README.md", "revision": "none", "cache_dir": Out("cache")}, fails="RevisionNotFoundError:404")
case("hf_hub_download", "missing repository", {"repo_id": "alice/none", "filename": "README.md", "cache_dir": Out("cache")}, fails="RepositoryNotFoundError:404")
case("hf_hub_download", "not here", ANY | {"filename": "README.md", "cache_dir": Out("empty"), "local_files_only": True}, fails="LocalEntryNotFoundError")

case("snapshot_download", "main", ANY | {"cache_dir": Out("snapshots")}, view=folder, shows=bool)
case("snapshot_download", "dataset", {"repo_id": DATA, "repo_type": "dataset", "cache_dir": Out("snapshots")}, view=folder)
case("snapshot_download", "patterns", ANY | {"allow_patterns": ["*.txt", "data/"], "ignore_patterns": "empty*", "cache_dir": Out("some")}, view=folder)
case("snapshot_download", "branch, one at a time", ANY | {"revision": "feature/x", "max_workers": 1, "cache_dir": Out("snapshots")}, view=folder)
case("snapshot_download", "here already", ANY | {"cache_dir": Out("snapshots"), "local_files_only": True}, view=folder)
case("snapshot_download", "missing repository", {"repo_id": "alice/none", "cache_dir": Out("snapshots")}, fails="RepositoryNotFoundError:404")
case("snapshot_download", "missing revision", ANY | {"revision": "none", "cache_dir": Out("snapshots")}, fails="RevisionNotFoundError:404")
case("snapshot_download", "not here", ANY | {"cache_dir": Out("empty"), "local_files_only": True}, fails="LocalEntryNotFoundError")
