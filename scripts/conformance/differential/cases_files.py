"""Listing and downloading files."""

import hashlib
import json
import struct
from pathlib import Path

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


def safetensors(tensors, metadata=None):
    """A file of safetensors with these shapes of F32."""
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for name, shape in tensors.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
SHARDED = {
    SHARDS[0]: safetensors({"a": [3, 4], "scalar": []}, {"format": "pt"}),
    SHARDS[1]: safetensors({f"layers.{i}.weight": [2, 3, 5] for i in range(900)}),
    "model.safetensors.index.json": json.dumps({"metadata": {"total_size": 1}, "weight_map": {"a": SHARDS[0], "scalar": SHARDS[0]} | {f"layers.{i}.weight": SHARDS[1] for i in range(900)}}).encode(),
}


@seed
def weights(api):
    from huggingface_hub import CommitOperationAdd

    for repo, files in (
        ("alice/single", {"model.safetensors": safetensors({"w": [10, 10], "b": [10]}, {"format": "pt"}), "short.safetensors": b"abc", "lies.safetensors": struct.pack("<Q", 200_000_000) + b"{}" * 10, "words.safetensors": struct.pack("<Q", 8) + b"not json"}),
        ("alice/sharded", SHARDED),
        ("alice/shards-missing", {"model.safetensors.index.json": json.dumps({"weight_map": {"a": "gone.safetensors"}}).encode()}),
    ):
        api["alice"].create_repo(repo)
        api["alice"].create_commit(repo, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="Weights")


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

def local(side, path):
    """View of a file in a local folder: also what is remembered of it, but for the time."""
    top = side.work / "out"
    name = Path(path).relative_to(top).parts
    state = top / name[0] / ".cache/huggingface/download" / ("/".join(name[1:]) + ".metadata")
    return content(side, path) | {"state": state.read_text().splitlines()[:2]}


def local_folder(side, path):
    return folder(side, path) | {"state": {str(p.relative_to(path)): p.read_text().splitlines()[:2] for p in sorted((Path(path) / ".cache").rglob("*.metadata"))}}


LOCAL = ANY | {"local_dir": Out("local")}
for path in ("README.md", "weights.bin", "data/deep/er/leaf.json", "empty.txt"):
    case("hf_hub_download", f"{path} into a folder", LOCAL | {"filename": path}, view=local)
case("hf_hub_download", "into a folder again", LOCAL | {"filename": "weights.bin", "revision": "v1"}, view=local)
case("hf_hub_download", "into a folder, another revision", LOCAL | {"filename": "with space.txt", "revision": "feature/x"}, view=local)
case("hf_hub_download", "into a folder, back again", LOCAL | {"filename": "with space.txt"}, view=local)
case("hf_hub_download", "into a folder, forced", LOCAL | {"filename": "README.md", "force_download": True}, view=local)
case("hf_hub_download", "into a folder, from a subfolder", LOCAL | {"filename": "train.csv", "subfolder": "data"}, view=local)
case("hf_hub_download", "in the folder already", LOCAL | {"filename": "README.md", "local_files_only": True}, view=local)
case("hf_hub_download", "not in the folder", LOCAL | {"filename": "none.md", "local_files_only": True}, fails="LocalEntryNotFoundError")
case("hf_hub_download", "missing file for a folder", LOCAL | {"filename": "none.md"}, fails="EntryNotFoundError:404")

case("snapshot_download", "into a folder", ANY | {"local_dir": Out("local-all")}, view=local_folder)
case("snapshot_download", "into the same folder, a branch", ANY | {"local_dir": Out("local-all"), "revision": "feature/x"}, view=local_folder)
case("snapshot_download", "patterns, into a folder", ANY | {"local_dir": Out("local-some"), "allow_patterns": ["data/*", "*.bin"], "ignore_patterns": ["*.json"]}, view=local_folder)
case("snapshot_download", "the folder as it is", ANY | {"local_dir": Out("local-some"), "local_files_only": True, "cache_dir": Out("empty")}, view=local_folder)
case("snapshot_download", "no folder", ANY | {"local_dir": Out("local-none"), "local_files_only": True, "cache_dir": Out("empty")}, fails="LocalEntryNotFoundError")
case("snapshot_download", "missing repository for a folder", {"repo_id": "alice/none", "local_dir": Out("local-x")}, fails="RepositoryNotFoundError:404")

case("snapshot_download", "main", ANY | {"cache_dir": Out("snapshots")}, view=folder, shows=bool)
case("snapshot_download", "dataset", {"repo_id": DATA, "repo_type": "dataset", "cache_dir": Out("snapshots")}, view=folder)
case("snapshot_download", "patterns", ANY | {"allow_patterns": ["*.txt", "data/"], "ignore_patterns": "empty*", "cache_dir": Out("some")}, view=folder)
case("snapshot_download", "branch, one at a time", ANY | {"revision": "feature/x", "max_workers": 1, "cache_dir": Out("snapshots")}, view=folder)
case("snapshot_download", "here already", ANY | {"cache_dir": Out("snapshots"), "local_files_only": True}, view=folder)
case("snapshot_download", "missing repository", {"repo_id": "alice/none", "cache_dir": Out("snapshots")}, fails="RepositoryNotFoundError:404")
case("snapshot_download", "missing revision", ANY | {"revision": "none", "cache_dir": Out("snapshots")}, fails="RevisionNotFoundError:404")
case("snapshot_download", "not here", ANY | {"cache_dir": Out("empty"), "local_files_only": True}, fails="LocalEntryNotFoundError")

case("get_safetensors_metadata", "single", {"repo_id": "alice/single"}, shows=lambda v: v["parameter_count"] == {"F32": 110})
case("get_safetensors_metadata", "sharded", {"repo_id": "alice/sharded", "revision": "main"}, shows=lambda v: v["sharded"] and v["parameter_count"] == {"F32": 13 + 900 * 30})
case("get_safetensors_metadata", "none", ANY, fails="NotASafetensorsRepoError")
case("get_safetensors_metadata", "missing repository", {"repo_id": "alice/none"}, fails="NotASafetensorsRepoError")
case("parse_safetensors_file_metadata", "short header", {"repo_id": "alice/single", "filename": "model.safetensors"})
case("parse_safetensors_file_metadata", "long header", {"repo_id": "alice/sharded", "filename": SHARDS[1]}, shows=lambda v: len(v["tensors"]) == 900)
case("parse_safetensors_file_metadata", "too short", {"repo_id": "alice/single", "filename": "short.safetensors"}, fails="error", releases=("0.27.1",))
case("parse_safetensors_file_metadata", "too short, as later releases see it", {"repo_id": "alice/single", "filename": "short.safetensors"}, fails="SafetensorsParsingError", releases=("newest",))
case("parse_safetensors_file_metadata", "length that can't be", {"repo_id": "alice/single", "filename": "lies.safetensors"}, fails="SafetensorsParsingError")
case("parse_safetensors_file_metadata", "no JSON", {"repo_id": "alice/single", "filename": "words.safetensors"}, fails="SafetensorsParsingError")
case("parse_safetensors_file_metadata", "missing file", {"repo_id": "alice/single", "filename": "none.safetensors"}, fails="EntryNotFoundError:404")
