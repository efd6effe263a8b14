"""What a release record calls the builder's version is the version of this project."""

import tomllib
from pathlib import Path

import builder

ROOT = Path(__file__).resolve().parents[3]


def test_the_builder_says_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert builder.__version__ == project["version"]
