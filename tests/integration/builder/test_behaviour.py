"""Generated programs do in the package what they did in the bare source, and differ from it in nothing but their imports."""

import contextlib
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from builder.contract import PackageRun
from builder.verbs.package import package
from tests.integration.builder.generated_programs import Program, behaviours, differences, programs

_AT_ONCE = 12
"""Programs that share two processes, one for the bare sources and one for the packages: starting them costs the most."""


def check(batch: list[Program]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        sources, trees = [], []
        for number, program in enumerate(batch):
            source = program.write(Path(scratch, f"bare-{number}"))
            tree = Path(scratch, f"tree-{number}")
            with contextlib.redirect_stderr(io.StringIO()):  # findings by the thousand
                package(PackageRun(source=source, version="0.1.0", out=tree))
            sources.append(source)
            trees.append(tree)
        bare, moved = behaviours(sources, ""), behaviours(trees, "molecule_runtime.")
        for program, before, after in zip(batch, bare, moved, strict=True):
            told = differences(before, after)
            assert not told, "\n".join(["This program behaves differently:", *told, program.text()])


_SETTINGS = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[
        Phase.generate
    ],  # making a batch smaller takes minutes, and the message names the one program that matters
    database=None,
)


@settings(_SETTINGS, max_examples=3)
@given(st.lists(programs(), min_size=_AT_ONCE, max_size=_AT_ONCE))
def test_a_program_does_in_the_package_what_it_did_bare(batch: list[Program]) -> None:
    check(batch)


@pytest.mark.long
@settings(_SETTINGS, max_examples=100)
@given(st.lists(programs(), min_size=_AT_ONCE, max_size=_AT_ONCE))
def test_many_programs_do_in_the_package_what_they_did_bare(batch: list[Program]) -> None:
    check(batch)
