"""Calls in the background. hubfs has them in the daemon of a mount, which each case starts and ends."""

import json

from cases import Refused, case, seed

MODEL = "alice/jobs-model"


@seed
def model(api):
    api["alice"].create_repo(MODEL)


def future(side, params):
    api = side.api["alice"]
    return api.run_as_future(getattr(api, params["method"]), **params["params"]).result()


def said_by(outcome):
    """The output of hubfs as JSON, or the error that it ends with."""
    status, out, err = outcome
    if status == 0:
        return json.loads(out)
    raise Refused(json.loads(err[err.index("{") :]))


def job(side, params):
    where = side.work / "jobs-mount"
    where.mkdir(exist_ok=True)
    status, _, err = side.hubfs("mount", MODEL, str(where))
    if status:
        raise RuntimeError(err)
    try:
        queued = said_by(side.hubfs("api", "--json", "--mount", str(where), "run_as_future", f"method={params['method']}", f"params:={json.dumps(params['params'])}"))
        _, out, _ = side.hubfs("jobs", "--json", str(where), queued["id"])
    finally:
        side.hubfs("umount", str(where))
    ended = json.loads(out)
    if ended["state"] != "done":
        raise Refused(ended["error"])
    return ended["result"]


BOTH = {"official": future, "ours": job}
case("run_as_future", "who am I", {"method": "whoami", "params": {}}, shows=lambda v: v["name"] == "alice", **BOTH)
case("run_as_future", "a list", {"method": "list_repo_files", "params": {"repo_id": MODEL}}, shows=lambda v: v == [".gitattributes"], **BOTH)
case("run_as_future", "a change", {"method": "create_branch", "params": {"repo_id": MODEL, "branch": "made-later"}}, **BOTH)
case("run_as_future", "missing repository", {"method": "model_info", "params": {"repo_id": "alice/none"}}, fails="RepositoryNotFoundError:404", **BOTH)
case("run_as_future", "wrong id", {"method": "model_info", "params": {"repo_id": "a--b/c"}}, fails="ValueError", **BOTH)
