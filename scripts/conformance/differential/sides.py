"""The two Hubs, and how each side calls methods: the official client on one, hubfs on the other."""

import inspect
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from cases import Refused, on_side
from plain import plain

# Who there is. The name of a token is that of its user, or of the user with what it can't.
TOKENS = {"alice": "hf_alice", "bob": "hf_bob", "carol": "hf_carol", "dave": "hf_dave", "alice-read": "hf_alice_read", "wrong": "hf_wrong"}
USERS = ["alice=hf_alice", "alice=hf_alice_read read", "bob=hf_bob", "carol=hf_carol", "dave=hf_dave"]
UNPAID = "dave"  # nobody pays for what costs money
ORGS = ["acme=alice:admin,bob:write,carol:read"]


class Hub:
    """An embedded Hub, in a process of its own. What starts on it does so for the whole run: no state depends on the clock."""

    def __init__(self, hubfs, root, log):
        self.hubfs, self.root, self.log = hubfs, root, log
        self.listen = ["127.0.0.1:0"] * 2  # free ports, which it keeps when it starts again, so that clients find it
        self.endpoint = self.content = None
        self.process = None

    def start(self):
        args = [self.hubfs, "serve", "--debug", "--startup", "1h", "--no-billing", UNPAID, "--root", self.root, "--listen", self.listen[0], "--content-listen", self.listen[1]]
        for flag, values in (("--user", USERS), ("--org", ORGS)):
            for value in values:
                args += [flag, value]
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=open(self.log, "ab"), text=True)
        line = self.process.stdout.readline()
        addresses = re.search(r" at (http://\S+) \(large files from (http://\S+)\)$", line)
        if not addresses:
            self.stop()
            raise SystemExit(f"hubfs serve didn't start; see {self.log}:\n{Path(self.log).read_text()[-2000:]}")
        self.endpoint, self.content = addresses.groups()
        self.listen = [a.removeprefix("http://") for a in addresses.groups()]

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class Side:
    """What both sides have: a Hub, a folder for files, and the results of earlier cases."""

    is_ours = False

    def __init__(self, hub, work):
        self.hub, self.endpoint, self.work = hub, hub.endpoint, work
        self.results = {}  # plain, by the key of the case
        work.mkdir(parents=True, exist_ok=True)

    def scrub(self, text):
        """Text without what is this side's own: addresses, folders, signatures."""
        text = text.replace(self.endpoint, "<hub>").replace(self.hub.content, "<content>").replace(str(self.work), "<work>")
        text = text.replace(self.endpoint.removeprefix("http://"), "<hub host>").replace(self.hub.content.removeprefix("http://"), "<content host>")
        return re.sub(r'(<content>/[^\s?"]*)\?[^\s"]*', r"\1?<signature>", text)


class Official(Side):
    """The official client."""

    def __init__(self, hub, work):
        super().__init__(hub, work)
        from huggingface_hub import HfApi

        self.api = {user: HfApi(endpoint=hub.endpoint, token=token) for user, token in TOKENS.items()}
        self.api[None] = HfApi(endpoint=hub.endpoint, token=False)

    def lacks(self, case):
        """Why this release can't run the case, or None."""
        if case.official:
            return None
        method = getattr(self.api["alice"], case.method, None)
        if method is None:
            return "this release has no such method"
        takes = inspect.signature(method).parameters
        if any(p.kind is p.VAR_KEYWORD for p in takes.values()):
            return None
        missing = [p for p in case.params if p not in takes]
        if missing:
            return f"this release has no parameter {missing[0]}"
        needed = [n for n, p in takes.items() if p.default is p.empty and n not in case.params]
        return f"this release needs a parameter {needed[0]}" if needed else None

    def call(self, case):
        """The outcome: ("value", plain value), or ("error", class, status, message of the Hub)."""
        try:
            params = on_side(self, case.params)
            if case.official:
                value = case.official(self, params)
            else:
                value = getattr(self.api[case.user], case.method)(**params)
            return "value", plain(value)
        except Exception as err:
            response = getattr(err, "response", None)
            status = response.status_code if response is not None else None
            return "error", error_class(err), status, getattr(err, "server_message", None) or "" if status else str(err)


