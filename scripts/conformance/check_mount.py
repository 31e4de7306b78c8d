"""The Python client against the mount."""

import errno
import hashlib
import os
from pathlib import Path

from huggingface_hub import HfFileSystem, hf_hub_download, snapshot_download

from fill import EXPECTED, FILES, MANY
from harness import REPO, WORK, Mount, api, check, equal, hubfs, read_all, same_tree, source

SNAPSHOTS = WORK / "snapshots"


@check
def mount_equals_snapshot():
    with Mount() as mnt:
        for revision in EXPECTED:
            tree = mnt / source(revision)
            same_tree(snapshot_download(REPO, revision=revision, cache_dir=SNAPSHOTS), tree)
        same_tree(snapshot_download(REPO, cache_dir=SNAPSHOTS), mnt / REPO)
        same_tree(snapshot_download(REPO, cache_dir=SNAPSHOTS), mnt / "models" / REPO)
        for kind in ("dataset", "space"):
            same_tree(snapshot_download(REPO, repo_type=kind, cache_dir=SNAPSHOTS), mnt / f"{kind}s" / REPO)


@check
def mount_of_one_revision_equals_snapshot():
    for revision in EXPECTED:
        with Mount(source(revision)) as mnt:
            same_tree(snapshot_download(REPO, revision=revision, cache_dir=SNAPSHOTS), mnt)
            got = read_all(mnt)
            got.pop(".gitattributes")
            assert got == EXPECTED[revision], revision
    with Mount(f"hf://{REPO}@v1.0/data") as mnt:
        same_tree(Path(snapshot_download(REPO, revision="v1.0", cache_dir=SNAPSHOTS)) / "data", mnt)


@check
def many_files_are_listed():
    with Mount(MANY) as mnt:
        equal("names", sorted(api.list_repo_files(MANY)), sorted(str(p.relative_to(mnt)) for p in mnt.rglob("*") if p.is_file()))


@check
def repositories_are_listed():
    with Mount() as mnt:
        assert {"alice", "datasets", "models", "spaces"} <= set(os.listdir(mnt)), os.listdir(mnt)
        for folder, method in ((mnt / "alice", api.list_models), (mnt / "datasets/alice", api.list_datasets), (mnt / "spaces/alice", api.list_spaces)):
            ours = sorted(f"alice/{p.name}" for p in folder.iterdir() if not p.is_symlink() and "@" not in p.name)
            equal(f"names in {folder.relative_to(mnt)}", sorted(r.id for r in method(author="alice")), ours)


@check
def filesystem_equals_mount():
    official = HfFileSystem()
    for revision in ("main", "feature/x", "refs/pr/1"):
        root = source(revision)
        with Mount(source(revision)) as mnt:
            # HfFileSystem gives paths with the revision as it likes: refs/pr/1 is not quoted, feature/x is.
            inside = lambda path: path.removeprefix(root).removeprefix(REPO).removeprefix(f"@{revision}").lstrip("/")
            for detail in (official.find(root, detail=True, withdirs=True).values(), official.ls(f"{root}/data", detail=True)):
                for e in detail:
                    path = mnt / inside(e["name"])
                    assert path.is_dir() == (e["type"] == "directory") and (path.is_dir() or path.stat().st_size == e["size"]), e
            theirs = sorted(inside(p) for p in official.find(root))
            equal(f"files of {revision}", theirs, sorted(str(p.relative_to(mnt)) for p in mnt.rglob("*") if p.is_file()))
            equal(f"glob in {revision}", sorted(inside(p) for p in official.glob(f"{root}/**/*.csv")), sorted(str(p.relative_to(mnt)) for p in mnt.rglob("*.csv")))
            for path in ("with space.txt", "umlaut-äöü-日本.txt", "weights.bin"):
                equal(path, hashlib.sha256(official.cat_file(f"{root}/{path}")).hexdigest(), hashlib.sha256((mnt / path).read_bytes()).hexdigest())
            with official.open(f"{root}/large/part.safetensors", "rb") as theirs, open(mnt / "large/part.safetensors", "rb") as ours:
                for offset in (0, 1, 4095, 40 << 20, (65 << 20) - 100):
                    theirs.seek(offset), ours.seek(offset)
                    assert theirs.read(5000) == ours.read(5000), offset


@check
def what_the_filesystem_writes_is_mounted():
    official, repo = HfFileSystem(), "alice/by-filesystem"
    api.create_repo(repo)
    with official.open(f"{repo}/folder/a.txt", "w") as f:
        f.write("a\n")
    official.put_file(str(WORK / "folder/weights.bin"), f"{repo}/weights.bin")
    official.cp_file(f"{repo}/weights.bin", f"{repo}/copied.bin")
    official.cp_file(f"{repo}/folder/a.txt", f"{repo}/folder/b.txt")
    official.rm(f"{repo}/folder/a.txt")
    with Mount(repo) as mnt:
        got = read_all(mnt)
        got.pop(".gitattributes")
        assert got == {"folder/b.txt": b"a\n", "weights.bin": FILES["weights.bin"], "copied.bin": FILES["weights.bin"]}, list(got)


