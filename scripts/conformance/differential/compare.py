"""Compares values of the two sides, field by field.

What each Hub makes up for itself can't be equal: an id, and the date of something that was made during the run. Dates
after the start are all alike. Ids have to correspond: where one side says one id, the other says the same other one
wherever the first comes again. The ids of content (blobs, trees, SHA-256) must be equal as they are.
"""

import json
import re

from accepted import same_words

CONTENT = {"blob_id", "tree_id", "sha256", "etag", "lfs"}
ID = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
DATE = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


class Comparison:
    def __init__(self, official, ours, start):
        self.official, self.ours = official, ours
        self.start = start  # of the run, as a date of the Hub
        self.ids = ({}, {})  # of the official side to ours, and back
        self.begin()

    def date(self, text):
        return DATE.sub(lambda m: "<now>" if m[0] >= self.start else m[0], text)

    def same_text(self, a, b, exact):
        a, b = (self.date(same_words(side.scrub(text))) for side, text in ((self.official, a), (self.ours, b)))
        if a == b or exact:
            return a == b
        if ID.sub("<id>", a) != ID.sub("<id>", b):
            return False
        pairs = list(zip(ID.findall(a), ID.findall(b)))
        maps = [self.commits if len(x) == 40 else self.ids for x, _ in pairs]
        if any(there.get(x, y) != y or back.get(y, x) != x for (there, back), (x, y) in zip(maps, pairs)):
            return False
        for (there, back), (x, y) in zip(maps, pairs):
            there[x], back[y] = y, x
        return True

    def begin(self):
        """Begins a result of its own. Commits correspond within one: equal commits to two repositories have one id if they are of the same second, which is chance."""
        self.commits = ({}, {})

    def differences(self, a, b, path="", exact=False):
        """Gives (path, official, ours) for each difference. An attribute that is null equals one that is missing."""
        if isinstance(a, dict) and isinstance(b, dict):
            a, b = ({self.key(side, k): v for k, v in d.items() if not k.startswith("_")} for side, d in ((self.official, a), (self.ours, b)))
            for key in sorted(a.keys() | b.keys()):
                yield from self.differences(a.get(key), b.get(key), f"{path}.{key}".lstrip("."), exact or key in CONTENT)
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                yield path, a, b
                return
            for i, (x, y) in enumerate(zip(a, b)):
                yield from self.differences(x, y, f"{path}[{i}]", exact)
        elif isinstance(a, str) and isinstance(b, str):
            if not self.same_text(a, b, exact):
                yield path, a, b
        elif a != b or isinstance(a, bool) != isinstance(b, bool):
            yield path, a, b

    def key(self, side, key):
        return side.scrub(str(key))


def brief(value):
    return json.dumps(value, ensure_ascii=False, default=str)[:600]
