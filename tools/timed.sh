#!/usr/bin/env bash
# Runs a command and notes how long it took, for the table that ends `make test`.
#   tools/timed.sh FILE SUITE COMMAND…
set -euo pipefail

file=$1 suite=$2
shift 2
began=$EPOCHREALTIME
"$@"
ended=$EPOCHREALTIME
mkdir -p "$(dirname "$file")"
printf '%s %d.%03d\n' "$suite" $(((${ended/./} - ${began/./}) / 1000000)) $(((${ended/./} - ${began/./}) / 1000 % 1000)) >>"$file"