@check
def attributes_are_facts():
    head = api.repo_info(REPO).sha
    with Mount(REPO) as mnt:
        for path in ("weights.bin", "README.md"):
            entry = api.get_paths_info(REPO, [path], expand=True)[0]
            want = {"oid": entry.blob_id, "commit": head, "last_commit": entry.last_commit.oid, "repo": REPO, "revision": "main", "cached": "0", "state": "clean"}
            if entry.lfs:
                want["sha256"] = entry.lfs.sha256
            equal(f"attributes of {path}", want, {name: os.getxattr(mnt / path, f"user.hub.{name}").decode() for name in want})
            (mnt / path).read_bytes()
            assert int(os.getxattr(mnt / path, "user.hub.cached")) == entry.size


@check
def a_commit_of_the_client_shows():
    repo = "alice/moving"
    api.create_repo(repo)
    api.upload_file(repo_id=repo, path_or_fileobj=b"old\n" * 1000, path_in_repo="file.txt")
    api.create_tag(repo, tag="latest")
    mount = Mount()
    with mount as mnt:
        branch, tag = mnt / repo, mnt / f"{repo}@latest"
        assert sorted(os.listdir(branch)) == sorted(os.listdir(tag)) == [".gitattributes", "file.txt"]
        with open(branch / "file.txt", "rb") as reader:
            before = reader.read(10)
            api.upload_file(repo_id=repo, path_or_fileobj=b"new\n", path_in_repo="file.txt")
            sha = api.upload_file(repo_id=repo, path_or_fileobj=b"", path_in_repo="empty").oid
            mount.follow(sha, repo)
            assert (branch / "file.txt").read_bytes() == b"new\n" and (branch / "empty").read_bytes() == b""
            assert before + reader.read() == b"old\n" * 1000, "an open file has moved"
        assert os.getxattr(branch / "file.txt", "user.hub.commit").decode() == sha
        assert (tag / "file.txt").read_bytes() == b"old\n" * 1000, "a tag has moved with the branch"
        api.delete_tag(repo, tag="latest")
        api.create_tag(repo, tag="latest")
        mount.follow(sha, f"{repo}@latest")
        assert (tag / "file.txt").read_bytes() == b"new\n"
        api.delete_file("file.txt", repo)
        sha = api.repo_info(repo).sha
        mount.follow(sha, repo)
        assert sorted(os.listdir(branch)) == [".gitattributes", "empty"] and not (branch / "file.txt").exists()


@check
def a_renamed_repository_is_a_link():
    api.create_repo("alice/old-name")
    api.upload_file(repo_id="alice/old-name", path_or_fileobj=b"moved\n", path_in_repo="f.txt")
    api.move_repo("alice/old-name", "alice/new-name")
    assert Path(hf_hub_download("alice/old-name", "f.txt", cache_dir=WORK / "renamed")).read_bytes() == b"moved\n"
    with Mount() as mnt:
        assert (mnt / "alice/old-name/f.txt").read_bytes() == b"moved\n"
        assert (mnt / "alice/old-name").is_symlink() and (mnt / "alice/new-name").is_dir() and not (mnt / "alice/new-name").is_symlink()
    with Mount("alice/old-name") as mnt:
        assert (mnt / "f.txt").read_bytes() == b"moved\n"
    api.delete_repo("alice/new-name")
    assert not api.repo_exists("alice/new-name")


def error_of(call, *args):
    try:
        call(*args)
    except OSError as err:
        return errno.errorcode[err.errno]
    return None


@check
def what_is_not_there_or_not_ours():
    api.create_repo("bob/gated", token="hf_bob")
    api.upload_file(repo_id="bob/gated", path_or_fileobj=b"secret", path_in_repo="f.txt", token="hf_bob")
    api.update_repo_settings("bob/gated", gated="manual", token="hf_bob")
    with Mount() as mnt:
        for path in ("alice/not-there", "alice/conformance@not-there", "alice/conformance/not-there", "datasets/nobody/nothing", ".git", "bob/private"):
            equal(path, "ENOENT", error_of(os.stat, mnt / path))
        equal("a gated repository", "EACCES", error_of((mnt / "bob/gated/f.txt").read_bytes))
        equal("writing to a tag", "EROFS", error_of((mnt / "alice/conformance@v1.0/README.md").write_bytes, b"x"))
    with Mount("--read-only") as mnt:
        equal("writing to a branch", "EROFS", error_of((mnt / f"{REPO}/README.md").write_bytes, b"x"))
    assert api.whoami()["name"] in hubfs("api", "whoami")
