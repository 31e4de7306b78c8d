"""Discussions and pull requests."""

from cases import Add, Result, Text, case, seed

REPO = "alice/forum"
IN = {"repo_id": REPO}
FIRST = IN | {"discussion_num": 1}
DATA = {"repo_id": "alice/forum-data", "repo_type": "dataset"}


@seed
def forum(api):
    from huggingface_hub import CommitOperationAdd

    api["alice"].create_repo(REPO)
    api["alice"].create_repo("alice/forum-data", repo_type="dataset")
    api["alice"].create_repo("alice/forum-private", private=True)
    api["alice"].create_repo("alice/forum-old")
    api["alice"].create_commit(REPO, [CommitOperationAdd("lines", b"1\n2\n3\n4\n5\n6\n7\n8\n")], commit_message="Lines")
    api["bob"].create_discussion("alice/forum-old", "An old one", description="from before")
    api["bob"].create_commit("alice/forum-old", [CommitOperationAdd("x", b"x")], commit_message="An old pull request", commit_description="of bob's", create_pr=True)


case("create_discussion", "bob's", IN | {"title": " A question ", "description": "Why?\n\n*Because*"}, user="bob", shows=lambda v: v["num"] == 1 and len(v["events"]) == 1)
case("create_discussion", "of a dataset", DATA | {"title": "Rows", "description": "Which?"})
case("create_discussion", "pull request", IN | {"title": "As a pull request", "description": "text", "pull_request": True}, shows=lambda v: v["git_reference"] == "refs/pr/2")
case("create_discussion", "short title", IN | {"title": "ab", "description": "x"}, fails="BadRequestError:400")
case("create_discussion", "long title", IN | {"title": "x" * 201, "description": "x"}, fails="BadRequestError:400")
case("create_discussion", "nobody's", IN | {"title": "Anonymous", "description": "x"}, user=None, fails="HfHubHTTPError:401")
case("create_discussion", "a token for reading", IN | {"title": "Reader", "description": "x"}, user="alice-read", fails="HfHubHTTPError:403")
case("create_discussion", "missing repository", {"repo_id": "alice/none", "title": "Where", "description": "x"}, fails="RepositoryNotFoundError:404")
case("create_discussion", "private repository", {"repo_id": "alice/forum-private", "title": "Where", "description": "x"}, user="bob", fails="RepositoryNotFoundError:404")

case("comment_discussion", "alice's", FIRST | {"comment": "Because <b>x</b>"})
case("comment_discussion", "rude", FIRST | {"comment": "rude"}, user="carol")
case("comment_discussion", "missing discussion", IN | {"discussion_num": 99, "comment": "x"}, fails="HfHubHTTPError:404")
case("comment_discussion", "nobody's", FIRST | {"comment": "x"}, user=None, fails="HfHubHTTPError:401")
case("comment_discussion", "number zero", IN | {"discussion_num": 0, "comment": "x"}, fails="ValueError")

COMMENT = FIRST | {"comment_id": Result("comment_discussion/alice's", "id")}
case("edit_discussion_comment", "own", COMMENT | {"new_content": "Because"}, shows=lambda v: v["edited"])
case("edit_discussion_comment", "by who may write", FIRST | {"comment_id": Result("comment_discussion/rude", "id"), "new_content": "less rude"})
case("edit_discussion_comment", "another's", COMMENT | {"new_content": "x"}, user="bob", fails="HfHubHTTPError:403")
case("edit_discussion_comment", "missing comment", FIRST | {"comment_id": "0" * 24, "new_content": "x"}, fails="HfHubHTTPError:404")

case("hide_discussion_comment", "rude", FIRST | {"comment_id": Result("comment_discussion/rude", "id")}, shows=lambda v: v["hidden"])
case("hide_discussion_comment", "another's", COMMENT, user="bob", fails="HfHubHTTPError:403")
case("hide_discussion_comment", "missing comment", FIRST | {"comment_id": "0" * 24}, fails="HfHubHTTPError:404")

case("rename_discussion", "own", FIRST | {"new_title": "An answer"}, user="bob")
case("rename_discussion", "another's", FIRST | {"new_title": "Mine"}, user="carol", fails="HfHubHTTPError:403")
case("rename_discussion", "short", FIRST | {"new_title": "x"}, fails="BadRequestError:400")
case("rename_discussion", "missing discussion", IN | {"discussion_num": 99, "new_title": "Where"}, fails="HfHubHTTPError:404")

case("change_discussion_status", "close", FIRST | {"new_status": "closed", "comment": " Done "}, user="bob")
case("change_discussion_status", "open", FIRST | {"new_status": "open"})
case("change_discussion_status", "publish", IN | {"discussion_num": 2, "new_status": "open"})
case("change_discussion_status", "open already", FIRST | {"new_status": "open"}, fails="BadRequestError:400")
case("change_discussion_status", "another's", FIRST | {"new_status": "closed"}, user="carol", fails="HfHubHTTPError:403")
case("change_discussion_status", "no such status", FIRST | {"new_status": "merged"}, fails="ValueError")

