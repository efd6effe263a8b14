"""Reads a repository somewhere else: which commits its refs stand for, and one folder of one commit, written as files.

Git is run as a child (of this process alone, with no configuration but ours): what a server sends is unpacked outside of
our memory and our loop, and ends with one signal, at any byte. Nothing of the repository is run or interpreted: no hook,
filter, attribute or submodule.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.api.conditions import Reason
from controller.clients._git_access import Access
from controller.clients._git_process import configured, credentials, executed
from controller.clients._git_tree import folder_in, named_tree, steps, tree_id
from controller.clients._git_words import Asked, refusal
from controller.clients._ssh import ssh_command
from controller.model.errors import Terminal

LISTING_SECONDS: Final = 60.0
FETCH_SECONDS: Final = 900.0
_LOCAL_SECONDS: Final = 300.0
_INHERITED: Final = frozenset({"PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}) | {
    each for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for each in (name, name.upper())
}
"""What git is told of our environment; the rest, as GIT_SSL_NO_VERIFY, is for somebody else's repositories."""
_SETTINGS: Final = (
    ("core.hooksPath", "/dev/null"),
    ("fetch.unpackLimit", "1"),
    ("gc.auto", "0"),
    # Bytes in a second: a server that has much to count says so every few seconds, in five of them.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("protocol.version", "2"),
    ("transfer.fsckObjects", "true"),
)
_RAW: Final = "* !text !eol !crlf -filter -ident -working-tree-encoding\n"
"""Stands above the attributes in a tree: files are written as they are stored."""
_LFS: Final = b"version https://git-lfs.github.com/spec/"
_TOLD: Final = 3
_NOT_OFFERED: Final = re.compile(r"unadvertised object|not our ref|no such remote ref", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Remote:
    """One repository, `url`, with `inherited` of our own environment."""

    url: str
    access: Access
    inherited: Mapping[str, str] = field(repr=False)

    async def refs(self, other: str = "") -> Mapping[str, str]:
        """Return the commits of branches and tags by full name, with `other`, a full name, those of that alone.

        Raises:
            Transient: the host is not known or does not answer as it should.
            Terminal: CredentialsMissing, SourceNotFound (no such repository), SourceRefused (its certificate, its key).
        """
        which = ["--", self.url, other] if other else ["--heads", "--tags", "--", self.url]
        told = await self._ask("ls-remote", "--quiet", *which, seconds=LISTING_SECONDS)
        found: dict[str, str] = {}
        for line in told.decode(errors="replace").splitlines():
            commit, _, name = line.partition("\t")
            # What an annotated tag leads to comes behind the tag itself.
            found[name.removesuffix("^{}")] = commit
        return found

    async def fetch(self, commit: str, name: str | None, repository: Path) -> None:
        """Get one commit, without its history, into a new repository; `name` is the ref that it was found under.

        Raises:
            Transient, Terminal: as `refs`; Transient also when the commit is gone meanwhile.
        """
        await self._git("init", "--quiet", "--bare", "--template=", "--", str(repository))
        (repository / "info").mkdir(exist_ok=True)
        (repository / "info" / "attributes").write_text(_RAW)
        options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
        asked = ("--git-dir", str(repository), "fetch", *options, "--", self.url)
        code, _, said = await self._run(*asked, commit, seconds=FETCH_SECONDS)
        if code != 0 and name is not None and _NOT_OFFERED.search(said):
            # Servers of the protocol's first version give away what a ref stands for, and no other commit.
            code, _, said = await self._run(*asked, name, seconds=FETCH_SECONDS)
        if code != 0:
            raise refusal(self._asked(commit), said)

    async def write(self, repository: Path, commit: str, path: str, folder: Path) -> None:
        """Write the folder at `path` of a fetched commit as `folder`/tree, with what proves it as `folder`/proof.json.

        Raises:
            Terminal: SourceRefused: there is no such folder, or it holds what is not taken; all of it is named.
        """
        objects = await self._way(repository, commit, path)
        found = named_tree(commit, path, objects)
        if found is None:
            raise self._refused(
                f"{self._where(path, commit)} is no folder", f"Correct {self.access.where}.path."
            )
        tree, index = folder / "tree", folder / "index"
        tree.mkdir(parents=True)
        more = {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": str(index)}
        await self._git("read-tree", found, **more)
        listed = await self._git("ls-files", "--stage", "-z", **more)
        await self._git("checkout-index", "--all", "--quiet", **more)
        index.unlink(missing_ok=True)
        if problems := await asyncio.to_thread(_problems, tree, os.fsdecode(listed)):
            more_of_them = len(problems) - _TOLD
            told = "; ".join(problems[:_TOLD]) + (f" and {more_of_them} more" if more_of_them > 0 else "")
            raise self._refused(
                f"{self._where(path, commit)} holds what is not taken: {told}",
                "Put the files themselves there.",
            )
        if await asyncio.to_thread(tree_id, tree) != found:
            raise self._refused(
                f"{self._where(path, commit)} is not what its commit says once it is written here",
                "Have it committed anew by a current git, with names that differ in more than case.",
            )
        proof = {
            "url": self.url,
            "commit": commit,
            "path": path,
            "objects": [base64.b64encode(each).decode() for each in objects],
        }
        (folder / "proof.json").write_text(json.dumps(proof, indent=1))

    async def _way(self, repository: Path, commit: str, path: str) -> list[bytes]:
        """Return the commit and the trees on the way to a path, as git stores them; fewer when it ends before."""
        more = {"GIT_DIR": str(repository)}
        objects = [await self._git("cat-file", "commit", commit, **more)]
        tree: str | None = objects[0].split(b"\n", 1)[0].removeprefix(b"tree ").decode()
        for name in steps(path):
            if tree is None:
                break
            objects.append(await self._git("cat-file", "tree", tree, **more))
            tree = folder_in(objects[-1], name)
        return objects

    def _where(self, path: str, commit: str) -> str:
        return f"{path} of {self.url} at {commit[:7]}" if path != "." else f"{self.url} at {commit[:7]}"

    def _refused(self, message: str, fix: str) -> Terminal:
        return Terminal(Reason.SOURCE_REFUSED, f"{message}.", fix=fix)

    async def _ask(self, *arguments: str, seconds: float) -> bytes:
        code, out, said = await self._run(*arguments, seconds=seconds)
        if code != 0:
            raise refusal(self._asked(None), said)
        return out

    async def _git(self, *arguments: str, **more: str) -> bytes:
        """Run what needs no network; a refusal is one of the repository's content."""
        code, out, said = await self._run(*arguments, seconds=_LOCAL_SECONDS, **more)
        if code != 0:
            raise self._refused(
                f"{self.url} cannot be checked out: {said.strip()}", "Correct the repository."
            )
        return out

    def _asked(self, commit: str | None) -> Asked:
        access = self.access
        hidden = frozenset({access.token} if access.token else ())
        return Asked(
            self.url, access.where, access.secret, frozenset(access.files), commit=commit, hidden=hidden
        )

    async def _run(self, *arguments: str, seconds: float, **more: str) -> tuple[int, bytes, str]:
        return await executed(
            arguments, environment={**self._environment(), **more}, seconds=seconds, alone=True
        )

    def _environment(self) -> dict[str, str]:
        given, files = self.access, self.access.files
        own = {
            **{name: value for name, value in self.inherited.items() if name in _INHERITED},
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ALLOW_PROTOCOL": "http:https:ssh",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": shlex.join(ssh_command(files)),
        }
        own |= credentials(self.url, given.token, own, user=given.user)
        authority = [("http.sslCAInfo", str(files["ca.crt"]))] if "ca.crt" in files else []
        return own | configured([*_SETTINGS, *authority], own)


def _problems(tree: Path, listed: str) -> list[str]:
    """Return what of a written tree is not taken: submodules, files of Git LFS, and links that leave it."""
    found = []
    for line in filter(None, listed.split("\0")):
        facts, _, name = line.partition("\t")
        path, mode = tree / name, facts.split(" ", 1)[0]
        if mode == "160000":
            found.append(f"{name} is a submodule")
        elif mode == "120000":
            if not _stays(path, tree):
                found.append(f"{name} is a link that leaves the folder ({path.readlink()})")
        else:
            with path.open("rb") as stream:
                if stream.read(len(_LFS)) == _LFS:
                    found.append(f"{name} is kept in Git LFS")
    return found


def _stays(link: Path, tree: Path) -> bool:
    try:
        target = link.resolve(strict=True)
    except FileNotFoundError:  # it leads nowhere, which is for whoever reads it to judge
        target = link.resolve()
    except (OSError, RuntimeError):  # to itself: RuntimeError before Python 3.13
        return False
    return target.is_relative_to(tree.resolve())