def error_class(err):
    """The class of an error as cases name it. What is wrong with arguments, Python says in many ways."""
    name = type(err).__name__
    if name in ("HFValidationError", "TypeError", "AssertionError", "FileNotFoundError", "NotADirectoryError", "IsADirectoryError", "KeyError"):
        return "ValueError"
    return "EntryNotFoundError" if name == "RemoteEntryNotFoundError" else name  # as later releases say


# The classes of the official client, by the kinds of hubfs.
CLASSES = {
    "repo_not_found": "RepositoryNotFoundError",
    "revision_not_found": "RevisionNotFoundError",
    "entry_not_found": "EntryNotFoundError",
    "gated_repo": "GatedRepoError",
    "disabled_repo": "DisabledRepoError",
    "bad_request": "BadRequestError",
    "bad_parameter": "ValueError",
    "local": "ValueError",
    "offline": "LocalEntryNotFoundError",
    "not_safetensors": "NotASafetensorsRepoError",
    "bad_safetensors": "SafetensorsParsingError",
}


class Ours(Side):
    """hubfs api."""

    is_ours = True

    def __init__(self, hub, work):
        super().__init__(hub, work)
        listed = json.loads(self.hubfs("api", "--list", "--json", user=None)[1])
        self.methods = {m["name"]: m for m in listed}

    def environment(self, user):
        env = {k: os.environ[k] for k in ("PATH", "LANG") if k in os.environ}
        env.update(HOME=str(self.work), HF_HOME=str(self.work / "hf"), HF_ENDPOINT=self.endpoint, HF_INFERENCE_ENDPOINTS_ENDPOINT=f"{self.endpoint}/v2", HF_HUB_DISABLE_PROGRESS_BARS="1")
        if user is not None:
            env["HF_TOKEN"] = TOKENS[user]
        return env

    def start(self, *args, user="alice", **env):
        return subprocess.Popen([self.hub.hubfs, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(user) | env)

    def hubfs(self, *args, user="alice", **env):
        """Runs hubfs: (exit status, stdout, stderr)."""
        process = self.start(*args, user=user, **env)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def begin(self, case):
        """Starts the call, beside that of the official client."""
        if case.ours:
            return None
        method = self.methods.get(case.method)
        if method is None:
            return None
        secret = {p["name"] for p in method["params"] if p.get("secret")}
        args, env = [], {}
        for name, value in on_side(self, case.params).items():
            if name in secret and isinstance(value, (str, list, dict)):
                env[f"SECRET_{name}"] = value if isinstance(value, str) else json.dumps(value)
                args.append(f"{name}@=env:SECRET_{name}")
            else:
                args.append(f"{name}:={json.dumps(value)}")
        return self.start("api", "--json", case.method, *args, user=case.user, **env)

    def end(self, case, process):
        """The outcome, as Official.call gives it; the message is the whole of what hubfs says."""
        try:
            if case.ours:
                return "value", case.ours(self, on_side(self, case.params))
            if process is None:
                return "missing", case.method
            out, err = process.communicate(timeout=120)
            if process.returncode == 0:
                return "value", json.loads(out)
            try:
                said = json.loads(err[err.index("{") :])
            except ValueError:
                return "error", "crash", None, err
            raise Refused(said)
        except Refused as refused:
            said = refused.said
            kind = CLASSES.get(said["kind"], "HfHubHTTPError")
            status = None if kind in ("ValueError", "LocalEntryNotFoundError", "NotASafetensorsRepoError", "SafetensorsParsingError") else said["status"]
            return "error", kind, status, said["message"]


def twins(hubfs, work, results, fill):
    """Two Hubs with the same content: one is filled, the other is its copy."""
    first = Hub(hubfs, work / "hub-a", results / "differential-official.serve.log")
    second = Hub(hubfs, work / "hub-b", results / "differential-hubfs.serve.log")
    for hub in (first, second):
        Path(hub.log).unlink(missing_ok=True)
    try:
        first.start()
        fill(first)
        first.stop()
        shutil.copytree(first.root, second.root, symlinks=True)
        time.sleep(1.01)  # what is made from here on has a later date, also in seconds
        first.start()
        second.start()
    except BaseException:
        first.stop()
        second.stop()
        raise
    return first, second
