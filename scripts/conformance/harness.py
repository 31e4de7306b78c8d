"""What the checks have in common: counting, calling hubfs, comparing, mounting, and what the Hub was asked."""

import json
import os
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi

from allowed import allowed, unused
from plain import plain

HUBFS = os.environ["HUBFS"]
WORK = Path(os.environ["WORK"])
RELEASE = "0.27.1" if huggingface_hub.__version__ == "0.27.1" else "newest"
REPO = "alice/conformance"
api = HfApi()
counts = {"passed": 0, "failed": 0}


def check(function):
    """Runs a check at once, and counts it."""
    start = time.monotonic()
    try:
        function()
    except Exception:
        counts["failed"] += 1
        verdict, trace = "FAIL", traceback.format_exc()
    else:
        counts["passed"] += 1
        verdict, trace = "ok  ", ""
    print(f"{verdict} {function.__name__} ({time.monotonic() - start:.1f} s)\n{trace}", end="", flush=True)
    return function


def finish():
    """Prints the last line, after a look at the list of allowed differences."""

    @check
    def allowed_differences_are_needed():
        assert not unused(RELEASE), f"nothing needs these any more: {unused(RELEASE)}"

    print(f"huggingface_hub {huggingface_hub.__version__}")
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    sys.exit(counts["failed"] > 0)


def hubfs(*args, **env):
    done = subprocess.run(
        [HUBFS, *map(str, args)], capture_output=True, text=True, timeout=120, env={**os.environ, **{k: str(v) for k, v in env.items()}}
    )
    if done.returncode != 0:
        raise AssertionError(f"hubfs {' '.join(map(str, args))}: {done.returncode}: {done.stderr}")
    return done.stdout


def hubfs_api(method, **parameters):
    """Calls a method of the Go client by its HfApi name."""
    args = [f"{k}={v}" if isinstance(v, (str, Path)) else f"{k}:={json.dumps(v)}" for k, v in parameters.items()]
    return json.loads(hubfs("api", method, *args))


def python(code, *args, **env):
    """Runs code in another process of this release."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=300, env={**os.environ, **{k: str(v) for k, v in env.items()}}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def differences(official, ours, path=""):
    if isinstance(official, dict) and isinstance(ours, dict):
        for key in sorted(official.keys() | ours.keys()):
            yield from differences(official.get(key), ours.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(official, list) and isinstance(ours, list) and len(official) == len(ours):
        for i, (a, b) in enumerate(zip(official, ours)):
            yield from differences(a, b, f"{path}[{i}]")
    elif official != ours:
        yield path, official, ours


def equal(what, official, ours):
    """Compares a result of the Python client, or what is expected, with one of hubfs."""
    found = [
        f"{path}\n    official: {json.dumps(a, ensure_ascii=False)[:400]}\n    hubfs:    {json.dumps(b, ensure_ascii=False)[:400]}"
        for path, a, b in differences(plain(official), plain(ours))
        if not allowed(RELEASE, f"{what}: {path}")
    ]
    assert not found, f"{what}:\n  " + "\n  ".join(found[:20])


def by_path(entries):
    return sorted((plain(e) for e in entries), key=lambda e: e["path"])


def same_tree(a, b):
    done = subprocess.run(["diff", "-r", str(a), str(b)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"diff -r {a} {b}: {done.stdout[:2000]}{done.stderr[:2000]}"


def read_all(folder):
    """Every file below a folder, as another process than the daemon reads it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def source(revision):
    """The repository at a revision, as `hubfs mount` is told, and HfFileSystem."""
    return f"{REPO}@{revision.replace('/', '%2F')}"


class Mount:
    """A mount for the length of a with block, with a cache of its own unless one is given."""

    count = 0

    def __init__(self, *args, cache=None):
        Mount.count += 1
        self.args = args
        self.dir = WORK / f"mnt{Mount.count}"
        self.cache = Path(cache or WORK / f"cache{Mount.count}")

    def __enter__(self):
        self.dir.mkdir()
        hubfs("mount", *self.args, self.dir, HF_HUB_CACHE=self.cache)
        return self.dir

    def __exit__(self, *exc):
        hubfs("umount", self.dir)

    def follow(self, sha, path=""):
        """Makes the mount look at the Hub now, and waits for the commit."""
        hubfs("refresh", self.dir)
        hubfs("wait", "--commit", sha, self.dir / path)


class Traffic:
    """What the Hub was asked in a with block, from its own log: (class, method, path, bytes)."""

    log = Path(os.environ["SERVER_LOG"])
    line = re.compile(r"msg=request class=(\S+) method=(\S+) path=(\S+) .*bytes=(\d+)")
    marks = 0

    def __enter__(self):
        self.start = self.mark()
        return self

    def __exit__(self, *exc):
        self.requests = [m.groups() for m in map(self.line.search, self.lines(self.start, self.mark())) if m]

    def mark(self):
        """Makes a request of its own, and returns where the Hub noted it: what came before is noted before."""
        Traffic.marks += 1
        name = f"alice/mark-{Traffic.marks}"
        api.repo_exists(name)
        for _ in range(200):
            for number, line in enumerate(self.log.read_text().splitlines()):
                if f"path=/api/models/{name} " in line:
                    return number
            time.sleep(0.02)
        raise AssertionError("the Hub doesn't note its requests")

    def lines(self, start, end):
        return self.log.read_text().splitlines()[start + 1 : end]

    def content(self):
        """The requests that brought bytes of files."""
        return [r for r in self.requests if r[0] in ("content", "resolve") and r[1] == "GET"]
