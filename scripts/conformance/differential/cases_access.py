"""Requests for access to gated repositories."""

from urllib.parse import urlencode
from urllib.request import Request, urlopen

from cases import case, seed, sorted_by

REPO = "alice/gated"
IN = {"repo_id": REPO}
AUTO = {"repo_id": "alice/gated-auto", "repo_type": "dataset"}
STATES = ("pending", "accepted", "rejected")
OLD = ("0.27.1",)  # later releases want a requestId, which the documented answer doesn't have


def ask(endpoint, token, path, **fields):
    """What the form on a repository's page does. The client follows the redirect that is its answer."""
    urlopen(Request(f"{endpoint}/{path}/ask-access", data=urlencode(fields).encode(), headers={"Authorization": f"Bearer {token}"})).close()


@seed
def gated(api):
    alice = api["alice"]
    alice.create_repo(REPO)
    alice.upload_file(path_or_fileobj=b"s", path_in_repo="secret.txt", repo_id=REPO)
    alice.update_repo_settings(REPO, gated="manual")
    alice.create_repo("alice/gated-auto", repo_type="dataset")
    alice.update_repo_settings("alice/gated-auto", repo_type="dataset", gated="auto")
    alice.create_repo("alice/ungated")
    for user in ("bob", "carol"):
        ask(alice.endpoint, api[user].token, REPO, Country="FR", Use=f"{user}'s research")
    ask(alice.endpoint, api["bob"].token, "datasets/alice/gated-auto")


for state in STATES:
    LIST = f"list_{state}_access_requests"
    case(LIST, "manual", IN, view=sorted_by("username"), shows=(lambda v: {r["fields"]["Country"] for r in v} == {"FR"}) if state == "pending" else None, releases=OLD)
    case(LIST, "auto", AUTO, shows=bool if state == "accepted" else None, releases=OLD)
    case(LIST, "not gated", {"repo_id": "alice/ungated"}, fails="BadRequestError:400")
    case(LIST, "not the owner", IN, user="bob", fails="HfHubHTTPError:403")
    case(LIST, "a token for reading", IN, user="alice-read", fails="HfHubHTTPError:403")
    case(LIST, "missing repository", {"repo_id": "alice/none"}, fails="RepositoryNotFoundError:404")

READ = IN | {"filename": "secret.txt"}
case("hf_hub_download", "gated, waiting", READ, user="bob", fails="GatedRepoError:403")
case("accept_access_request", "bob's", IN | {"user": "bob"})
case("auth_check", "let in", IN, user="bob")
case("reject_access_request", "carol's", IN | {"user": "carol"})
case("auth_check", "rejected", IN, user="carol", fails="GatedRepoError:403")
for method, again in (("accept", "bob"), ("reject", "carol")):
    case(f"{method}_access_request", "again", IN | {"user": again}, fails="HfHubHTTPError:404")
case("cancel_access_request", "bob's", IN | {"user": "bob"})
case("auth_check", "out again", IN, user="bob", fails="GatedRepoError:403")
case("cancel_access_request", "again", IN | {"user": "bob"}, fails="HfHubHTTPError:404")
case("cancel_access_request", "auto", AUTO | {"user": "bob"})
case("reject_access_request", "with a reason", IN | {"user": "bob", "rejection_reason": "not now"}, releases=("newest",))
for method in ("accept", "cancel", "reject"):
    case(f"{method}_access_request", "unknown user", IN | {"user": "nobody"}, fails="HfHubHTTPError:404")
    case(f"{method}_access_request", "never asked", IN | {"user": "dave"}, fails="HfHubHTTPError:404")
    case(f"{method}_access_request", "not gated", {"repo_id": "alice/ungated", "user": "bob"}, fails="BadRequestError:400")
    case(f"{method}_access_request", "not the owner", IN | {"user": "bob"}, user="bob", fails="HfHubHTTPError:403")

case("grant_access", "dave", IN | {"user": "dave"}, view=lambda side, value: None)
case("auth_check", "granted", IN, user="dave")
case("grant_access", "again", IN | {"user": "dave"}, fails="BadRequestError:400")
case("grant_access", "unknown user", IN | {"user": "nobody"}, fails="HfHubHTTPError:404")
case("grant_access", "not gated", {"repo_id": "alice/ungated", "user": "dave"}, fails="BadRequestError:400")
case("grant_access", "not the owner", IN | {"user": "bob"}, user="bob", fails="HfHubHTTPError:403")
for state in STATES:
    case(f"list_{state}_access_requests", "in the end", IN, view=sorted_by("username"), releases=OLD)
