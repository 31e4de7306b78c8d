"""The last checks: the Hub's process ends, and what is cached is read all the same."""

import os
import signal
from pathlib import Path

import huggingface_hub
from huggingface_hub import snapshot_download

from harness import REPO, WORK, Mount, check, same_tree

CACHE = WORK / "without-the-hub"
DOWNLOADED = WORK / "downloaded"
SNAPSHOT = snapshot_download(REPO, cache_dir=DOWNLOADED)


@check
def a_snapshot_is_read_without_the_hub():
    snapshot = Path(snapshot_download(REPO, cache_dir=CACHE))
    with Mount(REPO, cache=CACHE) as mnt:
        list(Path(mnt).rglob("*"))  # the listings: 0.27.1 leaves none in the cache
        os.kill(int(os.environ["SERVER_PID"]), signal.SIGKILL)
        same_tree(snapshot, mnt)
    with Mount("--offline", REPO, cache=CACHE) as mnt:
        same_tree(snapshot, mnt)


@check
def a_snapshot_is_read_by_a_mount_that_never_saw_the_hub():
    # Listings of a whole commit are in the cache since 1.x; 0.27.1 leaves none, and nothing can be listed.
    if not list(DOWNLOADED.rglob("trees/*.json")):
        assert huggingface_hub.__version__ == "0.27.1"
        return
    with Mount("--offline", REPO, cache=DOWNLOADED) as mnt:
        same_tree(SNAPSHOT, mnt)
