"""Finding repositories: lists with their filters and orders, infos with their attributes, tags."""

import json
import struct

from cases import case, seed

BERT, TUNED, QUANT, PRIVATE = "carol/bert", "carol/tuned", "dave/quant", "carol/hidden"
WORDS, NUMBERS, APP, PAGE = "carol/words", "dave/numbers", "carol/app", "dave/page"
OLD = ("0.27.1",)


def safetensors(**shapes):
    header = json.dumps({"__metadata__": {"format": "pt"}} | {f"t.{dtype}": {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]} for dtype, shape in shapes.items()}).encode()
    return struct.pack("<Q", len(header)) + header


CARD = """---
license: mit
language: [en, de]
datasets: [carol/words]
tags: [test, test]
co2_eq_emissions: {emissions: 12.5, source: estimate}
widget:
- text: Hello
model-index:
- name: Bert
  results:
  - task: {type: fill-mask, name: Fill}
    dataset: {type: carol/words, name: Words, config: default, split: test}
    metrics:
    - {type: accuracy, value: 0.5, name: Accuracy, verified: true}
    - {type: f1, value: 0.25}
    source: {name: us, url: 'https://example.com'}
---
See https://arxiv.org/abs/1810.04805.
"""


@seed
def search(api):
    import time

    from huggingface_hub import CommitOperationAdd

    def repo(who, id, files, kind="model", **more):
        time.sleep(1.01)  # Git keeps whole seconds, and lists are by last change
        api[who].create_repo(id, repo_type=kind, **more)
        api[who].create_commit(id, [CommitOperationAdd(path, text if isinstance(text, bytes) else text.encode()) for path, text in files.items()], commit_message="Fill", repo_type=kind)

    repo("carol", BERT, {
        "README.md": CARD,
        "config.json": '{"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 8}',
        "tokenizer_config.json": '{"mask_token": {"content": "[MASK]"}, "unk_token": "[UNK]"}',
        "model.safetensors": safetensors(F32=[1000, 2000], I64=[]),
        "pytorch_model.bin": b"x",
    })
    repo("carol", TUNED, {"README.md": "---\nbase_model: carol/bert\npipeline_tag: text-classification\nlibrary_name: keras\nco2_eq_emissions: 0.9 kg\n---\n"})
    api["carol"].update_repo_settings(TUNED, gated="auto")
    repo("dave", QUANT, {"README.md": "---\nbase_model: Carol/Bert\n---\n", "q.gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 0)})
    repo("carol", PRIVATE, {"README.md": "---\ntags: [hidden]\n---\n"}, private=True)
    repo("carol", WORDS, {
        "README.md": "---\ntask_categories: [fill-mask]\ntask_ids: paraphrase\nlanguage: en\nmultilinguality: monolingual\nsize_categories: n<1K\nlanguage_creators: found\nbenchmark: official\n"
        "paperswithcode_id: words\npretty_name: Words\n---\n# Words\n## Citation\n```\n@misc{words}\n```\n",
        "a.csv": "a\n1\n",
    }, "dataset")
    repo("dave", NUMBERS, {"n.parquet": b"PAR1"}, "dataset")
    repo("carol", APP, {"README.md": "---\ntitle: App\nsdk: gradio\nsdk_version: 4.0.0\nmodels: [carol/bert, dave/quant]\ndatasets: [carol/words]\ntags: [demo]\n---\n", "app.py": ""}, "space", space_sdk="gradio")
    repo("dave", PAGE, {"README.md": "---\nsdk: static\n---\n"}, "space", space_sdk="static")
    from huggingface_hub.utils import get_session

    for who, id in (("bob", TUNED), ("dave", TUNED), ("bob", BERT)):
        get_session().post(f"{api['alice'].endpoint}/api/models/{id}/like", headers={"authorization": f"Bearer {api[who].token}"}).raise_for_status()


def ids(*wanted):
    return lambda found: [r["id"] for r in found] == list(wanted)


CAROL = {"author": "carol"}

# Models.
case("list_models", "author", CAROL, shows=ids(TUNED, BERT))
case("list_models", "author's own", CAROL, user="carol", shows=ids(PRIVATE, TUNED, BERT))
case("list_models", "limit", CAROL | {"limit": 1}, shows=ids(TUNED))
case("list_models", "full", CAROL | {"full": True})
case("list_models", "card data", CAROL | {"cardData": True}, shows=lambda v: v[1]["card_data"])
case("list_models", "config", CAROL | {"fetch_config": True}, shows=lambda v: v[1]["config"])
case("list_models", "expand", CAROL | {"expand": ["downloads", "likes", "tags", "safetensors"]})
case("list_models", "expand one", CAROL | {"expand": "sha"})
for by in ("last_modified", "created_at", "downloads", "likes", "trending_score", "lastModified"):
    case("list_models", f"sort by {by}", CAROL | {"sort": by, "direction": -1}, releases=OLD)
    case("list_models", f"sorted by {by}", CAROL | {"sort": by})
case("list_models", "by likes", CAROL | {"sort": "likes"}, shows=ids(TUNED, BERT))
for name, params in {
    "filter": {"filter": "bert"},
    "filters": {"filter": ["transformers", "fill-mask", "en", "license:mit"]},
    "arxiv": {"filter": "arxiv:1810.04805"},
    "trained dataset": {"trained_dataset": WORDS},
    "trained datasets": {"trained_dataset": ["dataset:carol/words"]},
    "pipeline": {"pipeline_tag": "fill-mask"},
    "search": {"search": "BERT"},
    "name": {"model_name": "bert"},
    "name and search": {"model_name": "be", "search": "rt"},
    "not gated": {"gated": False, "author": "carol"},
    "library": {"library": "pytorch"},
    "task and language": {"task": "fill-mask", "language": "de"},
    "tags": {"tags": ["test"], "library": ["safetensors"]},
}.items():
    case("list_models", name, params, shows=ids(BERT))
case("list_models", "gated", {"gated": True, "author": "carol"}, shows=ids(TUNED))
case("list_models", "base model", {"filter": "base_model:quantized:Carol/Bert"}, shows=ids(QUANT))
case("list_models", "warm", {"inference": "warm"}, shows=ids())
case("list_models", "emissions", CAROL | {"emissions_thresholds": [1, 100], "cardData": True}, shows=ids(BERT))
case("list_models", "least emissions", CAROL | {"emissions_thresholds": [0.5, None], "cardData": True}, shows=ids(TUNED, BERT))
case("list_models", "most emissions", CAROL | {"emissions_thresholds": [None, 1], "cardData": True}, shows=ids(TUNED))
case("list_models", "emissions without cards", CAROL | {"emissions_thresholds": [1, 100]}, shows=ids(), releases=OLD)
case("list_models", "nothing", {"search": "no such model"}, shows=ids())
case("list_models", "expand and full", {"expand": ["sha"], "full": True}, fails="ValueError")
case("list_models", "expand and card data", {"expand": ["sha"], "cardData": True}, fails="ValueError")
case("list_models", "expand and config", {"expand": ["sha"], "fetch_config": True}, fails="ValueError")
case("list_models", "unknown attribute", {"expand": ["color"]}, fails="BadRequestError:400")
case("list_models", "unknown order", {"sort": "color"}, fails="BadRequestError:400")
case("list_models", "wrong token", {}, user="wrong", fails="HfHubHTTPError:401")

# Datasets.
case("list_datasets", "author", CAROL, shows=ids(WORDS))
case("list_datasets", "full", CAROL | {"full": True}, shows=lambda v: v[0]["card_data"])
case("list_datasets", "expand", CAROL | {"expand": ["description", "citation", "paperswithcode_id", "downloadsAllTime"]})
case("list_datasets", "limit and order", {"sort": "created_at", "limit": 2, "filter": "region:us"})
for name, params in {
    "filter": {"filter": "task_ids:paraphrase"},
    "filters": {"filter": ["language:en", "format:csv"]},
    "benchmark": {"benchmark": "official"},
    "name": {"dataset_name": "words"},
    "name and search": {"dataset_name": "wor", "search": "ds"},
    "creators": {"language_creators": "found"},
    "language": {"language": ["en"]},
    "multilinguality": {"multilinguality": "monolingual"},
    "size": {"size_categories": "n<1K"},
    "categories": {"task_categories": ["fill-mask"]},
    "task ids": {"task_ids": "paraphrase"},
    "not gated": {"gated": False, "search": "words"},
    "tags": {"tags": "library:datasets", "author": "carol"},
}.items():
    case("list_datasets", name, params, shows=ids(WORDS))
case("list_datasets", "gated", {"gated": True, "search": "words"}, shows=ids())
case("list_datasets", "expand and full", {"expand": ["sha"], "full": True}, fails="ValueError")
case("list_datasets", "unknown attribute", {"expand": ["pipeline_tag"]}, fails="BadRequestError:400")

# Spaces.
case("list_spaces", "author", CAROL, shows=ids(APP))
case("list_spaces", "full", CAROL | {"full": True}, shows=lambda v: v[0]["card_data"]["title"] == "App")
case("list_spaces", "linked", CAROL | {"linked": True}, shows=lambda v: v[0]["models"])
case("list_spaces", "expand", CAROL | {"expand": ["models", "datasets", "sdk", "subdomain"]})
for name, params in {
    "filter": {"filter": ["gradio", "demo"]},
    "search": {"search": "carol/app"},
    "datasets": {"datasets": WORDS},
    "models": {"models": [BERT, QUANT]},
}.items():
    case("list_spaces", name, params, shows=ids(APP))
case("list_spaces", "order", {"sort": "likes", "author": "dave", "search": "page", "limit": 3}, shows=ids(PAGE))
case("list_spaces", "expand and full", {"expand": ["sha"], "full": True}, fails="ValueError")
case("list_spaces", "unknown attribute", {"expand": ["downloads"]}, fails="BadRequestError:400")

# One repository.
ALL = {
    "model_info": (BERT, "author baseModels cardData childrenModelCount config createdAt disabled downloads downloadsAllTime gated gguf inference lastModified library_name likes mask_token model-index pipeline_tag private safetensors sha siblings spaces tags transformersInfo trendingScore widgetData"),
    "dataset_info": (WORDS, "author cardData citation createdAt disabled description downloads downloadsAllTime gated lastModified likes paperswithcode_id private siblings sha trendingScore tags"),
    "space_info": (APP, "author cardData createdAt datasets disabled lastModified likes models private runtime sdk siblings sha subdomain tags trendingScore"),
}
for method, (id, attributes) in ALL.items():
    case(method, "plain", {"repo_id": id}, shows=lambda v: v["siblings"])
    case(method, "files", {"repo_id": id, "files_metadata": True}, shows=lambda v: v["siblings"][0]["blob_id"])
    case(method, "at main", {"repo_id": id, "revision": "main", "timeout": 30.0})
    for attribute in attributes.split():
        case(method, f"expand {attribute}", {"repo_id": id, "expand": [attribute]})
    case(method, "expand all", {"repo_id": id, "expand": attributes.split()})
    case(method, "missing", {"repo_id": "carol/none"}, fails="RepositoryNotFoundError:404")
    case(method, "missing, no token", {"repo_id": "carol/none"}, user=None, fails="RepositoryNotFoundError:401")
    case(method, "missing revision", {"repo_id": id, "revision": "none"}, fails="RevisionNotFoundError:404")
    case(method, "unknown attribute", {"repo_id": id, "expand": ["color"]}, fails="BadRequestError:400")
    case(method, "expand and files", {"repo_id": id, "expand": ["sha"], "files_metadata": True}, fails="ValueError")
    case(method, "bad id", {"repo_id": "a--b/c"}, fails="ValueError")
    case("repo_info", f"as {method}", {"repo_id": id, "repo_type": method.removesuffix("_info"), "files_metadata": True})
case("model_info", "security", {"repo_id": BERT, "securityStatus": True}, shows=lambda v: v["security_repo_status"])
case("model_info", "expand and security", {"repo_id": BERT, "expand": ["sha"], "securityStatus": True}, fails="ValueError")
case("model_info", "gated", {"repo_id": TUNED}, shows=lambda v: v["gated"] == "auto")
case("model_info", "gguf", {"repo_id": QUANT, "expand": ["gguf", "baseModels"]})
case("model_info", "private", {"repo_id": PRIVATE}, user="carol", shows=lambda v: v["private"])
case("model_info", "another's private", {"repo_id": PRIVATE}, fails="RepositoryNotFoundError:404")
case("model_info", "other letters", {"repo_id": "CAROL/BERT"}, shows=lambda v: v["id"] == BERT)
case("repo_info", "expand", {"repo_id": BERT, "expand": ["sha", "likes"]})
case("repo_info", "missing", {"repo_id": "carol/none"}, fails="RepositoryNotFoundError:404")
case("repo_info", "bad type", {"repo_id": BERT, "repo_type": "thing"}, fails="ValueError")

case("get_model_tags", "all", {}, shows=lambda v: {"id": "license:mit", "label": "mit", "type": "license"} in v["license"], why_alone="it takes nothing, and nobody may not")
case("get_model_tags", "wrong token", {}, user="wrong")
case("get_dataset_tags", "all", {}, shows=lambda v: v["size_categories"], why_alone="it takes nothing, and nobody may not")
