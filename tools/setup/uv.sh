#!/usr/bin/env bash
# Prints the path of uv; installs it from the package index, into a folder of its own in the cache, when it is absent.
set -euo pipefail

if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
  command -v uv
  exit 0
fi
home="${XDG_CACHE_HOME:-$HOME/.cache}/workspace-runtime/uv"
if [[ ! -x $home/bin/uv ]]; then
  for python in python3.13 python3.12 python3.11 python3; do
    command -v "$python" >/dev/null && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && break
    python=
  done
  if [[ -z $python ]]; then
    "$(dirname "$0")/debian-packages.sh" python3 python3-venv
    python=/usr/bin/python3
  fi
  # Debian splits ensurepip off into python3-venv.
  "$python" -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/debian-packages.sh" python3-venv
  "$python" -m venv "$home" >&2
  "$home/bin/pip" --quiet --disable-pip-version-check install uv >&2
fi
echo "$home/bin/uv"
