"""The whole document: its identity, and what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from controller.api import annotations as annotated
from controller.api.field_error import FieldError
from controller.api.names import (
    ANNOTATION_APPROVE,
    ANNOTATION_HOLD,
    ANNOTATION_OVERRIDE,
    ANNOTATION_REBUILD,
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_RESUME,
    ANNOTATION_ROLLBACK_TO,
    ANNOTATION_TAKE_OVER,
)
from controller.api.v1alpha1._base import Document, Name
from controller.api.v1alpha1.spec import Spec


class Metadata(Document):
    """The object's identity."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: Name
    namespace: Name = "default"
    annotations: Annotated[dict[str, str], Field(max_length=200), AfterValidator(annotated.checked)] = {}
    """Ours are `/approve`, `/hold: REASON`, which stops all work on this object, `/hold-targets`, `/override: REASON`,
    `/pin-targets`, `/rebuild`, `/requested-at`, `/resume`, `/rollback-to` and `/take-over`."""

    @property
    def hold(self) -> str | None:
        """Why all work on the object is held; None when it is not."""
        return self.annotations.get(ANNOTATION_HOLD)

    @property
    def approved(self) -> str | None:
        """The hash of what was approved; None when nothing was."""
        return self.annotations.get(ANNOTATION_APPROVE)

    @property
    def override(self) -> str | None:
        """Why windows do not count now; None when they do."""
        return self.annotations.get(ANNOTATION_OVERRIDE)

    @property
    def takes_over(self) -> str | None:
        """The object whose package and tags are this one's now, as NAMESPACE/NAME; None when there is none."""
        return self.annotations.get(ANNOTATION_TAKE_OVER)

    @property
    def requested_at(self) -> str | None:
        """What names the last request to look anew now; None when there is none."""
        return self.annotations.get(ANNOTATION_REQUESTED_AT)

    @property
    def resume(self) -> str | None:
        """What names the last request to let a version go on; None when there is none."""
        return self.annotations.get(ANNOTATION_RESUME)

    def resumes(self, version: str) -> bool:
        """Whether that request is about this version."""
        return annotated.named_version(self.annotations, ANNOTATION_RESUME) == version

    @property
    def rollback_to(self) -> str | None:
        """What names the last request to go back; None when there is none."""
        return self.annotations.get(ANNOTATION_ROLLBACK_TO)

    @property
    def rolls_back_to(self) -> str | None:
        """The version that it names, or `LAST_KNOWN_GOOD`."""
        return annotated.named_version(self.annotations, ANNOTATION_ROLLBACK_TO)

    def rolls_back_from(self, version: str) -> bool:
        """Whether that request is about this version."""
        return annotated.left_version(self.annotations) in {None, version}

    @property
    def held_targets(self) -> Mapping[str, str]:
        """The reason of each target that is held here, by its name or its id."""
        return annotated.held_targets(self.annotations)

    @property
    def pinned_targets(self) -> Mapping[str, str]:
        """The version of each target that is pinned here, by its name or its id."""
        return annotated.pinned_targets(self.annotations)

    def request_for(self, template: str) -> str | None:
        """Return what names the request for a new build of a template; None when there is none."""
        requests = annotated.requests(self.annotations)
        return requests.get(template, requests.get(annotated.ALL_TEMPLATES))


class WorkspaceRuntime(Document):
    """An object declares the version of the workspace runtime package that a fleet of workspaces must run."""

    api_version: Literal["runtime.molecule.ai/v1alpha1"]
    kind: Literal["WorkspaceRuntime"]
    metadata: Metadata
    spec: Spec

    @model_validator(mode="after")
    def _requests_name_templates(self) -> WorkspaceRuntime:
        ours = {template.name: template.build.ours for template in self.spec.templates}
        for name in annotated.requests(self.metadata.annotations):
            if name not in {*ours, annotated.ALL_TEMPLATES}:
                raise _unanswerable(
                    f'{name!r} is no template of this document; write "*" or one of {", ".join(ours)}'
                )
            if not ours.get(name, any(ours.values())):
                whose = "all images" if name == annotated.ALL_TEMPLATES else f"the image of template {name}"
                raise _unanswerable(f"somebody else builds {whose}; ask them, and remove this")
        return self

    @property
    def key(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


def _unanswerable(message: str) -> FieldError:
    return FieldError(message, "metadata", "annotations", ANNOTATION_REBUILD)
