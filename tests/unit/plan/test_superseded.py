"""What a host needs no more is what was followed by others: never what is wanted, in use for new ones or gone back to."""

from datetime import UTC, datetime, timedelta

import pytest

from controller.model.record import ReleaseRecord, Verdict
from controller.model.record_part import Artifact
from controller.model.template_record import TemplateRecord
from controller.plan.superseded import superseded

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
VERSIONS = ("0.1.0", "0.1.1", "0.1.2", "0.1.3", "0.1.4")


def image(version: str, *, edition: int = 1, previous: TemplateRecord | None = None) -> TemplateRecord:
    number = VERSIONS.index(version)
    return TemplateRecord(
        image=f"example/echo:{version}-{edition}",
        digest=f"sha256:{number}{edition}{'0' * 62}",
        image_id=f"sha256:{number}{edition}{'f' * 62}",
        proven=True,
        built_time=NOON + timedelta(hours=number, minutes=edition),
        previous=previous,
    )


def released(version: str, echo: TemplateRecord | None = None, *, verdict: str = "Good") -> ReleaseRecord:
    judged = NOON + timedelta(hours=VERSIONS.index(version))
    said = Verdict.model_validate({"value": verdict, "reason": "UpToDate", "time": judged})
    return ReleaseRecord(
        package="x",
        version=version,
        publisher="molecule/x",
        wheel=Artifact(file=f"x-{version}-py3-none-any.whl", sha256="a" * 64, size=1),
        content_sha256="b" * 64,
        published_time=NOON,
        verdict=said,
        templates={"echo": echo or image(version)},
    )


def names(*records: ReleaseRecord, version: str = "0.1.4", keep: int = 0) -> list[str]:
    known = {each.version: each for each in records}
    return [each.image.rpartition(":")[2] for each in superseded("echo", version, known, keep=keep)]


@pytest.mark.parametrize(
    ("keep", "left"), [(0, ["0.1.2-1", "0.1.1-1", "0.1.0-1"]), (2, ["0.1.0-1"]), (3, [])]
)
def test_the_newest_few_stay_besides_the_wanted_one_and_the_one_to_go_back_to(
    keep: int, left: list[str]
) -> None:
    assert names(*map(released, VERSIONS), keep=keep) == left


def test_a_version_that_failed_is_superseded_and_the_last_good_one_before_it_is_not() -> None:
    records = [released("0.1.1"), released("0.1.2", verdict="Failed"), released("0.1.4", verdict="Failed")]
    assert names(*records) == ["0.1.2-1"]


def test_an_earlier_image_of_the_wanted_version_stays_for_those_that_it_may_go_back_to() -> None:
    newer = image("0.1.4", edition=2, previous=image("0.1.4"))
    assert names(released("0.1.3"), released("0.1.4", newer)) == []
    older = image("0.1.2", edition=2, previous=image("0.1.2"))
    assert names(released("0.1.2", older), released("0.1.3"), released("0.1.4")) == ["0.1.2-2", "0.1.2-1"]


def test_an_image_that_two_versions_name_is_needed_while_one_of_them_is() -> None:
    same = image("0.1.4")
    assert names(released("0.1.1", same), released("0.1.3"), released("0.1.4", same)) == []


def test_what_only_an_engine_has_is_not_told() -> None:
    local = image("0.1.1").model_copy(update={"digest": None})
    assert names(released("0.1.1", local), released("0.1.3"), released("0.1.4")) == []
