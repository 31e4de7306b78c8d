"""Fills the Hub with the Python client, and knows what must be there afterwards."""

import hashlib

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.utils import HfHubHTTPError

from harness import REPO, WORK, api

README = b"---\nlicense: mit\nlanguage:\n- en\ntags:\n- test\n---\n# Conformance\n"

# What the first commit adds, by path.
FILES = {
    "README.md": README,
    "empty.txt": b"",
    "with space.txt": b"a name with a space\n",
    "umlaut-äöü-日本.txt": "Grüße\n".encode(),
    "decomposed-e\u0301.txt": b"two code points, and no normalisation\n",
    "percent%41+#&?.txt": b"a name that must be quoted\n",
    "-leading-dash": b"",
    "long-" + "x" * 200: b"a long name\n",
    "Ordner mit Äpfeln/deep/er/blatt.json": b'{"leaf": true}\n',
    "data/train.csv": b"".join(b"%d,%d\n" % (i, i * i) for i in range(5000)),
    "data/gone.csv": b"not for long\n",
    "old/one.txt": b"1\n",
    "old/two/three.txt": b"3\n",
    "weights.bin": hashlib.sha256(b"seed").digest() * 40_000,  # LFS, in one request
}
# LFS, in parts: the Hub's have 64 MiB.
LARGE = hashlib.sha512(b"large").digest() * ((65 << 20) // 64)

# What each revision holds, but for .gitattributes, which the Hub makes.
EXPECTED = {}


def refused(status, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except HfHubHTTPError as err:
        assert err.response.status_code == status, err
    else:
        raise AssertionError(f"{call.__name__} succeeded")


def fill_models():
    api.create_repo(REPO)
    api.create_repo(REPO, exist_ok=True)
    refused(409, api.create_repo, REPO)

    folder = WORK / "folder"
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    api.upload_folder(repo_id=REPO, folder_path=folder, commit_message="A folder", commit_description="With a text\n\nof its own")
    api.upload_file(repo_id=REPO, path_or_fileobj=LARGE, path_in_repo="large/part.safetensors", commit_message="A large file")
    tree = EXPECTED["v1.0"] = FILES | {"large/part.safetensors": LARGE}
    api.create_tag(REPO, tag="v1.0", tag_message="first")
    refused(409, api.create_tag, REPO, tag="v1.0")

    api.create_branch(REPO, branch="feature/x")
    api.create_branch(REPO, branch="feature/x", exist_ok=True)
    commit = api.create_commit(
        REPO,
        operations=[
            CommitOperationAdd("added.txt", b"added\n"),
            CommitOperationAdd("data/train.csv", b"replaced\n"),
            CommitOperationDelete("empty.txt"),
            CommitOperationDelete("old/"),
            CommitOperationCopy("large/part.safetensors", "copied.safetensors"),
        ],
        commit_message="Add, replace, delete and copy",
        revision="feature/x",
    )
    side = EXPECTED["feature/x"] = {k: v for k, v in tree.items() if k != "empty.txt" and not k.startswith("old/")}
    side.update({"added.txt": b"added\n", "data/train.csv": b"replaced\n", "copied.safetensors": LARGE})
    refused(412, api.upload_file, repo_id=REPO, path_or_fileobj=b"x", path_in_repo="x", parent_commit="0" * 39 + "1")

    pr = api.create_commit(REPO, operations=[CommitOperationAdd("proposed.txt", b"proposed\n")], commit_message="Propose", create_pr=True)
    assert (pr.pr_revision, pr.pr_num) == ("refs/pr/1", 1), pr
    api.upload_file(repo_id=REPO, path_or_fileobj=b"once more\n", path_in_repo="proposed-2.txt", revision="refs/pr/1")
    EXPECTED["refs/pr/1"] = tree | {"proposed.txt": b"proposed\n", "proposed-2.txt": b"once more\n"}

    api.delete_file("data/gone.csv", REPO, commit_message="Delete a file")
    api.delete_folder("old", REPO, commit_message="Delete a folder")
    main = EXPECTED["main"] = {k: v for k, v in tree.items() if k != "data/gone.csv" and not k.startswith("old/")}
    EXPECTED[commit.oid] = side
    EXPECTED[api.repo_info(REPO).sha] = main

    for name in ("short-lived", "also/short-lived"):
        api.create_branch(REPO, branch=name, revision="v1.0")
        api.delete_branch(REPO, branch=name)
    api.create_tag(REPO, tag="v0", revision=commit.oid)
    api.delete_tag(REPO, tag="v0")


def fill_others():
    api.create_repo(REPO, repo_type="dataset")
    api.create_repo(REPO, repo_type="space", space_sdk="static")
    for kind in ("dataset", "space"):
        api.upload_file(repo_id=REPO, repo_type=kind, path_or_fileobj=kind.encode(), path_in_repo="kind.txt")


# More of everything than fits on one page of a listing.
MANY = "alice/many"


def fill_many():
    api.create_repo(MANY)
    adds = [CommitOperationAdd(f"files/{i:04d}.txt", b"%d\n" % i) for i in range(1100)]
    api.create_commit(MANY, operations=adds, commit_message="Many files")
    for i in range(60):
        api.create_commit(MANY, operations=[CommitOperationAdd("count.txt", b"%d" % i)], commit_message=f"Commit {i}")
