"""Commits, uploads, and history."""

from cases import Add, Copy, Delete, File, Folder, Result, case, seed, sorted_by

REPO = "alice/commits"
IN = {"repo_id": REPO}


@seed
def commits(api):
    from huggingface_hub import CommitOperationAdd

    api["alice"].create_repo(REPO)
    api["alice"].create_repo("alice/squash")
    api["alice"].create_repo("alice/commits-data", repo_type="dataset")
    api["alice"].create_commit(REPO, [CommitOperationAdd(p, p.encode()) for p in ("a.txt", "b.txt", "old/1.txt", "old/2.txt", "logs/x.log", "logs/y.log", "logs/keep.txt", "big.bin")], commit_message="First")
    for i in range(3):
        api["alice"].upload_file(path_or_fileobj=b"%d" % i, path_in_repo="n.txt", repo_id="alice/squash", commit_message=f"Commit {i}")


case("list_repo_commits", "main", IN, shows=bool)
case("list_repo_commits", "several", {"repo_id": "alice/squash"}, shows=lambda v: len(v) == 4)
case("list_repo_commits", "formatted", {"repo_id": "alice/squash", "formatted": True})
case("list_repo_commits", "missing repository", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
case("list_repo_commits", "missing revision", IN | {"revision": "none"}, fails="RevisionNotFoundError:404")

case("create_commit", "add, delete and copy", IN | {"operations": [Add("new.txt", "new\n"), Add("model.safetensors", b"\0" * 100_000), Delete("a.txt"), Copy("big.bin", "copied.bin")], "commit_message": "Change", "commit_description": "What and why"})
case("create_commit", "delete a folder", IN | {"operations": [Delete("old/")], "commit_message": "Less"})
case("create_commit", "on its parent", IN | {"operations": [Add("next.txt", "1")], "commit_message": "Next", "parent_commit": Result("create_commit/delete a folder", "oid")})
case("create_commit", "nothing new", IN | {"operations": [Add("next.txt", "1")], "commit_message": "The same"})
case("create_commit", "pull request", IN | {"operations": [Add("proposed.txt", "p")], "commit_message": "Propose", "create_pr": True}, shows=lambda v: v["pr_num"] == 1)
case("create_commit", "another's pull request", IN | {"operations": [Add("bobs.txt", "p")], "commit_message": "Propose too", "create_pr": True}, user="bob")
case("create_commit", "onto the pull request", IN | {"operations": [Add("more.txt", "p")], "commit_message": "More", "revision": "refs/pr/1"})
case("create_commit", "dataset", {"repo_id": "alice/commits-data", "repo_type": "dataset", "operations": [Add("d.csv", "1,2")], "commit_message": "Data"})
case("create_commit", "moved branch", IN | {"operations": [Add("x", "x")], "commit_message": "Late", "parent_commit": Result("create_commit/delete a folder", "oid")}, fails="HfHubHTTPError:412")
case("create_commit", "missing repository", {"repo_id": "alice/none", "operations": [Add("x", "x")], "commit_message": "x"}, fails="RepositoryNotFoundError:404")
case("create_commit", "another's repository", IN | {"operations": [Add("x", "x")], "commit_message": "x"}, user="bob", fails="HfHubHTTPError:403")
case("create_commit", "a token for reading", IN | {"operations": [Add("x", "x")], "commit_message": "x"}, user="alice-read", fails="HfHubHTTPError:403")
case("create_commit", "missing branch", IN | {"operations": [Add("x", "x")], "commit_message": "x", "revision": "none"}, fails="RevisionNotFoundError:404")
case("create_commit", "deleting what isn't there", IN | {"operations": [Delete("none")], "commit_message": "x"}, fails="EntryNotFoundError:404")
case("create_commit", "copying what isn't there", IN | {"operations": [Copy("none", "x")], "commit_message": "x"}, fails="EntryNotFoundError")
case("create_commit", "bad metadata", IN | {"operations": [Add("README.md", "---\nlicense: [\n---\n")], "commit_message": "x"}, fails="ValueError")
case("create_commit", "bad path", IN | {"operations": [Add("../x", "x")], "commit_message": "x"}, fails="ValueError")
case("create_commit", "no message", IN | {"operations": [Add("x", "x")], "commit_message": ""}, fails="ValueError")

case("upload_file", "regular", IN | {"path_or_fileobj": File("f.txt", "f\n"), "path_in_repo": "up/f.txt"})
case("upload_file", "large, with a message", IN | {"path_or_fileobj": File("l.bin", b"\1" * 50_000), "path_in_repo": "up/l.bin", "commit_message": "Large", "commit_description": "More"})
case("upload_file", "pull request", IN | {"path_or_fileobj": File("f.txt", "g\n"), "path_in_repo": "up/f.txt", "create_pr": True})
case("upload_file", "missing repository", {"repo_id": "alice/none", "path_or_fileobj": File("f.txt", "f\n"), "path_in_repo": "f"}, fails="RepositoryNotFoundError:404")
case("upload_file", "missing file", IN | {"path_or_fileobj": "/nonexistent/file", "path_in_repo": "f"}, fails="ValueError")

TREE = {"one.txt": "1", "sub/two.txt": "2", "sub/skip.tmp": "no", ".git/config": "never", "w.bin": b"\2" * 3000}
case("upload_folder", "whole", IN | {"folder_path": Folder("tree", TREE), "path_in_repo": "tree"})
case("upload_folder", "patterns and deletions", IN | {"folder_path": Folder("tree2", TREE), "path_in_repo": "tree", "allow_patterns": ["*.txt"], "ignore_patterns": ["one*"], "delete_patterns": "*.bin", "commit_message": "Part"})
case("upload_folder", "into the root", IN | {"folder_path": Folder("tree3", {"root.txt": "r"})})
case("upload_folder", "missing folder", IN | {"folder_path": "/nonexistent"}, fails="ValueError")
case("upload_folder", "missing repository", {"repo_id": "alice/none", "folder_path": Folder("tree3", {"root.txt": "r"})}, fails="RepositoryNotFoundError:404")

case("delete_file", "one", IN | {"path_in_repo": "b.txt"})
case("delete_file", "with a message", IN | {"path_in_repo": "root.txt", "commit_message": "Away", "commit_description": "with it"})
case("delete_file", "missing", IN | {"path_in_repo": "b.txt"}, fails="EntryNotFoundError:404")
case("delete_files", "patterns", IN | {"delete_patterns": ["logs/*.log", "nothing*"]})
case("delete_files", "missing repository", {"repo_id": "alice/none", "delete_patterns": ["x"]}, fails="RepositoryNotFoundError:404")
case("delete_folder", "one", IN | {"path_in_repo": "tree"})
case("delete_folder", "missing", IN | {"path_in_repo": "tree"}, fails="EntryNotFoundError:404")

case("preupload_lfs_files", "large and small", IN | {"additions": [Add("pre.bin", b"\3" * 70_000), Add("pre.txt", "small")]})
case("preupload_lfs_files", "missing repository", {"repo_id": "alice/none", "additions": [Add("pre.bin", b"\3" * 70_000)]}, fails="RepositoryNotFoundError:404")
case("preupload_lfs_files", "another's repository", IN | {"additions": [Add("pre2.bin", b"\4" * 70_000)]}, user="bob", fails="HfHubHTTPError:403")

case("super_squash_history", "main", {"repo_id": "alice/squash"})
case("super_squash_history", "with a message", {"repo_id": "alice/squash", "branch": "main", "commit_message": "One"})
case("list_repo_commits", "squashed", {"repo_id": "alice/squash"}, shows=lambda v: len(v) == 1)
case("list_repo_tree", "after all commits", IN | {"recursive": True}, view=sorted_by("path"))
case("super_squash_history", "missing branch", {"repo_id": "alice/squash", "branch": "none"}, fails="RevisionNotFoundError:404")
case("super_squash_history", "missing repository", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
case("super_squash_history", "another's repository", {"repo_id": "alice/squash"}, user="bob", fails="HfHubHTTPError:403")
