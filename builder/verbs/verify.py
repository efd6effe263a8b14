"""`verify`: proves a wheel, from its bytes alone and then by installing and booting it, before anything is built on it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from builder.archive import Archive
from builder.contract import (
    CONSOLE_SCRIPT,
    DEFAULT_MODULE,
    DEFAULT_NAME,
    REQUIRES_PYTHON,
    Outcome,
    Report,
    VerifyRun,
)
from builder.findings import FORMATS, Finding, errors, rendered, text_lines
from builder.pipconf import Index
from builder.problems import Refused
from builder.stages import boot, clean_install, declared, entry_points, previous, prove, public_names
from builder.stages._folder import writing
from builder.stages.wheel import content_sha256
from builder.stages.wheel_metadata import examine_metadata
from builder.verbs._arguments import Arguments, plain_url


def run(arguments: Sequence[str]) -> Report:
    """Read the arguments of `verify` and run it."""
    return verify(parse(arguments))


def parse(arguments: Sequence[str]) -> VerifyRun:
    """Read what follows `verify` on the command line."""
    parser = Arguments("verify", "Prove a wheel.")
    parser.add_argument("--wheel", type=Path, required=True, metavar="FILE", help="the wheel")
    parser.add_argument("--version", help="the version that it must be; without it, any")
    parser.add_argument("--name", default=DEFAULT_NAME, help="of the distribution")
    parser.add_argument("--module", default=DEFAULT_MODULE, help="import name of the package")
    parser.add_argument("--static", action="store_true", help="only what its bytes tell: no install, no boot")
    parser.add_argument(
        "--index-url", metavar="URL", help="a simple index; without it, what pip here is set to"
    )
    parser.add_argument("--previous", type=Path, metavar="FILE", help="the release before, as a wheel")
    parser.add_argument(
        "--removed", action="append", default=[], metavar="NAME", help="may be gone; may be given again"
    )
    parser.add_argument(
        "--deadline", type=float, default=60.0, metavar="SECONDS", help="for the start and for the stop"
    )
    parser.add_argument(
        "--findings", type=Path, metavar="FILE", help="where findings go; without it, to stderr"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="of that file")
    given = parser.parse_args(arguments)
    instead = "Set them in pip's configuration, or in PIP_INDEX_URL."
    return VerifyRun(
        wheel=given.wheel,
        version=given.version,
        name=given.name,
        module=given.module,
        static=given.static,
        index_url=plain_url(given.index_url, instead=instead) if given.index_url else None,
        previous=given.previous,
        removed=tuple(given.removed),
        deadline_seconds=given.deadline,
        findings=given.findings,
        format=given.format,
    )


@dataclass(slots=True)
class _Verified:
    """What is known of the wheel so far."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def verify(given: VerifyRun) -> Report:
    """Prove the wheel and report what it is; findings refuse it.

    Raises:
        Refused: it is another package or version than said; wrong use; an index that must be set right.
        TryAgain: IndexUnavailable.
    """
    begun = time.monotonic()
    if given.removed and given.static and given.previous is None:
        raise Refused(
            "WrongUse",
            ["--removed needs the release before: name it with --previous, or leave out --static."],
        )
    known = _Verified()
    archive = _read(given, known)
    if archive is not None:
        with tempfile.TemporaryDirectory(prefix="verify-") as scratch:
            _prove(given, archive, known, Path(scratch))
    known.findings.sort()
    known.facts["seconds"] = round(time.monotonic() - begun, 3)
    return _report(given, known)


def _prove(given: VerifyRun, archive: Archive, known: _Verified, scratch: Path) -> None:
    """Hold the wheel to the rules, the cheap ones first; what comes later is for a wheel that passed all before."""
    known.findings += _static(given, archive)
    if errors(known.findings):
        return
    known.facts["contentSha256"] = content_sha256(archive.path, given.module)
    known.facts["requires"] = archive.requires
    if given.static and given.previous is None:
        return
    index = None if given.static else clean_install.index_of_pip(given.index_url)
    known.findings += _compared(given, archive, known, index, scratch)
    if index is None:
        return
    environment = _installed(given, archive, known, index, scratch)
    if not errors(known.findings):
        known.findings += _booted(given, archive, known, environment, scratch)


def _read(given: VerifyRun, known: _Verified) -> Archive | None:
    name = given.wheel.name
    known.facts |= {"wheel": name, "static": given.static}
    try:
        archive = Archive.read(given.wheel)
    except Refused as refusal:
        known.findings.append(Finding(name, 0, refusal.reason, refusal.message))
        return None
    version = str(archive.version)
    if archive.name != canonicalize_name(given.name) or Version(given.version or version) != archive.version:
        wanted = f"{given.name} {given.version or ''}".rstrip()
        raise Refused("WrongWheel", [f"{name} is {archive.name} {version}, not {wanted}. Give that wheel."])
    known.facts |= {"version": version, "sha256": archive.sha256}
    return archive


