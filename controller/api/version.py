"""What a version is: normalised PEP 440, because two spellings of one version would be two releases."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version


def checked_version(value: str) -> str:
    """Return `value`; raises ValueError, with the right spelling, when it is no normalised PEP 440 version."""
    normalised = _normalised(value) or _normalised(value.replace("-", "+", 1))
    if normalised is None:
        raise ValueError(f"{value!r} is not a PEP 440 version; write one like 0.1.6, 0.2.0rc1 or 0.1.6.post1")
    if normalised != value:
        raise ValueError(f"{value!r} is not normalised; write {normalised!r}")
    return value


def _normalised(value: str) -> str | None:
    try:
        return str(Version(value))
    except InvalidVersion:
        return None
