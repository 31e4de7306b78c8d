"""Makes the same calls with the official client on one Hub and with `hubfs api` on its twin, and compares.

    run.py [--strict] [--keep] [PATTERN ...]

HUBFS is the binary, WORK an empty folder, RESULTS the folder for the table. Patterns choose groups, methods or cases
("discussions", "create_repo", "create_repo/*"); all run by default. --strict fails where a method has no pair of cases;
otherwise that is only reported. The last line counts.
"""

import collections
import datetime
import fnmatch
import importlib
import os
import sys
import time
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[1:1] = [str(here.parent)]

import accepted
import cases
from compare import Comparison, brief
from sides import TOKENS, Official, Ours, twins

HUBFS, WORK = os.environ["HUBFS"], Path(os.environ["WORK"])
RESULTS = Path(os.environ.get("RESULTS", WORK))
ANSWERED_BY_NONE = {"as_file"}  # a Python idiom


def load():
    """Imports the modules of cases, and notes for each case its group."""
    groups = {}
    for path in sorted(here.glob("cases_*.py")):
        before = len(cases.CASES)
        importlib.import_module(path.stem)
        for c in cases.CASES[before:]:
            groups[c.key] = path.stem.removeprefix("cases_")
    return groups


def fill(hub):
    """Points the official client at the Hub, and lets the modules fill it."""
    os.environ.update(HF_ENDPOINT=hub.endpoint, HF_HOME=str(WORK / "official" / "hf"), HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_UPDATE_CHECK="1")
    os.environ.pop("HF_TOKEN", None)
    import huggingface_hub.constants

    huggingface_hub.constants.INFERENCE_ENDPOINTS_ENDPOINT = f"{hub.endpoint}/v2"  # 0.27.1 has no variable for it
    from huggingface_hub import HfApi

    clients = {user: HfApi(endpoint=hub.endpoint, token=token) for user, token in TOKENS.items()}
    for function in cases.SEEDS:
        function(clients)


def judge(case, official, ours, comparison, release):
    """What is wrong with the two outcomes, as lines."""
    found = []

    def differ(where, a, b):
        if not accepted.accepted(release, f"{case.key}: {where}"):
            found.append(f"{where}\n      official: {brief(a)}\n      hubfs:    {brief(b)}")

    if ours[0] == "missing":
        return [f"hubfs has no method {case.method}"]
    if case.fails is None:
        if official[0] != "value" or ours[0] != "value":
            differ("outcome", official[1:], ours[1:])
            return found
        if case.shows and not case.shows(official[1]):
            found.append(f"it shows nothing: {brief(official[1])}")
        comparison.begin()
        values = [case.view(side, o[1]) if case.view else o[1] for side, o in ((comparison.official, official), (comparison.ours, ours))]
        for path, a, b in comparison.differences(*values):
            differ(path, a, b)
        return found
    if official[0] != "error" or ours[0] != "error":
        differ("outcome", official[1:], ours[1:])
        return found
    kind, _, status = case.fails.partition(":")
    if (official[1], str(official[2] or "")) != (kind, status):
        found.append(f"the official client should fail with {case.fails}: {brief(official[1:])}")
    if official[1] != ours[1] or official[2] not in (None, ours[2]):  # without a status it is the client's own
        differ("error", official[1:], ours[1:])
    elif official[2]:
        said = comparison.ours.scrub(ours[3])
        for line in filter(None, comparison.official.scrub(official[3]).splitlines()):
            if " ".join(line.split()) not in " ".join(said.split()):
                differ("message", line, said)
    return found


def coverage(ours):
    """Methods without a pair of cases, and lists that differ, as lines."""
    listed = (here / "methods.txt").read_text().split()
    wanted = set(listed) - ANSWERED_BY_NONE
    gaps = [f"hubfs lacks {m}" for m in sorted(wanted - set(ours.methods))]
    gaps += [f"methods.txt lacks {m}" for m in sorted(set(ours.methods) - wanted)]
    kinds, excused = collections.defaultdict(set), set()
    for c in cases.CASES:
        kinds[c.method].add("failure" if c.fails else "success")
        if c.why_alone:
            excused.add(c.method)
    for method in sorted(wanted):
        for kind in ("success", "failure"):
            if kind not in kinds[method] and not (kinds[method] and method in excused):
                gaps.append(f"{method} has no case of {kind}")
    return gaps


