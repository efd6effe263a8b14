"""Which template a container belongs to: by its create-specification label, else by the repository of its image. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.model.create_spec import CreateRecord


def template_of(
    record: CreateRecord | None, references: Iterable[str], templates: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Return the template's name, or None and why there is none.

    Args:
        record: the container's create-specification label.
        references: what its image is called: what it was created from, and the tags and digests of the image.
        templates: image repository by template name.
    """
    if record is not None:
        if record.template in templates:
            return record.template, None
        return None, f"It was created for template {record.template}, which is not listed."
    known = {_normal(repository): name for name, repository in templates.items()}
    named = sorted({_repository(reference) for reference in references} - {""})
    owners = sorted({known[repository] for repository in named if repository in known})
    if len(owners) == 1:
        return owners[0], None
    if owners:
        return None, f"Its image belongs to several templates: {', '.join(owners)}."
    return None, f"No listed template has the image {' or '.join(named) or 'without a name'}."


def is_named(reference: str) -> bool:
    """Whether a listed reference has a repository; an image whose tag has moved is listed by its id."""
    return bool(_repository(reference))


def _repository(reference: str) -> str:
    if reference.startswith(("sha256:", "<none>")):
        return ""
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return _normal(head if colon and "/" not in tag else name)


def _normal(repository: str) -> str:
    """Return one spelling of Docker Hub's several for the same repository."""
    return repository.removeprefix("docker.io/").removeprefix("library/")
