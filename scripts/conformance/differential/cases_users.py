"""Users, organisations, and whose a token is."""

from cases import case, seed, sorted_by


@seed
def users(api):
    import time

    from huggingface_hub.utils import get_session

    session = get_session()
    for who, whom in (("bob", "alice"), ("carol", "alice"), ("alice", "bob"), ("alice", "carol"), ("alice", "dave")):
        session.post(f"{api['alice'].endpoint}/api/users/{whom}/follow", headers={"authorization": f"Bearer {api[who].token}"}).raise_for_status()
        time.sleep(0.002)
    session.post(f"{api['alice'].endpoint}/api/organizations/acme/follow", headers={"authorization": f"Bearer {api['dave'].token}"}).raise_for_status()


case("get_user_overview", "another", {"username": "bob"}, shows=lambda v: v["is_following"] and v["num_followers"] == 1)
case("get_user_overview", "oneself", {"username": "alice"}, shows=lambda v: v["num_following"] == 3 and v["orgs"])
case("get_user_overview", "nobody's token", {"username": "alice"}, user=None)
case("get_user_overview", "missing", {"username": "nobody"}, fails="HfHubHTTPError:404")
case("get_user_overview", "wrong token", {"username": "alice"}, user="wrong", fails="HfHubHTTPError:401")
case("list_organization_members", "acme", {"organization": "acme"}, view=sorted_by("username"), shows=lambda v: len(v) == 3)
case("list_organization_members", "missing", {"organization": "none"}, fails="HfHubHTTPError:404")
case("list_organization_members", "of a user", {"organization": "alice"}, fails="HfHubHTTPError:404")
case("list_user_followers", "some", {"username": "alice"}, shows=lambda v: [u["username"] for u in v] == ["carol", "bob"])
case("list_user_followers", "none", {"username": "nobody"}, fails="HfHubHTTPError:404")
case("list_user_following", "some", {"username": "alice"}, shows=lambda v: len(v) == 3)
case("list_user_following", "nobody", {"username": "carol"}, user=None, shows=lambda v: len(v) == 1)
case("list_user_following", "missing", {"username": "nobody"}, fails="HfHubHTTPError:404")

case("whoami", "alice", {}, shows=lambda v: v["orgs"])
case("whoami", "token that only reads", {}, user="alice-read", shows=lambda v: v["auth"]["accessToken"]["role"] == "read")
case("whoami", "wrong token", {}, user="wrong", fails="HTTPError:401", releases=("0.27.1",))
case("whoami", "wrong token, newer", {}, user="wrong", fails="HfHubHTTPError:401", releases=("newest",))
case("get_token_permission", "write", {}, shows=lambda v: v == "write", why_alone="the official client makes null of every failure")
case("get_token_permission", "read", {}, user="alice-read", shows=lambda v: v == "read")
case("get_token_permission", "wrong token", {}, user="wrong", shows=lambda v: v is None)
case("get_full_repo_name", "of the token", {"model_id": "m"}, shows=lambda v: v == "alice/m")
case("get_full_repo_name", "of an organisation", {"model_id": "m", "organization": "acme"}, user=None, shows=lambda v: v == "acme/m")
case("get_full_repo_name", "with a namespace", {"model_id": "a/b"}, shows=lambda v: v == "a/a/b")
case("get_full_repo_name", "wrong token", {"model_id": "m"}, user="wrong", fails="HTTPError:401", releases=("0.27.1",))
case("get_full_repo_name", "wrong token, newer", {"model_id": "m"}, user="wrong", fails="HfHubHTTPError:401", releases=("newest",))
