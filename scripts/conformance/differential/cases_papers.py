"""Papers, of which the embedded Hub has a few."""

from cases import case

case("list_papers", "one", {"query": "attention is all"}, shows=lambda v: v[0]["id"] == "1706.03762")
case("list_papers", "several", {"query": "llama"}, shows=lambda v: len(v) == 2)
case("list_papers", "by author", {"query": "Touvron"}, user=None, shows=bool)
case("list_papers", "none", {"query": "zebra crossing"}, shows=lambda v: v == [])
case("list_papers", "no query", {})
case("list_papers", "wrong token", {"query": "llama"}, user="wrong", fails="HfHubHTTPError:401")
case("paper_info", "of the day", {"id": "2307.09288"}, shows=lambda v: v["submitted_by"]["username"] == "hub")
case("paper_info", "another", {"id": "1706.03762"}, user=None, shows=lambda v: len(v["authors"]) == 8)
case("paper_info", "wrong token", {"id": "1706.03762"}, user="wrong")
case("paper_info", "missing", {"id": "0000.00000"}, fails="HfHubHTTPError:404")
