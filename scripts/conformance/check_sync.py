"""CommitScheduler against hubfs sync: the same history of a folder gives the same repository."""

import os
import random

from huggingface_hub import CommitScheduler

from harness import WORK, api, by_path, check, equal, hubfs, hubfs_api


class Both:
    """A folder that both push, each to a repository of its own, when they are told to."""

    def __init__(self, name, repo_type="model", path_in_repo=None, allow=None, ignore=None, squash=False, private=None):
        self.folder = WORK / f"sync-{name}"
        self.folder.mkdir()
        self.theirs, self.ours, self.type, self.squash = f"alice/{name}-theirs", f"alice/{name}-ours", repo_type, squash
        self.patterns = dict(allow=allow, ignore=ignore)
        self.path_in_repo, self.private = path_in_repo, private

    def __enter__(self):
        self.scheduler = CommitScheduler(
            repo_id=self.theirs, folder_path=self.folder, every=60 * 24, path_in_repo=self.path_in_repo, repo_type=self.type,
            private=self.private, squash_history=self.squash,
            allow_patterns=self.patterns["allow"], ignore_patterns=self.patterns["ignore"],
        )
        self.scheduler.trigger().result()  # its own first push can come before the object is made
        self.start()
        return self

    def start(self):
        prefix = {"model": "", "dataset": "datasets/"}[self.type]
        args = ["--every", "0", self.folder, prefix + self.ours]
        for flag, patterns in (("--include", self.patterns["allow"]), ("--exclude", self.patterns["ignore"])):
            for pattern in patterns or []:
                args += [flag, pattern]
        if self.path_in_repo:
            args += ["--path-in-repo", self.path_in_repo]
        args += ["--squash-history"] * self.squash + ["--private"] * bool(self.private)
        hubfs("sync", *args)

    def __exit__(self, *_):
        self.scheduler.stop()
        hubfs("sync", "--stop", self.folder)

    def write(self, path, content, mode="w"):
        name = self.folder / path
        name.parent.mkdir(parents=True, exist_ok=True)
        with open(name, mode) as f:
            f.write(content)

    def push(self):
        """Pushes by both, and compares."""
        theirs = self.scheduler.trigger().result()
        ours = hubfs_api("CommitScheduler.push_to_hub", folder=self.folder)
        if ours is not None:
            equal("message", theirs.commit_message, ours["commit_message"])
        self.compare()
        return theirs, ours

    def compare(self):
        def tree(repo):
            return by_path(api.list_repo_tree(repo, repo_type=self.type, recursive=True))

        def files(repo):
            return [{k: e.get(k) for k in ("path", "size", "blob_id", "lfs")} for e in tree(repo)]

        equal(f"tree of {self.ours}", files(self.theirs), files(self.ours))

    def commits(self, repo):
        return [c.title for c in api.list_repo_commits(repo, repo_type=self.type)]


@check
def syncs_are_alike():
    with Both("sync", path_in_repo="runs/7") as both:
        both.push()
        both.write("config.json", "{}")
        both.write("deep/er/weights.bin", "w" * 100_000)
        both.write("empty", "")
        both.write(".hidden/x", "x")
        both.write(".git/HEAD", "x")
        both.write(".cache/huggingface/x", "x")
        os.symlink("config.json", both.folder / "link.json")
        os.symlink("nowhere", both.folder / "dangling")
        both.push()
        assert both.push()[1] is None
        both.write("log.jsonl", '{"step": 1}\n')
        both.push()
        both.write("log.jsonl", '{"step": 2}\n', "a")
        both.write("no-newline.txt", "half a line")
        both.write("config.json", "{1}")
        both.push()
        both.write("deep/er/weights.bin", "v" * 50)  # truncated
        (both.folder / "empty").unlink()  # stays on the Hub
        (both.folder / "log.jsonl").rename(both.folder / "log.1.jsonl")
        both.push()
        os.utime(both.folder / "config.json")  # the official client sends it again, and the Hub drops it
        both.push()
        assert len(both.commits(both.ours)) <= len(both.commits(both.theirs))


@check
def sync_after_a_restart_is_alike():
    with Both("again", repo_type="dataset", private=True) as both:
        for i in range(40):
            both.write(f"{i % 3}/{i}.json", str(i))
        both.push()
        before = both.commits(both.ours)
        hubfs("sync", "--stop", both.folder)
        both.write("new.json", "1")
        both.start()
        both.push()
        equal("commits", 1, len(both.commits(both.ours)) - len(before))
        for repo in (both.ours, both.theirs):
            assert api.repo_info(repo, repo_type="dataset").private


@check
def sync_patterns_are_alike():
    names = ["a.json", "x/b.json", "x/c.txt", "tmp/d.json", "x/tmp/e.json", "[f].json", "g.JSON", "h.jsonl", "x/.i.json", "j k.json", "ü.json"]
    cases = [
        (["*.json"], None), (None, ["tmp/"]), (["*.json", "*.txt"], ["x/*"]), (["x/*.json"], None), (["[ab].json"], None), (["[!ab].json"], ["*ü*"]),
        (["?.json"], None), (["**/*.json"], None), (None, ["*"]), (["x/", "tmp/"], ["*/tmp/*"]),
    ]
    for i, (allow, ignore) in enumerate(cases):
        with Both(f"patterns-{i}", allow=allow, ignore=ignore) as both:
            for name in names:
                both.write(name, name)
            both.push()


@check
def sync_with_squashed_history_is_alike():
    with Both("squash", squash=True) as both:
        for i in range(3):
            both.write("a", str(i))
            both.write(f"{i}", str(i))
            both.push()
            equal("commits", len(both.commits(both.theirs)), len(both.commits(both.ours)))


@check
def random_histories_are_alike():
    for seed in range(3):
        chance = random.Random(seed)
        with Both(f"random-{seed}", path_in_repo=chance.choice([None, "a", "a/b/"])) as both:
            for _ in range(6):
                for _ in range(chance.randrange(8)):
                    path = f"{chance.choice(['', 'd/', 'd/e/'])}f{chance.randrange(4)}.{chance.choice(['json', 'bin', 'txt', 'log'])}"
                    known = sorted(p for p in both.folder.rglob("*") if p.is_file())
                    kind = chance.randrange(6)
                    if kind == 0 and known:
                        chance.choice(known).unlink()
                    elif kind == 1 and known:
                        chance.choice(known).rename(both.folder / f"renamed{chance.randrange(3)}")
                    elif kind < 4:
                        both.write(path, f"line {chance.random()}\n", "a")
                    else:
                        both.write(path, str(chance.random()) * chance.choice([1, 1000, 100_000]))
                both.push()