case("create_pull_request", "empty", IN | {"title": "A draft", "description": "to be filled"}, user="bob", shows=lambda v: v["status"] == "draft" and v["target_branch"] == "refs/heads/main")
case("create_pull_request", "of a dataset", DATA | {"title": "More rows", "description": "all"})
case("create_pull_request", "nobody's", IN | {"title": "Anonymous", "description": "x"}, user=None, fails="HfHubHTTPError:401")
case("create_pull_request", "missing repository", {"repo_id": "alice/none", "title": "Where", "description": "x"}, fails="RepositoryNotFoundError:404")

DRAFT = Text("refs/pr/{0}", Result("create_pull_request/empty", "num"))
case("create_commit", "onto a draft", IN | {"operations": [Add("lines", "1\ntwo\n3\n4\n5\n6\n7\n8\n"), Add("new", "n")], "commit_message": "Two", "revision": DRAFT}, user="bob")
case("create_commit", "beside it", IN | {"operations": [Add("lines", "1\n2\n3\n4\n5\n6\nseven\n8\n")], "commit_message": "Seven"})
case("create_commit", "against main", IN | {"operations": [Add("lines", "1\n2\n3\n4\n5\n6\n7!\n8\n")], "commit_message": "Seven as well", "commit_description": "differently", "create_pr": True, "parent_commit": Result("create_commit/onto a draft", "oid")}, user="bob")

PULL = IN | {"discussion_num": Result("create_pull_request/empty", "num")}
CONFLICT = IN | {"discussion_num": Result("create_commit/against main", "pr_num")}
case("get_discussion_details", "pull request", PULL, shows=lambda v: "+two" in v["diff"] and v["events"][-1]["oid"])
case("get_discussion_details", "conflicts", CONFLICT, shows=lambda v: v["conflicting_files"] == ["lines"])
case("get_discussion_details", "discussion", FIRST, user=None, shows=lambda v: {e["type"] for e in v["events"]} == {"comment", "title-change", "status-change"})
case("get_discussion_details", "from before", {"repo_id": "alice/forum-old", "discussion_num": 2}, shows=lambda v: v["diff"])
case("get_discussion_details", "missing discussion", IN | {"discussion_num": 99}, fails="HfHubHTTPError:404")
case("get_discussion_details", "missing repository", {"repo_id": "alice/none", "discussion_num": 1}, fails="RepositoryNotFoundError:404")
case("get_discussion_details", "negative number", IN | {"discussion_num": -1}, fails="ValueError")

case("merge_pull_request", "draft", PULL, fails="BadRequestError:400")
case("change_discussion_status", "publish bob's", PULL | {"new_status": "open"}, user="bob")
case("merge_pull_request", "not allowed", PULL, user="bob", fails="HfHubHTTPError:403")
case("merge_pull_request", "both sides changed", PULL | {"comment": "Thanks"})
case("merge_pull_request", "merged already", PULL, fails="BadRequestError:400")
case("merge_pull_request", "empty", IN | {"discussion_num": 2})
case("merge_pull_request", "conflicts", CONFLICT, fails="HfHubHTTPError:409")
case("merge_pull_request", "discussion", FIRST, fails="BadRequestError:400")
case("merge_pull_request", "missing", IN | {"discussion_num": 99}, fails="HfHubHTTPError:404")
case("get_discussion_details", "merged", PULL, shows=lambda v: v["status"] == "merged" and v["merge_commit_oid"])
case("list_repo_commits", "after the merge", IN, shows=lambda v: any("(#" in c["title"] for c in v))

case("get_repo_discussions", "all", IN, shows=lambda v: len(v) >= 4)
case("get_repo_discussions", "bob's open ones", IN | {"author": "bob", "discussion_type": "all", "discussion_status": "open"}, shows=bool)
case("get_repo_discussions", "closed pull requests", IN | {"discussion_type": "pull_request", "discussion_status": "closed"}, shows=bool)
case("get_repo_discussions", "discussions", IN | {"discussion_type": "discussion"}, user=None, shows=bool)
case("get_repo_discussions", "of a dataset", DATA, shows=lambda v: len(v) == 2)
case("get_repo_discussions", "unknown author", IN | {"author": "nobody"})
case("get_repo_discussions", "no such type", IN | {"discussion_type": "issue"}, fails="ValueError")
case("get_repo_discussions", "no such status", IN | {"discussion_status": "merged"}, fails="ValueError")
case("get_repo_discussions", "missing repository", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
