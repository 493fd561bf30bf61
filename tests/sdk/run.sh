#!/bin/sh
# The official SDKs, the command lines of Codex and Claude Code, and the documentation's samples, against the built binary
# (TOLLGATE_BIN, or target/debug/tollgate). Installs the pinned packages when the pins have changed, and only then; fails
# if one of the suites fails, after all have run.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}
venv=$target/sdk-venv
export TOLLGATE_BIN="${TOLLGATE_BIN:-$target/debug/tollgate}"

# What was installed last, and whether that is still what is asked for.
stamp_of() { cat "$@" | cksum; }
is_fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

[ -x "$TOLLGATE_BIN" ] || { echo "$TOLLGATE_BIN is not there: run 'cargo build' first" >&2; exit 2; }

python_stamp="$(python3 --version) $(stamp_of "$here/python/requirements.txt")"
if ! is_fresh "$venv/installed" "$python_stamp"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/python/requirements.txt"
    printf '%s' "$python_stamp" >"$venv/installed"
fi

# No package needs a script to be installed: what npm would run is not run.
install_node() {
    node_stamp="$(node --version) $(stamp_of "$1/package.json" "$1/package-lock.json")"
    is_fresh "$1/node_modules/.installed" "$node_stamp" && return
    (cd "$1" && npm ci --silent --ignore-scripts) && printf '%s' "$node_stamp" >"$1/node_modules/.installed"
}

install_node "$here/node"
# Programs of 200 MB each, and not for every platform: without them their tests are skipped, and say so.
install_node "$here/cli" || echo "the command lines of Codex and Claude Code could not be installed" >&2

# Streams are slow on purpose, so the suites mostly wait: they run side by side, and are shown one after the other.
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
suite() {
    name=$1
    shift
    (
        code=0
        "$@" >"$logs/$name" 2>&1 || code=$?
        echo $code >"$logs/$name.code"
    ) &
}
suite python "$venv/bin/pytest" -q -p no:cacheprovider "$here/python"
suite node node --test --test-reporter=spec --test-concurrency=2 "$here"/node/*.test.js
suite cli "$venv/bin/pytest" -q -rs -p no:cacheprovider "$here/cli"
# The samples use the SDKs. What is skipped says why.
suite docs "$venv/bin/pytest" -q -rs -p no:cacheprovider "$here/../docs"
wait

failed=0
for name in python node cli docs; do
    echo "== $name"
    cat "$logs/$name"
    [ "$(cat "$logs/$name.code")" = 0 ] || failed=1
done
exit $failed
