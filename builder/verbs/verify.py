"""`verify`: proves a wheel that was not built here, from its bytes alone, before anything is built on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from builder.contract import CONSOLE_SCRIPT, DEFAULT_MODULE, DEFAULT_NAME, Outcome, Report, VerifyRun
from builder.problems import Refused
from builder.stages.prove import prove_foreign_wheel
from builder.stages.wheel import content_sha256
from builder.verbs._arguments import Arguments
from builder.wheel import Wheel


def run(arguments: Sequence[str]) -> Report:
    """Read the arguments of `verify` and run it."""
    parser = Arguments("verify", "Prove a wheel that was not built here.")
    parser.add_argument("--wheel", type=Path, required=True, metavar="FILE", help="the wheel")
    parser.add_argument("--version", required=True, help="the version that it must be")
    parser.add_argument("--name", default=DEFAULT_NAME, help="of the distribution")
    parser.add_argument("--module", default=DEFAULT_MODULE, help="import name of the package")
    return verify(VerifyRun(**vars(parser.parse_args(arguments))))


def verify(given: VerifyRun) -> Report:
    """Prove the wheel and report what it is.

    Raises:
        Refused: it is no wheel, another package or version than said, or fails the proof.
    """
    wheel = Wheel.read(given.wheel)
    if wheel.name != canonicalize_name(given.name) or Version(wheel.version) != Version(given.version):
        raise Refused(
            "WrongWheel",
            [
                f"{wheel.path.name} is {wheel.name} {wheel.version}, not {given.name} {given.version}. Give that wheel."
            ],
        )
    prove_foreign_wheel(wheel.path, module=given.module, script=CONSOLE_SCRIPT)
    facts = {
        "version": wheel.version,
        "sha256": wheel.sha256,
        "contentSha256": content_sha256(wheel.path, given.module),
        "requires": list(wheel.requires),
    }
    return Report("verify", Outcome.DONE, "Verified", f"{wheel.path.name} is proven.", facts)
