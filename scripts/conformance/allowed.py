"""The differences between what the official client says and what hubfs says that are right.

hubfs follows the newest release; 0.27.1 has defects that later releases mended, and lacks what they added. A
difference is allowed where an entry of ALLOWED names it, and an entry that no difference needs any more fails the
run: the list says what is, not what once was.

Not differences at all: an attribute that is null on one side and missing on the other (whether a class declares an
attribute that the Hub didn't send depends on the age of the release), and the spelling of a date.
"""

import fnmatch
from dataclasses import dataclass


@dataclass
class Allowed:
    where: str  # pattern of "what: path.to.value"
    reason: str
    releases: tuple = ("0.27.1", "newest")
    used: bool = False


OLD = ("0.27.1",)

ALLOWED = [
    Allowed("info *: used_storage", "an attribute only since 0.28", OLD),
    Allowed("info *: usedStorage", "the same, kept by its name on the wire", OLD),
    Allowed("*space*: *runtime.dev_mode", "an attribute that later releases added", OLD),
]

def allowed(release, where):
    hits = [a for a in ALLOWED if release in a.releases and fnmatch.fnmatchcase(where, a.where)]
    for hit in hits:
        hit.used = True
    return bool(hits)


def unused(release):
    return [a for a in ALLOWED if release in a.releases and not a.used]
