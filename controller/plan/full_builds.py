"""What release records know of a template's full builds and of who came before whom. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from controller.model.record import ReleaseRecord
from controller.model.template_record import FullBuild, PlatformImage


def last_full_build(template: str, version: str, records: Mapping[str, ReleaseRecord]) -> FullBuild | None:
    """Return the template's last full build: that of `version` itself, else of the version released last."""
    found = (each.templates[template].full_build for each in _newest_first(template, version, records))
    return next((build for build in found if build is not None), None)


def last_platforms(
    template: str, version: str, records: Mapping[str, ReleaseRecord]
) -> Mapping[str, PlatformImage]:
    """Return the images of the template's last index by platform; none where it never had one."""
    found = (each.templates[template].platforms for each in _newest_first(template, version, records))
    return next((platforms for platforms in found if platforms), {})


def released_before(
    template: str, version: str, records: Mapping[str, ReleaseRecord]
) -> ReleaseRecord | None:
    """Return the record of the version other than `version` that was released last with an image of `template`."""
    others = {key: each for key, each in records.items() if key != version}
    return next(iter(_newest_first(template, version, others)), None)


def answered(request: str, template: str, records: Mapping[str, ReleaseRecord]) -> bool:
    """Whether some full build of `template` was made for this request: it is done once, on every machine."""
    images = (each.templates[template] for each in records.values() if template in each.templates)
    return any(
        image.full_build is not None and image.full_build.request == request
        for recorded in images
        for image in (recorded, recorded.previous)
        if image is not None
    )


def _newest_first(template: str, version: str, records: Mapping[str, ReleaseRecord]) -> list[ReleaseRecord]:
    return sorted(
        (each for each in records.values() if template in each.templates),
        key=lambda each: (
            each.version == version,
            each.published_time is not None,
            each.published_time.timestamp() if each.published_time else 0.0,
        ),
        reverse=True,
    )
