"""Spaces: what they are made of, what they run on, and what they do."""

from cases import case, seed

APP, PAGE, NONE, HIDDEN, POOR = "alice/spaces-app", "alice/spaces-page", "alice/spaces-none", "bob/spaces-hidden", "dave/spaces-poor"


@seed
def spaces(api):
    alice = api["alice"]
    alice.create_repo(APP, repo_type="space", space_sdk="gradio", space_variables=[{"key": "SEEDED", "value": "1", "description": "from the start"}])
    alice.upload_file(path_or_fileobj=b"print()\n", path_in_repo="app.py", repo_id=APP, repo_type="space")
    alice.create_repo(PAGE, repo_type="space", space_sdk="static")
    api["dave"].create_repo(POOR, repo_type="space", space_sdk="docker")
    api["bob"].create_repo(HIDDEN, repo_type="space", space_sdk="docker", private=True)


SPACE = {"repo_id": APP}
MISSING = "RepositoryNotFoundError:404"
FORBIDDEN = "HfHubHTTPError:403"
BAD = "BadRequestError:400"

# Making them.
NEW = {"repo_type": "space", "space_sdk": "docker"}
case("create_repo", "space with everything", {
    "repo_id": "alice/spaces-full", **NEW, "space_hardware": "t4-small", "space_sleep_time": 600,
    "space_secrets": [{"key": "TOKEN", "value": "hush", "description": "a secret"}], "space_variables": [{"key": "MODEL", "value": "alice/m", "description": "a variable"}, {"key": "PLAIN", "value": "1"}],
})
case("create_repo", "space with storage", {"repo_id": "alice/spaces-stored", **NEW, "space_storage": "small"}, releases=("0.27.1",))
case("create_repo", "space again", {"repo_id": "alice/spaces-full", **NEW}, fails="HfHubHTTPError:409")
case("create_repo", "space again, which is fine", {"repo_id": "alice/spaces-full", **NEW, "exist_ok": True})
case("create_repo", "space on unknown hardware", {"repo_id": "alice/spaces-bad", **NEW, "space_hardware": "abacus"}, fails=BAD)
case("create_repo", "space with unknown storage", {"repo_id": "alice/spaces-bad", **NEW, "space_storage": "huge"}, fails=BAD, releases=("0.27.1",))
case("create_repo", "space with a secret that can't be named so", {"repo_id": "alice/spaces-bad", **NEW, "space_secrets": [{"key": "not a key", "value": "x"}]}, fails=BAD)
case("create_repo", "space that sleeps at once", {"repo_id": "alice/spaces-bad", **NEW, "space_sleep_time": 0}, fails=BAD)
case("create_repo", "space without an SDK", {"repo_id": "alice/spaces-bad", "repo_type": "space"}, fails="ValueError")
case("create_repo", "space with an unknown SDK", {"repo_id": "alice/spaces-bad", "repo_type": "space", "space_sdk": "cobol"}, fails="ValueError")

# What they do.
case("get_space_runtime", "app", SPACE, shows=lambda v: v["stage"] == "BUILDING" and v["requested_hardware"] == "cpu-basic")
case("get_space_runtime", "static", {"repo_id": PAGE}, shows=lambda v: v["stage"] == "RUNNING")
case("get_space_runtime", "with everything", {"repo_id": "alice/spaces-full"}, shows=lambda v: v["requested_hardware"] == "t4-small" and v["sleep_time"] == 600)
case("get_space_runtime", "with storage", {"repo_id": "alice/spaces-stored"}, shows=lambda v: v["storage"] == "small", releases=("0.27.1",))
case("get_space_runtime", "nobody's token", SPACE, user=None)
case("get_space_runtime", "missing", {"repo_id": NONE}, fails=MISSING)
case("get_space_runtime", "hidden", {"repo_id": HIDDEN}, fails=MISSING)

