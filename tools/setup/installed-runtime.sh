#!/usr/bin/env bash
# Builds the wheel of workspace/ as it is now, installs it into build/installed-runtime with what it needs and nothing
# else, and prints the interpreter there.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
uv=$(tools/setup/uv.sh)
home=build/installed-runtime
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

.venv/bin/python -m builder package --source workspace --version 0.1.0 --out "$work/tree" --dist "$work/dist" >&2
[[ -x $home/bin/python ]] || "$uv" venv --quiet --python .venv/bin/python "$home" >&2
"$uv" pip install --quiet --python "$home/bin/python" --reinstall-package molecule-ai-workspace-runtime "$work"/dist/*.whl >&2
echo "$PWD/$home/bin/python"
