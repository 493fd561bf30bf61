#!/usr/bin/env bash
# `make run`: a gateway with an account, a fresh key, and a line to paste.
set -eu

tollgate=$1
export TOLLGATE_CONFIG=$2

"$tollgate" -q check
"$tollgate" account show demo >/dev/null 2>&1 || "$tollgate" -q account create demo --credit 10 >/dev/null
key=$("$tollgate" -q --json key create --account demo --name "run-$(date +%Y%m%d-%H%M%S)" | sed -E 's/.*"key":"([^"]+)".*/\1/')
console=$(sed -nE '/^console:/,/^[a-z]/s/.*listen: *"?([^" }]+).*/\1/p' "$TOLLGATE_CONFIG" | head -n 1)
address=$(sed -nE 's/.*listen: *\["([^"]+)".*/\1/p' "$TOLLGATE_CONFIG" | head -n 1)

cat <<TEXT

  Tollgate answers at  http://$address/v1
  Your key             $key

  Paste this into another terminal:

    curl -N http://$address/v1/chat/completions \\
      -H 'Authorization: Bearer $key' -H 'Content-Type: application/json' \\
      -d '{"model": "gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'

  The console is at    http://${console:-127.0.0.1:8081}
                       To sign up as its first operator, open the link that the log shows below.

  What it cost:  $tollgate -c $TOLLGATE_CONFIG ledger --account demo

TEXT
exec "$tollgate" serve
