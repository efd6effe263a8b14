"""Names and digests that follow from inputs."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.contract import (
    candidate_inputs,
    candidate_tag,
    full_build_tag,
    immutable_tag,
    template_inputs_sha256,
)


def test_an_immutable_tag_is_version_commit_and_inputs() -> None:
    assert immutable_tag("0.1.6", "0123456789abcdef", "fedcba9876543210") == "0.1.6-0123456-fedcba98"


def test_what_a_tag_may_not_have_becomes_a_dash() -> None:
    assert immutable_tag("1!0.1.0+local.1", "abcdef0", "12345678") == "1-0.1.0-local.1-abcdef0-12345678"


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).map(lambda text: "1" + text))
def test_every_immutable_tag_is_one_that_a_registry_takes(version: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", immutable_tag(version, "abcdef0", "12345678"))


def test_a_tag_that_would_be_too_long_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most 128 characters"):
        immutable_tag("1." + "0" * 120, "abcdef0", "12345678")


def test_a_candidate_is_named_by_wheel_and_full_build() -> None:
    names = {candidate_inputs(wheel, full) for wheel in ("a", "b") for full in ("sha256:1", "sha256:2")}
    assert len(names) == 4
    assert candidate_tag("0123456789") == "candidate-01234567"
    assert full_build_tag("0123456789") == "full-01234567"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / "run.sh").write_text("true\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link").symlink_to("../run.sh")
    return tmp_path


def test_template_inputs_change_with_content_mode_link_and_arguments(template: Path) -> None:
    seen = [template_inputs_sha256(template, {})]
    seen.append(template_inputs_sha256(template, {"A": "1"}))
    (template / "run.sh").chmod(0o755)
    seen.append(template_inputs_sha256(template, {}))
    (template / "sub" / "link").unlink()
    (template / "sub" / "link").symlink_to("../Dockerfile")
    seen.append(template_inputs_sha256(template, {}))
    (template / "run.sh").rename(template / "go.sh")
    seen.append(template_inputs_sha256(template, {}))
    (template / "Dockerfile").write_text("FROM y\n")
    seen.append(template_inputs_sha256(template, {}))
    assert len(set(seen)) == len(seen)


def test_template_inputs_do_not_change_with_history_or_time(template: Path) -> None:
    before = template_inputs_sha256(template, {"A": "1", "B": "2"})
    (template / ".git").mkdir()
    (template / ".git" / "HEAD").write_text("ref\n")
    (template / "Dockerfile").write_text("FROM x\n")
    assert template_inputs_sha256(template, {"B": "2", "A": "1"}) == before