# Variables.
case("get_space_variables", "some", SPACE, shows=lambda v: v["SEEDED"]["value"] == "1")
case("get_space_variables", "made with it", {"repo_id": "alice/spaces-full"}, shows=lambda v: len(v) == 2)
case("get_space_variables", "another's", SPACE, user="bob", fails=FORBIDDEN)
case("get_space_variables", "nobody's token", SPACE, user=None, fails="HfHubHTTPError:401")
case("get_space_variables", "missing", {"repo_id": NONE}, fails=MISSING)
case("add_space_variable", "new", {**SPACE, "key": "COLOUR", "value": "red", "description": "of the page"}, shows=lambda v: len(v) == 2)
case("add_space_variable", "changed", {**SPACE, "key": "COLOUR", "value": "blue"}, shows=lambda v: v["COLOUR"]["value"] == "blue" and v["COLOUR"]["description"] is None)
case("add_space_variable", "empty", {**SPACE, "key": "EMPTY", "value": ""}, shows=lambda v: v["EMPTY"]["value"] == "")
case("add_space_variable", "no key", {**SPACE, "key": "not a key", "value": "x"}, fails=BAD)
case("add_space_variable", "named as a secret", {"repo_id": "alice/spaces-full", "key": "TOKEN", "value": "x"}, fails=BAD)
case("add_space_variable", "reader's token", {**SPACE, "key": "A", "value": "x"}, user="alice-read", fails=FORBIDDEN)
case("add_space_variable", "missing", {"repo_id": NONE, "key": "A", "value": "x"}, fails=MISSING)
case("delete_space_variable", "one", {**SPACE, "key": "COLOUR"}, shows=lambda v: "COLOUR" not in v)
case("delete_space_variable", "not there", {**SPACE, "key": "COLOUR"})
case("delete_space_variable", "another's", {**SPACE, "key": "SEEDED"}, user="bob", fails=FORBIDDEN)
case("delete_space_variable", "missing", {"repo_id": NONE, "key": "A"}, fails=MISSING)

# Secrets.
case("add_space_secret", "new", {**SPACE, "key": "PASSWORD", "value": "hush", "description": "of the database"})
case("add_space_secret", "changed", {**SPACE, "key": "PASSWORD", "value": "hush hush"})
case("add_space_secret", "no key", {**SPACE, "key": "1", "value": "x"}, fails=BAD)
case("add_space_secret", "another's", {**SPACE, "key": "A", "value": "x"}, user="bob", fails=FORBIDDEN)
case("add_space_secret", "missing", {"repo_id": NONE, "key": "A", "value": "x"}, fails=MISSING)
case("delete_space_secret", "one", {**SPACE, "key": "PASSWORD"})
case("delete_space_secret", "not there", {**SPACE, "key": "PASSWORD"})
case("delete_space_secret", "another's", {**SPACE, "key": "A"}, user="bob", fails=FORBIDDEN)
case("delete_space_secret", "missing", {"repo_id": NONE, "key": "A"}, fails=MISSING)

