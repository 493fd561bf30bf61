#!/usr/bin/env bash
# Installs what is missing, and only that: `setup.sh` to build and run, `setup.sh test` and
# `setup.sh fuzz` for those as well.
set -eu

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }

need cc gcc
need make make
need cmake cmake # Pingora's zlib is built with it
[ "${1:-}" != fuzz ] || need c++ g++ # libFuzzer
if [ "${1:-}" = test ]; then
  need python3 python3
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  need node nodejs
  need npm npm
  need curl curl
  need valgrind valgrind # counts instructions for `make bench-check`
  # The console's tests drive any of these browsers.
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    missing+=(chromium)
  # Half of the pictures are in Chinese.
  ls /usr/share/fonts/*/*/*CJK* >/dev/null 2>&1 || missing+=(fonts-noto-cjk)
fi

if [ "${1:-}" = test ] && command -v node >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
  echo "please install Node 20 or newer: the official SDKs do not run on $(node --version)" >&2
  exit 1
fi

if [ "${#missing[@]}" -gt 0 ]; then
  echo "installing: ${missing[*]}" >&2
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "please install these with your system's package manager: ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then
  echo "please install Rust (rustup.rs), version $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer" >&2
  exit 1
fi
