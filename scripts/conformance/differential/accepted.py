"""The differences between the official client and hubfs that are right, each with its reason.

An entry that no difference needs any more fails the run. Where is a pattern of "method/case: path.to.value" in a
result, of "method/case: error" where the failures differ, and of "state: path.to.value" afterwards.
"""

import fnmatch
import re
from dataclasses import dataclass


@dataclass
class Accepted:
    where: str
    reason: str
    releases: tuple = ("0.27.1", "newest")
    used: bool = False


OLD = ("0.27.1",)
NEW = ("newest",)

ACCEPTED = [
    *(
        Accepted(f"*: *{name}", "hubfs has an attribute for it, as later releases; the old one keeps the name on the wire", OLD)
        for name in ("usedStorage", "used_storage", "baseModels", "base_models", "childrenModelCount", "children_model_count")
    ),
    Accepted("*: *runtime.dev_mode", "an attribute that only later releases have", OLD),
    Accepted("create_tag/bad name: error", "hubfs refuses what can't be the name of a tag before it asks"),
    Accepted("whoami/wrong token: error", "the old client hides the Hub's refusal behind an error of its HTTP library", OLD),
    Accepted("get_full_repo_name/wrong token: error", "it asks whoami", OLD),
    Accepted("list_papers/*: *authors*", "later releases give objects, hubfs the names as release 0.27.1", NEW),
    Accepted("list_liked_repos/*: kernels", "a type of repository that only later releases know", NEW),
    Accepted("paper_info/*: authors*", "later releases give objects, hubfs the names as release 0.27.1", NEW),
    Accepted("create_commit/bad metadata: error", "the client makes a ValueError of the Hub's answer 400; the status says more"),
    Accepted("parse_safetensors_file_metadata/too short: error", "0.27.1 doesn't catch the error of struct.unpack", OLD),
    Accepted("state: repos.model alice/large*.revisions.main.commits", "how many commits a large upload makes is the program's own affair", OLD),
    Accepted("*dev_mode", "hubfs has the attributes of later releases as well", OLD),
    Accepted("*health_route", "hubfs has the attributes of later releases as well", OLD),
    Accepted("state: repos.dataset alice/scheduler-*.message", "commits of hubfs sync carry a mark, by which one whose answer was lost is found"),
]

# Words that differ wherever they stand: (pattern, what both are read as, reason).
WORDS = [
    (r"\b(with|using) (huggingface_hub|hubfs)(?=$|[\n\"])", r"\1 <program>", "default commit messages name the program"),
]


def accepted(release, where):
    hits = [a for a in ACCEPTED if release in a.releases and fnmatch.fnmatchcase(where, a.where)]
    for hit in hits:
        hit.used = True
    return bool(hits)


def same_words(text):
    for pattern, word, _ in WORDS:
        text = re.sub(pattern, word, text)
    return text


def unused(release):
    return [a.where for a in ACCEPTED if release in a.releases and not a.used]
