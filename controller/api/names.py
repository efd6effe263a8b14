"""Label and annotation names of the API group: fixed, because fleets, dashboards and other tools select by them."""

from __future__ import annotations

from typing import Final

GROUP: Final = "runtime.molecule.ai"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "WorkspaceRuntime"

LABEL_MANAGED: Final = f"{GROUP}/managed"
"""On a workload, with the value "true": its owner's consent to have its image rolled."""
NAMESPACE_ALLOWED_FROM: Final = f"{GROUP}/allowed-from"
"""On a namespace: the namespace whose objects may roll its workloads."""
LABEL_TEMPLATE: Final = f"{GROUP}/template"
LABEL_HOLD: Final = f"{GROUP}/hold"
LABEL_PIN: Final = f"{GROUP}/pin"
ANNOTATION_HOLD: Final = LABEL_HOLD
ANNOTATION_HOLD_TARGETS: Final = f"{GROUP}/hold-targets"
ANNOTATION_PIN_TARGETS: Final = f"{GROUP}/pin-targets"
ANNOTATION_REBUILD: Final = f"{GROUP}/rebuild"
ANNOTATION_TAKE_OVER: Final = f"{GROUP}/take-over"
ANNOTATION_OWNER: Final = f"{GROUP}/owner"
"""On a workload: the object that rolls it, as NAMESPACE/NAME."""
ANNOTATION_REQUESTED_AT: Final = f"{GROUP}/requested-at"
ANNOTATION_RESUME: Final = f"{GROUP}/resume"
ANNOTATION_ROLLBACK_TO: Final = f"{GROUP}/rollback-to"
ANNOTATION_APPROVE: Final = f"{GROUP}/approve"
ANNOTATION_OVERRIDE: Final = f"{GROUP}/override"
LABEL_USE: Final = f"{GROUP}/use"
"""On a Secret of a cluster: the one purpose that objects of its namespace may name it for."""
ANNOTATION_HOSTS: Final = f"{GROUP}/hosts"
"""On a Secret of a cluster: the hosts that it may be sent to, with commas between them."""
FINALIZER: Final = f"{GROUP}/operator"
LABEL_REPLACES: Final = f"{GROUP}/replaces"
LABEL_CREATE_SPEC: Final = f"{GROUP}/create-spec"
LABEL_PROBE: Final = f"{GROUP}/probe"

IMAGE_LABEL_VERSION: Final = "ai.molecule.runtime.version"
IMAGE_LABEL_WHEEL: Final = "ai.molecule.runtime.wheel-sha256"
IMAGE_LABEL_CONTENT: Final = "ai.molecule.runtime.content-sha256"
