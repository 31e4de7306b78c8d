"""The last checks: the Hub's process ends, and what is cached is read all the same."""

import os
import signal
from pathlib import Path

from huggingface_hub import snapshot_download

from harness import REPO, WORK, Mount, check, same_tree

CACHE = WORK / "without-the-hub"


@check
def a_snapshot_is_read_without_the_hub():
    snapshot = Path(snapshot_download(REPO, cache_dir=CACHE))
    with Mount(REPO, cache=CACHE) as mnt:
        list(Path(mnt).rglob("*"))  # the listings: 0.27.1 leaves none in the cache
        os.kill(int(os.environ["SERVER_PID"]), signal.SIGKILL)
        same_tree(snapshot, mnt)
    with Mount("--offline", REPO, cache=CACHE) as mnt:
        same_tree(snapshot, mnt)
