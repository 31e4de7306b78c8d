"""Folders that are pushed again and again: a CommitScheduler there, the daemon of hubfs sync here."""

import json
import time

from cases import Refused, case

MAIN = {"repo_type": "dataset"}


def folder_of(side, params):
    folder = side.work / "scheduler" / params["repo"].rsplit("/", 1)[1]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def scheduler(side, params, folder):
    from huggingface_hub import CommitScheduler

    api = side.api["alice"]
    made = CommitScheduler(repo_id=params["repo"], folder_path=folder, every=1000, path_in_repo="logs", hf_api=api, **MAIN)
    while not hasattr(made, "last_future"):  # it runs at once, in a thread of its own
        time.sleep(0.01)
    made.last_future.exception()  # the folder is empty: nothing is pushed. It may fail where it is faster than the constructor
    return made


class Sync:
    """hubfs sync of a folder, for as long as a case runs."""

    def __init__(self, side, params, folder):
        self.side, self.folder = side, str(folder)
        self.run("sync", "--every", "0", self.folder, f"datasets/{params['repo']}/logs")

    def run(self, *args):
        status, out, err = self.side.hubfs(*args)
        if status == 0:
            return out
        at = err.find("{")
        raise Refused(json.loads(err[at:])) if at >= 0 else RuntimeError(err)

    def call(self, method):
        return json.loads(self.run("api", "--json", f"CommitScheduler.{method}", f"folder={self.folder}"))

    def end(self):
        self.side.hubfs("sync", "--stop", self.folder)


def files(api, params):
    return sorted(api.list_repo_files(params["repo"], **MAIN))


def both(of_official, of_ours):
    """What makes the call on each side, with a folder that is pushed already, and empty."""

    def official(side, params):
        folder = folder_of(side, params)
        made = scheduler(side, params, folder)
        try:
            return of_official(side, params, folder, made)
        finally:
            made.stop()

    def ours(side, params):
        folder = folder_of(side, params)
        made = Sync(side, params, folder)
        try:
            return of_ours(side, params, folder, made)
        finally:
            made.end()

    return {"official": official, "ours": ours}


def write(folder):
    (folder / "train.jsonl").write_text('{"step": 1}\n')


def listed_by(sync, params):
    return sorted(json.loads(sync.run("api", "--json", "list_repo_files", f"repo_id={params['repo']}", "repo_type=dataset")))


def pushed(side, params, folder, made):
    write(folder)
    return made.push_to_hub()


def pushed_by_us(side, params, folder, made):
    write(folder)
    return made.call("push_to_hub")


def nothing(side, params, folder, made):
    return made.push_to_hub()


def nothing_by_us(side, params, folder, made):
    return made.call("push_to_hub")


def gone(side, params, folder, made):
    side.api["alice"].delete_repo(params["repo"], **MAIN)
    return pushed(side, params, folder, made)


def gone_by_us(side, params, folder, made):
    made.run("api", "--json", "delete_repo", f"repo_id={params['repo']}", "repo_type=dataset")
    return pushed_by_us(side, params, folder, made)


def triggered(side, params, folder, made):
    write(folder)
    made.trigger().result()
    return files(side.api["alice"], params)


def triggered_by_us(side, params, folder, made):
    write(folder)
    made.call("trigger")
    until = time.monotonic() + 30
    while len(found := listed_by(made, params)) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    return found


def stopped(side, params, folder, made):
    made.stop()
    write(folder)
    return files(side.api["alice"], params)


def stopped_by_us(side, params, folder, made):
    made.call("stop")
    write(folder)
    return listed_by(made, params)


case("CommitScheduler.push_to_hub", "a file", {"repo": "alice/scheduler-push"}, shows=lambda v: v["commit_message"] == "Scheduled Commit", **both(pushed, pushed_by_us))
case("CommitScheduler.push_to_hub", "nothing", {"repo": "alice/scheduler-nothing"}, shows=lambda v: v is None, **both(nothing, nothing_by_us))
case("CommitScheduler.push_to_hub", "repository that is gone", {"repo": "alice/scheduler-gone"}, fails="RepositoryNotFoundError:404", **both(gone, gone_by_us))
case("CommitScheduler.trigger", "a file", {"repo": "alice/scheduler-trigger"}, shows=lambda v: "logs/train.jsonl" in v, why_alone="a scheduler that is no more can't be called in Python", **both(triggered, triggered_by_us))
case("CommitScheduler.stop", "no more is pushed", {"repo": "alice/scheduler-stop"}, shows=lambda v: v == [".gitattributes"], why_alone="a scheduler that is no more can't be called in Python", **both(stopped, stopped_by_us))
