#!/bin/sh
# Pulls the current images and brings the containers that run old ones to them: the documented command of old, which calls
# `wsr refresh` with the same flags, and with any other of its own.
#
#   scripts/refresh-workspace-images.sh                       all templates of the document
#   scripts/refresh-workspace-images.sh --runtime langgraph   one of them
#   scripts/refresh-workspace-images.sh --no-recreate         pull only, leave containers as they are
#   scripts/refresh-workspace-images.sh --force               do not wait for work in progress
#
# The document is what -f names, else runtime.yaml of the folder that this is called in. `wsr` is looked for in this checkout's
# .venv and on PATH.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
PATH="$root/.venv/bin:$PATH"
if ! command -v wsr >/dev/null; then
    echo "wsr is not installed: it is neither in $root/.venv/bin nor on PATH." >&2
    echo "Run \`make install\` in $root, then this again." >&2
    exit 127
fi
for given; do
    case $given in
        -f | -f?* | --file | --file=* | -h | --help) named=1 ;;
    esac
done
[ -n "${named:-}" ] || set -- -f runtime.yaml "$@"
for given; do
    shift
    [ "$given" = -h ] && given=--help
    set -- "$@" "$given"
done
exec wsr refresh "$@"
