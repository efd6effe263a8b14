"""A record survives a round trip whole, and one that cannot be read is never taken for another."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from controller.model.errors import Terminal
from controller.model.record import Dispatched, HeldBack, ReleaseRecord, Verdict
from controller.model.record_merge import merged
from controller.model.template_record import ForeignBuild, PlatformImage, TemplateRecord

A, B, C = "a" * 64, "b" * 64, "c" * 64
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def document(**changes: object) -> dict[str, Any]:
    return {
        "package": "molecule-ai-workspace-runtime",
        "version": "0.1.1",
        "publisher": "molecule/molecule-runtime",
        "sourceCommit": "1f2e3d4",
        "treeSha256": A,
        "inputsSha256": B,
        "wheel": {"file": "molecule_ai_workspace_runtime-0.1.1-py3-none-any.whl", "sha256": C, "size": 4711},
        "contentSha256": A,
        "requires": ["a2a-sdk[http-server]>=1.3", "pyyaml>=6"],
        "templates": {
            "echo": {
                "image": "ghcr.io/x/echo:0.1.1-0000000-11111111",
                "digest": f"sha256:{A}",
                "imageId": f"sha256:{B}",
                "fullBuild": {"image": "ghcr.io/x/echo:full", "digest": f"sha256:{C}", "inputsSha256": A},
                "reason": "WheelChanged",
                "proven": True,
                "bootSeconds": 1.5,
            }
        },
        "publishedTime": "2026-05-01T12:00:00Z",
        "verdict": {"value": "Good", "reason": "UpToDate", "time": "2026-05-01T12:05:00Z"},
        **changes,
    }


def record(**changes: object) -> ReleaseRecord:
    return ReleaseRecord.from_json(json.dumps(document(**changes)).encode(), where="test")


def test_a_record_reads_back_as_it_was_written() -> None:
    before = record()
    assert ReleaseRecord.from_json(before.to_json(), where="test") == before


def test_a_record_of_an_earlier_release_is_read_and_knows_no_parts_of_its_full_builds() -> None:
    full_build = record().templates["echo"].full_build
    assert full_build is not None
    assert (full_build.inputs, full_build.bases, full_build.request) == (None, None, None)
    assert record().templates["echo"].previous is None
    assert record().templates["echo"].in_use == record().templates["echo"]


def test_equal_records_have_equal_bytes() -> None:
    assert record().to_json() == record().to_json()


def test_fields_of_a_later_release_are_carried_through_changes_at_every_depth() -> None:
    later = document(signature={"key": None})
    later["wheel"]["attestation"] = "x"
    later["templates"]["echo"]["attestations"] = ["linux/arm64"]
    before = ReleaseRecord.from_json(json.dumps(later).encode(), where="test")
    after = before.published(NOON).resumed(NOON).with_template("new", TemplateRecord(image="x"))
    written = json.loads(after.to_json())
    assert written["signature"] == {"key": None}
    assert written["wheel"]["attestation"] == "x"
    assert written["templates"]["echo"]["attestations"] == ["linux/arm64"]


def test_an_image_of_several_platforms_goes_by_the_digests_of_all_its_parts() -> None:
    arm = PlatformImage(
        digest=digest("b"), image_id=digest("c"), full_build=ForeignBuild(image="r:1", digest=digest("d"))
    )
    own = PlatformImage(digest=digest("e"), image_id=digest("f"))
    platforms = {"linux/arm64": arm, "linux/amd64": own}
    template = TemplateRecord(image="x:1", digest=digest("a"), image_id=digest("f"), platforms=platforms)
    assert template.identity == digest("a")
    assert template.digests == {digest(letter) for letter in "abcef"}
    assert TemplateRecord(image="x:1").digests == frozenset()
    before = record().with_template("x", template)
    assert ReleaseRecord.from_json(before.to_json(), where="test") == before


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def test_a_template_is_set_beside_the_others() -> None:
    after = record().with_template("new", TemplateRecord(image="new:1", proven=True))
    assert set(after.templates) == {"echo", "new"}
    assert after.templates["echo"] == record().templates["echo"]


def test_a_failed_verdict_holds_until_it_is_taken_back() -> None:
    failed = record().judged(Verdict(value="Failed", reason="TurnFailed", message="no", time=NOON))
    assert ReleaseRecord.from_json(failed.to_json(), where="test").failed
    assert not failed.resumed(NOON).failed
    assert not record().failed


def test_times_are_kept_in_utc() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=2)))
    assert record().published(east) == record().published(NOON)
    assert b'"2026-05-01T12:00:00Z"' in record().published(east).to_json()


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"version": "0.1.0-1"}, "version: Value error, '0.1.0-1' is not normalised; write '0.1.0.post1'"),
        ({"version": "newest"}, "version: Value error, 'newest' is not a PEP 440 version"),
        ({"contentSha256": "abc"}, "contentSha256: String should match pattern"),
        ({"publishedTime": "2026-05-01T12:00:00"}, "publishedTime: Input should have timezone info"),
        ({"publisher": "nobody"}, "publisher: String should match pattern"),
        ({"wheel": {"file": "../x.whl", "sha256": A, "size": 1}}, "wheel.file: String should match pattern"),
        ({"verdict": {"value": "Maybe", "reason": "x", "time": "2026-05-01T12:00:00Z"}}, "verdict.value: Input should be"),
    ],
)  # fmt: skip
def test_a_record_that_contradicts_itself_is_refused_with_place_and_cause(
    changes: dict[str, object], cause: str
) -> None:
    with pytest.raises(Terminal) as caught:
        record(**changes)
    assert caught.value.reason == "RecordCorrupt"
    assert caught.value.message.startswith(f"The release record test cannot be read: {cause}")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\x80\x81", b"<html>", b'{"version": "0.1.1"}'])
def test_bytes_that_are_no_record_are_refused_with_what_to_do(content: bytes) -> None:
    with pytest.raises(Terminal, match="cannot be read") as caught:
        ReleaseRecord.from_json(content, where="volume wsr/0.1.1")
    assert "volume wsr/0.1.1" in caught.value.message
    assert caught.value.fix == (
        "Restore it from a backup, or delete it there if the version may be built and judged anew."
    )


def test_a_record_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        record().promoted = True


def test_a_publication_that_is_noted_twice_keeps_its_first_time() -> None:
    first = record(publishedTime=None).published(NOON)
    assert first.published_time == NOON
    assert first.published(NOON + timedelta(minutes=1)) == first


def test_a_record_of_an_earlier_release_has_nothing_held_back_and_nobody_told() -> None:
    before = record()
    assert (before.shadows, before.held_back, before.dispatches) == ({}, {}, {})


def noted() -> ReleaseRecord:
    cause = HeldBack(reason="GateFailed", message="It failed.", refused=(f"sha256:{A}",), time=NOON)
    sent = Dispatched(correlation_id="0123456789abcdef", sent_time=NOON)
    before = record().holding_back("echo", cause).dispatched("greeter", sent)
    return before.with_shadow("greeter", before.templates["echo"])


def test_what_is_noted_of_templates_reads_back_as_it_was_written() -> None:
    before = noted()
    assert ReleaseRecord.from_json(before.to_json(), where="test") == before
    assert "greeter" not in before.templates, "a shadow is no image of its template"


def test_resuming_frees_what_was_held_back_and_keeps_a_good_verdict() -> None:
    resumed = noted().resumed(NOON)
    assert (resumed.held_back, resumed.dispatches) == ({}, {})
    for each in (resumed, merged(resumed, noted()), merged(noted(), resumed)):
        assert each.verdict is not None
        assert each.verdict.value == "Good"
        assert (each.held_back, each.dispatches) == ({}, {})
    failed = noted().judged(Verdict(value="Failed", reason="GateFailed", time=NOON))
    assert failed.resumed(NOON).verdict is None


def test_without_a_template_the_others_stay() -> None:
    assert record().without({"echo"}).templates == {}
    assert record().without({"another"}) == record()
