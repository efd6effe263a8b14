"""`package`: a source folder becomes a build tree, and from it a wheel and an sdist that are proven before they are let out."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from builder import __version__
from builder.contract import CONSOLE_SCRIPT, DEFAULT_MODULE, DEFAULT_NAME, Outcome, PackageRun, Report
from builder.problems import Complaint, Refused
from builder.stages import collect, metadata, prove, rewrite
from builder.stages._folder import check_folder, fill_folder
from builder.tree import REQUIREMENTS, SourceTree, read_tree
from builder.verbs._arguments import Arguments

_Result = TypeVar("_Result")


def run(arguments: Sequence[str]) -> Report:
    """Read the arguments of `package` and run it."""
    return package(parse(arguments))


def parse(arguments: Sequence[str]) -> PackageRun:
    """Read what follows `package` on the command line."""
    parser = Arguments("package", "Build the package of a source folder.")
    parser.add_argument(
        "--source", type=Path, required=True, metavar="DIR", help="the source, with bare imports"
    )
    parser.add_argument("--version", required=True, help="PEP 440; written in its normal form")
    parser.add_argument("--out", type=Path, required=True, metavar="TREE", help="where the build tree goes")
    parser.add_argument("--name", default=DEFAULT_NAME, help="of the distribution")
    parser.add_argument("--module", default=DEFAULT_MODULE, help="import name of the package")
    parser.add_argument(
        "--dist", type=Path, metavar="DIST", help="where wheel and sdist go; without it none are built"
    )
    parser.add_argument("--commit", metavar="SHA", help="the commit the source was read at")
    return PackageRun(**vars(parser.parse_args(arguments)))


def package(given: PackageRun) -> Report:
    """Build what is asked for and report it.

    Raises:
        Refused: with everything that is wrong with the source, the version and the output folders, told at once.
    """
    begun = time.monotonic()
    _check_places(given)
    prepared = prepare(given)
    project, files = prepared.project, prepared.files
    for finding in prepared.findings:
        sys.stderr.write(f"{finding}\n")
    fill_folder(given.out, files)
    facts: dict[str, Any] = {
        "version": project.version,
        "builderVersion": __version__,
        "treeSha256": project.tree_sha256,
        "requires": project.requires,
        "findings": len(prepared.findings),
        "provenOn": prepared.proven_on,
    }
    if given.dist is not None:
        tree = {path: content for path, (content, _) in files.items()}
        facts |= _distributions(given, given.dist, project, tree)
    facts["seconds"] = round(time.monotonic() - begun, 3)
    return Report("package", Outcome.DONE, "Packaged", f"{project.name} {project.version} is built.", facts)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a build tree will hold (bytes and mode by path), proven; `findings` are for people."""

    project: metadata.Project
    files: dict[str, tuple[bytes, int]]
    findings: tuple[Complaint, ...]
    proven_on: tuple[str, ...]


def prepare(given: PackageRun) -> Prepared:
    """Read, rewrite and prove a source, without writing anything.

    Raises:
        Refused: with everything that is wrong, told at once.
    """
    with _no_collector():
        return _prepared(given)


def _prepared(given: PackageRun) -> Prepared:
    refusals: list[Refused] = []
    version = _attempt(refusals, lambda: metadata.normalised_version(given.version))
    _attempt(refusals, lambda: check_folder(given.out))
    tree = _attempt(refusals, lambda: read_tree(given.source))
    contents = _attempt(refusals, tree.read) if tree else None
    if tree is None or contents is None:
        raise _together(refusals)
    collected = collect.collect(tree, contents)
    _attempt(refusals, lambda: collect.check_names(collected, given.module))
    requires = _attempt(refusals, lambda: metadata.read_requirements(contents.get(REQUIREMENTS))) or ()
    top_level = {name: collected.index.modules[name].path for name in collected.index.top_level}
    _attempt(refusals, lambda: metadata.check_clashes(requires, top_level))
    rewritten = _attempt(refusals, lambda: rewrite.rewrite(collected, given.module))
    if rewritten is not None:
        inside = {"__init__.py": b"", **rewritten.files}
        proven_on = _attempt(refusals, lambda: prove.prove_package(inside, given.source, given.module))
    else:
        _attempt(refusals, lambda: prove.prove_console_script(collected.files, given.module))
    if refusals or rewritten is None or version is None or proven_on is None:
        raise _together(refusals)
    project = metadata.Project(
        given.name, given.module, version, requires, given.commit, tree.sha256(contents)
    )
    around = metadata.surroundings(project, given.source)
    return Prepared(project, _laid_out(tree, inside, around, given.module), rewritten.findings, proven_on)


def _laid_out(
    tree: SourceTree, inside: dict[str, bytes], around: dict[str, bytes], module: str
) -> dict[str, tuple[bytes, int]]:
    modes = {file.path: file.mode for file in tree.shipped}
    files = {path: (content, 0o644) for path, content in around.items()}
    return files | {f"{module}/{path}": (content, modes.get(path, 0o644)) for path, content in inside.items()}


def _distributions(
    given: PackageRun, dist: Path, project: metadata.Project, tree: dict[str, bytes]
) -> dict[str, object]:
    from builder.stages import wheel  # noqa: PLC0415 -- a build tree alone does not need the build tools

    start = f"{given.module}/"
    proven = {path.removeprefix(start): tree[path] for path in tree if path.startswith(start)}
    with tempfile.TemporaryDirectory(prefix="package-") as scratch:
        built = wheel.build_distributions(given.out, metadata.BACKEND, Path(scratch))
        prove.prove_wheel(
            built[0], proven, module=given.module, script=(CONSOLE_SCRIPT, project.script_target)
        )
        prove.prove_sdist(built[1], tree)
        content = wheel.content_sha256(built[0], given.module)
        placed = wheel.place(built, dist)
    named = {
        kind: {"file": str(each.path), "sha256": each.sha256}
        for kind, each in zip(("wheel", "sdist"), placed, strict=True)
    }
    return {**named, "contentSha256": content}


@contextmanager
def _no_collector() -> Iterator[None]:
    """Syntax trees are many small objects without cycles: looking for cycles among them doubles the time of parsing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check_places(given: PackageRun) -> None:
    source, out = given.source.resolve(), given.out.resolve()
    wrong = []
    if out.is_relative_to(source) or source.is_relative_to(out):
        wrong.append(
            f"{given.out}: the build tree cannot lie in the source, nor around it. Choose another folder."
        )
    if given.dist is not None and given.dist.resolve().is_relative_to(out):
        wrong.append(f"{given.dist}: wheel and sdist cannot lie in the build tree. Choose another folder.")
    if given.dist is not None and given.dist.resolve().is_relative_to(source):
        wrong.append(f"{given.dist}: wheel and sdist cannot lie in the source. Choose another folder.")
    if wrong:
        raise Refused("BadPlace", wrong)


def _attempt(refusals: list[Refused], step: Callable[[], _Result]) -> _Result | None:
    try:
        return step()
    except Refused as refusal:
        refusals.append(refusal)
        return None


def _together(refusals: list[Refused]) -> Refused:
    reasons = {refusal.reason for refusal in refusals}
    reason = reasons.pop() if len(reasons) == 1 else "SourceRefused"
    return Refused(reason, [complaint for refusal in refusals for complaint in refusal.complaints])
