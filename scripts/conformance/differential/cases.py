"""What a case is made of. The modules cases_*.py hold them; README.md says how to write one."""

import dataclasses
import hashlib
from pathlib import Path

CASES = []  # in the order in which they run
SEEDS = []  # what fills the Hub before both have their copy of it


@dataclasses.dataclass
class Case:
    method: str
    name: str
    params: dict
    fails: str | None  # class of the official client's error, with ":status" where the Hub answered
    user: str | None  # whose token is used; None: nobody's
    view: object  # view(side, plain value): what is compared, instead of the value
    shows: object  # shows(plain value of the official client): the case shows something
    official: object  # official(side, params): instead of the method of that name
    ours: object  # ours(side, params): instead of hubfs api; raises Refused
    why_alone: str | None  # why the method has no case of the other kind
    releases: tuple  # those that it runs with

    @property
    def key(self):
        return f"{self.method}/{self.name}"


def case(method, name, params=None, *, fails=None, user="alice", view=None, shows=None, official=None, ours=None, why_alone=None, releases=("0.27.1", "newest")):
    """Declares a case. Its parameters are those of the official method, by name, for both sides."""
    made = Case(method, name, params or {}, fails, user, view, shows, official, ours, why_alone, releases)
    assert made.key not in {c.key for c in CASES}, f"two cases are called {made.key}"
    CASES.append(made)
    return made


def seed(function):
    """Declares a function that fills the Hub: it is called with a client for each user's name."""
    SEEDS.append(function)
    return function


class Refused(Exception):
    """What hubfs says where it fails, in the form of the control socket."""

    def __init__(self, said):
        super().__init__(said.get("message"))
        self.said = said


class Value:
    """A parameter that each side makes for itself."""

    def on(self, side):
        raise NotImplementedError


@dataclasses.dataclass
class File(Value):
    """The path of a file of the side's own, with that content."""

    name: str
    content: bytes | str

    def on(self, side):
        path = side.work / "files" / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content.encode() if isinstance(self.content, str) else self.content)
        return str(path)


@dataclasses.dataclass
class Folder(Value):
    """The path of a folder of the side's own, with files by their paths."""

    name: str
    files: dict

    def on(self, side):
        top = side.work / "files" / self.name
        top.mkdir(parents=True, exist_ok=True)
        for path, content in self.files.items():
            File(f"{self.name}/{path}", content).on(side)
        return str(top)


@dataclasses.dataclass
class Out(Value):
    """A path of the side's own, where the method may put things."""

    name: str

    def on(self, side):
        return str(side.work / "out" / self.name)


@dataclasses.dataclass
class Result(Value):
    """Something out of the result that an earlier case had on the same side: Result("create_webhook/one", "id")."""

    key: str
    path: str = ""

    def on(self, side):
        value = side.results[self.key]
        for step in filter(None, self.path.split(".")):
            value = value[int(step)] if isinstance(value, list) else value[step]
        return value


@dataclasses.dataclass
class Text(Value):
    """Text with values in it: Text("{0}/blob", Result(...)). {endpoint} is the side's Hub."""

    form: str
    values: tuple

    def __init__(self, form, *values):
        self.form, self.values = form, values

    def on(self, side):
        return self.form.format(*(on_side(side, v) for v in self.values), endpoint=side.endpoint)


class Add(Value):
    """CommitOperationAdd."""

    def __init__(self, path, content):
        self.path = path
        self.file = File("add-" + hashlib.sha256(path.encode() + (content if isinstance(content, bytes) else content.encode())).hexdigest()[:16], content)

    def on(self, side):
        file = self.file.on(side)
        if side.is_ours:
            return {"op": "add", "path_in_repo": self.path, "path_or_fileobj": file}
        from huggingface_hub import CommitOperationAdd

        return CommitOperationAdd(self.path, file)


@dataclasses.dataclass
class Delete(Value):
    """CommitOperationDelete."""

    path: str
    is_folder: object = "auto"

    def on(self, side):
        if side.is_ours:
            return {"op": "delete", "path_in_repo": self.path, "is_folder": self.is_folder}
        from huggingface_hub import CommitOperationDelete

        return CommitOperationDelete(self.path, is_folder=self.is_folder)


@dataclasses.dataclass
class Copy(Value):
    """CommitOperationCopy."""

    source: str
    path: str
    revision: str | None = None

    def on(self, side):
        if side.is_ours:
            return {"op": "copy", "src_path_in_repo": self.source, "path_in_repo": self.path, **({"src_revision": self.revision} if self.revision else {})}
        from huggingface_hub import CommitOperationCopy

        return CommitOperationCopy(self.source, self.path, src_revision=self.revision)


def on_side(side, value):
    """A parameter as that side needs it."""
    if isinstance(value, Value):
        return value.on(side)
    if isinstance(value, dict):
        return {k: on_side(side, v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [on_side(side, v) for v in value]
    return value


def content(side, path):
    """View of a result that is the path of a file: the path below the side's folder, and what is in it."""
    return {"path": path, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def folder(side, path):
    """View of a result that is the path of a folder: the path, and every file in it."""
    top = Path(path)
    return {"path": path, "files": {str(p.relative_to(top)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(top.rglob("*")) if p.is_file() and ".cache" not in p.relative_to(top).parts}}


def sorted_by(*keys):
    """View of a list whose order says nothing."""
    return lambda side, value: sorted(value, key=lambda e: tuple(str(e.get(k)) for k in keys) if isinstance(e, dict) else str(e))
