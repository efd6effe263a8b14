#!/usr/bin/env bash
# Installs the named Debian packages when they are absent, and starts none of their services:
# the tests start what they use, and end it. Needs root or sudo without a password.
#   tools/setup/debian-packages.sh docker.io docker-registry mmdebstrap
set -euo pipefail

absent=()
for package in "$@"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || absent+=("$package")
done
((${#absent[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  if ! sudo -n true 2>/dev/null; then
    echo "Missing Debian packages: ${absent[*]}. Installing them needs root: run 'sudo apt-get install ${absent[*]}' once." >&2
    exit 1
  fi
  as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
  echo "Missing: ${absent[*]}. This script knows Debian only; install them with this machine's own means." >&2
  exit 1
fi

# invoke-rc.d and deb-systemd-invoke start nothing while this file answers 101. One that is there already is obeyed.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod +x "$policy"
fi
"${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "${absent[@]}" >&2
