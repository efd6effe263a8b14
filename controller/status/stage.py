"""What is being done now: the verdict of the stage that a release is in."""

from __future__ import annotations

from collections.abc import Sequence

from controller.api.conditions import Reason
from controller.plan.delivery import Delivery
from controller.plan.fleet import Fleet
from controller.plan.state import Absent, Stale, Unbuilt, Undelivered, Unpromoted, Unproven, Unpublished
from controller.status.fleet_words import rolling
from controller.status.scope import Scope
from controller.status.verdict import Verdict, listed


def stage(scope: Scope) -> Verdict:
    """Return what is being done, while nothing has failed."""
    version, stop = scope.document.spec.version, scope.plan.stop
    if stop is not None and stop.hash is not None:
        return Verdict("False", stop.reason, stop.message)
    match scope.state:
        case Absent(release=None) if scope.document.spec.package.publish == "External":
            text = f"Somebody else publishes {scope.document.spec.package.name}, and the index does not serve {version} yet."
            return Verdict("False", Reason.PUBLISHED_ELSEWHERE, text)
        case Absent() | Unbuilt():
            return Verdict("False", Reason.BUILDING, f"Version {version} is being built.")
        case Unproven(templates=templates):
            names = ", ".join(templates)
            return Verdict("False", Reason.PROVING, f"Candidates of {version} are being proven: {names}.")
        case Unpublished():
            return publishing(scope)
        case Stale(fleet=fleet):
            return rolling(scope, fleet)
        case Undelivered(outstanding=outstanding):
            return undelivered(version, outstanding.deliveries)
        case Unpromoted(fleet=Fleet(missed=())):
            text = f"Version {version} runs everywhere and is being promoted."
            return Verdict("False", Reason.PROMOTING, text)
        case _:
            text = f"Version {version} runs wherever it may and is being promoted."
            return Verdict("False", Reason.PROMOTING, text)


def undelivered(version: str, due: Sequence[Delivery]) -> Verdict:
    """Return whose images are awaited, or are getting their tags."""
    names = listed([each.template for each in due])
    if all(each.untagged for each in due):
        text = f"Images are getting their immutable tags: {names}."
        return Verdict("False", Reason.PROMOTING, text)
    gone = listed([each.template for each in due if each.gone is not None])
    text = f"Version {version} is awaited from whoever builds: {names}"
    if not gone:
        return Verdict("False", Reason.AWAITING_DELIVERY, f"{text}.")
    return Verdict("False", Reason.IMAGE_GONE, f"{text}; deleted from the registry: {gone}.")


def publishing(scope: Scope) -> Verdict:
    """Return that files are being uploaded, or what was uploaded and does not show yet."""
    mine = f"publish/{scope.document.spec.version}/"
    waits = next((line for key, line in scope.progress.waits.items() if key.startswith(mine)), None)
    if waits is not None:
        return Verdict("False", Reason.INDEX_NOT_VISIBLE, f"{waits}.")
    return Verdict("False", Reason.PUBLISHING, f"Version {scope.document.spec.version} is being published.")
