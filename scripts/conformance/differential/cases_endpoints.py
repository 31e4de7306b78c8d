"""Inference endpoints."""

from cases import case, seed, sorted_by

MODEL = "alice/endpoints-model"


@seed
def model(api):
    api["alice"].create_repo(MODEL)


# The defaults of later releases are others.
NEW = {
    "repository": MODEL, "framework": "pytorch", "accelerator": "cpu", "instance_size": "x2", "instance_type": "intel-icl", "region": "us-east-1", "vendor": "aws",
    "min_replica": 0, "max_replica": 1, "scale_to_zero_timeout": 15, "task": "text-generation", "type": "authenticated",
}
MISSING = "HfHubHTTPError:404"
UNAUTHORIZED = "HfHubHTTPError:401"
BAD = "BadRequestError:400"


def state(want):
    return lambda v: v["status"] == want


case("create_inference_endpoint", "plain", {"name": "one", **NEW}, shows=state("pending"))
case("create_inference_endpoint", "defaults", {"name": "two", **{k: v for k, v in NEW.items() if k not in ("min_replica", "max_replica", "scale_to_zero_timeout", "type")}}, shows=state("pending"), releases=("0.27.1",))
case("create_inference_endpoint", "with everything", {
    "name": "three", **NEW, "namespace": "acme", "revision": "main", "min_replica": 1, "max_replica": 4, "scale_to_zero_timeout": 30, "type": "public",
    "custom_image": {"url": "ghcr.io/x/y:1", "health_route": "/health", "env": {"A": "1"}, "port": 80}, "secrets": {"TOKEN": "hush"},
}, shows=lambda v: v["type"] == "public" and "hush" not in str(v))
case("create_inference_endpoint", "on a private link", {"name": "four", **NEW, "account_id": "link-1", "type": "private"}, shows=lambda v: v["raw"]["accountId"] == "link-1", releases=("0.27.1",))
case("create_inference_endpoint", "again", {"name": "one", **NEW}, fails="HfHubHTTPError:409")
case("create_inference_endpoint", "no name", {"name": "Not A Name", **NEW}, fails=BAD)
case("create_inference_endpoint", "unknown accelerator", {"name": "bad", **NEW, "accelerator": "abacus"}, fails=BAD)
case("create_inference_endpoint", "unknown type", {"name": "bad", **NEW, "type": "odd"}, fails=BAD)
case("create_inference_endpoint", "more at least than at most", {"name": "bad", **NEW, "min_replica": 3}, fails=BAD)
case("create_inference_endpoint", "nobody's token", {"name": "bad", **NEW, "namespace": "alice"}, user=None, fails=UNAUTHORIZED)
case("create_inference_endpoint", "another's namespace", {"name": "bad", **NEW, "namespace": "bob"}, fails=UNAUTHORIZED)
case("create_inference_endpoint", "reader's token", {"name": "bad", **NEW}, user="alice-read", fails="HfHubHTTPError:403")

case("get_inference_endpoint", "one", {"name": "one"}, shows=lambda v: v["repository"] == MODEL)
case("get_inference_endpoint", "of an organisation", {"name": "three", "namespace": "acme"}, user="carol")
case("get_inference_endpoint", "missing", {"name": "none"}, fails=MISSING)
case("get_inference_endpoint", "another's", {"name": "one", "namespace": "alice"}, user="bob", fails=UNAUTHORIZED)

BY_NAME = sorted_by("namespace", "name")
case("list_inference_endpoints", "own", {}, view=BY_NAME, shows=bool)
case("list_inference_endpoints", "of an organisation", {"namespace": "acme"}, view=BY_NAME, shows=bool)
case("list_inference_endpoints", "none", {}, user="carol", shows=lambda v: v == [])
case("list_inference_endpoints", "nobody pays", {}, user="dave", fails=UNAUTHORIZED)
case("create_inference_endpoint", "nobody pays", {"name": "bad", **NEW}, user="dave", fails=UNAUTHORIZED)
case("list_inference_endpoints", "another's", {"namespace": "bob"}, fails=UNAUTHORIZED)

EVERYTHING = {
    "accelerator": "gpu", "instance_size": "x1", "instance_type": "nvidia-a10g", "min_replica": 1, "max_replica": 2, "scale_to_zero_timeout": 5,
    "repository": MODEL, "framework": "custom", "revision": "main", "task": "fill-mask", "custom_image": {"url": "ghcr.io/x/y:2"}, "secrets": {},
}
case("update_inference_endpoint", "everything", {"name": "one", **EVERYTHING}, shows=lambda v: v["task"] == "fill-mask")
case("update_inference_endpoint", "nothing", {"name": "one"})
case("update_inference_endpoint", "missing", {"name": "none", "task": "x"}, fails=MISSING)
case("update_inference_endpoint", "more at least than at most", {"name": "one", "min_replica": 9}, fails=BAD)

case("pause_inference_endpoint", "one", {"name": "one"}, shows=state("paused"))
case("pause_inference_endpoint", "paused", {"name": "one"}, shows=state("paused"))
case("pause_inference_endpoint", "missing", {"name": "none"}, fails=MISSING)
case("update_inference_endpoint", "paused", {"name": "one", "task": "text-generation"}, shows=state("paused"))
case("scale_to_zero_inference_endpoint", "paused", {"name": "one"}, fails=BAD)
case("resume_inference_endpoint", "paused", {"name": "one"}, shows=state("pending"))
case("resume_inference_endpoint", "running, which is fine", {"name": "one", "running_ok": True}, shows=state("pending"))
case("resume_inference_endpoint", "running", {"name": "one", "running_ok": False}, fails=BAD)
case("resume_inference_endpoint", "missing", {"name": "none"}, fails=MISSING)
case("scale_to_zero_inference_endpoint", "one", {"name": "one"}, shows=state("scaledToZero"))
case("scale_to_zero_inference_endpoint", "missing", {"name": "none"}, fails=MISSING)
case("resume_inference_endpoint", "scaled to zero", {"name": "one", "running_ok": False}, shows=state("pending"))

case("delete_inference_endpoint", "of an organisation", {"name": "three", "namespace": "acme"})
case("delete_inference_endpoint", "missing", {"name": "three", "namespace": "acme"}, fails=MISSING)
case("delete_inference_endpoint", "another's", {"name": "one", "namespace": "alice"}, user="bob", fails=UNAUTHORIZED)
