"""Collections: lists of repositories and papers."""

from cases import Result, case, seed

MODEL, DATA, SPACE, PRIVATE = "alice/col-model", "alice/col-data", "alice/col-space", "alice/col-private"
PAPER = "1706.03762"
NONE = "alice/none-" + "0" * 24


@seed
def collections(api):
    alice, bob = api["alice"], api["bob"]
    alice.create_repo(MODEL)
    alice.create_repo(DATA, repo_type="dataset")
    alice.create_repo(SPACE, repo_type="space", space_sdk="static")
    alice.create_repo(PRIVATE, private=True)
    bob.create_repo("bob/col-private", private=True)
    seen = bob.create_collection("Seen", description="of bob's")
    for id, kind in ((MODEL, "model"), (DATA, "dataset"), (SPACE, "space"), (PAPER, "paper"), ("bob/col-private", "model")):
        bob.add_collection_item(seen.slug, id, kind)
    bob.create_collection("Hidden", private=True)
    bob.create_collection("Of acme", namespace="acme")
    bob.add_collection_item(bob.create_collection("Papers").slug, PAPER, "paper", note="the first")


SLUG = Result("create_collection/plain", "slug")
ITEM = Result("add_collection_item/model", "items.0.item_object_id")
SEEN = Result("list_collections/owner", "1.slug")


def titles(*wanted):
    return lambda found: [c["title"] for c in found] == list(wanted)


case("create_collection", "plain", {"title": "My Models, 2nd!"}, shows=lambda v: v["slug"].startswith("alice/my-models-2nd-"))
case("create_collection", "all", {"title": "Everything", "namespace": "acme", "description": "of all", "private": True}, shows=lambda v: v["private"])
case("create_collection", "twice", {"title": "My Models, 2nd!"}, fails="HfHubHTTPError:409")
case("create_collection", "exists ok", {"title": "My Models, 2nd!", "exists_ok": True, "description": "not used"})
case("create_collection", "long title", {"title": "x" * 61}, fails="BadRequestError:400")
case("create_collection", "long description", {"title": "long", "description": "x" * 151}, fails="BadRequestError:400")
case("create_collection", "another's namespace", {"title": "x", "namespace": "bob"}, fails="HfHubHTTPError:403")
case("create_collection", "may only read acme", {"title": "x", "namespace": "acme"}, user="carol", fails="HfHubHTTPError:403")
case("create_collection", "token that only reads", {"title": "x"}, user="alice-read", fails="HfHubHTTPError:403")
case("create_collection", "namespace and no token", {"title": "x", "namespace": "alice"}, user=None, fails="HfHubHTTPError:401")

case("list_collections", "owner", {"owner": "bob", "sort": "lastModified"}, shows=titles("Papers", "Seen"))
case("list_collections", "owners", {"owner": ["bob", "acme"], "sort": "lastModified"}, user="bob", shows=lambda v: len(v) > 3)
case("list_collections", "limit", {"owner": ["bob", "acme"], "sort": "upvotes", "limit": 1}, shows=lambda v: len(v) == 1)
case("list_collections", "item", {"owner": "bob", "item": f"models/{MODEL}"}, shows=titles("Seen"))
case("list_collections", "items", {"owner": "bob", "item": [f"papers/{PAPER}", f"datasets/{DATA}"], "sort": "lastModified"}, shows=titles("Papers", "Seen"))
case("list_collections", "item that isn't there", {"item": "models/alice/none"}, shows=lambda v: v == [])
case("list_collections", "trending", {"owner": "bob", "sort": "trending"}, user=None)
case("list_collections", "malformed item", {"item": "alice/none"}, fails="BadRequestError:400")

case("get_collection", "items", {"collection_slug": SEEN}, shows=lambda v: len(v["items"]) > 0)
case("get_collection", "empty", {"collection_slug": SLUG}, user=None, shows=lambda v: v["items"] == [])
case("get_collection", "missing", {"collection_slug": NONE}, fails="HfHubHTTPError:404")
case("get_collection", "private", {"collection_slug": Result("create_collection/all", "slug")}, user="dave", fails="HfHubHTTPError:404")
case("get_collection", "private, a member's", {"collection_slug": Result("create_collection/all", "slug")}, user="bob")

