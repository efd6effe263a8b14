"""Versions, requirements and the files around a package."""

import json
import tomllib
from pathlib import Path

import pytest

from builder.problems import Refused
from builder.stages import metadata
from builder.stages.metadata import (
    Project,
    check_clashes,
    normalised_version,
    read_requirements,
    surroundings,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.1.6", "0.1.6"),
        ("v0.1.6", "0.1.6"),
        ("0.1.6-rc1", "0.1.6rc1"),
        ("0.1.0-local", "0.1.0+local"),
        ("0.1.0-local.7", "0.1.0+local.7"),
        ("1.0.0.DEV3", "1.0.0.dev3"),
        ("1!2.0", "1!2.0"),
    ],
)
def test_a_version_is_written_as_pep_440_writes_it(text: str, version: str) -> None:
    assert normalised_version(text) == version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1.0-banana", "'0.1.0-banana' is not a version (PEP 440). Did you mean 0.1.0+banana?"),
        ("0.1.0~rc1", "'0.1.0~rc1' is not a version (PEP 440). Did you mean 0.1.0rc1?"),
        ("0.1.x", "'0.1.x' is not a version (PEP 440). Write it like 0.1.6, 0.2.0rc1 or 0.1.6+local."),
        (
            "0.1.6.final",
            "'0.1.6.final' is not a version (PEP 440). Write it like 0.1.6, 0.2.0rc1 or 0.1.6+local.",
        ),
        ("runtime-v0.1.6", "'runtime-v0.1.6' is not a version (PEP 440). Did you mean 0.1.6?"),
        ("0.1.6 (rc2)", "'0.1.6 (rc2)' is not a version (PEP 440). Did you mean 0.1.6rc2?"),
        ("0,1,6", "'0,1,6' is not a version (PEP 440). Did you mean 0.1.6?"),
        ("1.0.0-2024-01", "'1.0.0-2024-01' is not a version (PEP 440). Did you mean 1.0.0+2024.1?"),
        ("latest", "'latest' is not a version (PEP 440). Write it like 0.1.6, 0.2.0rc1 or 0.1.6+local."),
        ("", "'' is not a version (PEP 440). Write it like 0.1.6, 0.2.0rc1 or 0.1.6+local."),
    ],
)
def test_what_is_no_version_is_refused_with_what_was_probably_meant(text: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        normalised_version(text)
    assert (caught.value.reason, caught.value.message) == ("BadVersion", message)


def test_requirements_keep_order_extras_and_markers_and_lose_comments() -> None:
    raw = (
        b"\xef\xbb\xbf# top\n\na2a-sdk[http-server]>=1.3 # why\npyyaml >= 6,\\\n  <7\n"
        b"uvloop; sys_platform != 'win32'\n#last\nstarlette"
    )
    assert read_requirements(raw) == (
        "a2a-sdk[http-server]>=1.3",
        "pyyaml<7,>=6",
        'uvloop; sys_platform != "win32"',
        "starlette",
    )
    assert read_requirements(None) == ()


def test_requirement_lines_that_metadata_cannot_hold_are_all_refused() -> None:
    raw = b"httpx\n-r other.txt\n--index-url http://x\nfoo @ https://x/foo.whl\nnot a requirement\n"
    with pytest.raises(Refused) as caught:
        read_requirements(raw)
    assert caught.value.complaints == (
        "requirements.txt:2: '-r other.txt' is an option of pip; a package's metadata holds requirements only. Write them here.",
        "requirements.txt:3: '--index-url http://x' is an option of pip; a package's metadata holds requirements only. Write them here.",
        "requirements.txt:4: 'foo @ https://x/foo.whl' names an address, which indexes refuse in a package. Name a version instead.",
        "requirements.txt:5: 'not a requirement' is no requirement (PEP 508): Expected semicolon (after name with no version specifier) or end.",
    )


def test_a_module_named_like_a_requirement_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        check_clashes(
            ("HTTPX>=1", "agent-sdk"),
            {"httpx": "httpx.py", "agent_sdk": "agent_sdk/__init__.py", "config": "config.py"},
        )
    assert caught.value.reason == "NameClash"
    assert caught.value.complaints == (
        "httpx.py: The module 'httpx' has the name of the requirement 'HTTPX>=1' (requirements.txt): an import could mean either. Rename the module.",
        "agent_sdk/__init__.py: The module 'agent_sdk' has the name of the requirement 'agent-sdk' (requirements.txt): an import could mean either. Rename the module.",
    )


def test_the_project_file_says_what_the_package_needs_and_pins_its_backend(tmp_path: Path) -> None:
    project = Project("some-name", "some_module", "0.1.6", ('x; python_version < "4"',), "c0ffee", "f" * 64)
    files = surroundings(project, tmp_path)
    parsed = tomllib.loads(files["pyproject.toml"].decode())
    assert parsed["build-system"] == {"requires": [metadata.BACKEND], "build-backend": "hatchling.build"}
    assert metadata.BACKEND.partition("==")[2]
    assert parsed["project"]["version"] == "0.1.6"
    assert parsed["project"]["dependencies"] == ['x; python_version < "4"']
    assert parsed["project"]["scripts"] == {"molecule-runtime": "some_module.main:main_sync"}
    assert parsed["project"]["license"] == "Apache-2.0"
    assert json.loads(files["build.json"]) == {"commit": "c0ffee", "treeSha256": "f" * 64}


def test_readme_and_licence_come_from_the_source_or_beside_it_where_they_are(tmp_path: Path) -> None:
    source = tmp_path / "workspace"
    source.mkdir()
    (tmp_path / "LICENSE").write_text("Ours alone.")
    (source / "README.md").write_text("# Read this")
    files = surroundings(Project("n", "m", "1", (), None, ""), source)
    assert files["LICENSE"] == b"Ours alone."
    assert files["README.md"] == b"# Read this"
    assert "license" not in tomllib.loads(files["pyproject.toml"].decode())["project"]