def main():
    strict, keep = "--strict" in sys.argv, "--keep" in sys.argv
    patterns = [a for a in sys.argv[1:] if not a.startswith("--")]
    groups = load()
    chosen = [c for c in cases.CASES if not patterns or any(p == groups[c.key] or fnmatch.fnmatchcase(c.method, p) or fnmatch.fnmatchcase(c.key, p) for p in patterns)]
    begun = time.monotonic()
    first, second = twins(HUBFS, WORK, RESULTS, fill)
    try:
        return compare_all(first, second, groups, chosen, strict, partial=bool(patterns), begun=begun)
    finally:
        if keep:
            input(f"official: {first.endpoint}, hubfs: {second.endpoint}; Enter ends them")
        first.stop()
        second.stop()


def compare_all(first, second, groups, chosen, strict, partial, begun):
    import huggingface_hub

    release = "0.27.1" if huggingface_hub.__version__ == "0.27.1" else "newest"
    official, ours = Official(first, WORK / "official"), Ours(second, WORK / "hubfs")
    start = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    comparison = Comparison(official, ours, start)
    print(f"== differential: {len(chosen)} cases, {time.monotonic() - begun:.1f} s to fill", flush=True)
    table = collections.defaultdict(collections.Counter)
    failed = 0

    def report(what, lines):
        nonlocal failed
        failed += 1
        print(f"FAIL {what}\n    " + "\n    ".join(lines), flush=True)

    for case in chosen:
        lacks = "the case is for another release" if release not in case.releases else official.lacks(case)
        if lacks:
            table[case.method]["skipped"] += 1
            if release == "0.27.1" and release in case.releases:
                report(case.key, [lacks])
            continue
        wrong = run_case(case, official, ours, comparison, release)
        table[case.method]["failed" if wrong else "failure" if case.fails else "success"] += 1
        if wrong:
            report(case.key, wrong)
    passed = sum(n["success"] + n["failure"] for n in table.values())

    import state

    wrong = [f"{path}\n      official: {brief(a)}\n      hubfs:    {brief(b)}" for path, a, b in compare_states(comparison, state.dump(first.endpoint), state.dump(second.endpoint)) if not accepted.accepted(release, f"state: {path}")]
    if wrong:
        report("the Hubs hold the same afterwards", wrong[:20])
    else:
        passed += 1
    if not partial:
        if left := accepted.unused(release):
            report("accepted differences are needed", left)
        gaps = coverage(ours) if release == "0.27.1" else []
        if gaps and strict:
            report("every method has its pair", gaps)
        elif gaps:
            print(f"     coverage: {len(gaps)} gaps: {'; '.join(gaps)}")
    write_table(release, table)
    print(f"huggingface_hub {huggingface_hub.__version__}, {time.monotonic() - begun:.1f} s")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


def compare_states(comparison, a, b):
    """The differences of two dumps; each repository is compared by itself."""
    repos = sorted(a["repos"].keys() | b["repos"].keys())
    for name in repos:
        comparison.begin()
        yield from comparison.differences(a["repos"].get(name), b["repos"].get(name), f"repos.{name}")
    comparison.begin()
    yield from comparison.differences({k: v for k, v in a.items() if k != "repos"}, {k: v for k, v in b.items() if k != "repos"})


def run_case(case, official, ours, comparison, release):
    try:
        process = ours.begin(case)
        theirs = official.call(case)
        mine = ours.end(case, process)
        for side, outcome in ((official, theirs), (ours, mine)):
            if outcome[0] == "value":
                side.results[case.key] = outcome[1]
        return judge(case, theirs, mine, comparison, release)
    except Exception as err:  # a case that is wrong, or needs one that failed
        return [f"{type(err).__name__}: {err}"]


def write_table(release, table):
    lines = ["method\tsuccess\tfailure\tskipped\tresult"]
    for method in sorted(set(table) | set((here / "methods.txt").read_text().split())):
        n = table[method]
        result = "differs" if n["failed"] else "equal" if n["success"] or n["failure"] else "not run"
        lines.append(f"{method}\t{n['success']}\t{n['failure']}\t{n['skipped']}\t{result}")
    (RESULTS / f"differential-{release}.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
