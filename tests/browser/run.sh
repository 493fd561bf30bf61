#!/bin/sh
# The console in a real browser against the built binary (TOLLGATE_BIN, or target/debug/tollgate). Installs the pinned
# packages when the pins have changed, and only then. Pictures of every page are left in target/screenshots.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}
export TOLLGATE_BIN="${TOLLGATE_BIN:-$target/debug/tollgate}"
export SCREENSHOTS="${SCREENSHOTS:-$target/screenshots}"

[ -x "$TOLLGATE_BIN" ] || { echo "$TOLLGATE_BIN is not there: run 'cargo build' first" >&2; exit 2; }

has_browser() {
    for program in "${CHROMIUM:-chromium}" chromium-browser google-chrome; do
        ! command -v "$program" >/dev/null 2>&1 || return 0
    done
    return 1
}

if ! has_browser; then
    # `make setup-test` installs it where it may. A machine of one's own may do without; the build server may not.
    [ -z "${CI:-}" ] || { echo "chromium is not installed" >&2; exit 1; }
    echo "skipped: the browser tests need chromium, which is not installed and cannot be without root" >&2
    exit 0
fi

stamp="$(node --version) $(cat "$here/package.json" "$here/package-lock.json" | cksum)"
if [ "$(cat "$here/node_modules/.installed" 2>/dev/null)" != "$stamp" ]; then
    (cd "$here" && npm ci --silent)
    printf '%s' "$stamp" >"$here/node_modules/.installed"
fi

rm -f "$SCREENSHOTS"/failed-*.png
cd "$here"
exec node --test --test-reporter=spec ${1:+--test-name-pattern="$1"} console.test.mjs
