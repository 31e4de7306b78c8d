"""Results of the Python client in the shape that hubfs prints."""

import dataclasses
import datetime
import enum
import inspect
import os

# Second names of attributes, which the classes keep for programs of older days, by class: hubfs gives each value once.
ALIASES = {
    "ModelInfo": {"lastModified", "cardData", "transformersInfo"},
    "DatasetInfo": {"lastModified", "cardData"},
    "SpaceInfo": {"lastModified", "cardData"},
    "RepoFile": {"rfilename", "lastCommit"},
    "RepoFolder": {"lastCommit"},
}

# Attributes that classes work out when they are asked for.
PROPERTIES = {"Collection": ("url",), "Discussion": ("git_reference", "url"), "DiscussionWithDetails": ("git_reference", "url")}


def plain(value):
    """A result as JSON would have it: dates as the Hub writes them, objects as their public attributes."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "to_dict") and not type(value).__name__.endswith("CardData"):
        return plain(value.to_dict())
    if isinstance(value, dict):  # also dictionaries with attributes, such as BlobLfsInfo
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, type):
        return value.__name__
    if hasattr(value, "__dict__") and (dataclasses.is_dataclass(value) or type(value).__module__.startswith("huggingface_hub")):
        aliases = ALIASES.get(type(value).__name__, ())
        known = {k: v for k, v in vars(value).items() if k not in aliases}
        return {k: plain(v) for k, v in known.items()} | {k: plain(getattr(value, k)) for k in PROPERTIES.get(type(value).__name__, ())}
    if isinstance(value, (list, tuple, set, frozenset)) or inspect.isgenerator(value) or hasattr(value, "__next__"):
        return [plain(v) for v in value]
    return value