# Hardware, sleep, storage.
case("request_space_hardware", "paid", {**SPACE, "hardware": "t4-medium"}, shows=lambda v: v["requested_hardware"] == "t4-medium")
case("request_space_hardware", "with a sleep time", {**SPACE, "hardware": "a10g-small", "sleep_time": 3600}, shows=lambda v: v["sleep_time"] == 3600)
case("request_space_hardware", "unknown", {**SPACE, "hardware": "abacus"}, fails=BAD)
case("request_space_hardware", "for subscribers", {**SPACE, "hardware": "zero-a10g"}, fails=FORBIDDEN)
case("request_space_hardware", "nobody pays", {"repo_id": POOR, "hardware": "t4-small"}, user="dave", fails="HfHubHTTPError:402")
case("request_space_hardware", "free", {"repo_id": POOR, "hardware": "cpu-basic"}, user="dave")
case("request_space_storage", "nobody pays", {"repo_id": POOR, "storage": "small"}, user="dave", fails="HfHubHTTPError:402")
case("request_space_hardware", "static", {"repo_id": PAGE, "hardware": "t4-small"}, fails=BAD)
case("request_space_hardware", "another's", {**SPACE, "hardware": "t4-small"}, user="bob", fails=FORBIDDEN)
case("set_space_sleep_time", "seconds", {**SPACE, "sleep_time": 1234}, shows=lambda v: v["sleep_time"] == 1234)
case("set_space_sleep_time", "never", {**SPACE, "sleep_time": -1}, shows=lambda v: v["sleep_time"] is None)
case("set_space_sleep_time", "at once", {**SPACE, "sleep_time": 0}, fails=BAD)
case("set_space_sleep_time", "static", {"repo_id": PAGE, "sleep_time": 60}, fails=BAD)
case("set_space_sleep_time", "missing", {"repo_id": NONE, "sleep_time": 60}, fails=MISSING)
case("request_space_storage", "small", {**SPACE, "storage": "small"}, shows=lambda v: v["storage"] == "small")
case("request_space_storage", "larger", {**SPACE, "storage": "large"}, shows=lambda v: v["storage"] == "large")
case("request_space_storage", "smaller", {**SPACE, "storage": "medium"}, fails=BAD)
case("request_space_storage", "unknown", {**SPACE, "storage": "huge"}, fails=BAD)
case("request_space_storage", "another's", {**SPACE, "storage": "large"}, user="bob", fails=FORBIDDEN)
case("delete_space_storage", "some", SPACE, shows=lambda v: v["storage"] is None)
case("delete_space_storage", "none", SPACE, fails=BAD)
case("delete_space_storage", "missing", {"repo_id": NONE}, fails=MISSING)

# Pausing and starting.
case("pause_space", "app", SPACE, shows=lambda v: v["stage"] == "PAUSED")
case("pause_space", "static", {"repo_id": PAGE}, fails=BAD)
case("pause_space", "another's", SPACE, user="bob", fails=FORBIDDEN)
case("pause_space", "missing", {"repo_id": NONE}, fails=MISSING)
case("pause_space", "nobody's token", SPACE, user=None, fails="HfHubHTTPError:401")
case("restart_space", "paused", SPACE, shows=lambda v: v["stage"] == "BUILDING")
case("restart_space", "from scratch", {**SPACE, "factory_reboot": True}, shows=lambda v: v["stage"] == "BUILDING")
case("restart_space", "static", {"repo_id": PAGE}, fails=BAD)
case("restart_space", "another's", SPACE, user="bob", fails=FORBIDDEN)
case("restart_space", "missing", {"repo_id": NONE}, fails=MISSING)

# Copies.
case("duplicate_space", "under its own name", {"from_id": APP}, user="bob", shows=lambda v: v["repo_id"] == "bob/spaces-app")
case("duplicate_space", "with everything", {
    "from_id": APP, "to_id": "spaces-copy", "private": True, "hardware": "t4-small", "storage": "medium", "sleep_time": 60,
    "secrets": [{"key": "TOKEN", "value": "hush"}], "variables": [{"key": "MORE", "value": "2"}],
}, shows=lambda v: v["repo_id"] == "alice/spaces-copy")
case("get_space_variables", "of a copy", {"repo_id": "alice/spaces-copy"}, shows=lambda v: set(v) == {"SEEDED", "EMPTY", "MORE"}, releases=("0.27.1",))
case("duplicate_space", "into an organisation", {"from_id": APP, "to_id": "acme/spaces-copy"}, user="bob")
case("duplicate_space", "that exists", {"from_id": APP, "to_id": "alice/spaces-copy"}, fails="HfHubHTTPError:409")
case("duplicate_space", "that exists, which is fine", {"from_id": APP, "to_id": "alice/spaces-copy", "exist_ok": True})
case("duplicate_space", "on unknown hardware", {"from_id": APP, "to_id": "spaces-bad", "hardware": "abacus"}, fails=BAD)
case("duplicate_space", "to another's namespace", {"from_id": APP, "to_id": "bob/spaces-bad"}, fails=FORBIDDEN)
case("duplicate_space", "missing", {"from_id": NONE}, fails=MISSING)
case("duplicate_space", "hidden", {"from_id": HIDDEN}, fails=MISSING)
