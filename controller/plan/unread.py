"""Which templates' images cannot be told while those of others can: what depends on them waits, and nothing else. Pure."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.model.observation import Observation
from controller.model.record import ReleaseRecord


def unread(template: Template, record: ReleaseRecord | None, observation: Observation) -> str | None:
    """Return why it cannot be said which images of a template there are; None when all that were asked for were told.

    One repository is let in or refused as a whole, so what is not told of one of its tags is not told of the template.
    """
    name = template.name
    recorded = (record.templates.get(name), record.shadows.get(name)) if record is not None else ()
    repositories = {template.image, *(_repository(image.image) for image in recorded if image is not None)}
    return next(
        (
            f"{reference}: {cause.reason}"
            for reference, cause in sorted(observation.unread.items())
            if _repository(reference) in repositories
        ),
        None,
    )


def _repository(reference: str) -> str:
    """Return a reference by tag or digest without that."""
    return reference.partition("@")[0] if "@" in reference else reference.rpartition(":")[0]
