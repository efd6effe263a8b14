"""The layer of Debian packages: extracted, not installed, so that there is neither a package manager nor a shell to log in to."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from tools.images.byte_code import compiled
from tools.images.layers import CAPABILITY, tree_entries, write_tar
from tools.images.recipes import SUITE, USER

_LEFT_OUT: Final = (
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/lintian/*",
    "./usr/share/bash-completion/*",
    "./usr/share/debconf/*",
    "./usr/share/gitweb/*",
    "./usr/share/git-core/contrib/*",
    "./usr/share/bug/*",
    "./etc/cron.*",
    "./etc/apt*",
    # A package manager that was depended on, with nothing that it could manage.
    "./usr/bin/dpkg*",
    "./usr/sbin/dpkg*",
    "./usr/lib/dpkg*",
    "./usr/share/dpkg*",
    "./etc/dpkg*",
    # git and ca-certificates depend on Perl for commands that nobody runs here.
    "./usr/share/perl*",
    "./usr/lib/*/perl*",
    "./usr/lib/*/libperl*",
    "./usr/bin/perl*",
    "./usr/bin/*.pl",
    # Of Docker only the command is wanted, which builds in the engine of the machine.
    "./usr/sbin/docker*",
    "./usr/bin/containerd*",
    "./usr/bin/ctr",
    "./usr/bin/runc",
    "./usr/sbin/runc",
    "./usr/sbin/*tables*",
    "./usr/sbin/nft",
    "./usr/lib/*/*tables/*",
    # Networks are made by plugins, and builds in a pod are in that of the pod.
    "./usr/lib/cni/*",
    "./dev/*",
    "./var/cache/*",
    "./var/lib/apt/*",
    "./var/log/*",
)
"""Documents, and programs of packages that are depended on for something else."""
_SUBORDINATE: Final = b"nonroot:100000:65536\n"
"""Whom others than root are in a user namespace of ours; in an image without `newuidmap` it says nothing."""
_NOTES: Final = (
    'mkdir -p "$1/var/lib/dpkg/status.d"; '
    'for deb in "$1"/var/cache/apt/archives/*.deb; do '
    'name=$(dpkg-deb --field "$deb" Package); dpkg-deb --field "$deb" >"$1/var/lib/dpkg/status.d/$name"; done'
)
"""Which packages in which versions there are, where scanners of images without a package manager look for it."""
_CAPABILITIES: Final = {
    "./usr/bin/newgidmap": b"\1\0\0\2\x40" + bytes(15),  # CAP_SETGID, as capabilities(7) has it in a file
    "./usr/bin/newuidmap": b"\1\0\0\2\x80" + bytes(15),  # CAP_SETUID
}
"""What maps users into a namespace, where a build is root; set-uid instead, which Debian has, needs more than a container gets."""
_MERGED_USR: Final = "/usr/share/mmdebstrap/hooks/merged-usr"


class DebianFailed(Exception):  # noqa: N818 -- the word callers print
    """The packages could not be had; the text says what was said of it."""


def write_debian_tar(packages: tuple[str, ...], tar: Path, *, source: str, mmdebstrap: str) -> None:
    """Write the file system of `packages` and what they depend on.

    Args:
        packages: names of Debian packages of `SUITE`.
        tar: where to.
        source: a line of apt's, as `deb URL SUITE main`; with a snapshot's URL the same packages come for ever.
        mmdebstrap: the program.

    Raises:
        DebianFailed: it did not work.
    """
    raw = tar.with_suffix(".raw.tar")
    command = [
        *(mmdebstrap, "--variant=extract", f"--hook-dir={_MERGED_USR}", f"--include={','.join(packages)}"),
        *(
            '--aptopt=Apt::Install-Recommends "false"',
            f"--extract-hook={_NOTES}",
        ),
        *(SUITE, str(raw), source),
    ]
    try:
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise DebianFailed(
                f"mmdebstrap could not get {', '.join(packages)} from {source!r}: {done.stderr[-800:]}"
            )
        write_tar(tar, _entries(raw))
    finally:
        raw.unlink(missing_ok=True)


def _entries(raw: Path) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    authorities: list[bytes] = []
    folders: set[PurePosixPath] = set()
    modules: dict[str, bytes] = {}
    with tarfile.open(raw) as archive:
        for member in archive:
            if member.name == "." or any(fnmatch.fnmatch(member.name, pattern) for pattern in _LEFT_OUT):
                continue
            stream = archive.extractfile(member) if member.isreg() else None
            data = stream.read() if stream else None
            if data is not None and fnmatch.fnmatch(member.name, "./usr/share/ca-certificates/mozilla/*.crt"):
                authorities.append(data)
            if member.isdir():
                folders.add(PurePosixPath(member.name))
            if data is not None and fnmatch.fnmatch(member.name, "./usr/lib/python3*.py"):
                modules[member.name.removeprefix("./")] = data
            member.mode &= ~0o6000  # nobody becomes somebody else here
            if (allowed := _CAPABILITIES.get(member.name)) is not None:
                member.pax_headers = {CAPABILITY: allowed.decode(errors="surrogateescape")}
            yield member, data
    ours = tree_entries(
        {
            "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n".encode(),
            "etc/passwd": f"root:x:0:0::/root:/usr/sbin/nologin\nnonroot:x:{USER}:{USER}::/tmp:/usr/sbin/nologin\n".encode(),
            "etc/subgid": _SUBORDINATE,
            "etc/subuid": _SUBORDINATE,
            # What Debian's own scripts make when the packages are installed.
            "etc/ssl/certs/ca-certificates.crt": b"".join(authorities),
            **dict(compiled(modules, "")),
        }
    )
    # Docker takes no layer that names a path twice.
    yield from ((entry, data) for entry, data in ours if PurePosixPath(entry.name) not in folders)
