"""upload_large_folder, also where one program goes on with what the other had to leave."""

import os
import re
import subprocess
import sys
import time

from cases import Folder, case

REPO = "alice/large"
OLD = ("0.27.1",)  # the state that it keeps is that of this release
FILES = {f"d{i % 7}/{i:03d}.{('txt', 'bin')[i % 2]}": f"{i} " * 30 for i in range(60)} | {"README.md": "# Large\n", "skip.tmp": "no"}


def official(side, params):
    """The official client, without its naps of ten seconds."""
    import huggingface_hub._upload_large_folder as large

    large.WAITING_TIME_IF_NO_TASKS = 0.1
    large.logger.setLevel("CRITICAL")
    return side.api["alice"].upload_large_folder(**params, print_report=False)


def large(name, params, **how):
    if "fails" not in how:
        how["view"] = lambda side, value: [value, files(side.endpoint, params["repo_id"], params["repo_type"])]
    case("upload_large_folder", name, params, official=official, releases=OLD, **how)


def files(endpoint, repo, kind="model"):
    """What the repository has afterwards. The number of commits is the program's own affair."""
    from huggingface_hub import HfApi

    from plain import plain

    return sorted((plain(e) for e in HfApi(endpoint=endpoint, token="hf_alice").list_repo_tree(repo, repo_type=kind, recursive=True)), key=lambda e: e["path"])


large("new repository", {"repo_id": REPO, "folder_path": Folder("large", FILES), "repo_type": "model", "private": True, "ignore_patterns": ["*.tmp"]})
large("again", {"repo_id": REPO, "folder_path": Folder("large-again", FILES), "repo_type": "model", "allow_patterns": "*.txt"})
large("dataset", {"repo_id": "alice/large-data", "folder_path": Folder("large-data", {"x.csv": "1,2", "y.bin": b"\0" * 9000}), "repo_type": "dataset", "revision": "main"})
large("missing folder", {"repo_id": REPO, "folder_path": "/nonexistent", "repo_type": "model"}, fails="ValueError")
large("another's namespace", {"repo_id": "bob/large", "folder_path": Folder("large", FILES), "repo_type": "model"}, fails="HfHubHTTPError:403")
large("wrong type", {"repo_id": REPO, "folder_path": Folder("large", FILES), "repo_type": "kernel"}, fails="ValueError")

# Runs the official client until it has stored so many objects, and dies then.
DYING = """
import os, sys
import huggingface_hub._upload_large_folder as large
from huggingface_hub import HfApi
large.WAITING_TIME_IF_NO_TASKS = 0.1
real, left = large._preupload_lfs, [8]
def preupload(*args, **kwargs):
    real(*args, **kwargs)
    left[0] -= 1
    if left[0] == 0:
        os._exit(9)
large._preupload_lfs = preupload
HfApi(endpoint=sys.argv[1], token="hf_alice").upload_large_folder(sys.argv[2], sys.argv[3], repo_type="model", num_workers=2, print_report=False)
"""


def stored(hub):
    """How often each object was stored, by the log of the Hub."""
    found = re.findall(r"msg=request class=\S+ method=PUT path=(\S+) .*status=200", hub.log.read_text())
    return {path: found.count(path) for path in set(found)}


def begun_by_official(side, params):
    """hubfs goes on where the official client died."""
    before = stored(side.hub)
    died = subprocess.run([sys.executable, "-c", DYING, side.endpoint, params["repo_id"], params["folder_path"]], capture_output=True, text=True, timeout=60)
    assert died.returncode == 9, died.stderr
    status, _, said = side.hubfs("api", "upload_large_folder", *(f"{k}={v}" for k, v in params.items()))
    assert status == 0, said
    return outcome(side, params, before)


def begun_by_hubfs(side, params):
    """The official client goes on where hubfs was killed."""
    before = stored(side.hub)
    env = {"PATH": os.environ["PATH"], "HOME": str(side.work), "HF_ENDPOINT": side.endpoint, "HF_TOKEN": "hf_alice"}
    process = subprocess.Popen([side.hub.hubfs, "api", "upload_large_folder", *(f"{k}={v}" for k, v in params.items()), "num_workers=2"], env=env)
    while len(stored(side.hub)) - len(before) < 3 and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    official(side, params)
    return outcome(side, params, before)


def outcome(side, params, before):
    after = stored(side.hub)
    twice = [path for path, n in after.items() if n - before.get(path, 0) > 1]
    assert not twice, f"stored twice: {twice}"
    return files(side.endpoint, params["repo_id"])


MANY = {f"{i:03d}.{('txt', 'bin')[i % 2]}": f"many {i} " * 300 for i in range(120)}
case("upload_large_folder", "begun by the other program", {"repo_id": "alice/large-shared", "folder_path": Folder("large-shared", MANY), "repo_type": "model"}, official=begun_by_hubfs, ours=begun_by_official, shows=lambda v: len(v) == 121, releases=OLD)
