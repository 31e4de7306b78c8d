"""What hubfs commits, read back by the Python client, and what Python's writers leave in a mount."""

import hashlib
import os
import subprocess
import sys
import time

from huggingface_hub import hf_hub_download, snapshot_download

from harness import WORK, Mount, api, check, equal, hubfs, python, same_tree

SNAPSHOTS = WORK / "written"


def snapshot(repo, name, **options):
    return snapshot_download(repo, local_dir=SNAPSHOTS / name, **options)


def odd_tree():
    """Names and sizes at the edges: of blocks, of what is regular and what is LFS, of what a name may have."""
    tree = {
        "empty": b"", "one": b"x", "no newline": b"a\nb", "crlf.txt": b"a\r\nb\r\n", "ümläut-日本.txt": "ü\n".encode(),
        "with space/and 'quote'/\"double\".txt": b"q\n", "-dash": b"-\n", "#hash?query&x=1%20.txt": b"%\n", "a+b=c@d;e,f.txt": b"+\n",
        "deep/" * 30 + "file.txt": b"deep\n", "x" * 120 + ".txt": b"long\n", "nul.dat": bytes(5000), "README.md": b"---\nlicense: mit\n---\n# Odd\n",
        "notes.txt.gz": os.urandom(3000), "weights.bin": os.urandom(1), "empty.safetensors": b"",
    }
    for size in (4095, 4096, 4097, 131071, 131073, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (10 << 20) + 7, 70 << 20):
        tree[f"sizes/{size}.bin"] = os.urandom(size)
    tree["sizes/text.txt"] = b"a line of text\n" * 200_000
    return tree


@check
def what_is_committed_is_read_back():
    repo = "alice/written"
    api.create_repo(repo)
    tree, plain = odd_tree(), WORK / "odd"
    for path, content in tree.items():
        (plain / path).parent.mkdir(parents=True, exist_ok=True)
        (plain / path).write_bytes(content)
    with Mount(repo, "--every", "0") as mnt:
        subprocess.run(["cp", "-r", f"{plain}/.", mnt], check=True)
        said = hubfs("flush", mnt)
        assert said.startswith(f"committed {len(tree)} changes"), said
        got = snapshot(repo, "first")
        for path, content in tree.items():
            with open(os.path.join(got, path), "rb") as f:
                assert hashlib.sha256(f.read()).digest() == hashlib.sha256(content).digest(), path
        # Again, with an edit in the middle, an append, a deletion, a move of a folder, and a file that becomes a folder.
        with open(mnt / "sizes/73400320.bin", "r+b") as f:
            f.seek(30 << 20)
            f.write(b"edited")
        with open(mnt / "sizes/text.txt", "ab") as f:
            f.write(b"the end\n")
        os.remove(mnt / "one")
        os.rename(mnt / "with space", mnt / "moved")
        os.remove(mnt / "-dash")
        os.mkdir(mnt / "-dash")
        (mnt / "-dash/now a folder").write_bytes(b"x")
        hubfs("flush", mnt)
        again = snapshot(repo, "second")
        subprocess.run(["rm", "-rf", os.path.join(again, ".cache")], check=True)
        same_tree(again, mnt)
    titles = [c.title for c in api.list_repo_commits(repo)]
    equal("number of commits", 3, len(titles))


@check
def a_pull_request_is_merged():
    repo = "alice/proposed"
    api.create_repo(repo)
    api.upload_file(repo_id=repo, path_or_fileobj=b"base\n", path_in_repo="base.txt")
    with Mount(repo, "--create-pr", "--every", "0") as mnt:
        (mnt / "first.txt").write_bytes(b"first\n")
        hubfs("flush", mnt)
        (mnt / "weights.bin").write_bytes(os.urandom(100_000))
        hubfs("flush", mnt)
        weights = (mnt / "weights.bin").read_bytes()
    found = [d for d in api.get_repo_discussions(repo) if d.is_pull_request]
    equal("pull requests", [1], [d.num for d in found])
    assert not api.file_exists(repo, "first.txt")
    api.merge_pull_request(repo, 1)
    with open(hf_hub_download(repo, "first.txt", cache_dir=SNAPSHOTS), "rb") as f:
        assert f.read() == b"first\n"
    with open(hf_hub_download(repo, "weights.bin", cache_dir=SNAPSHOTS), "rb") as f:
        assert f.read() == weights


