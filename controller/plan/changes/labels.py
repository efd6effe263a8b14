"""LabelsMissing: the image under the recorded name does not say of itself what the record says of it.

Somebody rebuilt it, or it was made by what built images before us: what runs in it cannot be told from outside.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.names import IMAGE_LABEL_CONTENT, IMAGE_LABEL_VERSION, IMAGE_LABEL_WHEEL
from controller.api.v1alpha1 import Template
from controller.model.record import ReleaseRecord
from controller.plan.changes.change import Change, Question, short


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when labels that could be read lack ours, or differ from the record."""
    del template
    recorded, record = question.recorded, question.record
    if recorded is None or record is None:
        return None
    served = question.images.get(recorded.image, recorded.identity)
    labels = question.labels.get(served)
    wanted = labels_of(record)
    if labels is None or all(labels.get(name) == value for name, value in wanted.items()):
        return None
    return Change("LabelsMissing", before=_words(wanted), after=f"{short(served)}: {_words(labels)}")


def labels_of(record: ReleaseRecord) -> Mapping[str, str]:
    """Return the labels that every image of a version carries."""
    return {
        IMAGE_LABEL_VERSION: record.version,
        IMAGE_LABEL_WHEEL: record.wheel.sha256,
        IMAGE_LABEL_CONTENT: record.content_sha256,
    }


def _words(labels: Mapping[str, str]) -> str:
    names = {"version": IMAGE_LABEL_VERSION, "wheel": IMAGE_LABEL_WHEEL, "content": IMAGE_LABEL_CONTENT}
    told = [f"{word} {short(labels[name])}" for word, name in names.items() if name in labels]
    return ", ".join(told) or "no labels of ours"
