"""What cannot be told of one template while that of others can: what depends on it waits, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.v1alpha1 import Template
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord


def unread(template: Template, record: ReleaseRecord | None, observation: Observation) -> str | None:
    """Return why it cannot be said which images of a template there are; None when all that were asked for were told.

    One repository is let in or refused as a whole, so what is not told of one of its tags is not told of the template.
    """
    name = template.name
    recorded = (record.templates.get(name), record.shadows.get(name)) if record is not None else ()
    repositories = {template.image, *(image.repository for image in recorded if image is not None)}
    return next(
        (
            f"{reference}: {cause.reason}"
            for reference, cause in sorted(observation.unread.items())
            if _repository(reference) in repositories
        ),
        None,
    )


def is_gone(
    template: Template, record: ReleaseRecord | None, image: TemplateRecord, observation: Observation
) -> bool:
    """Whether an image that was looked for is not there any more, neither under a tag nor by its digest.

    Of the images that a new workspace may use, one is looked for when all before it are gone.
    """
    images = observation.images
    if not isinstance(images, Known) or unread(template, record, observation) is not None:
        return False
    return image.repository == template.image and not is_there(template, image.identity, images.value)


def is_there(template: Template, identity: str, images: Mapping[str, str]) -> bool:
    """Whether `images` has this one in the template's repository or, of an engine, by its id.

    Another repository may have the same bytes, which no name of this one stands for.
    """
    return any(
        each == identity and (_repository(name) == template.image or name == identity)
        for name, each in images.items()
    )


def unread_inputs(template: Template, observation: Observation) -> tuple[str, Unknown] | None:
    """Return what `rebuildOn` has a template follow and cannot be read, by what people call it, and why.

    It is no reason to build, and nobody can say that the image is up to date with it.
    """
    words, inputs = set(template.build.rebuild_on), observation.templates.get(template.name)
    if not template.build.ours or not words & {"Template", "Base"}:
        return None
    if isinstance(inputs, Unknown):
        return f"template {template.name}", inputs
    names = inputs.value.bases if isinstance(inputs, Known) and "Base" in words else ()
    bases = ((name, observation.bases.get(name)) for name in names)
    return next(((f"base image {name}", each) for name, each in bases if isinstance(each, Unknown)), None)


def _repository(reference: str) -> str:
    """Return a reference by tag or digest without that."""
    return reference.partition("@")[0] if "@" in reference else reference.rpartition(":")[0]