WRITERS = {
    "safetensors": """
import numpy, sys
from safetensors.numpy import load_file, save_file
tensors = {f"layer.{i}": numpy.random.default_rng(i).random((256, 257)) for i in range(20)}
for _ in range(2):
    save_file(tensors, sys.argv[1] + "/model.safetensors")
back = load_file(sys.argv[1] + "/model.safetensors")
assert all((back[k] == v).all() for k, v in tensors.items())
""",
    "pyarrow": """
import sys
import pyarrow as pa, pyarrow.dataset, pyarrow.parquet as pq
table = pa.table({"a": range(100_000), "b": [str(i) for i in range(100_000)]})
pq.write_table(table, sys.argv[1] + "/one.parquet")
pa.dataset.write_dataset(table, sys.argv[1] + "/many", format="parquet", max_rows_per_file=30_000, max_rows_per_group=10_000)
with pa.OSFile(sys.argv[1] + "/table.arrow", "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
    out.write_table(table)
assert pq.read_table(sys.argv[1] + "/one.parquet").equals(table)
assert pa.dataset.dataset(sys.argv[1] + "/many").to_table().num_rows == 100_000
with pa.memory_map(sys.argv[1] + "/table.arrow") as source:
    assert pa.ipc.open_file(source).read_all().equals(table)
""",
    "numpy": """
import numpy, sys
a = numpy.lib.format.open_memmap(sys.argv[1] + "/mapped.npy", mode="w+", dtype="float64", shape=(1000, 1000))
a[:] = numpy.arange(1_000_000).reshape(1000, 1000)
a.flush()
del a
numpy.savez_compressed(sys.argv[1] + "/packed.npz", x=numpy.arange(1000))
assert (numpy.load(sys.argv[1] + "/mapped.npy", mmap_mode="r")[999] == numpy.arange(999_000, 1_000_000)).all()
""",
    "duckdb": """
import duckdb, sys
duckdb.sql(f"copy (select range as a, random() as b from range(100000)) to '{sys.argv[1]}/data.parquet'")
duckdb.sql(f"copy (select range as a from range(1000)) to '{sys.argv[1]}/data.csv'")
db = duckdb.connect(sys.argv[1] + "/data.duckdb")
db.sql("create table t as select range as a from range(100000)")
db.close()
db = duckdb.connect(sys.argv[1] + "/data.duckdb", read_only=True)
assert db.sql("select count(*) from t").fetchone() == (100000,)
""",
    "torch": """
import sys, torch
state = {"w": torch.arange(100000).reshape(100, 1000)}
torch.save(state, sys.argv[1] + "/checkpoint.pt")
assert torch.equal(torch.load(sys.argv[1] + "/checkpoint.pt")["w"], state["w"])
assert torch.equal(torch.load(sys.argv[1] + "/checkpoint.pt", mmap=True)["w"], state["w"])
""",
}


def has(module):
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True)
    if done.returncode:
        print(f"     {module} isn't in this environment: not checked (pip install {module} into it)")
    return done.returncode == 0


@check
def python_writers():
    repo = "alice/writers"
    api.create_repo(repo)
    with Mount(repo, "--every", "0") as mnt:
        for module, code in WRITERS.items():
            if not has(module):
                continue
            (mnt / module).mkdir()
            python(code, mnt / module)
            hubfs("flush", mnt)
            got = snapshot(repo, "writers", allow_patterns=f"{module}/*")
            same_tree(os.path.join(got, module), mnt / module)


EVENTS = """
import sys, time
from tensorboardX import SummaryWriter
writer = SummaryWriter(sys.argv[1], flush_secs=1)
for step in range(int(sys.argv[2])):
    writer.add_scalar("loss", 1 / (step + 1), step)
    writer.flush()
    time.sleep(0.05)
writer.close()
"""


@check
def an_event_file_is_committed_while_it_is_open():
    if not has("tensorboardX"):
        return
    repo = "alice/events"
    api.create_repo(repo)
    with Mount(repo, "--every", "0.02", "--max-commits-per-hour", "10000") as mnt:
        writing = subprocess.Popen([sys.executable, "-c", EVENTS, mnt / "run", "150"])
        sizes = []
        while writing.poll() is None:
            files = [e for e in api.list_repo_tree(repo, recursive=True) if "tfevents" in e.path]
            if files and files[0].size not in sizes:
                sizes.append(files[0].size)
            time.sleep(0.1)
        assert writing.returncode == 0
        assert len(sizes) >= 3 and sizes == sorted(sizes), f"sizes of the event file on the Hub while it was written: {sizes}"
        hubfs("flush", mnt)
        same_tree(os.path.join(snapshot(repo, "events"), "run"), mnt / "run")
