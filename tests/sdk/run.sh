#!/bin/sh
# The official SDKs, and the documentation's samples, against the built binary (TOLLGATE_BIN, or target/debug/tollgate).
# Installs the pinned packages when the pins have changed, and only then; fails if one of the suites fails, after all
# have run.
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

node_stamp="$(node --version) $(stamp_of "$here/node/package.json" "$here/node/package-lock.json")"
if ! is_fresh "$here/node/node_modules/.installed" "$node_stamp"; then
    (cd "$here/node" && npm ci --silent)
    printf '%s' "$node_stamp" >"$here/node/node_modules/.installed"
fi

failed=0
"$venv/bin/pytest" -q -p no:cacheprovider "$here/python" || failed=1
(cd "$here/node" && node --test --test-reporter=spec openai.test.js) || failed=1
# The samples use both SDKs. What is skipped says why.
"$venv/bin/pytest" -q -rs -p no:cacheprovider "$here/../docs" || failed=1
exit $failed
