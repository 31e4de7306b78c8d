"""The cache that hubfs and the Python client share."""

import os
from pathlib import Path

from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

from fill import EXPECTED, LARGE
from harness import REPO, WORK, Mount, Traffic, api, check, hubfs, python, read_all, same_tree, source

OFFLINE = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download
cache, repo, revision, *files = sys.argv[1:]
for path in files:
    open(hf_hub_download(repo, path, revision=revision, cache_dir=cache), "rb").close()
print(snapshot_download(repo, revision=revision, cache_dir=cache))
"""


@check
def what_was_read_through_the_mount_is_found_offline():
    mount = Mount()
    with mount as mnt:
        for revision in ("main", "v1.0", "refs/pr/1"):
            read_all(mnt / source(revision))
    for revision in ("main", "v1.0", "refs/pr/1", api.repo_info(REPO).sha):
        folder = python(OFFLINE, mount.cache, REPO, revision, *api.list_repo_files(REPO, revision=revision), HF_HUB_OFFLINE=1)
        same_tree(folder.strip(), snapshot_download(REPO, revision=revision, cache_dir=WORK / "snapshots"))
    scan = scan_cache_dir(mount.cache)
    assert not scan.warnings, scan.warnings
    assert [r.repo_id for r in scan.repos] == [REPO] and len(scan.repos) == 1, scan


@check
def what_was_read_in_part_is_not_found():
    mount = Mount(f"{REPO}@v1.0")
    with mount as mnt, open(mnt / "large/part.safetensors", "rb") as f:
        f.seek(30 << 20)
        assert f.read(4096) == LARGE[30 << 20 : (30 << 20) + 4096]
    found = try_to_load_from_cache(REPO, "large/part.safetensors", revision="v1.0", cache_dir=mount.cache)
    assert not isinstance(found, str), found
    assert (WORK / "snapshots").exists() and not list(mount.cache.rglob("*part.safetensors"))


@check
def a_snapshot_is_read_with_no_request_for_bytes():
    cache = WORK / "warm"
    snapshots = {revision: snapshot_download(REPO, revision=revision, cache_dir=cache) for revision in EXPECTED}
    with Traffic() as traffic, Mount(cache=cache) as mnt:
        for revision, snapshot in snapshots.items():
            same_tree(snapshot, mnt / source(revision))
    assert not traffic.content(), traffic.content()


@check
def the_same_bytes_are_fetched_once():
    mount = Mount()
    with mount as mnt:
        read_all(mnt / f"{REPO}@v1.0")
        with Traffic() as traffic:
            (mnt / source("feature/x") / "copied.safetensors").read_bytes()
    assert not traffic.content(), traffic.content()


@check
def a_damaged_blob_is_never_served():
    cache = WORK / "damaged"
    snapshot = Path(snapshot_download(REPO, cache_dir=cache))
    for path in ("weights.bin", "data/train.csv"):
        blob = (snapshot / path).resolve()
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.write_bytes(data)
    with Mount(REPO, cache=cache) as mnt:
        got = read_all(mnt)
        got.pop(".gitattributes")
        assert got == EXPECTED["main"], [p for p in got if got[p] != EXPECTED["main"].get(p)]


@check
def an_offline_snapshot_outlives_a_moved_branch():
    repo, cache = "alice/moved", WORK / "moved"
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=WORK / "folder")
    before = snapshot_download(repo, cache_dir=cache)
    files = read_all(before)

    def offline():
        return python(OFFLINE, cache, repo, "main", *files, HF_HUB_OFFLINE=1).strip()

    mount = Mount(repo, cache=cache)
    with mount as mnt:
        card = files["README.md"] + b"changed\n"
        api.upload_file(repo_id=repo, path_or_fileobj=card, path_in_repo="README.md")
        api.upload_file(repo_id=repo, path_or_fileobj=b"another", path_in_repo="another.txt")
        sha = api.upload_file(repo_id=repo, path_or_fileobj=b"1,1\n", path_in_repo="data/train.csv").oid
        mount.follow(sha)
        list(mnt.rglob("*"))  # which files are the same in both commits is in the listings
        assert (mnt / "README.md").read_bytes() == card
        # train.csv of the new commit isn't here: the branch offline is still the old commit.
        assert offline() == before
        assert read_all(before) == files
        assert (mnt / "data/train.csv").read_bytes() == b"1,1\n"
    # Now all that was here before is here in the new commit, which another.txt isn't.
    after = offline()
    assert after.endswith(sha), after
    assert read_all(after) == files | {"README.md": card, "data/train.csv": b"1,1\n"}
    for link in cache.rglob("snapshots/*/**/*"):
        assert link.exists(), f"{link} dangles"


@check
def eviction_leaves_no_dangling_link():
    cache = WORK / "evicted"
    foreign = Path(snapshot_download(REPO, revision="v1.0", cache_dir=cache, allow_patterns=["weights.bin"]))
    with Mount(source("feature/x"), cache=cache) as mnt:
        read_all(mnt)
    hubfs("cache", "prune", "--to", "0", HF_HUB_CACHE=cache)
    assert (foreign / "weights.bin").read_bytes() == EXPECTED["v1.0"]["weights.bin"]
    for link in cache.rglob("snapshots/*/**/*"):
        assert link.exists(), f"{link} dangles"
    left = sum(p.stat().st_size for p in cache.rglob("*") if p.is_file() and not p.is_symlink())
    assert left < 4 << 20, f"{left} bytes are left"


@check
def the_cache_can_be_verified():
    hubfs("cache", "verify", HF_HUB_CACHE=WORK / "warm")
    blob = next(p for p in (WORK / "warm").rglob("blobs/*") if p.is_file() and p.stat().st_size > 1 << 20).resolve()
    os.chmod(blob, 0o644)
    with open(blob, "r+b") as f:
        f.write(b"damage")
    try:
        hubfs("cache", "verify", HF_HUB_CACHE=WORK / "warm")
    except AssertionError as err:
        assert ": 1: " in str(err), err
    else:
        raise AssertionError("damage wasn't noticed")
