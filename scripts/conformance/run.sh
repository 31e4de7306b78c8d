#!/usr/bin/env bash
# Compares what the official clients see of an embedded Hub with what hubfs sees:
# its Go client (through `hubfs api`) and its mount. Each client, two releases of
# Python's huggingface_hub and npm's @huggingface/hub, fills a Hub of its own.
# The parts differential-* make the same calls with the client and with `hubfs api`,
# each on its own of two equal Hubs, and compare results and Hubs: see differential/.
#
#   scripts/conformance/run.sh [python-0.27.1] [python-newest] [npm] [differential-0.27.1] [differential-newest]
#
# runs those named, or all. Needs bin/hubfs (make build), python3 with venv, node
# with npm, and for their packages PyPI and the npm registry, the first time: they
# are kept in .venv-* and .npm-conformance. What it prints is kept, with the logs
# of the Hubs, in conformance-results.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
results=$top/conformance-results
work=$(mktemp -d "${TMPDIR:-/tmp}/hubfs-conformance.XXXXXX")
server=
passed=0
failed=0

die() {
	echo "conformance: $*" >&2
	exit 1
}

stop_server() {
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null
	for _ in $(seq 150); do
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "$server" 2>/dev/null
	server=
}

# The checks unmount what they mount. This is for those that died, and for daemons
# that don't end: they are found by the folder that their environment names.
unmount_all() {
	local dir env pid
	awk -v work="$work/" 'index($2, work) == 1 { print $2 }' /proc/self/mounts | while read -r dir; do
		echo "conformance: left mounted: $dir" >&2
		umount -l "$dir" 2>/dev/null || fusermount3 -uz "$dir"
	done
	for env in /proc/[0-9]*/environ; do
		pid=${env#/proc/}
		pid=${pid%/environ}
		if { tr '\0' '\n' <"$env" | grep -q "^WORK=$work/"; } 2>/dev/null; then
			echo "conformance: left running: $pid" >&2
			kill -9 "$pid" 2>/dev/null
		fi
	done
}

finish() {
	stop_server
	unmount_all
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# need CAUSE COMMAND...: installs something, and says what it needs if it fails.
need() {
	local cause=$1
	shift
	if ! "$@" >"$work/install.log" 2>&1; then
		tail -5 "$work/install.log" >&2
		die "$cause"
	fi
}

npm_packages() {
	local dir=$top/.npm-conformance
	if ! cmp -s "$here/package.json" "$dir/installed.json"; then
		rm -rf "$dir"
		mkdir -p "$dir"
		cp "$here/package.json" "$dir/"
		command -v npm >"$work/install.log" || die "npm is missing (Debian: apt-get install npm)"
		need "package.json can't be installed: the npm registry must be within reach, once" \
			npm install --prefix "$dir" --no-package-lock --no-audit --no-fund
		cp "$here/package.json" "$dir/installed.json"
	fi
	cp "$here/check.mjs" "$dir/check.mjs" # beside its modules
}

# start_server NAME: an empty Hub. Sets endpoint.
start_server() {
	local out=$work/$1/serve.out
	mkdir -p "$work/$1"
	stop_server
	# No child of this shell, for a check kills it and the shell would report that.
	server=$(
		"$top/bin/hubfs" serve --root "$work/$1/hub" --listen 127.0.0.1:0 --user alice=hf_alice --user bob=hf_bob --debug \
			>"$out" 2>"$results/$1.serve.log" &
		echo $!
	)
	endpoint=
	for _ in $(seq 100); do
		endpoint=$(sed -n 's/^serving .* at \(http:[^ ]*\).*/\1/p' "$out")
		[ -z "$endpoint" ] || return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	tail -5 "$results/$1.serve.log" >&2
	die "hubfs serve didn't start"
}

# run NAME COMMAND...: the checks of one client, on a Hub of its own, in an
# environment of their own.
run() {
	local name=$1 line
	shift
	case $name in
	differential-*) # starts its own
		stop_server
		endpoint=
		mkdir -p "$work/$name"
		;;
	*) start_server "$name" ;;
	esac
	echo "== $name"
	env -i PATH="$PATH" LANG=C.UTF-8 HOME="$work/$name" \
		XDG_RUNTIME_DIR="$work/$name" XDG_STATE_HOME="$work/$name/state" HF_HOME="$work/$name/hf" \
		HF_ENDPOINT="$endpoint" HF_TOKEN=hf_alice \
		HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_PROGRESS_BARS=1 HF_HUB_DISABLE_UPDATE_CHECK=1 PYTHONDONTWRITEBYTECODE=1 \
		HUBFS="$top/bin/hubfs" WORK="$work/$name" RESULTS="$results" SERVER_PID="$server" SERVER_LOG="$results/$name.serve.log" \
		timeout --foreground -k 5 300 "$@" 2>&1 | tee "$results/$name.log"
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$results/$name.log" | tail -1)
	if [ -z "$line" ]; then
		echo "$name: ended without a result"
		failed=$((failed + 1))
		return
	fi
	passed=$((passed + $(cut -d' ' -f1 <<<"$line")))
	failed=$((failed + $(cut -d' ' -f3 <<<"$line")))
}

[ -x "$top/bin/hubfs" ] || die "bin/hubfs is missing: make build"
mkdir -p "$results"
[ $# -gt 0 ] || set -- python-0.27.1 python-newest npm differential-0.27.1 differential-newest
for client; do
	case $client in
	python-0.27.1 | python-newest | differential-0.27.1 | differential-newest) "$here/venv.sh" "${client#*-}" >/dev/null || die "no Python client" ;;
	npm) npm_packages ;;
	*) die "$client isn't one of python-0.27.1, python-newest, npm, differential-0.27.1, differential-newest" ;;
	esac
done
for client; do
	case $client in
	npm) run npm node "$top/.npm-conformance/check.mjs" ;;
	differential-*) run "$client" "$top/.venv-${client#*-}/bin/python" "$here/differential/run.py" --strict ;;
	*) run "$client" "$top/.venv-${client#python-}/bin/python" "$here/check.py" ;;
	esac
done
stop_server
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
