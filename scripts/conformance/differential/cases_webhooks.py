"""Webhooks."""

from cases import Result, case, sorted_by

WATCHED = [{"type": "user", "name": "alice"}, {"type": "model", "name": "bob/m"}]
ONE = {"webhook_id": Result("create_webhook/one", "id")}
NONE = {"webhook_id": "0" * 24}
URL = "http://127.0.0.1:1/hook"

case("create_webhook", "one", {"url": URL, "watched": WATCHED, "domains": ["repo", "discussion"], "secret": "hush"}, user="carol", shows=lambda v: v["secret"] == "hush")
case("create_webhook", "all domains", {"url": URL, "watched": WATCHED[:1]}, user="carol", shows=lambda v: len(v["domains"]) == 2)
case("create_webhook", "nobody's", {"url": URL, "watched": WATCHED}, user=None, fails="HfHubHTTPError:401")
case("create_webhook", "no URL", {"url": "nowhere", "watched": WATCHED}, fails="BadRequestError:400")
case("create_webhook", "nothing watched", {"url": URL, "watched": []}, fails="BadRequestError:400")
case("create_webhook", "no such domain", {"url": URL, "watched": WATCHED, "domains": ["likes"]}, fails="BadRequestError:400")

case("get_webhook", "one", ONE, user="carol")
case("update_webhook", "URL and domains", ONE | {"url": URL + "/2", "domains": ["repo"]}, user="carol", shows=lambda v: v["domains"] == ["repo"] and len(v["watched"]) == 2)
case("update_webhook", "watched", ONE | {"watched": WATCHED[:1], "secret": "other"}, user="carol")
case("update_webhook", "no URL", ONE | {"url": "nowhere"}, user="carol", fails="BadRequestError:400")
case("disable_webhook", "one", ONE, user="carol", shows=lambda v: v["disabled"] is True)
case("enable_webhook", "one", ONE, user="carol", shows=lambda v: v["disabled"] is False)
case("list_webhooks", "two", user="carol", view=sorted_by("domains"), shows=lambda v: len(v) == 2)
case("list_webhooks", "none", user="dave")
case("list_webhooks", "nobody's", user=None, fails="HfHubHTTPError:401")
for method, more in (("get_webhook", {}), ("update_webhook", {"url": URL}), ("enable_webhook", {}), ("disable_webhook", {}), ("delete_webhook", {})):
    case(method, "another's", ONE | more, user="bob", fails="HfHubHTTPError:404")
    case(method, "missing", NONE | more, user="carol", fails="HfHubHTTPError:404")
case("delete_webhook", "one", ONE, user="carol")
case("get_webhook", "deleted", ONE, user="carol", fails="HfHubHTTPError:404")