def _static(given: VerifyRun, archive: Archive) -> list[Finding]:
    findings = examine_metadata(archive)
    files = archive.package(given.module)
    if "__init__.py" not in files:
        message = f"The wheel holds no package {given.module}."
        return [*findings, Finding(archive.path.name, 0, "PackageMissing", message)]
    findings += [
        Finding.of(complaint, given.module, "UnresolvedImport")
        for complaint in prove.examine_code(files, given.module, archive.requires_python or REQUIRES_PYTHON)
    ]
    if archive.dist_info:
        findings += entry_points.examine_entry_points(
            archive, module=given.module, script=CONSOLE_SCRIPT, follow=prove.examine_script
        )
    return findings


def _compared(
    given: VerifyRun, archive: Archive, known: _Verified, index: Index | None, scratch: Path
) -> list[Finding]:
    """Compare with the release before: the given one, else what the index has."""
    path = given.previous
    if path is None and index is not None:
        path = asyncio.run(previous.fetch_previous(index, archive.name, archive.version, scratch))
    elif index is not None:
        asyncio.run(previous.check_reachable(index, [archive.name]))
    if path is None:
        known.facts["previous"] = None
        if given.removed:
            raise Refused(
                "NothingRemoved",
                [
                    f"--removed {given.removed[0]}: there is no release before {archive.version}. Leave it out."
                ],
            )
        _say(f"No release before {archive.version} to compare with: this is the first one.")
        return []
    earlier = _earlier(path, archive)
    known.facts["previous"] = str(earlier.version)
    _say(f"Comparing public names with those of {earlier.version}.")
    before, after = (
        public_names.public_names(each.package(given.module), given.module) for each in (earlier, archive)
    )
    return public_names.removals(before, after, version=str(earlier.version), allowed=given.removed)


def _earlier(path: Path, archive: Archive) -> Archive:
    try:
        earlier = Archive.read(path)
    except Refused as refusal:
        raise Refused(refusal.reason, [f"{path.name}: {refusal.message}"]) from refusal
    if earlier.name != archive.name:
        raise Refused(
            "WrongWheel", [f"{path.name} is no release of {archive.name}. Give the release before."]
        )
    return earlier


def _installed(
    given: VerifyRun, archive: Archive, known: _Verified, index: Index, scratch: Path
) -> clean_install.CleanEnvironment:
    """Install into a clean environment, and compare what is imported with what is declared."""
    _say("Installing into a clean environment.")
    requires: list[str] = known.facts["requires"]
    environment = clean_install.CleanEnvironment.create(scratch / "environment")
    found = environment.install(archive, index, named=given.index_url is not None)
    known.findings += found
    if any(finding.rule == "DependencyUnresolvable" for finding in found):
        asyncio.run(previous.check_reachable(index, [Requirement(each).name for each in requires]))
        return environment
    imports = declared.third_party_imports(archive, given.module)
    providers = environment.providers([each.name for each in imports])
    # the wheel may hold more than the package: what it brings itself needs no declaration
    known.findings += declared.undeclared(imports, [archive.name, *requires], providers)
    return environment


def _booted(
    given: VerifyRun,
    archive: Archive,
    known: _Verified,
    environment: clean_install.CleanEnvironment,
    scratch: Path,
) -> list[Finding]:
    _say("Booting it and holding two turns.")
    order = boot.BootOrder(
        script=environment.script(CONSOLE_SCRIPT),
        module=given.module,
        version=str(archive.version),
        content_sha256=known.facts["contentSha256"],
        deadline_seconds=given.deadline_seconds,
    )
    (folder := scratch / "boot").mkdir()
    return asyncio.run(boot.examine_boot(order, folder))


def _report(given: VerifyRun, known: _Verified) -> Report:
    findings = known.findings
    stopping = errors(findings)
    known.facts |= {"verified": not stopping, "notes": len(findings) - len(stopping)}
    if given.findings is None:
        for line in text_lines(findings):
            _say(line)
    else:
        with writing(given.findings):
            given.findings.write_text(rendered(findings, given.format, known.facts))
    if not stopping:
        return Report("verify", Outcome.DONE, "Verified", f"{given.wheel.name} is proven.", known.facts)
    more = f" (and {len(stopping) - 1} more)" if len(stopping) > 1 else ""
    return Report("verify", Outcome.REFUSED, "ProofFailed", f"{stopping[0]}{more}", known.facts)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
