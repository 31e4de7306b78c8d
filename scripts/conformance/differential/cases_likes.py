"""Who likes what."""

from cases import case, seed

MODEL, DATA, SPACE = "alice/liked", "alice/liked-data", "alice/liked-space"
SEEN = "alice/liked-before"


@seed
def likes(api):
    import time

    alice = api["alice"]
    alice.create_repo(MODEL)
    alice.create_repo(SEEN)
    alice.create_repo(DATA, repo_type="dataset")
    alice.create_repo(SPACE, repo_type="space", space_sdk="static")
    alice.create_repo("alice/liked-private", private=True)
    from huggingface_hub.utils import get_session

    session = get_session()
    for who in ("bob", "carol", "dave"):  # later releases have no method for it
        session.post(f"{alice.endpoint}/api/models/{SEEN}/like", headers={"authorization": f"Bearer {api[who].token}"}).raise_for_status()
        time.sleep(0.002)


OLD = ("0.27.1",)

case("list_repo_likers", "some", {"repo_id": SEEN}, shows=lambda v: [u["username"] or u.get("user") for u in v] == ["dave", "carol", "bob"])
case("list_liked_repos", "user", {"user": "dave"}, shows=lambda v: SEEN in v["models"])
case("list_liked_repos", "one's own", {}, user="dave", shows=lambda v: v["total"] >= 1)
case("list_liked_repos", "nobody's token", {"user": "dave"}, user=None)
case("list_liked_repos", "none", {"user": "alice"}, shows=lambda v: v["models"] == [])
case("list_liked_repos", "missing user", {"user": "nobody"}, fails="HfHubHTTPError:404")

case("like", "model", {"repo_id": MODEL}, user="bob")
case("like", "again", {"repo_id": MODEL}, user="bob")
case("like", "dataset", {"repo_id": DATA, "repo_type": "dataset"}, user="bob")
case("like", "space", {"repo_id": SPACE, "repo_type": "space"}, user="bob")
case("like", "one's own private", {"repo_id": "alice/liked-private"})
case("like", "missing", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
case("like", "another's private", {"repo_id": "alice/liked-private"}, user="bob", fails="RepositoryNotFoundError:404")
case("like", "token that only reads", {"repo_id": MODEL}, user="alice-read", fails="HfHubHTTPError:403")
case("like", "no token", {"repo_id": MODEL}, user=None, fails="HfHubHTTPError:401")
case("list_repo_likers", "after a like", {"repo_id": MODEL}, shows=lambda v: len(v) in (1, 0), releases=OLD)
case("list_repo_likers", "dataset", {"repo_id": DATA, "repo_type": "dataset"})
case("list_repo_likers", "missing", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
case("list_repo_likers", "another's private", {"repo_id": "alice/liked-private"}, user="bob", fails="RepositoryNotFoundError:404")
case("list_liked_repos", "all types", {"user": "bob"}, shows=lambda v: v["total"] >= 4, releases=OLD)
case("model_info", "likes", {"repo_id": MODEL, "expand": ["likes", "trendingScore"]}, shows=lambda v: v["likes"] == 1, releases=OLD)

case("unlike", "dataset", {"repo_id": DATA, "repo_type": "dataset"}, user="bob")
case("unlike", "again", {"repo_id": DATA, "repo_type": "dataset"}, user="bob")
case("unlike", "missing", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")
case("unlike", "no token", {"repo_id": MODEL}, user=None, fails="HfHubHTTPError:401")
case("list_liked_repos", "one less", {"user": "bob"}, shows=lambda v: v["datasets"] == [])
