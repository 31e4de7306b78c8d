"""The Python client against the Go client."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, hf_hub_url, snapshot_download
from huggingface_hub.utils import HfHubHTTPError

from fill import EXPECTED, LARGE, MANY
from harness import REPO, WORK, api, by_path, check, equal, hubfs_api, read_all, same_tree

PATHS = ["README.md", "data", "weights.bin", "umlaut-äöü-日本.txt", "percent%41+#&?.txt", "Ordner mit Äpfeln/deep", "not-there"]


@check
def trees_are_alike():
    for revision, files in EXPECTED.items():
        ours = by_path(hubfs_api("list_repo_tree", repo_id=REPO, revision=revision, recursive=True))
        equal(f"tree at {revision}", by_path(api.list_repo_tree(REPO, revision=revision, recursive=True)), ours)
        sizes = {e["path"]: e["size"] for e in ours if "size" in e and e["path"] != ".gitattributes"}
        equal(f"files expected at {revision}", {path: len(data) for path, data in files.items()}, sizes)
        for path in (None, "data", "Ordner mit Äpfeln/deep"):
            inside = {} if path is None else {"path_in_repo": path}
            official = by_path(api.list_repo_tree(REPO, path, revision=revision, expand=True))
            equal(f"expanded tree of {path} at {revision}", official, by_path(hubfs_api("list_repo_tree", repo_id=REPO, revision=revision, expand=True, **inside)))
        equal(f"files at {revision}", sorted(api.list_repo_files(REPO, revision=revision)), sorted(hubfs_api("list_repo_files", repo_id=REPO, revision=revision)))


@check
def infos_are_alike():
    for kind in ("model", "dataset", "space"):
        equal(f"info of a {kind}", api.repo_info(REPO, repo_type=kind), hubfs_api("repo_info", repo_id=REPO, repo_type=kind))
    for revision in EXPECTED:
        official = api.model_info(REPO, revision=revision, files_metadata=True)
        equal(f"info at {revision}", official, hubfs_api("model_info", repo_id=REPO, revision=revision, files_metadata=True))
    expand = ["sha", "tags", "createdAt", "gated", "siblings"]
    equal("chosen info", api.model_info(REPO, expand=expand), hubfs_api("model_info", repo_id=REPO, expand=expand))


@check
def refs_are_alike():
    for prs in (False, True):
        equal(f"refs, {prs}", api.list_repo_refs(REPO, include_pull_requests=prs), hubfs_api("list_repo_refs", repo_id=REPO, include_pull_requests=prs))


@check
def commits_are_alike():
    for revision in EXPECTED:
        for formatted in (False, True):
            official = api.list_repo_commits(REPO, revision=revision, formatted=formatted)
            equal(f"commits of {revision}", official, hubfs_api("list_repo_commits", repo_id=REPO, revision=revision, formatted=formatted))
    assert [c.title for c in api.list_repo_commits(REPO)][:2] == ["Delete a folder", "Delete a file"]


@check
def long_listings_are_alike():
    equal("commits", api.list_repo_commits(MANY), hubfs_api("list_repo_commits", repo_id=MANY))
    official = by_path(api.list_repo_tree(MANY, "files"))
    assert len(official) == 1100
    equal("tree", official, by_path(hubfs_api("list_repo_tree", repo_id=MANY, path_in_repo="files")))
    official = by_path(api.list_repo_tree(MANY, "files", expand=True))
    equal("expanded tree", official, by_path(hubfs_api("list_repo_tree", repo_id=MANY, path_in_repo="files", expand=True)))


@check
def lists_of_repositories_are_alike():
    for kind, method in (("models", api.list_models), ("datasets", api.list_datasets), ("spaces", api.list_spaces)):
        for options in ({"author": "alice"}, {"author": "alice", "full": True}, {"search": "conform"}, {"author": "alice", "limit": 1}):
            official = sorted(method(**options), key=lambda r: r.id)
            assert official
            equal(f"{kind} {options}", official, sorted(hubfs_api(method.__name__, **options), key=lambda r: r["id"]))


@check
def paths_info_is_alike():
    for expand in (False, True):
        equal("paths info", by_path(api.get_paths_info(REPO, PATHS, expand=expand)), by_path(hubfs_api("get_paths_info", repo_id=REPO, paths=PATHS, expand=expand)))
    official = by_path(api.get_paths_info(REPO, PATHS, revision="feature/x"))
    equal("paths info of a branch", official, by_path(hubfs_api("get_paths_info", repo_id=REPO, paths=PATHS, revision="feature/x")))


@check
def metadata_is_alike():
    for path in ("README.md", "weights.bin", "percent%41+#&?.txt", "umlaut-äöü-日本.txt", "-leading-dash"):
        official, ours = (vars(m) if not isinstance(m, dict) else m for m in (api.get_hf_file_metadata(url=hf_hub_url(REPO, path)), hubfs_api("get_hf_file_metadata", url=hf_hub_url(REPO, path))))
        # A signed URL is another one each time.
        equal(f"metadata of {path}", *({k: v.split("?")[0] if k == "location" else v for k, v in m.items()} for m in (official, ours)))


@check
def whoami_is_alike():
    equal("whoami", api.whoami(), hubfs_api("whoami"))


@check
def existence_is_alike():
    for method, arguments in (
        ("repo_exists", {"repo_id": REPO}),
        ("repo_exists", {"repo_id": "alice/not-there"}),
        ("repo_exists", {"repo_id": MANY, "repo_type": "dataset"}),
        ("revision_exists", {"repo_id": REPO, "revision": "feature/x"}),
        ("revision_exists", {"repo_id": REPO, "revision": "short-lived"}),
        ("file_exists", {"repo_id": REPO, "filename": "with space.txt"}),
        ("file_exists", {"repo_id": REPO, "filename": "proposed.txt", "revision": "refs/pr/1"}),
        ("file_exists", {"repo_id": REPO, "filename": "not-there"}),
    ):
        equal(f"{method} {arguments}", getattr(api, method)(**arguments), hubfs_api(method, **arguments))


@check
def refusals_are_alike():
    api.create_repo("bob/private", private=True, token="hf_bob")
    for method, arguments in (
        ("model_info", {"repo_id": "alice/not-there"}),
        ("model_info", {"repo_id": "bob/private"}),
        ("model_info", {"repo_id": REPO, "revision": "not-there"}),
        ("list_repo_refs", {"repo_id": "nobody/nothing"}),
        ("create_branch", {"repo_id": REPO, "branch": "feature/x"}),
        ("create_branch", {"repo_id": REPO, "branch": "y", "revision": "not-there"}),
        ("create_tag", {"repo_id": REPO, "tag": "v1.0"}),
        ("delete_branch", {"repo_id": REPO, "branch": "main"}),
        ("delete_tag", {"repo_id": REPO, "tag": "not-there"}),
        ("create_repo", {"repo_id": REPO}),
        ("create_repo", {"repo_id": "bob/not-mine"}),
        ("delete_repo", {"repo_id": "bob/private"}),
        ("delete_file", {"repo_id": REPO, "path_in_repo": "not-there"}),
        ("move_repo", {"from_id": REPO, "to_id": MANY}),
    ):
        try:
            getattr(api, method)(**arguments)
            raise AssertionError(f"{method} {arguments} succeeded")
        except HfHubHTTPError as err:
            said = err.server_message
        try:
            hubfs_api(method, **arguments)
        except AssertionError as err:
            assert said and said in str(err), f"{method} {arguments}: the Hub says {said!r}, hubfs {err}"
        else:
            raise AssertionError(f"hubfs: {method} {arguments} succeeded")


@check
def downloads_are_alike():
    for revision, files in EXPECTED.items():
        official = snapshot_download(REPO, revision=revision, cache_dir=WORK / "downloads")
        ours = hubfs_api("snapshot_download", repo_id=REPO, revision=revision, cache_dir=WORK / "downloads-go")
        same_tree(official, ours)
        assert Path(official).relative_to(WORK / "downloads") == Path(ours).relative_to(WORK / "downloads-go")
        got = read_all(official)
        got.pop(".gitattributes")
        assert got == files, f"{revision}: other bytes than were uploaded: {[p for p in files if got.get(p) != files[p]]}"
    for path in ("with space.txt", "weights.bin"):
        official = api.hf_hub_download(REPO, path, revision="refs/pr/1", cache_dir=WORK / "one")
        ours = hubfs_api("hf_hub_download", repo_id=REPO, filename=path, revision="refs/pr/1", cache_dir=WORK / "one-go")
        assert Path(official).read_bytes() == Path(ours).read_bytes()


@check
def what_hubfs_writes_is_read_by_the_client():
    repo, folder = "alice/by-hubfs", WORK / "folder"
    hubfs_api("create_repo", repo_id=repo)
    hubfs_api("upload_folder", repo_id=repo, folder_path=folder)
    large = WORK / "large.bin"
    large.write_bytes(LARGE)
    hubfs_api("upload_file", repo_id=repo, path_or_fileobj=large, path_in_repo="large/part.safetensors")
    snapshot = Path(snapshot_download(repo, cache_dir=WORK / "by-hubfs"))
    expected = EXPECTED["v1.0"]
    assert {k: v for k, v in read_all(snapshot).items() if k != ".gitattributes"} == expected
    # The Hub decides what is LFS, so both clients get the same git objects.
    ids = lambda repo, revision: {e.path: e.blob_id for e in api.list_repo_tree(repo, revision=revision, recursive=True) if hasattr(e, "blob_id")}
    equal("object ids", ids(REPO, "v1.0"), ids(repo, "main"))
    operations = [
        {"op": "add", "path_in_repo": "added.txt", "path_or_fileobj": {"text": "added\n"}},
        {"op": "delete", "path_in_repo": "empty.txt"},
        {"op": "delete", "path_in_repo": "old", "is_folder": True},
        {"op": "copy", "src_path_in_repo": "large/part.safetensors", "path_in_repo": "copied.safetensors"},
        {"op": "add", "path_in_repo": "data/train.csv", "path_or_fileobj": {"text": "replaced\n"}},
    ]
    hubfs_api("create_branch", repo_id=repo, branch="feature/x")
    commit = hubfs_api("create_commit", repo_id=repo, revision="feature/x", operations=operations, commit_message="Add, delete and copy")
    equal("object ids of a branch", ids(REPO, "feature/x"), ids(repo, commit["oid"]))
    hubfs_api("create_tag", repo_id=repo, tag="v1.0", revision="feature/x", tag_message="a message")
    pr = hubfs_api("create_commit", repo_id=repo, operations=operations[:1], commit_message="Propose", create_pr=True)
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    assert [(r.name, r.target_commit) for r in refs.tags] == [("v1.0", commit["oid"])], refs
    assert [(r.ref, r.target_commit) for r in refs.pull_requests] == [("refs/pr/1", pr["oid"])], (refs, pr)
    hubfs_api("move_repo", from_id=repo, to_id="alice/by-hubfs-2")
    assert api.model_info("alice/by-hubfs-2").id == "alice/by-hubfs-2"
    hubfs_api("delete_repo", repo_id="alice/by-hubfs-2")
    assert not api.repo_exists("alice/by-hubfs-2") and not api.repo_exists(repo)


@check
def history_can_be_squashed():
    api.create_repo("alice/squashed")
    for i in range(3):
        api.create_commit("alice/squashed", operations=[CommitOperationAdd(f"{i}.txt", b"%d" % i)], commit_message=f"Commit {i}")
    api.super_squash_history("alice/squashed")
    official = api.list_repo_commits("alice/squashed")
    assert len(official) == 1, official
    equal("commits", official, hubfs_api("list_repo_commits", repo_id="alice/squashed"))
    assert sorted(api.list_repo_files("alice/squashed")) == [".gitattributes", "0.txt", "1.txt", "2.txt"]