ADD = {"collection_slug": SLUG}
case("add_collection_item", "model", ADD | {"item_id": MODEL, "item_type": "model", "note": "first <b>"}, shows=lambda v: v["items"][0]["note"] == "first <b>")
case("add_collection_item", "dataset", ADD | {"item_id": DATA, "item_type": "dataset"})
case("add_collection_item", "space", ADD | {"item_id": SPACE, "item_type": "space"})
case("add_collection_item", "paper", ADD | {"item_id": PAPER, "item_type": "paper"})
case("add_collection_item", "private", ADD | {"item_id": PRIVATE, "item_type": "model"}, shows=lambda v: len(v["items"]) == 5)
case("add_collection_item", "twice", ADD | {"item_id": MODEL, "item_type": "model"}, fails="HfHubHTTPError:409")
case("add_collection_item", "exists ok", ADD | {"item_id": MODEL, "item_type": "model", "exists_ok": True}, shows=lambda v: len(v["items"]) == 5)
case("add_collection_item", "wrong type", ADD | {"item_id": MODEL, "item_type": "dataset"}, fails="RepositoryNotFoundError:404")
case("add_collection_item", "missing paper", ADD | {"item_id": "0000.00000", "item_type": "paper"}, fails="HfHubHTTPError:404")
case("add_collection_item", "long note", ADD | {"item_id": "alice/col-private", "item_type": "model", "note": "x" * 501}, fails="BadRequestError:400")
case("add_collection_item", "another's collection", ADD | {"item_id": MODEL, "item_type": "model"}, user="bob", fails="HfHubHTTPError:403")
case("add_collection_item", "missing collection", {"collection_slug": NONE, "item_id": MODEL, "item_type": "model"}, fails="HfHubHTTPError:404")
case("get_collection", "what others see", {"collection_slug": SLUG}, user="bob", shows=lambda v: len(v["items"]) == 4)

AT = {"collection_slug": SLUG, "item_object_id": ITEM}
case("update_collection_item", "note", AT | {"note": "another"})
case("update_collection_item", "position", AT | {"position": 3})
case("update_collection_item", "far position", AT | {"position": 99, "note": ""})
case("update_collection_item", "missing", {"collection_slug": SLUG, "item_object_id": "0" * 24, "note": "x"}, fails="HfHubHTTPError:404")
case("update_collection_item", "long note", AT | {"note": "x" * 501}, fails="BadRequestError:400")
case("update_collection_item", "negative position", AT | {"position": -1}, fails="BadRequestError:400")
case("update_collection_item", "another's", AT | {"note": "x"}, user="bob", fails="HfHubHTTPError:403")
case("get_collection", "reordered", {"collection_slug": SLUG}, shows=lambda v: v["items"][4]["item_id"] == MODEL)

case("delete_collection_item", "one", AT)
case("delete_collection_item", "again", AT, fails="HfHubHTTPError:404")
case("delete_collection_item", "missing ok", AT | {"missing_ok": True})
case("delete_collection_item", "another's", AT, user="bob", fails="HfHubHTTPError:403")
case("get_collection", "shorter", {"collection_slug": SLUG}, shows=lambda v: len(v["items"]) == 4)

case("create_collection", "second", {"title": "Second"}, shows=lambda v: v["position"] == 1)
SECOND = Result("create_collection/second", "slug")
case("update_collection_metadata", "all", {"collection_slug": SECOND, "title": "Number One", "description": "now", "position": 0, "private": True, "theme": "pink"}, shows=lambda v: v["slug"].startswith("alice/number-one-"))
case("update_collection_metadata", "by its old slug", {"collection_slug": SECOND, "private": False})
case("update_collection_metadata", "bad theme", {"collection_slug": SECOND, "theme": "plaid"}, fails="BadRequestError:400")
case("update_collection_metadata", "long title", {"collection_slug": SECOND, "title": "x" * 61}, fails="BadRequestError:400")
case("update_collection_metadata", "negative position", {"collection_slug": SECOND, "position": -1}, fails="BadRequestError:400")
case("update_collection_metadata", "another's", {"collection_slug": SECOND, "title": "x"}, user="bob", fails="HfHubHTTPError:403")
case("update_collection_metadata", "missing", {"collection_slug": NONE, "title": "x"}, fails="HfHubHTTPError:404")
case("get_collection", "moved", {"collection_slug": SLUG}, shows=lambda v: v["position"] == 1)

case("delete_collection", "another's", {"collection_slug": SECOND}, user="bob", fails="HfHubHTTPError:403")
case("delete_collection", "one", {"collection_slug": SECOND})
case("delete_collection", "again", {"collection_slug": SECOND}, fails="HfHubHTTPError:404")
case("delete_collection", "missing ok", {"collection_slug": SECOND, "missing_ok": True})
case("get_collection", "deleted", {"collection_slug": SECOND}, fails="HfHubHTTPError:404")
case("get_collection", "moved up", {"collection_slug": SLUG}, shows=lambda v: v["position"] == 0)
