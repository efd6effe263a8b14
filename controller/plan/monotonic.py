"""Whether a version may become public beside what the index serves: publication moves forward, or says that it does not. Pure."""

from __future__ import annotations

from packaging.version import Version

from controller.model.package import ServedPackage


def refusal(version: str, served: ServedPackage) -> str | None:
    """Return why `version` (normalised) must not be published, with the cure; None when it may be.

    A final release must be higher than every final release that the index serves: a lower one is a slip far more
    often than it is meant. A pre-, development or post-release (PEP 440) says in its own name which line it belongs
    to, so it may be lower; so may a local version, which is never uploaded. What the index serves already is adopted,
    not published.
    """
    newest = served.newest_final
    asked = Version(version)
    if version in served.releases or newest is None or asked > Version(newest):
        return None
    if asked.is_prerelease or asked.is_postrelease or asked.local is not None:
        return None
    return (
        f"Version {version} is lower than {newest}, the newest final release that the index serves, "
        f"and a final release must be higher. Ask for a version above {newest}; release on an earlier line by its own "
        f"name, such as {version}.post1 or {version}rc1; or, if {newest} was a mistake, yank it on the index."
    )
