"""Asks git which commit a folder is at and what changed since a tag, and pushes a tag, or one file, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from controller.clients._git_process import GitFailed, credentials, execute, translated
from controller.model.errors import Problem, Terminal
from controller.model.redaction import redact
from controller.model.release import Change

_SECONDS = 10.0
_NETWORK_SECONDS: Final = 300.0
_NOBODY: Final = {
    f"GIT_{role}_{fact}": value
    for role in ("AUTHOR", "COMMITTER")
    for fact, value in (("NAME", "wsr"), ("EMAIL", "wsr@localhost"))
}
"""Who signs where nobody has told git who they are, as on a workflow's runner."""


async def commit_of(directory: Path) -> str | None:
    """Return the commit of a folder in a git work tree, or None: no git, no repository, or uncommitted changes."""
    head = await _git(directory, "rev-parse", "HEAD")
    if head is None or await _git(directory, "status", "--porcelain", "--", ".") != "":
        return None
    return head


class Repository:
    """The repository that a folder belongs to, and one remote of it."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        remote: str = "origin",
        token: str | None = None,
    ) -> None:
        """`token` goes to the remote's own address, by git's credential mechanism; without one git's own credentials do."""
        self._folder, self._remote, self._token = folder, remote, token
        self._environment = {**environment, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}

    async def head(self) -> str:
        """Return the commit that is checked out.

        Raises:
            Terminal: Invalid (no git, no repository, or one without a commit), GitRefused.
        """
        try:
            return await self._run("rev-parse", "--verify", "HEAD^{commit}")
        except GitFailed as error:
            if "not a git repository" not in error.said and "Needed a single revision" not in error.said:
                raise
            raise Terminal(
                "Invalid",
                f"{self._folder} is not in a git repository with a commit.",
                fix="Name one with --repo DIR.",
            ) from error

    async def remote_url(self) -> str | None:
        """Return the remote's address, or None when there is no such remote."""
        try:
            return await self._run("remote", "get-url", self._remote)
        except GitFailed:
            return None

    async def tags(self, pattern: str) -> Mapping[str, str]:
        """Return commits by tag of the clone here."""
        form = "--format=%(objectname) %(refname)%0a%(*objectname) %(refname)^{}"
        return _commits_by_tag(await self._run("for-each-ref", form, f"refs/tags/{pattern}"))

    async def remote_tags(self, pattern: str) -> Mapping[str, str]:
        """Return commits by tag of the remote.

        Raises:
            Transient, Terminal: it cannot be asked.
        """
        said = await self._ask("read", "ls-remote", "--tags", self._remote, f"refs/tags/{pattern}")
        return _commits_by_tag(said)

    async def reach(self, tag: str, commit: str) -> None:
        """See to it that the history from `tag` at `commit` to HEAD is here; a shallow clone is completed.

        Raises:
            Terminal: HistoryMissing (it cannot be fetched), TagElsewhere (HEAD does not descend from it).
        """
        shallow = await self._run("rev-parse", "--is-shallow-repository") == "true"
        if shallow or not await self._succeeds("cat-file", "-e", f"{commit}^{{commit}}"):
            what = ["--unshallow", self._remote] if shallow else [self._remote, f"refs/tags/{tag}"]
            try:
                await self._ask("read", "fetch", "--quiet", "--no-tags", *what)
            except Problem as problem:
                raise Terminal(
                    "HistoryMissing",
                    f"The history since {tag} is not in this {'shallow ' if shallow else ''}clone: {problem}",
                    fix=f"Run: git fetch --tags {' '.join(what)}; in a workflow, check out with fetch-depth: 0.",
                ) from problem
        if not await self._succeeds("merge-base", "--is-ancestor", commit, "HEAD"):
            raise Terminal(
                "TagElsewhere",
                f"{tag} ({commit[:7]}) is not in the history of what is checked out ({(await self.head())[:7]}).",
                fix="Check out the branch that is released from, up to date.",
            )

    async def is_pushed(self, commit: str) -> bool:
        """Tell whether a branch of the remote has `commit`; what such branches lack here is fetched, without names.

        Raises:
            Transient, Terminal: the remote cannot be asked.
        """
        lines = (await self._ask("read", "ls-remote", "--heads", self._remote)).splitlines()
        heads = {name: head for head, _, name in (line.partition("\t") for line in lines)}
        if commit in heads.values():
            return True
        new = [name for name, head in heads.items() if not await self._succeeds("cat-file", "-e", head)]
        if new:
            quietly = ("--quiet", "--no-tags", "--no-write-fetch-head")
            await self._ask("read", "fetch", *quietly, self._remote, *new)
        for head in heads.values():
            if await self._succeeds("merge-base", "--is-ancestor", commit, head):
                return True
        return False

    async def changes(self, since: str | None, paths: Sequence[str]) -> tuple[Change, ...]:
        """Return the commits of HEAD's main line that changed one of `paths`, newest first, since a commit or ever."""
        span = f"{since}..HEAD" if since else "HEAD"
        told = await self._run(
            *("-c", "log.showSignature=false", "log", "-z", "--first-parent", "--format=%H%n%B", span, "--"),
            *(f":(top){path}" for path in paths),
        )
        records = [record.partition("\n") for record in told.split("\0") if record]
        return tuple(Change(commit, message.strip()) for commit, _, message in records)

    async def push_tag(self, tag: str, commit: str, message: str) -> bool:
        """Make an annotated tag on the remote; return False when it stood there already, at this commit.

        The tag's object is made without a name and pushed under it, so that a run that dies leaves no tag here alone.

        Raises:
            Terminal: TagTaken, with both commits, CredentialsMissing, PushRefused.
            Transient: the remote cannot be reached.
        """
        made = await self._run("mktag", stdin=await self._tag_object(tag, commit, message))
        try:
            await self._ask("push to", "push", "--quiet", self._remote, f"{made}:refs/tags/{tag}")
        except Problem:
            # With the star also what an annotated tag points at is told.
            theirs = (await self.remote_tags(f"{tag}*")).get(tag)
            if theirs is None:
                raise
            if theirs == commit:
                return False
            raise Terminal(
                "TagTaken",
                f"{self._remote} has {tag} at {theirs[:7]}, not at {commit[:7]}.",
                fix="Somebody released meanwhile; run it again, on an up-to-date checkout.",
            ) from None
        # What is on the remote counts; a clone that cannot take the tag learns of it by the next fetch.
        await self._succeeds("update-ref", f"refs/tags/{tag}", made)
        return True

    async def push_file(self, path: Path, message: str) -> str:
        """Commit one file, where it differs from what is checked out, and push the branch; return the commit.

        Raises:
            Terminal: Invalid (no repository), NoBranch (nothing to push to), Ignored (git does not take the file), PushRefused (the branch moved meanwhile), CredentialsMissing, GitRefused.
            Transient: the remote cannot be reached.
        """
        try:
            branch = await self._run("symbolic-ref", "HEAD")
        except GitFailed as error:
            if "not a git repository" in error.said:
                raise Terminal(
                    "Invalid",
                    f"{self._folder} is in no git repository, so nothing can be pushed.",
                    fix="Clone the repository that holds the document, or leave out --push.",
                ) from error
            if "not a symbolic ref" not in error.said:
                raise
            raise Terminal(
                "NoBranch", f"{self._folder} has no branch checked out to push to.", fix="Check one out."
            ) from error
        try:
            state = await self._run("status", "--porcelain", "--ignored", "--", str(path))
            if state.startswith("!!"):
                raise Terminal(
                    "Ignored",
                    f"{path} is ignored by git, so it reaches no remote.",
                    fix="Take it out of .gitignore, or `git add --force` it once.",
                )
            if state:
                await self._run("add", "--", str(path))
                signed = await self._signature()
                await self._run("commit", "--quiet", "--message", message, "--", str(path), more=signed)
        except GitFailed as error:
            raise translated(f"Cannot commit {path}", error.said) from error
        await self._ask("push to", "push", "--quiet", self._remote, f"HEAD:{branch}")
        return await self.head()

    async def _signature(self) -> Mapping[str, str]:
        return {} if await self._succeeds("var", "GIT_COMMITTER_IDENT") else _NOBODY

    async def _tag_object(self, tag: str, commit: str, message: str) -> bytes:
        tagger = await self._run("var", "GIT_COMMITTER_IDENT", more=await self._signature())
        return f"object {commit}\ntype commit\ntag {tag}\ntagger {tagger}\n\n{message}\n".encode()

    async def _ask(self, verb: str, *arguments: str) -> str:
        """Run a command that talks to the remote."""
        more = credentials(await self.remote_url() or "", self._token, self._environment)
        try:
            return await self._run(*arguments, more=more, seconds=_NETWORK_SECONDS)
        except GitFailed as error:
            raise translated(f"Cannot {verb} {self._remote}", error.said) from error

    async def _succeeds(self, *arguments: str) -> bool:
        try:
            await self._run(*arguments)
        except GitFailed:
            return False
        return True

    async def _run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        more: Mapping[str, str] | None = None,
        seconds: float = _NETWORK_SECONDS,
    ) -> str:
        environment = {**self._environment, **(more or {})}
        code, out, err = await execute(
            ["-C", str(self._folder), *arguments], environment=environment, stdin=stdin, seconds=seconds
        )
        if code != 0:
            raise GitFailed(
                redact(err, {self._token} if self._token else ()).strip() or f"git ended with {code}"
            )
        return out.strip()


def _commits_by_tag(lines: str) -> dict[str, str]:
    """Read `OBJECT refs/tags/NAME` and `COMMIT refs/tags/NAME^{}`, of which the second is for annotated tags."""
    found: dict[str, str] = {}
    for line in lines.splitlines():
        commit, _, name = line.replace("\t", " ").partition(" ")
        if commit:
            found[name.removeprefix("refs/tags/").removesuffix("^{}")] = commit
    return found


async def _git(directory: Path, *arguments: str) -> str | None:
    try:
        code, out, _ = await execute(["-C", str(directory), *arguments], environment=None, seconds=_SECONDS)
    except Problem:
        return None
    return out.strip() if code == 0 else None
