"""What a Hub holds, read through its API with the official client: compared between both Hubs when all cases have run."""

from plain import plain
from sides import TOKENS

PEOPLE = ["alice", "bob", "carol", "dave"]
NAMESPACES = [*PEOPLE, "acme"]


def ask(call, *args, **kwargs):
    """The plain result, or what the Hub said instead."""
    try:
        return plain(call(*args, **kwargs))
    except Exception as err:
        response = getattr(err, "response", None)
        return {"error": type(err).__name__, "status": getattr(response, "status_code", None)}


def listed(values):
    return values if isinstance(values, list) else []


def dump(endpoint):
    from huggingface_hub import HfApi

    apis = {who: HfApi(endpoint=endpoint, token=TOKENS[who]) for who in PEOPLE}
    state = {"repos": {}, "people": {}}
    for who, api in apis.items():
        state["people"][who] = {
            "whoami": ask(api.whoami),
            "overview": ask(api.get_user_overview, who),
            "likes": ask(api.list_liked_repos, who),
            "webhooks": by(ask(api.list_webhooks), "url"),
            "endpoints": by(ask(api.list_inference_endpoints), "name") if hasattr(api, "list_inference_endpoints") else None,
            "followers": by(ask(api.list_user_followers, who), "username"),
            "following": by(ask(api.list_user_following, who), "username"),
        }
    state["members"] = by(ask(apis["alice"].list_organization_members, "acme"), "username")
    state["collections"] = {who: [ask(apis.get(who, apis["alice"]).get_collection, c["slug"]) for c in by(ask(apis.get(who, apis["alice"]).list_collections, owner=who, limit=100), "title") if isinstance(c, dict) and "slug" in c] for who in NAMESPACES}
    for kind, method in (("model", "list_models"), ("dataset", "list_datasets"), ("space", "list_spaces")):
        for owner in NAMESPACES:
            api = apis.get(owner, apis["alice"])
            for repo in by(ask(getattr(api, method), author=owner), "id"):
                if isinstance(repo, dict) and "id" in repo:
                    state["repos"][f"{kind} {repo['id']}"] = repository(api, kind, repo["id"])
    return state


def by(values, key):
    return sorted(listed(values), key=lambda v: str(v.get(key)) if isinstance(v, dict) else str(v))


def repository(api, kind, repo):
    of = {"repo_id": repo, "repo_type": kind}
    found = {"info": ask(api.repo_info, **of), "refs": ask(api.list_repo_refs, **of, include_pull_requests=True), "revisions": {}}
    for group in ("branches", "tags", "pull_requests"):
        for ref in listed(found["refs"].get(group)):
            revision = ref["ref"] if group == "pull_requests" else ref["name"]
            found["revisions"][revision] = {
                "tree": by(ask(api.list_repo_tree, **of, revision=revision, recursive=True), "path"),
                "commits": ask(api.list_repo_commits, **of, revision=revision),
            }
        if isinstance(found["refs"].get(group), list):
            found["refs"][group].sort(key=lambda r: r["name"])
    found["discussions"] = [ask(api.get_discussion_details, **of, discussion_num=d["num"]) for d in by(ask(api.get_repo_discussions, **of), "num")]
    for requests in ("pending", "accepted", "rejected"):
        found[requests] = by(ask(getattr(api, f"list_{requests}_access_requests"), **of), "username")
    if hasattr(api, "list_repo_likers"):
        found["likers"] = by(ask(api.list_repo_likers, **of), "username")
    if kind == "space":
        found["runtime"] = ask(api.get_space_runtime, repo)
        found["variables"] = ask(api.get_space_variables, repo)
    return found
