"""What huggingface_hub sees of an embedded Hub, against what hubfs sees of it.

Runs under the release that its virtual environment holds, on the empty Hub at HF_ENDPOINT, with the binary HUBFS and
the folder WORK; SERVER_PID is the process of the Hub and SERVER_LOG its log. Every check prints a line, and the last
line counts them.
"""

import fill
from harness import check, counts, finish

check(fill.fill_models)
check(fill.fill_others)
check(fill.fill_many)
if counts["failed"] == 0:  # nothing can be compared with what isn't there
    import check_api  # noqa: F401
    import check_mount  # noqa: F401
    import check_cache  # noqa: F401
    import check_formats  # noqa: F401
    import check_sync  # noqa: F401
    import check_writing  # noqa: F401
    import check_offline  # noqa: F401  # ends the Hub
finish()
